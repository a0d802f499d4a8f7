#include "base/check.h"
#include "core/telemetry_own.h"

#include <stdlib.h>

/* Names that configurations may bring before they share one. */
enum { CAPABILITIES_MAX = 4096, ROUTES_MAX = 1024 };

const uint64_t call_bounds[CALL_BUCKETS] = {100,    500,     1000,    2500,     5000,
                                            10000,  25000,   50000,   100000,   250000,
                                            500000, 1000000, 2500000, 10000000, 60000000};
const uint64_t http_bounds[HTTP_BUCKETS] = {5000,   10000,   25000,   50000,   100000,  250000,
                                            500000, 1000000, 2500000, 5000000, 10000000};
const char *const method_names[METHODS] = {"POST",  "GET",    "HEAD",    "PUT",
                                           "PATCH", "DELETE", "OPTIONS", "other"};

/* Zeroed, aligned to cache lines. */
static void *lines(size_t n)
{
    size_t size = (n + 63) / 64 * 64;
    void *p = aligned_alloc(64, size);

    return p ? memset(p, 0, size) : NULL;
}

/* --- names -------------------------------------------------------------------------------------- */

static struct capability_counts *capability_new(struct telemetry *t, str id)
{
    struct capability_counts *c = calloc(1, sizeof *c);
    char *text = str_dup(id);

    must(c && text && (c->loops = lines(t->loop_count * sizeof *c->loops)));
    c->id = (str){text, id.len};
    return c;
}

/* What a route's own errors count as: the operation in /mig/v0.1/<operation>, or admin. */
static enum operation operation_of(str pattern)
{
    str rest = str_cut(pattern, 1);
    str first = str_split(&rest, '/');

    if (str_eq(first, S("admin")) || str_eq(first, S("pro")) || str_eq(first, S("cloud")))
        return OPERATION_ADMIN;
    if (!str_eq(first, S("mig")) || !rest.ptr)
        return OPERATIONS;
    str_split(&rest, '/');
    str word = rest.ptr ? str_split(&rest, '/') : S("");
    enum operation o = OPERATION_INVOKE;
    while (o < OPERATIONS && !str_eq(word, str_of(operation_name(o))))
        o++;
    return o;
}

static struct route_counts *route_new(struct telemetry *t, str pattern)
{
    struct route_counts *r = calloc(1, sizeof *r);
    char *text = str_dup(pattern);

    must(r && text && (r->loops = lines(t->loop_count * sizeof *r->loops)));
    r->pattern = (str){text, pattern.len};
    r->operation = operation_of(pattern);
    return r;
}

/* Under the lock: for one series more, behind those that are promised. */
static bool has_room(struct telemetry *t)
{
    return t->series.count + t->reserved < atomic_load(&t->max_series);
}

struct capability_counts *telemetry_capability(struct telemetry *t, str id)
{
    pthread_mutex_lock(&t->lock);
    struct capability_counts *c = map_get(&t->capabilities, id);
    if (!c && t->capabilities.count >= CAPABILITIES_MAX) {
        c = t->other_capability;
    } else if (!c) {
        c = capability_new(t, id);
        c->has_reserve = has_room(t) && t->reserved < atomic_load(&t->max_series) / 2;
        t->reserved += c->has_reserve;
        must(map_put(&t->capabilities, c->id, c));
    }
    pthread_mutex_unlock(&t->lock);
    return c;
}

struct route_counts *telemetry_route(struct telemetry *t, str pattern)
{
    pthread_mutex_lock(&t->lock);
    struct route_counts *r = map_get(&t->routes, pattern);
    if (!r && t->routes.count >= ROUTES_MAX) {
        r = t->no_route;
    } else if (!r) {
        r = route_new(t, pattern);
        must(map_put(&t->routes, r->pattern, r));
    }
    pthread_mutex_unlock(&t->lock);
    return r;
}

struct capability_counts *telemetry_no_capability(struct telemetry *t)
{
    return t->no_capability;
}

