#include "core/jwt_key.h"

static const unsigned char *values(void)
{
    /* clang-format off */
    static const unsigned char table[256] = {
        ['A'] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18,
        19, 20, 21, 22, 23, 24, 25, 26,
        ['a'] = 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44,
        45, 46, 47, 48, 49, 50, 51, 52,
        ['0'] = 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, ['-'] = 63, ['_'] = 64,
    };
    /* clang-format on */
    return table; // value + 1; 0: no such character
}

/* The bits of n characters, first one highest. false: one of them is none of ours. */
static bool bits_of(const char *p, size_t n, uint32_t *ret)
{
    const unsigned char *table = values();
    uint32_t bits = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned v = table[(unsigned char)p[i]];
        if (!v)
            return false;
        bits = bits << 6 | (v - 1);
    }
    *ret = bits;
    return true;
}

bool base64url_decode(str text, char *out, size_t *ret_len)
{
    size_t whole = text.len / 4 * 4, rest = text.len - whole, n = 0;
    uint32_t bits;

    if (rest == 1)
        return false;
    for (size_t i = 0; i < whole; i += 4) {
        if (!bits_of(text.ptr + i, 4, &bits))
            return false;
        out[n++] = (char)(bits >> 16);
        out[n++] = (char)(bits >> 8);
        out[n++] = (char)bits;
    }
    if (rest) {
        unsigned spare = rest == 2 ? 4 : 2; // bits that belong to no byte
        if (!bits_of(text.ptr + whole, rest, &bits) || bits & ((1u << spare) - 1))
            return false;
        bits >>= spare;
        if (rest == 3)
            out[n++] = (char)(bits >> 8);
        out[n++] = (char)bits;
    }
    *ret_len = n;
    return true;
}

bool base64url_take(struct arena *a, str text, str *ret)
{
    char *out = arena_alloc(a, text.len / 4 * 3 + 2);
    size_t n;

    if (!out || !base64url_decode(text, out, &n))
        return false;
    *ret = (str){out, n};
    return true;
}
