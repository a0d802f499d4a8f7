/* What a report of self-checks declares. The checks themselves run in tests/integration. */
#include "core/selfcheck.h"
#include "unit.h"

static void a_profile_needs_a_check_and_no_bad_one(void **state)
{
    struct selfcheck_report r = {0};

    (void)state;
    assert_false(selfcheck_has(&r, SELFCHECK_CORE));
    selfcheck_add(&r, "a", SELFCHECK_CORE, true, "");
    selfcheck_add(&r, "b", SELFCHECK_EVENTED, false, "why");
    assert_true(selfcheck_has(&r, SELFCHECK_CORE));
    assert_false(selfcheck_has(&r, SELFCHECK_EVENTED));
    assert_false(selfcheck_has(&r, SELFCHECK_FULL));
    selfcheck_add(&r, "c", SELFCHECK_CORE, false, "");
    assert_false(selfcheck_has(&r, SELFCHECK_CORE));
    assert_string_equal(r.list[1].note, "why");
}

static void long_notes_are_cut(void **state)
{
    struct selfcheck_report r = {0};
    char text[400];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    selfcheck_add(&r, "a", SELFCHECK_CORE, false, text);
    assert_int_equal(strlen(r.list[0].note), sizeof r.list[0].note - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_profile_needs_a_check_and_no_bad_one),
        T(long_notes_are_cut),
    };
    return RUN(tests);
}
