/* subscription.h: a cursor over a topic (MIG v0.1 5.5 and 7), owned by the loop of its client. It lasts:
 * subscribe.c makes it of an op, which goes; subscription.c brings the events, and the answer at the end.
 *
 *   pump: what comes next for the client? -> offered on the parent's strand -> taken: cursor moves, pump
 *                                                                           -> not taken: blocked,
 *                                                                              until the client has room
 *   nothing new: idle until the topic wakes it; behind what is in memory: a block of records is read. */
#ifndef CORE_SUBSCRIPTION_H
#define CORE_SUBSCRIPTION_H
#include "core/consumers.h"
#include "core/events.h"
#include "core/rest.h"

enum subscription_state {
    SUBSCRIPTION_IDLE,
    SUBSCRIPTION_OFFERED,
    SUBSCRIPTION_BLOCKED,
    SUBSCRIPTION_READING,
    SUBSCRIPTION_THROTTLED,
    SUBSCRIPTION_ENDED
};

/* In the arena of its call. */
struct subscription {
    struct op_rest rest;
    void (*on_open)(void *self, void *tag, mig_call ex, mig_call op);
    mig_status (*on_event)(void *self, void *tag, mig_call ex, const mig_event *e);
    str asked; /* resume_cursor as it was sent, when that was text */
    struct call *call;
    struct call_child child; /* in the parent's list */
    struct topic *topic;     /* referenced           */
    struct topic_reader reader;
    struct consumer *consumer;
    uint64_t cursor;    /* the last one that was handed on           */
    uint64_t live_from; /* those up to here were there before: replay */
    uint32_t max_inflight;
    enum subscription_state state;
    struct topic_range range;   /* as last seen */
    bool was_blocked, was_told; /* in this episode of being slow */
    bool has_room;              /* came while it was offered     */
    mig_status status;          /* strand -> home loop           */

    /* what is offered */
    mig_event out;
    struct event *event; /* referenced, or NULL                 */
    struct arena *arena; /* of a text made for this client      */
    uint64_t gap_to;     /* a gap up to here is what is offered */
    struct strand_event ev_open, ev_offer;
    struct task task;

    struct replay *replay; /* while it has to catch up */
    uint32_t replay_rate;  /* events per second        */
};

/* Of calls that are subscriptions. */
extern const struct call_kind subscription_kind;
/* NULL: another kind of call. */
static inline struct subscription *subscription_of(struct call *c)
{
    return c->kind == &subscription_kind ? c->owner : NULL;
}
/* It is placed, and in its parent's list: tell the client, and begin. */
void subscription_begin(struct subscription *s);
#endif
