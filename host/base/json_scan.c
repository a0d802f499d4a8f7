#include "base/json_scan.h"
#include "base/json.h"

enum { KEYS = 64 };

/* One pass, no recursion. Keys of the objects that are open now are remembered. */
struct scan {
    const char *from, *end;
    unsigned depth, key_count;
    struct level {
        uint64_t shapes; /* a bit per key's shape  */
        unsigned first_key;
        bool is_object;
    } levels[JSON_DEPTH_MAX + 1];
    str keys[KEYS];
};

/* The scanners take the place where something begins and answer the place behind it; NULL: doubtful
 * or bad. Every one of them may be given the end of the text. */

static inline const char *space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

static const char *string(const char *p, const struct scan *s)
{
    for (p++;;) {
        p += str_ascii_prefix_in(p, s->from, s->end);
        if (p < s->end && *p == '"')
            return p + 1;
        bool is_escape = s->end - p >= 2 && *p == '\\' && p[1] && strchr("\"\\/bfnrt", p[1]);
        if (!is_escape)
            return NULL;
        p += 2;
    }
}

static bool is_new(struct scan *s, str key)
{
    struct level *l = &s->levels[s->depth];
    const unsigned char *at = (const unsigned char *)key.ptr;
    uint64_t shape = (uint64_t)1 << ((key.len * 11 + at[0] * 5u + at[key.len - 1]) & 63);

    for (unsigned i = l->shapes & shape ? l->first_key : s->key_count; i < s->key_count; i++)
        if (str_eq(s->keys[i], key))
            return false;
    l->shapes |= shape;
    s->keys[s->key_count++] = key;
    return true;
}

/* "name": with white space around. */
static inline const char *member_name(const char *p, struct scan *s)
{
    p = space(p, s->end);
    if (p == s->end || *p != '"' || s->key_count == KEYS)
        return NULL;
    const char *key = p + 1;
    p = key + str_ascii_prefix_in(key, s->from, s->end);
    if (p == s->end || *p != '"' || p == key || !is_new(s, (str){key, (size_t)(p - key)}))
        return NULL;
    p = space(p + 1, s->end);
    return p < s->end && *p == ':' ? p + 1 : NULL;
}

static const char *digits(const char *p, const char *end)
{
    const char *from = p;

    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p > from && p - from < 18 ? p : NULL;
}

/* Whole numbers that surely fit; json_parse() looks at the others. */
static const char *number(const char *p, const char *end)
{
    if (*p == '-')
        p++;
    p = p < end && *p == '0' ? p + 1 : digits(p, end);
    return p && (p == end || (*p != '.' && (*p | 0x20) != 'e')) ? p : NULL;
}

static const char *word(const char *p, const char *end)
{
    static const str words[] = {S("true"), S("false"), S("null")};

    for (size_t i = 0; i < 3; i++)
        if (str_starts((str){p, (size_t)(end - p)}, words[i]))
            return p + words[i].len;
    return NULL;
}

static inline const char *scalar(const char *p, const struct scan *s)
{
    if (*p == '"')
        return string(p, s);
    return *p == '-' || (*p >= '0' && *p <= '9') ? number(p, s->end) : word(p, s->end);
}

/* Down to a scalar or an empty container, whose end ascend() takes. */
static inline const char *descend(const char *p, struct scan *s)
{
    for (;;) {
        p = space(p, s->end);
        if (p == s->end)
            return NULL;
        if (*p != '{' && *p != '[')
            return scalar(p, s);
        if (s->depth == JSON_DEPTH_MAX)
            return NULL;
        bool is_object = *p == '{';
        s->levels[++s->depth] = (struct level){0, s->key_count, is_object};
        p = space(p + 1, s->end);
        if (p < s->end && *p == (is_object ? '}' : ']'))
            return p;
        if (is_object && !(p = member_name(p, s)))
            return NULL;
    }
}

/* Closes what ends here, up to the next value or the end of the text. */
static inline const char *ascend(const char *p, struct scan *s)
{
    for (;;) {
        p = space(p, s->end);
        if (s->depth == 0)
            return p == s->end ? p : NULL;
        if (p == s->end)
            return NULL;
        const struct level *l = &s->levels[s->depth];
        if (*p == ',')
            return l->is_object ? member_name(p + 1, s) : p + 1;
        if (*p++ != (l->is_object ? '}' : ']'))
            return NULL;
        s->key_count = l->first_key;
        s->depth--;
    }
}

bool json_is_surely_good(str text)
{
    struct scan s; /* large: only what is used gets written */
    const char *p = text.ptr;

    if (!text.len)
        return false;
    s.from = text.ptr;
    s.end = text.ptr + text.len;
    s.depth = s.key_count = 0;
    do
        if (!(p = descend(p, &s)) || !(p = ascend(p, &s)))
            return false;
    while (s.depth);
    return true;
}
