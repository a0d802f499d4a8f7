#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/diag.h"

static void a_line_names_file_place_level_and_id(void **state)
{
    static const struct {
        enum diag_level level;
        struct diag_at at;
        const char *line;
    } rows[] = {
        {DIAG_ERROR, {"m.yaml", 3, 7}, "m.yaml:3:7: error: tool.mode: wrong: x"},
        {DIAG_WARNING, {"m.yaml", 0, 0}, "m.yaml: warning: tool.mode: wrong: x"},
        {DIAG_ERROR, {NULL, 0, 0}, "error: tool.mode: wrong: x"},
    };
    CLEANUP(diag_deinit) struct diag d;
    CLEANUP(buf_deinit) struct buf b;

    (void)state;
    diag_init(&d);
    buf_init(&b, 1000);
    for (size_t i = 0; i < countof(rows); i++) {
        diag_add(&d, rows[i].level, rows[i].at, "tool.mode", "wrong: %s", "x");
        buf_clear(&b);
        diag_line(&d.list[i], &b);
        assert_true(str_eq(buf_str(&b), str_of(rows[i].line)));
    }
    assert_int_equal(d.count, 3);
    assert_int_equal(d.errors, 2);
}

static void at_most_200_are_kept_and_the_rest_is_mentioned_once(void **state)
{
    CLEANUP(diag_deinit) struct diag d;

    (void)state;
    diag_init(&d);
    for (int i = 0; i < 500; i++)
        diag_error(&d, (struct diag_at){0}, "x", "%d", i);
    assert_int_equal(d.count, 201);
    assert_int_equal(d.errors, 500);
    assert_string_equal(d.list[199].text, "199");
    assert_string_equal(d.list[200].id, "diag.more");
}

static void json_has_what_is_known_and_is_escaped(void **state)
{
    CLEANUP(diag_deinit) struct diag d;
    CLEANUP(buf_deinit) struct buf b;

    (void)state;
    diag_init(&d);
    buf_init(&b, 1000);
    diag_json(&d, &b);
    assert_true(str_eq(buf_str(&b), S("[]")));
    buf_clear(&b);
    diag_error(&d, ((struct diag_at){"a\"b", 1, 2}), "x.y", "line\nbreak");
    diag_warn(&d, (struct diag_at){0}, "z", "w");
    diag_json(&d, &b);
    assert_true(
        str_eq(buf_str(&b), S("[{\"level\":\"error\",\"file\":\"a\\\"b\",\"line\":1,\"column\":2,"
                              "\"id\":\"x.y\",\"message\":\"line\\nbreak\"},"
                              "{\"level\":\"warning\",\"id\":\"z\",\"message\":\"w\"}]")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_names_file_place_level_and_id),
        cmocka_unit_test(at_most_200_are_kept_and_the_rest_is_mentioned_once),
        cmocka_unit_test(json_has_what_is_known_and_is_escaped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
