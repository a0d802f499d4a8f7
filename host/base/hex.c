#include "base/hex.h"

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
