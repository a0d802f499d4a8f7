/* Any bytes from a client: no crash, bounded memory, and no request is served behind one that was refused.
 * http1.c as it is, on a connection whose socket is a buffer here: the functions of conn.c that it
 * calls are below, so that conn.c is not linked. The first byte sets how the input is cut in pieces. */
#include "base/check.h"
#include "net/conn.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct http_limits limits = {.max_body = 2000,
                                    .max_header_bytes = 2048,
                                    .max_headers = 20,
                                    .max_url = 200,
                                    .header_ms = 1,
                                    .body_ms = 1,
                                    .idle_ms = 1,
                                    .write_ms = 1};
static size_t written;
static unsigned requests, refusals;

/* --- instead of conn.c ------------------------------------------------------------------------------ */

void conn_write(struct http_conn *c, const uv_buf_t *bufs, unsigned count)
{
    must(c->phase != CONN_CLOSING);
    for (unsigned i = 0; i < count; i++)
        written += bufs[i].len;
    if (count)
        c->out.len = 0;
}

void conn_stash(struct http_conn *c, const char *data, size_t len)
{
    buf_add(&c->stash, (str){data, len});
}

size_t conn_queued(const struct http_conn *c)
{
    (void)c;
    return 0;
}

void conn_phase(struct http_conn *c, enum conn_phase phase)
{
    must(c->phase != CONN_CLOSING);
    c->phase = phase;
}

void conn_close(struct http_conn *c)
{
    if (c->phase == CONN_CLOSING)
        return;
    c->phase = CONN_CLOSING;
    http1_forget(c);
}

void conn_finish(struct http_conn *c)
{
    c->close_after_write = true;
    if (c->phase != CONN_CLOSING)
        c->phase = CONN_LINGER;
}

void conn_next(struct http_conn *c)
{
    c->x = NULL;
    c->phase = CONN_IDLE;
    if (c->close_after_write)
        conn_finish(c);
}

str net_date(struct net_loop *n)
{
    (void)n;
    return S("Sat, 21 Nov 2026 06:14:03 GMT");
}

/* --- the server ------------------------------------------------------------------------------------- */

static const struct http_limits *get_limits(struct loop *l)
{
    (void)l;
    return &limits;
}

static bool on_head(struct exchange *x)
{
    must(refusals == 0);
    for (uint32_t i = 0; i < x->header_count; i++)
        must(x->headers[i].name.len &&
             !memchr(x->headers[i].value.ptr, '\n', x->headers[i].value.len));
    must(x->path.ptr && x->target.len <= limits.max_url && x->header_count <= limits.max_headers);
    return true;
}

static void on_request(struct exchange *x)
{
    struct arena *a = x->arena;

    requests++;
    must(x->body.len <= x->max_body);
    must(exchange_head(x, 200, NULL, 0) == MIG_OK);
    if (x->body.len % 2)
        exchange_write(x, x->path);
    exchange_end(x, x->body);
    arena_unref(a);
}

static void on_writable(struct exchange *x)
{
    (void)x;
}

static str error_body(struct arena *a, unsigned status, str reason, str *ret_id)
{
    (void)a;
    (void)reason;
    must(status >= 400 && status <= 599);
    refusals++;
    *ret_id = S("id");
    return S("{}");
}

static const struct exchange_ops ops = {on_head, on_request, on_writable, on_writable, error_body};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct net_loop net;
    static struct loop loop;
    struct http_conn *c = calloc(1, sizeof *c);

    must(c);
    if (!net.ops) {
        net.loop = &loop;
        net.ops = &ops;
        net.limits = get_limits;
        list_init(&net.conns);
        http1_settings(&net.settings);
    }
    c->net = &net;
    c->phase = CONN_HEAD;
    buf_init(&c->out, CONN_OUT_MAX);
    buf_init(&c->stash, 1 << 20);
    llhttp_init(&c->parser, HTTP_REQUEST, &net.settings);
    c->parser.data = c;
    written = 0;
    requests = refusals = 0;
    size_t step = size ? (size_t)data[0] + 1 : 1;
    for (size_t at = 1; at < size; at += step) {
        char piece[256]; /* a copy: reading behind it is found */
        size_t n = size - at < step ? size - at : step;
        if (c->close_after_write || c->phase == CONN_CLOSING || c->phase == CONN_LINGER)
            break; /* conn.c reads no more */
        memcpy(piece, data + at, n);
        char *exact = malloc(n);
        must(exact);
        memcpy(exact, piece, n);
        http1_feed(c, exact, n);
        free(exact);
        must(c->stash.len == 0);
    }
    must(refusals <= 1);
    must(written <= (size_t)(requests + refusals + 1) * 4096);
    if (c->x)
        must(c->head.len <= limits.max_header_bytes && c->body_cap <= 4 * 16384);
    if (c->phase != CONN_CLOSING)
        http1_forget(c);
    must(loop.chunks.in_use == 0);
    buf_deinit(&c->out);
    buf_deinit(&c->stash);
    free(c);
    return 0;
}
