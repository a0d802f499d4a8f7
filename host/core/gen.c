#include "core/gen.h"
#include "base/check.h"
#include "base/clock.h"
#include "core/core.h"
#include "core/telemetry.h"
#include "core/ticker.h"

#include <stdlib.h>

enum { GEN_ARENA_LIMIT = 256 << 20, STREAMS_SLACK_MS = 100, STREAMS_LOOK_MS = 1000 };

struct gen *gen_new(struct core *core)
{
    struct gen *g = calloc(1, sizeof *g);

    must(g);
    g->core = core;
    g->pool = calloc(1, sizeof *g->pool);
    must(g->pool && (g->arena = arena_new(g->pool, GEN_ARENA_LIMIT)));
    g->pins = aligned_alloc(64, core->loop_count * sizeof *g->pins);
    must(g->pins);
    for (size_t i = 0; i < core->loop_count; i++)
        g->pins[i] = (struct gen_pin){0};
    g->created_ms = clock_wall_ms();
    list_init(&g->in_core);
    return g;
}

/* --- the capability table ----------------------------------------------------------------------- */

static int newest_first(const struct capability *a, const struct capability *b)
{
    if (a->major != b->major)
        return a->major < b->major ? 1 : -1;
    if (a->minor != b->minor)
        return a->minor < b->minor ? 1 : -1;
    if (a->patch != b->patch)
        return a->patch < b->patch ? 1 : -1;
    return -strcmp(a->version, b->version); /* 1.0.0-rc1 and 1.0.0+b */
}

static int by_id(const void *a, const void *b)
{
    const struct capability *x = *(const struct capability *const *)a;
    const struct capability *y = *(const struct capability *const *)b;
    int c = strcmp(x->id, y->id);

    return c ? c : newest_first(x, y);
}

static bool add_families(struct gen *g, struct diag *d)
{
    for (size_t i = 0, n; i < g->capability_count; i += n) {
        struct capability **first = &g->capabilities[i];
        struct capability_family *f = arena_zero(g->arena, sizeof *f);
        struct capability_counts *counts =
            telemetry_capability(g->core->telemetry, str_of(first[0]->id));
        for (n = 1; i + n < g->capability_count && !strcmp(first[0]->id, first[n]->id); n++)
            if (!strcmp(first[n - 1]->version, first[n]->version))
                diag_error(d, (struct diag_at){0}, "capability.duplicate",
                           "%s %s is offered by both %.*s and %.*s", first[n]->id,
                           first[n]->version, STR_ARG(first[n - 1]->provider),
                           STR_ARG(first[n]->provider));
        must(f);
        f->versions = first;
        f->count = n;
        for (size_t v = 0; v < n; v++)
            first[v]->counts = counts;
        must(map_put(&g->families, str_of(first[0]->id), f));
    }
    return d->errors == 0;
}

bool gen_take_catalogues(struct gen *g, struct catalogue **list, size_t count, struct diag *d)
{
    size_t total = 0, at = 0;

    g->catalogues = list;
    g->catalogue_count = count;
    for (size_t i = 0; i < count; i++)
        total += list[i]->capability_count;
    g->capabilities = arena_zero(g->arena, (total + 1) * sizeof *g->capabilities);
    must(g->capabilities);
    for (size_t i = 0; i < count; i++)
        for (size_t c = 0; c < list[i]->capability_count; c++)
            g->capabilities[at++] = &list[i]->capabilities[c];
    g->capability_count = total;
    if (total)
        qsort(g->capabilities, total, sizeof *g->capabilities, by_id);
    return add_families(g, d);
}

void gen_free(struct gen *g)
{
    if (!g)
        return;
    list_remove(&g->in_core);
    for (size_t i = 0; i < g->catalogue_count; i++) {
        if (g->number)
            core_release_instance(g->core, g->catalogues[i]->instance);
        catalogue_free(g->catalogues[i]);
    }
    free(g->catalogues);
    if (g->free_routes)
        g->free_routes(g->routes);
    if (g->free_config)
        g->free_config(g);
    map_deinit(&g->families);
    arena_unref(g->arena);
    arena_pool_deinit(g->pool);
    free(g->pool);
    free(g->pins);
    free(g);
}

/* --- pins --------------------------------------------------------------------------------------- */

static void free_on_control(struct loop *l, uint64_t v)
{
    (void)l;
    gen_free((struct gen *)(uintptr_t)v);
}

/* One loop, or the control thread, will not use it again. */
static void let_go(struct gen *g)
{
    if (atomic_fetch_sub(&g->holders, 1) == 1)
        loop_post_fn(g->core->control, free_on_control, (uintptr_t)g);
}

struct gen *gen_pin(struct gen *g, struct loop *l)
{
    g->pins[l->index].pins++;
    return g;
}

void gen_unpin(struct gen *g, struct loop *l)
{
    struct gen_pin *p = &g->pins[l->index];

    if (--p->pins == 0 && p->is_retired)
        let_go(g);
}

struct gen *gen_current(struct core *core, struct loop *l)
{
    return core->per_loop[l->index].gen;
}

/* --- publishing --------------------------------------------------------------------------------- */

struct publication {
    struct gen *gen;
    _Atomic size_t waiting; /* loops that have not adopted it yet */
    void (*done)(void *arg);
    void *arg;
};

