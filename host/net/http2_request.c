/* HTTP/2 in: heads and bodies to exchanges. nghttp2 has checked what RFC 9113 says of
 * frames, pseudo-headers, connection headers and Content-Length; limits are ours. */
#include "base/check.h"
#include "net/http2.h"
#include "net/tls_conn.h"

enum {
    LINES_FIRST = 16,
    BODY_FIRST = 16384,
    ARENA_SLACK = 64 << 20,
    BODIES_MAX = 4, /* bodies of the largest size that a connection may have us keep */
    GAIN_DATA = -1  /* see http2_charge() */
};

/* --- the request -------------------------------------------------------------------------------- */

static void refuse_later(struct http2_stream *s, unsigned status, const char *reason)
{
    if (s->refusal)
        return;
    s->refusal = status;
    s->refusal_reason = reason;
}

static void refuse(struct http2_stream *s, unsigned status, const char *reason)
{
    atomic_fetch_add_explicit(&s->h->c->net->errors, 1, memory_order_relaxed);
    list_remove(&s->queue);
    s->is_handed = true;
    exchange_refuse(&s->x, status, reason);
}

int http2_on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct http2 *h = user;
    struct loop *l = h->c->net->loop;

    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0; /* trailers */
    h->limits = *h->c->net->limits(l);
    h->head_since_ms = loop_now_ms(l);
    struct arena *a = arena_new(&l->chunks, h->limits.max_body * 16 + ARENA_SLACK);
    struct http2_stream *s = a ? arena_zero(a, sizeof *s) : NULL;
    if (!s)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    arena_ref(a); /* one for the exchange, one for the stream */
    s->x = (struct exchange){
        .io = &http2_io, .carrier = s, .loop = l, .arena = a, .max_body = h->limits.max_body};
    if (h->c->tls)
        tls_identify(h->c->tls, &s->x);
    s->h = h;
    s->id = frame->hd.stream_id;
    s->heard_ms = h->head_since_ms;
    buf_init(&s->out, CONN_OUT_MAX);
    s->lines = arena_alloc(a, LINES_FIRST * sizeof *s->lines);
    s->line_cap = LINES_FIRST;
    list_push(&h->streams, &s->link);
    list_init(&s->queue);
    h->idle_since_ms = 0;
    nghttp2_session_set_stream_user_data(session, s->id, s);
    return 0;
}

static bool add_line(struct http2_stream *s, str name, str value)
{
    if (s->line_count == s->line_cap) {
        size_t size = s->line_cap * sizeof *s->lines;
        mig_header *bigger = arena_grow(s->x.arena, s->lines, size, size * 2);
        if (!bigger)
            return false;
        s->lines = bigger;
        s->line_cap *= 2;
    }
    s->lines[s->line_count++] = (mig_header){name, value};
    return true;
}

static void take_pseudo(struct http2_stream *s, str name, str value)
{
    if (str_eq(name, S(":method")))
        s->x.method = value;
    else if (str_eq(name, S(":path")))
        s->x.target = value;
    else if (str_eq(name, S(":authority")))
        s->x.authority = value;
}

int http2_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                    size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                    void *user)
{
    struct http2 *h = user;
    struct http2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

    (void)flags;
    if (!s || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    s->head_bytes += name_len + value_len;
    if (s->head_bytes > HTTP2_HEADER_LIST_MAX)
        h->is_flooded = true; /* many times what a small block of HPACK can unfold to */
    if (s->head_bytes > h->limits.max_header_bytes)
        refuse_later(s, 431, "headers_too_large");
    else if (s->line_count >= h->limits.max_headers)
        refuse_later(s, 431, "too_many_headers");
    if (h->is_flooded || s->refusal)
        return h->is_flooded ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
    str n = arena_copy(s->x.arena, (str){(const char *)name, name_len});
    str v = arena_copy(s->x.arena, (str){(const char *)value, value_len});
    if (!n.ptr || !v.ptr)
        refuse_later(s, 503, "memory");
    else if (n.ptr[0] == ':')
        take_pseudo(s, n, v);
    else if (!add_line(s, n, v))
        refuse_later(s, 503, "memory");
    return 0;
}

/* RFC 9113 8.2.3: cookies may come in pieces. */
static void join_cookies(struct http2_stream *s)
{
    struct arena_text all = {0};
    mig_header *first = NULL;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < s->line_count; i++) {
        mig_header *line = &s->lines[i];
        if (!str_eq(line->name, S("cookie"))) {
            s->lines[kept++] = *line;
        } else if (!first) {
            first = &s->lines[kept];
            s->lines[kept++] = *line;
        } else {
            if (!all.ptr) {
                text_init(&all, s->x.arena, first->value.len + line->value.len + 64);
                text_add(&all, first->value);
            }
            text_add(&all, S("; "));
            text_add(&all, line->value);
        }
    }
    s->line_count = kept;
    if (all.ptr)
        first->value = text_str(&all);
}

