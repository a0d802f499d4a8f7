#include "net/ws_state.h"

enum { SCRATCH_KEEP = 256 << 10 };

enum fault {
    NO_FAULT,
    UNMASKED,
    RESERVED_BITS,
    RESERVED_OPCODE,
    CONTROL_FRAGMENTED,
    CONTROL_TOO_LONG,
    CONTINUATION_OF_NOTHING,
    CONTINUATION_MISSING,
    LENGTH_NOT_MINIMAL,
    LENGTH_NEGATIVE,
    MESSAGE_TOO_BIG,
    INVALID_UTF8,
    INVALID_DEFLATE,
    INVALID_CLOSE_CODE,
    INVALID_CLOSE_REASON,
    NO_MEMORY
};

static const struct {
    uint16_t code;
    const char *reason;
} faults[] = {
    [UNMASKED] = {1002, "unmasked_frame"},
    [RESERVED_BITS] = {1002, "reserved_bits"},
    [RESERVED_OPCODE] = {1002, "reserved_opcode"},
    [CONTROL_FRAGMENTED] = {1002, "control_fragmented"},
    [CONTROL_TOO_LONG] = {1002, "control_too_long"},
    [CONTINUATION_OF_NOTHING] = {1002, "continuation_of_nothing"},
    [CONTINUATION_MISSING] = {1002, "continuation_missing"},
    [LENGTH_NOT_MINIMAL] = {1002, "length_not_minimal"},
    [LENGTH_NEGATIVE] = {1002, "length_negative"},
    [MESSAGE_TOO_BIG] = {1009, "message_too_big"},
    [INVALID_UTF8] = {1007, "invalid_utf8"},
    [INVALID_DEFLATE] = {1007, "invalid_deflate"},
    [INVALID_CLOSE_CODE] = {1002, "invalid_close_code"},
    [INVALID_CLOSE_REASON] = {1007, "invalid_close_reason"},
    [NO_MEMORY] = {1011, "no_memory"},
};

/* --- control frames ---------------------------------------------------------------------- */

static void fail(struct ws *ws, enum fault f)
{
    uint8_t before = ws->phase;

    ws->phase = WS_ENDED;
    buf_deinit(&ws->message);
    if (before == WS_OPEN)
        ws_send_close(ws, faults[f].code, str_of(faults[f].reason));
    if (!ws->is_freed)
        ws->ops->on_fail(ws->owner, faults[f].code, faults[f].reason);
}

static enum fault judge_close(str payload, unsigned *ret_code, str *ret_reason)
{
    struct ws_utf8 utf8 = {0};

    *ret_code = WS_NO_CODE;
    *ret_reason = str_cut(payload, 2);
    if (!payload.len)
        return NO_FAULT;
    if (payload.len == 1)
        return INVALID_CLOSE_CODE;
    *ret_code = (unsigned)(unsigned char)payload.ptr[0] << 8 | (unsigned char)payload.ptr[1];
    if (!ws_close_code_is_valid(*ret_code))
        return INVALID_CLOSE_CODE;
    if (!ws_utf8_add(&utf8, ret_reason->ptr, ret_reason->len) || utf8.missing)
        return INVALID_CLOSE_REASON;
    return NO_FAULT;
}

static void close_came(struct ws *ws, str payload)
{
    unsigned code;
    str reason;
    enum fault f = judge_close(payload, &code, &reason);
    uint8_t before = ws->phase;

    if (f) {
        fail(ws, f);
        return;
    }
    ws->phase = WS_ENDED;
    buf_deinit(&ws->message);
    if (before == WS_OPEN)
        ws_send_close(ws, code, (str){NULL, 0});
    if (!ws->is_freed)
        ws->ops->on_close(ws->owner, code, reason);
}

