#include "base/traceparent.h"
#include "base/hex.h"

/* Lower case alone (3.2.2). */
static bool hex_read(const char *from, unsigned char *to, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int high = hex_lower_value(from[2 * i]), low = hex_lower_value(from[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        to[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static bool is_zero(const unsigned char *bytes, size_t n)
{
    unsigned all = 0;

    for (size_t i = 0; i < n; i++)
        all |= bytes[i];
    return !all;
}

bool traceparent_parse(str s, struct traceparent *ret)
{
    struct traceparent t;
    unsigned char version;
    const char *p = s.ptr;

    if (s.len < TRACEPARENT_TEXT || p[2] != '-' || p[35] != '-' || p[52] != '-')
        return false;
    if (!hex_read(p, &version, 1) || !hex_read(p + 3, t.trace_id, TRACE_ID) ||
        !hex_read(p + 36, t.span_id, SPAN_ID) || !hex_read(p + 53, &t.flags, 1))
        return false;
    bool has_more = s.len > TRACEPARENT_TEXT;
    if (version == 0xFF || (has_more && (version == 0 || p[TRACEPARENT_TEXT] != '-')) ||
        is_zero(t.trace_id, TRACE_ID) || is_zero(t.span_id, SPAN_ID))
        return false;
    *ret = t;
    return true;
}

void traceparent_write(const struct traceparent *t, char out[TRACEPARENT_TEXT])
{
    out[0] = out[1] = '0';
    out[2] = '-';
    hex_write(out + 3, t->trace_id, TRACE_ID);
    out[35] = '-';
    hex_write(out + 36, t->span_id, SPAN_ID);
    out[52] = '-';
    hex_write(out + 53, &t->flags, 1);
}
