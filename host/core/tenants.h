/* tenants.h: one record per tenant that has called, was registered, or has a quota: what is counted
 * and limited per tenant. Outlives generations; nothing is ever forgotten, but their number is bounded:
 * tenants beyond share one record. Any thread. */
#ifndef CORE_TENANTS_H
#define CORE_TENANTS_H
#include "loop/stripe.h"

#include <stdatomic.h>

struct usage_cell;
struct tenants;

enum { TENANTS_MAX = 65536, TENANT_CELLS = 8 };

/* Under the lock of the record's stripe (quota.c). */
struct tenant_quota {
    uint64_t max;                 /* 0: none                                          */
    uint64_t window_ms, began_ms; /* 0: for good. Wall clock                          */
    uint64_t used;                /* within the window                                */
    uint64_t reserved;            /* by those that run                                */
    uint64_t epoch;               /* of the window, from 1: reservations name theirs  */
    bool is_dirty;                /* used has changed since it was stored             */
};

struct tenant {
    struct stripe_item item;
    _Atomic uint64_t inflight;
    _Atomic uint64_t topics; /* that events.c knows                              */
    _Atomic uint64_t done;   /* successful invocations since the first start */
    _Atomic uint64_t rate;   /* word of mig.rate_limit_tenant_rps             */
    _Atomic bool has_quota, is_registered;
    struct tenant_quota quota;
    _Atomic(struct usage_cell *) cells[TENANT_CELLS]; /* usage.c: lists that only grow */
    char name[65];                                    /* empty: those that share       */
};

struct tenants *tenants_new(void);
void tenants_free(struct tenants *t);
/* The record, made when it is new; the shared one when there is no room. */
struct tenant *tenant_of(struct tenants *t, str name);
/* NULL: never heard of. */
struct tenant *tenant_find(struct tenants *t, str name);
struct tenant *tenant_shared(struct tenants *t);
static inline bool tenant_is_shared(const struct tenant *t)
{
    return !t->name[0];
}
struct stripe *tenant_lock(struct tenants *t, struct tenant *of);
/* Every record, the shared one too, under its lock: visit must not call out. */
void tenants_each(struct tenants *t, void (*visit)(struct tenant *t, void *arg), void *arg);
#endif
