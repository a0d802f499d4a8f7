/* The official test suite (Debian: libtest-json-schema-acceptance-perl), 2020-12 and draft-07: every
 * required file is a test. Of the optional ones those in tests/jsonschema/optional-known fail, and no
 * others; a line there that names nothing in the suite at hand is of another version of it.
 *
 * JSONSCHEMA_SUITE: another folder. JSONSCHEMA_VERBOSE=1: print what fails (tests/jsonschema/run). */
#include "unit.h"
#include "base/jsonschema.h"
#include "base/map.h"

#include <dirent.h>

#define SUITE "/usr/share/perl5/auto/share/dist/Test-JSON-Schema-Acceptance"
#define KNOWN "tests/jsonschema/optional-known"

enum { FILES_MAX = 400, FAILED_MAX = 2000 };

struct suite_file {
    char name[200]; /* "draft7/optional/bignum.json" */
    enum jschema_draft draft;
    bool is_optional, has_formats;
};

static struct suite_file files[FILES_MAX];
static size_t file_count;
static struct map known, met;
static unsigned passed[2], failed[2]; /* required, optional */

static const char *suite(void)
{
    const char *path = getenv("JSONSCHEMA_SUITE");
    return path ? path : SUITE;
}

static char *read_all(const char *path, size_t *ret_len)
{
    FILE *f = fopen(path, "rb");
    char *text = NULL;

    *ret_len = 0;
    if (!f)
        return NULL;
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    rewind(f);
    if (size >= 0 && (text = malloc((size_t)size + 1)))
        *ret_len = fread(text, 1, (size_t)size, f);
    fclose(f);
    return text;
}

/* --- one file ----------------------------------------------------------------------------------- */

struct job {
    const struct suite_file *file;
    struct arena *a;
    unsigned bad;
};

/* http://localhost:1234/x is remotes/x. */
static bool find_remote(void *ctx, str uri, str *ret_text)
{
    struct job *job = ctx;
    const str base = S("http://localhost:1234/");
    char path[600];
    size_t len;

    if (!str_starts(uri, base))
        return false;
    str name = str_cut(uri, base.len);
    snprintf(path, sizeof path, "%s/remotes/%.*s", suite(), STR_ARG(name));
    char *text = read_all(path, &len);
    if (!text)
        return false;
    *ret_text = arena_copy(job->a, (str){text, len});
    free(text);
    return true;
}

static char *label_of(const struct job *job, str group, str test)
{
    char *z = NULL;
    assert_true(asprintf(&z, "%s: %.*s: %.*s", job->file->name, STR_ARG(group), STR_ARG(test)) > 0);
    return z;
}

/* What was meant to fail must fail, and nothing else. */
static void judge(struct job *job, str group, str test, bool ok, const char *why)
{
    char *label = label_of(job, group, test);
    bool is_known = job->file->is_optional && map_get(&known, str_of(label));

    (ok ? passed : failed)[job->file->is_optional]++;
    if (is_known)
        assert_true(map_put(&met, str_of(strdup(label)), ""));
    if (!ok && getenv("JSONSCHEMA_VERBOSE"))
        printf("# fails: %s%s%s\n", label, *why ? " <- " : "", why);
    if (ok == is_known) {
        print_message("%s %s %s\n", label, ok ? "passes now" : "fails", why);
        job->bad++;
    }
    free(label);
}

static void run_group(struct job *job, const json_value *group)
{
    const struct jschema_options options = {.draft = job->file->draft,
                                            .has_formats = job->file->has_formats,
                                            .find = find_remote,
                                            .ctx = job};
    str name = json_string(json_get(group, S("description")));
    struct jschema_fault fault = {0};
    struct jschema *schema = NULL;
    struct arena_text text;

    text_init(&text, job->a, 1024);
    json_write(json_get(group, S("schema")), &text);
    bool is_made = jschema_compile(&schema, text_str(&text), S(""), &options, &fault);
    for (struct json_iter i = json_iter(json_get(group, S("tests"))); json_next(&i);) {
        struct jschema_error list[8];
        struct jschema_errors errors = {.list = list, .max = countof(list)};
        bool want = false;
        const json_value *data = json_get(i.value, S("data"));
        assert_true(json_is_bool(json_get(i.value, S("valid")), &want));
        bool got = is_made && jschema_check(schema, data, job->a, &errors);
        if (is_made)
            assert_int_equal(errors.count > 0, !got);
        judge(job, name, json_string(json_get(i.value, S("description"))), is_made && got == want,
              is_made ? "" : fault.text);
    }
    jschema_free(schema);
}

