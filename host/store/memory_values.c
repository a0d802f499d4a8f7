#include "base/check.h"
#include "store/memory.h"

#include <stdlib.h>

/* Looked at for expiry at each write, behind where the last one stopped. */
enum { SWEEP = 8 };

/* --- skip list, under its shard's lock ---------------------------------------------------------- */

static str tenant_of(const struct memory_value *v)
{
    return (str){(const char *)&v->next[v->height], v->tenant_len};
}

static str name_of(const struct memory_value *v)
{
    return (str){(const char *)&v->next[v->height] + v->tenant_len, v->name_len};
}

static size_t size_of(uint8_t height, size_t tenant_len, size_t name_len)
{
    return sizeof(struct memory_value) + height * sizeof(struct memory_value *) + tenant_len +
           name_len;
}

struct place {
    struct memory_shard *shard;
    struct store_tenant tenant;
    unsigned space;
    str name;
    struct memory_value **before[MEMORY_LEVELS]; /* the links that point to it or behind it */
};

static int compare(const struct memory_value *v, const struct place *p)
{
    if (v->space != p->space)
        return v->space < p->space ? -1 : 1;
    int c = str_cmp(tenant_of(v), p->tenant.id);
    return c ? c : str_cmp(name_of(v), p->name);
}

/* The first value that does not come before the place; NULL at the end. Fills p->before. */
static struct memory_value *seek(struct place *p)
{
    struct memory_value **links = p->shard->first;

    for (int level = MEMORY_LEVELS - 1; level >= 0; level--) {
        while (links[level] && compare(links[level], p) < 0)
            links = links[level]->next;
        p->before[level] = &links[level];
    }
    return links[0];
}

static bool is_at(const struct memory_value *v, const struct place *p)
{
    return v && compare(v, p) == 0;
}

/* One value in four is a level higher. */
static uint8_t height_of(struct memory_shard *s)
{
    uint8_t height = 1;

    s->random = s->random * 6364136223846793005u + 1442695040888963407u;
    for (uint64_t bits = s->random >> 34; height < MEMORY_LEVELS && (bits & 3) == 0; bits >>= 2)
        height++;
    return height;
}

static void link_in(struct place *p, struct memory_value *v)
{
    for (int level = 0; level < v->height; level++) {
        v->next[level] = *p->before[level];
        *p->before[level] = v;
    }
}

/* p is where seek() found v. */
static void drop(struct memory_store *m, struct place *p, struct memory_value *v)
{
    for (int level = 0; level < v->height; level++)
        *p->before[level] = v->next[level];
    if (p->shard->hand == v)
        p->shard->hand = v->next[0];
    p->shard->expiring -= v->expires_at_ms != 0;
    store_gauge_add(&m->base, v->space, -1, -(int64_t)(v->name_len + v->len));
    memory_give(m, size_of(v->height, v->tenant_len, v->name_len) + v->len);
    free(v->bytes);
    free(v);
}

static void drop_found(struct memory_store *m, struct memory_shard *s, struct memory_value *v)
{
    struct place p = {s, {tenant_of(v)}, v->space, name_of(v), {0}};

    must(seek(&p) == v);
    drop(m, &p, v);
}

/* --- shards ------------------------------------------------------------------------------------- */

static struct place lock(struct memory_store *m, const struct store_request *r, str name)
{
    uint64_t hash = str_hash(r->tenant.id) + r->space * 0x9E3779B97F4A7C15u;
    struct memory_shard *s = &m->shards[hash >> 20 & (MEMORY_SHARDS - 1)];

    pthread_mutex_lock(&s->lock);
    return (struct place){s, r->tenant, r->space, name, {0}};
}

static void unlock(struct place *p)
{
    pthread_mutex_unlock(&p->shard->lock);
}

/* Removes what has expired among the next n values. */
static void sweep(struct memory_store *m, struct memory_shard *s, size_t n, uint64_t now_ms)
{
    if (!s->expiring)
        return;
    struct memory_value *v = s->hand ? s->hand : s->first[0];
    for (struct memory_value *next; v && n; v = next, n--) {
        next = v->next[0];
        if (!store_has_expired(v->expires_at_ms, now_ms))
            continue;
        drop_found(m, s, v);
        atomic_fetch_add(&m->purged, 1);
    }
    s->hand = v;
}

