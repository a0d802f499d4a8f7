#include "abi/pending.h"
#include "base/check.h"

#include <stdlib.h>

void *pending_new(size_t size, const mig_host *h, mig_call call, mig_status *ret_status)
{
    struct instance *i = instance_of(h);
    struct call *c = call.v ? call_hold(i->core, i, call) : NULL;

    *ret_status = MIG_E_GONE;
    if (call.v && !c)
        return NULL;
    struct pending *p = calloc(1, size);
    must(p);
    p->instance = i;
    p->call = c;
    if (!c)
        instance_debt_add(i, 1);
    *ret_status = MIG_OK;
    return p;
}

void pending_cancel(struct pending *p)
{
    struct call *c = p->call;
    struct instance *i = p->instance;

    if (p->free)
        p->free(p);
    else
        free(p);
    if (c)
        call_drop_any(c);
    else
        instance_debt_add(i, -1);
}

static void run_on_strand(struct call *c, struct strand_event *e)
{
    struct pending *p = container_of(e, struct pending, event);

    (void)c;
    p->run(p);
    pending_cancel(p);
}

static void push(struct task *t)
{
    struct pending *p = container_of(t, struct pending, task);

    p->event.run = run_on_strand;
    call_strand_push(p->call, &p->event);
}

static void run_on_pool(struct task *t)
{
    struct pending *p = container_of(t, struct pending, task);

    p->run(p);
    pending_cancel(p);
}

void pending_on_home(struct pending *p, void (*fn)(struct task *t))
{
    p->task.run = fn;
    if (loop_is_current(p->call->home))
        loop_defer(p->call->home, &p->task);
    else
        loop_post(p->call->home, &p->task);
}

void pending_ready(struct pending *p)
{
    if (p->call) {
        pending_on_home(p, push);
        return;
    }
    p->task.run = run_on_pool;
    pool_run_admitted(p->instance->core->pool, &p->instance->share, &p->task);
}
