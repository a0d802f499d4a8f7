/* turns.h: whose turn it is to be read. Most connections are read whenever bytes are there. Those that have
 * more than two reads take wait in a queue, of which each turn of the loop takes one: who sends a lot cannot
 * hold up the others. Private to net/. Owner: the loop. */
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
/* c was read, and its protocol has seen the n bytes that came. Where they filled the buffer, it may
 * have to wait. */
void turns_was_read(struct turns *t, struct conn *c, size_t n, bool is_full);
#endif
