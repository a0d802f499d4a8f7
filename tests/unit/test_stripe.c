#include "unit.h"
#include "loop/stripe.h"

#include <stdatomic.h>

struct thing {
    struct stripe_item item;
    int key;
};

static bool equal(const struct stripe_item *i, const void *key)
{
    return container_of(i, struct thing, item)->key == *(const int *)key;
}

static void finds_by_key_also_when_hashes_collide(void **state)
{
    struct stripe_map *m = aligned_alloc(64, sizeof *m);
    struct thing things[500];

    (void)state;
    stripe_init(m, equal);
    for (int i = 0; i < 500; i++) { /* 5 hashes for 500 keys, all in one stripe */
        struct stripe *s = stripe_lock(m, (uint64_t)(i % 5) << 8);
        things[i].key = i;
        assert_true(stripe_add(s, &things[i].item, (uint64_t)(i % 5) << 8));
        stripe_unlock(s);
    }
    for (int i = 0; i < 500; i += 2) {
        struct stripe *s = stripe_lock(m, (uint64_t)(i % 5) << 8);
        stripe_remove(s, &things[i].item);
        stripe_unlock(s);
    }
    for (int i = 0; i < 500; i++) {
        struct stripe *s = stripe_lock(m, (uint64_t)(i % 5) << 8);
        struct stripe_item *found = stripe_find(m, s, (uint64_t)(i % 5) << 8, &i);
        assert_ptr_equal(found, i % 2 ? &things[i].item : NULL);
        stripe_unlock(s);
    }
    stripe_deinit(m);
    free(m);
}

enum { THREADS = 4, KEYS = 2000 };
static struct stripe_map *shared;
static _Atomic int added, removed;

static void *add_and_remove(void *arg)
{
    (void)arg;
    for (int round = 0; round < 5; round++)
        for (int k = 0; k < KEYS; k++) {
            uint64_t hash = (uint64_t)k * 2654435761u;
            struct stripe *s = stripe_lock(shared, hash);
            struct stripe_item *old = stripe_find(shared, s, hash, &k);
            if (old) {
                stripe_remove(s, old);
                free(container_of(old, struct thing, item));
                removed++;
            } else {
                struct thing *t = malloc(sizeof *t);
                t->key = k;
                stripe_add(s, &t->item, hash);
                added++;
            }
            stripe_unlock(s);
        }
    return NULL;
}

static void is_exact_between_threads(void **state)
{
    pthread_t t[THREADS];
    int left = 0;

    (void)state;
    shared = aligned_alloc(64, sizeof *shared);
    stripe_init(shared, equal);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&t[i], NULL, add_and_remove, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    for (int k = 0; k < KEYS; k++) {
        uint64_t hash = (uint64_t)k * 2654435761u;
        struct stripe *s = stripe_lock(shared, hash);
        struct stripe_item *i = stripe_find(shared, s, hash, &k);
        if (i) {
            stripe_remove(s, i);
            free(container_of(i, struct thing, item));
            left++;
        }
        stripe_unlock(s);
    }
    assert_int_equal(added - removed, left);
    assert_int_equal(added + removed, THREADS * 5 * KEYS);
    stripe_deinit(shared);
    free(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {T(finds_by_key_also_when_hashes_collide),
                                       T(is_exact_between_threads)};
    return RUN(tests);
}
