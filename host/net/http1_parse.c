/* HTTP/1.1 in: llhttp's events to exchanges. */
#include "net/http1.h"
#include "net/tls_conn.h"

enum {
    HEAD_FIRST = 1024,
    LINES_FIRST = 16,
    ARENA_SLACK = 64 << 20,
    BODY_FIRST = 16384,
    LONG_RUN = 64
};

static struct http1 *http1_of(llhttp_t *p)
{
    return p->data;
}

static int refuse(struct http1 *h, unsigned status, const char *reason)
{
    h->refusal = status;
    h->refusal_reason = reason;
    return HPE_USER;
}

void http1_begin(struct http1 *h)
{
    struct loop *l = h->c->net->loop;

    h->limits = *h->c->net->limits(l);
    h->c->write_ms = h->limits.write_ms;
    struct arena *a = arena_new(&l->chunks, h->limits.max_body * 16 + ARENA_SLACK);
    struct exchange *x = a ? arena_zero(a, sizeof *x) : NULL;

    h->x = x;
    if (!x)
        return;
    x->io = &http1_io;
    x->carrier = h;
    x->loop = l;
    x->arena = a;
    x->max_body = h->limits.max_body;
    if (h->c->tls)
        tls_identify(h->c->tls, x);
    text_init(&h->head, a, HEAD_FIRST);
    h->lines = arena_alloc(a, LINES_FIRST * sizeof *h->lines);
    h->line_cap = LINES_FIRST;
    h->line_count = h->url_len = h->head_bytes = 0;
    h->body = NULL;
    h->body_len = h->body_cap = 0;
    h->refusal = 0;
}

static int on_begin(llhttp_t *p)
{
    struct http1 *h = http1_of(p);

    if (!h->x)
        http1_begin(h);
    if (!h->x)
        return refuse(h, 503, "memory");
    http1_phase(h, HTTP1_HEAD);
    return 0;
}

/* Counts towards the limit of the whole head. */
static int head_add(struct http1 *h, const char *at, size_t len)
{
    h->head_bytes += (uint32_t)len;
    if (h->head_bytes > h->limits.max_header_bytes)
        return refuse(h, 431, "headers_too_large");
    text_add(&h->head, (str){at, len});
    return h->head.has_failed ? refuse(h, 503, "memory") : 0;
}

static int on_url(llhttp_t *p, const char *at, size_t len)
{
    struct http1 *h = http1_of(p);

    h->url_len += (uint32_t)len;
    if (h->url_len > h->limits.max_url)
        return refuse(h, 414, "url_too_long");
    return head_add(h, at, len);
}

/* A new line begins when the one before has had its value. */
static struct head_line *line_for_name(struct http1 *h)
{
    if (h->line_count && h->lines[h->line_count - 1].value == 0)
        return &h->lines[h->line_count - 1];
    if (h->line_count >= h->limits.max_headers)
        return NULL;
    if (h->line_count == h->line_cap) {
        size_t size = h->line_cap * sizeof *h->lines;
        struct head_line *bigger = arena_grow(h->x->arena, h->lines, size, size * 2);
        if (!bigger)
            return NULL;
        h->lines = bigger;
        h->line_cap *= 2;
    }
    struct head_line *l = &h->lines[h->line_count++];
    *l = (struct head_line){.name = (uint32_t)h->head.len};
    return l;
}

/* llhttp looks each byte up in a table, and a token is as long as all other lines together. Of a value
 * that means nothing to llhttp it need not see more than the first byte and what follows the run of
 * plain characters. true: the value behind the name that ended at `colon` is such a one; llhttp pauses
 * then, as llhttp_execute() allows any callback to ask for, and http1_execute() goes on. */
static bool find_run(struct http1 *h, const struct head_line *l, const char *colon)
{
    const str name = {h->head.ptr + l->name, l->name_len};

    if (!STR_IS(name, "authorization") || colon == h->chunk_end)
        return false;
    const char *from = colon + 1;
    while (from < h->chunk_end && *from == ' ')
        from++;
    size_t len = str_printable_prefix((str){from, (size_t)(h->chunk_end - from)});
    if (len < LONG_RUN)
        return false;
    h->run = (str){from, len};
    return true;
}

static int on_field(llhttp_t *p, const char *at, size_t len)
{
    struct http1 *h = http1_of(p);
    struct head_line *l = line_for_name(h);

    if (!l)
        return refuse(h, 431, "too_many_headers");
    size_t from = h->head.len;
    int fault = head_add(h, at, len);
    if (fault)
        return fault;
    str_lower(h->head.ptr + from, len);
    l->name_len += (uint32_t)len;
    return find_run(h, l, at + len) ? HPE_PAUSED : 0;
}

static int on_value(llhttp_t *p, const char *at, size_t len)
{
    struct http1 *h = http1_of(p);
    struct head_line *l = &h->lines[h->line_count - 1];

    if (h->run.ptr) { /* its first byte, see http1_execute() */
        len = h->run.len;
        h->run.ptr = NULL;
    }
    if (!l->value)
        l->value = (uint32_t)h->head.len;
    l->value_len += (uint32_t)len;
    return head_add(h, at, len);
}

/* An empty value brings no on_value with bytes: mark the line as complete. */
static int on_value_complete(llhttp_t *p)
{
    struct http1 *h = http1_of(p);
    struct head_line *l = &h->lines[h->line_count - 1];

    if (!l->value)
        l->value = (uint32_t)h->head.len;
    return 0;
}

