#include "ctl_ws.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <wslay/wslay.h>

enum { KEY = 24, READ_SIZE = 16384, HANDSHAKE_MAX = 65536 };

struct waiting {
    struct waiting *next;
    struct ws_message message; /* data follow the struct */
};

struct ws {
    struct http *client;
    struct http_wire *wire;
    wslay_event_context_ptr frames;
    struct buf early; /* came behind the head of the answer */
    struct waiting *first, **last, *current;
    bool is_over;
};

/* ---- the handshake ----------------------------------------------------------------------------
 */

void ws_accept_of(str key, char out[WS_ACCEPT + 1])
{
    char text[128];
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    int len = snprintf(text, sizeof text, "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11",
                       (int)(key.len < 80 ? key.len : 80), key.ptr);

    must(EVP_Digest(text, (size_t)len, sum, &n, EVP_sha1(), NULL) == 1);
    EVP_EncodeBlock((unsigned char *)out, sum, (int)n);
}

static void random_bytes(void *at, size_t n)
{
    must(getrandom(at, n, 0) == (ssize_t)n);
}

static void new_key(char out[KEY + 1])
{
    unsigned char bytes[16];

    random_bytes(bytes, sizeof bytes);
    EVP_EncodeBlock((unsigned char *)out, bytes, sizeof bytes);
}

size_t ws_read_head(str bytes, unsigned *ret_status, struct buf *ret_head)
{
    const char *end = bytes.len ? memmem(bytes.ptr, bytes.len, "\r\n\r\n", 4) : NULL;
    str rest;
    uint64_t status;

    if (bytes.len >= 5 && !str_starts(bytes, S("HTTP/")))
        return SIZE_MAX;
    if (!end)
        return bytes.len < HANDSHAKE_MAX ? 0 : SIZE_MAX;
    rest = (str){bytes.ptr, (size_t)(end - bytes.ptr) + 2};
    if (rest.len < 12 || !str_to_u64((str){rest.ptr + 9, 3}, &status) || status < 100)
        return SIZE_MAX;
    *ret_status = (unsigned)status;
    while (rest.len) {
        buf_add(ret_head, str_trim(str_split(&rest, '\n')));
        buf_addc(ret_head, '\n');
    }
    return (size_t)(end - bytes.ptr) + 4;
}

static bool write_all(struct ws *w, str bytes, int64_t timeout_ms)
{
    int64_t end = clock_ms() + timeout_ms;

    while (bytes.len && clock_ms() < end) {
        ssize_t n = http_wire_send(w->wire, bytes.ptr, bytes.len);
        if (n < 0)
            return false;
        bytes = str_cut(bytes, (size_t)n);
        if (n == 0)
            http_pump(w->client, -1, 5); // the peer reads slowly
    }
    return !bytes.len;
}

static bool ask_for_it(struct ws *w, const struct ws_offer *o, const char *key)
{
    const struct url *u = http_url(w->client);
    CLEANUP(buf_deinit) struct buf b = {0};
    bool is_v6 = strchr(u->host, ':') != NULL;

    buf_init(&b, HTTP_HEAD_MAX);
    buf_addf(&b, "GET %s%s HTTP/1.1\r\nHost: %s%s%s:%s\r\nUpgrade: websocket\r\n", u->prefix,
             o->path, is_v6 ? "[" : "", u->host, is_v6 ? "]" : "", u->port);
    buf_addf(&b, "Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n",
             key);
    if (o->subprotocol)
        buf_addf(&b, "Sec-WebSocket-Protocol: %s\r\n", o->subprotocol);
    for (str rest = o->heads; rest.len;) {
        str line = str_split(&rest, '\n');
        buf_addf(&b, "%.*s\r\n", STR_ARG(line));
    }
    buf_addz(&b, "\r\n");
    return !b.has_failed && write_all(w, buf_str(&b), o->timeout_ms);
}