/* RFC 9113 8.3.1: the authority goes before Host, and they may not differ. */
static void unify_host(struct http2_stream *s, str host, unsigned hosts)
{
    struct exchange *x = &s->x;

    if (hosts > 1 || (hosts && x->authority.ptr && !str_eq_nocase(host, x->authority)))
        refuse_later(s, 400, "host_header");
    else if (!x->authority.ptr)
        x->authority = host;
    else if (!hosts && !add_line(s, S("host"), x->authority))
        refuse_later(s, 503, "memory");
}

static void look_at_lines(struct http2_stream *s)
{
    str host = {NULL, 0};
    unsigned hosts = 0, cookies = 0;

    for (uint32_t i = 0; i < s->line_count; i++) {
        const mig_header *line = &s->lines[i];
        if (str_eq(line->name, S("host"))) {
            host = line->value;
            hosts++;
        } else if (str_eq(line->name, S("cookie"))) {
            cookies++;
        } else if (str_eq(line->name, S("expect"))) {
            s->expect = line->value;
        }
    }
    if (cookies > 1)
        join_cookies(s);
    unify_host(s, host, hosts);
}

static void answer_expect(struct http2_stream *s)
{
    nghttp2_nv go_on = {(uint8_t *)(uintptr_t) ":status", (uint8_t *)(uintptr_t) "100", 7, 3, 0};

    if (!str_eq_nocase(s->expect, S("100-continue")))
        refuse(s, 417, "expectation");
    else
        nghttp2_submit_headers(s->h->session, NGHTTP2_FLAG_NONE, s->id, NULL, &go_on, 1, NULL);
}

static void look_at_head(struct http2_stream *s)
{
    struct exchange *x = &s->x;

    if (!s->refusal)
        look_at_lines(s);
    if (!s->refusal && str_eq(x->method, S("CONNECT")))
        refuse_later(s, 405, "connect_method");
    if (!s->refusal && x->target.len > s->h->limits.max_url)
        refuse_later(s, 414, "url_too_long");
    x->headers = s->lines;
    x->header_count = s->line_count;
    x->is_head = str_eq(x->method, S("HEAD"));
    exchange_split_target(x);
}

void http2_on_head(struct http2_stream *s, bool is_complete)
{
    struct exchange *x = &s->x;
    uint64_t length;

    s->h->head_since_ms = 0;
    look_at_head(s);
    if (s->refusal) {
        refuse(s, s->refusal, s->refusal_reason);
        return;
    }
    if (!s->h->c->net->ops->head(x)) {
        s->is_handed = true; /* exchange_refuse() has taken it */
        return;
    }
    if (is_complete)
        return;
    if (str_to_u64(exchange_header(x, S("content-length")), &length) && length > x->max_body)
        refuse(s, 413, "body_too_large");
    else if (s->expect.ptr)
        answer_expect(s);
    if (!s->is_handed)
        list_push(&s->h->receiving, &s->queue);
}

void http2_on_complete(struct http2_stream *s)
{
    s->is_complete = true;
    if (s->is_handed)
        return;
    s->x.body = (str){s->body, s->body_len};
    list_remove(&s->queue);
    list_push(&s->h->ready, &s->queue);
}

void http2_too_slow(struct http2_stream *s)
{
    list_remove(&s->queue);
    if (s->x.is_ended)
        nghttp2_submit_rst_stream(s->h->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
    else
        refuse(s, 408, "request_timeout");
}

void http2_dispatch(struct http2 *h)
{
    while (!h->is_ended && !list_is_empty(&h->ready)) {
        struct http2_stream *s = container_of(h->ready.next, struct http2_stream, queue);
        list_remove(&s->queue);
        s->is_handed = true;
        h->c->net->ops->request(&s->x);
    }
}

/* --- the body ----------------------------------------------------------------------------------- */

static bool keep_body(struct http2_stream *s, const uint8_t *data, size_t len)
{
    if (len > s->body_cap - s->body_len) {
        size_t cap = s->body_cap ? s->body_cap * 2 : BODY_FIRST;
        while (cap < s->body_len + len)
            cap *= 2;
        char *bigger = arena_grow(s->x.arena, s->body, s->body_len, cap);
        if (!bigger)
            return false;
        s->body = bigger;
        s->body_cap = cap;
    }
    memcpy(s->body + s->body_len, data, len);
    s->body_len += len;
    s->h->body_bytes += len;
    return true;
}

int http2_on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                  size_t len, void *user)
{
    struct http2 *h = user;
    struct http2_stream *s = nghttp2_session_get_stream_user_data(session, id);

    (void)flags;
    if (s && s->is_handed) { /* answered: it may send what its window has left, and no more */
        nghttp2_session_consume_connection(session, len);
        return 0;
    }
    nghttp2_session_consume(session, id, len);
    if (!s)
        return 0;
    http2_charge(h, GAIN_DATA);
    if (len > s->x.max_body - s->body_len)
        refuse(s, 413, "body_too_large");
    else if (h->body_bytes + len > h->limits.max_body * BODIES_MAX)
        refuse(s, 503, "connection_bodies");
    else if (!keep_body(s, data, len))
        refuse(s, 503, "memory");
    if (s->is_handed)
        return 0;
    s->heard_ms = loop_now_ms(h->c->net->loop);
    list_remove(&s->queue);
    list_push(&h->receiving, &s->queue);
    return 0;
}
