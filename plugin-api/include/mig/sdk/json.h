/* mig/sdk/json.h: read and write JSON text where it stands. No allocation, no parsed tree.
 *
 * A token is the text of one value inside a longer text: "Ada" with its quotes, {"a":1}, -1.5,
 * null. The empty token (len 0) stands for "absent"; every reader takes it and says no. Readers
 * expect valid JSON, as the host hands it over; other text gives wrong answers but is never read
 * past its end, and mig_json_valid() tells the two apart. Everything here is [any]. */
#ifndef MIG_SDK_JSON_H
#define MIG_SDK_JSON_H
#include "mig/abi.h"
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __cplusplus
extern "C" {
#endif

enum mig_json_kind {
    MIG_JSON_NONE = 0, /* absent, or no JSON */
    MIG_JSON_NULL = 1,
    MIG_JSON_BOOL = 2,
    MIG_JSON_NUMBER = 3,
    MIG_JSON_STRING = 4,
    MIG_JSON_ARRAY = 5,
    MIG_JSON_OBJECT = 6
};
#define MIG_JSON_DEPTH_MAX 128u /* what hosts accept */
#define MIG_JSON_BAD SIZE_MAX

/* ---- scanning, used by the readers below ------------------------------------------------------
 */

static inline int mig_json_is_space_(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static inline const char *mig_json_space_(const char *p, const char *end)
{
    while (p < end && mig_json_is_space_(*p))
        p++;
    return p;
}

/* p stands on the opening quote; the answer is behind the closing one. */
static inline const char *mig_json_skip_string_(const char *p, const char *end)
{
    p++;
    while (p < end) {
        const char *quote = (const char *)memchr(p, '"', (size_t)(end - p));
        const char *slash;

        if (!quote)
            return end;
        slash = (const char *)memchr(p, '\\', (size_t)(quote - p));
        if (!slash)
            return quote + 1;
        p = slash + 2; /* what is escaped cannot end the string */
    }
    return end;
}

static inline const char *mig_json_skip_value_(const char *p, const char *end)
{
    size_t depth = 0;

    while (p < end) {
        char c = *p;
        int closes = c == '}' || c == ']';

        if (depth == 0 && (closes || c == ',' || c == ':' || mig_json_is_space_(c)))
            return p;
        p = c == '"' ? mig_json_skip_string_(p, end) : p + 1;
        depth += c == '{' || c == '[';
        depth -= (size_t)closes;
        if (depth == 0 && (closes || c == '"'))
            return p;
    }
    return p;
}

static inline mig_str mig_json_between_(const char *from, const char *to)
{
    mig_str s = {from, (size_t)(to - from)};
    return s;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

/* The text without white space around it: the token of a whole document. */
static inline mig_str mig_json_root(mig_str text)
{
    mig_str none = {NULL, 0};
    const char *end;

    if (!text.len)
        return none;
    end = text.ptr + text.len;
    text.ptr = mig_json_space_(text.ptr, end);
    while (end > text.ptr && mig_json_is_space_(end[-1]))
        end--;
    return mig_json_between_(text.ptr, end);
}

static inline enum mig_json_kind mig_json_kind_of(mig_str token)
{
    if (!token.len)
        return MIG_JSON_NONE;
    switch (token.ptr[0]) {
    case '{': return MIG_JSON_OBJECT;
    case '[': return MIG_JSON_ARRAY;
    case '"': return MIG_JSON_STRING;
    case 't':
    case 'f': return MIG_JSON_BOOL;
    case 'n': return MIG_JSON_NULL;
    default: break;
    }
    return token.ptr[0] == '-' || (token.ptr[0] >= '0' && token.ptr[0] <= '9') ? MIG_JSON_NUMBER
                                                                               : MIG_JSON_NONE;
}

/* for (mig_json_iter i = mig_json_each(token); mig_json_next(&i);) use i.key and i.value.
 * key is a string token, empty in arrays. Anything but an object or array has no entries. */
typedef struct mig_json_iter {
    mig_str key, value;
    const char *at, *end;
    size_t is_object;
} mig_json_iter;

static inline mig_json_iter mig_json_each(mig_str container)
{
    mig_json_iter i;
    enum mig_json_kind kind;

    memset(&i, 0, sizeof i);
    container = mig_json_root(container);
    kind = mig_json_kind_of(container);
    if (kind == MIG_JSON_OBJECT || kind == MIG_JSON_ARRAY) {
        i.at = container.ptr + 1;
        i.end = container.ptr + container.len;
    }
    i.is_object = kind == MIG_JSON_OBJECT;
    return i;
}

static inline int mig_json_next(mig_json_iter *i)
{
    const char *p = mig_json_space_(i->at, i->end);
    const char *from;

    if (p < i->end && *p == ',')
        p = mig_json_space_(p + 1, i->end);
    if (i->is_object && p < i->end && *p == '"') {
        from = p;
        p = mig_json_skip_string_(p, i->end);
        i->key = mig_json_between_(from, p);
        p = mig_json_space_(p, i->end);
        if (p < i->end && *p == ':')
            p = mig_json_space_(p + 1, i->end);
    }
    from = p;
    p = mig_json_skip_value_(p, i->end);
    i->at = p;
    i->value = mig_json_between_(from, p);
    return p > from;
}

static inline uint32_t mig_json_hex4_(const char *p, const char *end)
{
    uint32_t v = 0;

    for (int i = 0; i < 4; i++, p++) {
        if (p >= end)
            return UINT32_MAX;
        if (*p >= '0' && *p <= '9')
            v = v * 16 + (uint32_t)(*p - '0');
        else if ((*p | 32) >= 'a' && (*p | 32) <= 'f')
            v = v * 16 + (uint32_t)((*p | 32) - 'a') + 10;
        else
            return UINT32_MAX;
    }
    return v;
}

static inline size_t mig_json_utf8_(uint32_t c, char *out)
{
    static const unsigned char lead[] = {0, 0x00, 0xC0, 0xE0, 0xF0};
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

    for (size_t i = n; i-- > 1; c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3F));
    out[0] = (char)(unsigned char)(lead[n] | c);
    return n;
}

/* After "\u": one scalar value; half a surrogate pair becomes U+FFFD. */
static inline size_t mig_json_unicode_(const char **at, const char *end, char *out)
{
    uint32_t c = mig_json_hex4_(*at, end), low;

    *at += end - *at < 4 ? end - *at : 4;
    if (c >= 0xD800 && c < 0xDC00 && end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u') {
        low = mig_json_hex4_(*at + 2, end);
        if (low >= 0xDC00 && low < 0xE000) {
            *at += 6;
            c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        }
    }
    if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
        c = 0xFFFD;
    return mig_json_utf8_(c, out);
}

/* Decodes one escape or passes one byte; the answer is the number of bytes in out (1 to 4). */
static inline size_t mig_json_step_(const char **at, const char *end, char *out)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const char *hit;

    out[0] = *(*at)++;
    if (out[0] != '\\' || *at >= end)
        return 1;
    out[0] = *(*at)++;
    if (out[0] == 'u')
        return mig_json_unicode_(at, end, out);
    hit = (const char *)memchr(from, out[0], sizeof from - 1);
    if (hit)
        out[0] = to[hit - from];
    return 1;
}

/* Length of the first n bytes without half a character at their end. */
static inline size_t mig_json_whole_(const char *text, size_t n)
{
    size_t from = n;
    unsigned char lead;

    while (from && n - from < 4 && ((unsigned char)text[from - 1] & 0xC0) == 0x80)
        from--;
    if (!from)
        return n;
    lead = (unsigned char)text[from - 1];
    if (lead < 0xC0)
        return n;
    return n - from + 1 < (lead < 0xE0 ? 2u : lead < 0xF0 ? 3u : 4u) ? from - 1 : n;
}

/* Decodes a string token into out, with a NUL behind it, cut at a character when cap is too small.
 * Returns the length of the whole text without the NUL (as snprintf does), so a result >= cap means
 * that it was cut; MIG_JSON_BAD when the token is no string. */
static inline size_t mig_json_unescape(mig_str token, char *out, size_t cap)
{
    const char *p, *end;
    size_t total = 0, kept = 0;
    char step[4];

    if (token.len < 2 || token.ptr[0] != '"')
        return MIG_JSON_BAD;
    end = token.ptr + token.len - 1;
    for (p = token.ptr + 1; p < end;) {
        size_t n = mig_json_step_(&p, end, step);
        if (total == kept && kept + n < cap) {
            memcpy(out + kept, step, n);
            kept += n;
        }
        total += n;
    }
    if (cap)
        out[kept < total ? mig_json_whole_(out, kept) : kept] = 0;
    return total;
}

/* Is the token a string whose decoded text is this one? */
static inline int mig_json_is(mig_str token, const char *text)
{
    const char *p, *end;
    size_t left = strlen(text);
    char step[4];

    if (token.len < 2 || token.ptr[0] != '"')
        return 0;
    end = token.ptr + token.len - 1;
    for (p = token.ptr + 1; p < end;) {
        size_t n = mig_json_step_(&p, end, step);
        if (n > left || memcmp(step, text, n) != 0)
            return 0;
        text += n;
        left -= n;
    }
    return left == 0;
}

/* The token of a member; empty when absent or when object is none. Keys are compared decoded. */
static inline mig_str mig_json_member(mig_str object, const char *name)
{
    mig_str none = {NULL, 0};

    for (mig_json_iter i = mig_json_each(object); mig_json_next(&i);)
        if (mig_json_is(i.key, name))
            return i.value;
    return none;
}

/* The token of an array's item (or of an object's index-th value); empty when there are fewer. */
static inline mig_str mig_json_item(mig_str array, size_t index)
{
    mig_str none = {NULL, 0};

    for (mig_json_iter i = mig_json_each(array); mig_json_next(&i); index--)
        if (index == 0)
            return i.value;
    return none;
}

/* How many members or items. */
static inline size_t mig_json_count(mig_str container)
{
    size_t n = 0;

    for (mig_json_iter i = mig_json_each(container); mig_json_next(&i);)
        n++;
    return n;
}

/* The readers below answer 1 and write *ret, or answer 0 and leave it alone. */
static inline int mig_json_bool(mig_str token, int *ret)
{
    char first = token.ptr && token.len ? token.ptr[0] : 0;

    if (first != 't' && first != 'f')
        return 0;
    *ret = first == 't';
    return 1;
}

/* Whole numbers from 0 to UINT64_MAX, written without fraction and exponent. */
static inline int mig_json_u64(mig_str token, uint64_t *ret)
{
    uint64_t v = 0;

    if (token.len == 0)
        return 0;
    for (size_t i = 0; i < token.len; i++) {
        uint64_t digit = (uint64_t)(unsigned char)token.ptr[i] - '0';
        if (digit > 9 || v > (UINT64_MAX - digit) / 10)
            return 0;
        v = v * 10 + digit;
    }
    *ret = v;
    return 1;
}

static inline int mig_json_i64(mig_str token, int64_t *ret)
{
    int is_negative = token.len > 0 && token.ptr[0] == '-';
    mig_str digits = token;
    uint64_t v;

    if (is_negative) {
        digits.ptr++;
        digits.len--;
    }
    if (!mig_json_u64(digits, &v) || v > (uint64_t)INT64_MAX + (uint64_t)is_negative)
        return 0;
    *ret = is_negative ? (int64_t)(0 - v) : (int64_t)v;
    return 1;
}

/* Any number of up to 350 characters; too large ones become infinite, as strtod() does. */
static inline int mig_json_f64(mig_str token, double *ret)
{
    char copy[352], *dot;

    if (mig_json_kind_of(token) != MIG_JSON_NUMBER || token.len >= sizeof copy)
        return 0;
    memcpy(copy, token.ptr, token.len);
    copy[token.len] = 0;
    dot = strchr(copy, '.');
    if (dot)
        *dot = localeconv()->decimal_point[0]; /* strtod() follows the locale, JSON does not */
    *ret = strtod(copy, NULL);
    return 1;
}

#ifdef __cplusplus
}
#endif
#include "mig/sdk/json_valid.h"
#include "mig/sdk/json_write.h"
#endif
