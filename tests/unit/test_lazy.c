/* Libraries that are loaded at need. */
#include "unit.h"
#include "base/lazy.h"

static double (*cosine)(double x);
static void (*absent)(void);
static const struct lazy_symbol good_symbols[] = {{"cos", &cosine}};
static const struct lazy_symbol old_symbols[] = {{"cos", &cosine}, {"of_a_later_version", &absent}};

static void functions_can_be_called(void **state)
{
    struct lazy l = {"libm.so.6", good_symbols, 1};
    const char *why = NULL;

    (void)state;
    assert_true(lazy_load(&l, &why));
    assert_string_equal(why, "");
    assert_true(cosine(0) == 1);
}

static void a_library_is_looked_at_once(void **state)
{
    struct lazy l = {"libm.so.6", good_symbols, 1};

    (void)state;
    assert_true(lazy_load(&l, NULL));
    cosine = NULL;
    assert_true(lazy_load(&l, NULL));
    assert_null(cosine);
}

static void a_missing_function_is_named(void **state)
{
    struct lazy l = {"libm.so.6", old_symbols, 2};
    const char *why = NULL;

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_false(lazy_load(&l, &why));
        assert_string_equal(why, "libm.so.6 has no of_a_later_version");
    }
}

static void a_missing_library_is_missing_each_time(void **state)
{
    struct lazy l = {"libnobody-has-this.so.9", good_symbols, 1};
    const char *why = NULL;

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_false(lazy_load(&l, &why));
        assert_non_null(strstr(why, "libnobody-has-this.so.9"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {T(functions_can_be_called), T(a_library_is_looked_at_once),
                                       T(a_missing_function_is_named),
                                       T(a_missing_library_is_missing_each_time)};
    return RUN(tests);
}
