#include "unit.h"
#include "base/json.h"
#include "base/json_scan.h"

static void takes_what_programs_answer(void **state)
{
    static const char *const good[] = {
        "{}",
        " [ ] ",
        "null",
        "-17",
        "\"a\\n\\\"b\\\\\"",
        "{\"result\":\"ok\",\"echo\":{\"result\":\"ok\"},\"n\":[1,2,{\"a\":null}],\"t\":true}",
        "{ \"a\" : [ ] , \"b\" : { } }",
        "{\"ab\":1,\"ba\":2,\"aab\":3,\"bba\":4}",
        "\"a text that is longer than sixteen bytes, with its end near the end\"",
    };

    (void)state;
    for (size_t i = 0; i < countof(good); i++)
        if (!json_is_surely_good(str_of(good[i])))
            fail_msg("doubted: %s", good[i]);
}

static void doubts_the_rest(void **state)
{
    static const char *const doubtful[] = {
        "",
        " ",
        "{",
        "}",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "[1 2]",
        "01",
        "1.5",
        "1e400",
        "-",
        "+1",
        "tru",
        "truex",
        "\"a",
        "\"\t\"",
        "\"\\x\"",
        "\"\\u0041\"",
        "\"\\",
        "1 1",
        "[[]",
        "[]]",
        "{\"a\":1]",
        "[1}",
        "\"\xc3\xa9\"",
        "{\"\":1}",
        "{\"a\":1,\"a\":2}",
        "{\"x\":{\"b\":1,\"c\":2,\"b\":3}}",
        "123456789012345678901",
    };

    (void)state;
    for (size_t i = 0; i < countof(doubtful); i++)
        if (json_is_surely_good(str_of(doubtful[i])))
            fail_msg("took: %s", doubtful[i]);
}

/* Depth: as deep as json_parse() goes, and not deeper. */
static void knows_the_depth(void **state)
{
    char text[2 * JSON_DEPTH_MAX + 3];

    (void)state;
    for (size_t depth = JSON_DEPTH_MAX - 1; depth <= JSON_DEPTH_MAX + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(json_is_surely_good((str){text, 2 * depth}), depth <= JSON_DEPTH_MAX);
    }
}

static unsigned next(unsigned *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 16;
}

/* Whatever is called surely good, json_parse() takes: sound texts with a few bytes changed. */
static void never_takes_what_the_parser_refuses(void **state)
{
    static const char alphabet[] = "{}[]\",:\\tn0 1-.eab\x01\x7f\xc3";
    static const char sound[] =
        "{\"ab\":[1,-2,{\"c\":\"d\\\"e\"},[]],\"ba\":{\"ab\":true,\"b\":null}}";
    struct arena_pool pool = {0};
    unsigned seed = 7, taken = 0;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        char text[sizeof sound];
        memcpy(text, sound, sizeof sound);
        size_t len = sizeof sound - 1 - (next(&seed) % 8 ? 0 : next(&seed) % 9);
        for (unsigned n = next(&seed) % 4; n; n--)
            text[next(&seed) % len] = alphabet[next(&seed) % (sizeof alphabet - 1)];
        bool is_sure = json_is_surely_good((str){text, len});
        struct arena *a = arena_new(&pool, 1 << 20);
        struct json doc;
        struct json_fault fault;
        if (is_sure && !json_parse(&doc, a, (str){text, len}, &fault))
            fail_msg("took: %.*s (%s)", (int)len, text, fault.text);
        taken += is_sure;
        arena_unref(a);
    }
    arena_pool_deinit(&pool);
    assert_in_range(taken, 1000, 19000); /* both ways were tried */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_programs_answer),
        cmocka_unit_test(doubts_the_rest),
        cmocka_unit_test(knows_the_depth),
        cmocka_unit_test(never_takes_what_the_parser_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
