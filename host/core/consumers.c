#include "core/consumers.h"
#include "base/check.h"
#include "base/clock.h"
#include "core/core.h"
#include "loop/stripe.h"
#include "store/store.h"

#include <stdlib.h>

enum { CONSUMERS_MAX = 100000, HOUR_MS = 3600000, VALUE = 24 };

struct consumer {
    struct stripe_item item;
    struct core *core;
    struct consumer_key key;
    uint64_t position, saved;
    uint64_t hour_ms, replayed; /* replays since hour_ms (wall clock) */
    uint64_t ttl_ms, used_ms;
    mig_call active;
    unsigned holders; /* subscriptions that point to it */
    bool is_saving;
    struct store_request request;
    char value[VALUE]; /* what is being saved */
    str name;          /* of the row: topic, line feed, id */
    char text[];
};

struct consumers {
    struct stripe_map map;
    _Atomic size_t count;
};

static bool equal(const struct stripe_item *item, const void *k)
{
    const struct consumer *c = container_of(item, struct consumer, item);
    const struct consumer_key *key = k;

    return str_eq(c->key.id, key->id) && str_eq(c->key.topic, key->topic) &&
           str_eq(c->key.tenant, key->tenant);
}

static uint64_t hash_of(const struct consumer_key *k)
{
    return (str_hash(k->tenant) * 31 + str_hash(k->topic)) * 31 + str_hash(k->id);
}

static struct consumer *consumer_new(struct core *core, const struct consumer_key *k)
{
    struct consumer *c = calloc(1, sizeof *c + k->tenant.len + k->topic.len + 1 + k->id.len);
    char *at = c ? c->text : NULL;

    if (!c)
        return NULL;
    c->core = core;
    c->key.tenant = (str){memcpy(at, k->tenant.ptr, k->tenant.len), k->tenant.len};
    at += k->tenant.len;
    c->name = (str){at, k->topic.len + 1 + k->id.len};
    c->key.topic = (str){memcpy(at, k->topic.ptr, k->topic.len), k->topic.len};
    at += k->topic.len;
    *at++ = '\n';
    c->key.id = (str){memcpy(at, k->id.ptr, k->id.len), k->id.len};
    return c;
}

static struct stripe *lock(struct consumer *c)
{
    return stripe_lock(&c->core->consumers->map, c->item.hash);
}

/* --- storing: one write at a time, of the youngest position ------------------------------------- */

static void put_u64(char *to, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        to[i] = (char)(v >> 8 * i);
}

static uint64_t get_u64(const char *from)
{
    uint64_t v = 0;

    for (int i = 0; i < 8; i++)
        v |= (uint64_t)(unsigned char)from[i] << 8 * i;
    return v;
}

static void saved(struct store_request *r);

/* Under the lock. */
static void save(struct consumer *c)
{
    put_u64(c->value, c->position);
    put_u64(c->value + 8, c->hour_ms);
    put_u64(c->value + 16, c->replayed);
    c->saved = c->position;
    c->request = (struct store_request){.loop = loop_current(), .done = saved};
    c->is_saving =
        store_put(c->core->store, &c->request,
                  store_key((struct store_tenant){c->key.tenant}, STORE_CONSUMER, c->name),
                  (str){c->value, VALUE}, STORE_ANY, clock_wall_ms() + c->ttl_ms) == MIG_OK;
}

static void saved(struct store_request *r)
{
    struct consumer *c = container_of(r, struct consumer, request);
    struct stripe *s = lock(c);

    c->is_saving = false;
    if (c->position != c->saved)
        save(c);
    stripe_unlock(s);
}

void consumer_moved(struct core *core, struct consumer *c, mig_call me, uint64_t seq,
                    bool is_replay)
{
    (void)core;
    struct stripe *s = lock(c);

    if (c->active.v == me.v) {
        c->position = seq;
        c->replayed += is_replay;
        c->used_ms = clock_wall_ms();
        if (!c->is_saving)
            save(c);
    }
    stripe_unlock(s);
}

/* --- taking and leaving ------------------------------------------------------------------------- */

static bool has_expired(const struct consumer *c, uint64_t now_ms)
{
    return !c->active.v && c->used_ms && c->used_ms + c->ttl_ms < now_ms;
}

/* Under the lock: makes room for another by forgetting one of the same stripe that nobody needs. */
static bool forget_one(struct consumers *all, struct stripe *s, uint64_t now_ms)
{
    for (size_t b = 0; s->buckets && b <= s->mask; b++)
        for (struct stripe_item *at = s->buckets[b]; at; at = at->next) {
            struct consumer *c = container_of(at, struct consumer, item);
            if (c->holders || c->is_saving || (c->used_ms && !has_expired(c, now_ms)))
                continue;
            stripe_remove(s, at);
            atomic_fetch_sub(&all->count, 1);
            free(c);
            return true;
        }
    return false;
}

