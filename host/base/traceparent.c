#include "base/traceparent.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static inline char hex_digit(unsigned v)
{
    return (char)(v < 10 ? '0' + v : 'a' - 10 + v);
}

/* Eight bytes; every operation has three such groups. */
static inline void hex8(char *to, const unsigned char *bytes)
{
#ifdef __SSE2__
    __m128i v = _mm_loadl_epi64((const __m128i *)(const void *)bytes), low = _mm_set1_epi8(15);
    __m128i nibbles =
        _mm_unpacklo_epi8(_mm_and_si128(_mm_srli_epi16(v, 4), low), _mm_and_si128(v, low));
    __m128i letters = _mm_cmpgt_epi8(nibbles, _mm_set1_epi8(9));
    __m128i more = _mm_and_si128(letters, _mm_set1_epi8('a' - '0' - 10));
    v = _mm_add_epi8(_mm_add_epi8(nibbles, _mm_set1_epi8('0')), more);
    _mm_storeu_si128((__m128i *)(void *)to, v);
#else
    for (size_t i = 0; i < 8; i++) {
        to[2 * i] = hex_digit(bytes[i] >> 4);
        to[2 * i + 1] = hex_digit(bytes[i] & 15);
    }
#endif
}

void hex_write(char *to, const unsigned char *bytes, size_t n)
{
    for (; n >= 8; n -= 8, bytes += 8, to += 16)
        hex8(to, bytes);
    for (; n > 0; n--, bytes++) {
        *to++ = hex_digit(*bytes >> 4);
        *to++ = hex_digit(*bytes & 15);
    }
}

/* Lower case alone (3.2.2). */
static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool hex_read(const char *from, unsigned char *to, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int high = digit(from[2 * i]), low = digit(from[2 * i + 1]);
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
    hex8(out + 3, t->trace_id);
    hex8(out + 19, t->trace_id + 8);
    out[35] = '-';
    hex8(out + 36, t->span_id);
    out[52] = '-';
    out[53] = hex_digit(t->flags >> 4);
    out[54] = hex_digit(t->flags & 15);
}