struct route_counts *telemetry_no_route(struct telemetry *t)
{
    return t->no_route;
}

enum operation route_operation(const struct route_counts *r)
{
    return r->operation;
}

/* --- start and end ------------------------------------------------------------------------------ */

struct telemetry *telemetry_new(size_t loops, size_t max_series)
{
    struct telemetry *t = calloc(1, sizeof *t);

    must(t && pthread_mutex_init(&t->lock, NULL) == 0);
    t->loop_count = loops;
    must(t->loops = lines(loops * sizeof *t->loops));
    atomic_store(&t->max_series, max_series);
    t->other_capability = telemetry_capability(t, S("other"));
    t->no_capability = telemetry_capability(t, S("unknown"));
    t->no_route = telemetry_route(t, S("other"));
    return t;
}

void telemetry_set_max_series(struct telemetry *t, size_t max_series)
{
    atomic_store(&t->max_series, max_series);
}

static void free_route(struct telemetry *t, struct route_counts *r)
{
    for (size_t l = 0; l < t->loop_count; l++)
        for (size_t m = 0; m < METHODS; m++)
            free(atomic_load(&r->loops[l].by_method[m]));
    free(r->loops);
    free((char *)(uintptr_t)r->pattern.ptr);
    free(r);
}

static void free_series(struct telemetry *t)
{
    for (size_t i = 0; t->series.slots && i <= t->series.mask; i++)
        if (t->series.slots[i]) {
            free(t->series.slots[i]->loops);
            free(t->series.slots[i]);
        }
    free(t->series.slots);
    for (size_t l = 0; l < t->loop_count; l++)
        free(t->loops[l].series.slots);
}

void telemetry_free(struct telemetry *t)
{
    struct map_entry *e;

    if (!t)
        return;
    free_series(t);
    for (size_t at = 0; (e = map_each(&t->capabilities, &at));) {
        struct capability_counts *c = e->value;
        free(c->loops);
        free((char *)(uintptr_t)c->id.ptr);
        free(c);
    }
    for (size_t at = 0; (e = map_each(&t->routes, &at));)
        free_route(t, e->value);
    map_deinit(&t->capabilities);
    map_deinit(&t->routes);
    pthread_mutex_destroy(&t->lock);
    free(t->loops);
    free(t);
}

/* --- invocations -------------------------------------------------------------------------------- */

static inline uint64_t hash_of(const struct capability_counts *c, str tenant)
{
    return str_hash(tenant) ^ ((uintptr_t)c >> 4) * 0x9E3779B97F4A7C15u;
}

static inline struct call_series *map_find(const struct series_map *m, uint64_t hash,
                                           const struct capability_counts *c, str tenant)
{
    for (size_t at = hash; m->slots; at++) {
        struct call_series *s = m->slots[at & m->mask];
        if (!s || (s->hash == hash && s->capability == c && str_eq(s->names.tenant, tenant)))
            return s;
    }
    return NULL;
}

static void map_set(struct series_map *m, struct call_series *s)
{
    size_t at = s->hash;

    while (m->slots[at & m->mask])
        at++;
    m->slots[at & m->mask] = s;
    m->count++;
}

static bool map_grow(struct series_map *m)
{
    size_t size = m->slots ? (m->mask + 1) * 2 : 16;
    struct series_map bigger = {calloc(size, sizeof *bigger.slots), size - 1, 0};

    if (!bigger.slots)
        return false;
    for (size_t i = 0; m->slots && i <= m->mask; i++)
        if (m->slots[i])
            map_set(&bigger, m->slots[i]);
    free(m->slots);
    *m = bigger;
    return true;
}

static bool map_insert(struct series_map *m, struct call_series *s)
{
    if ((!m->slots || m->count * 2 > m->mask) && !map_grow(m))
        return false;
    map_set(m, s);
    return true;
}