/* Under the lock. */
static struct consumer *find_or_add(struct core *core, struct stripe *s, uint64_t hash,
                                    const struct consumer_key *key)
{
    struct consumers *all = core->consumers;
    struct stripe_item *item = stripe_find(&all->map, s, hash, key);

    if (item)
        return container_of(item, struct consumer, item);
    bool has_room = atomic_load(&all->count) < CONSUMERS_MAX || forget_one(all, s, clock_wall_ms());
    struct consumer *c = has_room ? consumer_new(core, key) : NULL;
    if (c && !stripe_add(s, &c->item, hash)) {
        free(c);
        return NULL;
    }
    if (c)
        atomic_fetch_add(&all->count, 1);
    return c;
}

struct consumer *consumer_find(struct core *core, const struct consumer_key *key,
                               struct consumer_state *ret)
{
    uint64_t hash = hash_of(key), now = clock_wall_ms();
    struct stripe *s = stripe_lock(&core->consumers->map, hash);
    struct consumer *c = find_or_add(core, s, hash, key);

    if (c) {
        if (c->hour_ms + HOUR_MS <= now) {
            c->hour_ms = now;
            c->replayed = 0;
        }
        bool is_known = c->used_ms && !has_expired(c, now);
        *ret =
            (struct consumer_state){is_known, c->position, c->replayed, c->hour_ms + HOUR_MS - now};
        c->holders++;
    }
    stripe_unlock(s);
    return c;
}

void consumer_pass(struct core *core, struct consumer *c)
{
    (void)core;
    struct stripe *s = lock(c);

    c->holders--;
    stripe_unlock(s);
}

mig_call consumer_take(struct core *core, struct consumer *c, mig_call me, uint64_t ttl_ms)
{
    (void)core;
    struct stripe *s = lock(c);
    mig_call before = c->active;

    c->active = me;
    c->ttl_ms = ttl_ms;
    stripe_unlock(s);
    return before;
}

void consumer_leave(struct core *core, struct consumer *c, mig_call me)
{
    (void)core;
    struct stripe *s = lock(c);

    c->holders--;
    if (c->active.v == me.v) {
        c->active = (mig_call){0};
        if (c->used_ms) { /* its time begins now */
            c->used_ms = clock_wall_ms();
            if (!c->is_saving)
                save(c);
        }
    }
    stripe_unlock(s);
}

struct visitor {
    void (*visit)(void *arg, const struct consumer_key *key, uint64_t position);
    void *arg;
};

static void show(void *arg, struct stripe *s, struct stripe_item *item)
{
    const struct visitor *v = arg;
    const struct consumer *c = container_of(item, struct consumer, item);

    (void)s;
    v->visit(v->arg, &c->key, c->position);
}

void consumers_each(struct core *core,
                    void (*visit)(void *arg, const struct consumer_key *key, uint64_t position),
                    void *arg)
{
    struct visitor v = {visit, arg};

    stripe_each(&core->consumers->map, show, &v);
}

/* --- start and end ------------------------------------------------------------------------------ */

static void load(void *arg, struct store_tenant tenant, const struct store_row *row)
{
    struct core *core = arg;
    str rest = row->name, topic = str_split(&rest, '\n');
    const struct consumer_key key = {tenant.id, topic, rest};

    uint64_t now_ms = clock_wall_ms();

    if (row->value.len != VALUE || !rest.ptr || row->expires_at_ms <= now_ms)
        return;
    uint64_t hash = hash_of(&key);
    struct stripe *s = stripe_lock(&core->consumers->map, hash);
    struct consumer *c = find_or_add(core, s, hash, &key);
    if (c) {
        c->position = c->saved = get_u64(row->value.ptr);
        c->hour_ms = get_u64(row->value.ptr + 8);
        c->replayed = get_u64(row->value.ptr + 16);
        c->used_ms = now_ms;
        c->ttl_ms = row->expires_at_ms - now_ms;
    }
    stripe_unlock(s);
}

bool consumers_open(struct core *core, struct diag *d)
{
    struct consumers *all = stripe_alloc(sizeof *all);

    stripe_init(&all->map, equal);
    core->consumers = all;
    return store_each_row(core->store, STORE_CONSUMER, load, core, d);
}

static void free_consumer(void *arg, struct stripe *s, struct stripe_item *item)
{
    (void)arg;
    (void)s;
    free(container_of(item, struct consumer, item));
}

void consumers_close(struct core *core)
{
    struct consumers *all = core->consumers;

    if (!all)
        return;
    stripe_each(&all->map, free_consumer, NULL);
    stripe_deinit(&all->map);
    free(all);
    core->consumers = NULL;
}
