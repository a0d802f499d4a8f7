#include "base/check.h"
#include "store/memory.h"

#include <stdlib.h>

struct entry {
    uint64_t at_ms;
    uint32_t key_len, id_len;
    size_t len;
    char texts[]; /* key, event id, bytes */
};

/* A log, under its stripe's lock. The ring holds the records first to last; record n lies at n & mask. */
struct log {
    struct stripe_item item;
    struct entry **ring;
    size_t mask; /* its size, a power of two, less 1 */
    uint64_t first, last, bytes;
    size_t tenant_len, name_len;
    char id[]; /* tenant, then topic */
};

static struct store_topic topic_of(const struct log *l)
{
    return store_topic((struct store_tenant){{l->id, l->tenant_len}},
                       (str){l->id + l->tenant_len, l->name_len});
}

static bool equal(const struct stripe_item *item, const void *key)
{
    struct store_topic a = topic_of(container_of(item, struct log, item));
    const struct store_topic *b = key;

    return str_eq(a.tenant.id, b->tenant.id) && str_eq(a.name, b->name);
}

static size_t entry_bytes(const struct entry *e)
{
    return e->key_len + e->id_len + e->len;
}

static struct entry **slot(struct log *l, uint64_t seq)
{
    return &l->ring[seq & l->mask];
}

/* --- finding ------------------------------------------------------------------------------------ */

struct place {
    struct stripe *stripe;
    uint64_t hash;
    struct log *log; /* NULL: there is none */
};

static struct place lock(struct memory_store *m, struct store_request *r)
{
    const struct store_topic topic = store_topic(r->tenant, r->name);
    struct place p = {.hash = str_hash(topic.tenant.id) * 31 + str_hash(topic.name)};

    p.stripe = stripe_lock(&m->topics, p.hash);
    struct stripe_item *item = stripe_find(&m->topics, p.stripe, p.hash, &topic);
    p.log = item ? container_of(item, struct log, item) : NULL;
    return p;
}

static void answer_head(struct store_request *r, const struct log *l)
{
    r->status = l && l->last ? MIG_OK : MIG_NOT_FOUND;
    r->first = l ? l->first : 1;
    r->last = l ? l->last : 0;
}

static bool topic_take(struct memory_store *m)
{
    uint64_t have = atomic_load(&m->topic_count);

    do {
        if (have >= m->base.settings.max_topics)
            return false;
    } while (!atomic_compare_exchange_weak(&m->topic_count, &have, have + 1));
    return true;
}

static struct log *log_new(struct memory_store *m, struct store_request *r, struct place *p)
{
    size_t size = sizeof(struct log) + r->tenant.id.len + r->name.len;
    struct log *l = memory_take(m, size) ? calloc(1, size) : NULL;

    if (!l || !stripe_add(p->stripe, &l->item, p->hash)) {
        free(l);
        return NULL;
    }
    l->first = 1;
    l->tenant_len = r->tenant.id.len;
    l->name_len = r->name.len;
    memcpy(l->id, r->tenant.id.ptr, l->tenant_len);
    memcpy(l->id + l->tenant_len, r->name.ptr, l->name_len);
    return l;
}

/* --- operations --------------------------------------------------------------------------------- */

static bool ring_grow(struct log *l)
{
    size_t count = l->last + 1 - l->first, cap = l->ring ? (l->mask + 1) * 2 : 16;

    if (l->ring && count <= l->mask)
        return true;
    struct entry **ring = malloc(cap * sizeof *ring);
    if (!ring)
        return false;
    for (uint64_t seq = l->first; seq <= l->last; seq++)
        ring[seq & (cap - 1)] = *slot(l, seq);
    free(l->ring);
    l->ring = ring;
    l->mask = cap - 1;
    return true;
}

static bool push(struct memory_store *m, struct log *l, const struct store_request *r)
{
    size_t size = r->key.len + r->event_id.len + r->bytes_in.len;
    struct entry *e;

    if (!ring_grow(l) || !memory_take(m, sizeof *e + size))
        return false;
    if (!(e = malloc(sizeof *e + size))) {
        memory_give(m, sizeof *e + size);
        return false;
    }
    *e = (struct entry){r->at_ms, (uint32_t)r->key.len, (uint32_t)r->event_id.len, r->bytes_in.len};
    char *to = e->texts;
    const str texts[] = {r->key, r->event_id, r->bytes_in};
    for (size_t i = 0; i < countof(texts); to += texts[i++].len)
        if (texts[i].len)
            memcpy(to, texts[i].ptr, texts[i].len);
    *slot(l, ++l->last) = e;
    l->bytes += size;
    return true;
}

static void drop_last(struct memory_store *m, struct log *l)
{
    struct entry *e = *slot(l, l->last--);

    l->bytes -= entry_bytes(e);
    memory_give(m, sizeof *e + entry_bytes(e));
    free(e);
}

