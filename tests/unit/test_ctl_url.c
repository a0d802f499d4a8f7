/* ctl_url.c: addresses, paths, header lines. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "main/ctl.h"

static void reads_addresses(void **state)
{
    static const struct {
        const char *text, *host, *port, *prefix;
        bool is_tls;
    } rows[] = {
        {"http://127.0.0.1:8080", "127.0.0.1", "8080", "", false},
        {"http://example.org", "example.org", "80", "", false},
        {"http://example.org/", "example.org", "80", "", false},
        {"http://example.org:1/a/b/", "example.org", "1", "/a/b", false},
        {"http://[::1]:8080/x", "::1", "8080", "/x", false},
        {"https://example.org", "example.org", "443", "", true},
        {"https://[::1]:8443/mig/", "::1", "8443", "/mig", true},
    };
    const char *why;
    struct url u;
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        assert_true(url_parse(&u, rows[i].text, &why));
        assert_string_equal(u.host, rows[i].host);
        assert_string_equal(u.port, rows[i].port);
        assert_string_equal(u.prefix, rows[i].prefix);
        assert_int_equal(u.is_tls, rows[i].is_tls);
    }
}

static void refuses_other_addresses(void **state)
{
    static const char *const bad[] = {
        "",
        "x",
        "ftp://x",
        "httpx://x",
        "https://",
        "http://user@x",
        "http://a b",
        "http://",
        "http://:80",
        "http://x:0",
        "http://x:a",
        "http://x:65536",
        "http://[::1",
        "http://x/?a",
        "http://x/a b",
        "http://x/a\r\nb",
        "http://[::1]x",
    };
    const char *why;
    struct url u;
    (void)state;

    for (size_t i = 0; i < countof(bad); i++)
        if (url_parse(&u, bad[i], &why))
            fail_msg("taken: %s", bad[i]);
}

static void segments_are_encoded(void **state)
{
    struct buf b;
    (void)state;

    buf_init(&b, 256);
    url_add_segment(&b, str_of("a.b-c_d~/ %?\xC3\xA4\r\n"));
    assert_true(str_eq(buf_str(&b), S("a.b-c_d~%2F%20%25%3F%C3%A4%0D%0A")));
    buf_deinit(&b);
}

static void lines_are_found_whatever_their_case(void **state)
{
    struct buf b;
    (void)state;

    buf_init(&b, 256);
    assert_true(head_add(&b, "X-Tenant-ID", "acme"));
    assert_true(head_add(&b, "X-Actor", NULL));
    assert_true(head_add(&b, "X-Actor", ""));
    assert_true(head_add(&b, "Accept", " a: b "));
    assert_true(str_eq(buf_str(&b), S("X-Tenant-ID: acme\nAccept:  a: b \n")));
    assert_true(str_eq(head_find(buf_str(&b), "x-tenant-id"), S("acme")));
    assert_true(str_eq(head_find(buf_str(&b), "ACCEPT"), S("a: b")));
    assert_null(head_find(buf_str(&b), "X-Actor").ptr);
    assert_null(head_find(S("HTTP/1.1 200 OK\nno colon\n"), "no colon").ptr);
    buf_deinit(&b);
}

static void control_characters_make_no_line(void **state)
{
    static const char *const bad[] = {"a\r\nX-Admin: 1", "a\nb", "\x7f", "\t"};
    struct buf b;
    (void)state;

    buf_init(&b, 256);
    for (size_t i = 0; i < countof(bad); i++)
        assert_false(head_add(&b, "X", bad[i]));
    assert_int_equal(b.len, 0);
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_addresses),
        cmocka_unit_test(refuses_other_addresses),
        cmocka_unit_test(segments_are_encoded),
        cmocka_unit_test(lines_are_found_whatever_their_case),
        cmocka_unit_test(control_characters_make_no_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
