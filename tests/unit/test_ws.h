/* test_ws.h: a client for host/net/ws.c. It writes masked frames, and keeps a trace of what the server
 * tells its owner and sends:
 *
 *   T5:Hello      on_message, text; B: binary. Longer than 40 bytes: T99=* (all the same), T99#hash
 *   O2:ab         on_pong
 *   C1000:bye     on_close                 F1002:reserved_bits   on_fail
 *   >O2:ab        a pong sent; likewise >T >B >P >C1000:bye; >Z before T or B: it was compressed */
#ifndef TESTS_TEST_WS_H
#define TESTS_TEST_WS_H
#include "unit.h"
#include "base/buf.h"
#include "net/ws.h"
#include "net/ws_deflate.h"
#include "net/ws_frame.h"

#define FIN 0x80
#define RSV1 0x40

struct frame {
    uint8_t first; /* FIN, reserved bits, opcode */
    str payload;   /* ptr NULL and no fill: end of a list */
    uint32_t fill; /* instead: so many '*' */
};

struct peer {
    struct ws_pool *pool;
    struct ws *ws;
    struct buf trace;
    bool has_closed, echoes, frees, refuses;
    void *hold; /* of the last write */
};

static inline void peer_write_frame(struct buf *to, const struct frame *f)
{
    static unsigned turn;
    uint8_t mask[4] = {(uint8_t)(turn * 37), 0xFA, 0x21, (uint8_t)(turn >> 3)};
    size_t size = f->fill ? f->fill : f->payload.len;
    char *p = buf_reserve(to, size + WS_HEAD_MAX);

    turn++;
    assert_non_null(p);
    size_t head = ws_head_write(p, f->first & 15, f->first >> 4 & 7, f->first & FIN, size);
    p[1] = (char)(p[1] | 0x80);
    memcpy(p + head, mask, 4);
    for (size_t i = 0; i < size; i++)
        p[head + 4 + i] = (char)((f->fill ? '*' : f->payload.ptr[i]) ^ mask[i & 3]);
    to->len += head + 4 + size;
}

static inline void peer_show(struct peer *p, const char *what, str bytes)
{
    uint32_t hash = 2166136261u;
    bool is_same = true;

    buf_addf(&p->trace, "%s%s%zu", p->trace.len ? " " : "", what, bytes.len);
    for (size_t i = 0; i < bytes.len; i++) {
        hash = (hash ^ (unsigned char)bytes.ptr[i]) * 16777619u;
        is_same &= bytes.ptr[i] == bytes.ptr[0];
    }
    if (bytes.len > 40 && is_same)
        buf_addf(&p->trace, "=%c", bytes.ptr[0]);
    else if (bytes.len > 40)
        buf_addf(&p->trace, "#%08x", hash);
    else
        buf_addc(&p->trace, ':');
    for (size_t i = 0; bytes.len <= 40 && i < bytes.len; i++) {
        unsigned c = (unsigned char)bytes.ptr[i];
        if (c > 0x20 && c < 0x7F)
            buf_addc(&p->trace, (char)c);
        else
            buf_addf(&p->trace, "<%02X>", c);
    }
}

static inline void peer_show_code(struct peer *p, const char *what, unsigned code, str reason)
{
    buf_addf(&p->trace, "%s%s%u", p->trace.len ? " " : "", what, code);
    if (reason.len)
        buf_addf(&p->trace, ":%.*s", STR_ARG(reason));
}

