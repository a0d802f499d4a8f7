#include "loop/loop.h"
#include "base/check.h"
#include "base/clock.h"

#include <stdlib.h>

enum { INBOX_BUDGET = 256, YIELDED_NS = 50000 };

static _Thread_local struct loop *current;

struct loop *loop_current(void)
{
    return current;
}

/* libuv runs the callbacks of its poll before our check handle: without this the watchdog would take
 * a loop that works on its sockets for one that waits. */
static void mark_busy(struct loop *l)
{
    if (!atomic_load_explicit(&l->busy_since_ns, memory_order_relaxed))
        atomic_store_explicit(&l->busy_since_ns, clock_turn_ns(), memory_order_relaxed);
}

void loop_drain(struct loop *l)
{
    if (l->deferred.first)
        mark_busy(l);
    for (struct task *t; (t = task_pop(&l->deferred));)
        t->run(t);
}

/* --- timers ------------------------------------------------------------------------------------ */

static void on_tick(uv_timer_t *h);

static void rearm(struct loop *l)
{
    uint64_t next = timer_wheel_next(&l->timers);

    if (next == l->tick_at_ms)
        return;
    l->tick_at_ms = next;
    if (next == TIMER_NEVER) {
        uv_timer_stop(&l->tick);
        return;
    }
    uint64_t now = loop_now_ms(l);
    uv_timer_start(&l->tick, on_tick, next > now ? next - now : 0, 0);
}

static void on_tick(uv_timer_t *h)
{
    struct loop *l = h->data;

    l->tick_at_ms = TIMER_NEVER;
    timer_wheel_advance(&l->timers, loop_now_ms(l));
    loop_drain(l);
}

/* The alarm is set before the loop goes to sleep. A timer that is stopped again leaves it where it
 * is: one idle wake-up costs less than moving it at each call. */
void loop_timer(struct loop *l, struct timer *t, uint64_t delay_ms, timer_fn fn)
{
    uint64_t now = loop_now_ms(l);

    if (l->timers.count == 0 && now > l->timers.now_ms)
        l->timers.now_ms = now;
    timer_start(&l->timers, t, now + delay_ms, fn);
}

/* --- inbox ------------------------------------------------------------------------------------- */

struct message {
    struct task task;
    void (*fn)(struct loop *l, uint64_t v);
    uint64_t v;
};

static void run_message(struct task *t)
{
    struct message *m = container_of(t, struct message, task);

    m->fn(current, m->v);
    free(m);
}

void loop_post(struct loop *l, struct task *t)
{
    pthread_mutex_lock(&l->inbox_lock);
    bool was_empty = !l->inbox.first;
    task_push(&l->inbox, t);
    pthread_mutex_unlock(&l->inbox_lock);
    atomic_fetch_add_explicit(&l->inbox_depth, 1, memory_order_relaxed);
    if (was_empty)
        uv_async_send(&l->wake);
}

void loop_post_fn(struct loop *l, void (*fn)(struct loop *l, uint64_t v), uint64_t v)
{
    struct message *m = malloc(sizeof *m);

    must(m);
    *m = (struct message){{.run = run_message}, fn, v};
    loop_post(l, &m->task);
}

static void on_more(uv_idle_t *h);

/* Runs up to a budget of messages; what is left waits for the next turn, so that sockets get theirs
 * in between. */
static void run_inbox(struct loop *l)
{
    struct task_queue mine;
    struct task *t = NULL;
    size_t n = 0;

    mark_busy(l);
    pthread_mutex_lock(&l->inbox_lock);
    mine = l->inbox;
    l->inbox = (struct task_queue){0};
    pthread_mutex_unlock(&l->inbox_lock);
    while (n < INBOX_BUDGET && (t = task_pop(&mine))) {
        t->run(t);
        loop_drain(l);
        n++;
    }
    atomic_fetch_sub_explicit(&l->inbox_depth, n, memory_order_relaxed);
    if (!mine.first)
        return;
    pthread_mutex_lock(&l->inbox_lock);
    if (l->inbox.first) {
        *mine.last = l->inbox.first;
        mine.last = l->inbox.last;
    }
    l->inbox = mine;
    pthread_mutex_unlock(&l->inbox_lock);
    uv_idle_start(&l->more, on_more);
}

