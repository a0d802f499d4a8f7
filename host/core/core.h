/* core.h: the node: its loops, threads, generations and instances. One per process. */
#ifndef CORE_CORE_H
#define CORE_CORE_H
#include "core/call.h"
#include "core/gen.h"
#include "core/instance.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "loop/watchdog.h"

struct inflight;
struct tenants;
struct usage;
struct rate_table;
struct accounts;
struct metrics;
struct telemetry;
struct tracing;
struct audit;
struct life;
struct kv_store;
struct store;
struct events;
struct idem;
struct identity;
struct consumers;
struct principal;
struct sessions;

/* Per loop. Owner: its loop. */
struct core_loop {
    struct gen *gen; /* for new requests */
    struct call_table *calls;
    struct timer old_streams; /* looks for streams that outlive their instance */
};

/* Any thread reads; written by the control thread before the loops run, except the atomics. */
struct core {
    struct loop *control;
    struct loop **loops;
    size_t loop_count;
    struct core_loop *per_loop;
    struct pool *pool;
    struct watchdog *watchdog;
    struct inflight *inflight;
    struct tenants *tenants;
    struct usage *usage;
    struct rate_table *peers; /* rate limit by address */
    struct metrics *metrics;
    struct telemetry *telemetry;
    struct tracing *tracing;
    struct audit *audit;
    struct kv_store *kv;
    struct store *store;
    struct events *events;
    struct consumers *consumers;
    struct sessions *sessions;
    struct idem *idem;
    struct identity *identity; /* edge/; NULL: mode none */
    struct accounts *accounts; /* control thread */
    struct life *life;
    _Atomic bool is_stopping;
    _Atomic uint64_t inflight_count;
    _Atomic uint64_t connections;

    /* control thread */
    struct gen *current;
    uint64_t gen_numbers;
    struct list gens, instances;
    struct timer drain_look;
    uint64_t abandoned, destroyed;

    /* Set by main/: the registered schema with this URI; NULL: there is no registry. [life] */
    bool (*schema_text)(struct core *core, str uri, str *ret_text);
    /* Set by main/: ask for a reload because a plugin's catalogue has changed. [any] */
    void (*request_redescribe)(struct core *core);
    /* Set by main/: run a control verb. Control thread; answers through done once. who: for whom;
     * NULL: a plugin asks for itself; lives until done. */
    void (*control_verb)(struct core *core, const struct principal *who, str verb, str args,
                         void (*done)(void *arg, mig_status status, str json, str message,
                                      str details),
                         void *arg);
};

struct core *core_new(struct loop *control, struct loop **loops, size_t loop_count, size_t workers,
                      unsigned stall_ms);
/* After all loops have ended. */
void core_free(struct core *core);
static inline struct core_loop *core_loop_of(struct core *core, const struct loop *l)
{
    return &core->per_loop[l->index];
}

/* Control thread. A new instance enters (state CREATED), gets reported in lists. */
void core_add_instance(struct core *core, struct instance *i);
/* Control thread. One generation more or less holds it; without any it is drained. */
void core_hold_instance(struct core *core, struct instance *i);
void core_release_instance(struct core *core, struct instance *i);
/* Control thread: instances that drain now; 0: everything retired has been destroyed. */
size_t core_draining(const struct core *core);
#endif
