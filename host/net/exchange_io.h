/* exchange_io.h: what a protocol does for its exchanges. Private to net/. Owner: the loop.
 *
 * exchange.c has checked everything that does not depend on the protocol: the order of calls, names
 * and values of headers, that somebody is there. */
#ifndef NET_EXCHANGE_IO_H
#define NET_EXCHANGE_IO_H
#include "net/conn.h"
#include "net/exchange.h"

struct exchange_io {
    /* x->status and these headers: keep them in the arena. MIG_OK, MIG_E_NOMEM. */
    mig_status (*head)(struct exchange *x, const mig_header *headers, uint32_t count);
    /* MIG_OK, MIG_E_AGAIN (not taken; ops->writable follows), MIG_E_GONE. */
    mig_status (*write)(struct exchange *x, str bytes);
    void (*end)(struct exchange *x, str bytes);
    void (*cut)(struct exchange *x);
    /* An answer of the protocol's own comes, although the request may not be complete. */
    void (*refuse)(struct exchange *x);
    /* NULL: this protocol has no upgrade. */
    struct raw *(*switch_over)(struct exchange *x, str head, const struct raw_ops *ops,
                               void *owner);
    struct conn *(*conn)(const struct exchange *x);
    /* x at another place, in `a`, as it is now; NULL as exchange_move(). */
    struct exchange *(*move)(struct exchange *x, struct arena *a);
    size_t size; /* of what move() needs */
};

/* RFC 9110 6.4.1: these have no body, whatever is written. */
static inline bool exchange_is_bodyless(const struct exchange *x)
{
    return x->is_head || x->status == 204 || x->status == 304;
}

/* Path and query from the target. */
void exchange_split_target(struct exchange *x);
#endif
