/* ws_deflate.h: message compression of a loop (RFC 7692), the one face of zlib here.
 *
 * Both sides drop the context behind each message (no_context_takeover), so one inflater and one
 * deflater serve all sockets of a loop and an idle socket keeps nothing. Owner: its loop. */
#ifndef NET_WS_DEFLATE_H
#define NET_WS_DEFLATE_H
#include "base/buf.h"

enum {
    WS_WINDOW_MIN = 9, /* zlib cannot write raw streams with a window of 8 bits */
    WS_WINDOW_MAX = 15
};

/* The zlib states are made when first needed: 48 KiB to inflate, 264 KiB to deflate. */
struct ws_codec {
    struct z_stream_s *inflater;
    struct z_stream_s *deflaters[WS_WINDOW_MAX - WS_WINDOW_MIN + 1]; /* by window bits */
    struct buf inflated, deflated;                                   /* of the last message */
};

enum ws_inflated { WS_INFLATED, WS_INFLATE_CORRUPT, WS_INFLATE_TOO_BIG, WS_INFLATE_NOMEM };

/* How long n bytes may become: noise grows when it is compressed, at worst (zlib with its smallest
 * tables) by an eighth. */
static inline size_t ws_deflated_max(size_t n)
{
    return n + n / 8 + 64;
}

void ws_codec_init(struct ws_codec *c);
void ws_codec_deinit(struct ws_codec *c);
/* A whole message. *ret lies in the codec until the next call; never more than max bytes are made. Blocks
 * that bring nothing cost time: 64 KiB of them count as corrupt. */
enum ws_inflated ws_inflate(struct ws_codec *c, str in, size_t max, str *ret);
/* false: it does not become smaller (or memory is out): send it as it is. *ret lies in the codec until
 * the next call. */
bool ws_deflate(struct ws_codec *c, unsigned window_bits, str in, str *ret);
/* Gives big buffers back; for the end of a turn. */
void ws_codec_trim(struct ws_codec *c);
#endif
