/* mig/sdk/json_write.h: write JSON text into a buffer of the caller. Part of mig/sdk/json.h.
 *
 *     char out[256];
 *     mig_json_writer w = mig_json_writer_on(out, sizeof out);
 *     mig_json_open(&w, '{');
 *     mig_json_key(&w, "greeting");
 *     mig_json_put_string(&w, mig_s("hello"));
 *     mig_json_close(&w, '}');
 *     mig_str json = mig_json_written(&w);          -- empty when it did not fit
 *
 * Commas are set by the writer. A write that finds no room sets has_failed and every later one does
 * nothing, so one check at the end is enough. Balance of brackets is the caller's matter. */
#ifndef MIG_SDK_JSON_WRITE_H
#define MIG_SDK_JSON_WRITE_H
#include "mig/sdk/json.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct mig_json_writer mig_json_writer;
struct mig_json_writer {
    char *ptr;
    size_t len, cap;
    /* Give ptr room for at least `need` bytes (set ptr and cap) and answer 1; 0: no more room.
     * NULL: the buffer stays as large as it is. */
    int (*grow)(mig_json_writer *w, size_t need);
    void *owner; /* for grow() */
    size_t has_failed;
};

static inline mig_json_writer mig_json_writer_on(char *buffer, size_t cap)
{
    mig_json_writer w = {buffer, 0, cap, NULL, NULL, 0};
    return w;
}

/* What was written so far; empty when something did not fit. Not NUL-terminated. */
static inline mig_str mig_json_written(const mig_json_writer *w)
{
    mig_str s = {w->ptr, w->has_failed ? 0 : w->len};
    return s;
}

static inline int mig_json_add_(mig_json_writer *w, const char *bytes, size_t n)
{
    if (w->has_failed)
        return 0;
    if (n > w->cap - w->len && (!w->grow || !w->grow(w, w->len + n) || n > w->cap - w->len)) {
        w->has_failed = 1;
        return 0;
    }
    if (n)
        memcpy(w->ptr + w->len, bytes, n);
    w->len += n;
    return 1;
}

/* A value follows: is a comma due? The last byte tells. */
static inline void mig_json_comma_(mig_json_writer *w)
{
    if (!w->has_failed && w->len && !memchr("{[,:", w->ptr[w->len - 1], 4))
        mig_json_add_(w, ",", 1);
}

/* Text that is JSON already: a token from a request, a number that you formatted. */
static inline void mig_json_put_raw(mig_json_writer *w, mig_str token)
{
    mig_json_comma_(w);
    mig_json_add_(w, token.ptr, token.len);
}

/* '{' or '[' */
static inline void mig_json_open(mig_json_writer *w, char bracket)
{
    mig_json_comma_(w);
    mig_json_add_(w, &bracket, 1);
}

/* '}' or ']' */
static inline void mig_json_close(mig_json_writer *w, char bracket)
{
    mig_json_add_(w, &bracket, 1);
}

/* A piece of a string: escapes what RFC 8259 7 wants escaped; UTF-8 passes as it is. */
static inline void mig_json_escape_(mig_json_writer *w, const char *p, size_t n)
{
    static const char names[] = "\"\\\b\f\n\r\t", codes[] = "\"\\bfnrt";
    size_t from = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        char esc[8] = {'\\', 0, 0, 0, 0, 0, 0, 0};
        const char *hit;

        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        mig_json_add_(w, p + from, i - from);
        from = i + 1;
        hit = c ? (const char *)memchr(names, c, sizeof names - 1) : NULL;
        if (hit) {
            esc[1] = codes[hit - names];
            mig_json_add_(w, esc, 2);
        } else {
            snprintf(esc, sizeof esc, "\\u%04x", (unsigned)c);
            mig_json_add_(w, esc, 6);
        }
    }
    mig_json_add_(w, p + from, n - from);
}

/* UTF-8 text as a string; never fails on control characters. */
static inline void mig_json_put_string(mig_json_writer *w, mig_str text)
{
    mig_json_comma_(w);
    mig_json_add_(w, "\"", 1);
    mig_json_escape_(w, text.ptr, text.len);
    mig_json_add_(w, "\"", 1);
}

/* The name of the member whose value comes next. */
static inline void mig_json_key(mig_json_writer *w, const char *name)
{
    mig_json_put_string(w, mig_s(name));
    mig_json_add_(w, ":", 1);
}

static inline void mig_json_put_null(mig_json_writer *w)
{
    mig_json_put_raw(w, mig_s("null"));
}

static inline void mig_json_put_bool(mig_json_writer *w, int value)
{
    mig_json_put_raw(w, mig_s(value ? "true" : "false"));
}

static inline void mig_json_put_i64(mig_json_writer *w, int64_t value)
{
    char text[24];

    snprintf(text, sizeof text, "%lld", (long long)value);
    mig_json_put_raw(w, mig_s(text));
}

static inline void mig_json_put_u64(mig_json_writer *w, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    mig_json_put_raw(w, mig_s(text));
}

/* The shortest of 15 to 17 digits that reads back the same; null for what JSON cannot say. */
static inline void mig_json_put_f64(mig_json_writer *w, double value)
{
    char text[40], *dot;

    if (!(value - value == 0.0)) {
        mig_json_put_null(w);
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) >= value && strtod(text, NULL) <= value)
            break;
    }
    dot = strchr(text, localeconv()->decimal_point[0]);
    if (dot)
        *dot = '.';
    mig_json_put_raw(w, mig_s(text));
}

#ifdef __cplusplus
}
#endif
#endif
