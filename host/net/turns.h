/* turns.h: whose turn it is to be read. Most connections are read whenever bytes are there. Those that have
 * more than fits one read, or send a request in many small pieces, wait in a queue, of which each turn of
 * the loop takes a little: what they send cannot hold up the others (slowloris, floods of bytes). Private to
 * net/. Owner: the loop. */
#ifndef NET_TURNS_H
#define NET_TURNS_H
#include "base/list.h"

struct conn;
struct loop;

struct turns {
    struct loop *loop;
    struct list waiting; /* conn.turn */
    struct task task;
    bool is_due;
};

void turns_init(struct turns *t, struct loop *l);
/* c was read, and its protocol has seen what came: n bytes, a full buffer or not. It may have to wait. */
void turns_was_read(struct turns *t, struct conn *c, size_t n, bool is_full);
#endif
