#include "unit.h"
#include "config/plan.h"

static char *dir, one[512], two[512], flag[1200];
static struct diag d;
static struct settings *s;
static struct manifest *m;
static struct plan *p;

static int set_up(void **state)
{
    char cmd[1100];

    (void)state;
    dir = unit_dir();
    diag_init(&d);
    snprintf(one, sizeof one, "%s/one", dir);
    snprintf(two, sizeof two, "%s/two", dir);
    snprintf(cmd, sizeof cmd, "mkdir -p %s %s", one, two);
    s = NULL;
    m = NULL;
    p = NULL;
    return system(cmd);
}

static int tear_down(void **state)
{
    (void)state;
    plan_free(p);
    manifest_free(m);
    settings_free(s);
    diag_deinit(&d);
    unit_rm(dir);
    return 0;
}

static void make(const char *manifest, const char *extra)
{
    snprintf(flag, sizeof flag, "plugin_dirs=%s,%s", one, two);
    const char *flags[] = {flag, extra, NULL};
    struct settings_source src = {NULL, NULL, flags};

    s = settings_load(&src, &d);
    assert_non_null(s);
    m = *manifest ? manifest_parse(str_of(manifest), "m.yaml", &d) : manifest_load(NULL, &d);
    if (!m)
        fail_msg("%s", d.list[0].text);
    p = plan_make(s, m, "[]", &d);
    assert_int_equal(p != NULL, d.errors == 0);
}

static const struct wanted *wanted(const char *name)
{
    const struct wanted *found = NULL;

    for (size_t i = 0; p && i < p->count; i++)
        if (!strcmp(p->list[i].name, name)) {
            assert_null(found); /* names are unique */
            found = &p->list[i];
        }
    return found;
}

static void finding(const char *id)
{
    for (size_t i = 0; i < d.count; i++)
        if (!strcmp(d.list[i].id, id))
            return;
    fail_msg("no finding %s", id);
}

static void built_in_ones_are_always_there(void **state)
{
    (void)state;
    make("", NULL);
    assert_int_equal(p->count, 5);
    assert_int_equal(wanted("http")->kind, WANTED_BUILTIN);
    assert_string_equal(wanted("ws")->plugin, "dev.migd.ws-binding");
    assert_string_equal(wanted("echo")->plugin, "dev.migd.echo");
    assert_null(wanted("admin")->path);
}

static void files_in_folders_are_served_by_their_names(void **state)
{
    (void)state;
    unit_write(one, "b.so", "");
    unit_write(one, "a.lua", "");
    unit_write(one, ".hidden.so", "");
    unit_write(one, "notes.txt", "");
    unit_write(one, "x.so.bak", "");
    make("", NULL);
    assert_int_equal(p->count, 7);
    assert_int_equal(wanted("a")->kind, WANTED_LUA);
    assert_string_equal(wanted("a")->plugin, "dev.migd.lua");
    assert_non_null(strstr(wanted("a")->config, "a.lua\""));
    assert_int_equal(wanted("b")->kind, WANTED_MODULE);
    assert_string_equal(wanted("b")->config, "{}");
    assert_int_equal(p->dirs.count, 2);
}

static void the_first_folder_shadows_the_second(void **state)
{
    (void)state;
    unit_write(one, "a.so", "");
    unit_write(two, "a.so", "");
    unit_write(two, "a.lua", "");
    make("", NULL);
    assert_non_null(strstr(wanted("a")->path, "/one/a.so"));
    finding("plugin.shadowed");
    assert_int_equal(d.count, 2);
}

static void a_manifest_entry_decides_about_its_file(void **state)
{
    (void)state;
    unit_write(one, "a.so", "");
    unit_write(two, "b.so", "");
    unit_write(two, "c.so", "");
    make("providers:\n  other: {module: a.so, config: {x: 1}, limits: {max_concurrency: 3}}\n"
         "  off: {module: b.so, enabled: false}\n",
         NULL);
    assert_null(wanted("a"));
    assert_null(wanted("b"));
    assert_null(wanted("off"));
    assert_non_null(wanted("c"));
    assert_string_equal(wanted("other")->config, "{\"x\":1}");
    assert_int_equal(wanted("other")->max_concurrency, 3);
}

static void a_manifest_may_replace_a_built_in_one(void **state)
{
    (void)state;
    unit_write(one, "x.so", "");
    make("providers:\n  echo: {module: x.so}\n", NULL);
    assert_int_equal(wanted("echo")->kind, WANTED_MODULE);
}

static void autoload_can_be_off(void **state)
{
    (void)state;
    unit_write(one, "a.so", "");
    make("", "autoload=false");
    assert_null(wanted("a"));
}

static void refused_with(const char *manifest, const char *id)
{
    diag_deinit(&d);
    diag_init(&d);
    plan_free(p);
    manifest_free(m);
    settings_free(s);
    p = NULL;
    make(manifest, NULL);
    assert_null(p);
    finding(id);
}

static void paths_do_not_leave_the_folders(void **state)
{
    (void)state;
    unit_write(dir, "out.so", "");
    refused_with("providers:\n  x: {module: ../out.so}\n", "provider.path");
    refused_with("providers:\n  x: {module: a/../../out.so}\n", "provider.path");
    refused_with("providers:\n  x: {module: /etc/passwd}\n", "provider.path");
    refused_with("providers:\n  x: {module: none.so}\n", "provider.missing");
}

static void names_of_files_must_be_provider_names(void **state)
{
    (void)state;
    unit_write(one, "Bad Name.so", "");
    refused_with("", "plugin.name");
}

int main(void)
{
#define TP(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TP(built_in_ones_are_always_there),        TP(files_in_folders_are_served_by_their_names),
        TP(the_first_folder_shadows_the_second),   TP(a_manifest_entry_decides_about_its_file),
        TP(a_manifest_may_replace_a_built_in_one), TP(autoload_can_be_off),
        TP(paths_do_not_leave_the_folders),        TP(names_of_files_must_be_provider_names),
    };
    return RUN(tests);
}
