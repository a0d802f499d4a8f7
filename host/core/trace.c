#include "core/trace.h"
#include "base/check.h"
#include "core/op.h"

#include <stdlib.h>
#include <sys/random.h>

enum { LANE_BYTES = 1 << 18, MILLION = 1000000 };

/* Of one loop. Ids have to be different, not secret. */
struct tracer {
    _Alignas(64) uint64_t state, key;
    _Atomic uint64_t dropped;
    _Atomic bool has_lane;
    struct lane lane;
};

struct tracing {
    _Atomic uint64_t ratio;
    bool is_exported;
    size_t count;
    struct tracer tracers[];
};

struct tracing *tracing_new(size_t loops)
{
    size_t size = sizeof(struct tracing) + loops * sizeof(struct tracer);
    struct tracing *t = aligned_alloc(64, (size + 63) / 64 * 64);

    must(t);
    memset(t, 0, size);
    t->count = loops;
    for (size_t i = 0; i < loops; i++) {
        uint64_t seed[2];
        must(getrandom(seed, sizeof seed, 0) == sizeof seed);
        t->tracers[i].state = seed[0];
        t->tracers[i].key = seed[1] | 1;
    }
    return t;
}

void tracing_free(struct tracing *t)
{
    for (size_t i = 0; t && i < t->count; i++)
        lane_deinit(&t->tracers[i].lane);
    free(t);
}

void tracing_set_ratio(struct tracing *t, uint64_t ratio)
{
    atomic_store(&t->ratio, ratio);
}

void tracing_export(struct tracing *t)
{
    t->is_exported = true;
}

bool tracing_is_exported(const struct tracing *t)
{
    return t->is_exported;
}

struct lane *tracing_lane(struct tracing *t, size_t loop)
{
    return atomic_load(&t->tracers[loop].has_lane) ? &t->tracers[loop].lane : NULL;
}

uint64_t tracing_dropped(const struct tracing *t)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < t->count; i++)
        sum += atomic_load_explicit(&t->tracers[i].dropped, memory_order_relaxed);
    return sum;
}

static struct tracer *tracer_of(const struct op *op)
{
    return &op->core->tracing->tracers[op->home->index];
}

static uint64_t draw(struct tracer *t)
{
    t->state += 0x9E3779B97F4A7C15u;
    __uint128_t product = (__uint128_t)t->state * (t->state ^ t->key);
    uint64_t n = (uint64_t)(product >> 64) ^ (uint64_t)product;
    return n ? n : 1; // an id of zeros is none
}

/* Trace Context 4.2: the caller's word on sampling is taken over; without one the ratio decides. */
static unsigned char first_flags(const struct tracing *t, uint64_t random)
{
    uint64_t ratio = atomic_load_explicit(&t->ratio, memory_order_relaxed);
    if (__builtin_expect(ratio == 0, true))
        return 0;
    return random % MILLION < ratio ? TRACE_SAMPLED : 0;
}

void trace_begin(struct op *op)
{
    struct op_trace *t = &op->trace;
    struct tracer *from = tracer_of(op);

    if (t->is_begun)
        return;
    t->is_begun = true;
    if (t->has_parent) {
        t->own = t->parent;
        t->own.flags &= TRACE_SAMPLED;
    } else {
        uint64_t id[2] = {draw(from), draw(from)};
        memcpy(t->own.trace_id, id, TRACE_ID);
        t->own.flags = first_flags(op->core->tracing, id[0]);
    }
    uint64_t span = draw(from);
    memcpy(t->own.span_id, &span, SPAN_ID);
    traceparent_write(&t->own, t->text);
}

str trace_child(struct op *op)
{
    trace_begin(op);
    return (str){op->trace.text, TRACEPARENT_TEXT};
}

void trace_nest(struct op *op, const struct op *from)
{
    op->trace = (struct op_trace){
        .has_parent = from->trace.is_begun, .parent = from->trace.own, .state = from->trace.state};
}

/* The first span of a loop makes its lane: most daemons never have one. */
static bool has_lane(struct tracer *t)
{
    if (atomic_load_explicit(&t->has_lane, memory_order_relaxed))
        return true;
    bool is_made = lane_init(&t->lane, LANE_BYTES);
    atomic_store(&t->has_lane, is_made);
    return is_made;
}

void trace_end(struct op *op, const struct record *r)
{
    struct tracer *t = tracer_of(op);

    if (!op->core->tracing->is_exported || !(op->trace.own.flags & TRACE_SAMPLED))
        return;
    struct record span = *r;
    span.has_trace = true;
    span.trace = op->trace.own;
    span.has_parent = op->trace.has_parent;
    memcpy(span.parent_span, op->trace.parent.span_id, SPAN_ID);
    str state = op->trace.state;
    char *to = has_lane(t) ? lane_reserve(&t->lane, RECORD_MAX + state.len) : NULL;
    if (!to) {
        atomic_fetch_add_explicit(&t->dropped, 1, memory_order_relaxed);
        return;
    }
    size_t n = record_pack(&span, to);
    if (state.len)
        memcpy(to + n, state.ptr, state.len);
    lane_commit(&t->lane, n + state.len);
}
