/* HTTP/1.1 out: exchanges' answers to bytes. */
#include "base/check.h"
#include "net/http1.h"
#include "net/raw_conn.h"

#include <stdio.h>

static struct http1 *http1_of(const struct exchange *x)
{
    return x->carrier;
}

static struct conn *conn_of(const struct exchange *x)
{
    return http1_of(x)->c;
}

/* llhttp spells it NOT_FOUND; RFC 9110 writes Not Found. */
static void add_phrase(struct arena_text *t, unsigned status)
{
    str name = str_of(llhttp_status_name((llhttp_status_t)status));
    size_t from = t->len;

    text_add(t, name);
    for (size_t i = 0; i < name.len && !t->has_failed; i++) {
        char *c = &t->ptr[from + i];
        bool is_first = i == 0 || c[-1] == ' ';
        if (*c == '_')
            *c = ' ';
        else if (!is_first && *c >= 'A' && *c <= 'Z')
            *c |= 0x20;
    }
}

static mig_status put_head(struct exchange *x, const mig_header *headers, uint32_t count)
{
    struct arena_text *t = &x->answer;

    text_init(t, x->arena, 512);
    if (x->status == 200) {
        text_add(t, S("HTTP/1.1 200 OK"));
    } else {
        text_add(t, S("HTTP/1.1 "));
        text_addu(t, x->status);
        text_add(t, S(" "));
        add_phrase(t, x->status);
    }
    for (uint32_t i = 0; i < count; i++) {
        text_add(t, S("\r\n"));
        text_add(t, headers[i].name);
        text_add(t, S(": "));
        text_add(t, headers[i].value);
    }
    return MIG_OK;
}

/* The head's end: framing, connection, date. length: of the whole body, or -1 when unknown. */
static void seal_head(struct exchange *x, int64_t length)
{
    struct arena_text *t = &x->answer;
    struct http1 *h = http1_of(x);
    bool is_10 = h->parser.http_minor == 0;

    if (length < 0 && is_10)
        x->must_close = true; /* the end of the connection is the end of the body */
    x->is_chunked = length < 0 && !is_10;
    if (x->is_chunked) {
        text_add(t, S("\r\nTransfer-Encoding: chunked"));
    } else if (length >= 0 && x->status != 204 && x->status != 304) {
        text_add(t, S("\r\nContent-Length: "));
        text_addu(t, (uint64_t)length);
    }
    if (x->status == 426) /* RFC 9110 15.5.22: with what would be spoken */
        text_add(t, S("\r\nUpgrade: websocket\r\nConnection: upgrade"));
    if (x->must_close || h->c->net->is_draining) {
        x->must_close = true;
        text_add(t, S("\r\nConnection: close"));
    } else if (is_10 || x->is_chunked) {
        text_add(t, S("\r\nConnection: keep-alive"));
    }
    text_add(t, S("\r\nDate: "));
    text_add(t, net_date(h->c->net));
    text_add(t, S("\r\n\r\n"));
}

static uv_buf_t uv_of(str s)
{
    return uv_buf_init((char *)(uintptr_t)s.ptr, (unsigned)s.len);
}

/* The head of a chunk (RFC 9112 7.1), at the end of the room. Returns where it begins. */
static size_t write_size(char to[20], size_t n)
{
    size_t at = 18;

    to[18] = '\r';
    to[19] = '\n';
    do
        to[--at] = "0123456789abcdef"[n & 15];
    while (n >>= 4);
    return at;
}

/* One piece of the body with its framing. */
static void put_piece(struct exchange *x, str bytes, bool is_last)
{
    char size[20];
    uv_buf_t b[5];
    unsigned n = 0;

    if (!x->is_head_sent)
        b[n++] = uv_of(text_str(&x->answer));
    x->is_head_sent = true;
    bool is_hidden = exchange_is_bodyless(x);
    if (!is_hidden && bytes.len && x->is_chunked) {
        size_t at = write_size(size, bytes.len);
        b[n++] = uv_buf_init(size + at, (unsigned)(sizeof size - at));
    }
    if (!is_hidden && bytes.len)
        b[n++] = uv_of(bytes);
    if (!is_hidden && bytes.len && x->is_chunked)
        b[n++] = uv_of(S("\r\n"));
    if (!is_hidden && is_last && x->is_chunked)
        b[n++] = uv_of(S("0\r\n\r\n"));
    if (n)
        conn_write(conn_of(x), b, n);
}

static mig_status put(struct exchange *x, str bytes)
{
    struct http1 *h = http1_of(x);

    if (conn_queued(h->c) > CONN_HIGH_WATER) {
        h->wants_writable = true;
        return MIG_E_AGAIN;
    }
    if (!x->is_head_sent)
        seal_head(x, -1);
    put_piece(x, bytes, false);
    return x->carrier ? MIG_OK : MIG_E_GONE;
}

static void end(struct exchange *x, str bytes)
{
    struct http1 *h = http1_of(x);

    if (!x->is_head_sent)
        seal_head(x, (int64_t)bytes.len);
    put_piece(x, bytes, true);
    if (!x->carrier)
        return; /* the write found the connection broken */
    x->carrier = NULL;
    h->c->is_ending |= x->must_close;
    http1_next(h);
}

static void cut(struct exchange *x)
{
    struct http1 *h = http1_of(x);

    x->carrier = NULL;
    h->x = NULL;
    conn_close(h->c, NET_END_ERROR);
}

static void refuse(struct exchange *x)
{
    http1_phase(http1_of(x), HTTP1_HANDLING);
}

static struct raw *switch_over(struct exchange *x, str head, const struct raw_ops *ops, void *owner)
{
    struct http1 *h = http1_of(x);
    struct conn *c = h->c;
    struct raw *r = raw_new(c, ops, owner);
    uv_buf_t b = uv_of(head);
    struct buf rest;

    if (!r)
        return NULL;
    x->carrier = NULL;
    x->is_ended = true;
    h->x = NULL;
    atomic_fetch_add_explicit(&c->net->requests, 1, memory_order_relaxed);
    http1_leave(h, &rest);
    raw_start(r, &rest);
    http1_left(h);
    conn_write(c, &b, 1);
    return r;
}

static struct exchange *move(struct exchange *x, struct arena *a)
{
    struct http1 *h = http1_of(x);
    struct exchange *to = arena_alloc(a, sizeof *to);

    if (!to)
        return NULL;
    *to = *x;
    h->x = to;
    h->head = (struct arena_text){0};
    h->lines = NULL;
    h->body = NULL;
    return to;
}

const struct exchange_io http1_io = {
    put_head, put, end, cut, refuse, switch_over, conn_of, move, sizeof(struct exchange)};
