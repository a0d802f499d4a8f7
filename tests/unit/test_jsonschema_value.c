#include "unit.h"
#include "base/jsonschema_parts.h"

struct fixture {
    struct arena_pool pool;
    struct arena *a;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->a = arena_new(&f->pool, 1 << 20);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    arena_unref(f->a);
    arena_pool_deinit(&f->pool);
    free(f);
    return 0;
}

static const json_value *value(struct fixture *f, const char *text)
{
    struct json doc;
    assert_true(json_parse(&doc, f->a, str_of(text), NULL));
    return doc.root;
}

static void equal_values_are_equal_and_hash_alike(void **state)
{
    static const struct {
        const char *a, *b;
        bool is_equal;
    } cases[] = {
        {"1", "1.0", true},
        {"-0.0", "0", true},
        {"1e2", "100", true},
        {"-5", "-5.0", true},
        {"9007199254740993", "9007199254740992.0", false},
        {"18446744073709551615", "18446744073709551615", true},
        {"18446744073709551615", "18446744073709551614", false},
        {"18446744073709551615", "18446744073709551616", false},
        {"-9223372036854775808", "-9223372036854775808.0", true},
        {"0.1", "0.10", true},
        {"1", "true", false},
        {"0", "false", false},
        {"null", "null", true},
        {"\"a\"", "\"\\u0061\"", true},
        {"\"a\\u0000b\"", "\"a\\u0000c\"", false},
        {"[1,2]", "[1.0,2]", true},
        {"[1,2]", "[2,1]", false},
        {"[[]]", "[{}]", false},
        {"{\"a\":1,\"b\":[2]}", "{\"b\":[2.0],\"a\":1}", true},
        {"{\"a\":1,\"b\":2}", "{\"a\":2,\"b\":1}", false},
        {"{\"a\":1}", "{\"b\":1}", false},
        {"{\"a\":1}", "{\"a\":1,\"b\":1}", false},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        const json_value *a = value(*state, cases[i].a), *b = value(*state, cases[i].b);
        uint64_t steps = 1000;
        if (value_equal(a, b, &steps) != cases[i].is_equal ||
            value_equal(b, a, &steps) != cases[i].is_equal)
            fail_msg("%s %s", cases[i].a, cases[i].b);
        assert_int_equal(value_hash(a) == value_hash(b), cases[i].is_equal);
    }
}

static void comparing_takes_steps(void **state)
{
    const json_value *v = value(*state, "[1,2,3,4,5,6,7,8]");
    uint64_t steps = 5;

    assert_false(value_equal(v, v, &steps));
    assert_int_equal(steps, 0);
}

static void multiples_are_decimal(void **state)
{
    static const struct {
        const char *n, *divisor;
        bool is_multiple;
    } cases[] = {
        {"0.0075", "0.0001", true},
        {"0.00751", "0.0001", false},
        {"0.3", "0.1", true},
        {"4.5", "1.5", true},
        {"35", "1.5", false},
        {"0", "0.7", true},
        {"19.99", "0.01", true},
        {"-0.6", "0.2", true},
        {"1e308", "0.5", true},
        {"1e308", "0.123456789", false},
        {"1e-7", "1e-8", true},
        {"100", "1e1", true},
        {"1e1", "100", false},
        {"18446744073709551615", "5", true},
        {"18446744073709551614", "5", false},
        {"9007199254740993", "2", false},
        {"1.7976931348623157e308", "1", true},
        {"5e-324", "5e-324", true},
        {"12391239123", "1e-8", true},
    };

    for (size_t i = 0; i < countof(cases); i++)
        if (decimal_divides(decimal_of(value(*state, cases[i].divisor)),
                            decimal_of(value(*state, cases[i].n))) != cases[i].is_multiple)
            fail_msg("%s of %s", cases[i].n, cases[i].divisor);
}

static void knows_integers_and_lengths(void **state)
{
    static const char *const whole[] = {"0", "-1", "1.0", "1e300", "18446744073709551615"};
    static const char *const broken_ones[] = {"0.5", "-1.25", "1e-300"};

    for (size_t i = 0; i < countof(whole); i++)
        assert_true(value_is_integer(value(*state, whole[i])));
    for (size_t i = 0; i < countof(broken_ones); i++)
        assert_false(value_is_integer(value(*state, broken_ones[i])));
    assert_int_equal(value_length(S("")), 0);
    assert_int_equal(value_length(S("a\xc3\xa9\xf0\x9f\x98\x80")), 3);
    assert_int_equal(json_count(value(*state, "{\"a\":[1,2],\"b\":{}}")), 7);
    assert_int_equal(json_string(value(*state, "[1,2]")).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(equal_values_are_equal_and_hash_alike, set_up, tear_down),
        cmocka_unit_test_setup_teardown(comparing_takes_steps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(multiples_are_decimal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(knows_integers_and_lengths, set_up, tear_down),
    };
    return RUN(tests);
}
