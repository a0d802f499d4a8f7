/* HTTP/1.1: llhttp's events to exchanges, and exchanges' answers to bytes. */
#include "base/check.h"
#include "base/clock.h"
#include "net/conn.h"

#include <stdio.h>

enum { HEAD_FIRST = 1024, LINES_FIRST = 16, ARENA_SLACK = 64 << 20, BODY_FIRST = 16384 };

/* --- reading ------------------------------------------------------------------------------------ */

static struct http_conn *conn_of(llhttp_t *p)
{
    return p->data;
}

static int refuse(struct http_conn *c, unsigned status, const char *reason)
{
    c->refusal = status;
    c->refusal_reason = reason;
    return HPE_USER;
}

void http1_begin(struct http_conn *c)
{
    c->limits = *c->net->limits(c->net->loop);
    struct arena *a = arena_new(&c->net->loop->chunks, c->limits.max_body * 16 + ARENA_SLACK);
    struct exchange *x = a ? arena_zero(a, sizeof *x) : NULL;

    c->x = x;
    if (!x)
        return;
    x->conn = c;
    x->loop = c->net->loop;
    x->arena = a;
    x->max_body = c->limits.max_body;
    text_init(&c->head, a, HEAD_FIRST);
    c->lines = arena_alloc(a, LINES_FIRST * sizeof *c->lines);
    c->line_cap = LINES_FIRST;
    c->line_count = c->url_len = c->head_bytes = 0;
    c->body = NULL;
    c->body_len = c->body_cap = 0;
    c->refusal = 0;
}

void http1_forget(struct http_conn *c)
{
    struct exchange *x = c->x;

    c->x = NULL;
    if (x)
        arena_unref(x->arena);
}

static int on_begin(llhttp_t *p)
{
    struct http_conn *c = conn_of(p);

    if (!c->x)
        http1_begin(c);
    if (!c->x)
        return refuse(c, 503, "memory");
    conn_phase(c, CONN_HEAD);
    return 0;
}

/* Counts towards the limit of the whole head. */
static int head_add(struct http_conn *c, const char *at, size_t len)
{
    c->head_bytes += (uint32_t)len;
    if (c->head_bytes > c->limits.max_header_bytes)
        return refuse(c, 431, "headers_too_large");
    text_add(&c->head, (str){at, len});
    return c->head.has_failed ? refuse(c, 503, "memory") : 0;
}

static int on_url(llhttp_t *p, const char *at, size_t len)
{
    struct http_conn *c = conn_of(p);

    c->url_len += (uint32_t)len;
    if (c->url_len > c->limits.max_url)
        return refuse(c, 414, "url_too_long");
    return head_add(c, at, len);
}

/* A new line begins when the one before has had its value. */
static struct head_line *line_for_name(struct http_conn *c)
{
    if (c->line_count && c->lines[c->line_count - 1].value == 0)
        return &c->lines[c->line_count - 1];
    if (c->line_count >= c->limits.max_headers)
        return NULL;
    if (c->line_count == c->line_cap) {
        size_t size = c->line_cap * sizeof *c->lines;
        struct head_line *bigger = arena_grow(c->x->arena, c->lines, size, size * 2);
        if (!bigger)
            return NULL;
        c->lines = bigger;
        c->line_cap *= 2;
    }
    struct head_line *l = &c->lines[c->line_count++];
    *l = (struct head_line){.name = (uint32_t)c->head.len};
    return l;
}

static int on_field(llhttp_t *p, const char *at, size_t len)
{
    struct http_conn *c = conn_of(p);
    struct head_line *l = line_for_name(c);

    if (!l)
        return refuse(c, 431, "too_many_headers");
    size_t from = c->head.len;
    int fault = head_add(c, at, len);
    if (fault)
        return fault;
    str_lower(c->head.ptr + from, len);
    l->name_len += (uint32_t)len;
    return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t len)
{
    struct http_conn *c = conn_of(p);
    struct head_line *l = &c->lines[c->line_count - 1];

    if (!l->value)
        l->value = (uint32_t)c->head.len;
    l->value_len += (uint32_t)len;
    return head_add(c, at, len);
}

/* An empty value brings no on_value with bytes: mark the line as complete. */
static int on_value_complete(llhttp_t *p)
{
    struct http_conn *c = conn_of(p);
    struct head_line *l = &c->lines[c->line_count - 1];

    if (!l->value)
        l->value = (uint32_t)c->head.len;
    return 0;
}

