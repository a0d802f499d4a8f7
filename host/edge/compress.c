#include "edge/compress.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

enum {
    GZIP_WINDOW = 15 + 16, /* zlib: the gzip frame */
    ZSTD_WINDOW_MAX = 23,  /* RFC 9659: 8 MiB      */
    KEEP_MAX = 512 << 10,  /* output that stays for the next body */
    PIECE = 16 << 10
};

struct compressor {
    z_stream deflate, inflate;
    ZSTD_CCtx *zstd;
    ZSTD_DCtx *unzstd;
    struct buf out;
    bool has_deflate, has_inflate;
};

/* On one core of 2020: gzip 5 takes 10 ms per MB of JSON, gzip 1 five, zstd 3 and 1 two and a half. */
static const struct {
    int level, large_level;
    size_t large, max; /* beyond large the other level, beyond max nothing */
} effort[CODINGS] = {
    [CODING_GZIP] = {5, 1, 64 << 10, COMPRESS_GZIP_MAX},
    [CODING_ZSTD] = {3, 1, 256 << 10, COMPRESS_ZSTD_MAX},
};

static int level_of(enum coding c, size_t n)
{
    return n > effort[c].large ? effort[c].large_level : effort[c].level;
}

struct compressor *compressor_new(void)
{
    struct compressor *z = calloc(1, sizeof *z);

    if (z)
        buf_init(&z->out, (size_t)COMPRESS_ZSTD_MAX * 2);
    return z;
}

void compressor_free(struct compressor *z)
{
    if (!z)
        return;
    if (z->has_deflate)
        deflateEnd(&z->deflate);
    if (z->has_inflate)
        inflateEnd(&z->inflate);
    ZSTD_freeCCtx(z->zstd);
    ZSTD_freeDCtx(z->unzstd);
    buf_deinit(&z->out);
    free(z);
}

/* --- answers ------------------------------------------------------------------------------------ */

/* Room for the worst case; what one large body took is given back by the next small one. */
static char *room(struct compressor *z, size_t need)
{
    if (z->out.cap > KEEP_MAX && need <= KEEP_MAX)
        buf_deinit(&z->out);
    buf_clear(&z->out);
    return buf_reserve(&z->out, need);
}

static size_t gzip(struct compressor *z, str body)
{
    int level = level_of(CODING_GZIP, body.len);

    if (!z->has_deflate)
        z->has_deflate = deflateInit2(&z->deflate, level, Z_DEFLATED, GZIP_WINDOW, 8,
                                      Z_DEFAULT_STRATEGY) == Z_OK;
    if (!z->has_deflate || deflateReset(&z->deflate) != Z_OK)
        return 0;
    size_t bound = deflateBound(&z->deflate, body.len);
    char *to = room(z, bound);
    if (!to)
        return 0;
    z->deflate.next_out = (Bytef *)to;
    z->deflate.avail_out = (uInt)bound;
    if (deflateParams(&z->deflate, level, Z_DEFAULT_STRATEGY) != Z_OK)
        return 0;
    z->deflate.next_in = (Bytef *)(uintptr_t)body.ptr;
    z->deflate.avail_in = (uInt)body.len;
    return deflate(&z->deflate, Z_FINISH) == Z_STREAM_END ? bound - z->deflate.avail_out : 0;
}

static size_t zstd(struct compressor *z, str body)
{
    if (!z->zstd)
        z->zstd = ZSTD_createCCtx();
    size_t bound = ZSTD_compressBound(body.len);
    char *to = z->zstd ? room(z, bound) : NULL;
    if (!to)
        return 0;
    size_t n =
        ZSTD_compressCCtx(z->zstd, to, bound, body.ptr, body.len, level_of(CODING_ZSTD, body.len));
    return ZSTD_isError(n) ? 0 : n;
}

