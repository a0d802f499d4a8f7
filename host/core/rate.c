#include "core/rate.h"
#include "base/check.h"
#include "loop/stripe.h"

#include <arpa/inet.h>
#include <stdlib.h>

struct rate rate_of(uint64_t rps, uint64_t burst)
{
    if (!rps)
        return (struct rate){0};
    uint64_t interval = 1000000000u / rps;
    return (struct rate){interval, interval * (burst ? burst : rps)};
}

/* What the word becomes; 0: not now, *ret_wait_ns. */
static uint64_t advanced(uint64_t word, const struct rate *r, uint64_t now_ns,
                         uint64_t *ret_wait_ns)
{
    uint64_t next = (word > now_ns ? word : now_ns) + r->interval_ns;

    if (next - now_ns <= r->burst_ns)
        return next;
    *ret_wait_ns = next - now_ns - r->burst_ns;
    return 0;
}

uint64_t rate_take(_Atomic uint64_t *word, const struct rate *r, uint64_t now_ns)
{
    uint64_t have = atomic_load_explicit(word, memory_order_relaxed), next, wait_ns = 0;

    if (!r->interval_ns)
        return 0;
    do
        if (!(next = advanced(have, r, now_ns, &wait_ns)))
            return wait_ns;
    while (!atomic_compare_exchange_weak(word, &have, next));
    return 0;
}

uint32_t rate_wait_ms(uint64_t wait_ns)
{
    uint64_t ms = (wait_ns + 999999) / 1000000;

    return ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

/* --- by key ------------------------------------------------------------------------------------- */

struct word {
    struct stripe_item item;
    uint64_t at_ns; /* under the lock */
    uint8_t len;
    char key[RATE_PEER];
};

/* Under the lock of the stripe of the same number. */
struct side {
    uint64_t shared_ns; /* the word of all that found no place */
    uint64_t full_until_ns;
};

struct rate_table {
    struct stripe_map map;
    struct side sides[STRIPES];
    size_t per_stripe;
};

static bool equal(const struct stripe_item *item, const void *key)
{
    const struct word *w = container_of(item, struct word, item);
    return str_eq((str){w->key, w->len}, *(const str *)key);
}

struct rate_table *rate_table_new(size_t max)
{
    struct rate_table *t = stripe_alloc(sizeof *t);

    stripe_init(&t->map, equal);
    t->per_stripe = max / STRIPES ? max / STRIPES : 1;
    return t;
}

/* Frees the words that had run out by now_ns; the first time when another will have. */
static uint64_t forget(struct stripe *s, uint64_t now_ns)
{
    uint64_t next_ns = UINT64_MAX;

    for (size_t b = 0; s->buckets && b <= s->mask; b++)
        for (struct stripe_item *at = s->buckets[b], *next; at; at = next) {
            struct word *w = container_of(at, struct word, item);
            next = at->next;
            if (w->at_ns > now_ns) {
                next_ns = w->at_ns < next_ns ? w->at_ns : next_ns;
                continue;
            }
            stripe_remove(s, at);
            free(w);
        }
    return next_ns;
}

void rate_table_free(struct rate_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < STRIPES; i++)
        forget(&t->map.stripes[i], UINT64_MAX);
    stripe_deinit(&t->map);
    free(t);
}

static bool has_place(struct rate_table *t, struct stripe *s, struct side *side, uint64_t now_ns)
{
    if (s->count >= t->per_stripe && now_ns >= side->full_until_ns)
        side->full_until_ns = forget(s, now_ns);
    return s->count < t->per_stripe;
}

/* The word of the key, or the one that is shared. */
static uint64_t *word_of(struct rate_table *t, struct stripe *s, uint64_t hash, str key,
                         uint64_t now_ns)
{
    struct side *side = &t->sides[hash % STRIPES];
    struct stripe_item *item = stripe_find(&t->map, s, hash, &key);
    struct word *w = item ? container_of(item, struct word, item) : NULL;

    if (w)
        return &w->at_ns;
    if (!has_place(t, s, side, now_ns) || !(w = calloc(1, sizeof *w)))
        return &side->shared_ns;
    w->len = (uint8_t)key.len;
    memcpy(w->key, key.ptr, key.len);
    if (stripe_add(s, &w->item, hash))
        return &w->at_ns;
    free(w);
    return &side->shared_ns;
}

uint64_t rate_table_take(struct rate_table *t, str key, const struct rate *r, uint64_t now_ns)
{
    uint64_t hash = str_hash(key), wait_ns = 0;

    if (!r->interval_ns || broken(key.len > RATE_PEER))
        return 0;
    struct stripe *s = stripe_lock(&t->map, hash);
    uint64_t *word = word_of(t, s, hash, key, now_ns);
    uint64_t next = advanced(*word, r, now_ns, &wait_ns);
    *word = next ? next : *word;
    stripe_unlock(s);
    return wait_ns;
}

size_t rate_table_count(const struct rate_table *t)
{
    size_t n = 0;

    for (size_t i = 0; i < STRIPES; i++) {
        struct stripe *s = (struct stripe *)(uintptr_t)&t->map.stripes[i];
        pthread_mutex_lock(&s->lock);
        n += s->count;
        stripe_unlock(s);
    }
    return n;
}

/* --- peers -------------------------------------------------------------------------------------- */

size_t rate_peer(str remote, char ret_key[RATE_PEER])
{
    static const char mapped[12] = "\0\0\0\0\0\0\0\0\0\0\xFF\xFF"; /* RFC 4291 2.5.5.2 */
    const char *colon = remote.len ? memrchr(remote.ptr, ':', remote.len) : NULL;
    str host = {remote.ptr, colon ? (size_t)(colon - remote.ptr) : remote.len};
    bool is_v6 = str_starts(host, S("[")) && str_ends(host, S("]"));
    char z[64];

    host = is_v6 ? (str){host.ptr + 1, host.len - 2} : host;
    if (host.len >= sizeof z)
        return 0;
    memcpy(z, host.ptr ? host.ptr : "", host.len);
    z[host.len] = 0;
    if (inet_pton(is_v6 ? AF_INET6 : AF_INET, z, ret_key) != 1)
        return 0;
    if (!is_v6)
        return 4;
    if (memcmp(ret_key, mapped, sizeof mapped) != 0)
        return 8;
    memmove(ret_key, ret_key + 12, 4); /* the same peer on a listener of either family */
    return 4;
}
