#include "base/check.h"
#include "loop/stripe.h"
#include "store/kv.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { KEY_MAX = 512, OVERHEAD = 96 };

struct entry {
    struct stripe_item item;
    uint64_t revision, expires_ms; /* 0: never */
    char *value;
    size_t value_len, id_len;
    char id[]; /* tenant \0 plugin \0 provider \0 key */
};

struct kv_store {
    struct stripe_map map;
    _Atomic uint64_t max_bytes, max_keys, max_value, keys, bytes, revisions;
};

static bool equal(const struct stripe_item *item, const void *key)
{
    const struct entry *e = container_of(item, struct entry, item);
    return str_eq((str){e->id, e->id_len}, *(const str *)key);
}

struct kv_store *kv_new(const struct kv_limits *limits)
{
    struct kv_store *s = stripe_alloc(sizeof *s);

    stripe_init(&s->map, equal);
    kv_set_limits(s, limits);
    return s;
}

void kv_set_limits(struct kv_store *s, const struct kv_limits *limits)
{
    atomic_store(&s->max_bytes, limits->max_bytes);
    atomic_store(&s->max_keys, limits->max_keys);
    atomic_store(&s->max_value, limits->max_value);
}

static uint64_t size_of(const struct entry *e)
{
    return OVERHEAD + e->id_len + e->value_len;
}

static void entry_drop(struct kv_store *s, struct stripe *stripe, struct entry *e)
{
    stripe_remove(stripe, &e->item);
    atomic_fetch_sub(&s->keys, 1);
    atomic_fetch_sub(&s->bytes, size_of(e));
    free(e->value);
    free(e);
}

/* Calls visit for every entry of a locked stripe; visit may drop it. */
static void each_entry(struct kv_store *s, struct stripe *stripe,
                       void (*visit)(struct kv_store *, struct stripe *, struct entry *, uint64_t),
                       uint64_t now_ms)
{
    for (size_t b = 0; stripe->buckets && b <= stripe->mask; b++)
        for (struct stripe_item *at = stripe->buckets[b], *next; at; at = next) {
            next = at->next;
            visit(s, stripe, container_of(at, struct entry, item), now_ms);
        }
}

static bool has_expired(const struct entry *e, uint64_t now_ms)
{
    return e->expires_ms && e->expires_ms <= now_ms;
}

static void drop_expired(struct kv_store *s, struct stripe *stripe, struct entry *e,
                         uint64_t now_ms)
{
    if (has_expired(e, now_ms))
        entry_drop(s, stripe, e);
}

static void drop_any(struct kv_store *s, struct stripe *stripe, struct entry *e, uint64_t now_ms)
{
    (void)now_ms;
    entry_drop(s, stripe, e);
}

void kv_free(struct kv_store *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < STRIPES; i++)
        each_entry(s, &s->map.stripes[i], drop_any, 0);
    stripe_deinit(&s->map);
    free(s);
}

/* Everything that has expired, stripe by stripe: when a limit is reached, before anybody is refused. */
static void sweep(struct kv_store *s, uint64_t now_ms)
{
    for (uint64_t i = 0; i < STRIPES; i++) {
        struct stripe *stripe = stripe_lock(&s->map, i);
        each_entry(s, stripe, drop_expired, now_ms);
        stripe_unlock(stripe);
    }
}

struct spot {
    char id[KEY_MAX + 512];
    str text;
    uint64_t hash;
    struct stripe *stripe;
    struct entry *entry; /* NULL: absent or expired */
};

/* Finds the key and leaves its stripe locked. false: the key is too long; nothing is locked. */
static bool find(struct kv_store *s, const struct kv_space *space, str key, uint64_t now_ms,
                 struct spot *at)
{
    const str parts[] = {space->tenant, space->plugin, space->provider, key};
    size_t len = 0;

    if (!key.len || key.len > KEY_MAX)
        return false;
    for (size_t i = 0; i < countof(parts); i++) {
        if (len + parts[i].len + 1 > sizeof at->id)
            return false;
        if (parts[i].len)
            memcpy(at->id + len, parts[i].ptr, parts[i].len);
        len += parts[i].len;
        at->id[len++] = 0;
    }
    at->text = (str){at->id, len};
    at->hash = str_hash(at->text);
    at->stripe = stripe_lock(&s->map, at->hash);
    struct stripe_item *item = stripe_find(&s->map, at->stripe, at->hash, &at->text);
    at->entry = item ? container_of(item, struct entry, item) : NULL;
    if (at->entry && has_expired(at->entry, now_ms)) {
        entry_drop(s, at->stripe, at->entry);
        at->entry = NULL;
    }
    return true;
}

