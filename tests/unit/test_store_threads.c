/* Several threads submit at once; nothing is lost, doubled or mixed up. Meant for the thread sanitizer. */
#include "test_store.h"

enum { THREADS = 4, TIMES = 300 };

static int set_up(void **state)
{
    world_up(*(enum world_driver *)*state);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_down();
    return 0;
}

/* Threads must not call the asserts of cmocka: they jump. */
static void *count_up(void *arg)
{
    char value[64];

    for (int n = 0; n < TIMES;) {
        uint64_t revision, sum;
        mig_status st = get(key(ACME, "n"), value, &revision);
        snprintf(value, sizeof value, "%d", (st == MIG_OK ? atoi(value) : 0) + 1);
        st = put(key(ACME, "n"), value, revision, 0, NULL);
        must(st == MIG_OK || st == MIG_VERSION_MISMATCH);
        n += st == MIG_OK;
        must(add(key(ACME, "sum"), 1, &sum) == MIG_OK);
    }
    return arg;
}

static void run(void *(*fn)(void *arg))
{
    pthread_t t[THREADS];
    static int number[THREADS];

    for (int i = 0; i < THREADS; i++) {
        number[i] = i;
        assert_int_equal(pthread_create(&t[i], NULL, fn, &number[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
}

static void compare_and_set_loses_nothing(void **state)
{
    char value[64];
    uint64_t sum;

    (void)state;
    run(count_up);
    assert_int_equal(get(key(ACME, "n"), value, NULL), MIG_OK);
    assert_int_equal(atoi(value), THREADS * TIMES);
    assert_int_equal(add(key(ACME, "sum"), 0, &sum), MIG_OK);
    assert_true(sum >= THREADS * TIMES);
}

/* Each writes a log of its own with many appends on their way, trims it, and reads another's. */
static void *write_log(void *arg)
{
    static struct asked many[THREADS][TIMES];
    int me = *(int *)arg;
    char name[16], other[16], value[16];
    struct store_head h;
    struct store_stats st;
    uint64_t first;

    snprintf(name, sizeof name, "t%d", me);
    snprintf(other, sizeof other, "t%d", (me + 1) % THREADS);
    for (uint64_t i = 0; i < TIMES; i++) {
        struct asked *a = asked_init(&many[me][i]);
        const struct store_record record = {i + 1, 0, str_of(name), S("id"), S("bytes")};
        must(store_append(world.s, &a->r, topic(ACME, name), &record) == MIG_OK);
        if (i % 50 == 0) {
            struct asked r;
            struct store_record rec;
            mig_status got = asked_wait(
                &r, store_read(world.s, &asked_init(&r)->r, topic(ACME, other), 0, 100, 10000));
            must(got == MIG_OK || got == MIG_NOT_FOUND);
            uint64_t seq = 0;
            while (store_next_record(&r.r, &rec)) {
                must(str_eq(rec.key, str_of(other)) && (!seq || rec.seq == seq + 1));
                seq = rec.seq;
            }
            asked_deinit(&r);
            snprintf(value, sizeof value, "%d", (int)i);
            must(put(key(ACME, name), value, STORE_ANY, i % 100 ? 1 : 0, NULL) == MIG_OK);
            must(trim(topic(ACME, name), i / 2, &first) == MIG_OK);
            store_stats(world.s, &st);
        }
    }
    for (int i = 0; i < TIMES; i++) {
        must(asked_wait(&many[me][i], MIG_OK) == MIG_OK && many[me][i].times == 1);
        asked_deinit(&many[me][i]);
    }
    must(head(topic(ACME, name), &h) == MIG_OK && h.last == TIMES);
    return arg;
}

static void logs_do_not_mix(void **state)
{
    struct store_stats st;

    (void)state;
    run(write_log);
    store_stats(world.s, &st);
    assert_int_equal(st.topics, THREADS);
    assert_int_equal(st.waiting + st.waiting_bytes + st.reads_waiting, 0);
    assert_false(st.is_failing);
}

static enum world_driver drivers[] = {MEMORY, SQLITE};

int main(void)
{
#define TD(f)                                                                                      \
    {"memory: " #f, f, set_up, tear_down, &drivers[0]},                                            \
    {                                                                                              \
        "sqlite: " #f, f, set_up, tear_down, &drivers[1]                                           \
    }
    const struct CMUnitTest tests[] = {
        TD(compare_and_set_loses_nothing),
        TD(logs_do_not_mix),
    };
    return RUN(tests);
}
