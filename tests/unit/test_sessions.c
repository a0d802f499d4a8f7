/* Sessions: heartbeats keep them, missed ones end them, tenants are apart. */
#include "core/sessions.h"
#include "unit.h"

struct heard {
    size_t count;
    char last[64];
};

static void hear(void *arg, str tenant, str id)
{
    struct heard *h = arg;

    h->count++;
    snprintf(h->last, sizeof h->last, "%.*s/%.*s", STR_ARG(tenant), STR_ARG(id));
}

static size_t sweep(struct sessions *all, uint64_t missed, uint64_t now, char last[64])
{
    struct heard h = {0};

    sessions_sweep(all, missed, now, hear, &h);
    if (last)
        memcpy(last, h.last, sizeof h.last);
    return h.count;
}

static void a_session_ends_after_the_missed_intervals_and_not_before(void **state)
{
    struct sessions *all = sessions_new();
    char last[64];

    (void)state;
    assert_true(sessions_beat(all, S("acme"), S("s1"), 1000, 5000));
    assert_int_equal(sweep(all, 3, 5000, NULL), 0);
    assert_int_equal(sweep(all, 3, 8000, NULL), 0);
    assert_int_equal(sessions_count(all), 1);
    assert_int_equal(sweep(all, 3, 8001, last), 1);
    assert_string_equal(last, "acme/s1");
    assert_int_equal(sessions_count(all), 0);
    assert_int_equal(sweep(all, 3, 99999, NULL), 0); /* told once */
    sessions_free(all);
}

static void a_heartbeat_renews_and_may_change_the_interval(void **state)
{
    struct sessions *all = sessions_new();

    (void)state;
    sessions_beat(all, S("acme"), S("s1"), 1000, 0);
    sessions_beat(all, S("acme"), S("s1"), 60000, 2900);
    assert_int_equal(sessions_count(all), 1);
    assert_int_equal(sweep(all, 3, 100000, NULL), 0);
    assert_int_equal(sweep(all, 3, 182901, NULL), 1);
    sessions_free(all);
}

static void tenants_with_the_same_session_id_are_apart(void **state)
{
    struct sessions *all = sessions_new();
    char last[64];

    (void)state;
    sessions_beat(all, S("acme"), S("s1"), 1000, 0);
    sessions_beat(all, S("other"), S("s1"), 1000, 3000);
    assert_int_equal(sessions_count(all), 2);
    assert_int_equal(sweep(all, 2, 2500, last), 1);
    assert_string_equal(last, "acme/s1");
    assert_int_equal(sessions_count(all), 1);
    sessions_free(all);
}

static void many_are_refused_at_the_limit_and_all_swept(void **state)
{
    struct sessions *all = sessions_new();
    char id[16];

    (void)state;
    for (unsigned i = 0; i < SESSIONS_MAX; i++)
        assert_true(sessions_beat(all, S("t"), (str){id, (size_t)snprintf(id, sizeof id, "%u", i)},
                                  1000, 0));
    assert_false(sessions_beat(all, S("t"), S("one more"), 1000, 0));
    assert_true(sessions_beat(all, S("t"), S("7"), 1000, 9000)); /* known ones go on */
    assert_int_equal(sweep(all, 3, 9000, NULL), SESSIONS_MAX - 1);
    assert_int_equal(sessions_count(all), 1);
    sessions_free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_session_ends_after_the_missed_intervals_and_not_before),
        T(a_heartbeat_renews_and_may_change_the_interval),
        T(tenants_with_the_same_session_id_are_apart),
        T(many_are_refused_at_the_limit_and_all_swept),
    };
    return RUN(tests);
}
