/* event.h: one published event. Immutable but for what is rendered on demand, counted, any thread.
 *
 * What is stored is what publisher and core know when it is published: the text of the header without
 * the end of its meta, and the payload. Sequence, cursor and the like are added for each reader. */
#ifndef CORE_EVENT_H
#define CORE_EVENT_H
#include "base/arena.h"
#include "store/store.h"

struct op;

/* Made by the first who wants it. */
struct event_text {
    size_t len;
    char text[];
};

struct event {
    _Atomic unsigned refs;
    uint64_t seq, at_ms;
    str key, event_id;
    str stored; /* four bytes: length of the header, least significant first; header; payload */
    _Atomic(struct event_text *) live, sse; /* what live readers share */
    char bytes[];                           /* the texts above         */
};

/* From a PUBLISH: header and payload of the op, sequence still unknown. NULL: no memory. */
struct event *event_of_op(struct op *op, str key, str payload);
/* From the store. NULL: damaged, or no memory. */
struct event *event_of_record(const struct store_record *r);
struct event *event_ref(struct event *e);
void event_unref(void *event);

/* EventMessage as JSON text on one line. */
void event_write(const struct event *e, str topic, bool is_replay, struct arena_text *t);

/* The same with replay false, made once for all live readers. ptr NULL: no memory. */
str event_live(struct event *e, str topic);

/* While a reader is handed event_live(), its record for an event stream is shared between all readers:
 * event_lend() names the event for this thread (NULL: no longer), and event_shared() answers, with a
 * reference, when what is to be sent is exactly that text under its sequence and the name mig-event.
 * The record lives as long as the event. */
void event_lend(struct event *e);
struct event *event_shared(str name, str id, str data, str *ret_record);
#endif
