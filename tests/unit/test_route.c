#include "unit.h"
#include "core/core.h"
#include "edge/route.h"

struct fixture {
    struct core core;
    struct gen *g;
    struct instance i, other;
    struct catalogue c[2], *list[2];
    mig_http_route routes[32];
    struct arena_pool pool;
    struct arena *a;
    struct diag d;
    struct route_match m;
};
static struct fixture f;

static int set_up(void **state)
{
    (void)state;
    memset(&f, 0, sizeof f);
    f.core.loop_count = 1;
    f.core.telemetry = telemetry_new(1, 100);
    f.g = gen_new(&f.core);
    f.i.name = strdup("one");
    f.other.name = strdup("two");
    f.c[0] = (struct catalogue){.instance = &f.i, .routes = f.routes};
    f.c[1] = (struct catalogue){.instance = &f.other, .routes = f.routes + 16};
    f.list[0] = &f.c[0];
    f.list[1] = &f.c[1];
    f.g->catalogues = f.list;
    f.g->catalogue_count = 2;
    f.a = arena_new(&f.pool, 1 << 20);
    diag_init(&f.d);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    f.g->catalogues = NULL;
    f.g->catalogue_count = 0;
    gen_free(f.g);
    telemetry_free(f.core.telemetry);
    arena_unref(f.a);
    arena_pool_deinit(&f.pool);
    diag_deinit(&f.d);
    free(f.i.name);
    free(f.other.name);
    return 0;
}

static void add(int catalogue, const char *method, const char *pattern)
{
    f.c[catalogue].routes[f.c[catalogue].route_count++] = (mig_http_route){
        .struct_size = sizeof(mig_http_route), .method = method, .pattern = pattern};
}

static const char *find(const char *method, const char *path)
{
    route_find(f.g, str_of(method), str_of(path), f.a, &f.m);
    return f.m.route ? f.m.route->def->pattern : NULL;
}

static void build(void)
{
    if (!routes_build(f.g, &f.d))
        fail_msg("%s", f.d.list[0].text);
}

static void literals_win_over_names(void **state)
{
    (void)state;
    add(0, "GET", "/a/{x}");
    add(0, "GET", "/a/b");
    add(0, "GET", "/a/{x}/c");
    add(0, "GET", "/a/b/d");
    add(0, "GET", "/");
    build();
    assert_string_equal(find("GET", "/a/b"), "/a/b");
    assert_string_equal(find("GET", "/a/z"), "/a/{x}");
    assert_str(f.m.params[0], "z");
    assert_string_equal(find("GET", "/a/b/c"), "/a/{x}/c"); /* goes back when the literal ends */
    assert_str(f.m.params[0], "b");
    assert_int_equal(f.m.param_count, 1);
    assert_string_equal(find("GET", "/a/b/d"), "/a/b/d");
    assert_int_equal(f.m.param_count, 0);
    assert_string_equal(find("GET", "/"), "/");
    static const char *const none[] = {"/a",    "/a/", "/a/b/", "/A/b", "//a/b",
                                       "/a//c", "",    "a/b",   "*"};
    for (size_t i = 0; i < countof(none); i++)
        assert_null(find("GET", none[i]));
    assert_int_equal(f.m.allow.len, 0);
}

static void params_are_decoded(void **state)
{
    static const struct {
        const char *path, *value;
    } rows[] = {
        {"/p/a%20b", "a b"},       {"/p/%61", "a"},           {"/p/a%2Fb", "a/b"},
        {"/p/%C3%A4", "\xc3\xa4"}, {"/p/%c3%a4", "\xc3\xa4"}, {"/p/a+b", "a+b"},
        {"/p/%25", "%"},           {"/p/%7B", "{"},           {"/p/a%20", "a "},
        {"/p/..", ".."},           {"/p/%2e%2e", ".."},
    };

    (void)state;
    add(0, "GET", "/p/{x}");
    build();
    for (size_t i = 0; i < countof(rows); i++) {
        assert_non_null(find("GET", rows[i].path));
        assert_str(f.m.params[0], rows[i].value);
    }
}

static void bad_escapes_match_nothing(void **state)
{
    static const char *const bad[] = {"/p/%",   "/p/%2",  "/p/%zz", "/p/%00", "/p/%FF",   "/p/a%",
                                      "/p/a%4", "/p/%C3", "/p/%G1", "/p/%1G", "/p/%C0%80"};

    (void)state;
    add(0, "GET", "/p/{x}");
    build();
    for (size_t i = 0; i < countof(bad); i++)
        if (find("GET", bad[i]))
            fail_msg("%s", bad[i]);
}

static void a_wrong_method_names_the_right_ones(void **state)
{
    (void)state;
    add(0, "GET", "/x");
    add(1, "POST", "/x");
    build();
    assert_null(find("DELETE", "/x"));
    assert_true(str_contains_nocase(f.m.allow, S("GET, HEAD")));
    assert_true(str_contains_nocase(f.m.allow, S("POST")));
    assert_null(find("DELETE", "/y"));
    assert_int_equal(f.m.allow.len, 0);
}

static void get_answers_head(void **state)
{
    (void)state;
    add(0, "GET", "/x");
    add(0, "POST", "/y");
    build();
    assert_string_equal(find("HEAD", "/x"), "/x");
    assert_null(find("HEAD", "/y"));
    assert_null(find("get", "/x")); /* methods have case (RFC 9110 9.1) */
}

static void duplicates_are_findings(void **state)
{
    (void)state;
    add(0, "GET", "/x/{a}");
    add(1, "GET", "/x/{b}");
    add(1, "GET", "/x/y");
    assert_false(routes_build(f.g, &f.d));
    assert_int_equal(f.d.count, 1);
    assert_string_equal(f.d.list[0].id, "route.duplicate");
    assert_non_null(strstr(f.d.list[0].text, "one"));
    assert_non_null(strstr(f.d.list[0].text, "two"));
}

static void too_many_params_are_a_finding(void **state)
{
    (void)state;
    add(0, "GET", "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}");
    add(0, "POST", "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}");
    assert_false(routes_build(f.g, &f.d));
    assert_int_equal(f.d.count, 1);
    assert_string_equal(f.d.list[0].id, "route.params");
    assert_non_null(find("GET", "/1/2/3/4/5/6/7/8"));
    assert_int_equal(f.m.param_count, 8);
    assert_str(f.m.params[7], "8");
    assert_null(find("POST", "/1/2/3/4/5/6/7/8/9"));
}

static void lists_all_routes(void **state)
{
    size_t n = 0;

    (void)state;
    add(0, "GET", "/x");
    add(1, "GET", "/y");
    build();
    while (route_at(f.g, n))
        n++;
    assert_int_equal(n, 2);
    assert_ptr_equal(route_at(f.g, 1)->instance, &f.other);
}

int main(void)
{
#define TR(x) cmocka_unit_test_setup_teardown(x, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TR(literals_win_over_names),
        TR(params_are_decoded),
        TR(bad_escapes_match_nothing),
        TR(a_wrong_method_names_the_right_ones),
        TR(get_answers_head),
        TR(duplicates_are_findings),
        TR(too_many_params_are_a_finding),
        TR(lists_all_routes),
    };
    return RUN(tests);
}
