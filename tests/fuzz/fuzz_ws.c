/* Any bytes from a WebSocket client: no crash, memory bounded by the limit, each frame of the server is
 * well formed and none comes behind a close frame. However the bytes are cut, the same happens; what is
 * echoed compressed comes out as it was.
 *
 * Byte 0: bit 0 deflate, bit 1 echo, bit 2 close in the middle. Byte 1: size of the pieces. */
#include "base/check.h"
#include "net/ws.h"
#include "net/ws_deflate.h"
#include "net/ws_frame.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX = 3000, DEFLATE = 1, ECHO = 2, CLOSE = 4 };

struct client {
    struct ws *ws;
    struct ws_codec *codec;
    uint8_t how;
    bool has_closed, has_ended;
    str echoed;
    uint64_t trace;
};

static void note(struct client *c, unsigned what, str bytes)
{
    c->trace = (c->trace ^ what) * 0x100000001B3u;
    for (size_t i = 0; i < bytes.len; i++)
        c->trace = (c->trace ^ (unsigned char)bytes.ptr[i]) * 0x100000001B3u;
}

static mig_status on_write(void *owner, const str *pieces, unsigned count, void *hold)
{
    struct client *c = owner;
    struct ws_head h;
    str payload = count > 1 ? pieces[1] : (str){"", 0}, plain = payload;

    must(!c->has_closed && !c->has_ended && count >= 1 && count <= 2 && !hold);
    must(ws_head_parse(&h, pieces[0].ptr, pieces[0].len) == pieces[0].len);
    must(h.is_final && !h.is_masked && h.is_length_minimal && h.length == payload.len);
    must(!ws_is_control(h.opcode) || (payload.len <= WS_CONTROL_MAX && !h.reserved));
    must(h.reserved == 0 || (h.reserved == WS_RSV1 && c->how & DEFLATE));
    if (h.reserved)
        must(ws_inflate(c->codec, payload, MAX, &plain) == WS_INFLATED);
    if (!ws_is_control(h.opcode))
        must(str_eq(plain, c->echoed));
    c->has_closed = h.opcode == WS_CLOSE;
    note(c, h.opcode, payload);
    return MIG_OK;
}

static void on_message(void *owner, str bytes, bool is_binary)
{
    struct client *c = owner;

    must(!c->has_closed && !c->has_ended && bytes.len <= MAX);
    must(is_binary || str_is_utf8(bytes));
    note(c, is_binary ? 'B' : 'T', bytes);
    c->echoed = bytes;
    if (c->how & ECHO)
        ws_send(c->ws, &(struct ws_message){.bytes = bytes, .is_binary = is_binary});
    if (c->how & CLOSE && bytes.len == 3)
        ws_close(c->ws, 1000, bytes);
}

static void on_pong(void *owner, str payload)
{
    struct client *c = owner;

    must(!c->has_ended && payload.len <= WS_CONTROL_MAX);
    note(c, 'O', payload);
}

static void on_close(void *owner, unsigned code, str reason)
{
    struct client *c = owner;

    must(c->has_closed && !c->has_ended && str_is_utf8(reason));
    must(code == 1005 || ws_close_code_is_valid(code));
    c->has_ended = true;
    note(c, code, reason);
}

static void on_fail(void *owner, unsigned code, const char *reason)
{
    struct client *c = owner;

    must(c->has_closed && !c->has_ended && (code == 1002 || code == 1007 || code == 1009));
    c->has_ended = true;
    note(c, code, str_of(reason));
}

static const struct ws_ops ops = {on_write, on_message, on_pong, on_close, on_fail};

static uint64_t run(struct ws_pool *pool, struct ws_codec *codec, uint8_t how, str in, size_t step)
{
    const struct ws_config config = {MAX, 0, how & DEFLATE ? 15 : 0};
    struct client c = {.codec = codec, .how = how};
    mig_status last = MIG_OK;

    c.ws = ws_new(pool, &config, &ops, &c);
    must(c.ws);
    for (size_t at = 0; at < in.len && last == MIG_OK; at += step) {
        size_t n = in.len - at < step ? in.len - at : step;
        char *exact = malloc(n); // reading behind it is found
        must(exact);
        memcpy(exact, in.ptr + at, n);
        last = ws_feed(c.ws, exact, n);
        free(exact);
        must((last == MIG_E_GONE) == c.has_ended);
    }
    ws_free(c.ws);
    return c.trace;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ws_codec codec;
    struct ws_pool *pool = ws_pool_new();

    if (size > 2) {
        str in = {(const char *)data + 2, size - 2};
        ws_codec_init(&codec);
        uint64_t whole = run(pool, &codec, data[0], in, in.len);
        must(run(pool, &codec, data[0], in, (size_t)data[1] + 1) == whole);
        ws_codec_deinit(&codec);
    }
    ws_pool_free(pool);
    return 0;
}
