#include "core/core.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/audit.h"
#include "core/inflight.h"
#include "core/life.h"
#include "core/metrics.h"
#include "core/rate.h"
#include "core/sessions.h"
#include "core/telemetry.h"
#include "core/tenants.h"
#include "core/ticker.h"
#include "core/trace.h"
#include "core/usage.h"

#include <stdlib.h>

enum {
    DRAIN_LOOK_MS = 10,
    REMEMBERED_IDS = 65536,
    LIFE_END_MS = 10000,
    METRIC_SERIES = 2000,
    PEERS_MAX = 65536
};

struct core *core_new(struct loop *control, struct loop **loops, size_t loop_count, size_t workers,
                      unsigned stall_ms)
{
    struct core *core = calloc(1, sizeof *core);

    must(core);
    core->control = control;
    core->loops = loops;
    core->loop_count = loop_count;
    list_init(&core->gens);
    list_init(&core->instances);
    core->per_loop = calloc(loop_count, sizeof *core->per_loop);
    must(core->per_loop);
    for (size_t i = 0; i < loop_count; i++)
        core->per_loop[i].calls = call_table_new(core, loops[i]);
    core->pool = pool_new(workers);
    must(core->pool);
    core->watchdog = watchdog_new(loops, loop_count, stall_ms);
    core->inflight = inflight_new(REMEMBERED_IDS);
    core->tenants = tenants_new();
    core->usage = usage_new();
    core->peers = rate_table_new(PEERS_MAX);
    core->metrics = metrics_new(METRIC_SERIES);
    core->telemetry = telemetry_new(loop_count, METRIC_SERIES);
    core->tracing = tracing_new(loop_count);
    core->audit = audit_new(loop_count);
    core->sessions = sessions_new();
    core->life = life_new();
    return core;
}

void core_free(struct core *core)
{
    life_free(core->life);
    watchdog_free(core->watchdog);
    pool_free(core->pool);
    for (size_t i = 0; i < core->loop_count; i++)
        call_table_free(core->per_loop[i].calls);
    inflight_free(core->inflight);
    usage_free(core->usage, core->tenants);
    tenants_free(core->tenants);
    rate_table_free(core->peers);
    sessions_free(core->sessions);
    metrics_free(core->metrics);
    audit_free(core->audit);
    tracing_free(core->tracing);
    telemetry_free(core->telemetry);
    free(core->per_loop);
    free(core);
}

/* --- the end of instances ----------------------------------------------------------------------- */

struct farewell {
    struct task task;
    struct instance *instance;
};

static void life_quiesce(void *arg)
{
    struct instance *i = arg;
    i->plugin.quiesce(i->self);
}

static void life_destroy(void *arg)
{
    struct instance *i = arg;
    i->plugin.destroy(i->self);
}

static void abandon(struct instance *i, const char *why)
{
    atomic_store(&i->state, INSTANCE_ABANDONED);
    i->core->abandoned++;
    log_error("instance.abandoned", F_Z("instance", i->name), F_Z("plugin", i->plugin.id),
              F_U64("debt", (uint64_t)instance_debt(i)), F_Z("why", why),
              F_Z("hint", "see the plugin guide, 'Ending calls'"));
}

static void job(struct instance *i, void (*run)(struct task *t))
{
    struct farewell *f = malloc(sizeof *f);

    must(f);
    *f = (struct farewell){.task.run = run, .instance = i};
    life_post(i->core->life, &f->task);
}

/* Modules belong to the job thread, and with an instance its module may go. */
static void do_free(struct task *t)
{
    struct farewell *f = container_of(t, struct farewell, task);

    instance_free(f->instance);
    free(f);
}

static void destroyed(struct loop *l, uint64_t v)
{
    struct instance *i = (struct instance *)(uintptr_t)v;

    (void)l;
    i->core->destroyed++;
    list_remove(&i->in_core);
    job(i, do_free);
}

static void do_destroy(struct task *t)
{
    struct farewell *f = container_of(t, struct farewell, task);
    struct instance *i = f->instance;

    if (life_call(i->core->life, LIFE_END_MS, life_destroy, i))
        loop_post_fn(i->core->control, destroyed, (uintptr_t)i);
    else
        abandon(i, "destroy() did not return");
    free(f);
}

static void look_at_draining(struct timer *t);

static void look_later(struct core *core)
{
    if (!timer_is_running(&core->drain_look))
        loop_timer(core->control, &core->drain_look, DRAIN_LOOK_MS, look_at_draining);
}

/* True when it still waits. */
static bool look_at(struct instance *i)
{
    uint64_t grace = i->drain_grace_ms;

    if (atomic_load(&i->state) != INSTANCE_DRAINING)
        return false;
    if (instance_debt(i) == 0) {
        atomic_store(&i->state, INSTANCE_DESTROYED);
        job(i, do_destroy);
        return false;
    }
    if (loop_now_ms(i->core->control) - i->drain_since_ms > grace) {
        abandon(i, "calls were never ended");
        return false;
    }
    return true;
}

static void look_at_draining(struct timer *t)
{
    struct core *core = container_of(t, struct core, drain_look);
    bool again = false;

    for (struct list *l = core->instances.next, *next; l != &core->instances; l = next) {
        next = l->next;
        again |= look_at(container_of(l, struct instance, in_core));
    }
    if (again)
        look_later(core);
}

static void quiesced(struct loop *l, uint64_t v)
{
    struct instance *i = (struct instance *)(uintptr_t)v;

    i->drain_since_ms = loop_now_ms(l);
    atomic_store(&i->state, INSTANCE_DRAINING);
    if (look_at(i))
        look_later(i->core);
}

static void do_quiesce(struct task *t)
{
    struct farewell *f = container_of(t, struct farewell, task);
    struct instance *i = f->instance;

    if (!i->plugin.quiesce || life_call(i->core->life, LIFE_END_MS, life_quiesce, i))
        loop_post_fn(i->core->control, quiesced, (uintptr_t)i);
    else
        abandon(i, "quiesce() did not return");
    free(f);
}

static void tickers_are_stopped(struct instance *i)
{
    job(i, do_quiesce);
}

void core_add_instance(struct core *core, struct instance *i)
{
    list_push(&core->instances, &i->in_core);
}

void core_hold_instance(struct core *core, struct instance *i)
{
    (void)core;
    i->refs++;
    atomic_store(&i->state, INSTANCE_SERVING);
}

void core_release_instance(struct core *core, struct instance *i)
{
    (void)core;
    must(i->refs > 0);
    if (--i->refs == 0)
        tickers_stop(i, tickers_are_stopped);
}

size_t core_draining(const struct core *core)
{
    size_t n = 0;

    for (struct list *l = core->instances.next; l != &core->instances; l = l->next) {
        struct instance *i = container_of(l, struct instance, in_core);
        n += i->refs == 0 && atomic_load(&i->state) != INSTANCE_ABANDONED;
    }
    return n;
}
