#include "unit.h"
#include "abi/entry.h"
#include "mig/plugin.h"

static mig_status create(const mig_host *h, mig_str c, void **s)
{
    (void)h;
    (void)c;
    (void)s;
    return MIG_OK;
}
static mig_status describe(void *s, const mig_registrar *r)
{
    (void)s;
    (void)r;
    return MIG_OK;
}
static void destroy(void *s)
{
    (void)s;
}

/* A plugin of a host that is newer than this one. */
struct newer {
    mig_plugin plugin;
    uint64_t wish;
};

static struct newer base(void)
{
    return (struct newer){.plugin = {.struct_size = sizeof(mig_plugin),
                                     .id = "org.example.a",
                                     .version = "1.2.3",
                                     .create = create,
                                     .describe = describe,
                                     .destroy = destroy}};
}

static bool check(const mig_plugin_entry_t *e, const char *id, const char *text)
{
    struct diag d;

    diag_init(&d);
    bool ok = entry_check(e, (struct diag_at){"x.so", 0, 0}, &d);
    assert_int_equal(ok, d.errors == 0);
    if (id) {
        assert_int_equal(d.count, 1);
        assert_string_equal(d.list[0].id, id);
        if (!strstr(d.list[0].text, text))
            fail_msg("%s", d.list[0].text);
    }
    diag_deinit(&d);
    return ok;
}

static void every_refusal_of_an_entry_says_why(void **state)
{
    struct newer p = base();
    const mig_plugin *const plugins[] = {&p.plugin, NULL}, *const none[] = {NULL};
    const mig_plugin_entry_t good = {
        MIG_ABI_MAGIC, MIG_ABI_MAJOR, MIG_ABI_MINOR, sizeof(mig_plugin_entry_t), 0, plugins};

    (void)state;
    assert_true(check(&good, NULL, NULL));
    assert_false(check(NULL, "module.entry", "not a migd plugin"));
    mig_plugin_entry_t e = good;
    e.magic = 7;
    assert_false(check(&e, "module.entry", "not a migd plugin"));
    e = good;
    e.abi_major = 2;
    assert_false(check(&e, "module.abi_major", "built for ABI major 2, this host has 1"));
    e = good;
    e.needs_minor = 9;
    assert_false(check(&e, "module.abi_minor", "needs ABI 1.9, this host has 1.0"));
    e = good;
    e.abi_minor = 9; /* newer headers alone are no reason */
    assert_true(check(&e, NULL, NULL));
    e = good;
    e.struct_size = 16;
    assert_false(check(&e, "module.entry_size", "16 bytes, ABI 1.0 has 24"));
    e = good;
    e.plugins = none;
    assert_false(check(&e, "module.empty", "no plugin"));
    e.plugins = NULL;
    assert_false(check(&e, "module.empty", "no plugin"));
}

static void every_refusal_of_a_plugin_names_it_and_the_member(void **state)
{
    static const struct {
        const char *text, *id, *version;
    } rows[] = {
        {"reverse DNS", NULL, "1.0.0"},       {"reverse DNS", "noDots", "1.0.0"},
        {"reverse DNS", "a.B", "1.0.0"},      {"reverse DNS", ".a.b", "1.0.0"},
        {"reverse DNS", "a..b", "1.0.0"},     {"reverse DNS", "a.b.", "1.0.0"},
        {"reverse DNS", "", "1.0.0"},         {"semantic version", "a.b", NULL},
        {"semantic version", "a.b", ""},      {"semantic version", "a.b", "1"},
        {"semantic version", "a.b", "1.2"},   {"semantic version", "a.b", "v1.2.3"},
        {"semantic version", "a.b", "1.x.3"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows) + 5; i++) {
        struct newer p = base();
        const mig_plugin *const plugins[] = {&p.plugin, NULL};
        const mig_plugin_entry_t e = {MIG_ABI_MAGIC, 1, 0, sizeof e, 0, plugins};
        const char *text = i < countof(rows) ? rows[i].text : NULL;
        if (text) {
            p.plugin.id = rows[i].id;
            p.plugin.version = rows[i].version;
        } else if (i == countof(rows)) {
            p.plugin.create = NULL;
            text = "org.example.a: create is missing";
        } else if (i == countof(rows) + 1) {
            p.plugin.describe = NULL;
            text = "org.example.a: describe is missing";
        } else if (i == countof(rows) + 2) {
            p.plugin.destroy = NULL;
            text = "org.example.a: destroy is missing";
        } else if (i == countof(rows) + 3) {
            p.plugin.struct_size = 80;
            text = "smaller than that of ABI 1.0";
        } else {
            p.plugin.struct_size = sizeof p;
            p.wish = 1;
            text = "members of mig_plugin that this host does not know";
        }
        assert_false(check(&e, "module.plugin", text));
    }
}

static void a_newer_plugin_without_new_wishes_is_served(void **state)
{
    struct newer p = base();
    const mig_plugin *const plugins[] = {&p.plugin, NULL};
    const mig_plugin_entry_t e = {MIG_ABI_MAGIC, 1, 4, sizeof e + 64, 0, plugins};

    (void)state;
    p.plugin.struct_size = sizeof p;
    assert_true(check(&e, NULL, NULL));
    p.plugin.version = "1.0.0-rc1+b7";
    assert_true(check(&e, NULL, NULL));
}

static void copies_only_what_the_plugin_knew(void **state)
{
    struct newer p = base();

    (void)state;
    p.plugin.get_extension = (const void *(*)(void *, const char *))(uintptr_t)8;
    p.plugin.struct_size = offsetof(mig_plugin, get_extension);
    mig_plugin own = entry_copy_plugin(&p.plugin);
    assert_null(own.get_extension);
    assert_ptr_equal(own.destroy, destroy);
    p.plugin.struct_size = sizeof p;
    own = entry_copy_plugin(&p.plugin);
    assert_non_null(own.get_extension);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_refusal_of_an_entry_says_why),
        T(every_refusal_of_a_plugin_names_it_and_the_member),
        T(a_newer_plugin_without_new_wishes_is_served),
        T(copies_only_what_the_plugin_knew),
    };
    return RUN(tests);
}
