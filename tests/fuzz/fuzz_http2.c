/* Any bytes from an HTTP/2 client: no crash, bounded memory, every exchange has its end. http2*.c as they
 * are, on a connection without a socket (conn_stub.h). The first byte sets how the input is cut in
 * pieces and how requests are answered; the preface is put before the rest. */
#include "base/check.h"
#include "conn_stub.h"
#include "net/http2.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct http_limits limits = {.max_body = 2000,
                                    .max_header_bytes = 2048,
                                    .max_headers = 20,
                                    .max_url = 200,
                                    .header_ms = 1,
                                    .body_ms = 1,
                                    .idle_ms = 1,
                                    .write_ms = 1,
                                    .max_streams = 10};
static struct exchange *kept;
static unsigned begun, over, how;

static const struct http_limits *get_limits(struct loop *l)
{
    (void)l;
    return &limits;
}

static bool on_head(struct exchange *x)
{
    must(x->method.ptr && x->path.ptr && x->header_count <= limits.max_headers + 1);
    for (uint32_t i = 0; i < x->header_count; i++)
        must(x->headers[i].name.len && x->headers[i].name.ptr[0] != ':');
    if (how & 4 && x->header_count == 3) {
        exchange_refuse(x, 503, "odd");
        return false;
    }
    return true;
}

static void finish(struct exchange *x)
{
    struct arena *a = x->arena;

    over++;
    exchange_end(x, x->body);
    arena_unref(a);
}

static void on_request(struct exchange *x)
{
    begun++;
    must(x->body.len <= limits.max_body);
    must(exchange_head(x, 200, NULL, 0) == MIG_OK);
    if (how & 1)
        exchange_write(x, x->path);
    if (how & 2 && !kept)
        kept = x;
    else
        finish(x);
}

static void on_writable(struct exchange *x)
{
    (void)x;
}

static void on_gone(struct exchange *x)
{
    over++;
    must(!x->carrier);
    if (kept == x)
        kept = NULL;
    arena_unref(x->arena);
}

static str error_body(struct arena *a, unsigned status, str reason, str *ret_id)
{
    (void)a;
    (void)reason;
    must(status >= 400 && status <= 599);
    *ret_id = S("id");
    return S("{}");
}

static const struct exchange_ops ops = {on_head, on_request, on_writable, on_gone, error_body};

static void feed(struct conn *c, const uint8_t *data, size_t size)
{
    size_t step = size ? (size_t)data[0] + 1 : 1;

    for (size_t at = 1; at < size && !c->is_ending && !c->is_closed; at += step) {
        size_t n = size - at < step ? size - at : step;
        char *exact = malloc(n); /* a copy: reading behind it is found */
        must(exact);
        memcpy(exact, data + at, n);
        c->proto->feed(c, exact, n);
        free(exact);
        if (kept && !c->is_closed) {
            struct exchange *x = kept;
            kept = NULL;
            finish(x);
            loop_drain(c->net->loop);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct net_loop net;
    static struct loop loop;
    struct conn c = {.net = &net};

    if (!net.ops) {
        net.loop = &loop;
        net.ops = &ops;
        net.limits = get_limits;
        list_init(&net.conns);
        buf_init(&net.frames, CONN_OUT_MAX);
        loop.local[LOOP_NET] = &net;
    }
    how = size ? data[0] : 0;
    written = begun = over = 0;
    kept = NULL;
    struct http2 *h = http2_new(&c, /*has_preface=*/true);
    must(h);
    http2_start(h);
    feed(&c, data, size);
    must(written <= (size_t)(begun + 1) * 8192 + size * 64);
    conn_close(&c, NET_END_PEER);
    loop_drain(&loop);
    c.proto->dispose(&c);
    must(begun == over && loop.chunks.in_use == 0);
    return 0;
}
