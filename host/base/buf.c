#include "base/buf.h"
#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buf_init(struct buf *b, size_t limit)
{
    *b = (struct buf){.limit = limit};
}

void buf_deinit(struct buf *b)
{
    free(b->ptr);
    *b = (struct buf){.limit = b->limit};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->has_failed = false;
}

static char *fail(struct buf *b)
{
    b->has_failed = true;
    return NULL;
}

char *buf_reserve(struct buf *b, size_t n)
{
    if (b->has_failed || n > b->limit || b->len > b->limit - n)
        return fail(b);
    if (b->len + n > b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 256;
        while (cap < b->len + n)
            cap *= 2;
        char *ptr = realloc(b->ptr, cap);
        if (!ptr)
            return fail(b);
        b->ptr = ptr;
        b->cap = cap;
    }
    return b->ptr + b->len;
}

bool buf_add(struct buf *b, str s)
{
    if (!s.len)
        return !b->has_failed;
    char *to = buf_reserve(b, s.len);
    if (!to)
        return false;
    memcpy(to, s.ptr, s.len);
    b->len += s.len;
    return true;
}

bool buf_addc(struct buf *b, char c)
{
    return buf_add(b, (str){&c, 1});
}

bool buf_addz(struct buf *b, const char *z)
{
    return buf_add(b, str_of(z));
}

bool buf_addu(struct buf *b, uint64_t n)
{
    char digits[20];
    size_t at = sizeof digits;

    do
        digits[--at] = (char)('0' + n % 10);
    while (n /= 10);
    return buf_add(b, (str){digits + at, sizeof digits - at});
}

bool buf_addf(struct buf *b, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *to = n < 0 ? fail(b) : buf_reserve(b, (size_t)n + 1);
    if (!to)
        return false;
    va_start(args, format);
    vsnprintf(to, (size_t)n + 1, format, args);
    va_end(args);
    b->len += (size_t)n;
    return true;
}

static bool add_escaped(struct buf *b, unsigned char c)
{
    static const char shorts[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                  ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'};

    if (c < sizeof shorts && shorts[c])
        return buf_addc(b, '\\') && buf_addc(b, shorts[c]);
    return buf_addf(b, "\\u%04x", c);
}

size_t buf_add_character(struct buf *b, str text)
{
    size_t n = str_utf8_sequence(text);

    buf_add(b, n ? (str){text.ptr, n} : S("\xEF\xBF\xBD"));
    return n ? n : 1;
}

/* What is not plain ASCII at the front of text; returns how many bytes that was. */
static size_t add_odd(struct buf *b, str text)
{
    unsigned char c = (unsigned char)text.ptr[0];

    if (c >= 0x80)
        return buf_add_character(b, text);
    add_escaped(b, c);
    return 1;
}

bool buf_add_json(struct buf *b, str text)
{
    buf_addc(b, '"');
    while (text.len) {
        size_t plain = str_ascii_prefix_in(text.ptr, text.ptr, text.ptr + text.len);
        buf_add(b, (str){text.ptr, plain});
        text = str_cut(text, plain);
        text = str_cut(text, text.len ? add_odd(b, text) : 0);
    }
    return buf_addc(b, '"');
}

void buf_drop(struct buf *b, size_t n)
{
    n = n < b->len ? n : b->len;
    if (n)
        memmove(b->ptr, b->ptr + n, b->len - n);
    b->len -= n;
}

char *buf_take_z(struct buf *b)
{
    char *z = buf_addc(b, 0) ? TAKE(b->ptr) : NULL;

    buf_deinit(b);
    return z;
}
