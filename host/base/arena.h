/* arena.h: memory with the life of a request. Everything is given back at once; nothing is freed
 * singly. Owner: one thread (its loop). Chunks come from a pool of that thread, so that a steady
 * load does not touch malloc. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H
#include "base/buf.h"
#include "base/str.h"

struct arena;
struct arena_chunk;

/* Spare chunks of one thread. */
struct arena_pool {
    struct arena_chunk *spare;
    size_t spare_count;
    size_t in_use; /* chunks handed out now, for metrics */
};

enum { ARENA_CHUNK = 8192, ARENA_SPARE_MAX = 512 };

void arena_pool_deinit(struct arena_pool *p);

/* An arena that may grow to limit bytes, with one reference. NULL: out of memory. */
struct arena *arena_new(struct arena_pool *pool, size_t limit);
/* The same, whose first chunk has room for `first` bytes only: for what lives long and is small. */
struct arena *arena_new_small(struct arena_pool *pool, size_t first, size_t limit);
struct arena *arena_ref(struct arena *a);
/* The last one runs the deferred clean-ups, youngest first, and gives the memory back. */
void arena_unref(struct arena *a);

/* Aligned for every type. NULL: over the limit, or out of memory. */
void *arena_alloc(struct arena *a, size_t n);
void *arena_zero(struct arena *a, size_t n);
/* Makes the block bigger, in place when it was the last one. old may be NULL. */
void *arena_grow(struct arena *a, void *old, size_t old_size, size_t new_size);
/* Copy with a NUL behind it; ptr NULL when memory is out. */
str arena_copy(struct arena *a, str s);
/* Moves the texts into one block of the arena. false: no memory, nothing was changed. */
bool arena_own(struct arena *a, str *const texts[], size_t count);
/* How large that block will be. */
size_t str_total(str *const texts[], size_t count);
/* Run fn(arg) when the arena ends. false: out of memory, fn will not run. */
bool arena_defer(struct arena *a, void (*fn)(void *arg), void *arg);

/* Text that grows in an arena: append, then take `text`. A failed append sets has_failed. */
struct arena_text {
    struct arena *arena;
    char *ptr;
    size_t len, cap;
    bool has_failed;
};
void text_init(struct arena_text *t, struct arena *a, size_t first);
char *text_reserve(struct arena_text *t, size_t n);
/* Where n more bytes go; NULL: there is no memory for them. */
static inline char *text_room(struct arena_text *t, size_t n)
{
    return t->cap - t->len >= n ? t->ptr + t->len : text_reserve(t, n);
}
/* Inline wherever it is called: most texts have a length that the compiler knows, and whether it would see that
 * itself changes with what else is in the link. */
static inline __attribute__((always_inline)) void text_add(struct arena_text *t, str s)
{
    char *to = text_room(t, s.len);

    if (to && s.len) {
        memcpy(to, s.ptr, s.len);
        t->len += s.len;
    }
}
void text_addu(struct arena_text *t, uint64_t n);
/* As a JSON string token; the text must be UTF-8 already. */
void text_add_json(struct arena_text *t, str s);
static inline str text_str(const struct arena_text *t)
{
    return (str){t->ptr, t->len};
}
#endif
