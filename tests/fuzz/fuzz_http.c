/* Any bytes from a client: no crash, bounded memory, and no request is served behind one that was refused.
 * http1.c as it is, on a connection without a socket (conn_stub.h). The first byte sets how the input is cut in pieces;
 * cut in single bytes it must be the same requests, and a refusal or none. */
#include "base/check.h"
#include "conn_stub.h"
#include "net/http1.h"

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
static unsigned requests, refusals;
static uint64_t seen; /* all that was served, in a number */

static void see(str s)
{
    seen = (seen ^ str_hash(s)) * 0x9E3779B97F4A7C15u;
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
    see(x->method);
    see(x->target);
    see(x->body);
    for (uint32_t i = 0; i < x->header_count; i++) {
        see(x->headers[i].name);
        see(x->headers[i].value);
    }
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

static uint64_t one_connection(struct net_loop *net, size_t step, const uint8_t *data, size_t size)
{
    struct conn c = {.net = net};

    seen = 0;
    written = 0;
    requests = refusals = 0;
    http1_start(&c);
    struct http1 *h = c.state;
    for (size_t at = 0; at < size && !c.is_ending && !c.is_closed; at += step) {
        size_t n = size - at < step ? size - at : step;
        char *exact = malloc(n); /* a copy: reading behind it is found */
        must(exact);
        memcpy(exact, data + at, n);
        http1_feed(&c, exact, n);
        free(exact);
        must(h->stash.len == 0);
    }
    must(refusals <= 1);
    must(written <= (size_t)(requests + refusals + 1) * 4096);
    if (h->x)
        must(h->head.len <= limits.max_header_bytes && h->body_cap <= 4 * 16384);
    conn_close(&c, NET_END_PEER);
    c.proto->dispose(&c);
    return seen + refusals; /* which of two faults is found first may differ */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct net_loop net;
    static struct loop loop;

    if (!net.ops) {
        net.loop = &loop;
        net.ops = &ops;
        net.limits = get_limits;
        list_init(&net.conns);
        loop.local[LOOP_NET] = &net;
    }
    if (size == 0)
        return 0;
    uint64_t in_pieces = one_connection(&net, (size_t)data[0] * 4 + 1, data + 1, size - 1);
    must(in_pieces == one_connection(&net, 1, data + 1, size - 1));
    must(loop.chunks.in_use == 0);
    return 0;
}
