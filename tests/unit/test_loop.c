#include "unit.h"
#include "base/clock.h"
#include "loop/loop.h"

#include <pthread.h>

static struct loop *loop;
static char seen[4096];
static size_t seen_len;

static int set_up(void **state)
{
    (void)state;
    seen_len = 0;
    loop = loop_new(0);
    return loop ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(loop);
    assert_null(loop_current());
    return 0;
}

static void see(struct loop *l, uint64_t v)
{
    assert_ptr_equal(l, loop);
    assert_ptr_equal(loop_current(), loop);
    seen[seen_len++ % sizeof seen] = (char)v;
}

static void messages_of_a_thread_keep_their_order(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 3000; i++) /* more than the budget of a turn */
        loop_post_fn(loop, see, i % 100);
    loop_stop(loop);
    loop_run(loop);
    assert_int_equal(seen_len, 3000);
    for (size_t i = 0; i < 3000; i++)
        assert_int_equal(seen[i], i % 100);
    assert_int_equal(atomic_load(&loop->inbox_depth), 0);
}

static bool timer_fired;
static size_t seen_at_timer;

static void on_timer(struct timer *t)
{
    (void)t;
    timer_fired = true;
    seen_at_timer = seen_len;
}

static void post_many(struct loop *l, uint64_t v)
{
    static struct timer timer;

    (void)v;
    loop_timer(l, &timer, 0, on_timer);
    for (int i = 0; i < 3000; i++)
        loop_post_fn(l, see, 1);
    loop_stop(l);
    usleep(3000);
}

static void a_long_inbox_does_not_starve_the_rest(void **state)
{
    (void)state;
    timer_fired = false;
    loop_post_fn(loop, post_many, 0);
    loop_run(loop);
    assert_int_equal(seen_len, 3000);
    assert_true(timer_fired);
    assert_in_range(seen_at_timer, 0, 2999);
}

struct letter {
    struct task task;
    char c;
};

static void write_letter(struct task *t)
{
    seen[seen_len++] = container_of(t, struct letter, task)->c;
}

static struct letter later[3] = {
    {{.run = write_letter}, 'b'}, {{.run = write_letter}, 'c'}, {{.run = write_letter}, 'd'}};

static void defer_more(struct task *t)
{
    write_letter(t);
    loop_defer(loop, &later[2].task);
}

static void defer_two(struct loop *l, uint64_t v)
{
    (void)v;
    later[1].task.run = defer_more;
    loop_defer(l, &later[0].task);
    loop_defer(l, &later[1].task);
    seen[seen_len++] = 'a'; /* deferred work runs after the callback, before the next message */
}

static void deferred_work_comes_before_the_next_message(void **state)
{
    (void)state;
    loop_post_fn(loop, defer_two, 0);
    loop_post_fn(loop, see, 'e');
    loop_stop(loop);
    loop_run(loop);
    assert_memory_equal(seen, "abcde", 5);
}

static void stop_on_timer(struct timer *t)
{
    (void)t;
    see(loop, 't');
    loop_stop(loop);
}

static struct timer timers[3];

static void see_timer(struct timer *t)
{
    see(loop, (uint64_t)('0' + (t - timers)));
}

static void start_timers(struct loop *l, uint64_t v)
{
    (void)v;
    loop_timer(l, &timers[2], 12, stop_on_timer);
    loop_timer(l, &timers[1], 6, see_timer);
    loop_timer(l, &timers[0], 1, see_timer);
}

static void timers_wake_the_loop_in_order(void **state)
{
    (void)state;
    loop_post_fn(loop, start_timers, 0);
    loop_run(loop);
    assert_memory_equal(seen, "01t", 3);
    assert_int_equal(seen_len, 3);
}

enum { THREADS = 4, EACH = 5000 };
static uint64_t last[THREADS];

static void in_order(struct loop *l, uint64_t v)
{
    uint64_t thread = v >> 32, n = v & UINT32_MAX;

    assert_int_equal(n, last[thread] + 1);
    last[thread] = n;
    if (++seen_len == (size_t)THREADS * EACH)
        loop_stop(l);
}

static void *post_from_outside(void *arg)
{
    for (uint64_t n = 1; n <= EACH; n++)
        loop_post_fn(loop, in_order, (uint64_t)(uintptr_t)arg << 32 | n);
    return NULL;
}

static void nothing_is_lost_between_threads(void **state)
{
    pthread_t t[THREADS];

    (void)state;
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, post_from_outside, (void *)i), 0);
    loop_run(loop);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(seen_len, (size_t)THREADS * EACH);
}

struct hog {
    struct task task;
    unsigned left;
};

static uint64_t turn_of[64];

/* Longer than what all that gave way has of a turn; then it gives way again. */
static void work_long(struct task *t)
{
    struct hog *h = container_of(t, struct hog, task);

    turn_of[seen_len++] = loop->turns;
    for (uint64_t end = clock_now_ns() + 1200000; clock_now_ns() < end;)
        continue;
    if (--h->left)
        loop_yield(loop, t);
    else if (seen_len == 10)
        loop_stop(loop);
}

static void begin_hogs(struct loop *l, uint64_t v)
{
    static struct hog hogs[2];

    (void)v;
    for (size_t i = 0; i < countof(hogs); i++) {
        hogs[i] = (struct hog){{.run = work_long}, 5};
        loop_yield(l, &hogs[i].task);
    }
}

static void what_gives_way_lets_the_sockets_come_between(void **state)
{
    (void)state;
    loop_post_fn(loop, begin_hogs, 0);
    loop_run(loop);
    assert_int_equal(seen_len, 10);
    for (size_t i = 1; i < seen_len; i++)
        assert_true(turn_of[i] > turn_of[i - 1]); /* one of them in a turn */
}

static void work_short(struct task *t)
{
    struct hog *h = container_of(t, struct hog, task);

    turn_of[seen_len++] = loop->turns;
    if (--h->left)
        loop_yield(loop, t);
    else
        loop_stop(loop);
}

static void begin_short(struct loop *l, uint64_t v)
{
    static struct hog quick;

    (void)v;
    quick = (struct hog){{.run = work_short}, 5};
    loop_yield(l, &quick.task);
}

static void what_gives_way_again_waits_for_the_next_turn(void **state)
{
    (void)state;
    loop_post_fn(loop, begin_short, 0);
    loop_run(loop);
    assert_int_equal(seen_len, 5);
    for (size_t i = 1; i < seen_len; i++)
        assert_true(turn_of[i] > turn_of[i - 1]);
}

static void see_last(struct task *t)
{
    (void)t;
    see(loop, 'l');
}

static void yield_last(struct loop *l, uint64_t v)
{
    static struct task end = {.run = see_last};

    (void)v;
    loop_yield(l, &end);
}

static void what_gave_way_runs_before_the_end(void **state)
{
    (void)state;
    loop_post_fn(loop, yield_last, 0);
    loop_stop(loop);
    loop_run(loop);
    assert_int_equal(seen_len, 1);
}

int main(void)
{
#define TL(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TL(messages_of_a_thread_keep_their_order),
        TL(a_long_inbox_does_not_starve_the_rest),
        TL(deferred_work_comes_before_the_next_message),
        TL(timers_wake_the_loop_in_order),
        TL(nothing_is_lost_between_threads),
        TL(what_gives_way_lets_the_sockets_come_between),
        TL(what_gives_way_again_waits_for_the_next_turn),
        TL(what_gave_way_runs_before_the_end),
    };
    return RUN(tests);
}
