#include "base/arena.h"
#include "base/check.h"

#include <stdalign.h>
#include <stdlib.h>

/* A spare chunk is nobody's: who still reads it is found by the address sanitizer. */
#if defined(__SANITIZE_ADDRESS__) /* gcc */
#define IS_CHECKED 1
#elif defined(__has_feature)
#define IS_CHECKED __has_feature(address_sanitizer) /* clang */
#else
#define IS_CHECKED 0
#endif
#if IS_CHECKED
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

struct arena_chunk {
    struct arena_chunk *next;
    size_t size; /* of the data; ARENA_CHUNK chunks go back to the pool */
    alignas(16) char data[];
};

struct deferred {
    struct deferred *next;
    void (*fn)(void *);
    void *arg;
};

struct arena {
    struct arena_pool *pool;
    struct arena_chunk *chunks; /* the current one first */
    char *at, *end;
    char *last; /* start of the youngest block */
    size_t used, limit;
    unsigned refs;
    struct deferred *deferred;
};

static struct arena_chunk *chunk_get(struct arena_pool *p, size_t size)
{
    struct arena_chunk *c = NULL;

    if (size == ARENA_CHUNK && p->spare) {
        c = p->spare;
        p->spare = c->next;
        p->spare_count--;
    } else {
        c = malloc(sizeof *c + size);
    }
    if (c) {
        ASAN_UNPOISON_MEMORY_REGION(c->data, size);
        c->size = size;
        p->in_use++;
    }
    return c;
}

static void chunk_put(struct arena_pool *p, struct arena_chunk *c)
{
    p->in_use--;
    if (c->size != ARENA_CHUNK || p->spare_count >= ARENA_SPARE_MAX) {
        free(c);
        return;
    }
    ASAN_POISON_MEMORY_REGION(c->data, c->size);
    c->next = p->spare;
    p->spare = c;
    p->spare_count++;
}

void arena_pool_deinit(struct arena_pool *p)
{
    while (p->spare) {
        struct arena_chunk *c = p->spare;
        p->spare = c->next;
        free(c);
    }
    *p = (struct arena_pool){0};
}

static size_t aligned(size_t n)
{
    return (n + 15) & ~(size_t)15;
}

static struct arena *make(struct arena_pool *pool, size_t size, size_t limit)
{
    struct arena_chunk *c = chunk_get(pool, size);

    if (!c)
        return NULL;
    c->next = NULL;
    struct arena *a = (struct arena *)(void *)c->data;
    *a = (struct arena){
        .pool = pool,
        .chunks = c,
        .at = c->data + aligned(sizeof *a),
        .end = c->data + size,
        .used = size,
        .limit = limit,
        .refs = 1,
    };
    return a;
}

struct arena *arena_new(struct arena_pool *pool, size_t limit)
{
    return make(pool, ARENA_CHUNK, limit);
}

struct arena *arena_new_small(struct arena_pool *pool, size_t first, size_t limit)
{
    return make(pool, aligned(sizeof(struct arena)) + aligned(first), limit);
}

struct arena *arena_ref(struct arena *a)
{
    a->refs++;
    return a;
}

void arena_unref(struct arena *a)
{
    must(a->refs > 0);
    if (--a->refs)
        return;
    for (struct deferred *d = a->deferred; d; d = d->next)
        d->fn(d->arg);
    struct arena_pool *pool = a->pool;
    struct arena_chunk *c = a->chunks; /* `a` itself lies in one of them */
    while (c) {
        struct arena_chunk *next = c->next;
        chunk_put(pool, c);
        c = next;
    }
}

/* A new chunk, big enough for n. A block that is large for a chunk gets one of its own behind the
 * current one, so that the rest of the current one stays in use. */
static void *alloc_slow(struct arena *a, size_t n)
{
    bool is_large = n > ARENA_CHUNK / 4;
    size_t size = is_large ? n : ARENA_CHUNK;

    if (n > a->limit || size > a->limit - (a->used < a->limit ? a->used : a->limit))
        return NULL;
    struct arena_chunk *c = chunk_get(a->pool, size);
    if (!c)
        return NULL;
    a->used += size;
    if (is_large) {
        c->next = a->chunks->next;
        a->chunks->next = c;
        return c->data;
    }
    c->next = a->chunks;
    a->chunks = c;
    a->at = c->data + n;
    a->end = c->data + size;
    a->last = c->data;
    return c->data;
}

void *arena_alloc(struct arena *a, size_t n)
{
    if (n > SIZE_MAX / 2)
        return NULL;
    n = aligned(n);
    if (n > (size_t)(a->end - a->at))
        return alloc_slow(a, n);
    a->last = a->at;
    a->at += n;
    return a->last;
}

void *arena_zero(struct arena *a, size_t n)
{
    void *p = arena_alloc(a, n);

    if (p)
        memset(p, 0, n);
    return p;
}

