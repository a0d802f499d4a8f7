#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/check.h"

#include <stdlib.h>

static void grows_and_keeps_the_order(void **state)
{
    CLEANUP(buf_deinit) struct buf b;

    (void)state;
    buf_init(&b, BUF_MAX);
    for (unsigned i = 0; i < 1000; i++)
        assert_true(buf_addu(&b, i) && buf_addc(&b, ','));
    assert_true(str_starts(buf_str(&b), S("0,1,2,")));
    assert_true(str_ends(buf_str(&b), S("998,999,")));
    assert_false(b.has_failed);
}

static void refuses_what_is_over_the_limit_and_changes_nothing(void **state)
{
    CLEANUP(buf_deinit) struct buf b;

    (void)state;
    buf_init(&b, 5);
    assert_true(buf_addz(&b, "abc"));
    assert_false(buf_addz(&b, "def"));
    assert_true(b.has_failed);
    assert_true(str_eq(buf_str(&b), S("abc")));
    assert_false(buf_addc(&b, 'x')); // it would fit, but the text would have a hole
    buf_clear(&b);
    assert_true(buf_addz(&b, "12345"));
    assert_null(buf_reserve(&b, SIZE_MAX));
}

static void numbers_are_printed_in_full(void **state)
{
    CLEANUP(buf_deinit) struct buf b;

    (void)state;
    buf_init(&b, 100);
    buf_addu(&b, 0);
    buf_addc(&b, ' ');
    buf_addu(&b, UINT64_MAX);
    buf_addf(&b, " %s=%d", "x", -1);
    assert_true(str_eq(buf_str(&b), S("0 18446744073709551615 x=-1")));
}

static void json_strings_are_escaped(void **state)
{
    static const struct {
        str text;
        const char *json;
    } rows[] = {
        {{"plain", 5}, "\"plain\""},
        {{"", 0}, "\"\""},
        {{"a\"b\\c", 5}, "\"a\\\"b\\\\c\""},
        {{"\b\t\n\f\r", 5}, "\"\\b\\t\\n\\f\\r\""},
        {{"\0\x01\x1F", 3}, "\"\\u0000\\u0001\\u001f\""},
        {{"\xC3\xA4", 2}, "\"\xC3\xA4\""},
        {{"a\xFFz", 3}, "\"a\xEF\xBF\xBDz\""},
        {{"\xC3\xA4\xC3", 3}, "\"\xC3\xA4\xEF\xBF\xBD\""},
        {{"a text of more than sixteen \xE2\x82\xAC", 31},
         "\"a text of more than sixteen \xE2\x82\xAC\""},
    };
    CLEANUP(buf_deinit) struct buf b;

    (void)state;
    buf_init(&b, 1000);
    for (size_t i = 0; i < countof(rows); i++) {
        buf_clear(&b);
        assert_true(buf_add_json(&b, rows[i].text));
        assert_true(str_eq(buf_str(&b), str_of(rows[i].json)));
    }
}

static void drop_removes_from_the_front(void **state)
{
    CLEANUP(buf_deinit) struct buf b;

    (void)state;
    buf_init(&b, 100);
    buf_drop(&b, 1);
    buf_addz(&b, "abcdef");
    buf_drop(&b, 2);
    assert_true(str_eq(buf_str(&b), S("cdef")));
    buf_drop(&b, 99);
    assert_int_equal(b.len, 0);
}

static void take_hands_over_the_text_unless_something_failed(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 10);
    buf_addz(&b, "abc");
    char *z = buf_take_z(&b);
    assert_string_equal(z, "abc");
    assert_null(b.ptr);
    free(z);
    buf_addz(&b, "far too long for this");
    assert_null(buf_take_z(&b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_and_keeps_the_order),
        cmocka_unit_test(refuses_what_is_over_the_limit_and_changes_nothing),
        cmocka_unit_test(numbers_are_printed_in_full),
        cmocka_unit_test(json_strings_are_escaped),
        cmocka_unit_test(drop_removes_from_the_front),
        cmocka_unit_test(take_hands_over_the_text_unless_something_failed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
