/* mig/sdk/json.h: reading, checking and writing JSON text where it stands. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mig/sdk/json.h"

static void same(mig_str got, const char *want)
{
    assert_int_equal(got.len, strlen(want));
    if (got.len)
        assert_memory_equal(got.ptr, want, got.len);
}

static void finds_members(void **state)
{
    static const struct {
        const char *text, *name, *want;
    } rows[] = {
        {"{\"name\":\"Ada\"}", "name", "\"Ada\""},
        {" { \"a\" : 1 , \"b\" : [1, {\"b\":2}] } ", "b", "[1, {\"b\":2}]"},
        {"{\"a\":{\"b\":1},\"b\":2}", "b", "2"},
        {"{\"a\":\"b\",\"b\":\"}\\\"\"}", "b", "\"}\\\"\""},
        {"{\"\\u006eame\":true}", "name", "true"},
        {"{\"a\\/b\":null}", "a/b", "null"},
        {"{\"\xC3\xA9\":1}", "\xC3\xA9", "1"},
        {"{\"\\u00e9\":1}", "\xC3\xA9", "1"},
        {"{}", "a", ""},
        {"{\"ab\":1}", "a", ""},
        {"{\"a\":1}", "ab", ""},
        {"[\"a\"]", "a", ""},
        {"\"a\"", "a", ""},
        {"", "a", ""},
    };
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        same(mig_json_member(mig_s(rows[i].text), rows[i].name), rows[i].want);
}

static void walks_arrays_and_objects(void **state)
{
    mig_str array = mig_s("[1,\"a\",[2,3],{\"x\":4},null]");
    mig_json_iter i = mig_json_each(mig_s("{\"a\":1,\"b\":[2]}"));
    (void)state;

    assert_int_equal(mig_json_count(array), 5);
    same(mig_json_item(array, 0), "1");
    same(mig_json_item(array, 2), "[2,3]");
    same(mig_json_item(array, 4), "null");
    same(mig_json_item(array, 5), "");
    assert_true(mig_json_next(&i));
    same(i.key, "\"a\"");
    assert_true(mig_json_next(&i));
    same(i.key, "\"b\"");
    same(i.value, "[2]");
    assert_false(mig_json_next(&i));
    assert_false(mig_json_next(&i));
    assert_int_equal(mig_json_count(mig_s("[]")), 0);
    assert_int_equal(mig_json_count(mig_s("12")), 0);
}

static void unescapes_text(void **state)
{
    static const struct {
        const char *token, *want;
    } rows[] = {
        {"\"\"", ""},
        {"\"Ada\"", "Ada"},
        {"\"a\\n\\t\\\"\\\\\\/\"", "a\n\t\"\\/"},
        {"\"\\u00e9\\u20ac\"", "\xC3\xA9\xE2\x82\xAC"},
        {"\"\\ud83d\\ude00\"", "\xF0\x9F\x98\x80"},
        {"\"\\ud83dx\"", "\xEF\xBF\xBDx"},
        {"\"\\ude00\"", "\xEF\xBF\xBD"},
    };
    char out[32];
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(mig_json_unescape(mig_s(rows[i].token), out, sizeof out),
                         strlen(rows[i].want));
        assert_string_equal(out, rows[i].want);
    }
    assert_true(mig_json_unescape(mig_s("12"), out, sizeof out) == MIG_JSON_BAD);
    assert_true(mig_json_unescape(mig_s(""), out, sizeof out) == MIG_JSON_BAD);
    assert_int_equal(mig_json_unescape(mig_s("\"abc\""), NULL, 0), 3);
}

static void cuts_text_between_characters(void **state)
{
    static const struct {
        const char *token;
        size_t cap;
        const char *want;
    } rows[] = {
        {"\"abcd\"", 3, "ab"},
        {"\"a\xE2\x82\xAC\"", 3, "a"},
        {"\"a\xE2\x82\xAC\"", 4, "a"},
        {"\"a\xE2\x82\xAC"
         "b\"",
         5, "a\xE2\x82\xAC"},
        {"\"a\\u20acb\"", 4, "a"},
        {"\"ab\"", 1, ""},
    };
    char out[16];
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(mig_json_unescape(mig_s(rows[i].token), out, rows[i].cap) >= rows[i].cap);
        assert_string_equal(out, rows[i].want);
    }
}

static void reads_numbers_exactly(void **state)
{
    int64_t i = 7;
    uint64_t u = 7;
    double d = 7;
    int b = 7;
    (void)state;

    assert_true(mig_json_i64(mig_s("-9223372036854775808"), &i) && i == INT64_MIN);
    assert_true(mig_json_i64(mig_s("9223372036854775807"), &i) && i == INT64_MAX);
    assert_false(mig_json_i64(mig_s("9223372036854775808"), &i));
    assert_false(mig_json_i64(mig_s("1.0"), &i));
    assert_false(mig_json_i64(mig_s(""), &i));
    assert_false(mig_json_i64(mig_s("-"), &i));
    assert_true(mig_json_u64(mig_s("18446744073709551615"), &u) && u == UINT64_MAX);
    assert_false(mig_json_u64(mig_s("18446744073709551616"), &u));
    assert_false(mig_json_u64(mig_s("-1"), &u));
    assert_true(mig_json_f64(mig_s("-1.5e2"), &d) && d == -150.0);
    assert_false(mig_json_f64(mig_s("\"1\""), &d));
    assert_true(mig_json_bool(mig_s("true"), &b) && b == 1);
    assert_true(mig_json_bool(mig_s("false"), &b) && b == 0);
    assert_false(mig_json_bool(mig_s("null"), &b));
}

static void tells_json_from_other_text(void **state)
{
    static const char *const good[] = {
        "{}",
        "[]",
        " [ 1 , 2 ] ",
        "{\"a\":{\"b\":[]}}",
        "\"\\ud800\"",
        "-0.5E+10",
        "0",
        "null",
        "[[],[[]],{}]",
        "\"\xF0\x9F\x98\x80\"",
        "{\"a\":1,\"b\":[true,false,null]}",
    };
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "[1,]",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "[1 2]",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\n\"",
        "nul",
        "{} {}",
        "[1}",
        "{\"a\":1]",
        "\"\xC0\x80\"",
        "\"\xED\xA0\x80\"",
        "\"\xF5\x80\x80\x80\"",
        "\"\xE2\x82\"",
        "-",
        "\xEF\xBB\xBF{}",
        "{\"a\":1,}",
        "]",
        ",",
        "'a'",
    };
    (void)state;

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!mig_json_valid(mig_s(good[i])))
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (mig_json_valid(mig_s(bad[i])))
            fail_msg("taken: %s", bad[i]);
    assert_false(mig_json_valid((mig_str){"\"a\0b\"", 5}));
}

static void depth_ends_at_the_limit(void **state)
{
    char text[2 * (MIG_JSON_DEPTH_MAX + 1)];
    size_t n = MIG_JSON_DEPTH_MAX + 1;
    (void)state;

    memset(text, '[', n);
    memset(text + n, ']', n);
    assert_true(mig_json_valid((mig_str){text + 1, 2 * n - 2}));
    assert_false(mig_json_valid((mig_str){text, 2 * n}));
}

/* Whatever the text, readers end and stay inside it (the sanitizers watch). */
static void readers_survive_every_prefix(void **state)
{
    static const char text[] = "{\"a\":[1,\"\\u00e9\\ud83d\\ude00\",{\"b\":-1.5e3}],\"c\":null}";
    (void)state;

    for (size_t n = 0; n < sizeof text; n++) {
        char *copy = (char *)malloc(n ? n : 1), out[8];
        memcpy(copy, text, n);
        for (mig_json_iter i = mig_json_each((mig_str){copy, n}); mig_json_next(&i);) {
            mig_json_unescape(i.key, out, sizeof out);
            for (mig_json_iter k = mig_json_each(i.value); mig_json_next(&k);)
                mig_json_unescape(k.value, out, sizeof out);
        }
        assert_int_equal(mig_json_valid((mig_str){copy, n}), n == sizeof text - 1);
        free(copy);
    }
}