/* Under the lock. */
static struct call_series *series_new(struct telemetry *t, struct capability_counts *c, str tenant,
                                      uint64_t hash)
{
    struct call_series *s = calloc(1, sizeof *s + tenant.len);

    if (!s || !(s->loops = lines(t->loop_count * sizeof *s->loops))) {
        free(s);
        return NULL;
    }
    char *text = memcpy(s + 1, tenant.ptr, tenant.len);
    *s = (struct call_series){{c->id, {text, tenant.len}}, c, hash, s->loops};
    if (map_insert(&t->series, s))
        return s;
    free(s->loops);
    free(s);
    return NULL;
}

/* Under the lock. The series for those that came too late: of the capability when that has room. */
static struct call_series *series_other(struct telemetry *t, struct capability_counts *c)
{
    const str tenant = S("other");
    struct capability_counts *whose = c->has_reserve ? c : t->other_capability;
    uint64_t hash = hash_of(whose, tenant);
    struct call_series *s = map_find(&t->series, hash, whose, tenant);

    if (s || !(s = series_new(t, whose, tenant, hash)))
        return s;
    s->is_other = true;
    t->reserved -= whose->has_reserve; // what was kept for it is used now
    return s;
}

/* The first call of a tenant on this loop, and those beyond the cap. */
static struct call_series *series_slow(struct telemetry *t, struct telemetry_loop *here,
                                       struct capability_counts *c, str tenant, uint64_t hash)
{
    pthread_mutex_lock(&t->lock);
    struct call_series *s = map_find(&t->series, hash, c, tenant);
    if (!s && has_room(t))
        s = series_new(t, c, tenant, hash);
    bool is_own = s != NULL;
    if (!s)
        s = series_other(t, c);
    pthread_mutex_unlock(&t->lock);
    if (is_own)
        map_insert(&here->series, s); // else it is looked up again
    return s;
}

static inline void observe(struct histogram *h, const uint64_t *bounds, size_t n, uint64_t ns)
{
    size_t i = 0;

    while (i < n && ns > bounds[i] * 1000)
        i++;
    count(&h->buckets[i], 1);
    count(&h->sum_ns, ns);
}

static inline unsigned code_of(mig_status code)
{
    return (unsigned)(code >= MIG_OK && code <= MIG_INTERNAL ? code : MIG_INTERNAL);
}

/* Good enough to find again what was used last; a clash costs a look into the map. */
static inline size_t cheap_hash(const struct capability_counts *c, str tenant)
{
    unsigned char first = tenant.len ? (unsigned char)tenant.ptr[0] : 0;
    unsigned char last = tenant.len ? (unsigned char)tenant.ptr[tenant.len - 1] : 0;

    return ((uintptr_t)c >> 5 ^ tenant.len ^ first * 5u ^ last * 11u) % LAST;
}

/* NULL: memory is out. */
static inline struct call_series *series_of(struct telemetry *t, struct telemetry_loop *here,
                                            struct capability_counts *c, str tenant)
{
    struct call_series **last = &here->last[cheap_hash(c, tenant)];

    if (*last && (*last)->capability == c && str_eq((*last)->names.tenant, tenant))
        return *last;
    uint64_t hash = hash_of(c, tenant);
    struct call_series *s = map_find(&here->series, hash, c, tenant);
    if (s)
        return *last = s;
    return series_slow(t, here, c, tenant, hash);
}

const struct record_names *count_invocation(struct telemetry *t, unsigned loop,
                                            struct capability_counts *c, str tenant,
                                            enum outcome outcome, mig_status code, uint64_t took_ns)
{
    struct call_series *s = series_of(t, &t->loops[loop], c, tenant);

    if (!s)
        return NULL;
    struct call_counts *n = &s->loops[loop];
    unsigned row = outcome == OUTCOME_CANCELLED  ? ROW_CANCELLED
                   : outcome == OUTCOME_REPLAYED ? ROW_REPLAYED + code_of(code)
                                                 : code_of(code);
    count(&n->rows[row], 1);
    observe(&n->took, call_bounds, CALL_BUCKETS, took_ns);
    return s->is_other ? NULL : &s->names;
}

