#include "core/ticker.h"
#include "base/check.h"
#include "base/clock.h"
#include "core/core.h"
#include "core/self_call.h"

#include <stdlib.h>

enum { PROBE_MS = 30000 };

/* Owner: its loop, except next (control) and the definition before start. */
struct ticker {
    struct ticker *next;
    struct timer timer;
    struct loop *home;
    struct instance *instance;
    char *name; /* NULL: the health probe */
    mig_timer def;
    mig_health probe;
    uint64_t every_ms, jitter_ms;
    bool is_running; /* the last tick has not ended */
    bool is_stopped;
    bool is_wanted; /* control: while adopting */
    void (*stopped)(struct instance *i);
};

static void fire(struct timer *t);

static void arm(struct ticker *t)
{
    uint64_t jitter = t->jitter_ms ? (uint64_t)rand() % (t->jitter_ms + 1) : 0;

    loop_timer(t->home, &t->timer, t->every_ms + jitter, fire);
}

static void ticker_free(struct ticker *t)
{
    free(t->name);
    free(t);
}

static void tick_ended(void *arg, const struct call_result *r)
{
    struct ticker *t = arg;

    t->is_running = false;
    if (!t->name) {
        atomic_store(&t->instance->health, r->status == MIG_OK);
        free(atomic_exchange(&t->instance->health_text,
                             r->status == MIG_OK ? NULL : str_dup(r->message)));
    }
    if (t->is_stopped)
        ticker_free(t);
}

static void give_tick(void *arg, mig_call call)
{
    struct ticker *t = arg;

    if (t->name)
        t->def.on_tick(t->instance->self, t->def.data, call);
    else
        t->probe.check(t->instance->self, t->probe.data, call);
}

static void fire(struct timer *timer)
{
    struct ticker *t = container_of(timer, struct ticker, timer);

    if (!t->is_running) {
        struct self_call_spec spec = {
            .instance = t->instance,
            .exec = t->name ? t->def.exec : t->probe.exec,
            .give = give_tick,
            .ended = tick_ended,
            .arg = t,
        };
        t->is_running = self_call_start(t->home, &spec);
    }
    arm(t);
}

static void start_here(struct loop *l, uint64_t v)
{
    (void)l;
    struct ticker *t = (struct ticker *)(uintptr_t)v;
    if (t->name)
        arm(t);
    else
        fire(&t->timer); /* health is asked at once, so that readiness can be told */
}

static void stop_here(struct loop *l, uint64_t v)
{
    struct ticker *t = (struct ticker *)(uintptr_t)v;

    timer_stop(&l->timers, &t->timer);
    t->is_stopped = true;
    if (!t->is_running)
        ticker_free(t);
}

static struct ticker *find(struct instance *i, const char *name, uint64_t every_ms)
{
    for (struct ticker *t = i->tickers; t; t = t->next)
        if (t->every_ms == every_ms && (name ? t->name && !strcmp(t->name, name) : t->name == NULL))
            return t;
    return NULL;
}

static void want(struct instance *i, const mig_timer *def, const mig_health *probe)
{
    static _Atomic unsigned turn;
    uint64_t every = def ? def->every_ms : probe->every_ms ? probe->every_ms : PROBE_MS;
    struct ticker *t = find(i, def ? def->name : NULL, every);

    if (!t) {
        t = calloc(1, sizeof *t);
        must(t);
        t->home = i->core->loops[atomic_fetch_add(&turn, 1) % i->core->loop_count];
        t->instance = i;
        t->every_ms = every;
        if (def) {
            t->name = str_dup(str_of(def->name));
            t->def = *def;
            t->jitter_ms = def->jitter_ms;
        } else {
            t->probe = *probe;
        }
        t->next = i->tickers;
        i->tickers = t;
        loop_post_fn(t->home, start_here, (uintptr_t)t);
    }
    t->is_wanted = true;
}

static void drop_unwanted(struct instance *i)
{
    for (struct ticker **at = &i->tickers; *at;) {
        struct ticker *t = *at;
        if (t->is_wanted) {
            t->is_wanted = false;
            at = &t->next;
            continue;
        }
        *at = t->next;
        loop_post_fn(t->home, stop_here, (uintptr_t)t);
    }
}

void tickers_adopt(struct core *core, struct gen *g)
{
    (void)core;
    for (size_t i = 0; i < g->catalogue_count; i++) {
        struct catalogue *c = g->catalogues[i];
        for (size_t n = 0; n < c->timer_count; n++)
            want(c->instance, &c->timers[n], NULL);
        for (size_t n = 0; n < c->health_count; n++)
            want(c->instance, NULL, &c->healths[n]);
        drop_unwanted(c->instance);
    }
}

struct stopping {
    struct instance *instance;
    void (*done)(struct instance *i);
    _Atomic size_t loops;
};

static void stopped_on_control(struct loop *l, uint64_t v)
{
    struct stopping *s = (struct stopping *)(uintptr_t)v;

    (void)l;
    s->done(s->instance);
    free(s);
}

static void passed_loop(struct loop *l, uint64_t v)
{
    struct stopping *s = (struct stopping *)(uintptr_t)v;

    (void)l;
    if (atomic_fetch_sub(&s->loops, 1) == 1)
        loop_post_fn(s->instance->core->control, stopped_on_control, v);
}

void tickers_stop(struct instance *i, void (*done)(struct instance *i))
{
    struct stopping *s = malloc(sizeof *s);

    must(s);
    *s = (struct stopping){i, done, i->core->loop_count};
    drop_unwanted(i);
    /* Messages keep their order: when this one has passed a loop, the stops before it have too. */
    for (size_t n = 0; n < i->core->loop_count; n++)
        loop_post_fn(i->core->loops[n], passed_loop, (uintptr_t)s);
}