/* What the connection itself wants of a header. */
struct head_facts {
    str host, expect, upgrade;
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
    case 7:
        if (str_eq(h->name, S("upgrade")))
            f->upgrade = h->value;
        break;
    case 17: f->has_coding |= str_eq(h->name, S("transfer-encoding")); break;
    default: break;
    }
}

static int fill_exchange(struct http1 *h, struct head_facts *f)
{
    struct exchange *x = h->x;
    mig_header *all = arena_alloc(x->arena, (h->line_count + 1) * sizeof *all);

    if (!all)
        return refuse(h, 503, "memory");
    for (uint32_t i = 0; i < h->line_count; i++) {
        const struct head_line *l = &h->lines[i];
        all[i] = (mig_header){{h->head.ptr + l->name, l->name_len},
                              str_trim((str){h->head.ptr + l->value, l->value_len})};
        note_header(f, &all[i]);
    }
    x->headers = all;
    x->header_count = h->line_count;
    x->method = str_of(llhttp_method_name((llhttp_method_t)h->parser.method));
    x->is_head = h->parser.method == HTTP_HEAD;
    x->target = (str){h->head.ptr, h->url_len};
    exchange_split_target(x);
    x->authority = f->host;
    bool is_11 = h->parser.http_major == 1 && h->parser.http_minor == 1;
    if (h->parser.http_major != 1)
        return refuse(h, 505, "http_version");
    if (f->hosts > 1 || (is_11 && f->hosts == 0))
        return refuse(h, 400, "host_header");
    if (!is_11 && f->has_coding)
        return refuse(h, 400, "transfer_encoding");
    if (h->parser.upgrade && h->parser.method == HTTP_CONNECT)
        return refuse(h, 405, "connect_method");
    return 0;
}

static int answer_expect(struct http1 *h, str expect)
{
    if (!expect.ptr)
        return 0;
    if (!str_eq_nocase(expect, S("100-continue")))
        return refuse(h, 417, "expectation");
    static char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    uv_buf_t b = uv_buf_init(go_on, sizeof go_on - 1);
    conn_write(h->c, &b, 1);
    return 0;
}

static int on_head(llhttp_t *p)
{
    struct http1 *h = http1_of(p);
    struct exchange *x = h->x;
    struct head_facts facts = {0};
    int fault = fill_exchange(h, &facts);

    if (fault)
        return fault;
    if (p->upgrade && h->parser.http_minor >= 1) /* "Connection: upgrade" is there too */
        x->upgrade = facts.upgrade;
    p->upgrade = 0; /* llhttp goes on: who does not switch ignores it (RFC 9110 7.8) */
    if (!h->c->net->ops->head(x))
        return HPE_USER;
    bool has_length = p->flags & F_CONTENT_LENGTH;
    if (has_length && p->content_length > x->max_body)
        return refuse(h, 413, "body_too_large");
    http1_phase(h, HTTP1_BODY);
    fault = has_length || p->flags & F_CHUNKED ? answer_expect(h, facts.expect) : 0;
    if (fault)
        return fault;
    if (has_length && p->content_length) {
        h->body_cap = (size_t)p->content_length;
        h->body = arena_alloc(x->arena, h->body_cap);
        if (!h->body)
            return refuse(h, 503, "memory");
    }
    return 0;
}

static int on_body(llhttp_t *p, const char *at, size_t len)
{
    struct http1 *h = http1_of(p);
    struct exchange *x = h->x;

    if (len > x->max_body - h->body_len)
        return refuse(h, 413, "body_too_large");
    if (len > h->body_cap - h->body_len) {
        size_t cap = h->body_cap ? h->body_cap * 2 : BODY_FIRST;
        while (cap < h->body_len + len)
            cap *= 2;
        char *bigger = arena_grow(x->arena, h->body, h->body_len, cap);
        if (!bigger)
            return refuse(h, 503, "memory");
        h->body = bigger;
        h->body_cap = cap;
    }
    memcpy(h->body + h->body_len, at, len);
    h->body_len += len;
    http1_phase(h, HTTP1_BODY); /* progress */
    return 0;
}

static int on_complete(llhttp_t *p)
{
    struct http1 *h = http1_of(p);

    h->x->body = (str){h->body, h->body_len};
    return HPE_PAUSED; /* one request at a time */
}

/* llhttp has seen a name and the colon: now the first byte of the value, so that it knows where it is,
 * and then what is behind the run. */
static llhttp_errno_t step_over(struct http1 *h)
{
    const char *at = llhttp_get_error_pos(&h->parser), *end = h->run.ptr + h->run.len;

    llhttp_resume(&h->parser);
    llhttp_errno_t e = llhttp_execute(&h->parser, at, (size_t)(h->run.ptr + 1 - at));
    return e ? e : llhttp_execute(&h->parser, end, (size_t)(h->chunk_end - end));
}

llhttp_errno_t http1_execute(struct http1 *h, const char *data, size_t len)
{
    h->chunk_end = data + len;
    llhttp_errno_t e = llhttp_execute(&h->parser, data, len);
    while (e == HPE_PAUSED && h->run.ptr)
        e = step_over(h);
    return e;
}

void http1_parser_init(struct http1 *h)
{
    static const llhttp_settings_t s = {
        .on_message_begin = on_begin,
        .on_url = on_url,
        .on_header_field = on_field,
        .on_header_value = on_value,
        .on_header_value_complete = on_value_complete,
        .on_headers_complete = on_head,
        .on_body = on_body,
        .on_message_complete = on_complete,
    };
    llhttp_init(&h->parser, HTTP_REQUEST, &s);
    h->parser.data = h;
}