static void control_came(struct ws *ws)
{
    str payload = {ws->control, (size_t)ws->head.length};

    ws->in_frame = false;
    if (ws->head.opcode == WS_CLOSE)
        close_came(ws, payload);
    else if (ws->head.opcode == WS_PONG)
        ws->ops->on_pong(ws->owner, payload);
    else if (ws->phase == WS_OPEN)
        ws_send_frame(ws, WS_PONG, 0, payload, NULL);
}

/* --- messages ---------------------------------------------------------------------------- */

static bool utf8_is_valid(str s)
{
    struct ws_utf8 utf8 = {0};
    return ws_utf8_add(&utf8, s.ptr, s.len) && !utf8.missing;
}

static enum fault inflate_message(struct ws *ws, str *bytes)
{
    static const enum fault fault_of[] = {[WS_INFLATED] = NO_FAULT,
                                          [WS_INFLATE_CORRUPT] = INVALID_DEFLATE,
                                          [WS_INFLATE_TOO_BIG] = MESSAGE_TOO_BIG,
                                          [WS_INFLATE_NOMEM] = NO_MEMORY};
    str inflated;
    enum ws_inflated r = ws_inflate(&ws->pool->codec, *bytes, ws->config.max_message, &inflated);

    *bytes = inflated;
    if (r == WS_INFLATED && !ws->is_binary && !utf8_is_valid(inflated))
        return INVALID_UTF8;
    return fault_of[r];
}

/* The last frame is complete. Plain text was checked as it came. */
static void message_came(struct ws *ws, str bytes)
{
    enum fault f = NO_FAULT;

    ws->in_message = false;
    if (ws->is_deflated)
        f = inflate_message(ws, &bytes);
    else if (ws->utf8.missing)
        f = INVALID_UTF8;
    if (f)
        fail(ws, f);
    else
        ws->ops->on_message(ws->owner, bytes, ws->is_binary);
    buf_deinit(&ws->message);
    if (ws->is_deflated)
        ws_codec_trim(&ws->pool->codec);
}

/* n more bytes of a message. Those of a message that is one frame, here as a whole, go no farther than
 * the scratch buffer; others are collected. */
static void data_came(struct ws *ws, const char *from, size_t n)
{
    bool is_last = ws->head.is_final && ws->at + n == ws->head.length;
    struct buf *to =
        is_last && !ws->message.len && n == ws->head.length ? &ws->pool->scratch : &ws->message;
    if (to == &ws->pool->scratch)
        buf_clear(to);
    char *bytes = n ? buf_reserve(to, n) : to->ptr;
    if (n && !bytes) {
        fail(ws, NO_MEMORY);
        return;
    }
    if (n)
        ws_unmask(bytes, from, n, ws->head.mask, ws->at);
    to->len += n;
    ws->at += n;
    ws->in_frame = ws->at < ws->head.length;
    if (!ws->is_binary && !ws->is_deflated && !ws_utf8_add(&ws->utf8, bytes, n))
        fail(ws, INVALID_UTF8);
    else if (is_last)
        message_came(ws, buf_str(to));
}

/* --- frames ------------------------------------------------------------------------------ */

static enum fault judge_control(const struct ws_head *h)
{
    if (h->opcode > WS_PONG)
        return RESERVED_OPCODE;
    if (h->reserved)
        return RESERVED_BITS;
    return h->is_final ? NO_FAULT : CONTROL_FRAGMENTED;
}

static enum fault judge_data(const struct ws *ws, const struct ws_head *h)
{
    unsigned allowed = ws->config.window_bits && h->opcode != WS_CONTINUATION ? WS_RSV1 : 0;

    if (h->opcode > WS_BINARY)
        return RESERVED_OPCODE;
    if (h->reserved & ~allowed)
        return RESERVED_BITS;
    if (h->opcode == WS_CONTINUATION)
        return ws->in_message ? NO_FAULT : CONTINUATION_OF_NOTHING;
    return ws->in_message ? CONTINUATION_MISSING : NO_FAULT;
}

/* What the first two bytes say; the rest of the head need not be there. */
static enum fault judge_start(const struct ws *ws, const struct ws_head *h)
{
    enum fault f = ws_is_control(h->opcode) ? judge_control(h) : judge_data(ws, h);