void count_inflight(struct capability_counts *c, unsigned loop, int by)
{
    _Atomic int64_t *n = &c->loops[loop].inflight;
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

void count_deadline(struct capability_counts *c, unsigned loop)
{
    count(&c->loops[loop].deadlines, 1);
}

void count_replay(struct capability_counts *c, unsigned loop)
{
    count(&c->loops[loop].replays, 1);
}

/* --- the rest ----------------------------------------------------------------------------------- */

void count_error(struct telemetry *t, unsigned loop, mig_status code, enum operation operation)
{
    count(&t->loops[loop].errors[operation][code_of(code)], 1);
}

/* The last name is for all others. */
static inline size_t method_of(str method)
{
    size_t i = 0;

    if (STR_IS(method, "POST"))
        return 0;
    while (i + 1 < METHODS && !str_eq(method, str_of(method_names[i])))
        i++;
    return i;
}

void count_cancel(struct telemetry *t, unsigned loop, str binding, enum cancel_status status)
{
    count(&t->loops[loop].cancels[binding_named(binding)][status], 1);
}

void count_stream(struct telemetry *t, unsigned loop, enum stream_type type, int by)
{
    _Atomic int64_t *n = &t->loops[loop].streams[type];
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

void count_backpressure(struct telemetry *t, unsigned loop, enum stream_type channel,
                        enum operation operation)
{
    struct telemetry_loop *here = &t->loops[loop];
    count(channel ? &here->slow[channel] : &here->refused[operation], 1);
}

/* The place of a decision, made when it is new: more reasons than REASONS share the last one. */
static struct auth_count *auth_of(struct telemetry_loop *here, enum decision decision, str reason)
{
    size_t n = atomic_load_explicit(&here->auth_count, memory_order_relaxed);

    reason.len = reason.len < REASON_MAX ? reason.len : REASON_MAX;
    for (size_t i = 0; i < n; i++) {
        struct auth_count *a = &here->auth[i];
        if (a->decision == decision && str_eq((str){a->reason, a->len}, reason))
            return a;
    }
    if (n == REASONS)
        return &here->auth[REASONS - 1];
    reason = n == REASONS - 1 ? S("other") : reason;
    struct auth_count *a = &here->auth[n];
    a->decision = decision;
    a->len = reason.len;
    if (reason.len)
        memcpy(a->reason, reason.ptr, reason.len);
    atomic_store_explicit(&here->auth_count, n + 1, memory_order_release);
    return a;
}

void count_auth(struct telemetry *t, unsigned loop, enum decision decision, str reason)
{
    count(&auth_of(&t->loops[loop], decision, reason)->n, 1);
}

void count_caller(struct telemetry *t, unsigned loop, bool is_authenticated)
{
    count(&t->loops[loop].callers[is_authenticated], 1);
}

static struct http_series *http_series_of(struct route_loop *here, size_t method)
{
    struct http_series *s = atomic_load_explicit(&here->by_method[method], memory_order_relaxed);

    if (!s && (s = calloc(1, sizeof *s)))
        atomic_store_explicit(&here->by_method[method], s, memory_order_release);
    return s;
}

void count_request(struct telemetry *t, unsigned loop, struct route_counts *r, str method,
                   unsigned status, uint64_t took_ns)
{
    struct http_series *s = http_series_of(&r->loops[loop], method_of(method));
    size_t i = 0;

    (void)t;
    if (!s)
        return;
    for (unsigned code; i + 1 < STATUSES; i++) {
        code = atomic_load_explicit(&s->codes[i], memory_order_relaxed);
        if (code == status)
            break;
        if (!code) {
            atomic_store_explicit(&s->codes[i], status, memory_order_release);
            break;
        }
    }
    count(&s->statuses[i], 1);
    observe(&s->took, http_bounds, HTTP_BUCKETS, took_ns);
}