/* NULL: the head is there, and what follows it in w->early. */
static const char *read_answer(struct ws *w, int64_t timeout_ms, struct ws_answer *a)
{
    int64_t end = clock_ms() + timeout_ms;
    size_t n = 0;

    while (!n) {
        char *at = buf_reserve(&w->early, READ_SIZE);
        ssize_t got = at ? http_wire_recv(w->wire, at, READ_SIZE) : -1;
        if (got < 0)
            return "closed the connection during the handshake";
        w->early.len += (size_t)got;
        n = ws_read_head(buf_str(&w->early), &a->status, &a->head);
        if (n == SIZE_MAX)
            return "speaks no HTTP";
        if (!n && clock_ms() >= end)
            return "no answer in time";
        if (!n && !got)
            http_pump(w->client, http_wire_fd(w->wire), end - clock_ms());
    }
    buf_drop(&w->early, n);
    return NULL;
}

static const char *shake_hands(struct ws *w, const struct ws_offer *o, struct ws_answer *a)
{
    char key[KEY + 1], accept[WS_ACCEPT + 1];
    const char *why;

    new_key(key);
    if (!ask_for_it(w, o, key))
        return "closed the connection during the handshake";
    why = read_answer(w, o->timeout_ms, a);
    if (why)
        return why;
    ws_accept_of((str){key, KEY}, accept);
    if (a->status == 101 &&
        !str_eq(head_find(buf_str(&a->head), "Sec-WebSocket-Accept"), str_of(accept)))
        return "Sec-WebSocket-Accept does not belong to the key";
    return a->status == 101 ? NULL : "no upgrade";
}

/* ---- frames through wslay ---------------------------------------------------------------------
 */

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *at, size_t n, int flags, void *arg)
{
    struct ws *w = arg;
    ssize_t got = 0;

    (void)flags;
    if (w->early.len) {
        got = (ssize_t)(n < w->early.len ? n : w->early.len);
        memcpy(at, w->early.ptr, (size_t)got);
        buf_drop(&w->early, (size_t)got);
        return got;
    }
    got = http_wire_recv(w->wire, at, n);
    if (got <= 0) {
        w->is_over |= got < 0;
        wslay_event_set_error(ctx, got ? WSLAY_ERR_CALLBACK_FAILURE : WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    return got;
}

static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *at, size_t n, int flags,
                       void *arg)
{
    struct ws *w = arg;
    ssize_t sent = http_wire_send(w->wire, at, n);

    (void)flags;
    if (sent <= 0) {
        w->is_over |= sent < 0;
        wslay_event_set_error(ctx, sent ? WSLAY_ERR_CALLBACK_FAILURE : WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    return sent;
}

static int on_mask(wslay_event_context_ptr ctx, uint8_t *at, size_t n, void *arg)
{
    (void)ctx;
    (void)arg;
    random_bytes(at, n);
    return 0;
}

static void on_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *m,
                       void *arg)
{
    struct ws *w = arg;
    struct waiting *item;

    (void)ctx;
    if (m->opcode != WS_TEXT && m->opcode != WS_BINARY && m->opcode != WS_PONG)
        return;
    item = malloc(sizeof *item + m->msg_length);
    must(item);
    *item =
        (struct waiting){.message = {m->opcode, {(char *)(item + 1), m->msg_length}, clock_ms()}};
    if (m->msg_length)
        memcpy(item + 1, m->msg, m->msg_length);
    *w->last = item;
    w->last = &item->next;
}

/* What wslay wants to write: messages, answers to pings, closing frames. */
static bool flush(struct ws *w)
{
    int64_t end = clock_ms() + 5000;

    while (!w->is_over && wslay_event_want_write(w->frames) && clock_ms() < end) {
        if (wslay_event_send(w->frames) != 0)
            w->is_over = true;
        if (!w->is_over && wslay_event_want_write(w->frames))
            http_pump(w->client, -1, 5);
    }
    return !w->is_over;
}

static void start_frames(struct ws *w)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_recv,
        .send_callback = on_send,
        .genmask_callback = on_mask,
        .on_msg_recv_callback = on_message,
    };

    must(wslay_event_context_client_init(&w->frames, &callbacks, w) == 0);
    wslay_event_config_set_max_recv_msg_length(w->frames, WS_MESSAGE_MAX);
}

