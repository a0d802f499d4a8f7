/* mig.task/1 */
#include "abi/pending.h"
#include "abi/tables.h"
#include "base/check.h"
#include "core/self_call.h"
#include "mig/ext/task.h"

#include <stdlib.h>

/* --- after -------------------------------------------------------------------------------------- */

struct after_pending {
    struct pending pending;
    struct timer timer;
    struct call_child child;
    struct loop *loop; /* of the timer */
    uint64_t delay_ms;
    mig_done done;
    void *tag;
    mig_status status;
};

static void run(struct pending *p)
{
    struct after_pending *a = container_of(p, struct after_pending, pending);
    mig_outcome out = {.struct_size = sizeof out, .status = a->status};

    a->done(p->instance->self, a->tag, &out);
}

static void due(struct timer *t)
{
    struct after_pending *a = container_of(t, struct after_pending, timer);

    list_remove(&a->child.link);
    pending_ready(&a->pending);
}

/* No delay: behind what the sockets have brought, so that a script that works for long lets others in. */
static void had_its_turn(struct task *t)
{
    struct after_pending *a = container_of(t, struct after_pending, pending.task);

    if (a->status == MIG_OK)
        list_remove(&a->child.link);
    pending_ready(&a->pending);
}

static void cancelled(struct call_child *child)
{
    struct after_pending *a = container_of(child, struct after_pending, child);

    a->status = MIG_E_GONE;
    if (!a->delay_ms)
        return; /* its turn comes soon enough */
    timer_stop(&a->loop->timers, &a->timer);
    pending_ready(&a->pending);
}

static void arm(struct after_pending *a, struct loop *l)
{
    struct call *c = a->pending.call;

    a->loop = l;
    list_init(&a->child.link);
    a->child.cancel = cancelled;
    if (c && c->is_answered) {
        a->status = MIG_E_GONE;
        pending_ready(&a->pending);
        return;
    }
    if (c)
        list_push(&c->children, &a->child.link);
    if (a->delay_ms) {
        loop_timer(l, &a->timer, a->delay_ms, due);
        return;
    }
    a->pending.task.run = had_its_turn;
    loop_yield(l, &a->pending.task);
}

static void arm_here(struct task *t)
{
    arm(container_of(t, struct after_pending, pending.task), loop_current());
}

static mig_status after(const mig_host *h, mig_call call, uint64_t delay_ms, mig_done done,
                        void *tag)
{
    mig_status status;
    struct after_pending *a = pending_new(sizeof *a, h, call, &status);

    if (!a)
        return status;
    a->pending.run = run;
    a->delay_ms = delay_ms;
    a->done = done;
    a->tag = tag;
    if (a->pending.call) {
        pending_on_home(&a->pending, arm_here);
    } else {
        a->pending.task.run = arm_here;
        loop_post(instance_of(h)->core->loops[0], &a->pending.task);
    }
    return MIG_OK;
}

/* --- run ---------------------------------------------------------------------------------------- */

struct started {
    struct task task;
    struct timer timer;
    struct loop *home;
    struct instance *instance;
    mig_task def;
};

static void give(void *arg, mig_call call)
{
    struct started *s = arg;
    s->def.run(s->instance->self, s->def.data, call);
}

static void ended(void *arg, const struct call_result *r)
{
    struct started *s = arg;

    (void)r;
    instance_debt_add(s->instance, -1);
    free(s);
}

static void begin(struct timer *t)
{
    struct started *s = container_of(t, struct started, timer);
    const struct self_call_spec spec = {s->instance, s->def.exec, s->def.timeout_ms,
                                        give,        ended,       s};

    if (!self_call_start(s->home, &spec))
        loop_timer(s->home, &s->timer, 10, begin); /* the queue is full: it was promised */
}

static void begin_here(struct task *t)
{
    struct started *s = container_of(t, struct started, task);

    if (s->def.delay_ms)
        loop_timer(s->home, &s->timer, s->def.delay_ms, begin);
    else
        begin(&s->timer);
}

static mig_status run_task(const mig_host *h, const mig_task *task)
{
    struct instance *i = instance_of(h);
    struct loop *l = loop_current();
    mig_task def = {0};

    if (!task || task->struct_size < offsetof(mig_task, run) + sizeof task->run || !task->run ||
        task->exec > MIG_EXEC_LOOP)
        return MIG_E_ARG;
    memcpy(&def, task, task->struct_size < sizeof def ? task->struct_size : sizeof def);
    if (instance_debt(i) > (int64_t)(i->queue + i->max_concurrency) * 16)
        return MIG_E_AGAIN;
    struct started *s = calloc(1, sizeof *s);
    must(s);
    s->task.run = begin_here;
    s->instance = i;
    s->def = def;
    s->home = l && l->index < i->core->loop_count ? l : i->core->loops[0];
    instance_debt_add(i, 1);
    loop_post(s->home, &s->task);
    return MIG_OK;
}

const void *table_task(struct instance *i)
{
    static const mig_ext_task table = {sizeof table, 0, after, run_task};
    (void)i;
    return &table;
}
