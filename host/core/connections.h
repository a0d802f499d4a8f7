/* connections.h: the long-lived connections of a loop (MIG v0.1 14.1): what its open calls are to a
 * client. Owner: its loop. */
#ifndef CORE_CONNECTIONS_H
#define CORE_CONNECTIONS_H
#include "core/core.h"

struct connection {
    uint64_t id;                 /* 48 bits: conn- and 12 hex digits        */
    const char *kind, *protocol; /* static                                 */
    str tenant;                  /* "unknown" when each message names one   */
    str actor, remote;
    str topic, cursor;  /* sse_subscribe: as asked for; cursor may be empty */
    str path;           /* ws_stream                                       */
    uint64_t opened_ms; /* of the loop's clock                             */
};

/* Loop thread. Texts are good within visit. */
void connections_each(struct core *core, struct loop *l,
                      void (*visit)(void *arg, const struct connection *c), void *arg);
/* Loop thread: its client gets a closing record and then the end. false: no such one here. */
bool connection_close(struct core *core, struct loop *l, uint64_t id);
/* Loop thread: cancels the streams of a session that has gone silent. */
void connections_end_session(struct core *core, struct loop *l, str tenant, str session);
#endif