/* When something is full, before anybody is refused. */
static void sweep_all(struct memory_store *m, uint64_t now_ms)
{
    for (size_t i = 0; i < MEMORY_SHARDS; i++) {
        struct memory_shard *s = &m->shards[i];
        pthread_mutex_lock(&s->lock);
        s->hand = NULL;
        sweep(m, s, SIZE_MAX, now_ms);
        pthread_mutex_unlock(&s->lock);
    }
}

/* The live value of the name, its shard locked. An expired one is removed. */
static struct memory_value *find(struct memory_store *m, struct place *p, uint64_t now_ms)
{
    struct memory_value *v = seek(p);

    if (!is_at(v, p))
        return NULL;
    if (!store_has_expired(v->expires_at_ms, now_ms))
        return v;
    drop(m, p, v);
    return NULL;
}

/* --- operations --------------------------------------------------------------------------------- */

void memory_get(struct memory_store *m, struct store_request *r, uint64_t now_ms)
{
    struct place p = lock(m, r, r->name);
    struct memory_value *v = find(m, &p, now_ms);

    r->status = v ? MIG_OK : MIG_NOT_FOUND;
    if (v && store_pack_value(r, (str){v->bytes, v->len})) {
        r->revision = v->revision;
        r->expires_at_ms = v->expires_at_ms;
    }
    unlock(&p);
}

static struct memory_value *value_new(struct memory_store *m, struct place *p)
{
    uint8_t height = height_of(p->shard);
    size_t size = size_of(height, p->tenant.id.len, p->name.len);

    if (!memory_take(m, size))
        return NULL;
    struct memory_value *v = calloc(1, size);
    if (!v) {
        memory_give(m, size);
        return NULL;
    }
    v->space = (uint8_t)p->space;
    v->height = height;
    v->tenant_len = (uint32_t)p->tenant.id.len;
    v->name_len = (uint32_t)p->name.len;
    char *texts = (char *)&v->next[height];
    memcpy(texts, p->tenant.id.ptr, v->tenant_len);
    memcpy(texts + v->tenant_len, p->name.ptr, v->name_len);
    link_in(p, v);
    store_gauge_add(&m->base, p->space, 1, (int64_t)v->name_len);
    return v;
}

static bool set_bytes(struct memory_store *m, struct memory_value *v, str bytes)
{
    if (!memory_take(m, bytes.len))
        return false;
    char *copy = str_dup(bytes);
    if (!copy) {
        memory_give(m, bytes.len);
        return false;
    }
    memory_give(m, v->len);
    store_gauge_add(&m->base, v->space, 0, (int64_t)bytes.len - (int64_t)v->len);
    free(v->bytes);
    v->bytes = copy;
    v->len = bytes.len;
    return true;
}

/* Writes bytes into v, or into a new value at p when v is NULL. */
static mig_status set(struct memory_store *m, struct store_request *r, struct place *p,
                      struct memory_value *v, str bytes, uint64_t expires_at_ms)
{
    uint64_t had = v ? v->name_len + v->len : 0, want = p->name.len + bytes.len;
    struct memory_value *old = v;

    if (!store_has_room(&m->base, p->space, !v, want > had ? want - had : 0))
        return MIG_BACKPRESSURE;
    if (!v && !(v = value_new(m, p)))
        return MIG_UNAVAILABLE;
    if (!set_bytes(m, v, bytes)) {
        if (!old)
            drop(m, p, v);
        return MIG_UNAVAILABLE;
    }
    p->shard->expiring += (expires_at_ms != 0) - (size_t)(v->expires_at_ms != 0);
    v->expires_at_ms = r->expires_at_ms = expires_at_ms;
    v->revision = r->revision = atomic_fetch_add(&m->revisions, 1) + 1;
    return MIG_OK;
}

static mig_status put_locked(struct memory_store *m, struct store_request *r, struct place *p,
                             uint64_t now_ms)
{
    struct memory_value *v = find(m, p, now_ms);

    r->revision = v ? v->revision : 0;
    if (r->in != STORE_ANY && r->in != r->revision)
        return MIG_VERSION_MISMATCH;
    return set(m, r, p, v, r->bytes_in, r->at_ms);
}

static mig_status add_locked(struct memory_store *m, struct store_request *r, struct place *p,
                             uint64_t now_ms)
{
    struct memory_value *v = find(m, p, now_ms);
    char bytes[8];

    if (v && v->len != sizeof bytes)
        return MIG_INVALID_REQUEST;
    uint64_t was = v ? store_counter(v->bytes) : 0;
    uint64_t now = store_counter_add(was, (int64_t)r->in, bytes);
    mig_status status =
        set(m, r, p, v, (str){bytes, sizeof bytes}, v ? v->expires_at_ms : r->at_ms);
    r->number = status ? was : now;
    return status;
}