static void writes_and_escapes(void **state)
{
    char out[256];
    mig_json_writer w = mig_json_writer_on(out, sizeof out);
    (void)state;

    mig_json_open(&w, '{');
    mig_json_key(&w, "te\"xt");
    mig_json_put_string(&w, (mig_str){"a\"\\\n\x01\0\xC3\xA9", 8});
    mig_json_key(&w, "list");
    mig_json_open(&w, '[');
    mig_json_put_i64(&w, INT64_MIN);
    mig_json_put_u64(&w, UINT64_MAX);
    mig_json_put_f64(&w, 0.1);
    mig_json_put_f64(&w, 1e300 * 1e300);
    mig_json_put_bool(&w, 1);
    mig_json_put_null(&w);
    mig_json_open(&w, '[');
    mig_json_close(&w, ']');
    mig_json_close(&w, ']');
    mig_json_key(&w, "raw");
    mig_json_put_raw(&w, mig_s("{\"x\":1}"));
    mig_json_close(&w, '}');
    same(mig_json_written(&w),
         "{\"te\\\"xt\":\"a\\\"\\\\\\n\\u0001\\u0000\xC3\xA9\","
         "\"list\":[-9223372036854775808,18446744073709551615,0.1,null,true,null,[]],"
         "\"raw\":{\"x\":1}}");
    assert_true(mig_json_valid(mig_json_written(&w)));
}

static int grow_once(mig_json_writer *w, size_t need)
{
    if (need > 64)
        return 0;
    w->ptr = (char *)realloc(w->ptr, 64);
    w->cap = 64;
    return 1;
}

static void a_full_buffer_says_so_at_the_end(void **state)
{
    char out[8];
    mig_json_writer w = mig_json_writer_on(out, sizeof out), g = {NULL, 0, 0, grow_once, NULL, 0};
    (void)state;

    mig_json_put_string(&w, mig_s("much too long"));
    mig_json_put_null(&w);
    assert_int_equal(mig_json_written(&w).len, 0);
    mig_json_put_string(&g, mig_s("much too long"));
    same(mig_json_written(&g), "\"much too long\"");
    free(g.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_members),
        cmocka_unit_test(walks_arrays_and_objects),
        cmocka_unit_test(unescapes_text),
        cmocka_unit_test(cuts_text_between_characters),
        cmocka_unit_test(reads_numbers_exactly),
        cmocka_unit_test(tells_json_from_other_text),
        cmocka_unit_test(depth_ends_at_the_limit),
        cmocka_unit_test(readers_survive_every_prefix),
        cmocka_unit_test(writes_and_escapes),
        cmocka_unit_test(a_full_buffer_says_so_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