/* Under the lock of the log's stripe: the one place where another lock is taken below one. Values never
 * lock logs. */
static void put_with(struct memory_store *m, struct store_request *r, struct log *l,
                     uint64_t now_ms)
{
    memory_put(m, r->with, now_ms);
    if (!r->with->status)
        return;
    drop_last(m, l);
    store_fail(r, r->with->status, r->with->reason);
}

static void append_locked(struct memory_store *m, struct store_request *r, struct place *p,
                          uint64_t now_ms)
{
    uint64_t last = p->log ? p->log->last : 0;

    if (r->in != last + 1) {
        r->status = MIG_VERSION_MISMATCH;
    } else if (!p->log && !topic_take(m)) {
        store_fail(r, MIG_BACKPRESSURE, "topics");
    } else if (!p->log && !(p->log = log_new(m, r, p))) {
        atomic_fetch_sub(&m->topic_count, 1);
        store_fail(r, MIG_UNAVAILABLE, "memory_full");
    } else if (!push(m, p->log, r)) {
        store_fail(r, MIG_UNAVAILABLE, "memory_full");
    } else if (r->with) {
        put_with(m, r, p->log, now_ms);
    }
}

/* A log whose first record was refused has never been. */
static void forget_empty(struct memory_store *m, struct place *p)
{
    struct log *l = p->log;

    if (!l || l->last)
        return;
    stripe_remove(p->stripe, &l->item);
    atomic_fetch_sub(&m->topic_count, 1);
    memory_give(m, sizeof *l + l->tenant_len + l->name_len);
    free(l->ring);
    free(l);
    p->log = NULL;
}

void memory_append(struct memory_store *m, struct store_request *r, uint64_t now_ms)
{
    struct place p = lock(m, r);

    append_locked(m, r, &p, now_ms);
    forget_empty(m, &p);
    mig_status status = r->status;
    answer_head(r, p.log);
    r->status = status;
    stripe_unlock(p.stripe);
}

void memory_read(struct memory_store *m, struct store_request *r, uint64_t now_ms)
{
    struct place p = lock(m, r);
    uint64_t seq = r->in;

    (void)now_ms;
    answer_head(r, p.log);
    if (r->status == MIG_OK && seq < r->last)
        for (seq = seq < r->first ? r->first : seq + 1; seq <= r->last; seq++) {
            struct entry *e = *slot(p.log, seq);
            const char *t = e->texts;
            if (!store_pack(r, (uint64_t[]){seq, e->at_ms},
                            (str[]){{t, e->key_len},
                                    {t + e->key_len, e->id_len},
                                    {t + e->key_len + e->id_len, e->len}}))
                break;
        }
    stripe_unlock(p.stripe);
}

void memory_trim(struct memory_store *m, struct store_request *r, uint64_t now_ms)
{
    struct place p = lock(m, r);
    struct log *l = p.log;

    (void)now_ms;
    for (; l && l->first <= l->last && l->first <= r->in; l->first++) {
        struct entry *e = *slot(l, l->first);
        l->bytes -= entry_bytes(e);
        memory_give(m, sizeof *e + entry_bytes(e));
        free(e);
    }
    answer_head(r, l);
    stripe_unlock(p.stripe);
}

void memory_head(struct memory_store *m, struct store_request *r, uint64_t now_ms)
{
    struct place p = lock(m, r);

    (void)now_ms;
    answer_head(r, p.log);
    if (r->status == MIG_OK) {
        r->count = r->last + 1 - r->first;
        r->bytes = p.log->bytes;
    }
    stripe_unlock(p.stripe);
}

/* --- the whole ---------------------------------------------------------------------------------- */

void memory_logs_init(struct memory_store *m)
{
    stripe_init(&m->topics, equal);
}

static void log_free(struct log *l)
{
    for (; l->first <= l->last; l->first++)
        free(*slot(l, l->first));
    free(l->ring);
    free(l);
}

static void free_item(void *arg, struct stripe *s, struct stripe_item *item)
{
    (void)arg;
    (void)s;
    log_free(container_of(item, struct log, item));
}

void memory_logs_deinit(struct memory_store *m)
{
    stripe_each(&m->topics, free_item, NULL);
    stripe_deinit(&m->topics);
}

struct visitor {
    store_visit_topic *visit;
    void *arg;
};

static void show(void *arg, struct stripe *s, struct stripe_item *item)
{
    const struct visitor *v = arg;
    const struct log *l = container_of(item, struct log, item);

    (void)s;
    if (l->last)
        v->visit(v->arg, topic_of(l), (struct store_head){l->first, l->last, l->bytes});
}

void memory_each_topic(struct memory_store *m, store_visit_topic *visit, void *arg)
{
    struct visitor v = {visit, arg};

    stripe_each(&m->topics, show, &v);
}
