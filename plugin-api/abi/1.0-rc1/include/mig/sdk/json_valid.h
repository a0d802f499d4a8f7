/* mig/sdk/json_valid.h: is this text JSON as the wire wants it? Part of mig/sdk/json.h. */
#ifndef MIG_SDK_JSON_VALID_H
#define MIG_SDK_JSON_VALID_H
#include "mig/sdk/json.h"
#ifdef __cplusplus
extern "C" {
#endif

/* The scanners take the place where something begins and answer the place behind it, or NULL. */

/* One character of UTF-8 (RFC 3629 table 3-7: no surrogates, nothing overlong). */
static inline const char *mig_json_scan_utf8_(const char *p, const char *end)
{
    unsigned char c = (unsigned char)*p++;
    unsigned char low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
    unsigned char high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    int more = c < 0x80 ? 0 : c < 0xC2 ? -1 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : c < 0xF5 ? 3 : -1;

    if (more < 0)
        return NULL;
    for (; more > 0; more--, low = 0x80, high = 0xBF) {
        if (p >= end || (unsigned char)*p < low || (unsigned char)*p > high)
            return NULL;
        p++;
    }
    return p;
}

static inline const char *mig_json_scan_string_(const char *p, const char *end)
{
    if (p >= end || *p++ != '"')
        return NULL;
    while (p && p < end && *p != '"') {
        if ((unsigned char)*p < 0x20)
            return NULL;
        if (*p != '\\') {
            p = mig_json_scan_utf8_(p, end);
        } else if (p + 1 < end && p[1] == 'u') {
            p = mig_json_hex4_(p + 2, end) == UINT32_MAX ? NULL : p + 6;
        } else {
            p = p + 1 < end && memchr("\"\\/bfnrt", p[1], 8) ? p + 2 : NULL;
        }
    }
    return p && p < end ? p + 1 : NULL;
}

static inline const char *mig_json_scan_digits_(const char *p, const char *end)
{
    const char *from = p;

    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p > from ? p : NULL;
}

static inline const char *mig_json_scan_number_(const char *p, const char *end)
{
    if (p < end && *p == '-')
        p++;
    if (p < end && *p == '0')
        p++;
    else
        p = mig_json_scan_digits_(p, end);
    if (p && p < end && *p == '.')
        p = mig_json_scan_digits_(p + 1, end);
    if (p && p < end && (*p | 32) == 'e') {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        p = mig_json_scan_digits_(p, end);
    }
    return p;
}

static inline const char *mig_json_scan_scalar_(const char *p, const char *end)
{
    static const char *const words[] = {"true", "false", "null"};

    if (p < end && *p == '"')
        return mig_json_scan_string_(p, end);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(end - p) >= n && memcmp(p, words[i], n) == 0)
            return p + n;
    }
    return mig_json_scan_number_(p, end);
}

/* "name": with white space around the colon. */
static inline const char *mig_json_scan_key_(const char *p, const char *end)
{
    p = mig_json_scan_string_(mig_json_space_(p, end), end);
    p = p ? mig_json_space_(p, end) : NULL;
    return p && p < end && *p == ':' ? p + 1 : NULL;
}

/* Opens containers until a scalar or an empty container has been read. One bit per level tells
 * objects from arrays. */
static inline const char *mig_json_scan_down_(const char *p, const char *end, uint64_t *kinds,
                                              size_t *depth)
{
    for (;;) {
        char close;

        p = mig_json_space_(p, end);
        if (p >= end || (*p != '{' && *p != '['))
            return mig_json_scan_scalar_(p, end);
        if (*depth >= MIG_JSON_DEPTH_MAX)
            return NULL;
        close = *p == '{' ? '}' : ']';
        p = mig_json_space_(p + 1, end);
        if (p < end && *p == close)
            return p + 1;
        kinds[*depth / 64] &= ~((uint64_t)1 << (*depth % 64));
        kinds[*depth / 64] |= (uint64_t)(close == '}') << (*depth % 64);
        ++*depth;
        if (close == '}' && !(p = mig_json_scan_key_(p, end)))
            return NULL;
    }
}

/* 1 when the text is one JSON value (RFC 8259): valid UTF-8, no BOM, at most MIG_JSON_DEPTH_MAX
 * levels. Duplicate members are not looked for; the host does. */
static inline int mig_json_valid(mig_str text)
{
    uint64_t kinds[MIG_JSON_DEPTH_MAX / 64] = {0, 0};
    size_t depth = 0;
    const char *p, *end;

    if (!text.len)
        return 0;
    end = text.ptr + text.len;
    p = mig_json_scan_down_(text.ptr, end, kinds, &depth);
    while (p) {
        int is_object;

        p = mig_json_space_(p, end);
        if (!depth)
            return p == end;
        is_object = (int)(kinds[(depth - 1) / 64] >> ((depth - 1) % 64)) & 1;
        if (p < end && *p == (is_object ? '}' : ']')) {
            depth--;
            p++;
            continue;
        }
        p = p < end && *p == ',' ? p + 1 : NULL;
        if (p && is_object)
            p = mig_json_scan_key_(p, end);
        if (p)
            p = mig_json_scan_down_(p, end, kinds, &depth);
    }
    return 0;
}

#ifdef __cplusplus
}
#endif
#endif