/* Once more after a sweep when something was full. */
static void write(struct memory_store *m, struct store_request *r, uint64_t now_ms,
                  mig_status (*act)(struct memory_store *, struct store_request *, struct place *,
                                    uint64_t))
{
    for (int attempt = 0; attempt < 2; attempt++) {
        if (attempt)
            sweep_all(m, now_ms);
        struct place p = lock(m, r, r->name);
        r->status = act(m, r, &p, now_ms);
        sweep(m, p.shard, SWEEP, now_ms);
        unlock(&p);
        if (r->status != MIG_BACKPRESSURE && r->status != MIG_UNAVAILABLE)
            return;
    }
    r->reason = r->status == MIG_BACKPRESSURE ? "space_full" : "memory_full";
}

void memory_put(struct memory_store *m, struct store_request *r, uint64_t now_ms)
{
    write(m, r, now_ms, put_locked);
}

void memory_add(struct memory_store *m, struct store_request *r, uint64_t now_ms)
{
    write(m, r, now_ms, add_locked);
}

void memory_delete(struct memory_store *m, struct store_request *r, uint64_t now_ms)
{
    struct place p = lock(m, r, r->name);
    struct memory_value *v = find(m, &p, now_ms);

    r->status = MIG_NOT_FOUND;
    if (v && (r->in == STORE_ANY || r->in == v->revision)) {
        drop(m, &p, v);
        r->status = MIG_OK;
    } else if (v) {
        r->revision = v->revision;
        r->status = MIG_VERSION_MISMATCH;
    }
    sweep(m, p.shard, SWEEP, now_ms);
    unlock(&p);
}

static bool is_in(const struct memory_value *v, const struct place *p)
{
    return v && v->space == p->space && str_eq(tenant_of(v), p->tenant.id);
}

void memory_range(struct memory_store *m, struct store_request *r, uint64_t now_ms)
{
    bool goes_on = str_cmp(r->key, r->name) >= 0 && r->key.len;
    struct place p = lock(m, r, goes_on ? r->key : r->name);

    for (struct memory_value *v = seek(&p); is_in(v, &p); v = v->next[0]) {
        str name = name_of(v);
        if (goes_on && str_eq(name, r->key))
            continue;
        if (!str_starts(name, r->name))
            break;
        if (store_has_expired(v->expires_at_ms, now_ms))
            continue;
        if (!store_pack(r, (uint64_t[]){v->revision, v->expires_at_ms},
                        (str[]){name, {v->bytes, v->len}, {0}}))
            break;
    }
    unlock(&p);
}

void memory_count(struct memory_store *m, struct store_request *r, uint64_t now_ms)
{
    struct place p = lock(m, r, (str){0});

    (void)now_ms;
    for (struct memory_value *v = seek(&p); is_in(v, &p); v = v->next[0]) {
        r->count++;
        r->bytes += v->name_len + v->len;
    }
    unlock(&p);
}

/* --- the whole ---------------------------------------------------------------------------------- */

void memory_values_init(struct memory_store *m)
{
    for (size_t i = 0; i < MEMORY_SHARDS; i++) {
        must(pthread_mutex_init(&m->shards[i].lock, NULL) == 0);
        m->shards[i].random = i;
    }
}

void memory_values_deinit(struct memory_store *m)
{
    for (size_t i = 0; i < MEMORY_SHARDS; i++) {
        struct memory_shard *s = &m->shards[i];
        for (struct memory_value *v = s->first[0], *next; v; v = next) {
            next = v->next[0];
            free(v->bytes);
            free(v);
        }
        pthread_mutex_destroy(&s->lock);
    }
}

void memory_each_row(struct memory_store *m, unsigned space, store_visit_row *visit, void *arg)
{
    for (size_t i = 0; i < MEMORY_SHARDS; i++) {
        struct memory_shard *s = &m->shards[i];
        pthread_mutex_lock(&s->lock);
        for (struct memory_value *v = s->first[0]; v; v = v->next[0])
            if (v->space == space)
                visit(arg, (struct store_tenant){tenant_of(v)},
                      &(struct store_row){
                          name_of(v), {v->bytes, v->len}, v->revision, v->expires_at_ms});
        pthread_mutex_unlock(&s->lock);
    }
}
