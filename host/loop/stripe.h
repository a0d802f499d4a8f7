/* stripe.h: a hash map that several loops share exactly: 256 stripes, a leaf lock each. A lock is
 * never held across a callback except the short visitor given here, which must not call out. */
#ifndef LOOP_STRIPE_H
#define LOOP_STRIPE_H
#include "base/str.h"

#include <pthread.h>

/* Embedded in what the map holds. The hash is of the whole key; equal() decides. */
struct stripe_item {
    struct stripe_item *next;
    uint64_t hash;
};

enum { STRIPES = 256 };

struct stripe {
    _Alignas(64) pthread_mutex_t lock;
    struct stripe_item **buckets;
    size_t mask, count;
    void *extra; /* for the user, under the lock */
};

struct stripe_map {
    struct stripe stripes[STRIPES];
    bool (*equal)(const struct stripe_item *item, const void *key);
};

/* Zeroed memory for what has a map in it, in cache lines of its own; free() it. Aborts without memory. */
void *stripe_alloc(size_t size);
void stripe_init(struct stripe_map *m, bool (*equal)(const struct stripe_item *, const void *));
void stripe_deinit(struct stripe_map *m);
/* Locks the stripe of the hash; every function below wants it locked. */
struct stripe *stripe_lock(struct stripe_map *m, uint64_t hash);
void stripe_unlock(struct stripe *s);
struct stripe_item *stripe_find(struct stripe_map *m, struct stripe *s, uint64_t hash,
                                const void *key);
/* false: out of memory. The item must not be there yet. */
bool stripe_add(struct stripe *s, struct stripe_item *item, uint64_t hash);
void stripe_remove(struct stripe *s, struct stripe_item *item);
/* Every item, under the lock of its stripe. visit may remove the one it gets; before stripe_deinit() it
 * may free it just so. */
void stripe_each(struct stripe_map *m,
                 void (*visit)(void *arg, struct stripe *s, struct stripe_item *item), void *arg);
#endif
