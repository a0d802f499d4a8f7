/* ctl_print.c: tables, JSON for people, findings. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "main/ctl.h"

#include <stdlib.h>

static void pretty_is(const char *json, size_t width, const char *want)
{
    struct buf b;

    buf_init(&b, 4096);
    json_pretty(&b, str_of(json), width);
    buf_addc(&b, 0);
    assert_string_equal(b.ptr, want);
    buf_deinit(&b);
}

static void short_json_stays_on_one_line(void **state)
{
    (void)state;
    pretty_is(" {\"a\" : [1, 2], \"b c\":\" x \\\" y \"} ", 80,
              "{\"a\":[1,2],\"b c\":\" x \\\" y \"}");
    pretty_is("[]", 1, "[\n]");
    pretty_is("12", 1, "12");
}

static void long_json_is_indented(void **state)
{
    (void)state;
    pretty_is("{\"a\":[1,2],\"b\":{\"c\":\"dddddddd\"}}", 20,
              "{\n  \"a\": [1,2],\n  \"b\": {\n    \"c\": \"dddddddd\"\n  }\n}");
}

static void columns_are_aligned(void **state)
{
    static const char *const titles[] = {"ID", "TEXT", NULL};
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    struct table t;
    (void)state;

    table_init(&t, titles);
    table_row(&t, (str[]){S("\xC3\xA4\xC3\xB6"), S("one")});
    table_row(&t, (str[]){S("long.id"), S("t\x1b[31mwo\n")});
    table_print(&t, out);
    fclose(out);
    assert_string_equal(text, "ID       TEXT\n"
                              "\xC3\xA4\xC3\xB6       one\n"
                              "long.id  t?[31mwo?\n");
    free(text);
    table_deinit(&t);
}

static void members_become_text(void **state)
{
    static const struct {
        const char *json, *want;
    } rows[] = {
        {"{\"x\":\"a\\nb\"}", "a\nb"},
        {"{\"x\":[\"a\",1,true]}", "a,1,true"},
        {"{\"x\":1.5}", "1.5"},
        {"{\"x\":null}", ""},
        {"{}", ""},
        {"{\"x\":[]}", ""},
    };
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        str s = member_text(str_of(rows[i].json), "x");
        assert_true(str_eq(s, str_of(rows[i].want)));
        free((char *)(uintptr_t)s.ptr);
    }
}

static void findings_have_their_place(void **state)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    struct diag d;
    (void)state;

    diag_init(&d);
    findings_of(&d, S("[{\"level\":\"error\",\"file\":\"m.yaml\",\"line\":3,\"column\":7,"
                      "\"id\":\"tool.mcp_name\",\"message\":\"bad %s\"},"
                      "{\"level\":\"warning\",\"file\":null,\"message\":\"hm\"}]"));
    print_findings(&d, out);
    fclose(out);
    assert_string_equal(text, "m.yaml:3:7: error: tool.mcp_name: bad %s\n"
                              "warning: finding: hm\n");
    assert_int_equal(d.errors, 1);
    free(text);
    diag_deinit(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_json_stays_on_one_line), cmocka_unit_test(long_json_is_indented),
        cmocka_unit_test(columns_are_aligned),          cmocka_unit_test(members_become_text),
        cmocka_unit_test(findings_have_their_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
