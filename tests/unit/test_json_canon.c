#include "unit.h"
#include "base/json_canon.h"

static struct arena_pool pool;

static str canon(struct arena *a, const char *text)
{
    struct json doc;
    struct json_fault fault;
    struct arena_text t;

    if (!json_parse(&doc, a, str_of(text), &fault))
        fail_msg("%s: %s", text, fault.text);
    text_init(&t, a, 64);
    json_canon(doc.root, &t);
    assert_false(t.has_failed);
    return text_str(&t);
}

static void spellings_of_one_value_have_one_text(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"{ \"b\" : 1 , \"a\" : [ ] }", "{\"a\":[],\"b\":1}"},
        {"{\"a\":{\"z\":null,\"y\":true,\"x\":false}}",
         "{\"a\":{\"x\":false,\"y\":true,\"z\":null}}"},
        {"\"\\u0041\\/\\u00e9\"", "\"A/\xC3\xA9\""},
        {"\"\\u000a\\n\"", "\"\\u000a\\u000a\""},
        {"{\"\\u0062\":1,\"a\":2}", "{\"a\":2,\"b\":1}"},
        {"{\"ab\":1,\"a\":2,\"\":3}", "{\"\":3,\"a\":2,\"ab\":1}"},
        {"[1.0,1e0,10E-1,1]", "[1,1,1,1]"},
        {"[-0.0,0,-0]", "[0,0,0]"},
        {"[-1.0,-3e2]", "[-1,-300]"},
        {"[1e2,100,100.000]", "[100,100,100]"},
        {"[0.5,5e-1,0.50]", "[0.5,0.5,0.5]"},
        {"[18446744073709551615,9223372036854775808]",
         "[18446744073709551615,9223372036854775808]"},
        {"[9007199254740993,9007199254740992]", "[9007199254740993,9007199254740992]"},
        {"[1e16,10000000000000000]", "[10000000000000000,10000000000000000]"},
        {"[]", "[]"},
        {"{}", "{}"},
    };
    struct arena *a = arena_new(&pool, 1 << 20);

    (void)state;
    for (size_t i = 0; i < countof(rows); i++)
        assert_str(canon(a, rows[i].text), rows[i].want);
    arena_unref(a);
}

static void what_differs_has_another_text(void **state)
{
    static const char *const pairs[][2] = {
        {"{\"a\":1}", "{\"a\":\"1\"}"},
        {"[1,2]", "[2,1]"},
        {"0.1", "0.10000000000000002"},
        {"{\"a\":null}", "{}"},
        {"1e300", "1e301"},
        {"[[]]", "[]"},
        {"9007199254740993", "9007199254740992"},
        {"\"a\"", "\"A\""},
        {"-1", "1"},
    };
    struct arena *a = arena_new(&pool, 1 << 20);

    (void)state;
    for (size_t i = 0; i < countof(pairs); i++)
        assert_false(str_eq(canon(a, pairs[i][0]), canon(a, pairs[i][1])));
    arena_unref(a);
}

/* RFC 8785 3.2.3 sorts by UTF-16 code units: U+1F600 is D83D DE00 there, before U+FB33. */
static void members_are_in_the_order_of_the_rfc(void **state)
{
    struct arena *a = arena_new(&pool, 1 << 20);

    (void)state;
    assert_str(canon(a, "{\"\\u20ac\":1,\"\\r\":2,\"\\ufb33\":3,\"1\":4,\"\\ud83d\\ude00\":5,"
                        "\"\\u0080\":6,\"\\u00f6\":7}"),
               "{\"\\u000d\":2,\"1\":4,\"\xC2\x80\":6,\"\xC3\xB6\":7,\"\xE2\x82\xAC\":1,"
               "\"\xF0\x9F\x98\x80\":5,\"\xEF\xAC\xB3\":3}");
    arena_unref(a);
}

static void a_full_arena_is_told(void **state)
{
    struct arena *big = arena_new(&pool, 1 << 20), *small = arena_new(&pool, ARENA_CHUNK);
    struct json doc;
    struct arena_text t;
    char text[40000] = "[";

    (void)state;
    for (size_t i = 1; i + 3 < sizeof text; i += 2)
        memcpy(text + i, "1,", 3);
    strcpy(text + strlen(text) - 1, "]");
    assert_true(json_parse(&doc, big, str_of(text), NULL));
    text_init(&t, small, 64);
    json_canon(doc.root, &t);
    assert_true(t.has_failed);
    arena_unref(small);
    arena_unref(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(spellings_of_one_value_have_one_text),
        T(what_differs_has_another_text),
        T(members_are_in_the_order_of_the_rfc),
        T(a_full_arena_is_told),
    };
    int failed = RUN(tests);
    arena_pool_deinit(&pool);
    return failed;
}
