#include "unit.h"
#include "edge/cors.h"

static const str origins[] = {S("https://app.example.org"), S("http://localhost:3000")};
static const struct cors_policy some = {.origins = origins, .origin_count = countof(origins)};
static const str star[] = {S("*")};
static const struct cors_policy any = {.origins = star, .origin_count = 1, .is_any = true};
static const struct cors_policy none;

static struct exchange ask(const char *method, const mig_header *h, uint32_t count)
{
    return (struct exchange){.method = str_of(method),
                             .authority = S("gateway.example.org:8080"),
                             .headers = h,
                             .header_count = count};
}

static void an_origin_is_allowed_when_it_is_listed(void **state)
{
    (void)state;
    assert_true(cors_allows(&some, S("https://app.example.org")));
    assert_true(cors_allows(&some, S("HTTPS://App.Example.ORG")));
    assert_true(cors_allows(&some, S("http://localhost:3000")));
    assert_false(cors_allows(&some, S("http://app.example.org")));
    assert_false(cors_allows(&some, S("https://app.example.org:8443")));
    assert_false(cors_allows(&some, S("https://app.example.org.evil.test")));
    assert_false(cors_allows(&some, S("https://evil.test/https://app.example.org")));
    assert_false(cors_allows(&some, S("null")));
    assert_false(cors_allows(&some, S("")));
    assert_true(cors_allows(&any, S("https://evil.test")));
    assert_false(cors_allows(&any, S("")));
    assert_false(cors_allows(&none, S("https://app.example.org")));
}

static void a_socket_is_for_pages_of_ours_and_those_listed(void **state)
{
    static const struct {
        const char *origin;
        bool none, some;
    } rows[] = {
        {NULL, true, true},
        {"http://gateway.example.org:8080", true, true},
        {"http://gateway.example.org", false, false},
        {"https://app.example.org", false, true},
        {"https://evil.test", false, false},
        {"null", false, false},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        const mig_header h[] = {{S("origin"), str_of(rows[i].origin)}};
        struct exchange x = ask("GET", h, rows[i].origin ? 1 : 0);
        assert_int_equal(cors_allows_socket(&none, &x), rows[i].none);
        assert_int_equal(cors_allows_socket(&some, &x), rows[i].some);
        assert_true(cors_allows_socket(&any, &x));
    }
}

static void a_preflight_asks_for_a_method(void **state)
{
    const mig_header h[] = {{S("origin"), S("https://app.example.org")},
                            {S("access-control-request-method"), S("POST")},
                            {S("access-control-request-headers"), S("content-type, x-tenant-id")}};
    mig_header out[CORS_PREFLIGHT_HEADERS];
    struct exchange x = ask("OPTIONS", h, 3);

    (void)state;
    assert_true(cors_is_preflight(&x));
    assert_int_equal(cors_preflight(&x, S("GET, HEAD, POST"), out), 3);
    assert_str(out[0].value, "GET, HEAD, POST");
    assert_str(out[1].name, "Access-Control-Allow-Headers");
    assert_str(out[1].value, "content-type, x-tenant-id");
    assert_str(out[2].value, "600");
    x = ask("OPTIONS", h, 2);
    assert_true(cors_is_preflight(&x));
    assert_int_equal(cors_preflight(&x, S("POST"), out), 2);
    x = ask("OPTIONS", h, 1);
    assert_false(cors_is_preflight(&x));
    x = ask("OPTIONS", h + 1, 2);
    assert_false(cors_is_preflight(&x));
    x = ask("POST", h, 3);
    assert_false(cors_is_preflight(&x));
}

static void only_names_of_headers_are_repeated(void **state)
{
    static const char *const bad[] = {"a: b", "a;b", "<script>", "x\ty", "a\"b", ""};
    mig_header out[CORS_PREFLIGHT_HEADERS];
    char longest[1026];

    (void)state;
    for (size_t i = 0; i < countof(bad); i++) {
        const mig_header h[] = {{S("access-control-request-headers"), str_of(bad[i])}};
        struct exchange x = ask("OPTIONS", h, 1);
        assert_int_equal(cors_preflight(&x, S("POST"), out), 2);
    }
    memset(longest, 'a', sizeof longest);
    const mig_header h[] = {{S("access-control-request-headers"), {longest, 1025}}};
    struct exchange x = ask("OPTIONS", h, 1);
    assert_int_equal(cors_preflight(&x, S("POST"), out), 2);
}

static void a_gateway_knows_its_names(void **state)
{
    static const str hosts[] = {S("example.org"), S("*.example.net"), S("127.0.0.1"), S("[::1]")};
    static const struct cors_policy p = {.hosts = hosts, .host_count = countof(hosts)};
    static const struct {
        const char *authority;
        bool is_ours;
    } rows[] = {
        {"example.org", true},
        {"EXAMPLE.org:8080", true},
        {"example.org.", true},
        {"www.example.org", false},
        {"example.org.evil", false},
        {"a.example.net", true},
        {"a.b.example.net:1", true},
        {"example.net", false},
        {".example.net", false},
        {"badexample.net", false},
        {"127.0.0.1:8080", true},
        {"127.0.0.2", false},
        {"[::1]:8080", true},
        {"[::1]", true},
        {"[::2]:8080", false},
        {"", false},
        {":8080", false},
        {"example.org:80:80", false},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        if (cors_is_our_host(&p, str_of(rows[i].authority)) != rows[i].is_ours)
            fail_msg("%s", rows[i].authority);
        assert_true(cors_is_our_host(&none, str_of(rows[i].authority)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_origin_is_allowed_when_it_is_listed),
        T(a_socket_is_for_pages_of_ours_and_those_listed),
        T(a_preflight_asks_for_a_method),
        T(only_names_of_headers_are_repeated),
        T(a_gateway_knows_its_names),
    };
    return RUN(tests);
}
