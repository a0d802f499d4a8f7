/* events_own.h: between events.c (topics) and retention.c (how long they are kept). */
#ifndef CORE_EVENTS_OWN_H
#define CORE_EVENTS_OWN_H
#include "core/events.h"

struct events {
    struct core *core;
    struct stripe_map map;
    _Atomic uint64_t count, readers, published, kept_events, kept_bytes;
    _Atomic uint64_t numbers; /* of topics that had events, for metrics */
    _Atomic uint64_t max_per_topic, max_bytes, max_age_ms, max_topics;
    struct timer sweep; /* control thread */
};

/* Visits under the lock of each stripe. */
void events_each(struct core *core, void (*visit)(void *arg, struct topic *t, struct stripe *s),
                 void *arg);
/* Under the lock: drops the events in memory unless somebody reads or writes. */
void topic_forget_tail(struct topic *t);
/* Control thread, under the lock, in events_each(): true: it never had an event and nobody has asked for
 * it since the last call; it is gone now. */
bool topic_forget(struct topic *t, struct stripe *s);

#define TOPIC_UNUSED UINT64_MAX /* never had an event */
struct topic_counts {
    uint64_t published, delivered, replayed; /* since the start; delivered: the replayed ones too */
    uint64_t pending;                        /* on their way into the store                       */
    uint64_t number;                         /* in the order of their first events; TOPIC_UNUSED  */
};
/* Under the lock. */
void topic_counts(struct topic *t, struct topic_counts *ret);

struct topic_size {
    uint64_t first, last, bytes;
    bool is_mine; /* no other trim is under way: topic_end_trim() must follow */
};
struct topic_size topic_begin_trim(struct topic *t);
/* first 0: nothing was changed. */
void topic_end_trim(struct topic *t, uint64_t first, uint64_t bytes);

/* Loop thread, after an event was written: trims when the topic is over its limits. */
void events_retain(struct core *core, struct topic *t);
#endif
