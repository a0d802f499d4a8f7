/* ctl_http.c: addresses and paths. */
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
    } rows[] = {
        {"http://127.0.0.1:8080", "127.0.0.1", "8080", ""},
        {"http://example.org", "example.org", "80", ""},
        {"http://example.org/", "example.org", "80", ""},
        {"http://example.org:1/a/b/", "example.org", "1", "/a/b"},
        {"http://[::1]:8080/x", "::1", "8080", "/x"},
    };
    const char *why;
    struct url u;
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        assert_true(url_parse(&u, rows[i].text, &why));
        assert_string_equal(u.host, rows[i].host);
        assert_string_equal(u.port, rows[i].port);
        assert_string_equal(u.prefix, rows[i].prefix);
    }
}

static void refuses_other_addresses(void **state)
{
    static const char *const bad[] = {
        "",
        "x",
        "https://x",
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_addresses),
        cmocka_unit_test(refuses_other_addresses),
        cmocka_unit_test(segments_are_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
