/* loop.h: one event loop thread (libuv), its inbox, its timer wheel and its queue of work.
 *
 * Nothing is shared between loops but what travels through the inbox. Work that must not run inside
 * the current callback is deferred: it runs on the same turn, when the callback has returned to the
 * loop. Upper layers keep their per-loop state in `local`. */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H
#include "base/arena.h"
#include "base/list.h"
#include "loop/timer.h"

#include <stdatomic.h>
#include <uv.h>

enum { LOOP_MAX = 255 }; /* a handle has eight bits for the loop */
enum loop_local { LOOP_CORE, LOOP_NET, LOOP_SOCKETS, LOOP_IDENTITY, LOOP_MANNERS, LOOP_LOCALS };

/* Owner: its own thread, except where a member says otherwise. */
struct loop {
    uv_loop_t uv;
    unsigned index;
    pthread_t thread;
    struct timer_wheel timers;
    struct arena_pool chunks;
    struct task_queue deferred, yielded;
    void *local[LOOP_LOCALS];
    uint64_t turns;

    /* inbox: any thread */
    uv_async_t wake;
    pthread_mutex_t inbox_lock;
    struct task_queue inbox;
    _Atomic size_t inbox_depth;

    /* watchdog: written by the loop, read by the watchdog's thread */
    _Atomic uint64_t busy_since_ns;      /* 0: waiting for events                 */
    _Atomic(const char *) running;       /* which instance; NULL: the host itself.
                                            Freed after watchdog_wait_look() only */
    _Atomic uint64_t stalls, longest_ns; /* written by the watchdog               */

    /* private */
    uv_timer_t tick;
    uint64_t tick_at_ms;
    uv_prepare_t before_poll;
    uv_check_t after_poll;
    uv_idle_t more; /* active while a budget left work behind */
    _Atomic bool is_stopping;
};

/* A loop for the calling thread; loop_run() on the same one. NULL: out of resources. */
struct loop *loop_new(unsigned index);
void loop_run(struct loop *l);
/* [any] Makes loop_run() return when all handles are closed by their owners. */
void loop_stop(struct loop *l);
void loop_free(struct loop *l);

/* The loop that this thread is; NULL on every other thread. */
struct loop *loop_current(void);
static inline bool loop_is_current(const struct loop *l)
{
    return loop_current() == l;
}
/* Milliseconds of the monotonic clock at the start of this turn. */
static inline uint64_t loop_now_ms(const struct loop *l)
{
    return uv_now((uv_loop_t *)&l->uv);
}

/* Own thread: run t soon, after the present callback. */
static inline void loop_defer(struct loop *l, struct task *t)
{
    task_push(&l->deferred, t);
}
/* Own thread, at the end of an event callback: run what was deferred until nothing is left. */
void loop_drain(struct loop *l);
/* Own thread: run t when the sockets had their turn. All that gave way has about 0.05 ms of each turn,
 * and one task at least. */
void loop_yield(struct loop *l, struct task *t);
/* Own thread: like timer_start() with a delay from now, and the loop will wake for it. */
void loop_timer(struct loop *l, struct timer *t, uint64_t delay_ms, timer_fn fn);

/* [any] Never blocks and never fails. The task belongs to the loop until it runs. */
void loop_post(struct loop *l, struct task *t);
/* [any] A message of a function and eight bytes. */
void loop_post_fn(struct loop *l, void (*fn)(struct loop *l, uint64_t v), uint64_t v);
#endif
