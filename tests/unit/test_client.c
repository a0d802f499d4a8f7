#include "unit.h"
#include "edge/client.h"

enum { LINES = 4 };

static struct arena_pool pool;

/* A request from `peer` with these header lines; proxies are 10/8, 127/8 and fd00::/8. */
static void expect(const char *peer, bool is_rfc7239, const mig_header *h, const char *address,
                   bool is_forwarded, bool is_tls)
{
    static const char *const blocks[] = {"10.0.0.0/8", "127.0.0.0/8", "fd00::/8"};
    struct cidr trusted[countof(blocks)];
    struct arena *a = arena_new(&pool, 1 << 16);
    struct client c;
    uint32_t n = 0;

    for (size_t i = 0; i < countof(blocks); i++)
        assert_true(cidr_parse(str_of(blocks[i]), &trusted[i]));
    while (n < LINES && h[n].name.len)
        n++;
    const struct client_policy p = {trusted, countof(trusted), is_rfc7239};
    client_find(&p, str_of(peer), /*is_tls=*/false, h, n, a, &c);
    if (!str_eq(c.address, str_of(address)))
        fail_msg("%.*s: got %.*s, not %s", STR_ARG(h[0].value), STR_ARG(c.address), address);
    assert_int_equal(c.is_forwarded, is_forwarded);
    assert_int_equal(c.is_tls, is_tls);
    arena_unref(a);
}

static void the_right_most_untrusted_hop_is_the_client(void **state)
{
    static const struct {
        const char *peer;
        mig_header h[LINES];
        const char *address;
        bool is_forwarded;
    } rows[] = {
        {"127.0.0.1:5", {{S("x-forwarded-for"), S("203.0.113.9")}}, "203.0.113.9", true},
        {"127.0.0.1:5", {{S("x-forwarded-for"), S("1.1.1.1, 203.0.113.9")}}, "203.0.113.9", true},
        {"127.0.0.1:5", {{S("x-forwarded-for"), S("203.0.113.9, 10.0.0.3")}}, "203.0.113.9", true},
        {"10.0.0.1:5", {{S("x-forwarded-for"), S("203.0.113.9:4711")}}, "203.0.113.9", true},
        {"[fd00::1]:5", {{S("x-forwarded-for"), S("2001:db8::7")}}, "[2001:db8::7]", true},
        {"127.0.0.1:5", {{S("x-forwarded-for"), S("[2001:db8::7]:1")}}, "[2001:db8::7]", true},
        {"[::ffff:127.0.0.1]:5", {{S("x-forwarded-for"), S("203.0.113.9")}}, "203.0.113.9", true},
        {"127.0.0.1:5", {{S("x-forwarded-for"), S("10.0.0.9, 10.0.0.3")}}, "10.0.0.9", true},
        /* several lines are one list */
        {"127.0.0.1:5",
         {{S("x-forwarded-for"), S("1.1.1.1")}, {S("x-forwarded-for"), S("203.0.113.9, 10.0.0.3")}},
         "203.0.113.9",
         true},
        {"127.0.0.1:5",
         {{S("x-forwarded-for"), S("203.0.113.9")}, {S("x-forwarded-for"), S("10.0.0.3")}},
         "203.0.113.9",
         true},
        /* peers that nobody trusts */
        {"203.0.113.1:5", {{S("x-forwarded-for"), S("127.0.0.1")}}, "203.0.113.1:5", false},
        {"?", {{S("x-forwarded-for"), S("127.0.0.1")}}, "?", false},
        /* nothing said, or nonsense: the last hop that is known */
        {"127.0.0.1:5", {{S("host"), S("x")}}, "127.0.0.1:5", false},
        {"127.0.0.1:5", {{S("x-forwarded-for"), S("")}}, "127.0.0.1:5", false},
        {"127.0.0.1:5", {{S("x-forwarded-for"), S("unknown")}}, "127.0.0.1:5", false},
        {"127.0.0.1:5", {{S("x-forwarded-for"), S("1.1.1.1,")}}, "127.0.0.1:5", false},
        {"127.0.0.1:5", {{S("x-forwarded-for"), S(",,,,,")}}, "127.0.0.1:5", false},
        {"127.0.0.1:5", {{S("x-forwarded-for"), S("1.1.1.1, x, 10.0.0.3")}}, "10.0.0.3", true},
        {"127.0.0.1:5", {{S("x-forwarded-for"), S("1.1.1.1\"")}}, "127.0.0.1:5", false},
        {"127.0.0.1:5", {{S("x-forwarded-for"), S("\", 203.0.113.9")}}, "203.0.113.9", true},
        /* the header that was not chosen */
        {"127.0.0.1:5", {{S("forwarded"), S("for=203.0.113.9")}}, "127.0.0.1:5", false},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++)
        expect(rows[i].peer, false, rows[i].h, rows[i].address, rows[i].is_forwarded, false);
}

