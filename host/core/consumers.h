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
/* What a subscription finds when it takes the consumer over. */
struct consumer_state {
    bool is_known;
    uint64_t position; /* sequence of the last event that was handed on */
    uint64_t replayed; /* within the present hour                       */
    uint64_t hour_left_ms;
    mig_call before; /* the subscription that had it; 0: none         */
};
/* Makes `me` its one reader. NULL: too many consumers, or no memory. ttl_ms: how long a position is
 * kept without a reader. */
struct consumer *consumer_take(struct core *core, const struct consumer_key *key, mig_call me,
                               uint64_t ttl_ms, struct consumer_state *ret);
/* `me` reads no more; another may have taken it over already. */
void consumer_leave(struct core *core, struct consumer *c, mig_call me);
/* An event was handed on; positions of a reader that was taken over do not count. Stored soon after:
 * a crash may take back the last ones (at least once). Loop thread. */
void consumer_moved(struct core *core, struct consumer *c, mig_call me, uint64_t seq,
                    bool is_replay);
#endif
