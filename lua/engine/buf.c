/* buf.c: bytes with a limit, and JSON strings. */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

static bool buf_room(struct buf *b, size_t need)
{
    if (need > b->limit - b->len)
        return false;
    size_t cap = b->cap ? b->cap : 1024;
    while (cap - b->len < need)
        cap *= 2;
    if (cap == b->cap)
        return true;
    char *ptr = realloc(b->ptr, cap);
    if (!ptr)
        return false;
    b->ptr = ptr;
    b->cap = cap;
    return true;
}

bool buf_add(struct buf *b, const char *ptr, size_t len)
{
    if (b->cap - b->len < len && !buf_room(b, len))
        return false;
    if (len)
        memcpy(b->ptr + b->len, ptr, len);
    b->len += len;
    return true;
}

bool buf_addc(struct buf *b, char c)
{
    if (b->cap == b->len && !buf_room(b, 1))
        return false;
    b->ptr[b->len++] = c;
    return true;
}

bool buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    char small[512];

    va_start(ap, fmt);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    if (n < 0)
        return false;
    if ((size_t)n < sizeof small)
        return buf_add(b, small, (size_t)n);
    if (!buf_room(b, (size_t)n + 1))
        return false;
    va_start(ap, fmt);
    vsnprintf(b->ptr + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
    return true;
}

/* Length of the UTF-8 sequence at p (RFC 3629: no surrogates, nothing overlong); 0: not one. */
static size_t utf8_len(const unsigned char *p, const unsigned char *end)
{
    size_t n = p[0] < 0x80   ? 1
               : p[0] < 0xC2 ? 0
               : p[0] < 0xE0 ? 2
               : p[0] < 0xF0 ? 3
               : p[0] < 0xF5 ? 4
                             : 0;

    if (n == 0 || (size_t)(end - p) < n)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) ||
        (p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))
        return 0;
    return n;
}

/* Is none of eight bytes a control character, a quote, a backslash or beyond ASCII? */
static bool is_plain8(uint64_t v)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    uint64_t quote = v ^ ones * '"', slash = v ^ ones * '\\';

    return !(((v - ones * 0x20) | (quote - ones) | (slash - ones) | v) & high);
}

static uint64_t load8(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static uint64_t load4(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

#ifdef __SSE2__
enum { WIDE = 16 };

static bool is_plain_wide(const char *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i other = _mm_cmplt_epi8(v, _mm_set1_epi8(0x20)); /* as signed: all beyond ASCII, too */
    __m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
    __m128i slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));

    return !_mm_movemask_epi8(_mm_or_si128(other, _mm_or_si128(quote, slash)));
}
#else
enum { WIDE = 8 };

static bool is_plain_wide(const char *p)
{
    return is_plain8(load8(p));
}
#endif

static bool is_plain_short(const char *p, size_t len)
{
    size_t i = 0;

    if (len >= 8)
        return is_plain8(load8(p)) && is_plain8(load8(p + len - 8));
    if (len >= 4)
        return is_plain8(load4(p) | load4(p + len - 4) << 32);
    while (i < len && (signed char)p[i] >= 0x20 && p[i] != '"' && p[i] != '\\')
        i++;
    return i == len;
}

/* The last bytes are looked at twice rather than one by one. false: some may need an escape. */
static bool is_plain(const char *p, size_t len)
{
    if (len < WIDE)
        return is_plain_short(p, len);
    for (size_t i = 0; i + WIDE <= len; i += WIDE)
        if (!is_plain_wide(p + i))
            return false;
    return is_plain_wide(p + len - WIDE);
}

static bool add_escaped(struct buf *b, const char *ptr, size_t len)
{
    const unsigned char *p = (const unsigned char *)ptr;
    const unsigned char *end = p + len;
    const unsigned char *plain = p;

    if (!buf_add(b, "\"", 1))
        return false;
    while (p < end) {
        if (*p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\') {
            p++;
            continue;
        }
        if (*p >= 0x80) {
            size_t n = utf8_len(p, end);
            if (n == 0)
                return false;
            p += n;
            continue;
        }
        if (!buf_add(b, (const char *)plain, (size_t)(p - plain)))
            return false;
        const char *esc = *p == '"'    ? "\\\""
                          : *p == '\\' ? "\\\\"
                          : *p == '\n' ? "\\n"
                          : *p == '\r' ? "\\r"
                          : *p == '\t' ? "\\t"
                                       : NULL;
        if (esc ? !buf_add(b, esc, 2) : !buf_addf(b, "\\u%04x", *p))
            return false;
        plain = ++p;
    }
    return buf_add(b, (const char *)plain, (size_t)(p - plain)) && buf_add(b, "\"", 1);
}

bool buf_add_quoted(struct buf *b, const char *ptr, size_t len)
{
    if (!is_plain(ptr, len))
        return add_escaped(b, ptr, len);
    if (b->cap - b->len < len + 2 && !buf_room(b, len + 2))
        return false;
    char *to = b->ptr + b->len;
    to[0] = to[len + 1] = '"';
    if (len)
        memcpy(to + 1, ptr, len);
    b->len += len + 2;
    return true;
}

void buf_deinit(struct buf *b)
{
    free(b->ptr);
    *b = (struct buf){.limit = b->limit};
}