static void forwarded_is_read_as_rfc_7239_writes_it(void **state)
{
    static const struct {
        mig_header h[LINES];
        const char *address;
        bool is_forwarded, is_tls;
    } rows[] = {
        {{{S("forwarded"), S("for=203.0.113.9")}}, "203.0.113.9", true, false},
        {{{S("forwarded"), S("For=\"[2001:db8::7]:4711\"")}}, "[2001:db8::7]", true, false},
        {{{S("forwarded"), S("for=203.0.113.9;proto=https;by=10.0.0.1")}},
         "203.0.113.9",
         true,
         true},
        {{{S("forwarded"), S("proto=https; for=203.0.113.9")}}, "203.0.113.9", true, true},
        {{{S("forwarded"), S("for=1.1.1.1;proto=https, for=203.0.113.9;proto=http")}},
         "203.0.113.9",
         true,
         false},
        {{{S("forwarded"), S("for=203.0.113.9;proto=https, for=10.0.0.3")}},
         "203.0.113.9",
         true,
         true},
        {{{S("forwarded"), S("for=\"203.0.113.9:_port\"")}}, "127.0.0.1:5", false, false},
        {{{S("forwarded"), S("for=_hidden")}}, "127.0.0.1:5", false, false},
        {{{S("forwarded"), S("for=unknown")}}, "127.0.0.1:5", false, false},
        {{{S("forwarded"), S("by=10.0.0.1")}}, "127.0.0.1:5", false, false},
        {{{S("forwarded"), S("for=1.1.1.1;for=2.2.2.2")}}, "127.0.0.1:5", false, false},
        {{{S("forwarded"), S("for=\"1.1.1.1")}}, "127.0.0.1:5", false, false},
        {{{S("forwarded"), S("for=\"1.1.\\1.1\"")}}, "127.0.0.1:5", false, false},
        {{{S("forwarded"), S(";;;=,=\"\"")}}, "127.0.0.1:5", false, false},
        /* what a client left open does not swallow what the proxy wrote */
        {{{S("forwarded"), S("for=\"x, for=203.0.113.9")}}, "203.0.113.9", true, false},
        {{{S("forwarded"), S("for=\"x\\\", for=203.0.113.9")}}, "203.0.113.9", true, false},
        {{{S("forwarded"), S("for=\"a,b\", for=203.0.113.9")}}, "203.0.113.9", true, false},
        {{{S("forwarded"), S("for=203.0.113.9;host=\"a,for=6.6.6.6\"")}},
         "203.0.113.9",
         true,
         false},
        {{{S("x-forwarded-for"), S("203.0.113.9")}}, "127.0.0.1:5", false, false},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++)
        expect("127.0.0.1:5", true, rows[i].h, rows[i].address, rows[i].is_forwarded,
               rows[i].is_tls);
}

static void the_protocol_comes_from_the_nearest_proxy(void **state)
{
    const mig_header rows[][LINES] = {
        {{S("x-forwarded-proto"), S("https")}},
        {{S("x-forwarded-proto"), S("http, HTTPS")}},
        {{S("x-forwarded-proto"), S("http")}, {S("x-forwarded-proto"), S("https")}},
    };
    const mig_header nonsense[LINES] = {{S("x-forwarded-proto"), S("https, gopher")}};

    (void)state;
    for (size_t i = 0; i < countof(rows); i++)
        expect("10.0.0.1:5", false, rows[i], "10.0.0.1:5", false, true);
    expect("10.0.0.1:5", false, nonsense, "10.0.0.1:5", false, false);
    expect("203.0.113.1:5", false, rows[0], "203.0.113.1:5", false, false);
}

static void only_this_machine_is_local(void **state)
{
    (void)state;
    assert_true(client_is_local(S("127.0.0.1:51234")));
    assert_true(client_is_local(S("[::1]:51234")));
    assert_true(client_is_local(S("[::ffff:127.0.0.1]:80")));
    assert_true(client_is_local(S("127.0.0.1")));
    assert_false(client_is_local(S("127.example.org")));
    assert_false(client_is_local(S("10.0.0.1:80")));
    assert_false(client_is_local(S("?")));
    assert_false(client_is_local(S("")));
}

static int tear_down(void **state)
{
    (void)state;
    arena_pool_deinit(&pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_right_most_untrusted_hop_is_the_client),
        T(forwarded_is_read_as_rfc_7239_writes_it),
        T(the_protocol_comes_from_the_nearest_proxy),
        T(only_this_machine_is_local),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
