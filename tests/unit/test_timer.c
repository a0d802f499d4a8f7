/* timer.c and list.h. */
#include "unit.h"
#include "base/list.h"
#include "loop/timer.h"

/* --- list.h ------------------------------------------------------------------------------------- */

struct item {
    struct list link;
    int n;
};

static void lists_keep_order_and_can_be_taken_over(void **state)
{
    struct list a, b;
    struct item items[3] = {{.n = 0}, {.n = 1}, {.n = 2}};
    int n = 0;

    (void)state;
    list_init(&a);
    list_take(&b, &a);
    assert_true(list_is_empty(&b));
    for (int i = 0; i < 3; i++)
        list_push(&a, &items[i].link);
    list_take(&b, &a);
    assert_true(list_is_empty(&a));
    for (struct list *l = b.next; l != &b; l = l->next)
        assert_int_equal(container_of(l, struct item, link)->n, n++);
    list_remove(&items[1].link);
    list_remove(&items[1].link); /* harmless */
    assert_ptr_equal(items[0].link.next, &items[2].link);
    list_remove(&items[0].link);
    list_remove(&items[2].link);
    assert_true(list_is_empty(&b));
}

static void a_zeroed_queue_works_and_refills(void **state)
{
    struct task_queue q = {0};
    struct task t[4];

    (void)state;
    assert_null(task_pop(&q));
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 4; i++)
            task_push(&q, &t[i]);
        for (int i = 0; i < 4; i++)
            assert_ptr_equal(task_pop(&q), &t[i]);
        assert_null(task_pop(&q));
    }
}

/* --- the wheel ---------------------------------------------------------------------------------- */

struct probe {
    struct timer timer;
    uint64_t fired_at;
    unsigned fired;
};

static struct timer_wheel *wheel;

static void fire(struct timer *t)
{
    struct probe *p = container_of(t, struct probe, timer);

    assert_false(timer_is_running(t));
    p->fired++;
    p->fired_at = wheel->now_ms;
}

/* Advances as a loop does: sleeps until timer_wheel_next(). */
static void run_until(struct timer_wheel *w, uint64_t until)
{
    uint64_t next;

    while ((next = timer_wheel_next(w)) <= until) {
        assert_true(next > w->now_ms);
        timer_wheel_advance(w, next);
    }
    timer_wheel_advance(w, until);
}

static void fires_exactly_around_every_level_border(void **state)
{
    static const uint64_t starts[] = {0,      1,        62,       63,       64,       65,
                                      4094,   4095,     4096,     4097,     262143,   262144,
                                      262145, 16777214, 16777215, 16777216, 16777217, 999999999};
    static const uint64_t delays[] = {0,      1,      2,        62,       63,       64,
                                      65,     127,    128,      4032,     4094,     4095,
                                      4096,   4097,   8191,     262080,   262143,   262144,
                                      262145, 524288, 16515072, 16777151, 16777214, 16777215};
    static struct timer_wheel w;

    (void)state;
    wheel = &w;
    for (size_t s = 0; s < countof(starts); s++)
        for (size_t d = 0; d < countof(delays); d++)
            for (int jump = 0; jump < 2; jump++) {
                struct probe p = {0};
                uint64_t at = starts[s] + delays[d];
                uint64_t want = at > starts[s] ? at : starts[s] + 1;
                timer_wheel_init(&w, starts[s]);
                timer_start(&w, &p.timer, at, fire);
                if (jump) {
                    timer_wheel_advance(&w, want - 1);
                    assert_int_equal(p.fired, 0);
                    timer_wheel_advance(&w, want);
                } else {
                    run_until(&w, want);
                }
                assert_int_equal(p.fired, 1);
                assert_int_equal(p.fired_at, want);
                assert_int_equal(w.count, 0);
                assert_true(timer_wheel_next(&w) == TIMER_NEVER);
            }
}

static void every_delay_of_two_levels_is_exact(void **state)
{
    static struct timer_wheel w;

    (void)state;
    wheel = &w;
    for (uint64_t start = 1000; start < 1064; start += 7)
        for (uint64_t delay = 1; delay < 4200; delay++) {
            struct probe p = {0};
            timer_wheel_init(&w, start);
            timer_start(&w, &p.timer, start + delay, fire);
            run_until(&w, start + delay);
            assert_int_equal(p.fired_at, start + delay);
        }
}

static void delays_beyond_the_horizon_are_kept(void **state)
{
    static const uint64_t delays[] = {16777216, 16777217, 33554432, 33554431, 100000000, 86400000};
    static struct timer_wheel w;
    struct probe p[countof(delays)] = {0};

    (void)state;
    wheel = &w;
    timer_wheel_init(&w, 12345);
    for (size_t i = 0; i < countof(delays); i++)
        timer_start(&w, &p[i].timer, 12345 + delays[i], fire);
    run_until(&w, 12345 + 100000000);
    for (size_t i = 0; i < countof(delays); i++) {
        assert_int_equal(p[i].fired, 1);
        assert_int_equal(p[i].fired_at, 12345 + delays[i]);
    }
}