static void split_target(struct exchange *x)
{
    str rest = x->target;

    if (rest.len && rest.ptr[0] != '/') { /* absolute-form (RFC 9112 3.2.2) */
        for (size_t i = 0, slashes = 0; i < rest.len && slashes < 3; i++)
            if (rest.ptr[i] == '/' && ++slashes == 3)
                rest = str_cut(rest, i);
        if (rest.ptr == x->target.ptr)
            rest = S("/");
    }
    x->path = str_split(&rest, '?');
    x->query = rest;
}

/* What the connection itself wants of a header. */
struct head_facts {
    str host, expect;
    unsigned hosts;
    bool has_coding;
};

static void note_header(struct head_facts *f, const mig_header *h)
{
    switch (h->name.len) {
    case 4:
        if (str_eq(h->name, S("host"))) {
            f->host = h->value;
            f->hosts++;
        }
        break;
    case 6:
        if (str_eq(h->name, S("expect")))
            f->expect = h->value;
        break;
    case 17: f->has_coding |= str_eq(h->name, S("transfer-encoding")); break;
    default: break;
    }
}

static int fill_exchange(struct http_conn *c, struct head_facts *f)
{
    struct exchange *x = c->x;
    mig_header *h = arena_alloc(x->arena, (c->line_count + 1) * sizeof *h);

    if (!h)
        return refuse(c, 503, "memory");
    for (uint32_t i = 0; i < c->line_count; i++) {
        const struct head_line *l = &c->lines[i];
        h[i] = (mig_header){{c->head.ptr + l->name, l->name_len},
                            str_trim((str){c->head.ptr + l->value, l->value_len})};
        note_header(f, &h[i]);
    }
    x->headers = h;
    x->header_count = c->line_count;
    x->method = str_of(llhttp_method_name((llhttp_method_t)c->parser.method));
    x->is_head = c->parser.method == HTTP_HEAD;
    x->target = (str){c->head.ptr, c->url_len};
    split_target(x);
    x->authority = f->host;
    bool is_11 = c->parser.http_major == 1 && c->parser.http_minor == 1;
    if (c->parser.http_major != 1)
        return refuse(c, 505, "http_version");
    if (f->hosts > 1 || (is_11 && f->hosts == 0))
        return refuse(c, 400, "host_header");
    if (!is_11 && f->has_coding)
        return refuse(c, 400, "transfer_encoding");
    if (c->parser.upgrade && c->parser.method == HTTP_CONNECT)
        return refuse(c, 405, "connect_method");
    return 0;
}

static int answer_expect(struct http_conn *c, str expect)
{
    if (!expect.ptr)
        return 0;
    if (!str_eq_nocase(expect, S("100-continue")))
        return refuse(c, 417, "expectation");
    static char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    uv_buf_t b = uv_buf_init(go_on, sizeof go_on - 1);
    conn_write(c, &b, 1);
    return 0;
}

static int on_head(llhttp_t *p)
{
    struct http_conn *c = conn_of(p);
    struct exchange *x = c->x;
    struct head_facts facts = {0};
    int fault = fill_exchange(c, &facts);

    if (fault)
        return fault;
    if (!c->net->ops->head(x))
        return HPE_USER;
    p->upgrade = 0; /* an Upgrade that nobody serves is ignored (RFC 9110 7.8) */
    bool has_length = p->flags & F_CONTENT_LENGTH;
    if (has_length && p->content_length > x->max_body)
        return refuse(c, 413, "body_too_large");
    conn_phase(c, CONN_BODY);
    fault = has_length || p->flags & F_CHUNKED ? answer_expect(c, facts.expect) : 0;
    if (fault)
        return fault;
    if (has_length && p->content_length) {
        c->body_cap = (size_t)p->content_length;
        c->body = arena_alloc(x->arena, c->body_cap);
        if (!c->body)
            return refuse(c, 503, "memory");
    }
    return 0;
}

static int on_body(llhttp_t *p, const char *at, size_t len)
{
    struct http_conn *c = conn_of(p);
    struct exchange *x = c->x;

    if (len > x->max_body - c->body_len)
        return refuse(c, 413, "body_too_large");
    if (len > c->body_cap - c->body_len) {
        size_t cap = c->body_cap ? c->body_cap * 2 : BODY_FIRST;
        while (cap < c->body_len + len)
            cap *= 2;
        char *bigger = arena_grow(x->arena, c->body, c->body_len, cap);
        if (!bigger)
            return refuse(c, 503, "memory");
        c->body = bigger;
        c->body_cap = cap;
    }
    memcpy(c->body + c->body_len, at, len);
    c->body_len += len;
    conn_phase(c, CONN_BODY); /* progress */
    return 0;
}

static int on_complete(llhttp_t *p)
{
    struct http_conn *c = conn_of(p);

    c->x->body = (str){c->body, c->body_len};
    return HPE_PAUSED; /* one request at a time */
}

