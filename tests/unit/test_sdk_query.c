/* mig/sdk/query.h: parameters of a query where they stand. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "mig/sdk/query.h"

/* A copy without anything behind it, so that the sanitizer sees who reads too far. */
static mig_str exact(const char *text)
{
    size_t n = strlen(text);
    char *copy = malloc(n ? n : 1);

    memcpy(copy, text, n);
    mig_str s = {copy, n};
    return s;
}

static void same(mig_str got, const char *want)
{
    assert_int_equal(got.len, strlen(want));
    if (got.len)
        assert_memory_equal(got.ptr, want, got.len);
}

static void parameters_come_one_after_the_other(void **state)
{
    static const char *const want[][2] = {
        {"a", "1"}, {"b", ""}, {"c", ""}, {"", "d"}, {"e", "f=g"}};
    mig_str all = exact("a=1&b&&c=&=d&e=f=g&"), rest = all, name, value;
    size_t n = 0;

    (void)state;
    for (; mig_query_next(&rest, &name, &value); n++) {
        assert_true(n < sizeof want / sizeof want[0]);
        same(name, want[n][0]);
        same(value, want[n][1]);
    }
    assert_int_equal(n, sizeof want / sizeof want[0]);
    free((void *)(uintptr_t)all.ptr);
    mig_str none = {NULL, 0};
    assert_false(mig_query_next(&none, &name, &value));
}

static void the_first_of_a_name_is_found(void **state)
{
    static const struct {
        const char *query, *want; /* NULL: not there */
    } rows[] = {
        {"id=1&id=2", "1"}, {"xid=1&id=2", "2"}, {"idx=1", NULL}, {"id", ""},
        {"id=", ""},        {"", NULL},          {"a=id", NULL},  {"&&id=3", "3"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        mig_str query = exact(rows[i].query), got = mig_query_value(query, "id");
        assert_int_equal(got.ptr != NULL, rows[i].want != NULL);
        if (rows[i].want)
            same(got, rows[i].want);
        free((void *)(uintptr_t)query.ptr);
    }
}

static void escapes_are_decoded_or_refused(void **state)
{
    static const struct {
        const char *raw;
        char plus;
        const char *want; /* NULL: refused */
    } rows[] = {
        {"plain", ' ', "plain"}, {"a%2Fb%2fc", ' ', "a/b/c"},
        {"a+b", ' ', "a b"},     {"a+b%2B", '+', "a+b+"},
        {"a%2Bb+", ' ', "a+b "}, {"%C3%A9", ' ', "\xC3\xA9"},
        {"", ' ', ""},           {"%", ' ', NULL},
        {"%4", ' ', NULL},       {"a%4", ' ', NULL},
        {"%4g", ' ', NULL},      {"%g4", ' ', NULL},
        {"%00", ' ', NULL},      {"%0a", ' ', NULL},
        {"%1F", ' ', NULL},      {"%20%7f", ' ', " \x7F"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        mig_str raw = exact(rows[i].raw), got = {NULL, 0};
        char *out = malloc(raw.len ? raw.len : 1);
        assert_int_equal(mig_query_decode(raw, rows[i].plus, out, &got), rows[i].want != NULL);
        if (rows[i].want)
            same(got, rows[i].want);
        else
            assert_null(got.ptr);
        free(out);
        free((void *)(uintptr_t)raw.ptr);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_come_one_after_the_other),
        cmocka_unit_test(the_first_of_a_name_is_found),
        cmocka_unit_test(escapes_are_decoded_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