static void a_restart_moves_and_a_stop_silences(void **state)
{
    static struct timer_wheel w;
    struct probe a = {0}, b = {0};

    (void)state;
    wheel = &w;
    timer_wheel_init(&w, 0);
    timer_stop(&w, &a.timer); /* harmless */
    timer_start(&w, &a.timer, 10, fire);
    timer_start(&w, &a.timer, 5000, fire);
    timer_start(&w, &b.timer, 20, fire);
    assert_int_equal(w.count, 2);
    timer_stop(&w, &b.timer);
    timer_stop(&w, &b.timer);
    assert_int_equal(w.count, 1);
    run_until(&w, 4999);
    assert_int_equal(a.fired + b.fired, 0);
    run_until(&w, 5000);
    assert_int_equal(a.fired, 1);
    assert_int_equal(b.fired, 0);
    timer_start(&w, &a.timer, 100, fire); /* in the past: the next advance */
    timer_wheel_advance(&w, 5001);
    assert_int_equal(a.fired, 2);
}

struct group {
    struct probe p[3];
};
static struct group *group;

static void stop_the_others(struct timer *t)
{
    fire(t);
    for (int i = 0; i < 3; i++)
        if (&group->p[i].timer != t)
            timer_stop(wheel, &group->p[i].timer);
}

static void a_callback_may_stop_others_that_are_due(void **state)
{
    static struct timer_wheel w;
    static struct group g;

    (void)state;
    wheel = &w;
    group = &g;
    timer_wheel_init(&w, 0);
    for (int i = 0; i < 3; i++)
        timer_start(&w, &g.p[i].timer, 70, stop_the_others);
    run_until(&w, 1000);
    assert_int_equal(g.p[0].fired + g.p[1].fired + g.p[2].fired, 1);
    assert_int_equal(w.count, 0);
}

static void start_again(struct timer *t)
{
    struct probe *p = container_of(t, struct probe, timer);

    fire(t);
    if (p->fired < 100)
        timer_start(wheel, t, wheel->now_ms, start_again); /* at once means: a turn later */
}

static void a_callback_may_start_itself_again(void **state)
{
    static struct timer_wheel w;
    struct probe p = {0};

    (void)state;
    wheel = &w;
    timer_wheel_init(&w, 0);
    timer_start(&w, &p.timer, 1, start_again);
    run_until(&w, 99);
    assert_int_equal(p.fired, 99);
    run_until(&w, 1000);
    assert_int_equal(p.fired, 100);
    assert_int_equal(p.fired_at, 100);
}

/* --- against a model ---------------------------------------------------------------------------- */

enum { MODEL = 200, STEPS = 60000 };

static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static uint64_t random_delay(void)
{
    uint64_t r = next_random();
    unsigned bits = (unsigned)(r % 27); /* up to four times the horizon */

    r = next_random() & (((uint64_t)1 << bits) - 1);
    return next_random() % 4 ? r : (uint64_t)1 << bits; /* borders often */
}

static void agrees_with_a_sorted_list(void **state)
{
    static struct probe p[MODEL];
    static uint64_t due[MODEL]; /* 0: not running */
    static struct timer_wheel w;
    uint64_t now = 16777000;

    (void)state;
    wheel = &w;
    timer_wheel_init(&w, now);
    for (int step = 0; step < STEPS; step++) {
        size_t i = next_random() % MODEL;
        switch (next_random() % 4) {
        case 0:
            timer_stop(&w, &p[i].timer);
            due[i] = 0;
            break;
        case 1:
        case 2: {
            uint64_t at = now + random_delay();
            timer_start(&w, &p[i].timer, at, fire);
            due[i] = at > w.now_ms ? at : w.now_ms + 1;
            break;
        }
        default:
            now += random_delay() >> 4;
            timer_wheel_advance(&w, now);
            for (size_t k = 0; k < MODEL; k++) {
                bool is_due = due[k] && due[k] <= now;
                assert_int_equal(p[k].fired, is_due);
                if (is_due) {
                    assert_int_equal(p[k].fired_at, due[k]);
                    due[k] = 0;
                }
                p[k].fired = 0;
                assert_int_equal(timer_is_running(&p[k].timer), due[k] != 0);
            }
        }
        size_t running = 0;
        uint64_t first = TIMER_NEVER;
        for (size_t k = 0; k < MODEL; k++) {
            running += due[k] != 0;
            first = due[k] && due[k] < first ? due[k] : first;
        }
        assert_int_equal(w.count, running);
        assert_true(timer_wheel_next(&w) <= first); /* it never sleeps past one */
        assert_true(running || timer_wheel_next(&w) == TIMER_NEVER);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(lists_keep_order_and_can_be_taken_over),
        T(a_zeroed_queue_works_and_refills),
        T(fires_exactly_around_every_level_border),
        T(every_delay_of_two_levels_is_exact),
        T(delays_beyond_the_horizon_are_kept),
        T(a_restart_moves_and_a_stop_silences),
        T(a_callback_may_stop_others_that_are_due),
        T(a_callback_may_start_itself_again),
        T(agrees_with_a_sorted_list),
    };
    return RUN(tests);
}
