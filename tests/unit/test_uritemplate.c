#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/uritemplate.h"

static void only_absolute_level_1_templates_are_good(void **state)
{
    static const struct {
        const char *text;
        bool is_good;
        size_t at; // of the mistake
    } rows[] = {
        {"observatory://artifact/{id}", true, 0},
        {"acme://documents/{id}/pages/{page_no}", true, 0},
        {"file:///a%20b", true, 0},
        {"urn:x:{a.b}", true, 0},
        {"x:\xC3\xA4", true, 0},
        {"", false, 0},
        {"artifact/{id}", false, 8},
        {"{scheme}://x", false, 0},
        {"1x:a", false, 2},
        {"x:", false, 2},
        {"x:{id", false, 2},
        {"x:id}", false, 4},
        {"x:{}", false, 3},
        {"x:{a}{b}", false, 5},
        {"x:{a}/{a}", false, 7},
        {"x:{+path}", false, 3},
        {"x:{a*}", false, 4},
        {"x:{a:3}", false, 4},
        {"x:{a,b}", false, 4},
        {"x:{a b}", false, 4},
        {"x:a b", false, 3},
        {"x:%2", false, 2},
        {"x:a\"", false, 3},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        size_t at = 0;
        const char *wrong = uritemplate_check(str_of(rows[i].text), &at);
        if (!wrong != rows[i].is_good || (wrong && at != rows[i].at))
            fail_msg("%s: %s at %zu", rows[i].text, wrong ? wrong : "good", at);
    }
}

static void too_many_variables_are_refused(void **state)
{
    CLEANUP(buf_deinit) struct buf b;
    size_t at;

    (void)state;
    buf_init(&b, 4096);
    buf_addz(&b, "x:");
    for (int i = 0; i < URITEMPLATE_VARS_MAX; i++)
        buf_addf(&b, "/{v%d}", i);
    assert_null(uritemplate_check(buf_str(&b), &at));
    assert_int_equal(uritemplate_count(buf_str(&b)), URITEMPLATE_VARS_MAX);
    buf_addz(&b, "/{more}");
    assert_non_null(uritemplate_check(buf_str(&b), &at));
}

static void a_uri_matches_when_every_piece_finds_its_place(void **state)
{
    static const struct {
        const char *text, *uri;
        bool matches;
        const char *first, *second;
    } rows[] = {
        {"o://a/{id}", "o://a/42", true, "42", NULL},
        {"o://a/{id}", "o://a/", false, NULL, NULL},
        {"o://a/{id}", "o://a/4/2", false, NULL, NULL},
        {"o://a/{id}", "o://a/4?x", false, NULL, NULL},
        {"o://a/{id}", "o://b/42", false, NULL, NULL},
        {"o://a/{id}/p", "o://a/4/p", true, "4", NULL},
        {"o://a/{id}/p", "o://a/4/q", false, NULL, NULL},
        {"o://a/{id}/p", "o://a//p", false, NULL, NULL},
        {"o:{a}.{b}", "o:1.2.3", true, "1", "2.3"},
        {"o:{a}.{b}.txt", "o:1.2.3.txt", true, "1", "2.3"},
        {"o:{a}-x", "o:1-x-x", true, "1-x", NULL},
        {"o:{a}-x", "o:-x", false, NULL, NULL},
        {"o://fixed", "o://fixed", true, NULL, NULL},
        {"o://fixed", "o://fixedly", false, NULL, NULL},
        {"o://fixed", "o://fix", false, NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct uritemplate_var vars[URITEMPLATE_VARS_MAX];
        size_t count = 0;
        if (uritemplate_match(str_of(rows[i].text), str_of(rows[i].uri), vars, &count) !=
            rows[i].matches)
            fail_msg("%s on %s", rows[i].text, rows[i].uri);
        if (rows[i].first)
            assert_true(str_eq(vars[0].value, str_of(rows[i].first)));
        if (rows[i].second)
            assert_true(str_eq(vars[1].value, str_of(rows[i].second)));
        if (rows[i].matches)
            assert_int_equal(count, uritemplate_count(str_of(rows[i].text)));
    }
}

static void filling_encodes_and_decoding_gives_the_value_back(void **state)
{
    const struct uritemplate_var vars[] = {{S("id"), S("a b/\xC3\xA4~")}};
    struct uritemplate_var found[URITEMPLATE_VARS_MAX];
    CLEANUP(buf_deinit) struct buf uri, value;
    size_t count;

    (void)state;
    buf_init(&uri, 1000);
    buf_init(&value, 1000);
    assert_true(uritemplate_fill(S("o://x/{id}/y{none}"), vars, 1, &uri));
    assert_true(str_eq(buf_str(&uri), S("o://x/a%20b%2F%C3%A4~/y")));
    assert_true(uritemplate_match(S("o://x/{id}/y"), buf_str(&uri), found, &count));
    assert_true(uritemplate_decode(found[0].value, &value));
    assert_true(str_eq(buf_str(&value), vars[0].value));
}

static void broken_escapes_are_not_decoded(void **state)
{
    static const char *const broken_values[] = {"%", "%2", "%G0", "a%0g"};
    CLEANUP(buf_deinit) struct buf b;

    (void)state;
    buf_init(&b, 1000);
    for (size_t i = 0; i < countof(broken_values); i++)
        assert_false(uritemplate_decode(str_of(broken_values[i]), &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_absolute_level_1_templates_are_good),
        cmocka_unit_test(too_many_variables_are_refused),
        cmocka_unit_test(a_uri_matches_when_every_piece_finds_its_place),
        cmocka_unit_test(filling_encodes_and_decoding_gives_the_value_back),
        cmocka_unit_test(broken_escapes_are_not_decoded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