/* Who links to the chunk that this block has for itself; NULL: it shares one. */
static struct arena_chunk **own_chunk(struct arena *a, const void *block)
{
    struct arena_chunk **link = &a->chunks->next;

    while (block && *link && (*link)->data != block)
        link = &(*link)->next;
    return block && *link && (*link)->size != ARENA_CHUNK ? link : NULL;
}

/* The system moves large blocks by their pages, without copying. */
static void *grow_own(struct arena *a, struct arena_chunk **link, size_t size)
{
    size_t more = size > (*link)->size ? size - (*link)->size : 0;

    if (size > a->limit || more > a->limit - (a->used < a->limit ? a->used : a->limit))
        return NULL;
    struct arena_chunk *c = more ? realloc(*link, sizeof *c + size) : *link;
    if (!c)
        return NULL;
    c->size += more;
    a->used += more;
    *link = c;
    return c->data;
}

void *arena_grow(struct arena *a, void *old, size_t old_size, size_t new_size)
{
    struct arena_chunk **own = new_size > ARENA_CHUNK / 4 ? own_chunk(a, old) : NULL;

    if (own)
        return grow_own(a, own, aligned(new_size));
    if (old && old == a->last && new_size <= (size_t)(a->end - a->last)) {
        a->at = a->last + aligned(new_size);
        return old;
    }
    void *p = arena_alloc(a, new_size);
    if (p && old)
        memcpy(p, old, old_size < new_size ? old_size : new_size);
    return p;
}

str arena_copy(struct arena *a, str s)
{
    char *p = arena_alloc(a, s.len + 1);

    if (!p)
        return (str){NULL, 0};
    if (s.len)
        memcpy(p, s.ptr, s.len);
    p[s.len] = 0;
    return (str){p, s.len};
}

size_t str_total(str *const texts[], size_t count)
{
    size_t total = 0;

    for (size_t i = 0; i < count; i++)
        total += texts[i]->len;
    return total;
}

bool arena_own(struct arena *a, str *const texts[], size_t count)
{
    char *to = arena_alloc(a, str_total(texts, count));

    for (size_t i = 0; to && i < count; i++) {
        if (texts[i]->len)
            memcpy(to, texts[i]->ptr, texts[i]->len);
        texts[i]->ptr = texts[i]->ptr ? to : NULL;
        to += texts[i]->len;
    }
    return to;
}

bool arena_defer(struct arena *a, void (*fn)(void *arg), void *arg)
{
    struct deferred *d = arena_alloc(a, sizeof *d);

    if (!d)
        return false;
    *d = (struct deferred){a->deferred, fn, arg};
    a->deferred = d;
    return true;
}

void text_init(struct arena_text *t, struct arena *a, size_t first)
{
    *t = (struct arena_text){.arena = a, .ptr = arena_alloc(a, first), .cap = first};
    t->has_failed = !t->ptr;
    if (t->has_failed)
        t->cap = 0;
}

char *text_reserve(struct arena_text *t, size_t n)
{
    if (t->has_failed)
        return NULL;
    if (t->cap - t->len < n) {
        size_t cap = (t->cap + n) * 2;
        char *ptr = arena_grow(t->arena, t->ptr, t->len, cap);
        if (!ptr) {
            t->has_failed = true;
            return NULL;
        }
        t->ptr = ptr;
        t->cap = cap;
    }
    return t->ptr + t->len;
}

void text_addu(struct arena_text *t, uint64_t n)
{
    char digits[20];
    size_t at = sizeof digits;

    for (; n >= 10; n /= 10)
        digits[--at] = (char)('0' + n % 10);
    digits[--at] = (char)('0' + n);
    text_add(t, (str){digits + at, sizeof digits - at});
}

static void text_add_escaped(struct arena_text *t, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";

    if (c == '"' || c == '\\')
        text_add(t, (str){(char[]){'\\', (char)c}, 2});
    else
        text_add(t, (str){(char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6});
}

static void text_add_quoted(struct arena_text *t, str s)
{
    char *to = text_room(t, s.len + 2);

    if (!to)
        return;
    to[0] = to[s.len + 1] = '"';
    if (s.len)
        memcpy(to + 1, s.ptr, s.len);
    t->len += s.len + 2;
}

void text_add_json(struct arena_text *t, str s)
{
    size_t plain = str_plain_prefix(s);

    if (plain == s.len) {
        text_add_quoted(t, s);
        return;
    }
    text_add(t, S("\""));
    for (; s.len; plain = str_plain_prefix(s)) {
        text_add(t, (str){s.ptr, plain});
        if (plain < s.len)
            text_add_escaped(t, (unsigned char)s.ptr[plain++]);
        s = str_cut(s, plain);
    }
    text_add(t, S("\""));
}