static void run_yielded(struct loop *l)
{
    uint64_t end = clock_now_ns() + YIELDED_NS;
    struct task **last = l->yielded.last;

    mark_busy(l);
    for (struct task *t; (t = task_pop(&l->yielded));) {
        bool is_last = &t->next == last; /* what comes in from now on is for the next turn */
        t->run(t);
        loop_drain(l);
        if (is_last || clock_now_ns() >= end)
            return;
    }
}

void loop_yield(struct loop *l, struct task *t)
{
    task_push(&l->yielded, t);
    uv_idle_start(&l->more, on_more);
}

static void on_more(uv_idle_t *h)
{
    struct loop *l = h->data;

    uv_idle_stop(h);
    run_inbox(l);
    run_yielded(l);
    if (l->yielded.first)
        uv_idle_start(h, on_more);
}

static void on_wake(uv_async_t *h)
{
    run_inbox(h->data);
}

/* --- turn, start, stop -------------------------------------------------------------------------- */

static void on_before_poll(uv_prepare_t *h)
{
    struct loop *l = h->data;

    loop_drain(l);
    if (timer_wheel_has_noted(&l->timers) || l->tick_at_ms == TIMER_NEVER)
        rearm(l);
    atomic_store_explicit(&l->busy_since_ns, 0, memory_order_relaxed);
    clock_turn_next(true);
}

static void on_after_poll(uv_check_t *h)
{
    struct loop *l = h->data;

    l->turns++;
    mark_busy(l);
}

struct loop *loop_new(unsigned index)
{
    struct loop *l = calloc(1, sizeof *l);

    if (!l || uv_loop_init(&l->uv)) {
        free(l);
        return NULL;
    }
    l->index = index;
    l->thread = pthread_self();
    l->tick_at_ms = TIMER_NEVER;
    timer_wheel_init(&l->timers, loop_now_ms(l));
    must(pthread_mutex_init(&l->inbox_lock, NULL) == 0);
    must(uv_async_init(&l->uv, &l->wake, on_wake) == 0);
    uv_timer_init(&l->uv, &l->tick);
    uv_prepare_init(&l->uv, &l->before_poll);
    uv_check_init(&l->uv, &l->after_poll);
    uv_idle_init(&l->uv, &l->more);
    l->wake.data = l->tick.data = l->before_poll.data = l->after_poll.data = l->more.data = l;
    uv_prepare_start(&l->before_poll, on_before_poll);
    uv_check_start(&l->after_poll, on_after_poll);
    uv_unref((uv_handle_t *)&l->tick);
    uv_unref((uv_handle_t *)&l->before_poll);
    uv_unref((uv_handle_t *)&l->after_poll);
    return l;
}

static void close_own_handles(struct loop *l)
{
    uv_handle_t *own[] = {(uv_handle_t *)&l->wake, (uv_handle_t *)&l->tick,
                          (uv_handle_t *)&l->before_poll, (uv_handle_t *)&l->after_poll,
                          (uv_handle_t *)&l->more};

    for (size_t i = 0; i < countof(own); i++)
        if (!uv_is_closing(own[i]))
            uv_close(own[i], NULL);
}

void loop_run(struct loop *l)
{
    current = l;
    clock_turn_next(true);
    l->thread = pthread_self();
    uv_update_time(&l->uv);
    while (!atomic_load(&l->is_stopping))
        uv_run(&l->uv, UV_RUN_DEFAULT);
    run_inbox(l);
    run_yielded(l);
    close_own_handles(l);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    loop_drain(l);
    current = NULL;
}

static void stop_here(struct loop *l, uint64_t v)
{
    (void)v;
    atomic_store(&l->is_stopping, true);
    uv_stop(&l->uv);
}

void loop_stop(struct loop *l)
{
    loop_post_fn(l, stop_here, 0);
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    must(uv_loop_close(&l->uv) == 0);
    arena_pool_deinit(&l->chunks);
    pthread_mutex_destroy(&l->inbox_lock);
    free(l);
}
