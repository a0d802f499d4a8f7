#include "core/schemas.h"
#include "base/check.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Shared by the sets that have it. */
struct entry {
    _Atomic unsigned refs;
    str uri, text;
    char bytes[];
};

struct schemas {
    _Atomic unsigned refs;
    size_t count, bytes;
    struct entry *list[]; /* by URI */
};

static struct schemas *make(size_t count)
{
    struct schemas *s = calloc(1, sizeof *s + count * sizeof s->list[0]);

    must(s);
    atomic_init(&s->refs, 1);
    s->count = count;
    return s;
}

struct schemas *schemas_new(void)
{
    return make(0);
}

struct schemas *schemas_ref(struct schemas *s)
{
    atomic_fetch_add(&s->refs, 1);
    return s;
}

static void entry_unref(struct entry *e)
{
    if (atomic_fetch_sub(&e->refs, 1) == 1)
        free(e);
}

struct schemas *schemas_unref(struct schemas *s)
{
    if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
        return NULL;
    for (size_t i = 0; i < s->count; i++)
        entry_unref(s->list[i]);
    free(s);
    return NULL;
}

static struct entry *entry_new(str uri, str text)
{
    struct entry *e = malloc(sizeof *e + uri.len + text.len);

    must(e);
    atomic_init(&e->refs, 1);
    e->uri = (str){memcpy(e->bytes, uri.ptr, uri.len), uri.len};
    e->text = (str){memcpy(e->bytes + uri.len, text.ptr, text.len), text.len};
    return e;
}

/* RFC 3986 3.1 */
static size_t scheme_len(str uri)
{
    for (size_t i = 0; i < uri.len; i++) {
        char c = uri.ptr[i];
        bool is_letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        bool is_later = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
        if (c == ':')
            return i;
        if (!is_letter && !(i && is_later))
            return 0;
    }
    return 0;
}

bool schemas_is_uri(str uri)
{
    return uri.len && str_is_visible(uri, SCHEMA_URI_MAX) && !memchr(uri.ptr, '#', uri.len) &&
           scheme_len(uri) > 0;
}

/* Where it is, or would be. */
static size_t place_of(const struct schemas *s, str uri, bool *ret_is_there)
{
    size_t from = 0, to = s->count;

    *ret_is_there = false;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = str_cmp(s->list[middle]->uri, uri);
        if (order == 0) {
            *ret_is_there = true;
            return middle;
        }
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

bool schemas_find(const struct schemas *s, str uri, str *ret_text)
{
    bool is_there;
    size_t at = place_of(s, uri, &is_there);

    if (is_there)
        *ret_text = s->list[at]->text;
    return is_there;
}

static struct entry *shared(struct entry *e)
{
    atomic_fetch_add(&e->refs, 1);
    return e;
}

struct schemas *schemas_with(const struct schemas *s, str uri, str text)
{
    bool is_there;
    size_t at = place_of(s, uri, &is_there);
    size_t count = s->count + !is_there;
    size_t gone = is_there ? s->list[at]->uri.len + s->list[at]->text.len : 0;
    size_t bytes = s->bytes - gone + uri.len + text.len;

    if (count > SCHEMAS_MAX || bytes > SCHEMAS_BYTES_MAX || text.len > SCHEMA_TEXT_MAX)
        return NULL;
    struct schemas *next = make(count);
    next->bytes = bytes;
    for (size_t i = 0; i < at; i++)
        next->list[i] = shared(s->list[i]);
    next->list[at] = entry_new(uri, text);
    for (size_t i = at + is_there; i < s->count; i++)
        next->list[i + !is_there] = shared(s->list[i]);
    return next;
}

size_t schemas_count(const struct schemas *s)
{
    return s->count;
}

size_t schemas_bytes(const struct schemas *s)
{
    return s->bytes;
}

str schemas_uri(const struct schemas *s, size_t i)
{
    return s->list[i]->uri;
}
