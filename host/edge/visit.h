/* visit.h: one request on its way through the edge, from its head to the end of the answer. Lives in the
 * exchange's arena until its answer lasts; then it moves (ADR 0014). Private to edge/. Owner: its loop. */
#ifndef EDGE_VISIT_H
#define EDGE_VISIT_H
#include "core/core.h"
#include "edge/manners.h"
#include "edge/route.h"
#include "edge/tally.h"

/* What of a visit is over when its answer has begun. */
struct arrival {
    struct gen *gen; /* pinned by the call; before that only good within one turn */
    uint64_t gen_number;
    const struct route *route;
    /* Copies of what outlives the generation. */
    void (*on_request)(void *self, void *data, mig_call ex, const mig_http_request *rq);
    struct instance *instance;
    mig_http_request request;
    str params[ROUTE_PARAMS_MAX];
    bool is_operator;   /* with the admin key, or on this machine */
    bool is_restricted; /* may read what is its tenant's          */
    bool is_refused;
    mig_status refusal;
    unsigned refusal_http;
    const char *refusal_reason, *refusal_message;
    str allow;
};

/* One request on its way: made when the head is there, used when the body is. */
struct visit {
    struct exchange *x;
    struct arrival *in; /* NULL: the visit has settled */
    struct principal *principal;
    struct call *call;
    struct tally tally;
    struct timer keepalive; /* of event streams                            */
    uint64_t sent_ms;       /* when the last bytes were given              */
    bool is_released;       /* the plugin needs the request no more        */
    struct manners manners; /* its message_id: of the answer, once there is a head */
};

/* --- event streams ------------------------------------------------------------------------------ */

/* The head of one was given: from now on there is a comment while nothing else is sent, for proxies that cut
 * what is silent (MIG v0.1 11.3). */
void visit_streams(struct visit *v);
/* Bytes were given. */
static inline void visit_sent(struct visit *v)
{
    v->sent_ms = loop_now_ms(v->x->loop);
}
/* call_kind.release: when nothing else is under way, the visit moves and the request's memory goes. */
void visit_release(struct call *c);
/* call_kind.free */
void visit_forget(struct call *c);
#endif
