#include "core/sessions.h"
#include "base/check.h"
#include "loop/stripe.h"

#include <stdatomic.h>
#include <stdlib.h>

struct session {
    struct stripe_item item;
    uint64_t seen_ms, interval_ms;
    str tenant, id;
    char text[];
};

struct sessions {
    struct stripe_map map;
    _Atomic size_t count;
};

struct key {
    str tenant, id;
};

static bool equal(const struct stripe_item *item, const void *k)
{
    const struct session *s = container_of(item, struct session, item);
    const struct key *key = k;

    return str_eq(s->id, key->id) && str_eq(s->tenant, key->tenant);
}

struct sessions *sessions_new(void)
{
    struct sessions *all = stripe_alloc(sizeof *all);

    stripe_init(&all->map, equal);
    return all;
}

static void free_session(void *arg, struct stripe *s, struct stripe_item *item)
{
    (void)arg;
    (void)s;
    free(container_of(item, struct session, item));
}

void sessions_free(struct sessions *all)
{
    if (!all)
        return;
    stripe_each(&all->map, free_session, NULL);
    stripe_deinit(&all->map);
    free(all);
}

static struct session *session_new(str tenant, str id)
{
    struct session *s = malloc(sizeof *s + tenant.len + id.len);

    if (!s)
        return NULL;
    *s = (struct session){0};
    s->tenant = (str){memcpy(s->text, tenant.ptr, tenant.len), tenant.len};
    s->id = (str){memcpy(s->text + tenant.len, id.ptr, id.len), id.len};
    return s;
}

/* Under the lock. */
static struct session *find_or_add(struct sessions *all, struct stripe *s, uint64_t hash,
                                   str tenant, str id)
{
    struct stripe_item *item = stripe_find(&all->map, s, hash, &(struct key){tenant, id});

    if (item)
        return container_of(item, struct session, item);
    struct session *made = atomic_load(&all->count) < SESSIONS_MAX ? session_new(tenant, id) : NULL;
    if (made && !stripe_add(s, &made->item, hash)) {
        free(made);
        return NULL;
    }
    if (made)
        atomic_fetch_add(&all->count, 1);
    return made;
}

bool sessions_beat(struct sessions *all, str tenant, str id, uint64_t interval_ms, uint64_t now_ms)
{
    uint64_t hash = str_hash(tenant) * 31 + str_hash(id);
    struct stripe *s = stripe_lock(&all->map, hash);
    struct session *found = find_or_add(all, s, hash, tenant, id);

    if (found) {
        found->seen_ms = now_ms;
        found->interval_ms = interval_ms;
    }
    stripe_unlock(s);
    return found != NULL;
}

size_t sessions_count(const struct sessions *all)
{
    return atomic_load(&all->count);
}

/* Under the lock: takes the late ones of a stripe out, as a chain. */
static struct stripe_item *take_late(struct stripe *s, uint64_t missed, uint64_t now_ms)
{
    struct stripe_item *late = NULL;

    for (size_t b = 0; s->buckets && b <= s->mask; b++)
        for (struct stripe_item *at = s->buckets[b], *next; at; at = next) {
            const struct session *session = container_of(at, struct session, item);
            next = at->next;
            if (now_ms <= session->seen_ms + session->interval_ms * missed)
                continue;
            stripe_remove(s, at);
            at->next = late;
            late = at;
        }
    return late;
}

void sessions_sweep(struct sessions *all, uint64_t missed, uint64_t now_ms,
                    void (*missing)(void *arg, str tenant, str id), void *arg)
{
    for (size_t i = 0; i < STRIPES; i++) {
        pthread_mutex_lock(&all->map.stripes[i].lock);
        struct stripe_item *late = take_late(&all->map.stripes[i], missed, now_ms);
        pthread_mutex_unlock(&all->map.stripes[i].lock);
        for (struct stripe_item *next; late; late = next) {
            struct session *s = container_of(late, struct session, item);
            next = late->next;
            atomic_fetch_sub(&all->count, 1);
            missing(arg, s->tenant, s->id);
            free(s);
        }
    }
}
