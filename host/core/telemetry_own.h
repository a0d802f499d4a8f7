/* telemetry_own.h: between telemetry.c (counting) and telemetry_text.c (telling). */
#ifndef CORE_TELEMETRY_OWN_H
#define CORE_TELEMETRY_OWN_H
#include "base/map.h"
#include "core/telemetry.h"

#include <pthread.h>

/* Written by one thread, read by others at any time. */
typedef _Atomic uint64_t counter;

static inline void count(counter *c, uint64_t by)
{
    uint64_t n = atomic_load_explicit(c, memory_order_relaxed);
    atomic_store_explicit(c, n + by, memory_order_relaxed);
}
static inline uint64_t counted(const counter *c)
{
    return atomic_load_explicit((counter *)(uintptr_t)c, memory_order_relaxed);
}

enum {
    CODES = 12, /* MIG_OK to MIG_INTERNAL */
    METHODS = 8,
    STATUSES = 12,
    LAST = 64,
    BINDINGS = BINDINGS_KNOWN + 1, /* the last one: all others */
    REASONS = 32,
    REASON_MAX = 48,
    CALL_BUCKETS = 15,
    HTTP_BUCKETS = 11,
    BUCKETS = 16
};
extern const uint64_t call_bounds[CALL_BUCKETS], http_bounds[HTTP_BUCKETS]; /* microseconds */
extern const char *const method_names[METHODS];

/* buckets[i]: those within bound i and beyond the one before; the last: beyond all. */
struct histogram {
    counter buckets[BUCKETS], sum_ns;
};

/* How invocations ended: by code, cancelled ones apart, replayed ones by code. */
enum { ROW_CANCELLED = CODES, ROW_REPLAYED, ROWS = ROW_REPLAYED + CODES };

struct call_counts {
    _Alignas(64) counter rows[ROWS];
    struct histogram took;
};

/* Of one (capability, tenant). */
struct call_series {
    struct record_names names;
    struct capability_counts *capability;
    uint64_t hash;
    struct call_counts *loops;
    bool is_other; /* stands for tenants that came too late */
};

/* Open addressing; never shrinks. */
struct series_map {
    struct call_series **slots;
    size_t mask, count;
};

struct capability_loop {
    _Alignas(64) _Atomic int64_t inflight;
    counter deadlines, replays;
};

struct capability_counts {
    str id;
    bool has_reserve; /* room for a series of its own with tenant "other" */
    struct capability_loop *loops;
};

struct http_series {
    _Atomic unsigned codes[STATUSES]; /* 0: unused; the last one stands for all others */
    counter statuses[STATUSES];
    struct histogram took;
};

struct route_loop {
    _Alignas(64) _Atomic(struct http_series *) by_method[METHODS];
};

struct route_counts {
    str pattern;
    enum operation operation;
    struct route_loop *loops;
};

struct auth_count {
    enum decision decision;
    size_t len;
    char reason[REASON_MAX];
    counter n;
};

struct telemetry_loop {
    _Alignas(64) struct call_series *last[LAST]; /* by cheap_hash(); each is in `series` too */
    struct series_map series;
    counter errors[OPERATIONS][CODES];
    counter cancels[BINDINGS][CANCEL_STATUSES];
    counter refused[OPERATIONS], slow[STREAM_TYPES];
    _Atomic int64_t streams[STREAM_TYPES];
    counter callers[2]; /* let in: anonymous, authenticated */
    struct auth_count auth[REASONS];
    _Atomic size_t auth_count;
};

struct telemetry {
    size_t loop_count;
    struct telemetry_loop *loops;
    pthread_mutex_t lock; /* leaf; what follows, but for the atomics */
    _Atomic size_t max_series;
    size_t reserved; /* series that may still be made for tenant "other" */
    struct series_map series;
    struct map capabilities, routes;
    struct capability_counts *no_capability, *other_capability;
    struct route_counts *no_route;
};
#endif
