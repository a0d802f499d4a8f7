#include "unit.h"
#include "core/rate.h"

#include <pthread.h>

enum { MS = 1000000 };

static void a_burst_passes_and_then_one_per_interval(void **state)
{
    const struct rate r = rate_of(/*rps=*/10, /*burst=*/3);
    _Atomic uint64_t word = 0;
    uint64_t now = 5000ull * MS;

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(rate_take(&word, &r, now), 0);
    assert_int_equal(rate_take(&word, &r, now), 100 * MS); /* says exactly when */
    assert_int_equal(rate_take(&word, &r, now + 99 * MS), 1 * MS);
    assert_int_equal(rate_take(&word, &r, now + 100 * MS), 0);
    assert_int_equal(rate_take(&word, &r, now + 100 * MS), 100 * MS);
    assert_int_equal(rate_take(&word, &r, now + 10000ull * MS), 0); /* rested: the burst is back */
    assert_int_equal(rate_take(&word, &r, now + 10000ull * MS), 0);
    assert_int_equal(rate_take(&word, &r, now + 10000ull * MS), 0);
    assert_true(rate_take(&word, &r, now + 10000ull * MS) > 0);
}

static void the_rate_holds_over_time(void **state)
{
    const struct rate r = rate_of(100, 5);
    _Atomic uint64_t word = 0;
    unsigned passed = 0;

    (void)state;
    for (uint64_t t = 0; t < 10000; t++) /* one try per ms for ten seconds */
        passed += rate_take(&word, &r, (1000 + t) * MS) == 0;
    assert_in_range(passed, 1003, 1005);
}

static void no_rate_is_no_limit(void **state)
{
    const struct rate r = rate_of(0, 7);
    _Atomic uint64_t word = 0;

    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(rate_take(&word, &r, 1), 0);
    assert_int_equal(word, 0);
    const struct rate second = rate_of(4, 0); /* no burst said: a second's worth */
    for (int i = 0; i < 4; i++)
        assert_int_equal(rate_take(&word, &second, MS), 0);
    assert_int_equal(rate_take(&word, &second, MS), 250 * MS);
}

static void waits_are_told_in_whole_milliseconds_and_never_too_few(void **state)
{
    (void)state;
    assert_int_equal(rate_wait_ms(1), 1);
    assert_int_equal(rate_wait_ms(MS), 1);
    assert_int_equal(rate_wait_ms(MS + 1), 2);
    assert_int_equal(rate_wait_ms(UINT64_MAX / 2), UINT32_MAX);
}

struct racer {
    _Atomic uint64_t *word;
    unsigned passed;
};

static void *race(void *arg)
{
    const struct rate r = rate_of(1, 100);
    struct racer *me = arg;

    for (int i = 0; i < 1000; i++)
        me->passed += rate_take(me->word, &r, 1000ull * MS) == 0;
    return NULL;
}

static void threads_share_one_burst_exactly(void **state)
{
    _Atomic uint64_t word = 0;
    struct racer me[4] = {{&word, 0}, {&word, 0}, {&word, 0}, {&word, 0}};
    pthread_t t[4];
    unsigned sum = 0;

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, race, &me[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
        sum += me[i].passed;
    }
    assert_int_equal(sum, 100);
}

static str key(uint32_t *n)
{
    return (str){(const char *)n, sizeof *n};
}

static void keys_are_apart_and_bounded(void **state)
{
    const struct rate r = rate_of(1, 1);
    struct rate_table *t = rate_table_new(512);
    unsigned passed = 0;

    (void)state;
    for (uint32_t i = 0; i < 100000; i++) /* a flood of made-up keys */
        passed += rate_table_take(t, key(&i), &r, 1000ull * MS) == 0;
    assert_in_range(rate_table_count(t), 256, 512);
    assert_in_range(passed, 256, 512 + 256); /* each known one once, each shared word once */
    uint32_t fresh = 4000000;
    assert_int_equal(rate_table_take(t, key(&fresh), &r, 2100ull * MS), 0); /* all have run out */
    assert_true(rate_table_take(t, key(&fresh), &r, 2100ull * MS) > 0);
    assert_in_range(rate_table_count(t), 1, 512);
    rate_table_free(t);
}

static void a_peer_is_an_address_or_a_network(void **state)
{
    static const struct {
        const char *a, *b;
        bool is_same;
    } rows[] = {
        {"192.0.2.7:1", "192.0.2.7:2", true},
        {"192.0.2.7:1", "192.0.2.8:1", false},
        {"[2001:db8::1]:1", "[2001:db8::ffff:2]:9", true},
        {"[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false},
        {"[::ffff:192.0.2.7]:1", "192.0.2.7:1", true},
        {"[::ffff:192.0.2.7]:1", "[::ffff:192.0.2.9]:1", false},
    };
    char a[RATE_PEER], b[RATE_PEER];

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        size_t n = rate_peer(str_of(rows[i].a), a), m = rate_peer(str_of(rows[i].b), b);
        assert_true(n && m);
        assert_int_equal(str_eq((str){a, n}, (str){b, m}), rows[i].is_same);
    }
    assert_int_equal(rate_peer(S(""), a), 0);
    assert_int_equal(rate_peer(S("unix"), a), 0);
    assert_int_equal(rate_peer(S("[::1"), a), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_burst_passes_and_then_one_per_interval),
        T(the_rate_holds_over_time),
        T(no_rate_is_no_limit),
        T(waits_are_told_in_whole_milliseconds_and_never_too_few),
        T(threads_share_one_burst_exactly),
        T(keys_are_apart_and_bounded),
        T(a_peer_is_an_address_or_a_network),
    };
    return RUN(tests);
}