mig_status kv_get(struct kv_store *s, const struct kv_space *space, str key, uint64_t now_ms,
                  struct buf *out, uint64_t *ret_revision)
{
    struct spot at;

    *ret_revision = 0;
    if (!find(s, space, key, now_ms, &at))
        return MIG_INVALID_REQUEST;
    mig_status status = at.entry ? MIG_OK : MIG_NOT_FOUND;
    if (at.entry) {
        buf_add(out, (str){at.entry->value, at.entry->value_len});
        *ret_revision = at.entry->revision;
    }
    stripe_unlock(at.stripe);
    return status;
}

static bool has_room(struct kv_store *s, uint64_t more, bool is_new)
{
    return atomic_load(&s->bytes) + more <= atomic_load(&s->max_bytes) &&
           atomic_load(&s->keys) + is_new <= atomic_load(&s->max_keys);
}

static struct entry *entry_new(struct kv_store *s, struct spot *at)
{
    struct entry *e = calloc(1, sizeof *e + at->text.len);

    if (!e)
        return NULL;
    e->id_len = at->text.len;
    memcpy(e->id, at->id, at->text.len);
    if (!stripe_add(at->stripe, &e->item, at->hash)) {
        free(e);
        return NULL;
    }
    atomic_fetch_add(&s->keys, 1);
    atomic_fetch_add(&s->bytes, size_of(e));
    return e;
}

static mig_status put_locked(struct kv_store *s, struct spot *at, str value, uint64_t expect,
                             uint64_t expires_ms, uint64_t *ret_revision)
{
    *ret_revision = at->entry ? at->entry->revision : 0;
    if (expect != MIG_KV_ANY && expect != *ret_revision)
        return MIG_VERSION_MISMATCH;
    uint64_t had = at->entry ? at->entry->value_len : 0;
    uint64_t more = (at->entry ? 0 : OVERHEAD + at->text.len) + value.len;
    if (!has_room(s, more > had ? more - had : 0, !at->entry))
        return MIG_BACKPRESSURE;
    char *copy = str_dup(value);
    if (!copy || (!at->entry && !(at->entry = entry_new(s, at)))) {
        free(copy);
        return MIG_BACKPRESSURE;
    }
    struct entry *e = at->entry;
    free(e->value);
    atomic_fetch_add(&s->bytes, value.len - e->value_len);
    e->value = copy;
    e->value_len = value.len;
    e->expires_ms = expires_ms;
    *ret_revision = e->revision = atomic_fetch_add(&s->revisions, 1) + 1;
    return MIG_OK;
}

/* 0: never, also for a time beyond the clock's end. */
static uint64_t expires_at(uint64_t now_ms, uint64_t ttl_ms)
{
    return ttl_ms && ttl_ms <= UINT64_MAX - now_ms ? now_ms + ttl_ms : 0;
}

mig_status kv_put(struct kv_store *s, const struct kv_space *space, str key, str value,
                  uint64_t expect, uint64_t ttl_ms, uint64_t now_ms, uint64_t *ret_revision)
{
    mig_status status = MIG_BACKPRESSURE;
    struct spot at;

    *ret_revision = 0;
    if (value.len > atomic_load(&s->max_value))
        return MIG_INVALID_REQUEST;
    for (int attempt = 0; attempt < 2 && status == MIG_BACKPRESSURE; attempt++) {
        if (attempt)
            sweep(s, now_ms);
        if (!find(s, space, key, now_ms, &at))
            return MIG_INVALID_REQUEST;
        status = put_locked(s, &at, value, expect, expires_at(now_ms, ttl_ms), ret_revision);
        stripe_unlock(at.stripe);
    }
    return status;
}

mig_status kv_del(struct kv_store *s, const struct kv_space *space, str key, uint64_t expect,
                  uint64_t now_ms, uint64_t *ret_revision)
{
    mig_status status = MIG_NOT_FOUND;
    struct spot at;

    *ret_revision = 0;
    if (!find(s, space, key, now_ms, &at))
        return MIG_INVALID_REQUEST;
    if (at.entry) {
        *ret_revision = at.entry->revision;
        status = expect == MIG_KV_ANY || expect == *ret_revision ? MIG_OK : MIG_VERSION_MISMATCH;
    }
    if (status == MIG_OK) {
        entry_drop(s, at.stripe, at.entry);
        *ret_revision = 0;
    }
    stripe_unlock(at.stripe);
    return status;
}

void kv_stats(struct kv_store *s, uint64_t *ret_keys, uint64_t *ret_bytes)
{
    *ret_keys = atomic_load(&s->keys);
    *ret_bytes = atomic_load(&s->bytes);
}
