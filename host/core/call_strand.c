/* Callbacks of one call, one after the other: on its home loop or on the pool. */
#include "base/check.h"
#include "base/log.h"
#include "core/call_parts.h"
#include "core/core.h"

static void run_events(struct call *c, struct task_queue *q)
{
    const char *before = instance_enter(atomic_load_explicit(&c->instance, memory_order_relaxed));
    const struct log_context *outer = log_enter(c->log);

    for (struct task *t; (t = task_pop(q));) {
        struct strand_event *e = container_of(t, struct strand_event, task);
        e->run(c, e);
    }
    log_enter(outer);
    instance_leave(before);
}

static void strand_is_idle(struct call *c)
{
    atomic_fetch_add_explicit(&c->holds, 1, memory_order_relaxed);
    c->strand_is_running = false;
    call_end_unseen(c);
    call_drop(c);
}

static void strand_on_loop(struct task *t)
{
    struct call *c = container_of(t, struct call, strand_task);

    run_events(c, &c->strand_queue);
    strand_is_idle(c);
}

static void strand_to_pool(struct call *c);

static void strand_back(struct task *t)
{
    struct call *c = container_of(t, struct call, strand_task);

    if (c->strand_queue.first)
        strand_to_pool(c);
    else
        strand_is_idle(c);
}

static void strand_on_pool(struct task *t)
{
    struct call *c = container_of(t, struct call, strand_task);

    run_events(c, &c->strand_batch);
    t->run = strand_back;
    loop_post(c->home, t);
}

static void strand_batch(struct call *c)
{
    c->strand_is_running = true;
    c->strand_task.run = strand_on_pool;
    c->strand_batch = c->strand_queue;
    c->strand_queue = (struct task_queue){0};
}

static void strand_to_pool(struct call *c)
{
    strand_batch(c);
    pool_run_admitted(c->core->pool, &atomic_load(&c->instance)->share, &c->strand_task);
}

void call_strand_push(struct call *c, struct strand_event *e)
{
    task_push(&c->strand_queue, &e->task);
    if (c->strand_is_running)
        return;
    if (c->handler.exec == MIG_EXEC_POOL) {
        strand_to_pool(c);
        return;
    }
    c->strand_is_running = true;
    c->strand_task.run = strand_on_loop;
    loop_defer(c->home, &c->strand_task);
}

void call_run_start(struct call *c, struct strand_event *e)
{
    (void)e;
    if (call_state_of(atomic_load(&c->word)) != CALL_OPEN)
        return;
    c->was_seen = true;
    c->kind->start(c);
}

bool call_start(struct call *c)
{
    if (c->handler.exec != MIG_EXEC_POOL) {
        call_strand_push(c, &c->ev_start);
        return true;
    }
    task_push(&c->strand_queue, &c->ev_start.task);
    strand_batch(c);
    if (pool_run(c->core->pool, &atomic_load(&c->instance)->share, &c->strand_task))
        return true;
    c->strand_batch = (struct task_queue){0};
    c->strand_is_running = false;
    call_refuse(c);
    return false;
}
