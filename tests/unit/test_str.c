#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/str.h"

#include <stdlib.h>

static void slices_compare_by_bytes(void **state)
{
    (void)state;
    assert_true(str_eq(S("abc"), S("abc")));
    assert_false(str_eq(S("abc"), S("abd")));
    assert_true(str_eq((str){NULL, 0}, S("")));
    assert_true(str_cmp(S("a"), S("b")) < 0);
    assert_true(str_cmp(S("ab"), S("a")) > 0);
    assert_int_equal(str_cmp(S(""), (str){NULL, 0}), 0);
    assert_true(str_starts(S("abc"), S("ab")) && str_ends(S("abc"), S("bc")));
    assert_true(str_starts((str){NULL, 0}, (str){NULL, 0}) && str_ends(S("a"), (str){NULL, 0}));
    assert_null(str_cut((str){NULL, 0}, 3).ptr);
    assert_false(str_starts(S("a"), S("ab")) || str_ends(S("c"), S("bc")));
}

static void ascii_case_is_ignored_and_only_ascii(void **state)
{
    (void)state;
    assert_true(str_eq_nocase(S("X-Tenant-ID"), S("x-tenant-id")));
    assert_false(str_eq_nocase(S("[a"), S("{a")));
    assert_false(str_eq_nocase(S("\xC3\x84"), S("\xC3\xA4")));
    assert_true(str_contains_nocase(S("Text/Event-Stream"), S("event")));
    assert_true(str_contains_nocase(S("x"), S("")));
    assert_false(str_contains_nocase(S("ev"), S("event")));
}

static void trim_takes_blanks_at_both_ends_only(void **state)
{
    (void)state;
    assert_true(str_eq(str_trim(S(" \t a b\r\n")), S("a b")));
    assert_int_equal(str_trim(S(" \r\n\t ")).len, 0);
    assert_int_equal(str_trim(S("")).len, 0);
}

static void split_gives_all_parts_and_then_nothing(void **state)
{
    static const char *const parts[] = {"a", "", "b", ""};
    str rest = S("a,,b,");

    (void)state;
    for (size_t i = 0; i < countof(parts); i++)
        assert_true(str_eq(str_split(&rest, ','), str_of(parts[i])));
    assert_null(rest.ptr);
    assert_int_equal(str_split(&rest, ',').len, 0);
}

static void numbers_are_whole_texts_in_range(void **state)
{
    static const struct {
        const char *text;
        bool is_u64, is_i64;
        int64_t value;
    } rows[] = {
        {"0", true, true, 0},
        {"42", true, true, 42},
        {"-42", false, true, -42},
        {"9223372036854775807", true, true, INT64_MAX},
        {"9223372036854775808", true, false, 0},
        {"18446744073709551615", true, false, 0},
        {"18446744073709551616", false, false, 0},
        {"99999999999999999999", false, false, 0},
        {"", false, false, 0},
        {"-", false, false, 0},
        {"+1", false, false, 0},
        {"1 ", false, false, 0},
        {"0x10", false, false, 0},
        {"--1", false, false, 0},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        uint64_t u = 7;
        int64_t n = 7;
        assert_int_equal(str_to_u64(str_of(rows[i].text), &u), rows[i].is_u64);
        assert_int_equal(str_to_i64(str_of(rows[i].text), &n), rows[i].is_i64);
        assert_int_equal(n, rows[i].is_i64 ? rows[i].value : 7);
    }
}

static void copies_end_with_nul(void **state)
{
    char *z = str_dup((str){"abcdef", 3});

    (void)state;
    assert_string_equal(z, "abc");
    free(z);
    z = str_dup((str){NULL, 0});
    assert_string_equal(z, "");
    free(z);
}

static void hashes_agree_for_equal_slices_and_spread(void **state)
{
    char text[64];
    unsigned used = 0;

    (void)state;
    memset(text, 'a', sizeof text);
    assert_true(str_hash(S("abc")) == str_hash((str){"abcd", 3}));
    for (size_t n = 0; n < 64; n++)
        used |= 1u << (str_hash((str){text, n}) % 32);
    assert_true(__builtin_popcount(used) > 16);
}

/* Each length: one bit more, one byte less, or two parts that change places, and it is another hash. */
static void hashes_differ_for_what_is_nearly_equal(void **state)
{
    char text[200], swapped[200];

    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * i + i / 16);
    for (size_t len = 1; len <= sizeof text; len++) {
        uint64_t h = str_hash((str){text, len});
        assert_true(h != str_hash((str){text, len - 1}));
        for (size_t bit = 0; bit < len * 8; bit++) {
            text[bit / 8] ^= (char)(1 << bit % 8);
            assert_true(h != str_hash((str){text, len}));
            text[bit / 8] ^= (char)(1 << bit % 8);
        }
        for (size_t part = 8; part <= 32 && part * 2 <= len; part *= 2) {
            memcpy(swapped, text, len);
            memcpy(swapped, text + part, part);
            memcpy(swapped + part, text, part);
            assert_true(h != str_hash((str){swapped, len}));
        }
    }
}