void http1_settings(llhttp_settings_t *s)
{
    llhttp_settings_init(s);
    s->on_message_begin = on_begin;
    s->on_url = on_url;
    s->on_header_field = on_field;
    s->on_header_value = on_value;
    s->on_header_value_complete = on_value_complete;
    s->on_headers_complete = on_head;
    s->on_body = on_body;
    s->on_message_complete = on_complete;
}

/* --- driving the parser ------------------------------------------------------------------------- */

static const char *const malformed = "malformed_http";

/* What llhttp, or a callback, would not have. */
static void answer_fault(struct http_conn *c)
{
    if (c->phase == CONN_LINGER || c->phase == CONN_CLOSING || c->close_after_write)
        return; /* ops->head has answered */
    atomic_fetch_add_explicit(&c->net->errors, 1, memory_order_relaxed);
    if (!c->x)
        http1_begin(c);
    if (!c->x)
        conn_close(c);
    else if (c->refusal)
        exchange_refuse(c->x, c->refusal, c->refusal_reason);
    else
        exchange_refuse(c->x, 400, malformed);
}

static void handle(struct http_conn *c, bool has_more)
{
    struct exchange *x = c->x;

    x->must_close = !llhttp_should_keep_alive(&c->parser);
    conn_phase(c, CONN_HANDLING);
    c->is_corked = has_more;
    c->net->ops->request(x);
    loop_drain(c->net->loop);
    c->is_corked = false;
}

static void flush(struct http_conn *c)
{
    if (c->phase != CONN_CLOSING && c->out.len && !c->is_writing)
        conn_write(c, NULL, 0);
    if (c->phase == CONN_IDLE && c->close_after_write && !c->is_writing)
        conn_finish(c);
}

void http1_feed(struct http_conn *c, const char *data, size_t len)
{
    while (len) {
        llhttp_errno_t e = llhttp_execute(&c->parser, data, len);
        if (e == HPE_OK)
            break;
        if (e != HPE_PAUSED) {
            answer_fault(c);
            break;
        }
        size_t used = (size_t)(llhttp_get_error_pos(&c->parser) - data);
        llhttp_resume(&c->parser);
        data += used;
        len -= used;
        handle(c, len > 0);
        if (c->phase == CONN_HANDLING && len) {
            conn_stash(c, data, len);
            break;
        }
        if (c->phase != CONN_IDLE || c->close_after_write)
            break;
    }
    flush(c);
}

/* --- answering ---------------------------------------------------------------------------------- */

