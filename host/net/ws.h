/* ws.h: the server's end of a WebSocket as a machine on bytes (RFC 6455, RFC 7692): bytes in, messages
 * out, and back. No sockets, no timers: who owns the stream feeds it and sends the pings.
 *
 * An idle socket has no buffer: a struct of 288 bytes is all. What one turn needs (unmasked
 * bytes, inflated messages, zlib) belongs to the loop's ws_pool. Framing is our own because a context
 * of wslay takes 4.2 KiB (frames) or 9.2 KiB (events), and copies every payload.
 *
 *   OPEN -- ws_close ----------> CLOSING -- close frame of the peer, on_close --> ENDED
 *     |---- close frame of the peer: echoed, on_close ----------------------------^
 *     '---- violation: close frame, on_fail --------------------------------------^
 *
 * Owner: its loop; ws and pool belong to the same one. Nothing is sent behind a close frame. */
#ifndef NET_WS_H
#define NET_WS_H
#include "base/buf.h"

struct ws;
struct ws_pool;

struct ws_config {
    uint32_t max_message; /* bytes, after inflating; a longer message ends the socket with 1009 */
    uint32_t deflate_min; /* shorter messages are sent as they are                               */
    uint8_t window_bits;  /* ws_agreement.window_bits; 0: permessage-deflate was not agreed      */
};

/* A message to send. Make one, send it to many: neither copied nor compressed again. */
struct ws_message {
    str bytes;
    void *hold; /* handed to ops->write with the bytes; NULL: they live as long as the call      */
    bool is_binary;
    bool is_prepared; /* by ws_message_deflate()                                                 */
    str deflated;     /* empty: not worth it. Its owner is `hold` too                            */
};

struct ws_ops {
    /* Bytes to send: the pieces in their order, all or nothing. The first one (and every one when hold
     * is NULL) ends with the call; the others live as long as what hold stands for.
     * MIG_OK: taken. Anything else: not taken, and ws_send() returns it. A close frame comes here like
     * all others and is not offered again; neither is a pong. */
    mig_status (*write)(void *owner, const str *pieces, unsigned count, void *hold);
    /* A whole message; text is valid UTF-8. The bytes end with the call. */
    void (*on_message)(void *owner, str bytes, bool is_binary);
    void (*on_pong)(void *owner, str payload);
    /* The peer's close frame came, and ours was sent. Code 1005: it named none. Close the stream. */
    void (*on_close)(void *owner, unsigned code, str reason);
    /* The peer broke a rule (or memory is out, 1011). The close frame with that code was sent, unless
     * one was sent before. reason is a constant word for metrics. Close the stream. */
    void (*on_fail)(void *owner, unsigned code, const char *reason);
};

/* NULL: out of memory. */
struct ws_pool *ws_pool_new(void);
void ws_pool_free(struct ws_pool *p);

/* ops and pool outlive it; config is copied. NULL: out of memory. */
struct ws *ws_new(struct ws_pool *pool, const struct ws_config *config, const struct ws_ops *ops,
                  void *owner);
/* Says nothing to the peer. Allowed in every callback. */
void ws_free(struct ws *ws);

/* Bytes of the peer, cut anywhere; also those that came behind the handshake. Callbacks run before it
 * returns; they must not feed a socket of the same pool.
 *   MIG_OK; MIG_E_GONE: nothing more will be read (on_close, on_fail or ws_free came). */
mig_status ws_feed(struct ws *ws, const char *data, size_t len);

/* MIG_OK; MIG_E_GONE: a close frame was sent; or what ops->write answered, and then nothing was sent.
 * Text must be UTF-8: that is the caller's promise. */
mig_status ws_send(struct ws *ws, const struct ws_message *m);
/* Compress once what is for many. The bytes go into `to` (emptied first), which `hold` must keep. For
 * sockets whose agreed window is smaller than 15 bits ws_send() compresses again. */
void ws_message_deflate(struct ws_pool *p, struct ws_message *m, struct buf *to);
/* Up to 125 bytes; more is MIG_E_ARG. Answers as ws_send(). */
mig_status ws_ping(struct ws *ws, str payload);
/* Sends a close frame and waits for the peer's (its owner limits how long). A reason longer than 123
 * bytes is cut. Code: 1000 to 1003, 1007 to 1014, 3000 to 4999, anything else is MIG_E_ARG.
 * MIG_E_GONE: there was one before. */
mig_status ws_close(struct ws *ws, unsigned code, str reason);
/* Nothing received waits in a buffer, no message is half read. */
bool ws_is_idle(const struct ws *ws);
#endif
