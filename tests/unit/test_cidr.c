#include "unit.h"
#include "base/cidr.h"

static void addresses_are_read_strictly(void **state)
{
    static const struct {
        const char *text, *printed; /* NULL: no address */
        bool is_loopback;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1"},
        {"127.0.0.1", "127.0.0.1", true},
        {"127.255.0.9", "127.255.0.9", true},
        {"::ffff:127.0.0.1", "127.0.0.1", true},
        {"::1", "[::1]", true},
        {"2001:DB8::1", "[2001:db8::1]"},
        {"::", "[::]"},
        {"128.0.0.1", "128.0.0.1"},
        {"", NULL},
        {"1.2.3", NULL},
        {"1.2.3.256", NULL},
        {"01.2.3.4", NULL},
        {"1.2.3.4 ", NULL},
        {"fe80::1%eth0", NULL},
        {"[::1]", NULL},
        {"0x7f.1", NULL},
        {"unknown", NULL},
        {"1111:2222:3333:4444:5555:6666:7777:8888:9999", NULL},
        {"11111111111111111111111111111111111111111111111111111111", NULL},
    };
    char text[IP_TEXT];
    struct ip ip;

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        assert_int_equal(ip_parse(str_of(rows[i].text), &ip), rows[i].printed != NULL);
        if (!rows[i].printed)
            continue;
        assert_int_equal(ip_print(&ip, text), strlen(rows[i].printed));
        assert_string_equal(text, rows[i].printed);
        assert_int_equal(ip_is_loopback(&ip), rows[i].is_loopback);
    }
    assert_false(ip_parse((str){"1.2.3.4\0x", 9}, &ip));
}

static void a_port_may_stand_behind_where_it_can_be_told_apart(void **state)
{
    static const struct {
        const char *text, *printed;
    } rows[] = {
        {"192.0.2.1:80", "192.0.2.1"},
        {"192.0.2.1", "192.0.2.1"},
        {"[2001:db8::1]:80", "[2001:db8::1]"},
        {"[2001:db8::1]", "[2001:db8::1]"},
        {"2001:db8::1", "[2001:db8::1]"},
        {"[::ffff:10.0.0.1]:1", "10.0.0.1"},
        {"192.0.2.1:", NULL},
        {"192.0.2.1:65536", NULL},
        {"192.0.2.1:8o", NULL},
        {"192.0.2.1:000080", NULL},
        {"[192.0.2.1]:80", NULL},
        {"[::1", NULL},
        {"[::1]x", NULL},
        {"[::1]:", NULL},
        {"[]", NULL},
        {"[", NULL},
        {":80", NULL},
        {"", NULL},
        {"?", NULL},
        {"host:80", NULL},
    };
    char text[IP_TEXT];
    struct ip ip;

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        if (ip_parse_host(str_of(rows[i].text), &ip) != (rows[i].printed != NULL))
            fail_msg("%s", rows[i].text);
        if (rows[i].printed) {
            ip_print(&ip, text);
            assert_string_equal(text, rows[i].printed);
        }
    }
}

static void a_block_has_what_its_bits_say(void **state)
{
    static const struct {
        const char *block, *ip;
        bool has;
    } rows[] = {
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.1.2.3/8", "10.9.9.9", true}, /* bits behind the prefix */
        {"192.168.4.0/22", "192.168.7.255", true},
        {"192.168.4.0/22", "192.168.8.0", false},
        {"192.0.2.7", "192.0.2.7", true},
        {"192.0.2.7", "192.0.2.6", false},
        {"0.0.0.0/0", "203.0.113.1", true},
        {"0.0.0.0/0", "2001:db8::1", false}, /* the other family */
        {"::/0", "203.0.113.1", true},
        {"::ffff:10.0.0.0/104", "10.3.3.3", true},
        {"fd00::/8", "fdff::1", true},
        {"fd00::/8", "fe00::1", false},
        {"2001:db8::/33", "2001:db8:7fff::", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"::1", "::1", true},
    };
    struct cidr c;
    struct ip ip;

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        assert_true(cidr_parse(str_of(rows[i].block), &c));
        assert_true(ip_parse(str_of(rows[i].ip), &ip));
        if (cidr_has(&c, &ip) != rows[i].has)
            fail_msg("%s in %s", rows[i].ip, rows[i].block);
    }
}

static void bad_blocks_are_refused(void **state)
{
    static const char *const bad[] = {
        "",           "/8",          "10.0.0.0/",    "10.0.0.0/33", "10.0.0.0/-1", "10/8",
        "fd00::/129", "fd00::/1000", "10.0.0.0/8/8", "a.b.c.d/8",   "10.0.0.0/ 8", "[::1]/128"};
    struct cidr c;

    (void)state;
    for (size_t i = 0; i < countof(bad); i++)
        if (cidr_parse(str_of(bad[i]), &c))
            fail_msg("%s", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(addresses_are_read_strictly),
        T(a_port_may_stand_behind_where_it_can_be_told_apart),
        T(a_block_has_what_its_bits_say),
        T(bad_blocks_are_refused),
    };
    return RUN(tests);
}