str exchange_header(const struct exchange *x, str name)
{
    for (uint32_t i = 0; i < x->header_count; i++)
        if (str_eq(x->headers[i].name, name))
            return x->headers[i].value.ptr ? x->headers[i].value : S("");
    return (str){NULL, 0};
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

/* RFC 9110 5.6.2 */
static bool is_token(str s)
{
    static const unsigned char is_tchar[256] = {
        ['!'] = 1,         ['#' ... '\''] = 1, ['*' ... '+'] = 1,
        ['-' ... '.'] = 1, ['0' ... '9'] = 1,  ['A' ... 'Z'] = 1,
        ['^' ... 'z'] = 1, ['|'] = 1,          ['~'] = 1};
    unsigned all = s.len > 0;

    for (size_t i = 0; i < s.len; i++)
        all &= is_tchar[(unsigned char)s.ptr[i]];
    return all;
}

/* RFC 9110 5.5: no control characters but the tab. */
static bool is_field_value(str s)
{
    if (s.len && memchr(s.ptr, 0x7F, s.len))
        return false;
    while (s.len) {
        size_t plain =
            str_plain_prefix(s); /* stops at quotes and backslashes too: those may pass */
        if (plain == s.len)
            break;
        unsigned char ch = (unsigned char)s.ptr[plain];
        if (ch < 0x20 && ch != '\t')
            return false;
        s = str_cut(s, plain + 1);
    }
    return true;
}

static bool is_own(str name)
{
    switch (name.len) {
    case 4: return str_eq_nocase(name, S("date"));
    case 7: return str_eq_nocase(name, S("upgrade"));
    case 10: return str_eq_nocase(name, S("connection")) || str_eq_nocase(name, S("keep-alive"));
    case 14: return str_eq_nocase(name, S("content-length"));
    case 17: return str_eq_nocase(name, S("transfer-encoding"));
    default: return false;
    }
}

mig_status exchange_head(struct exchange *x, unsigned status, const mig_header *headers,
                         uint32_t count)
{
    struct arena_text *t = &x->answer;

    if (x->has_answer || status < 200 || status > 599)
        return MIG_E_ARG;
    for (uint32_t i = 0; i < count; i++)
        if (!is_token(headers[i].name) || !is_field_value(headers[i].value) ||
            is_own(headers[i].name))
            return MIG_E_ARG;
    x->has_answer = true;
    x->status = status;
    text_init(t, x->arena, 512);
    if (status == 200) {
        text_add(t, S("HTTP/1.1 200 OK"));
    } else {
        text_add(t, S("HTTP/1.1 "));
        text_addu(t, status);
        text_add(t, S(" "));
        add_phrase(t, status);
    }
    for (uint32_t i = 0; i < count; i++) {
        text_add(t, S("\r\n"));
        text_add(t, headers[i].name);
        text_add(t, S(": "));
        text_add(t, headers[i].value);
    }
    return MIG_OK;
}

static bool has_no_body(const struct exchange *x)
{
    return x->status == 204 || x->status == 304;
}

/* The head's end: framing, connection, date. length: of the whole body, or -1 when unknown. */
static void seal_head(struct exchange *x, int64_t length)
{
    struct arena_text *t = &x->answer;
    bool is_10 = x->conn->parser.http_minor == 0;

    if (length < 0 && is_10)
        x->must_close = true; /* the end of the connection is the end of the body */
    x->is_chunked = length < 0 && !is_10;
    if (x->is_chunked) {
        text_add(t, S("\r\nTransfer-Encoding: chunked"));
    } else if (length >= 0 && !has_no_body(x)) {
        text_add(t, S("\r\nContent-Length: "));
        text_addu(t, (uint64_t)length);
    }
    if (x->must_close || x->conn->net->is_draining) {
        x->must_close = true;
        text_add(t, S("\r\nConnection: close"));
    } else if (is_10 || x->is_chunked) {
        text_add(t, S("\r\nConnection: keep-alive"));
    }
    text_add(t, S("\r\nDate: "));
    text_add(t, net_date(x->conn->net));
    text_add(t, S("\r\n\r\n"));
}

static uv_buf_t uv_of(str s)
{
    return uv_buf_init((char *)(uintptr_t)s.ptr, (unsigned)s.len);
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
    bool is_hidden = x->is_head || has_no_body(x);
    if (!is_hidden && bytes.len && x->is_chunked) {
        int digits = snprintf(size, sizeof size, "%zx\r\n", bytes.len);
        b[n++] = uv_buf_init(size, (unsigned)digits);
    }
    if (!is_hidden && bytes.len)
        b[n++] = uv_of(bytes);
    if (!is_hidden && bytes.len && x->is_chunked)
        b[n++] = uv_of(S("\r\n"));
    if (!is_hidden && is_last && x->is_chunked)
        b[n++] = uv_of(S("0\r\n\r\n"));
    if (n)
        conn_write(x->conn, b, n);
}

mig_status exchange_write(struct exchange *x, str bytes)
{
    if (!x->conn)
        return MIG_E_GONE;
    if (!x->has_answer || x->is_ended)
        return MIG_E_ARG;
    if (conn_queued(x->conn) > CONN_HIGH_WATER) {
        x->conn->wants_writable = true;
        return MIG_E_AGAIN;
    }
    if (!x->is_head_sent)
        seal_head(x, -1);
    put_piece(x, bytes, false);
    return x->conn ? MIG_OK : MIG_E_GONE;
}

void exchange_end(struct exchange *x, str bytes)
{
    struct http_conn *c = x->conn;

    if (!c || x->is_ended)
        return;
    x->is_ended = true;
    if (!x->has_answer)
        exchange_head(x, 204, NULL, 0);
    if (!x->is_head_sent)
        seal_head(x, (int64_t)bytes.len);
    put_piece(x, bytes, true);
    if (!x->conn)
        return; /* the write found the connection broken */
    x->conn = NULL;
    c->close_after_write |= x->must_close;
    conn_next(c);
}

void exchange_break(struct exchange *x)
{
    struct http_conn *c = x->conn;

    if (!c)
        return;
    x->conn = NULL;
    c->x = NULL;
    conn_close(c);
}

void exchange_refuse(struct exchange *x, unsigned status, const char *reason)
{
    struct http_conn *c = x->conn;
    struct arena *a = x->arena;
    str id = {NULL, 0};
    str body = c->net->ops->error_body(a, status, str_of(reason), &id);
    mig_header h[] = {{S("Content-Type"), S("application/json")}, {S("MIG-Message-ID"), id}};

    x->must_close = true;
    exchange_head(x, status, h, id.len ? 2 : 1);
    conn_phase(c, CONN_HANDLING);
    exchange_end(x, body);
    arena_unref(a);
}
