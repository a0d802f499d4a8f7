/* mig/sdk/query.h: the query of an HTTP request, as browsers and HTTP clients write it: parameters with
 * '&' between, escapes of RFC 3986 2.1. Pure; any thread. */
#ifndef MIG_SDK_QUERY_H
#define MIG_SDK_QUERY_H
#include <string.h>

#include "mig/abi.h"
#ifdef __cplusplus
extern "C" {
#endif

/* Takes the next parameter off *rest, which begins as the query: name and value point into it, as they
 * were sent. Without a '=' the value is empty. 0: there is no more. */
static inline int mig_query_next(mig_str *rest, mig_str *ret_name, mig_str *ret_value)
{
    while (rest->len) {
        const char *at = rest->ptr, *end = at + rest->len;
        const char *stop = (const char *)memchr(at, '&', rest->len);
        const char *eq;

        rest->ptr = stop ? stop + 1 : end;
        rest->len = (size_t)(end - rest->ptr);
        stop = stop ? stop : end;
        if (stop == at)
            continue;
        eq = (const char *)memchr(at, '=', (size_t)(stop - at));
        ret_name->ptr = at;
        ret_name->len = (size_t)((eq ? eq : stop) - at);
        ret_value->ptr = eq ? eq + 1 : stop;
        ret_value->len = (size_t)(stop - ret_value->ptr);
        return 1;
    }
    return 0;
}

/* The value of the first parameter of that name, as it was sent; ptr NULL: there is none. */
static inline mig_str mig_query_value(mig_str query, const char *name)
{
    mig_str none = {NULL, 0}, found, value;
    size_t len = strlen(name);

    while (mig_query_next(&query, &found, &value))
        if (found.len == len && memcmp(found.ptr, name, len) == 0)
            return value;
    return none;
}

static inline int mig_query_hex(char c)
{
    return c >= '0' && c <= '9'                     ? c - '0'
           : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                    : -1;
}

/* Writes what raw stands for to out, which has room for raw.len bytes. plus: what a '+' stands for: ' ' as
 * forms write it (WHATWG URL 5.1), or '+' where values have some and spaces have none, as times do. 0: a bad
 * escape, or one of a control character; *ret is as it was. */
static inline int mig_query_decode(mig_str raw, char plus, char *out, mig_str *ret)
{
    size_t n = 0;

    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.ptr[i];
        if (c == '%') {
            int high = i + 2 < raw.len ? mig_query_hex(raw.ptr[i + 1]) : -1;
            int low = high >= 0 ? mig_query_hex(raw.ptr[i + 2]) : -1;
            if (low < 0 || (high << 4 | low) < 0x20)
                return 0;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+') {
            c = plus;
        }
        out[n++] = c;
    }
    ret->ptr = out;
    ret->len = n;
    return 1;
}

#ifdef __cplusplus
}
#endif
#endif
