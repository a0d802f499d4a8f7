/* The suite has most of it (test_jsonschema_suite.c); here what it leaves out. */
#include "unit.h"
#include "base/jsonschema_parts.h"

static void tells_good_from_bad(void **state)
{
    static const struct {
        const char *format;
        str text;
        bool is_valid;
    } cases[] = {
        {"date-time", {"2020-02-29t23:59:60z", 20}, true},
        {"date-time", {"2020-02-29T23:58:60Z", 20}, false},
        {"date-time", {"2021-02-29T00:00:00Z", 20}, false},
        {"time", {"00:59:60+01:00", 14}, true},
        {"time", {"12:00:00", 8}, false},
        {"time", {"12:00:00.Z", 10}, false},
        {"date", {"1900-02-29", 10}, false},
        {"date", {"2000-02-29", 10}, true},
        {"duration", {"P1Y2D", 5}, true},
        {"duration", {"PT", 2}, false},
        {"duration", {"P1W1D", 5}, false},
        {"duration", {"P1D\0", 4}, false},
        {"ipv4", {"1.2.3.4\0", 8}, false},
        {"ipv4", {"1.2.3.04", 8}, false},
        {"ipv6", {"fe80::1%lo", 10}, false},
        {"ipv6", {"::ffff:1.2.3.4", 14}, true},
        {"hostname", {"a.b-c.example", 13}, true},
        {"hostname", {"a..b", 4}, false},
        {"hostname", {"-a", 2}, false},
        {"hostname", {"", 0}, false},
        {"email", {"\"a b\"@c.de", 10}, true},
        {"email", {"a@[127.0.0.1]", 13}, true},
        {"email", {"a..b@c", 6}, false},
        {"email", {"a@", 2}, false},
        {"uuid", {"2EB8AA08-aa98-11ea-b4aa-73b441d16380", 36}, true},
        {"uuid", {"2EB8AA08aa98-11ea-b4aa-73b441d163800-", 36}, false},
        {"uri", {"http://u@[::1]:80/a?b#c", 23}, true},
        {"uri", {"http://[::1]x/", 14}, false},
        {"uri", {"http://a:b/", 11}, false},
        {"uri", {"//a", 3}, false},
        {"uri", {"http://a/%zz", 12}, false},
        {"uri", {"http://a/#b#c", 13}, false},
        {"uri-reference", {"a:b", 3}, true},
        {"uri-reference", {"1:b", 3}, false},
        {"iri", {"http://\xc3\xa9/", 10}, true},
        {"uri", {"http://\xc3\xa9/", 10}, false},
        {"uri-template", {"/a/{b,c*}{?d:3}", 15}, true},
        {"uri-template", {"/a/{b", 5}, false},
        {"json-pointer", {"/a~0~1", 6}, true},
        {"json-pointer", {"/a~", 3}, false},
        {"relative-json-pointer", {"01/a", 4}, false},
        {"relative-json-pointer", {"1#", 2}, true},
        {"regex", {"^(a+)+$", 7}, true},
        {"regex", {"(", 1}, false},
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        const struct format *f = format_find(str_of(cases[i].format));
        assert_non_null(f);
        if (f->is_valid(cases[i].text) != cases[i].is_valid)
            fail_msg("%s %.*s", cases[i].format, STR_ARG(cases[i].text));
    }
    assert_null(format_find(S("idn-hostname")));
    assert_null(format_find(S("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {T(tells_good_from_bad)};
    return RUN(tests);
}
