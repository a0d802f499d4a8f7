/* idem_own.h: between idem.c and idem_keep.c. Under the locks of the stripes where not said otherwise. */
#ifndef CORE_IDEM_OWN_H
#define CORE_IDEM_OWN_H
#include "core/idem_row.h"
#include "loop/stripe.h"

/* Under the lock of its stripe. */
struct idem_entry {
    struct stripe_item item;
    struct idem_result *result; /* NULL: running */
    struct list waiting;        /* tickets, oldest first */
    struct list in_order;       /* finished: in the queue of the stripe */
    uint64_t order, expires_ms, revision;
    size_t bytes;
    char fingerprint[DIGEST_HEX];
    struct idem_key key;
    char text[];
};

/* Under the lock of the stripe of the same number. */
struct idem_queue {
    struct list finished;    /* entries, oldest first                          */
    struct list drops;       /* deletions that the store has not answered      */
    _Atomic uint64_t oldest; /* order of the first; IDEM_NONE: there is none   */
};

#define IDEM_NONE UINT64_MAX

struct idem {
    struct stripe_map map;
    struct idem_queue queues[STRIPES];
    struct store *store;
    _Atomic uint64_t orders, max_entries, max_bytes;
    _Atomic uint64_t entries, bytes, replays, evicted, unstored;
    _Atomic uint64_t swept_ms;
};

/* A row on its way out of the store. */
struct idem_drop {
    struct store_request request;
    struct list link;
    struct idem *idem;
    uint64_t hash;
    struct idem_row_name name;
};

/* idem_keep.c: a finished entry joins those that are kept, or leaves them and belongs to the caller. */
void idem_line_up(struct idem *i, struct idem_entry *e);
void idem_take_out(struct idem *i, struct stripe *s, struct idem_entry *e);
/* Without a lock: those beyond the limits go, the oldest first; now and then those that have expired. */
void idem_trim(struct idem *i, uint64_t now_ms);
void idem_entry_free(struct idem_entry *e);
void idem_drop_free(struct idem_drop *d);
#endif
