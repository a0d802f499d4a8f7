/* idem.h: what was done already, by (tenant, kind, name, idempotency key); MIG v0.1 8.3.
 *
 *   nothing --- first ---> running --- finish ---> done: repeated until it expires or is evicted
 *      ^                    |    \--- those with the same key wait here
 *      +---- abandon -------+         (nobody waits; else the first that waits is the first now)
 *
 * Running entries are as many as operations in flight; finished ones have limits, the oldest go first.
 * With a store a result is in it before anybody is told of it, and all are back in memory after a
 * start. Any thread; leaf locks. Keys go by their 64-bit hash to a stripe and are compared whole. */
#ifndef CORE_IDEM_H
#define CORE_IDEM_H
#include "base/diag.h"
#include "base/digest.h"
#include "core/call.h"
#include "store/store.h"

struct idem;
struct idem_entry;

enum idem_kind { IDEM_INVOKE = 'i', IDEM_PUBLISH = 'p' };
struct idem_key {
    str tenant;
    enum idem_kind kind;
    str name; /* capability or topic: no line feed */
    str key;
};

/* How it ended: the texts live as long as a reference does. Immutable, any thread. */
struct idem_result {
    _Atomic unsigned refs;
    struct call_result result;
    char bytes[];
};
void idem_result_unref(void *result);

enum idem_answer {
    IDEM_FIRST,  /* do it; then idem_finish() or idem_abandon()                     */
    IDEM_WAITS,  /* somebody is at it: told() will run, or idem_leave()             */
    IDEM_REPLAY, /* result: was done already                                        */
    IDEM_REUSED, /* the key came with something else before                         */
    IDEM_NO_MEMORY
};

/* One operation that has a key. Owner: its loop; lives until told() or stored() has run. */
struct idem_ticket {
    struct loop *home;
    /* Home loop, once after IDEM_WAITS: with a result, or without one: it is the first now. */
    void (*told)(struct idem_ticket *t);
    /* Home loop, once after idem_finish(): the result is kept. */
    void (*stored)(struct idem_ticket *t);

    struct idem_result *result; /* the ticket's reference; whoever is told of it takes it over */

    struct idem *idem;
    struct idem_entry *entry; /* as the first, or while it waits */
    uint64_t hash;
    struct list link;
    struct task task;
    struct store_request request;
    char *row;
    uint64_t expires_ms;
};

/* s: NULL: results are kept in memory only. false: what is stored is damaged; d says what. */
bool idem_open(struct idem **ret, struct store *s, uint64_t now_ms, struct diag *d);
/* After the loops have ended and the store is closed. */
void idem_close(struct idem *i);
/* Any thread; what is beyond goes with the next that ends. */
void idem_set_limits(struct idem *i, uint64_t max_entries, uint64_t max_bytes);

/* fingerprint: 64 hex digits of what is asked. now_ms: wall clock. Home loop of t. */
enum idem_answer idem_start(struct idem *i, const struct idem_key *key,
                            const char fingerprint[DIGEST_HEX], struct idem_ticket *t,
                            uint64_t now_ms);
/* One that waits has had enough. false: told() is on its way already. */
bool idem_leave(struct idem_ticket *t);
/* The first did not come to an end that counts; what was prepared is forgotten. */
void idem_abandon(struct idem_ticket *t);
/* The first has this result (copied), for all who ask until expires_ms. stored() may run before the
 * function returns. When the store fails the result is kept in memory. false: no memory, nothing has
 * changed and stored() does not run. */
bool idem_finish(struct idem_ticket *t, const struct call_result *r, uint64_t now_ms,
                 uint64_t expires_ms);

/* The same in two steps, for a result that is stored together with something else: *ret_row is for
 * store_append_with(), the ticket's; NULL: nothing is stored. Then idem_settle(), or idem_abandon() when
 * nothing came of it. false: no memory, nothing has changed. */
bool idem_prepare(struct idem_ticket *t, const struct call_result *r, uint64_t now_ms,
                  uint64_t expires_ms, struct store_request **ret_row);
/* stored() runs before the function returns. */
void idem_settle(struct idem_ticket *t, uint64_t now_ms);

struct idem_stats {
    uint64_t entries, bytes, replays, evicted, unstored;
};
void idem_stats(const struct idem *i, struct idem_stats *ret);
#endif
