/* Libraries that are loaded at need. */
#include "unit.h"
#include "base/lazy.h"

static unsigned loads;

/* --- a library that is there -------------------------------------------------------------------- */

static double (*cosine)(double x);
static const struct lazy_symbol good_symbols[] = {{"cos", &cosine}};
static struct lazy good = {"libm.so.6", good_symbols, 1, PTHREAD_ONCE_INIT, ""};

static void load_good(void)
{
    loads++;
    assert_true(lazy_open(&good));
}

static void functions_can_be_called_and_are_looked_up_once(void **state)
{
    (void)state;
    loads = 0;
    assert_true(lazy_load(&good, load_good));
    assert_true(lazy_load(&good, load_good));
    assert_int_equal(loads, 1);
    assert_true(cosine(0) == 1);
}

/* --- and what can be missing -------------------------------------------------------------------- */

static void (*absent)(void);
static const struct lazy_symbol old_symbols[] = {{"cos", &cosine}, {"of_a_later_version", &absent}};
static struct lazy old = {"libm.so.6", old_symbols, 2, PTHREAD_ONCE_INIT, ""};
static struct lazy missing = {"libnobody-has-this.so.9", good_symbols, 1, PTHREAD_ONCE_INIT, ""};

static void load_old(void)
{
    assert_false(lazy_open(&old));
}

static void load_missing(void)
{
    loads++;
    assert_false(lazy_open(&missing));
}

static void a_missing_function_is_named(void **state)
{
    (void)state;
    assert_false(lazy_load(&old, load_old));
    assert_string_equal(old.why, "libm.so.6 has no of_a_later_version");
}

static void a_missing_library_is_missing_each_time(void **state)
{
    (void)state;
    loads = 0;
    assert_false(lazy_load(&missing, load_missing));
    assert_false(lazy_load(&missing, load_missing));
    assert_int_equal(loads, 1);
    assert_non_null(strstr(missing.why, "libnobody-has-this.so.9"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_can_be_called_and_are_looked_up_once),
        cmocka_unit_test(a_missing_function_is_named),
        cmocka_unit_test(a_missing_library_is_missing_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
