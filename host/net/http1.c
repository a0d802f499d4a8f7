/* HTTP/1.1 on a connection: drives the parser, one request at a time. */
#include "net/http1.h"
#include "net/http2.h"

#include <stdlib.h>

/* How long the phase may last counts from the end of the turn in which it began. */
static void settle(struct http1 *h)
{
    static const uint8_t at[] = {[HTTP1_IDLE] = offsetof(struct http_limits, idle_ms),
                                 [HTTP1_HEAD] = offsetof(struct http_limits, header_ms),
                                 [HTTP1_BODY] = offsetof(struct http_limits, body_ms)};
    uint32_t ms = 0;

    if (h->phase != HTTP1_HANDLING)
        memcpy(&ms, (const char *)&h->limits + at[h->phase], sizeof ms);
    h->is_phase_new = false;
    conn_lasts(h->c, ms);
}

void http1_phase(struct http1 *h, enum http1_phase phase)
{
    h->phase = phase;
    h->is_phase_new = true;
    if (!h->is_feeding)
        settle(h);
}

static void answer_refusal(struct http1 *h, unsigned status, const char *reason)
{
    if (!h->x)
        http1_begin(h);
    if (h->x)
        exchange_refuse(h->x, status, reason);
    else
        conn_close(h->c, NET_END_ERROR);
}

/* What llhttp, or a callback, would not have. */
static void answer_fault(struct http1 *h)
{
    if (h->c->is_closed || h->c->is_ending)
        return; /* ops->head has answered */
    atomic_fetch_add_explicit(&h->c->net->errors, 1, memory_order_relaxed);
    answer_refusal(h, h->refusal ? h->refusal : 400,
                   h->refusal ? h->refusal_reason : "malformed_http");
}

static void handle(struct http1 *h, bool has_more)
{
    struct exchange *x = h->x;

    x->must_close = !llhttp_should_keep_alive(&h->parser);
    http1_phase(h, HTTP1_HANDLING);
    h->has_served = true;
    h->c->is_corked = has_more;
    h->c->net->ops->request(x);
    loop_drain(h->c->net->loop);
    h->c->is_corked = false;
}

/* Bytes behind a request that is being handled wait; when there are too many, the socket does. */
static void stash(struct http1 *h, const char *data, size_t len)
{
    buf_add(&h->stash, (str){data, len});
    if (h->stash.has_failed)
        conn_close(h->c, NET_END_ERROR);
    else if (h->stash.len >= CONN_STASH_MAX)
        conn_read(h->c, false);
}

/* The client's first bytes were the preface of HTTP/2 (RFC 9113 3.4), which looks like a request. */
static void turn_into_http2(struct http1 *h)
{
    struct http2 *next = http2_new(h->c, /*has_preface=*/true);
    struct buf rest;

    if (!next) {
        conn_close(h->c, NET_END_ERROR);
        return;
    }
    if (h->x)
        arena_unref(h->x->arena);
    h->x = NULL;
    http1_leave(h, &rest); /* nothing: no request was handled */
    buf_deinit(&rest);
    http2_start(next);
}

/* One request, or a part of it. true: there is more to do with what *data is now. */
static bool feed_one(struct http1 *h, const char **data, size_t *len)
{
    llhttp_errno_t e = http1_execute(h, *data, *len);

    if (e == HPE_OK)
        return false;
    if (e == HPE_PAUSED_H2_UPGRADE && !h->has_served && !h->c->tls) {
        size_t used = (size_t)(llhttp_get_error_pos(&h->parser) - *data);
        *data += used;
        *len -= used;
        turn_into_http2(h);
        return false;
    }
    if (e != HPE_PAUSED) {
        answer_fault(h);
        return false;
    }
    size_t used = (size_t)(llhttp_get_error_pos(&h->parser) - *data);
    llhttp_resume(&h->parser);
    *data += used;
    *len -= used;
    handle(h, *len > 0);
    if (h->is_replaced || h->c->is_closed || h->c->is_ending)
        return false;
    if (h->phase == HTTP1_HANDLING && *len)
        stash(h, *data, *len);
    return h->phase == HTTP1_IDLE && *len;
}

