/* Uses modules of tests/plugins in the build folder. */
#include "unit.h"
#include "abi/module.h"
#include "base/digest.h"

#define SO(name) TEST_BUILD "/tests/plugins/" name ".so"

static char *dir;
static struct modules *m;
static struct diag d;
static const struct diag_at at = {"manifest.yaml", 3, 0};

static int set_up(void **state)
{
    static const struct module_builtin none[] = {{0}};
    char error[256];

    (void)state;
    dir = unit_dir();
    diag_init(&d);
    m = modules_new(dir, none, error);
    return m ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    modules_free(m);
    diag_deinit(&d);
    unit_rm(dir);
    return 0;
}

static void copy(const char *from, const char *name, char path[512])
{
    char cmd[1200];

    snprintf(path, 512, "%s/%s", dir, name);
    snprintf(cmd, sizeof cmd, "cp --remove-destination '%s' '%s'", from, path);
    assert_int_equal(system(cmd), 0);
}

static void refused(const char *path, const char *sha256, const char *id, const char *text)
{
    size_t before = d.count;

    assert_null(module_open(m, path, sha256, at, &d));
    assert_int_equal(d.count, before + 1);
    assert_string_equal(d.list[before].id, id);
    assert_string_equal(d.list[before].file, "manifest.yaml");
    if (!strstr(d.list[before].text, text))
        fail_msg("%s", d.list[before].text);
}

static void loads_and_finds_plugins(void **state)
{
    struct module *a = module_open(m, SO("mini_one"), NULL, at, &d);

    (void)state;
    assert_non_null(a);
    assert_string_equal(module_plugin(a, NULL, at, &d)->version, "1.0.0");
    assert_non_null(module_plugin(a, "org.example.mini", at, &d));
    assert_int_equal(d.count, 0);
    assert_null(module_plugin(a, "org.example.other", at, &d));
    assert_int_equal(d.count, 1);
    assert_int_equal(strlen(module_sha256(a)), DIGEST_HEX);
    module_unref(a);
}

static void says_why_a_file_is_no_module(void **state)
{
    char path[512];

    (void)state;
    refused("/nonexistent/x.so", NULL, "module.read", "No such file");
    refused(dir, NULL, "module.read", "not a regular file");
    unit_write(dir, "text.so", "this is no ELF file\n");
    snprintf(path, sizeof path, "%s/text.so", dir);
    refused(path, NULL, "module.elf", "not an ELF file");
    unit_write(dir, "empty.so", "");
    snprintf(path, sizeof path, "%s/empty.so", dir);
    refused(path, NULL, "module.elf", "not an ELF file");
    refused(SO("no_entry"), NULL, "module.entry", "not a migd plugin");
}

static void undefined_symbols_are_refused_at_once(void **state)
{
    (void)state;
    if (access(SO("undefined"), R_OK) != 0)
        fail_msg("tests/plugins is not built");
    refused(SO("undefined"), NULL, "module.load", "nobody_has_this_function");
}

static void the_digest_pins_the_content(void **state)
{
    struct module *a = module_open(m, SO("mini_one"), NULL, at, &d);
    char sha[DIGEST_HEX + 1], upper[DIGEST_HEX + 1];

    (void)state;
    assert_non_null(a);
    memcpy(sha, module_sha256(a), sizeof sha);
    for (int i = 0; i <= DIGEST_HEX; i++)
        upper[i] = (char)(sha[i] >= 'a' && sha[i] <= 'f' ? sha[i] - 32 : sha[i]);
    assert_ptr_equal(module_open(m, SO("mini_one"), upper, at, &d), a);
    refused(SO("mini_two"), sha, "module.sha256", "the manifest pins");
    module_unref(a);
    module_unref(a);
}

static void the_same_content_is_loaded_once(void **state)
{
    char path[512];
    struct module *a = module_open(m, SO("mini_one"), NULL, at, &d);

    (void)state;
    copy(SO("mini_one"), "renamed.so", path);
    assert_ptr_equal(module_open(m, path, NULL, at, &d), a);
    module_unref(a);
    assert_int_equal(module_retired(m), 0);
    module_unref(a);
    assert_int_equal(module_retired(m), 1);
    assert_ptr_equal(module_open(m, path, NULL, at, &d), a); /* comes back */
    assert_int_equal(module_retired(m), 0);
    module_unref(a);
}

static void an_overwritten_file_keeps_serving_and_the_new_one_loads_beside_it(void **state)
{
    char path[512];

    (void)state;
    copy(SO("mini_one"), "mini.so", path);
    struct module *a = module_open(m, path, NULL, at, &d);
    const mig_plugin *one = module_plugin(a, NULL, at, &d);
    FILE *f = fopen(path, "r+"); /* in place: what would crash a file that is mapped */
    assert_non_null(f);
    for (int i = 0; i < 4096 * 8; i++)
        fputc('x', f);
    fclose(f);
    assert_int_equal(truncate(path, 10), 0);
    void *self;
    assert_int_equal(one->create(NULL, (mig_str){"{}", 2}, &self), MIG_OK);
    one->destroy(self);
    assert_string_equal(one->version, "1.0.0");
    copy(SO("mini_two"), "mini.so", path);
    struct module *b = module_open(m, path, NULL, at, &d);
    assert_non_null(b);
    assert_ptr_not_equal(a, b);
    assert_string_equal(module_plugin(b, NULL, at, &d)->version, "2.0.0");
    assert_string_equal(one->version, "1.0.0");
    module_unref(a);
    module_unref(b);
}

static void an_unloadable_module_is_unmapped_when_allowed(void **state)
{
    struct module *a = module_open(m, SO("mini_one"), NULL, at, &d);

    (void)state;
    modules_set_unmap(m, true);
    module_unref(a);
    assert_int_equal(module_retired(m), 0);
    a = module_open(m, SO("mini_one"), NULL, at, &d);
    assert_non_null(a);
    assert_string_equal(module_plugin(a, NULL, at, &d)->version, "1.0.0");
    module_unref(a);
}

static void copies_of_dead_processes_are_removed(void **state)
{
    static const struct module_builtin none[] = {{0}};
    char error[256], stale[512], cmd[1100];

    (void)state;
    snprintf(stale, sizeof stale, "%s/modules-999999999", dir);
    snprintf(cmd, sizeof cmd, "mkdir '%s' && touch '%s/a.so'", stale, stale);
    assert_int_equal(system(cmd), 0);
    struct modules *other = modules_new(dir, none, error);
    assert_non_null(other);
    assert_int_not_equal(access(stale, F_OK), 0);
    modules_free(other);
    assert_null(modules_new("/proc/no/such/place", none, error));
    assert_non_null(strstr(error, "cannot make the directory"));
}

int main(void)
{
#define TM(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TM(loads_and_finds_plugins),
        TM(says_why_a_file_is_no_module),
        TM(undefined_symbols_are_refused_at_once),
        TM(the_digest_pins_the_content),
        TM(the_same_content_is_loaded_once),
        TM(an_overwritten_file_keeps_serving_and_the_new_one_loads_beside_it),
        TM(an_unloadable_module_is_unmapped_when_allowed),
        TM(copies_of_dead_processes_are_removed),
    };
    return RUN(tests);
}
