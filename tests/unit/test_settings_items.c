#include "unit.h"
#include "config/settings_table.h"

static void check(bool (*is_item)(str), const char *const *good, const char *const *bad)
{
    for (; *good; good++)
        if (!is_item(str_of(*good)))
            fail_msg("refused: %s", *good);
    for (; *bad; bad++)
        if (is_item(str_of(*bad)))
            fail_msg("taken: %s", *bad);
}

static void proxies_are_addresses_and_blocks(void **state)
{
    static const char *const good[] = {"10.0.0.0/8", "::1", "fd00::/8", "127.0.0.1", NULL};
    static const char *const bad[] = {"", "10.0.0.0/33", "proxy.local", "*", "[::1]", NULL};

    (void)state;
    check(setting_is_cidr, good, bad);
}

static void hosts_are_names_without_a_port(void **state)
{
    static const char *const good[] = {"example.org", "*.example.org", "localhost", "127.0.0.1",
                                       "[::1]",       "a_b.example",   NULL};
    static const char *const bad[] = {"",
                                      "*",
                                      "example.org:80",
                                      "a.*.org",
                                      "*example.org",
                                      ".org",
                                      "a.org.",
                                      "::1",
                                      "[x]",
                                      "http://a.org",
                                      "a b.org",
                                      NULL};

    (void)state;
    check(setting_is_host, good, bad);
}

static void origins_are_as_browsers_write_them(void **state)
{
    static const char *const good[] = {"*",
                                       "https://app.example.org",
                                       "http://localhost:3000",
                                       "http://[::1]:3000",
                                       "http://[::1]",
                                       "chrome-extension://abcdef",
                                       NULL};
    static const char *const bad[] = {"",
                                      "null",
                                      "app.example.org",
                                      "https://app.example.org/",
                                      "https://app.example.org/x",
                                      "https://*.example.org",
                                      "https://a:b",
                                      "https://a:65536",
                                      "https://a:",
                                      "https://",
                                      "https:/a",
                                      "://a",
                                      "https://u@a",
                                      NULL};

    (void)state;
    check(setting_is_origin, good, bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(proxies_are_addresses_and_blocks),
        T(hosts_are_names_without_a_port),
        T(origins_are_as_browsers_write_them),
    };
    return RUN(tests);
}
