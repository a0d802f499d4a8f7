/* raw_conn.h: how a connection becomes a raw stream. Private to net/. */
#ifndef NET_RAW_CONN_H
#define NET_RAW_CONN_H
#include "net/conn.h"

/* NULL: out of memory. Nothing has happened to c yet. */
struct raw *raw_new(struct conn *c, const struct raw_ops *ops, void *owner);
/* From here on the connection is r's. Takes what is in rest: it comes first, soon. */
void raw_start(struct raw *r, struct buf *rest);
#endif
