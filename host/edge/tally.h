/* tally.h: what is counted and recorded of one HTTP request. Lives with it. Owner: its loop. */
#ifndef EDGE_TALLY_H
#define EDGE_TALLY_H
#include "core/principal.h"
#include "core/telemetry.h"
#include "net/exchange.h"

struct tally {
    struct route_counts *counts; /* of the route, or of none       */
    uint64_t began_ns;           /* the request was complete       */
    str remote;                  /* of an operator's request       */
    bool is_admin;               /* the route is for operators     */
    bool is_over;                /* it was counted                 */
    mig_status refusal;          /* MIG_OK: it went to its handler */
};

/* The request is complete. refusal, reason: what becomes of it before any handler; has_key: operators show
 * one here. */
void tally_begin(struct tally *t, struct exchange *x);
void tally_access(struct tally *t, struct exchange *x, mig_status refusal, const char *reason,
                  bool has_key);
/* An error of the route that is not the answer of an operation, which counts its own. */
void tally_error(const struct tally *t, const struct exchange *x, mig_status status);
/* The answer is complete, or the client has left before. who: NULL: nobody yet. */
void tally_over(struct tally *t, struct exchange *x, const struct principal *who, str message_id);
/* An answer of the protocol's own, before there was a request. */
void tally_malformed(const struct loop *l, unsigned status);
#endif
