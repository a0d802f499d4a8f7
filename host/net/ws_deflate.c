#include "net/ws_deflate.h"
#include "base/check.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

/* Level 1: on JSON the sixth saves a third more bytes and takes four times as long. */
enum { LEVEL = 1, MEMORY_LEVEL = 8, KEEP = 256 << 10, FIRST = 4096, WASTE_MAX = 64 << 10 };

/* What a sender cuts off behind Z_SYNC_FLUSH (RFC 7692 7.2.1). */
static const char tail[4] = "\x00\x00\xFF\xFF";

void ws_codec_init(struct ws_codec *c)
{
    *c = (struct ws_codec){0};
    buf_init(&c->inflated, BUF_MAX);
    buf_init(&c->deflated, BUF_MAX);
}

void ws_codec_deinit(struct ws_codec *c)
{
    if (c->inflater)
        inflateEnd(c->inflater);
    free(c->inflater);
    for (size_t i = 0; i < countof(c->deflaters); i++) {
        if (c->deflaters[i])
            deflateEnd(c->deflaters[i]);
        free(c->deflaters[i]);
    }
    buf_deinit(&c->inflated);
    buf_deinit(&c->deflated);
}

static void trim(struct buf *b)
{
    if (b->cap > KEEP)
        buf_deinit(b);
}

void ws_codec_trim(struct ws_codec *c)
{
    trim(&c->inflated);
    trim(&c->deflated);
}

static bool inflater_ready(struct ws_codec *c)
{
    if (c->inflater)
        return inflateReset(c->inflater) == Z_OK;
    z_stream *z = calloc(1, sizeof *z);
    if (z && inflateInit2(z, -WS_WINDOW_MAX) == Z_OK) {
        c->inflater = z;
        return true;
    }
    free(z);
    return false;
}

/* Room behind what was inflated; one byte more than max tells "exactly max" from "too big". */
static enum ws_inflated make_room(struct buf *out, z_stream *z, size_t max)
{
    if (out->len > max)
        return WS_INFLATE_TOO_BIG;
    size_t more = out->len < FIRST ? FIRST : out->len;
    if (more > max + 1 - out->len)
        more = max + 1 - out->len;
    if (!buf_reserve(out, more))
        return WS_INFLATE_NOMEM;
    z->next_out = (Bytef *)out->ptr + out->len;
    z->avail_out = (uInt)more;
    return WS_INFLATED;
}

/* All of `in`. A block may be marked as the last one although others follow; the window stays as it is
 * (RFC 7692 7.2.3.4, 7.2.3.5), which inflateReset() would not do. */
static enum ws_inflated inflate_part(struct ws_codec *c, str in, size_t max)
{
    z_stream *z = c->inflater;
    struct buf *out = &c->inflated;

    z->next_in = (z_const Bytef *)(uintptr_t)in.ptr;
    z->avail_in = (uInt)in.len;
    do {
        enum ws_inflated room = make_room(out, z, max);
        if (room != WS_INFLATED)
            return room;
        uInt before = z->avail_out;
        int r = inflate(z, Z_SYNC_FLUSH);
        out->len += before - z->avail_out;
        if (r == Z_STREAM_END)
            r = inflateResetKeep(z);
        if (r == Z_MEM_ERROR)
            return WS_INFLATE_NOMEM;
        if (r != Z_OK && r != Z_BUF_ERROR)
            return WS_INFLATE_CORRUPT;
    } while (z->avail_in || !z->avail_out);
    return WS_INFLATED;
}

/* In slices: 4 MiB of block heads without content would keep the loop busy for 0.15 s and more. */
static enum ws_inflated inflate_all(struct ws_codec *c, str in, size_t max)
{
    enum ws_inflated r = WS_INFLATED;

    for (size_t at = 0; at < in.len && r == WS_INFLATED; at += WASTE_MAX) {
        size_t n = in.len - at < WASTE_MAX ? in.len - at : WASTE_MAX;
        r = inflate_part(c, (str){in.ptr + at, n}, max);
        if (r == WS_INFLATED && at + n > ws_deflated_max(c->inflated.len) + WASTE_MAX)
            return WS_INFLATE_CORRUPT;
    }
    return r == WS_INFLATED ? inflate_part(c, (str){tail, sizeof tail}, max) : r;
}

/* zlib says in data_type whether it stands between two blocks: a message that was cut short does not. */
static bool is_between_blocks(const z_stream *z)
{
    return z->data_type & 128;
}

enum ws_inflated ws_inflate(struct ws_codec *c, str in, size_t max, str *ret)
{
    buf_clear(&c->inflated);
    *ret = (str){"", 0};
    if (!in.len) // a sender shall write 00 for the empty message; nothing means the same
        return WS_INFLATED;
    if (max >= UINT_MAX)
        return WS_INFLATE_TOO_BIG;
    if (!inflater_ready(c))
        return WS_INFLATE_NOMEM;
    enum ws_inflated r = inflate_all(c, in, max);
    if (r == WS_INFLATED && !is_between_blocks(c->inflater))
        r = WS_INFLATE_CORRUPT;
    if (r == WS_INFLATED && c->inflated.len)
        *ret = buf_str(&c->inflated);
    return r;
}

static z_stream *deflater_of(struct ws_codec *c, unsigned window_bits)
{
    z_stream **slot = &c->deflaters[window_bits - WS_WINDOW_MIN];

    if (*slot)
        return deflateReset(*slot) == Z_OK ? *slot : NULL;
    z_stream *z = calloc(1, sizeof *z);
    if (!z || deflateInit2(z, LEVEL, Z_DEFLATED, -(int)window_bits, MEMORY_LEVEL,
                           Z_DEFAULT_STRATEGY) != Z_OK) {
        free(z);
        return NULL;
    }
    return *slot = z;
}

/* The output gets no more room than the input has: what does not fit is not worth sending. */
bool ws_deflate(struct ws_codec *c, unsigned window_bits, str in, str *ret)
{
    must(window_bits >= WS_WINDOW_MIN && window_bits <= WS_WINDOW_MAX);
    buf_clear(&c->deflated);
    z_stream *z = in.len && in.len < UINT_MAX - sizeof tail ? deflater_of(c, window_bits) : NULL;
    size_t room = in.len + sizeof tail;
    char *out = z ? buf_reserve(&c->deflated, room) : NULL;

    if (!out)
        return false;
    z->next_in = (z_const Bytef *)(uintptr_t)in.ptr;
    z->avail_in = (uInt)in.len;
    z->next_out = (Bytef *)out;
    z->avail_out = (uInt)room;
    if (deflate(z, Z_SYNC_FLUSH) != Z_OK || z->avail_in || !z->avail_out)
        return false;
    size_t size = room - z->avail_out;
    if (size < sizeof tail || memcmp(out + size - sizeof tail, tail, sizeof tail) != 0)
        return false;
    *ret = (str){out, size - sizeof tail};
    return ret->len < in.len;
}
