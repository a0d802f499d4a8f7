/* lane.h: records of bytes from one thread to one other, without a lock and without a system call: a ring
 * with a fixed size. One thread writes (reserve, fill, commit), one reads (peek, next). Bounded: when the
 * reader is behind, there is no room, and the writer decides what that means. */
#ifndef LOOP_LANE_H
#define LOOP_LANE_H
#include "base/str.h"

#include <stdatomic.h>

struct lane {
    _Alignas(64) _Atomic size_t head; /* written by the writer: end of what may be read */
    size_t tail_seen, next;           /* the writer's                                   */
    size_t size;
    char *bytes;
    _Alignas(64) _Atomic size_t tail; /* written by the reader */
};

/* size: a power of two. false: out of memory. */
bool lane_init(struct lane *l, size_t size);
void lane_deinit(struct lane *l);

/* Writer: room for a record of up to n bytes; NULL: none. Good until lane_commit(). */
char *lane_reserve(struct lane *l, size_t n);
/* Writer: the record is complete, with n bytes, not more than were reserved. */
void lane_commit(struct lane *l, size_t n);
/* Any thread: bytes that wait, about. */
size_t lane_used(const struct lane *l);

/* Reader: the oldest record; ptr NULL: none. Good until lane_next(). */
str lane_peek(struct lane *l);
/* Reader: done with the oldest. */
void lane_next(struct lane *l);
#endif
