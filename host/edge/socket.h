/* socket.h: an exchange that has become a WebSocket: a call that lasts, whose frames are messages. Owner:
 * its loop. */
#ifndef EDGE_SOCKET_H
#define EDGE_SOCKET_H
#include "core/core.h"
#include "edge/cors.h"
#include "net/exchange.h"

/* MIG_OK: c is a WebSocket now, and x is over. Anything else: a head was given to x that says why. cors:
 * which pages may have one. */
mig_status socket_open(struct call *c, struct exchange *x, const mig_websocket *def,
                       const struct cors_policy *cors);
/* Loop thread, when the loop has ended. */
void socket_loop_free(struct loop *l);
#endif