static void suite_file_passes(void **state)
{
    struct arena_pool pool = {0};
    struct job job = {.file = *state, .a = arena_new(&pool, 256 << 20)};
    struct json_fault fault;
    struct json doc;
    char path[600];
    size_t len;

    snprintf(path, sizeof path, "%s/tests/%s", suite(), job.file->name);
    char *text = read_all(path, &len);
    assert_non_null(text);
    assert_true(json_parse(&doc, job.a, (str){text, len}, &fault));
    for (struct json_iter i = json_iter(doc.root); json_next(&i);)
        run_group(&job, i.value);
    arena_unref(job.a);
    arena_pool_deinit(&pool);
    free(text);
    assert_int_equal(job.bad, 0);
}

/* --- all files ---------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct suite_file *)a)->name, ((const struct suite_file *)b)->name);
}

static void add_folder(const char *folder, enum jschema_draft draft, bool is_optional)
{
    char path[600];

    snprintf(path, sizeof path, "%s/tests/%s", suite(), folder);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (!str_ends(str_of(e->d_name), S(".json")) || file_count == FILES_MAX)
            continue;
        struct suite_file *f = &files[file_count++];
        *f = (struct suite_file){.draft = draft, .is_optional = is_optional};
        f->has_formats = str_ends(str_of(folder), S("/format"));
        snprintf(f->name, sizeof f->name, "%s/%.120s", folder, e->d_name);
    }
    if (dir)
        closedir(dir);
}

static void read_known(void)
{
    size_t len;
    char *text = read_all(KNOWN, &len);
    str rest = {text, text ? len : 0};

    while (rest.ptr && rest.len) {
        str line = str_trim(str_split(&rest, '\n'));
        if (line.len && line.ptr[0] != '#' && !map_put(&known, str_of(str_dup(line)), ""))
            abort();
    }
    free(text);
}

static void drop(struct map *m)
{
    struct map_entry *e;

    for (size_t at = 0; (e = map_each(m, &at));)
        free((char *)(uintptr_t)e->key.ptr);
    map_deinit(m);
}

static void the_suite_is_there(void **state)
{
    (void)state;
    if (file_count < 100)
        fail_msg("no suite in %s: install libtest-json-schema-acceptance-perl", suite());
}

int main(void)
{
    static struct CMUnitTest tests[FILES_MAX + 1] = {T(the_suite_is_there)};

    read_known();
    add_folder("draft2020-12", JSCHEMA_2020_12, false);
    add_folder("draft2020-12/optional", JSCHEMA_2020_12, true);
    add_folder("draft2020-12/optional/format", JSCHEMA_2020_12, true);
    add_folder("draft7", JSCHEMA_DRAFT_07, false);
    add_folder("draft7/optional", JSCHEMA_DRAFT_07, true);
    add_folder("draft7/optional/format", JSCHEMA_DRAFT_07, true);
    qsort(files, file_count, sizeof *files, by_name);
    for (size_t i = 0; i < file_count; i++)
        tests[i + 1] = (struct CMUnitTest){files[i].name, suite_file_passes, NULL, NULL, &files[i]};
    int bad = _cmocka_run_group_tests("suite", tests, file_count + 1, NULL, NULL);
    printf("# required: %u pass, %u fail; optional: %u pass, %u fail, %zu of them known\n",
           passed[0], failed[0], passed[1], failed[1], met.count);
    drop(&known);
    drop(&met);
    return bad;
}
