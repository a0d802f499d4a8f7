/* ctl_args.c: the command line against tables of flags. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "main/ctl.h"

static const struct ctl_flag common[] = {
    {"tenant", "ID", "", CTL_TEXT, offsetof(struct ctl, tenant)},
    {"timeout", "SECONDS", "", CTL_SECONDS, offsetof(struct ctl, timeout_ms)},
    {"json", NULL, "", CTL_SWITCH, offsetof(struct ctl, is_json)},
    {"help", NULL, "", CTL_SWITCH, offsetof(struct ctl, wants_help)},
    {0},
};
static const struct ctl_flag own[] = {
    {"query", "TEXT", "", CTL_TEXT, offsetof(struct ctl, query)},
    {0},
};

/* Splits at spaces; "" is no argument. */
static bool parse(struct ctl *c, const char *line, int *command)
{
    static char copy[256];
    static char *argv[32];
    int argc = 0;

    snprintf(copy, sizeof copy, "migctl %s", line);
    for (char *p = strtok(copy, " "); p; p = strtok(NULL, " "))
        argv[argc++] = p;
    argv[argc] = NULL;
    *c = (struct ctl){0};
    if (command)
        *command = args_command(argc, argv, common);
    return args_parse(c, argc, argv, common, own);
}

static void flags_stand_anywhere(void **state)
{
    struct ctl c;
    int at;
    (void)state;

    assert_true(parse(&c, "--tenant acme discover one --json --query=x=y two", &at));
    assert_int_equal(at, 3);
    assert_string_equal(c.tenant, "acme");
    assert_string_equal(c.query, "x=y");
    assert_true(c.is_json);
    assert_int_equal(c.word_count, 3);
    assert_string_equal(c.words[0], "discover");
    assert_string_equal(c.words[2], "two");
}

static void two_dashes_end_the_flags(void **state)
{
    struct ctl c;
    (void)state;

    assert_true(parse(&c, "invoke x -- -5 --json", NULL));
    assert_false(c.is_json);
    assert_int_equal(c.word_count, 4);
    assert_string_equal(c.words[2], "-5");
    assert_true(parse(&c, "invoke x -", NULL));
    assert_string_equal(c.words[2], "-");
}

static void a_line_without_a_command_has_none(void **state)
{
    struct ctl c;
    int at = 7;
    (void)state;

    assert_true(parse(&c, "--tenant acme -h", &at));
    assert_int_equal(at, 0);
    assert_true(c.wants_help);
}

static void wrong_flags_are_refused(void **state)
{
    static const char *const lines[] = {
        "x --tenannt acme", "x --json=1",      "x --tenant",      "x --timeout soon",
        "x --timeout -1",   "x --timeout nan", "x --timeout 1e9", "x -q",
    };
    struct ctl c;
    (void)state;

    for (size_t i = 0; i < countof(lines); i++)
        if (parse(&c, lines[i], NULL))
            fail_msg("taken: %s", lines[i]);
}

static void seconds_become_milliseconds(void **state)
{
    struct ctl c;
    (void)state;

    assert_true(parse(&c, "x --timeout 1.5", NULL));
    assert_int_equal(c.timeout_ms, 1500);
}

static void the_nearest_name_is_near(void **state)
{
    static const char *const names[] = {"tenant", "timeout", NULL};
    (void)state;

    assert_string_equal(args_nearest("tennant", names), "tenant");
    assert_string_equal(args_nearest("timeot", names), "timeout");
    assert_null(args_nearest("completely-else", names));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_stand_anywhere),
        cmocka_unit_test(two_dashes_end_the_flags),
        cmocka_unit_test(a_line_without_a_command_has_none),
        cmocka_unit_test(wrong_flags_are_refused),
        cmocka_unit_test(seconds_become_milliseconds),
        cmocka_unit_test(the_nearest_name_is_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
