/* consumers.h: durable readers of topics (MIG v0.1 7.3): (tenant, topic, consumer id) -> position. Any
 * thread; fields are under the lock of their stripe. */
#ifndef CORE_CONSUMERS_H
#define CORE_CONSUMERS_H
#include "base/diag.h"
#include "mig/plugin.h"

struct core;
struct consumer;
struct consumers;

/* Before the loops run. */
bool consumers_open(struct core *core, struct diag *d);
void consumers_close(struct core *core);

struct consumer_key {
    str tenant, topic, id;
};
/* What a subscription finds. */
struct consumer_state {
    bool is_known;
    uint64_t position; /* sequence of the last event that was handed on */
    uint64_t replayed; /* within the present hour                       */
    uint64_t hour_left_ms;
};
/* The consumer, made when it is new; who reads as it stays. consumer_take() or consumer_pass() must
 * follow. NULL: too many consumers, or no memory. */
struct consumer *consumer_find(struct core *core, const struct consumer_key *key,
                               struct consumer_state *ret);
/* Nothing came of it: as if it had not been looked for. */
void consumer_pass(struct core *core, struct consumer *c);
/* Makes `me` its one reader and returns the one before; 0: none. ttl_ms: how long a position is kept
 * without a reader. */
mig_call consumer_take(struct core *core, struct consumer *c, mig_call me, uint64_t ttl_ms);
/* `me` reads no more; another may have taken it over already. Once after each consumer_take(). */
void consumer_leave(struct core *core, struct consumer *c, mig_call me);
/* An event was handed on; positions of a reader that was taken over do not count. Stored soon after:
 * a crash may take back the last ones (at least once). Loop thread. */
void consumer_moved(struct core *core, struct consumer *c, mig_call me, uint64_t seq,
                    bool is_replay);
/* Any thread. Visits under the lock of each stripe. */
void consumers_each(struct core *core,
                    void (*visit)(void *arg, const struct consumer_key *key, uint64_t position),
                    void *arg);
#endif