/* Control: every loop has adopted it. */
static void all_adopted(struct loop *l, uint64_t v)
{
    struct publication *p = (struct publication *)(uintptr_t)v;
    struct core *core = p->gen->core;
    struct gen *old = core->current;

    (void)l;
    core->current = p->gen;
    p->gen->published_ms = clock_wall_ms();
    tickers_adopt(core, p->gen);
    if (old)
        let_go(old);
    if (p->done)
        p->done(p->arg);
    free(p);
}

static bool has_instance(const struct gen *g, const struct instance *i)
{
    for (size_t n = 0; n < g->catalogue_count; n++)
        if (g->catalogues[n]->instance == i)
            return true;
    return false;
}

/* When a call on an instance that is no longer served has had its time; TIMER_NEVER: it is served. */
static uint64_t ends_at(const struct call *c, const struct loop *l, const struct gen *current)
{
    const struct gen_pin *pin = c->gen ? &c->gen->pins[l->index] : NULL;

    if (c->gen)
        return pin->is_retired ? pin->retired_ms + c->gen->policy.drain_streams_ms : TIMER_NEVER;
    return c->outdated_ms && current ? c->outdated_ms + current->policy.drain_streams_ms
                                     : TIMER_NEVER;
}

static bool is_over(struct call *c, const struct loop *l, const struct gen *current)
{
    uint64_t at = ends_at(c, l, current);

    return at != TIMER_NEVER && loop_now_ms(l) >= at &&
           !(current && has_instance(current, atomic_load(&c->instance)));
}

/* Streams without a generation: from now on their instance is not served. */
static void mark_outdated(struct call_table *calls, const struct loop *l, const struct gen *current)
{
    struct list *open = call_table_open(calls);

    for (struct list *at = open->next; at != open; at = at->next) {
        struct call *c = container_of(at, struct call, in_table);
        if (c->gen || c->is_answered)
            continue;
        if (current && has_instance(current, atomic_load(&c->instance)))
            c->outdated_ms = 0;
        else if (!c->outdated_ms)
            c->outdated_ms = loop_now_ms(l);
    }
}

static bool is_over_here(struct call *c, void *arg)
{
    struct loop *l = arg;
    return is_over(c, l, c->core->per_loop[l->index].gen);
}

static void watch_old_streams(struct core_loop *cl, struct loop *l);

/* Calls that outlive their instance's time: long streams. Unary ones have ended by their deadline. */
static void end_old_streams(struct timer *t)
{
    struct core_loop *cl = container_of(t, struct core_loop, old_streams);

    call_table_abort(cl->calls, is_over_here, loop_current(),
                     &(struct call_result){.status = MIG_UNAVAILABLE,
                                           .message = S("the provider was replaced by a reload"),
                                           .details = S("{\"reason\":\"reload\"}")});
    watch_old_streams(cl, loop_current());
}

/* One timer for all retired generations: it is never put off by a further reload, and looks again
 * when the next of the calls that are left has had its time. */
static void watch_old_streams(struct core_loop *cl, struct loop *l)
{
    struct list *open = call_table_open(cl->calls);
    uint64_t now = loop_now_ms(l), next = TIMER_NEVER;

    for (struct list *at = open->next; at != open; at = at->next) {
        uint64_t due = ends_at(container_of(at, struct call, in_table), l, cl->gen);
        if (due == TIMER_NEVER)
            continue;
        due += STREAMS_SLACK_MS;
        due = due > now ? due : now + STREAMS_LOOK_MS; /* its instance is still served */
        next = due < next ? due : next;
    }
    if (next != TIMER_NEVER)
        loop_timer(l, &cl->old_streams, next - now, end_old_streams);
}

static void retire_here(struct gen *old, struct loop *l)
{
    struct gen_pin *pin = &old->pins[l->index];

    pin->is_retired = true;
    pin->retired_ms = loop_now_ms(l);
    mark_outdated(old->core->per_loop[l->index].calls, l, old->core->per_loop[l->index].gen);
    watch_old_streams(&old->core->per_loop[l->index], l);
    if (pin->pins == 0)
        let_go(old);
}

static void adopt(struct loop *l, uint64_t v)
{
    struct publication *p = (struct publication *)(uintptr_t)v;
    struct core *core = p->gen->core;
    struct gen *old = core->per_loop[l->index].gen;

    core->per_loop[l->index].gen = p->gen;
    if (old)
        retire_here(old, l);
    if (atomic_fetch_sub(&p->waiting, 1) == 1)
        loop_post_fn(core->control, all_adopted, v);
}

void gen_publish(struct gen *g, void (*done)(void *arg), void *arg)
{
    struct core *core = g->core;
    struct publication *p = malloc(sizeof *p);

    must(p);
    *p = (struct publication){g, core->loop_count, done, arg};
    g->number = ++core->gen_numbers;
    list_push(&core->gens, &g->in_core);
    atomic_store(&g->holders, (unsigned)core->loop_count + 1);
    for (size_t i = 0; i < g->catalogue_count; i++)
        core_hold_instance(core, g->catalogues[i]->instance);
    for (size_t i = 0; i < core->loop_count; i++)
        loop_post_fn(core->loops[i], adopt, (uintptr_t)p);
}

static void retire_last(struct loop *l, uint64_t v)
{
    retire_here((struct gen *)(uintptr_t)v, l);
}

void gen_retire_last(struct core *core)
{
    struct gen *g = core->current;

    if (!g)
        return;
    core->current = NULL;
    for (size_t i = 0; i < core->loop_count; i++)
        loop_post_fn(core->loops[i], retire_last, (uintptr_t)g);
    let_go(g);
}