static inline void peer_show_sent(struct peer *p, const struct ws_head *h, str payload)
{
    if (h->opcode == WS_CLOSE) {
        p->has_closed = true;
        unsigned code = payload.len ? (unsigned)(unsigned char)payload.ptr[0] << 8 |
                                          (unsigned char)payload.ptr[1]
                                    : 1005;
        peer_show_code(p, ">C", code, (str){NULL, 0}); // the reason is tested elsewhere
        return;
    }
    char what[4] = {'>', 'Z', 0, 0};
    what[h->reserved ? 2 : 1] = h->opcode == WS_TEXT     ? 'T'
                                : h->opcode == WS_BINARY ? 'B'
                                : h->opcode == WS_PING   ? 'P'
                                                         : 'O';
    struct ws_codec codec;
    ws_codec_init(&codec);
    if (h->reserved)
        assert_int_equal(ws_inflate(&codec, payload, 1 << 24, &payload), WS_INFLATED);
    peer_show(p, what, payload);
    ws_codec_deinit(&codec);
}

/* One call is one frame of the server: final, unmasked, of the length that its head says. */
static inline mig_status peer_write(void *owner, const str *pieces, unsigned count, void *hold)
{
    struct peer *p = owner;
    struct ws_head h;
    str payload = count > 1 ? pieces[1] : (str){"", 0};

    assert_false(p->has_closed); // nothing behind a close frame
    assert_in_range(count, 1, 2);
    assert_int_equal(ws_head_parse(&h, pieces[0].ptr, pieces[0].len), pieces[0].len);
    assert_true(h.is_final && !h.is_masked && h.is_length_minimal);
    assert_int_equal(h.length, payload.len);
    assert_true(h.reserved == 0 || h.reserved == WS_RSV1);
    p->hold = hold;
    if (p->refuses)
        return MIG_E_AGAIN;
    peer_show_sent(p, &h, payload);
    return MIG_OK;
}

static inline void peer_on_message(void *owner, str bytes, bool is_binary)
{
    struct peer *p = owner;

    peer_show(p, is_binary ? "B" : "T", bytes);
    if (p->echoes)
        assert_int_equal(
            ws_send(p->ws, &(struct ws_message){.bytes = bytes, .is_binary = is_binary}), MIG_OK);
    if (p->frees)
        ws_free(TAKE(p->ws));
}

static inline void peer_on_pong(void *owner, str payload)
{
    peer_show(owner, "O", payload);
}

static inline void peer_on_close(void *owner, unsigned code, str reason)
{
    peer_show_code(owner, "C", code, reason);
}

static inline void peer_on_fail(void *owner, unsigned code, const char *reason)
{
    peer_show_code(owner, "F", code, str_of(reason));
}

static const struct ws_ops peer_ops = {peer_write, peer_on_message, peer_on_pong, peer_on_close,
                                       peer_on_fail};

static inline void peer_start(struct peer *p, struct ws_pool *pool, uint32_t max,
                              uint8_t window_bits)
{
    const struct ws_config config = {max, 0, window_bits};

    *p = (struct peer){.pool = pool};
    buf_init(&p->trace, BUF_MAX);
    p->ws = ws_new(pool, &config, &peer_ops, p);
    assert_non_null(p->ws);
}

static inline void peer_stop(struct peer *p)
{
    ws_free(p->ws);
    buf_deinit(&p->trace);
}

/* Feeds an exact copy, so that a read beyond it is found. */
static inline mig_status peer_feed(struct peer *p, str bytes)
{
    char *copy = malloc(bytes.len ? bytes.len : 1);

    assert_non_null(copy);
    memcpy(copy, bytes.ptr, bytes.len);
    mig_status r = ws_feed(p->ws, copy, bytes.len);
    free(copy);
    return r;
}

static inline mig_status peer_feed_frame(struct peer *p, uint8_t first, str payload)
{
    struct buf b;

    buf_init(&b, BUF_MAX);
    peer_write_frame(&b, &(struct frame){first, payload, 0});
    mig_status r = peer_feed(p, buf_str(&b));
    buf_deinit(&b);
    return r;
}

/* The trace since the last time. */
static inline void peer_check(struct peer *p, const char *want)
{
    assert_str(p->trace.len ? buf_str(&p->trace) : S(""), want);
    buf_clear(&p->trace);
}
#endif