static void secrets_compare_like_slices(void **state)
{
    (void)state;
    assert_true(str_eq_secret(S("key"), S("key")));
    assert_false(str_eq_secret(S("key"), S("kez")));
    assert_false(str_eq_secret(S("key"), S("ke")));
    assert_false(str_eq_secret(S(""), S("k")));
    assert_true(str_eq_secret(S(""), S("")));
}

static void distance_counts_edits_up_to_the_limit(void **state)
{
    char longest[65];

    (void)state;
    memset(longest, 'x', sizeof longest);
    assert_int_equal(str_distance(S("isolaton"), S("isolation"), 3), 1);
    assert_int_equal(str_distance(S("kitten"), S("sitting"), 5), 3);
    assert_int_equal(str_distance(S("kitten"), S("sitting"), 2), 3);
    assert_int_equal(str_distance(S(""), S("abc"), 5), 3);
    assert_int_equal(str_distance(S("ABC"), S("abc"), 5), 0);
    assert_int_equal(str_distance((str){longest, 65}, S("abc"), 5), 6);
}

static void only_rfc3629_is_utf8(void **state)
{
    static const struct {
        str text;
        bool is_good;
    } rows[] = {
        {{"", 0}, true},
        {{"plain", 5}, true},
        {{"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", 9}, true},
        {{"\xF4\x8F\xBF\xBF", 4}, true},
        {{"\xC0\x80", 2}, false},         // overlong NUL
        {{"\xE0\x9F\xBF", 3}, false},     // overlong
        {{"\xED\xA0\x80", 3}, false},     // surrogate
        {{"\xF4\x90\x80\x80", 4}, false}, // beyond U+10FFFF
        {{"\xE2\x82", 2}, false},         // cut off
        {{"\x80", 1}, false},
        {{"\xFF", 1}, false},
        {{"a\xC3", 2}, false},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++)
        assert_int_equal(str_is_utf8(rows[i].text), rows[i].is_good);
}

/* Each length and place, so that whole words and what is left of one are both met. */
static void finds_what_json_escapes(void **state)
{
    static const char specials[] = "\"\\\x01\x1f\n";
    char text[48];

    (void)state;
    for (size_t len = 0; len <= sizeof text; len++) {
        memset(text, 'x', sizeof text);
        assert_int_equal(str_plain_prefix((str){text, len}), len);
        assert_int_equal(str_ascii_prefix_in(text, text, text + len), len);
        for (size_t at = 0; at < len; at++) {
            for (size_t i = 0; i < sizeof specials - 1; i++) {
                text[at] = specials[i];
                assert_int_equal(str_plain_prefix((str){text, len}), at);
                assert_int_equal(str_ascii_prefix_in(text, text, text + len), at);
                assert_int_equal(str_ascii_prefix_in(text + at / 2, text, text + len), at - at / 2);
            }
            text[at] = (char)0xC3;
            assert_int_equal(str_plain_prefix((str){text, len}), len);
            assert_int_equal(str_ascii_prefix_in(text, text, text + len), at);
            text[at] = 'x';
        }
    }
}

/* Each byte, at each place of each length. */
static void knows_what_is_visible(void **state)
{
    char text[40];

    (void)state;
    for (size_t len = 0; len <= sizeof text; len++) {
        memset(text, '~', sizeof text);
        assert_int_equal(str_printable_prefix((str){text, len}), len);
        assert_true(str_is_visible((str){text, len}, len));
        assert_true(len == 0 || !str_is_visible((str){text, len}, len - 1));
        for (size_t at = 0; at < len; at++) {
            for (int c = 0; c < 256; c++) {
                text[at] = (char)c;
                size_t want = c >= ' ' && c <= '~' ? len : at;
                assert_int_equal(str_printable_prefix((str){text, len}), want);
                assert_int_equal(str_is_visible((str){text, len}, len), c >= '!' && c <= '~');
            }
            text[at] = '~';
        }
    }
}

static void lowers_ascii_letters_alone(void **state)
{
    (void)state;
    for (size_t len = 0; len <= 40; len++) {
        char text[40], want[40];
        for (size_t i = 0; i < len; i++) {
            text[i] = (char)(i % 3 ? '@' + (char)(i * 7 % 60) : (char)(0x80 + i));
            want[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + 32) : text[i];
        }
        str_lower(text, len);
        assert_memory_equal(text, want, len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_json_escapes),
        cmocka_unit_test(knows_what_is_visible),
        cmocka_unit_test(lowers_ascii_letters_alone),
        cmocka_unit_test(slices_compare_by_bytes),
        cmocka_unit_test(ascii_case_is_ignored_and_only_ascii),
        cmocka_unit_test(trim_takes_blanks_at_both_ends_only),
        cmocka_unit_test(split_gives_all_parts_and_then_nothing),
        cmocka_unit_test(numbers_are_whole_texts_in_range),
        cmocka_unit_test(copies_end_with_nul),
        cmocka_unit_test(hashes_agree_for_equal_slices_and_spread),
        cmocka_unit_test(hashes_differ_for_what_is_nearly_equal),
        cmocka_unit_test(secrets_compare_like_slices),
        cmocka_unit_test(distance_counts_edits_up_to_the_limit),
        cmocka_unit_test(only_rfc3629_is_utf8),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
