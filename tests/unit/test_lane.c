#include "unit.h"
#include "loop/lane.h"

#include <pthread.h>
#include <sched.h>

static void put(struct lane *l, const char *text)
{
    char *to = lane_reserve(l, 32);

    assert_non_null(to);
    memcpy(to, text, strlen(text));
    lane_commit(l, strlen(text));
}

static void records_come_out_in_order(void **state)
{
    struct lane l;

    (void)state;
    assert_true(lane_init(&l, 256));
    assert_null(lane_peek(&l).ptr);
    put(&l, "one");
    put(&l, "");
    put(&l, "three");
    assert_str(lane_peek(&l), "one");
    assert_str(lane_peek(&l), "one"); /* stays until lane_next() */
    lane_next(&l);
    assert_int_equal(lane_peek(&l).len, 0);
    assert_non_null(lane_peek(&l).ptr);
    lane_next(&l);
    assert_str(lane_peek(&l), "three");
    lane_next(&l);
    assert_null(lane_peek(&l).ptr);
    lane_next(&l); /* harmless */
    assert_int_equal(lane_used(&l), 0);
    lane_deinit(&l);
}

static void a_full_lane_takes_nothing(void **state)
{
    struct lane l;
    int n = 0;

    (void)state;
    assert_true(lane_init(&l, 128));
    while (lane_reserve(&l, 24)) {
        lane_commit(&l, 24);
        n++;
    }
    assert_int_equal(n, 4);
    assert_null(lane_reserve(&l, 0) && lane_reserve(&l, 200) ? &l : NULL);
    lane_next(&l);
    assert_non_null(lane_reserve(&l, 24));
    lane_deinit(&l);
}

static void less_may_be_committed_than_reserved(void **state)
{
    struct lane l;

    (void)state;
    assert_true(lane_init(&l, 128));
    for (int i = 0; i < 1000; i++) { /* around the end at every place */
        char *to = lane_reserve(&l, 40);
        assert_non_null(to);
        memset(to, i & 0x7F, 40);
        lane_commit(&l, (size_t)(i % 41));
        str r = lane_peek(&l);
        assert_int_equal(r.len, i % 41);
        if (r.len)
            assert_int_equal(r.ptr[r.len - 1], i & 0x7F);
        lane_next(&l);
    }
    lane_deinit(&l);
}

enum { RECORDS = 200000 };
static struct lane shared;

static void *write_all(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < RECORDS;) {
        char *to = lane_reserve(&shared, 24);
        if (!to) {
            sched_yield();
            continue;
        }
        memcpy(to, &i, sizeof i);
        lane_commit(&shared, 8 + i % 17);
        i++;
    }
    return NULL;
}

static void two_threads_lose_nothing(void **state)
{
    pthread_t writer;

    (void)state;
    assert_true(lane_init(&shared, 1024));
    assert_int_equal(pthread_create(&writer, NULL, write_all, NULL), 0);
    for (uint64_t i = 0; i < RECORDS;) {
        str r = lane_peek(&shared);
        uint64_t found;
        if (!r.ptr) {
            sched_yield();
            continue;
        }
        memcpy(&found, r.ptr, sizeof found);
        assert_int_equal(found, i);
        assert_int_equal(r.len, 8 + i % 17);
        lane_next(&shared);
        i++;
    }
    pthread_join(writer, NULL);
    lane_deinit(&shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(records_come_out_in_order),
        T(a_full_lane_takes_nothing),
        T(less_may_be_committed_than_reserved),
        T(two_threads_lose_nothing),
    };
    return RUN(tests);
}