static void state_free(struct http1 *h)
{
    buf_deinit(&h->stash);
    free(h);
}

void http1_feed(struct conn *c, const char *data, size_t len)
{
    struct http1 *h = c->state;

    if (h->phase == HTTP1_HANDLING) {
        stash(h, data, len);
        return;
    }
    h->is_feeding = true;
    while (feed_one(h, &data, &len))
        ;
    h->is_feeding = false;
    if (h->is_phase_new && !h->is_replaced && !c->is_closed)
        settle(h);
    if (h->is_replaced) {
        state_free(h);
        if (len && !c->is_closed)
            c->proto->feed(c, data, len);
    }
    conn_uncork(c);
}

void http1_next(struct http1 *h)
{
    struct conn *c = h->c;

    h->x = NULL;
    atomic_fetch_add_explicit(&c->net->requests, 1, memory_order_relaxed);
    http1_phase(h, HTTP1_IDLE);
    if (c->is_ending || c->net->is_draining) {
        conn_finish(c);
        return;
    }
    if (h->is_feeding || !h->stash.len)
        return;
    conn_read(c, true);
    struct buf bytes = h->stash;
    buf_init(&h->stash, bytes.limit);
    http1_feed(c, bytes.ptr, bytes.len);
    buf_deinit(&bytes);
}

/* --- the connection's side ---------------------------------------------------------------------- */

static void on_written(struct conn *c)
{
    struct http1 *h = c->state;

    if (h->wants_writable && h->x && h->phase == HTTP1_HANDLING) {
        h->wants_writable = false;
        c->net->ops->writable(h->x);
    }
}

static void on_due(struct conn *c)
{
    struct http1 *h = c->state;

    if (h->phase == HTTP1_IDLE)
        conn_finish(c);
    else
        answer_refusal(h, 408, "request_timeout");
}

/* Between two requests, or before the first byte of one. */
static void on_drain(struct conn *c)
{
    struct http1 *h = c->state;

    if (h->phase == HTTP1_IDLE || (h->phase == HTTP1_HEAD && !h->x))
        conn_finish(c);
}

static void on_ended(struct conn *c, enum net_end why)
{
    struct http1 *h = c->state;
    struct exchange *x = h->x;

    (void)why;
    h->x = NULL;
    if (!x)
        return;
    x->carrier = NULL;
    if (x->is_refused)
        return; /* exchange_refuse() is on the stack and has the arena */
    if (h->phase == HTTP1_HANDLING)
        c->net->ops->gone(x);
    else
        arena_unref(x->arena);
}

static void on_dispose(struct conn *c)
{
    state_free(c->state);
}

const struct conn_proto http1_proto = {http1_feed, on_written, on_due,
                                       on_drain,   on_ended,   on_dispose};

void http1_start(struct conn *c)
{
    struct http1 *h = calloc(1, sizeof *h);

    if (!h) {
        conn_close(c, NET_END_ERROR);
        return;
    }
    h->c = c;
    h->limits = *c->net->limits(c->net->loop);
    buf_init(&h->stash, CONN_STASH_MAX + 2 * sizeof c->net->read_buffer);
    http1_parser_init(h);
    c->proto = &http1_proto;
    c->state = h;
    http1_phase(h, HTTP1_HEAD); /* a client that connects and says nothing gets the header time */
    conn_read(c, true);
}

void http1_leave(struct http1 *h, struct buf *ret_rest)
{
    *ret_rest = h->stash;
    buf_init(&h->stash, CONN_STASH_MAX);
    h->is_replaced = true;
}

void http1_left(struct http1 *h)
{
    if (!h->is_feeding)
        state_free(h);
}
