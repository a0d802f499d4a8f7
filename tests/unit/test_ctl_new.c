/* ctl_new.c: names and placeholders. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "main/ctl.h"

static void names_fit_files_and_identifiers(void **state)
{
    static const char *const good[] = {"a", "hello", "a-b_c9",
                                       "abcdefghijklmnopqrstuvwxyzabcdefghijklmno"};
    static const char *const bad[] = {
        "",    "A",    "1a",  "-a",       "a b",
        "a/b", "../a", "a.b", "\xC3\xA4", "abcdefghijklmnopqrstuvwxyzabcdefghijklmnop"};
    (void)state;

    for (size_t i = 0; i < countof(good); i++)
        assert_true(new_is_name(good[i]));
    for (size_t i = 0; i < countof(bad); i++)
        assert_false(new_is_name(bad[i]));
}

static void placeholders_are_replaced(void **state)
{
    struct buf b;
    (void)state;

    buf_init(&b, 256);
    new_expand(&b, S("@NAME@ a-b @IDENT@_x $@ @ @OTHER@ @INCLUDE@@NAME"), "my-name", "/i-n");
    buf_addc(&b, 0);
    assert_string_equal(b.ptr, "my-name a-b my_name_x $@ @ @OTHER@ /i-n@NAME");
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_fit_files_and_identifiers),
        cmocka_unit_test(placeholders_are_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
