/* ctl_gen.c: payloads from schemas. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "main/ctl_check.h"

static void generates(const char *schema, enum gen_kind kind, const char *want)
{
    struct buf b;

    buf_init(&b, 4 << 20);
    gen_input(&b, str_of(schema), kind);
    buf_addc(&b, 0);
    assert_string_equal(b.ptr, want);
    buf_deinit(&b);
}

static void valid_input_follows_the_schema(void **state)
{
    static const struct {
        const char *schema, *want;
    } rows[] = {
        {"{\"type\":\"object\",\"required\":[\"n\"],\"properties\":{\"n\":{\"type\":\"string\"},"
         "\"o\":{\"type\":\"integer\"}}}",
         "{\"n\":\"Ada\"}"},
        {"{\"type\":\"string\",\"minLength\":5,\"maxLength\":5}", "\"AdaAd\""},
        {"{\"type\":\"string\",\"maxLength\":2}", "\"Ad\""},
        {"{\"type\":\"string\",\"format\":\"date\"}", "\"2026-01-02\""},
        {"{\"type\":\"integer\",\"minimum\":7}", "7"},
        {"{\"type\":\"integer\",\"exclusiveMinimum\":7}", "8"},
        {"{\"type\":\"integer\",\"maximum\":-3}", "-3"},
        {"{\"type\":\"integer\",\"minimum\":7,\"multipleOf\":5}", "10"},
        {"{\"type\":[\"boolean\",\"null\"]}", "true"},
        {"{\"type\":\"array\",\"minItems\":2,\"items\":{\"type\":\"null\"}}", "[null,null]"},
        {"{\"enum\":[\"x\",\"y\"]}", "\"x\""},
        {"{\"const\":{\"a\":1}}", "{\"a\":1}"},
        {"{\"type\":\"string\",\"default\":\"d\"}", "\"d\""},
        {"{\"$ref\":\"#/$defs/t\",\"$defs\":{\"t\":{\"type\":\"integer\"}}}", "1"},
        {"{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"string\"}]}", "1"},
        {"{\"type\":\"object\",\"required\":[\"n\"]}", "{\"n\":\"Ada\"}"},
        {"", "{}"},
        {"true", "{}"},
    };
    (void)state;

    for (size_t i = 0; i < countof(rows); i++)
        generates(rows[i].schema, GEN_REQUIRED, rows[i].want);
}

static void a_schema_that_eats_its_tail_ends(void **state)
{
    struct buf b;
    (void)state;

    buf_init(&b, 1 << 20);
    gen_input(&b, S("{\"$ref\":\"#\"}"), GEN_REQUIRED);
    assert_true(mig_json_valid(buf_str(&b)));
    buf_clear(&b);
    gen_input(
        &b, S("{\"type\":\"object\",\"required\":[\"a\"],\"properties\":{\"a\":{\"$ref\":\"#\"}}}"),
        GEN_ALL);
    assert_true(mig_json_valid(buf_str(&b)));
    buf_deinit(&b);
}

static void every_kind_is_json(void **state)
{
    static const char *const schemas[] = {
        "",
        "{}",
        "{\"type\":\"string\"}",
        "{\"type\":\"object\"}",
        "{\"type\":\"object\",\"required\":[\"n\",\"m\"],\"properties\":{\"n\":{\"type\":"
        "\"string\"},"
        "\"m\":{\"type\":\"array\",\"items\":{\"type\":\"number\"}},\"o\":{\"type\":\"boolean\"}}}",
    };
    (void)state;

    for (size_t i = 0; i < countof(schemas); i++)
        for (int kind = 0; kind < GEN_KINDS; kind++) {
            struct buf b;
            buf_init(&b, 4 << 20);
            gen_input(&b, str_of(schemas[i]), (enum gen_kind)kind);
            if (!mig_json_valid(buf_str(&b)))
                fail_msg("%s for %s: %.*s", gen_name((enum gen_kind)kind), schemas[i],
                         (int)(b.len < 200 ? b.len : 200), b.ptr);
            if (kind == GEN_HUGE)
                assert_true(b.len >= 1 << 20 || b.ptr[b.len - 1] != '}');
            buf_deinit(&b);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_input_follows_the_schema),
        cmocka_unit_test(a_schema_that_eats_its_tail_ends),
        cmocka_unit_test(every_kind_is_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