struct ws *ws_open(struct http *h, const struct ws_offer *o, struct ws_answer *a)
{
    struct ws *w = calloc(1, sizeof *w);

    must(w);
    *a = (struct ws_answer){0};
    buf_init(&a->head, HTTP_HEAD_MAX);
    buf_init(&w->early, HANDSHAKE_MAX + READ_SIZE);
    w->client = h;
    w->last = &w->first;
    w->wire = http_wire_open(h, o->timeout_ms, &a->fault);
    if (w->wire)
        a->fault = shake_hands(w, o, a);
    if (a->fault) {
        ws_free(w);
        return NULL;
    }
    start_frames(w);
    return w;
}

void ws_answer_deinit(struct ws_answer *a)
{
    buf_deinit(&a->head);
}

void ws_free(struct ws *w)
{
    if (!w)
        return;
    while (w->first) {
        struct waiting *next = w->first->next;
        free(w->first);
        w->first = next;
    }
    free(w->current);
    if (w->frames)
        wslay_event_context_free(w->frames);
    http_wire_free(w->wire);
    buf_deinit(&w->early);
    free(w);
}

bool ws_send(struct ws *w, enum ws_opcode opcode, str data)
{
    struct wslay_event_msg m = {(uint8_t)opcode, (const uint8_t *)data.ptr, data.len};

    return !w->is_over && wslay_event_queue_msg(w->frames, &m) == 0 && flush(w);
}

bool ws_send_raw(struct ws *w, str bytes)
{
    return flush(w) && write_all(w, bytes, 5000);
}

bool ws_close(struct ws *w, unsigned code)
{
    return !w->is_over && wslay_event_queue_close(w->frames, (uint16_t)code, NULL, 0) == 0 &&
           flush(w);
}

static bool take_first(struct ws *w, struct ws_message *ret)
{
    free(w->current);
    w->current = w->first;
    if (!w->current)
        return false;
    w->first = w->current->next;
    if (!w->first)
        w->last = &w->first;
    *ret = w->current->message;
    return true;
}

bool ws_next(struct ws *w, int64_t timeout_ms, struct ws_message *ret)
{
    int64_t end = clock_ms() + timeout_ms;

    while (!w->first && !w->is_over) {
        bool is_last = wslay_event_recv(w->frames) != 0 || !wslay_event_want_read(w->frames);
        flush(w); // pongs, and the answer to the peer's closing frame
        w->is_over |= is_last;
        if (w->first || w->is_over || clock_ms() >= end)
            break;
        http_pump(w->client, http_wire_fd(w->wire), end - clock_ms());
    }
    return take_first(w, ret);
}

bool ws_is_over(const struct ws *w)
{
    return w->is_over && !w->first;
}

unsigned ws_close_code(const struct ws *w)
{
    return wslay_event_get_status_code_received(w->frames);
}

void ws_add_frame(struct buf *out, struct ws_frame f, str data)
{
    unsigned char head[14] = {(unsigned char)((f.is_last ? 0x80 : 0) | f.opcode)}, mask[4] = {0};
    unsigned bits = f.is_unmasked ? 0 : 0x80;
    size_t n = 2;

    if (data.len < 126) {
        head[1] = (unsigned char)(bits | data.len);
    } else {
        size_t bytes = data.len < 65536 ? 2 : 8;
        head[1] = (unsigned char)(bits | (bytes == 2 ? 126 : 127));
        for (size_t i = 0; i < bytes; i++)
            head[n++] = (unsigned char)((uint64_t)data.len >> (8 * (bytes - 1 - i)));
    }
    if (!f.is_unmasked) {
        random_bytes(mask, sizeof mask);
        memcpy(head + n, mask, sizeof mask);
        n += sizeof mask;
    }
    buf_add(out, (str){(char *)head, n});
    for (size_t i = 0; i < data.len; i++)
        buf_addc(out, (char)((unsigned char)data.ptr[i] ^ mask[i % 4]));
}