    return f ? f : h->is_masked ? NO_FAULT : UNMASKED;
}

static enum fault judge_length(const struct ws *ws, const struct ws_head *h)
{
    if (h->length >> 63)
        return LENGTH_NEGATIVE;
    if (!h->is_length_minimal)
        return LENGTH_NOT_MINIMAL;
    if (ws_is_control(h->opcode))
        return h->length > WS_CONTROL_MAX ? CONTROL_TOO_LONG : NO_FAULT;
    bool is_deflated = h->opcode == WS_CONTINUATION ? ws->is_deflated : h->reserved & WS_RSV1;
    size_t left = ws_payload_max(ws, is_deflated) - ws->message.len;
    return h->length > left ? MESSAGE_TOO_BIG : NO_FAULT;
}

static void begin_frame(struct ws *ws)
{
    ws->in_frame = true;
    ws->at = 0;
    if (ws_is_control(ws->head.opcode))
        return;
    if (ws->head.opcode != WS_CONTINUATION) {
        ws->is_binary = ws->head.opcode == WS_BINARY;
        ws->is_deflated = ws->head.reserved & WS_RSV1;
    }
    ws->in_message = true;
}

/* Takes bytes of a head, and begins the frame when it is complete. Returns how many were taken. */
static size_t take_head(struct ws *ws, const char *data, size_t len)
{
    size_t before = ws->head_size, have = len;
    const char *p = data;

    if (before) {
        size_t n = len < sizeof ws->head_bytes - before ? len : sizeof ws->head_bytes - before;
        memcpy(ws->head_bytes + before, data, n);
        p = ws->head_bytes;
        have = before + n;
    }
    size_t need = ws_head_parse(&ws->head, p, have);
    enum fault f = have < 2 ? NO_FAULT : judge_start(ws, &ws->head);
    if (!f && have >= need)
        f = judge_length(ws, &ws->head);
    if (f) {
        fail(ws, f);
        return len;
    }
    if (have < need) {
        if (!before)
            memcpy(ws->head_bytes, data, len);
        ws->head_size = (uint8_t)have;
        return len;
    }
    ws->head_size = 0;
    begin_frame(ws);
    return need - before;
}

/* Takes bytes of the payload, perhaps none because there are none. Returns how many were taken. */
static size_t take_payload(struct ws *ws, const char *data, size_t len)
{
    uint64_t left = ws->head.length - ws->at;
    size_t n = left < len ? (size_t)left : len;

    if (ws_is_control(ws->head.opcode)) {
        ws_unmask(ws->control + ws->at, data, n, ws->head.mask, ws->at);
        ws->at += n;
        if (ws->at == ws->head.length)
            control_came(ws);
    } else if (ws->phase == WS_OPEN) {
        data_came(ws, data, n);
    } else { // our close frame is out: nobody waits for messages
        buf_deinit(&ws->message);
        ws->at += n;
        ws->in_frame = ws->at < ws->head.length;
        ws->in_message = ws->in_frame || !ws->head.is_final;
    }
    return n;
}

mig_status ws_feed(struct ws *ws, const char *data, size_t len)
{
    size_t at = 0;

    ws->is_feeding = true;
    while (len && ws->phase != WS_ENDED) {
        if (!ws->in_frame && at < len)
            at += take_head(ws, data + at, len - at);
        if (ws->phase == WS_ENDED || !ws->in_frame)
            break;
        at += take_payload(ws, data + at, len - at);
        if (ws->in_frame)
            break; // the rest comes later
    }
    ws->is_feeding = false;
    if (ws->pool->scratch.cap > SCRATCH_KEEP)
        buf_deinit(&ws->pool->scratch);
    mig_status r = ws->phase == WS_ENDED ? MIG_E_GONE : MIG_OK;
    if (ws->is_freed)
        ws_free(ws);
    return r;
}
