#include "loop/stripe.h"
#include "base/check.h"

#include <stdlib.h>

void *stripe_alloc(size_t size)
{
    size = (size + 63) / 64 * 64;
    void *p = aligned_alloc(64, size);

    must(p);
    return memset(p, 0, size);
}

void stripe_init(struct stripe_map *m, bool (*equal)(const struct stripe_item *, const void *))
{
    *m = (struct stripe_map){.equal = equal};
    for (size_t i = 0; i < STRIPES; i++)
        must(pthread_mutex_init(&m->stripes[i].lock, NULL) == 0);
}

void stripe_deinit(struct stripe_map *m)
{
    for (size_t i = 0; i < STRIPES; i++) {
        free(m->stripes[i].buckets);
        pthread_mutex_destroy(&m->stripes[i].lock);
    }
}

struct stripe *stripe_lock(struct stripe_map *m, uint64_t hash)
{
    struct stripe *s = &m->stripes[hash % STRIPES];

    pthread_mutex_lock(&s->lock);
    return s;
}

void stripe_unlock(struct stripe *s)
{
    pthread_mutex_unlock(&s->lock);
}

/* The low eight bits chose the stripe; the next ones choose the bucket. */
static struct stripe_item **bucket_of(const struct stripe *s, uint64_t hash)
{
    return &s->buckets[hash >> 8 & s->mask];
}

struct stripe_item *stripe_find(struct stripe_map *m, struct stripe *s, uint64_t hash,
                                const void *key)
{
    if (!s->buckets)
        return NULL;
    for (struct stripe_item *i = *bucket_of(s, hash); i; i = i->next)
        if (i->hash == hash && m->equal(i, key))
            return i;
    return NULL;
}

static bool grow(struct stripe *s)
{
    if (s->buckets && s->count <= s->mask)
        return true;
    size_t cap = s->buckets ? (s->mask + 1) * 2 : 8;
    struct stripe bigger = {.buckets = calloc(cap, sizeof *s->buckets), .mask = cap - 1};
    if (!bigger.buckets)
        return s->buckets != NULL; /* longer chains, still correct */
    for (size_t b = 0; s->buckets && b <= s->mask; b++)
        for (struct stripe_item *i = s->buckets[b], *next; i; i = next) {
            struct stripe_item **to = bucket_of(&bigger, i->hash);
            next = i->next;
            i->next = *to;
            *to = i;
        }
    free(s->buckets);
    s->buckets = bigger.buckets;
    s->mask = bigger.mask;
    return true;
}

bool stripe_add(struct stripe *s, struct stripe_item *item, uint64_t hash)
{
    if (!grow(s))
        return false;
    struct stripe_item **to = bucket_of(s, hash);
    item->hash = hash;
    item->next = *to;
    *to = item;
    s->count++;
    return true;
}

void stripe_remove(struct stripe *s, struct stripe_item *item)
{
    for (struct stripe_item **at = bucket_of(s, item->hash); *at; at = &(*at)->next)
        if (*at == item) {
            *at = item->next;
            s->count--;
            return;
        }
}

void stripe_each(struct stripe_map *m,
                 void (*visit)(void *arg, struct stripe *s, struct stripe_item *item), void *arg)
{
    for (uint64_t i = 0; i < STRIPES; i++) {
        struct stripe *s = stripe_lock(m, i);
        for (size_t b = 0; s->buckets && b <= s->mask; b++)
            for (struct stripe_item *at = s->buckets[b], *next; at; at = next) {
                next = at->next;
                visit(arg, s, at);
            }
        stripe_unlock(s);
    }
}
