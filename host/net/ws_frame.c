#include "net/ws_frame.h"

static uint64_t big_endian(const char *p, size_t n)
{
    uint64_t v = 0;

    for (size_t i = 0; i < n; i++)
        v = v << 8 | (unsigned char)p[i];
    return v;
}

size_t ws_head_parse(struct ws_head *h, const char *p, size_t n)
{
    if (n < 2)
        return 2;
    unsigned first = (unsigned char)p[0], second = (unsigned char)p[1], code = second & 0x7F;
    size_t length_size = code == 127 ? 8 : code == 126 ? 2 : 0;
    size_t size = 2 + length_size + (second & 0x80 ? 4 : 0);

    h->is_final = first & 0x80;
    h->reserved = first >> 4 & 7;
    h->opcode = first & 15;
    h->is_masked = second & 0x80;
    if (n < size)
        return size;
    h->length = length_size ? big_endian(p + 2, length_size) : code;
    h->is_length_minimal = code < 126 || h->length > (code == 126 ? 125 : 0xFFFF);
    if (h->is_masked)
        memcpy(h->mask, p + size - 4, 4);
    return size;
}

size_t ws_head_write(char out[WS_HEAD_OUT_MAX], unsigned opcode, unsigned reserved, bool is_final,
                     uint64_t length)
{
    size_t length_size = length < 126 ? 0 : length <= 0xFFFF ? 2 : 8;

    out[0] = (char)((is_final ? 0x80 : 0) | reserved << 4 | opcode);
    out[1] = (char)(length_size == 0 ? length : length_size == 2 ? 126 : 127);
    for (size_t i = 0; i < length_size; i++)
        out[2 + i] = (char)(length >> 8 * (length_size - 1 - i));
    return 2 + length_size;
}

void ws_unmask(char *to, const char *from, size_t n, const uint8_t mask[4], uint64_t offset)
{
    uint8_t key[8];
    uint64_t wide, v[4];
    size_t i = 0;

    for (unsigned k = 0; k < 8; k++)
        key[k] = mask[(offset + k) & 3];
    memcpy(&wide, key, sizeof wide);
    for (; i + sizeof v <= n; i += sizeof v) {
        memcpy(v, from + i, sizeof v);
        for (unsigned k = 0; k < 4; k++)
            v[k] ^= wide;
        memcpy(to + i, v, sizeof v);
    }
    for (; i + 8 <= n; i += 8) {
        memcpy(v, from + i, 8);
        v[0] ^= wide;
        memcpy(to + i, v, 8);
    }
    for (; i < n; i++)
        to[i] = (char)(from[i] ^ key[i & 7]);
}

static size_t ascii_prefix(const char *p, size_t n)
{
    const uint64_t high = 0x8080808080808080u;
    uint64_t v[2];
    size_t i = 0;

    for (; i + sizeof v <= n; i += sizeof v) {
        memcpy(v, p + i, sizeof v);
        if ((v[0] | v[1]) & high)
            break;
    }
    while (i < n && !(p[i] & 0x80))
        i++;
    return i;
}

/* The first byte of a sequence of two to four says how many follow, and the range of the second one
 * keeps out overlong forms, surrogates and what lies beyond U+10FFFF. */
static bool utf8_lead(struct ws_utf8 *u, unsigned c)
{
    *u = (struct ws_utf8){1, 0x80, 0xBF};
    if (c < 0xC2 || c > 0xF4)
        return false;
    if (c >= 0xF0) {
        u->missing = 3;
        u->low = c == 0xF0 ? 0x90 : 0x80;
        u->high = c == 0xF4 ? 0x8F : 0xBF;
    } else if (c >= 0xE0) {
        u->missing = 2;
        u->low = c == 0xE0 ? 0xA0 : 0x80;
        u->high = c == 0xED ? 0x9F : 0xBF;
    }
    return true;
}

bool ws_utf8_add(struct ws_utf8 *u, const char *p, size_t n)
{
    struct ws_utf8 now = *u;

    for (size_t i = 0; i < n; i++) {
        unsigned c = (unsigned char)p[i];
        if (now.missing) {
            if (c < now.low || c > now.high)
                return false;
            now = (struct ws_utf8){(uint8_t)(now.missing - 1), 0x80, 0xBF};
        } else if (c < 0x80) {
            i += ascii_prefix(p + i, n - i) - 1;
        } else if (!utf8_lead(&now, c)) {
            return false;
        }
    }
    *u = now;
    return true;
}

bool ws_close_code_is_valid(unsigned code)
{
    static const struct {
        uint16_t from, to;
    } ranges[] = {{1000, 1003}, {1007, 1014}, {3000, 4999}};

    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (code >= ranges[i].from && code <= ranges[i].to)
            return true;
    return false;
}
