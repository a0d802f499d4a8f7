#include "unit.h"
#include "base/jsonschema_uri.h"

struct fixture {
    struct arena_pool pool;
    struct arena *a;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->a = arena_new(&f->pool, 1 << 20);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    arena_unref(f->a);
    arena_pool_deinit(&f->pool);
    free(f);
    return 0;
}

/* RFC 3986 5.4, and what schemas do besides. */
static void resolves_as_rfc_3986_says(void **state)
{
    static const char *const cases[][3] = {
        {"http://a/b/c/d;p?q", "g:h", "g:h"},
        {"http://a/b/c/d;p?q", "g", "http://a/b/c/g"},
        {"http://a/b/c/d;p?q", "./g", "http://a/b/c/g"},
        {"http://a/b/c/d;p?q", "g/", "http://a/b/c/g/"},
        {"http://a/b/c/d;p?q", "/g", "http://a/g"},
        {"http://a/b/c/d;p?q", "//g", "http://g"},
        {"http://a/b/c/d;p?q", "?y", "http://a/b/c/d;p?y"},
        {"http://a/b/c/d;p?q", "g?y", "http://a/b/c/g?y"},
        {"http://a/b/c/d;p?q", "#s", "http://a/b/c/d;p?q#s"},
        {"http://a/b/c/d;p?q", "g#s", "http://a/b/c/g#s"},
        {"http://a/b/c/d;p?q", ";x", "http://a/b/c/;x"},
        {"http://a/b/c/d;p?q", "", "http://a/b/c/d;p?q"},
        {"http://a/b/c/d;p?q", ".", "http://a/b/c/"},
        {"http://a/b/c/d;p?q", "..", "http://a/b/"},
        {"http://a/b/c/d;p?q", "../g", "http://a/b/g"},
        {"http://a/b/c/d;p?q", "../..", "http://a/"},
        {"http://a/b/c/d;p?q", "../../g", "http://a/g"},
        {"http://a/b/c/d;p?q", "../../../g", "http://a/g"},
        {"http://a/b/c/d;p?q", "/./g", "http://a/g"},
        {"http://a/b/c/d;p?q", "/../g", "http://a/g"},
        {"http://a/b/c/d;p?q", "g.", "http://a/b/c/g."},
        {"http://a/b/c/d;p?q", "..g", "http://a/b/c/..g"},
        {"http://a/b/c/d;p?q", "./../g", "http://a/b/g"},
        {"http://a/b/c/d;p?q", "g/./h", "http://a/b/c/g/h"},
        {"http://a/b/c/d;p?q", "g/../h", "http://a/b/c/h"},
        {"http://a/b/c/d;p?q", "g?y/../x", "http://a/b/c/g?y/../x"},
        {"http://a", "b", "http://a/b"},
        {"urn:x:y", "#/a", "urn:x:y#/a"},
        {"urn:x:y", "urn:z", "urn:z"},
        {"", "#a", "#a"},
        {"", "a/b.json", "a/b.json"},
        {"a/b", "c", "a/c"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < countof(cases); i++) {
        str got = uri_resolve(f->a, str_of(cases[i][0]), str_of(cases[i][1]));
        if (!str_eq(got, str_of(cases[i][2])))
            fail_msg("%s + %s: %.*s", cases[i][0], cases[i][1], STR_ARG(got));
    }
}

static void splits_and_decodes(void **state)
{
    struct fixture *f = *state;
    str fragment;

    assert_str(uri_split(S("http://a#b%25c"), &fragment), "http://a");
    assert_str(uri_decode(f->a, fragment), "b%c");
    uri_split(S("http://a"), &fragment);
    assert_null(fragment.ptr);
    uri_split(S("http://a#"), &fragment);
    assert_true(fragment.ptr && !fragment.len);
    assert_str(uri_decode(f->a, S("%4a%4A%zz%4")), "JJ%zz%4");
    struct uri_parts p = uri_parse(S("http://u@h:1/p?q#f"));
    assert_str(p.scheme, "http");
    assert_str(p.authority, "u@h:1");
    assert_str(p.path, "/p");
    assert_str(p.query, "q");
    assert_str(p.fragment, "f");
    assert_null(uri_parse(S("1a:b")).scheme.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(resolves_as_rfc_3986_says, set_up, tear_down),
        cmocka_unit_test_setup_teardown(splits_and_decodes, set_up, tear_down),
    };
    return RUN(tests);
}
