/* rate.h: how often something may happen: so many times a second, and a burst at once. GCRA (the
 * virtual scheduling form of ATM's leaky bucket): one word says when the bucket will be empty again.
 *
 * Words outlive generations: they hang on tenants and usage cells, and on a table of their own for
 * peers. Times are of the monotonic clock, in nanoseconds. Any thread. */
#ifndef CORE_RATE_H
#define CORE_RATE_H
#include "base/str.h"

#include <stdatomic.h>

/* Immutable. interval_ns 0: no limit. */
struct rate {
    uint64_t interval_ns; /* between two of them             */
    uint64_t burst_ns;    /* how far the word may run ahead */
};
/* rps 0: no limit. burst 0: what one second allows. */
struct rate rate_of(uint64_t rps, uint64_t burst);

/* One more. 0: it may. Otherwise nothing was taken, and it may after so many ns. */
uint64_t rate_take(_Atomic uint64_t *word, const struct rate *r, uint64_t now_ns);
/* What a caller is told of it: whole milliseconds, never too few. */
uint32_t rate_wait_ms(uint64_t wait_ns);

/* Words by key, for keys that anybody can make up: a bound on their number; those beyond share the
 * word of their stripe. A word that has run out is forgotten when its place is wanted. */
struct rate_table;
struct rate_table *rate_table_new(size_t max);
void rate_table_free(struct rate_table *t);
/* As rate_take(). key: at most 16 bytes. */
uint64_t rate_table_take(struct rate_table *t, str key, const struct rate *r, uint64_t now_ns);
size_t rate_table_count(const struct rate_table *t);

/* The peer of "192.0.2.7:4711" or "[2001:db8::1]:4711": an IPv4 address, or the /64 network of an IPv6
 * address, since a host may use all of it. Returns its length; 0: no address. */
enum { RATE_PEER = 16 };
size_t rate_peer(str remote, char ret_key[RATE_PEER]);
#endif
