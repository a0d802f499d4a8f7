#include "core/token_cache.h"
#include "base/check.h"

#include <stdlib.h>

/* In the cache while it has a slot; in memory while anybody holds it. */
struct entry {
    struct entry *next; /* same bucket */
    uint64_t hash, version, since_s;
    uint32_t lives_s;
    uint32_t refs; /* the cache and arenas, all of this loop */
    size_t slot, size;
    bool is_used; /* since the hand came by last */
    struct jwt_claims claims;
    str token;
    char bytes[]; /* scopes, then texts */
};

/* Buckets for look-up, a ring of slots for the hand (CLOCK). */
struct token_cache {
    struct token_cache_limits limits;
    struct token_cache_stats stats;
    struct entry **buckets, **slots;
    size_t mask, hand, filled; /* slots used so far; freed ones are filled from the end */
};

struct token_cache *token_cache_new(const struct token_cache_limits *limits)
{
    struct token_cache *c = calloc(1, sizeof *c);

    if (c)
        c->limits = *limits;
    return c;
}

static void release(void *arg)
{
    struct entry *e = arg;

    if (--e->refs == 0) {
        explicit_bzero((char *)(uintptr_t)e->token.ptr, e->token.len);
        free(e);
    }
}

/* --- table ------------------------------------------------------------------------------------ */

/* Between two calls of one user come those of many others: its entry has left the cache of the core, and is
 * got back at once, not line by line as it is read. */
static void warm(const struct entry *e)
{
    enum { LINE = 64 };

    for (size_t at = LINE; at < e->size; at += LINE)
        __builtin_prefetch((const char *)e + at);
}

static bool is_of(const struct entry *e, uint64_t hash, str token)
{
    if (e->hash != hash)
        return false;
    warm(e);
    return str_eq(e->token, token);
}

static struct entry **find_link(struct token_cache *c, uint64_t hash, str token)
{
    struct entry **at = &c->buckets[hash & c->mask];

    while (*at && !is_of(*at, hash, token))
        at = &(*at)->next;
    return at;
}

static void drop(struct token_cache *c, struct entry **link)
{
    struct entry *e = *link;

    must(e); // who has a slot is in its bucket
    struct entry *last = c->slots[--c->filled];
    *link = e->next;
    c->slots[e->slot] = last;
    last->slot = e->slot;
    c->stats.entries--;
    c->stats.bytes -= e->size;
    release(e);
}

/* Dead also when the wall clock was set back behind its beginning. */
static bool is_alive(const struct entry *e, uint64_t version, uint64_t now_s)
{
    return e->version == version && now_s - e->since_s < e->lives_s;
}

/* The next entry that was not used since the hand's last turn, or has had its time. */
static void evict_one(struct token_cache *c, uint64_t version, uint64_t now_s)
{
    for (;; c->hand++) {
        c->hand = c->hand < c->filled ? c->hand : 0;
        struct entry *e = c->slots[c->hand];
        if (e->is_used && is_alive(e, version, now_s)) {
            e->is_used = false;
            continue;
        }
        drop(c, find_link(c, e->hash, e->token));
        c->stats.evicted++;
        return;
    }
}

static bool make_tables(struct token_cache *c)
{
    size_t n = 16;

    while (n < c->limits.entries)
        n *= 2;
    c->buckets = calloc(n, sizeof(struct entry *));
    c->slots = calloc(c->limits.entries, sizeof(struct entry *));
    c->mask = n - 1;
    if (c->buckets && c->slots)
        return true;
    free(c->buckets);
    free(c->slots);
    c->buckets = c->slots = NULL;
    return false;
}

void token_cache_free(struct token_cache *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->filled; i++)
        release(c->slots[i]);
    free(c->buckets);
    free(c->slots);
    free(c);
}

/* --- look-up ---------------------------------------------------------------------------------- */

static const struct jwt_claims *hold(struct entry *e, struct arena *a)
{
    if (!arena_defer(a, release, e))
        return NULL;
    e->refs++;
    return &e->claims;
}

const struct jwt_claims *token_cache_find(struct token_cache *c, str token, uint64_t version,
                                          uint64_t now_s, struct arena *a)
{
    struct entry **link = c->buckets ? find_link(c, str_hash(token), token) : NULL;
    struct entry *e = link ? *link : NULL;

    if (e && !is_alive(e, version, now_s)) {
        drop(c, link);
        e = NULL;
    }
    if (!e) {
        c->stats.misses++;
        return NULL;
    }
    c->stats.hits++;
    e->is_used = true;
    return hold(e, a);
}

/* --- adding ----------------------------------------------------------------------------------- */

static str put(char **at, str s)
{
    str copy = {*at, s.len};

    if (s.len)
        memcpy(*at, s.ptr, s.len);
    (*at)[s.len] = 0;
    *at += s.len + 1;
    return copy;
}

static size_t size_of(str token, const struct jwt_claims *claims)
{
    size_t size = sizeof(struct entry) + claims->scope_count * sizeof(str) + token.len +
                  claims->subject.len + claims->tenant.len + 3;

    for (size_t i = 0; i < claims->scope_count; i++)
        size += claims->scopes[i].len + 1;
    return size;
}

static struct entry *entry_new(str token, const struct jwt_claims *claims, size_t size)
{
    struct entry *e = malloc(size);

    if (!e)
        return NULL;
    str *scopes = (str *)(void *)e->bytes;
    char *at = (char *)(scopes + claims->scope_count);
    *e = (struct entry){.refs = 1, .size = size, .claims = *claims};
    e->token = put(&at, token);
    e->claims.subject = put(&at, claims->subject);
    e->claims.tenant = put(&at, claims->tenant);
    for (size_t i = 0; i < claims->scope_count; i++)
        scopes[i] = put(&at, claims->scopes[i]);
    e->claims.scopes = scopes;
    return e;
}

static void insert(struct token_cache *c, struct entry *e)
{
    struct entry **bucket = &c->buckets[e->hash & c->mask];

    e->next = *bucket;
    *bucket = e;
    e->slot = c->filled;
    c->slots[c->filled++] = e;
    c->stats.entries++;
    c->stats.bytes += e->size;
}

void token_cache_add(struct token_cache *c, str token, uint64_t version, uint64_t now_s,
                     const struct jwt_claims *claims)
{
    size_t size = size_of(token, claims);
    uint64_t left = claims->expires_s > now_s ? claims->expires_s - now_s : 0;
    uint64_t lives = left < c->limits.ttl_s ? left : c->limits.ttl_s;

    if (!lives || !c->limits.entries || size > c->limits.bytes || (!c->buckets && !make_tables(c)))
        return;
    struct entry *e = entry_new(token, claims, size);
    if (!e)
        return;
    e->hash = str_hash(token);
    e->version = version;
    e->since_s = now_s;
    e->lives_s = (uint32_t)lives;
    struct entry **older = find_link(c, e->hash, token);
    if (*older)
        drop(c, older);
    while (c->filled == c->limits.entries || c->stats.bytes + size > c->limits.bytes)
        evict_one(c, version, now_s);
    insert(c, e);
}

void token_cache_stats(const struct token_cache *c, struct token_cache_stats *ret)
{
    *ret = c->stats;
}