str compress_body(struct compressor *z, enum coding c, str body)
{
    const str none = {NULL, 0};

    if (!body.len || (c != CODING_GZIP && c != CODING_ZSTD) || body.len > effort[c].max)
        return none;
    size_t n = c == CODING_ZSTD ? zstd(z, body) : gzip(z, body);
    return n && n < body.len ? (str){z->out.ptr, n} : none;
}

/* --- requests ----------------------------------------------------------------------------------- */

/* A piece of room at the end of out. One byte beyond the limit would be too many: the room ends there,
 * and who fills it all has to stop. */
static char *piece(struct buf *out, size_t *ret_room)
{
    size_t left = out->limit - out->len;

    *ret_room = left < PIECE ? left : PIECE;
    return *ret_room ? buf_reserve(out, *ret_room) : NULL;
}

/* Until one member ends. The input is in z->inflate. */
static enum decoded inflate_member(struct compressor *z, struct buf *out)
{
    for (;;) {
        char spare = 0;
        size_t n;
        char *to = piece(out, &n);
        if (!to && out->len < out->limit)
            return DECODED_NO_MEMORY;
        z->inflate.next_out = (Bytef *)(to ? to : &spare);
        z->inflate.avail_out = to ? (uInt)n : 1; /* is there more than fits? */
        size_t before = z->inflate.avail_out;
        int r = inflate(&z->inflate, Z_NO_FLUSH);
        size_t made = before - z->inflate.avail_out;
        if (made && !to)
            return DECODED_TOO_LARGE;
        out->len += made;
        if (r == Z_STREAM_END)
            return DECODED;
        if (r == Z_MEM_ERROR)
            return DECODED_NO_MEMORY;
        if (r != Z_OK || (!made && !z->inflate.avail_in))
            return DECODED_MALFORMED;
    }
}

static enum decoded gunzip(struct compressor *z, str body, struct buf *out)
{
    if (!z->has_inflate)
        z->has_inflate = inflateInit2(&z->inflate, GZIP_WINDOW) == Z_OK;
    if (!z->has_inflate)
        return DECODED_NO_MEMORY;
    z->inflate.next_in = (Bytef *)(uintptr_t)body.ptr;
    z->inflate.avail_in = (uInt)body.len;
    do {
        inflateReset(&z->inflate);
        enum decoded d = inflate_member(z, out);
        if (d != DECODED)
            return d;
    } while (z->inflate.avail_in);
    return DECODED;
}

static enum decoded unzstd(struct compressor *z, str body, struct buf *out)
{
    ZSTD_inBuffer in = {body.ptr, body.len, 0};
    size_t left = 1;

    if (!z->unzstd)
        z->unzstd = ZSTD_createDCtx();
    if (!z->unzstd)
        return DECODED_NO_MEMORY;
    ZSTD_DCtx_reset(z->unzstd, ZSTD_reset_session_and_parameters);
    ZSTD_DCtx_setParameter(z->unzstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_MAX);
    for (bool is_stuck = false; in.pos < in.size || (left && !is_stuck);) {
        char spare = 0;
        size_t n, was = in.pos;
        char *to = piece(out, &n);
        if (!to && out->len < out->limit)
            return DECODED_NO_MEMORY;
        ZSTD_outBuffer o = {to ? to : &spare, to ? n : 1, 0};
        left = ZSTD_decompressStream(z->unzstd, &o, &in);
        if (ZSTD_isError(left))
            return DECODED_MALFORMED;
        if (o.pos && !to)
            return DECODED_TOO_LARGE;
        out->len += o.pos;
        is_stuck = !o.pos && in.pos == was;
    }
    return left ? DECODED_MALFORMED : DECODED;
}

enum decoded decompress_body(struct compressor *z, enum coding c, str body, struct buf *out)
{
    if (!body.len || body.len > UINT_MAX)
        return DECODED_MALFORMED;
    return c == CODING_GZIP   ? gunzip(z, body, out)
           : c == CODING_ZSTD ? unzstd(z, body, out)
                              : DECODED_MALFORMED;
}
