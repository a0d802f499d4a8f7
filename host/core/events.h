/* events.h: topics (MIG v0.1 section 7). A topic is a log with cursors: an event gets its sequence under
 * the topic's stripe, goes to the store, and is seen by readers once the store has it. Nobody ever sees a
 * number that a crash could take back. Readers are cursors on their own loops (subscribe.c); the youngest
 * events are kept in memory for them, the others are read from the store.
 *
 * Any thread; a topic's fields are under the lock of its stripe, which also orders the appends. */
#ifndef CORE_EVENTS_H
#define CORE_EVENTS_H
#include "base/diag.h"
#include "core/event.h"
#include "loop/loop.h"
#include "loop/stripe.h"

struct core;
struct events;
struct topic;

struct event_limits {
    uint64_t max_per_topic, max_bytes, max_age_ms;
    uint64_t max_topics; /* of a tenant; 0: no limit */
};

/* Before the loops run. false: the store has something damaged; d says what. */
bool events_open(struct core *core, struct diag *d);
/* After the loops have ended, before the store is closed. */
void events_close(struct core *core);
/* Control thread. Of the generation in force. */
void events_set_limits(struct core *core, const struct event_limits *limits);

/* Why there is no topic. */
enum topic_fault { TOPIC_NO_MEMORY, TOPIC_TENANT_FULL, TOPIC_NODE_FULL };
/* The topic, made when it is new, and referenced. NULL: *ret says why. */
struct topic *topic_take(struct core *core, str tenant, str name, enum topic_fault *ret);
/* Any thread. One that never had an event is forgotten a while after its last reference; the others
 * stay, since their numbers must not come again. */
void topic_drop(struct topic *t);
/* The sequence of its last event; 0: none, or no such topic. */
uint64_t topic_last(struct core *core, str tenant, str name);
str topic_name(const struct topic *t);
str topic_tenant(const struct topic *t);

struct topic_range {
    uint64_t first, last; /* what is retained; first > last: nothing */
};
struct topic_range topic_range(struct topic *t);

/* One event on its way into the log. Lives with its op. */
struct publication {
    struct topic *topic;
    struct event *event; /* the publication's reference                     */
    struct store_request request;
    /* NULL, or: the event has its number, which the log may still refuse. *ret_with: a value to be stored
     * with it, or NULL. Anything but MIG_OK is what topic_publish() says. Under the topic's lock. */
    mig_status (*numbered)(struct publication *p, struct store_request **ret_with);
    void (*done)(struct publication *p, mig_status status); /* on request.loop; seq is in event */
};
/* MIG_OK: done will run. MIG_BACKPRESSURE, MIG_UNAVAILABLE: nothing was taken. Loop of the request. */
mig_status topic_publish(struct publication *p);

/* The event behind a cursor when it is still in memory, referenced. NULL: ask the store (it is
 * retained), or there is none yet: *ret says. */
struct event *topic_next(struct topic *t, uint64_t after, struct topic_range *ret);

/* A reader of the loop that calls; wake runs on that loop when there may be something new. */
struct topic_reader {
    struct list link;
    void (*wake)(struct topic_reader *r);
};
/* false: no memory. */
bool topic_listen(struct topic *t, struct topic_reader *r);
void topic_leave(struct topic *t, struct topic_reader *r);

/* A reader has handed an event on. Any thread. */
void topic_delivered(struct topic *t, bool is_replay);
/* Control thread. Prometheus text about topics and consumers; of each at most max_series by name. */
void events_text(struct core *core, size_t max_series, struct buf *out);

struct events_stats {
    uint64_t topics, readers, published, kept_events, kept_bytes;
};
void events_stats(const struct core *core, struct events_stats *ret);
#endif
