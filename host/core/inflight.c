#include "core/inflight.h"
#include "base/check.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { REMEMBER_MS = 60000 };

/* What is left of an id: enough to know it again. */
struct print {
    uint64_t hash;
    uint32_t at_s;
    uint32_t is_cancel; /* 1: a cancel came before its invocation */
};

/* Per stripe, under its lock: the youngest prints, oldest overwritten first. Grows by need. */
struct prints {
    struct print *ring;
    size_t cap, next, count;
    size_t cancels; /* pending ones in the ring: 0 lets most invocations skip the search */
};

struct inflight {
    struct stripe_map map;
    struct prints prints[STRIPES];
    size_t per_stripe;
    _Atomic size_t cancels; /* in all rings: 0 spares most invocations the look */
    _Atomic uint64_t forgotten;
};

struct key {
    str tenant, id;
};

static bool equal(const struct stripe_item *item, const void *k)
{
    const struct inflight_item *i = container_of(item, struct inflight_item, item);
    const struct key *key = k;

    return str_eq(i->id, key->id) && str_eq(i->tenant, key->tenant);
}

static uint64_t hash_of(str tenant, str id)
{
    return str_hash(tenant) * 31 + str_hash(id);
}

struct inflight *inflight_new(size_t remembered)
{
    struct inflight *t = stripe_alloc(sizeof *t);

    stripe_init(&t->map, equal);
    t->per_stripe = remembered / STRIPES ? remembered / STRIPES : 1;
    return t;
}

void inflight_free(struct inflight *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < STRIPES; i++)
        free(t->prints[i].ring);
    stripe_deinit(&t->map);
    free(t);
}

/* --- fingerprints, under the stripe's lock ------------------------------------------------------ */

static struct prints *prints_of(struct inflight *t, uint64_t hash)
{
    return &t->prints[hash % STRIPES];
}

static bool is_fresh(const struct print *p, uint64_t now_ms)
{
    return now_ms / 1000 - p->at_s < REMEMBER_MS / 1000;
}

static struct print *print_find(struct prints *r, uint64_t hash, uint64_t now_ms)
{
    for (size_t n = 0; n < r->count; n++) {
        struct print *p = &r->ring[(r->next + r->cap - 1 - n) % r->cap];
        if (!is_fresh(p, now_ms))
            break; /* the ring is in order of time */
        if (p->hash == hash)
            return p;
    }
    return NULL;
}

/* Rings double while their oldest print is still wanted; the oldest comes to the front. */
static bool print_room(struct inflight *t, struct prints *r, uint64_t now_ms)
{
    if (r->count < r->cap || (r->cap && !is_fresh(&r->ring[r->next], now_ms)))
        return true;
    if (r->cap >= t->per_stripe) {
        atomic_fetch_add_explicit(&t->forgotten, 1, memory_order_relaxed);
        return true;
    }
    size_t cap = r->cap ? r->cap * 2 : 8;
    cap = cap > t->per_stripe ? t->per_stripe : cap;
    struct print *ring = malloc(cap * sizeof *ring);
    if (!ring)
        return r->cap > 0;
    for (size_t i = 0; i < r->count; i++)
        ring[i] = r->ring[(r->next + i) % r->cap];
    free(r->ring);
    r->ring = ring;
    r->cap = cap;
    r->next = r->count;
    return true;
}

static void count_cancels(struct inflight *t, struct prints *r, int change)
{
    r->cancels += (size_t)change;
    if (change)
        atomic_fetch_add(&t->cancels, (size_t)change);
}

static void print_add(struct inflight *t, uint64_t hash, uint64_t now_ms, bool is_cancel)
{
    struct prints *r = prints_of(t, hash);

    if (!print_room(t, r, now_ms))
        return;
    struct print *p = &r->ring[r->next];
    if (r->count == r->cap)
        count_cancels(t, r, p->is_cancel ? -1 : 0);
    else
        r->count++;
    *p = (struct print){hash, (uint32_t)(now_ms / 1000), is_cancel};
    count_cancels(t, r, is_cancel ? 1 : 0);
    r->next = (r->next + 1) % r->cap;
}

static struct print *cancel_find(struct inflight *t, uint64_t hash, uint64_t now_ms)
{
    struct prints *r = prints_of(t, hash);
    struct print *p = r->cancels ? print_find(r, hash, now_ms) : NULL;

    return p && p->is_cancel ? p : NULL;
}

/* --- the table ---------------------------------------------------------------------------------- */

mig_status inflight_add(struct inflight *t, struct inflight_item *i, uint64_t now_ms)
{
    const struct key key = {i->tenant, i->id};
    uint64_t hash = hash_of(i->tenant, i->id);
    struct stripe *s = stripe_lock(&t->map, hash);
    struct print *p = cancel_find(t, hash, now_ms);
    mig_status status = MIG_OK;

    if (stripe_find(&t->map, s, hash, &key)) {
        status = MIG_INVALID_REQUEST;
    } else if (p) {
        p->is_cancel = 0;
        count_cancels(t, prints_of(t, hash), -1);
        status = MIG_TIMEOUT;
    } else if (!stripe_add(s, &i->item, hash)) {
        status = MIG_BACKPRESSURE;
    } else {
        i->is_listed = true;
    }
    stripe_unlock(s);
    return status;
}

bool inflight_set_call(struct inflight *t, struct inflight_item *i, mig_call call)
{
    struct stripe *s = stripe_lock(&t->map, i->item.hash);
    bool go_on = !i->is_cancelled;

    i->call = call;
    stripe_unlock(s);
    return go_on;
}

void inflight_remove(struct inflight *t, struct inflight_item *i, uint64_t now_ms)
{
    if (!i->is_listed)
        return;
    i->is_listed = false;
    struct stripe *s = stripe_lock(&t->map, i->item.hash);
    stripe_remove(s, &i->item);
    print_add(t, i->item.hash, now_ms, false);
    stripe_unlock(s);
}

bool inflight_is_cancelled(struct inflight *t, str tenant, str id, uint64_t now_ms)
{
    if (!atomic_load_explicit(&t->cancels, memory_order_relaxed))
        return false;
    uint64_t hash = hash_of(tenant, id);
    struct stripe *s = stripe_lock(&t->map, hash);
    bool is_cancelled = cancel_find(t, hash, now_ms) != NULL;

    stripe_unlock(s);
    return is_cancelled;
}

enum inflight_found inflight_cancel(struct inflight *t, str tenant, str id, str subject,
                                    uint64_t now_ms, mig_call *ret_call, bool *ret_is_own)
{
    const struct key key = {tenant, id};
    uint64_t hash = hash_of(tenant, id);
    enum inflight_found found = INFLIGHT_PENDING;
    struct stripe *s = stripe_lock(&t->map, hash);
    struct stripe_item *item = stripe_find(&t->map, s, hash, &key);

    if (item) {
        struct inflight_item *i = container_of(item, struct inflight_item, item);
        *ret_call = i->call;
        *ret_is_own = str_eq(i->subject, subject);
        i->is_cancelled |= i->call.v == 0 && *ret_is_own;
        found = INFLIGHT_RUNNING;
    } else {
        struct print *p = print_find(prints_of(t, hash), hash, now_ms);
        if (p && !p->is_cancel)
            found = INFLIGHT_COMPLETED;
        else if (!p)
            print_add(t, hash, now_ms, true);
    }
    stripe_unlock(s);
    return found;
}

uint64_t inflight_forgotten(const struct inflight *t)
{
    return atomic_load(&((struct inflight *)(uintptr_t)t)->forgotten);
}
