#include "net/ws_state.h"

#include <stdlib.h>

/* --- life ------------------------------------------------------------------------------------------- */

struct ws_pool *ws_pool_new(void)
{
    struct ws_pool *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    buf_init(&p->scratch, BUF_MAX); // bounded by what is fed at once
    ws_codec_init(&p->codec);
    return p;
}

void ws_pool_free(struct ws_pool *p)
{
    if (!p)
        return;
    buf_deinit(&p->scratch);
    ws_codec_deinit(&p->codec);
    free(p);
}

size_t ws_payload_max(const struct ws *ws, bool is_deflated)
{
    size_t max = ws->config.max_message;
    return is_deflated ? ws_deflated_max(max) : max;
}

struct ws *ws_new(struct ws_pool *pool, const struct ws_config *config, const struct ws_ops *ops,
                  void *owner)
{
    struct ws *ws = calloc(1, sizeof *ws);

    if (!ws)
        return NULL;
    ws->pool = pool;
    ws->config = *config;
    ws->ops = ops;
    ws->owner = owner;
    buf_init(&ws->message, ws_payload_max(ws, config->window_bits));
    return ws;
}

void ws_free(struct ws *ws)
{
    if (!ws)
        return;
    ws->phase = WS_ENDED;
    ws->is_freed = true;
    if (ws->is_feeding)
        return; // ws_feed() does the rest when it comes back
    buf_deinit(&ws->message);
    free(ws);
}

bool ws_is_idle(const struct ws *ws)
{
    return !ws->in_frame && !ws->head_size && !ws->in_message && !ws->message.ptr;
}

/* --- sending ---------------------------------------------------------------------------------------- */

mig_status ws_send_frame(struct ws *ws, unsigned opcode, unsigned reserved, str payload, void *hold)
{
    char head[WS_HEAD_OUT_MAX];
    size_t size = ws_head_write(head, opcode, reserved, /*is_final=*/true, payload.len);
    const str pieces[2] = {{head, size}, payload};

    return ws->ops->write(ws->owner, pieces, payload.len ? 2 : 1, hold);
}

mig_status ws_send(struct ws *ws, const struct ws_message *m)
{
    unsigned opcode = m->is_binary ? WS_BINARY : WS_TEXT;
    str deflated = {NULL, 0};

    if (ws->phase != WS_OPEN)
        return MIG_E_GONE;
    if (!ws->config.window_bits || m->bytes.len < ws->config.deflate_min)
        return ws_send_frame(ws, opcode, 0, m->bytes, m->hold);
    if (m->is_prepared && ws->config.window_bits == WS_WINDOW_MAX)
        return m->deflated.len ? ws_send_frame(ws, opcode, WS_RSV1, m->deflated, m->hold)
                               : ws_send_frame(ws, opcode, 0, m->bytes, m->hold);
    if (!ws_deflate(&ws->pool->codec, ws->config.window_bits, m->bytes, &deflated))
        return ws_send_frame(ws, opcode, 0, m->bytes, m->hold);
    struct ws_pool *pool = ws->pool; // write() may free ws
    mig_status r = ws_send_frame(ws, opcode, WS_RSV1, deflated, NULL);
    ws_codec_trim(&pool->codec);
    return r;
}

void ws_message_deflate(struct ws_pool *p, struct ws_message *m, struct buf *to)
{
    str deflated;

    buf_clear(to);
    m->is_prepared = true;
    m->deflated = (str){NULL, 0};
    if (ws_deflate(&p->codec, WS_WINDOW_MAX, m->bytes, &deflated) && buf_add(to, deflated))
        m->deflated = buf_str(to);
    ws_codec_trim(&p->codec);
}

mig_status ws_ping(struct ws *ws, str payload)
{
    if (payload.len > WS_CONTROL_MAX)
        return MIG_E_ARG;
    return ws->phase == WS_OPEN ? ws_send_frame(ws, WS_PING, 0, payload, NULL) : MIG_E_GONE;
}

/* At most max bytes of it, without a sequence cut in two. */
static str utf8_cut(str s, size_t max)
{
    if (s.len <= max)
        return s;
    while (max && ((unsigned char)s.ptr[max] & 0xC0) == 0x80)
        max--;
    return (str){s.ptr, max};
}

mig_status ws_send_close(struct ws *ws, unsigned code, str reason)
{
    char payload[WS_CONTROL_MAX];
    str cut = utf8_cut(reason, sizeof payload - 2);

    if (code == WS_NO_CODE)
        return ws_send_frame(ws, WS_CLOSE, 0, (str){NULL, 0}, NULL);
    payload[0] = (char)(code >> 8);
    payload[1] = (char)code;
    if (cut.len)
        memcpy(payload + 2, cut.ptr, cut.len);
    return ws_send_frame(ws, WS_CLOSE, 0, (str){payload, 2 + cut.len}, NULL);
}

mig_status ws_close(struct ws *ws, unsigned code, str reason)
{
    if (!ws_close_code_is_valid(code))
        return MIG_E_ARG;
    if (ws->phase != WS_OPEN)
        return MIG_E_GONE;
    ws->phase = WS_CLOSING;
    return ws_send_close(ws, code, reason);
}
