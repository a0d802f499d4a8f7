/* http2*.c over real sockets: frames written by hand, answers read with nghttp2's HPACK decoder. */
#include "net_unit.h"

#include <nghttp2/nghttp2.h>

enum {
    DATA,
    HEADERS,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    PUSH,
    PING,
    GOAWAY,
    WINDOW_UPDATE,
    CONTINUATION
};
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };
enum { NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, STREAM_CLOSED = 5, REFUSED_STREAM = 7, CALM = 11 };

/* --- the server ---------------------------------------------------------------------------------- */

static struct exchange *kept[8]; /* "/later": answered when the test says so */
static _Atomic int kept_count, gone_count, request_count, writable_count, head_count;
static size_t flood_left;

static void say(struct exchange *x)
{
    struct arena_text t;
    const mig_header h[] = {{S("Content-Type"), S("text/plain")}, {S("X-Up"), S(" Val ")}};

    text_init(&t, x->arena, 100);
    text_add(&t, x->method);
    text_add(&t, S(" "));
    text_add(&t, x->path);
    text_add(&t, S("?"));
    text_add(&t, x->query);
    text_add(&t, S(" ["));
    text_add(&t, x->body);
    text_add(&t, S("] a="));
    text_add(&t, exchange_header(x, S("x-a")));
    text_add(&t, S(" cookie="));
    text_add(&t, exchange_header(x, S("cookie")));
    text_add(&t, S(" host="));
    text_add(&t, exchange_header(x, S("host")));
    text_add(&t, S("/"));
    text_add(&t, x->authority);
    assert_int_equal(exchange_head(x, 200, h, 2), MIG_OK);
    exchange_end(x, text_str(&t));
}

static void flood(struct exchange *x)
{
    static char block[10000];

    memset(block, 'f', sizeof block);
    while (flood_left) {
        mig_status s = exchange_write(x, (str){block, sizeof block});
        if (s != MIG_OK)
            return;
        flood_left -= sizeof block;
    }
    struct arena *a = x->arena;
    kept[0] = NULL;
    exchange_end(x, S("end"));
    arena_unref(a);
}

static bool on_head(struct exchange *x)
{
    head_count++;
    if (str_eq(x->path, S("/refused"))) {
        exchange_refuse(x, 503, "not_today");
        return false;
    }
    if (str_eq(x->path, S("/tiny")))
        x->max_body = 4;
    return true;
}

static void on_request(struct exchange *x)
{
    struct arena *a = x->arena;

    request_count++;
    assert_null(x->upgrade.ptr);
    if (str_eq(x->path, S("/later"))) {
        kept[kept_count++] = x;
        return;
    }
    if (str_eq(x->path, S("/hold")))
        return; /* until it is gone */
    if (str_eq(x->path, S("/flood"))) {
        kept[0] = x;
        flood_left = x->query.len ? 8000000 : 400000;
        exchange_head(x, 200, NULL, 0);
        flood(x);
        return;
    }
    if (str_eq(x->path, S("/pieces"))) {
        exchange_head(x, 200, NULL, 0);
        for (int i = 0; i < 3; i++)
            assert_int_equal(exchange_write(x, S("piece ")), MIG_OK);
        exchange_end(x, S("end"));
    } else if (str_eq(x->path, S("/empty"))) {
        exchange_head(x, 204, NULL, 0);
        exchange_end(x, S(""));
    } else if (str_eq(x->path, S("/break"))) {
        exchange_break(x);
    } else {
        say(x);
    }
    arena_unref(a);
}

static void on_writable(struct exchange *x)
{
    writable_count++;
    flood(x);
}

static void on_gone(struct exchange *x)
{
    for (size_t i = 0; i < countof(kept); i++)
        if (kept[i] == x)
            kept[i] = NULL;
    gone_count++;
    arena_unref(x->arena);
}

static const struct exchange_ops ops = {on_head, on_request, on_writable, on_gone, net_error_body};

static int set_up(void **state)
{
    (void)state;
    gone_count = request_count = writable_count = head_count = kept_count = 0;
    memset(kept, 0, sizeof kept);
    return net_up(&ops);
}

static int tear_down(void **state)
{
    (void)state;
    net_down();
    return 0;
}

/* Answers kept[v]. */
static void answer_kept(struct loop *l, uint64_t v)
{
    struct exchange *x = kept[v];

    kept[v] = NULL;
    if (x) {
        struct arena *a = x->arena;
        say(x);
        arena_unref(a);
    }
    loop_drain(l);
}

/* --- frames -------------------------------------------------------------------------------------- */

struct h2 {
    struct client *c;
    size_t at; /* in c->got */
    nghttp2_hd_inflater *inflater;
    char head[4096]; /* of the last HEADERS: "name: value\n" */
    char body[1 << 19];
    size_t body_len;
};

struct frame {
    size_t len;
    unsigned type, flags;
    uint32_t id;
    const unsigned char *payload;
};

static const char magic[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

static void put_frame(struct h2 *h, unsigned type, unsigned flags, uint32_t id, const void *payload,
                      size_t len)
{
    unsigned char all[70000] = {
        (unsigned char)(len >> 16), (unsigned char)(len >> 8), (unsigned char)len,
        (unsigned char)type,        (unsigned char)flags,      (unsigned char)(id >> 24),
        (unsigned char)(id >> 16),  (unsigned char)(id >> 8),  (unsigned char)id};
    if (len)
        memcpy(all + 9, payload, len);
    put_bytes(h->c, all, 9 + len);
}

static struct h2 *h2_open(void)
{
    struct h2 *h = calloc(1, sizeof *h);

    h->c = client_open();
    nghttp2_hd_inflate_new(&h->inflater);
    put(h->c, magic);
    put_frame(h, SETTINGS, 0, 0, NULL, 0);
    return h;
}

static void h2_close(struct h2 *h)
{
    nghttp2_hd_inflate_del(h->inflater);
    client_close(h->c);
    free(h);
}

/* HPACK without compression (RFC 7541 6.2.2). */
static size_t hpack(unsigned char *to, const char *name, const char *value)
{
    size_t n = strlen(name), v = strlen(value), at = 0;

    to[at++] = 0;
    assert_true(n < 127);
    to[at++] = (unsigned char)n;
    memcpy(to + at, name, n);
    at += n;
    if (v < 127) {
        to[at++] = (unsigned char)v;
    } else {
        to[at++] = 127;
        size_t rest = v - 127;
        for (; rest >= 128; rest >>= 7)
            to[at++] = (unsigned char)(rest | 128);
        to[at++] = (unsigned char)rest;
    }
    memcpy(to + at, value, v);
    return at + v;
}

/* fields: "name: value" */
static size_t hpack_all(unsigned char *to, const char *const *fields)
{
    size_t at = 0;

    for (; *fields; fields++) {
        char name[64];
        const char *colon = strstr(*fields, ": ");
        snprintf(name, sizeof name, "%.*s", (int)(colon - *fields), *fields);
        at += hpack(to + at, name, colon + 2);
    }
    return at;
}

static void ask(struct h2 *h, uint32_t id, unsigned flags, const char *method, const char *path,
                const char *const *more)
{
    unsigned char block[66000];
    size_t n = hpack(block, ":method", method);

    n += hpack(block + n, ":scheme", "http");
    n += hpack(block + n, ":path", path);
    n += hpack(block + n, ":authority", "x");
    if (more)
        n += hpack_all(block + n, more);
    put_frame(h, HEADERS, flags | END_HEADERS, id, block, n);
}

static void inflate(struct h2 *h, const struct frame *f)
{
    const unsigned char *in = f->payload;
    size_t len = f->len, at = 0;
    int flags = 0;

    while (len || !(flags & NGHTTP2_HD_INFLATE_FINAL)) {
        nghttp2_nv nv;
        ssize_t n = nghttp2_hd_inflate_hd2(h->inflater, &nv, &flags, in, len, 1);
        assert_true(n >= 0);
        in += n;
        len -= (size_t)n;
        if (flags & NGHTTP2_HD_INFLATE_EMIT)
            at +=
                (size_t)snprintf(h->head + at, sizeof h->head - at, "%s: %s\n", nv.name, nv.value);
    }
    nghttp2_hd_inflate_end_headers(h->inflater);
}

/* The next frame, or false: the connection has ended. */
static bool next(struct h2 *h, struct frame *f)
{
    const unsigned char *p;

    memmove(h->c->got, h->c->got + h->at, h->c->len - h->at); /* room for more */
    h->c->len -= h->at;
    h->at = 0;
    while (h->c->len - h->at < 9)
        if (!get(h->c, 5000))
            return false;
    p = (const unsigned char *)h->c->got + h->at;
    *f = (struct frame){.len = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2],
                        .type = p[3],
                        .flags = p[4],
                        .id = (uint32_t)p[5] << 24 | (uint32_t)p[6] << 16 | (uint32_t)p[7] << 8 |
                              p[8],
                        .payload = p + 9};
    while (h->c->len - h->at < 9 + f->len)
        if (!get(h->c, 5000))
            return false;
    h->at += 9 + f->len;
    if (f->type == HEADERS)
        inflate(h, f);
    if (f->type == DATA) {
        memcpy(h->body + h->body_len, f->payload, f->len);
        h->body_len += f->len;
        h->body[h->body_len] = 0;
    }
    return true;
}

static struct frame expect_frame(struct h2 *h, unsigned type)
{
    struct frame f;

    do
        if (!next(h, &f))
            fail_msg("the connection ended before frame type %u", type);
    while (f.type != type || (type == SETTINGS && !(f.flags & ACK)));
    return f;
}

static uint32_t word(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t expect_reset(struct h2 *h, uint32_t id)
{
    struct frame f = expect_frame(h, RST_STREAM);

    assert_int_equal(f.id, id);
    return word(f.payload);
}

static uint32_t expect_goaway(struct h2 *h)
{
    return word(expect_frame(h, GOAWAY).payload + 4);
}

/* The whole answer on this stream; others may not come between. */
static void expect_answer(struct h2 *h, uint32_t id, const char *status, const char *body)
{
    struct frame f = expect_frame(h, HEADERS);
    char line[32];

    assert_int_equal(f.id, id);
    snprintf(line, sizeof line, ":status: %s\n", status);
    if (strncmp(h->head, line, strlen(line)) != 0)
        fail_msg("%s", h->head);
    h->body_len = 0;
    h->body[0] = 0;
    while (!(f.flags & END_STREAM)) {
        assert_true(next(h, &f));
        assert_true(f.type == DATA || f.type == WINDOW_UPDATE || f.type == SETTINGS ||
                    f.type == PING);
    }
    if (body && !strstr(h->body, body))
        fail_msg("no \"%s\" in: %s", body, h->body);
}

/* --- tests ---------------------------------------------------------------------------------------- */

static void serves_streams_and_stays_open(void **state)
{
    struct h2 *h = h2_open();

    (void)state;
    ask(h, 1, END_STREAM, "GET", "/a?b=c", (const char *[]){"x-a: value", NULL});
    expect_answer(h, 1, "200", "GET /a?b=c [] a=value cookie= host=x/x");
    assert_non_null(strstr(h->head, "content-type: text/plain\n"));
    assert_non_null(strstr(h->head, "x-up: Val\n"));
    assert_non_null(strstr(h->head, "content-length: 38\n"));
    assert_non_null(strstr(h->head, "date: "));
    ask(h, 3, 0, "POST", "/b", NULL);
    put_frame(h, DATA, 0, 3, "hel", 3);
    put_frame(h, DATA, END_STREAM, 3, "lo", 2);
    expect_answer(h, 3, "200", "POST /b? [hello]");
    ask(h, 5, END_STREAM, "HEAD", "/c", NULL);
    expect_answer(h, 5, "200", NULL);
    assert_int_equal(h->body_len, 0);
    assert_non_null(strstr(h->head, "content-length: "));
    ask(h, 7, END_STREAM, "HEAD", "/pieces", NULL);
    expect_answer(h, 7, "200", NULL);
    assert_null(strstr(h->head, "content-length: "));
    ask(h, 9, END_STREAM, "GET", "/empty", NULL);
    expect_answer(h, 9, "204", NULL);
    ask(h, 11, END_STREAM, "GET", "/pieces", NULL);
    expect_answer(h, 11, "200", "piece piece piece end");
    h2_close(h);
}

static void byte_by_byte_is_the_same(void **state)
{
    unsigned char all[300] = {0}, *p = all;
    struct h2 *h = calloc(1, sizeof *h);

    (void)state;
    h->c = client_open();
    nghttp2_hd_inflate_new(&h->inflater);
    memcpy(p, magic, 24);
    p += 24;
    memcpy(p, "\0\0\0\4\0\0\0\0\0", 9);
    p += 9;
    size_t n = hpack(p + 9, ":method", "POST");
    n += hpack(p + 9 + n, ":scheme", "http");
    n += hpack(p + 9 + n, ":path", "/q");
    n += hpack(p + 9 + n, "host", "y");
    memcpy(p, (unsigned char[]){0, 0, (unsigned char)n, HEADERS, END_HEADERS, 0, 0, 0, 1}, 9);
    p += 9 + n;
    memcpy(p, "\0\0\3\0\1\0\0\0\1abc", 12);
    p += 12;
    for (const unsigned char *q = all; q < p; q++)
        put_bytes(h->c, q, 1);
    expect_answer(h, 1, "200", "POST /q? [abc] a= cookie= host=y/y");
    h2_close(h);
}

static void answers_come_in_any_order(void **state)
{
    struct h2 *h = h2_open();

    (void)state;
    for (uint32_t id = 1; id <= 5; id += 2)
        ask(h, id, END_STREAM, "GET", "/later", NULL);
    wait_for(&request_count, 3);
    loop_post_fn(loop, answer_kept, 1);
    expect_answer(h, 3, "200", "GET /later?");
    loop_post_fn(loop, answer_kept, 2);
    expect_answer(h, 5, "200", "GET /later?");
    loop_post_fn(loop, answer_kept, 0);
    expect_answer(h, 1, "200", "GET /later?");
    h2_close(h);
}

static void the_clients_window_is_kept(void **state)
{
    struct h2 *h = h2_open();
    struct frame f;

    (void)state;
    ask(h, 1, END_STREAM, "GET", "/flood", NULL);
    while (h->body_len < 65535) {
        assert_true(next(h, &f));
        assert_true(f.type != DATA || f.len <= 16384);
    }
    assert_int_equal(h->body_len, 65535);
    assert_false(get(h->c, 30)); /* not a byte more */
    put_frame(h, WINDOW_UPDATE, 0, 1, "\0\x0f\xff\xff", 4);
    put_frame(h, WINDOW_UPDATE, 0, 0, "\0\x0f\xff\xff", 4);
    do {
        assert_true(next(h, &f));
    } while (f.type != DATA || !(f.flags & END_STREAM));
    assert_int_equal(h->body_len, 400003);
    assert_true(writable_count >= 1);
    h2_close(h);
}

static void little_is_kept_for_a_client_that_reads_nothing(void **state)
{
    struct h2 *h = h2_open();

    (void)state;
    put_frame(h, SETTINGS, 0, 0, "\0\4\x7f\xff\xff\xff", 6);
    put_frame(h, WINDOW_UPDATE, 0, 0, "\x7f\xff\0\0", 4);
    ask(h, 1, END_STREAM, "GET", "/flood?8MB", NULL);
    wait_for(&request_count, 1);
    usleep(100000);
    h2_close(h);
    wait_for(&gone_count, 1);
    assert_true(flood_left > 6000000);
}

static void bodies_are_limited(void **state)
{
    char big[1001];

    (void)state;
    limits.body_ms = 200;
    struct h2 *h = h2_open();
    memset(big, 'b', sizeof big);
    ask(h, 1, 0, "POST", "/b", (const char *[]){"content-length: 1001", NULL});
    expect_answer(h, 1, "413", "error 413 body_too_large");
    assert_non_null(strstr(h->head, "mig-message-id: the-id\n"));
    assert_int_equal(expect_reset(h, 1), NO_ERROR); /* it had time to hear that */
    ask(h, 3, 0, "POST", "/b", NULL);
    put_frame(h, DATA, 0, 3, big, sizeof big);
    expect_answer(h, 3, "413", NULL);
    assert_int_equal(expect_reset(h, 3), NO_ERROR);
    put_frame(h, DATA, 0, 3, big, sizeof big); /* it was on its way */
    ask(h, 5, 0, "POST", "/tiny", NULL);
    put_frame(h, DATA, END_STREAM, 5, "12345", 5);
    expect_answer(h, 5, "413", NULL);
    ask(h, 7, 0, "POST", "/tiny", NULL);
    put_frame(h, DATA, END_STREAM, 7, "1234", 4);
    expect_answer(h, 7, "200", "[1234]");
    h2_close(h);
}

static void all_bodies_of_a_connection_are_limited(void **state)
{
    char big[1000];
    uint32_t id;

    (void)state;
    limits.body_ms = 1000;
    struct h2 *h = h2_open();
    memset(big, 'b', sizeof big);
    for (id = 1; id <= 9; id += 2) {
        ask(h, id, 0, "POST", "/b", NULL);
        put_frame(h, DATA, 0, id, big, id <= 7 ? sizeof big : 1);
    }
    expect_answer(h, 9, "503", "connection_bodies");
    put_frame(h, DATA, END_STREAM, 1, NULL, 0);
    expect_answer(h, 1, "200", NULL);
    ask(h, 11, 0, "POST", "/b", NULL); /* there is room again */
    put_frame(h, DATA, END_STREAM, 11, big, sizeof big);
    expect_answer(h, 11, "200", NULL);
    h2_close(h);
}

static void windows_open_as_bodies_are_taken(void **state)
{
    static char block[16384];
    int64_t stream = 262144, all = 1 << 20, sent = 0; /* our settings */
    struct frame f;

    (void)state;
    limits.max_body = 4 << 20;
    struct h2 *h = h2_open();
    ask(h, 1, 0, "POST", "/b", NULL);
    while (sent < 3 << 20) {
        int64_t n = (int64_t)sizeof block;
        if (n > stream || n > all) {
            assert_true(next(h, &f));
            stream += f.type == WINDOW_UPDATE && f.id == 1 ? word(f.payload) : 0;
            all += f.type == WINDOW_UPDATE && f.id == 0 && sent ? word(f.payload) : 0;
            continue;
        }
        put_frame(h, DATA, 0, 1, block, sizeof block);
        stream -= n;
        all -= n;
        sent += n;
        assert_true(stream >= 0 && all >= 0);
    }
    h2_close(h);
}

static void heads_are_limited(void **state)
{
    char big[3000] = "x-big: ", url[200] = "/";
    const char *many[13] = {NULL};
    struct h2 *h = h2_open();

    (void)state;
    memset(big + 7, 'v', 2000);
    ask(h, 1, END_STREAM, "GET", "/a", (const char *[]){big, NULL});
    expect_answer(h, 1, "431", "headers_too_large");
    for (int i = 0; i < 12; i++)
        many[i] = "x-y: z";
    ask(h, 3, END_STREAM, "GET", "/a", many);
    expect_answer(h, 3, "431", "too_many_headers");
    memset(url + 1, 'u', 150);
    ask(h, 5, END_STREAM, "GET", url, NULL);
    expect_answer(h, 5, "414", "url_too_long");
    ask(h, 7, END_STREAM, "GET", "/refused", NULL);
    expect_answer(h, 7, "503", "not_today");
    ask(h, 9, END_STREAM, "GET", "/a", NULL); /* the connection goes on */
    expect_answer(h, 9, "200", NULL);
    assert_int_equal(request_count, 1);
    h2_close(h);
}

static void hosts_and_cookies_are_unified(void **state)
{
    struct h2 *h = h2_open();

    (void)state;
    ask(h, 1, END_STREAM, "GET", "/a", (const char *[]){"host: other", NULL});
    expect_answer(h, 1, "400", "host_header");
    ask(h, 3, END_STREAM, "GET", "/a", (const char *[]){"host: X", NULL});
    expect_answer(h, 3, "200", "host=X/x");
    ask(h, 5, END_STREAM, "GET", "/a",
        (const char *[]){"cookie: a=b", "x-a: q", "cookie: c=d", "cookie: e=f", NULL});
    expect_answer(h, 5, "200", "a=q cookie=a=b; c=d; e=f host=x");
    h2_close(h);
}

static void malformed_requests_are_reset(void **state)
{
    static const char *const bad[][8] = {
        {":method: GET", ":scheme: http", NULL},
        {":method: GET", ":path: /", NULL},
        {":scheme: http", ":path: /", NULL},
        {":method: GET", ":scheme: http", ":path: /", NULL}, /* no authority, no host */
        {":method: GET", ":method: GET", ":scheme: http", ":path: /", ":authority: x", NULL},
        {":method: GET", ":scheme: http", ":path: /", ":authority: x", ":status: 200", NULL},
        {":method: GET", ":scheme: http", ":path: /", ":authority: x", ":odd: x", NULL},
        {":method: GET", ":scheme: http", "host: x", ":path: /", NULL},
        {":method: GET", ":scheme: http", ":path: /", "host: x", "connection: close", NULL},
        {":method: GET", ":scheme: http", ":path: /", "host: x", "upgrade: echo", NULL},
        {":method: GET", ":scheme: http", ":path: /", "host: x", "transfer-encoding: chunked",
         NULL},
        {":method: GET", ":scheme: http", ":path: /", "host: x", "te: gzip", NULL},
        {":method: GET", ":scheme: http", ":path: /", "host: x", "X-Upper: y", NULL},
        {":method: GET", ":scheme: http", ":path: ", "host: x", NULL},
    };
    struct h2 *h = h2_open();
    unsigned char block[1000];
    uint32_t id = 1;

    (void)state;
    for (size_t i = 0; i < countof(bad); i++, id += 2) {
        put_frame(h, HEADERS, END_STREAM | END_HEADERS, id, block, hpack_all(block, bad[i]));
        assert_int_equal(expect_reset(h, id), PROTOCOL_ERROR);
    }
    ask(h, id, END_STREAM, "CONNECT", "/", NULL); /* with :path, which CONNECT may not have */
    assert_int_equal(expect_reset(h, id), PROTOCOL_ERROR);
    id += 2;
    put_frame(h, HEADERS, END_STREAM | END_HEADERS, id, block,
              hpack_all(block, (const char *[]){":method: CONNECT", ":authority: x:1", NULL}));
    expect_answer(h, id, "405", "connect_method");
    id += 2;
    ask(h, id, 0, "POST", "/", (const char *[]){"content-length: 3", NULL});
    put_frame(h, DATA, END_STREAM, id, "four", 4);
    assert_int_equal(expect_reset(h, id), PROTOCOL_ERROR);
    assert_int_equal(request_count, 0);
    h2_close(h);
}

static void trailers_are_ignored_and_expectations_answered(void **state)
{
    struct h2 *h = h2_open();
    unsigned char block[100];

    (void)state;
    ask(h, 1, 0, "POST", "/t", NULL);
    put_frame(h, DATA, 0, 1, "body", 4);
    put_frame(h, HEADERS, END_STREAM | END_HEADERS, 1, block, hpack(block, "x-a", "trailer"));
    expect_answer(h, 1, "200", "[body] a= ");
    ask(h, 3, 0, "POST", "/e", (const char *[]){"expect: 100-continue", NULL});
    expect_frame(h, HEADERS);
    assert_string_equal(h->head, ":status: 100\n");
    memset(h->head, 0, sizeof h->head);
    put_frame(h, DATA, END_STREAM, 3, "go", 2);
    expect_answer(h, 3, "200", "[go]");
    ask(h, 5, 0, "POST", "/e", (const char *[]){"expect: miracles", NULL});
    expect_answer(h, 5, "417", "expectation");
    h2_close(h);
}

static void resets_are_told_both_ways(void **state)
{
    struct h2 *h = h2_open();

    (void)state;
    ask(h, 1, END_STREAM, "GET", "/later", NULL);
    wait_for(&request_count, 1);
    put_frame(h, RST_STREAM, 0, 1, "\0\0\0\x08", 4);
    wait_for(&gone_count, 1);
    ask(h, 3, END_STREAM, "GET", "/break", NULL);
    assert_int_equal(expect_reset(h, 3), INTERNAL_ERROR);
    ask(h, 5, END_STREAM, "GET", "/later", NULL);
    wait_for(&request_count, 3);
    h2_close(h); /* the whole connection goes */
    wait_for(&gone_count, 2);
}

static void streams_are_limited(void **state)
{
    struct h2 *h;

    (void)state;
    limits.max_streams = 2;
    h = h2_open();
    for (uint32_t id = 1; id <= 5; id += 2)
        ask(h, id, END_STREAM, "GET", "/later", NULL);
    assert_int_equal(expect_reset(h, 5), REFUSED_STREAM);
    assert_int_equal(request_count, 2);
    put_frame(h, SETTINGS, ACK, 0, NULL, 0); /* now it knows the limit */
    ask(h, 7, END_STREAM, "GET", "/later", NULL);
    assert_int_equal(expect_goaway(h), PROTOCOL_ERROR);
    expect_close(h->c);
    h2_close(h);
    wait_for(&gone_count, 2);
}

/* --- floods --------------------------------------------------------------------------------------- */

static void flood_resets(struct h2 *h, uint32_t i)
{
    ask(h, 2 * i + 1, END_STREAM, "GET", "/hold", NULL);
    put_frame(h, RST_STREAM, 0, 2 * i + 1, "\0\0\0\x08", 4);
}

static void flood_pings(struct h2 *h, uint32_t i)
{
    (void)i;
    put_frame(h, PING, 0, 0, "12345678", 8);
}

static void flood_settings(struct h2 *h, uint32_t i)
{
    (void)i;
    put_frame(h, SETTINGS, 0, 0, "\0\4\0\1\0\0", 6);
}

static void flood_empty_data(struct h2 *h, uint32_t i)
{
    if (i == 0)
        ask(h, 1, 0, "POST", "/a", NULL);
    put_frame(h, DATA, 0, 1, NULL, 0);
}

static void flood_priorities(struct h2 *h, uint32_t i)
{
    put_frame(h, PRIORITY, 0, 2 * i + 1, "\0\0\0\0\1", 5);
}

static void flood_continuations(struct h2 *h, uint32_t i)
{
    unsigned char block[100];
    size_t n = hpack(block, "x-a", "b");

    put_frame(h, i ? CONTINUATION : HEADERS, 0, 1, block, n);
}

/* We are made to reset: a window that overflows (RFC 9113 6.9.1). */
static void flood_made_resets(struct h2 *h, uint32_t i)
{
    ask(h, 2 * i + 1, END_STREAM, "GET", "/hold", NULL);
    put_frame(h, WINDOW_UPDATE, 0, 2 * i + 1, "\x7f\xff\xff\xff", 4);
}

/* One entry of the table, 4000 bytes, named a thousand times by one byte each. */
static void flood_bomb(struct h2 *h, uint32_t i)
{
    unsigned char block[8000];
    static char value[3900];
    size_t n = hpack(block, ":method", "GET");

    if (i)
        return;
    memset(value, 'v', sizeof value - 1);
    n += hpack(block + n, ":scheme", "http");
    n += hpack(block + n, ":path", "/");
    n += hpack(block + n, ":authority", "x");
    size_t entry = n;
    n += hpack(block + n, "x-b", value);
    block[entry] = 0x40;                /* goes into the table (RFC 7541 6.2.1) */
    memset(block + n, 0x80 | 62, 1000); /* and from there, a byte each          */
    put_frame(h, HEADERS, END_STREAM | END_HEADERS, 1, block, n + 1000);
}

static void floods_are_stopped(void **state)
{
    static const struct {
        const char *name;
        void (*frame)(struct h2 *h, uint32_t i);
        uint32_t count;
    } all[] = {
        {"rapid reset", flood_resets, 2000},
        {"made you reset", flood_made_resets, 2000},
        {"ping", flood_pings, 5000},
        {"settings", flood_settings, 2000},
        {"empty data", flood_empty_data, 3000},
        {"priority", flood_priorities, 5000},
        {"continuation", flood_continuations, 100},
        {"header bomb", flood_bomb, 1},
    };

    (void)state;
    for (size_t i = 0; i < countof(all); i++) {
        struct h2 *h = h2_open();
        struct net_counters n;
        for (uint32_t k = 0; k < all[i].count; k++)
            all[i].frame(h, k);
        struct frame f = {0};
        while (next(h, &f) && f.type != GOAWAY)
            ;
        if (f.type != GOAWAY || word(f.payload + 4) != CALM)
            fail_msg("%s: frame type %u, code %u", all[i].name, f.type,
                     f.type == GOAWAY ? word(f.payload + 4) : 0);
        expect_close(h->c);
        net_count(net, &n);
        assert_int_equal(n.floods, i + 1);
        h2_close(h);
    }
}

static void honest_clients_are_not_taken_for_floods(void **state)
{
    struct h2 *h = h2_open();

    (void)state;
    put_frame(h, WINDOW_UPDATE, 0, 0, "\0\x0f\xff\xff", 4);
    for (uint32_t i = 0; i < 3000; i++) {
        ask(h, 2 * i + 1, END_STREAM, "GET", "/a", NULL);
        put_frame(h, PING, 0, 0, "12345678", 8);
        expect_answer(h, 2 * i + 1, "200", NULL);
    }
    h2_close(h);
}

/* --- connection errors ---------------------------------------------------------------------------- */

static void broken_frames_end_the_connection(void **state)
{
    static const struct {
        unsigned type, flags;
        uint32_t id;
        const char *payload;
        size_t len;
        uint32_t code;
    } bad[] = {
        {DATA, 0, 0, "x", 1, PROTOCOL_ERROR},
        {DATA, 0, 7, "x", 1, PROTOCOL_ERROR}, /* idle stream */
        {SETTINGS, 0, 1, NULL, 0, PROTOCOL_ERROR},
        {SETTINGS, 0, 0, "12345", 5, 6}, /* FRAME_SIZE_ERROR */
        {PING, 0, 0, "1", 1, 6},
        {WINDOW_UPDATE, 0, 0, "\0\0\0\0", 4, PROTOCOL_ERROR},
        {PUSH, END_HEADERS, 1, "\0\0\0\2", 4, PROTOCOL_ERROR},
        {HEADERS, END_HEADERS, 2, "\x82", 1, PROTOCOL_ERROR}, /* even */
        {HEADERS, END_HEADERS, 1, "\xff\xff\xff\xff", 4, 9},  /* COMPRESSION_ERROR */
        {CONTINUATION, 0, 1, "x", 1, PROTOCOL_ERROR},
    };

    (void)state;
    for (size_t i = 0; i < countof(bad); i++) {
        struct h2 *h = h2_open();
        put_frame(h, bad[i].type, bad[i].flags, bad[i].id, bad[i].payload, bad[i].len);
        uint32_t code = expect_goaway(h);
        if (code != bad[i].code)
            fail_msg("%zu: %u", i, code);
        expect_close(h->c);
        h2_close(h);
    }
}

static void a_preface_behind_a_request_is_refused(void **state)
{
    struct client *c = client_open();

    (void)state;
    put(c, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(c, "GET /a?");
    put(c, magic);
    expect_close(c);
    expect(c, "HTTP/1.1 400 ");
    client_close(c);
}

/* --- time and end --------------------------------------------------------------------------------- */

static void slow_clients_are_sent_away(void **state)
{
    struct h2 *h;

    (void)state;
    limits.header_ms = limits.body_ms = limits.idle_ms = 80;
    h = h2_open();
    put_frame(h, HEADERS, 0, 1, "\x82", 1); /* and no CONTINUATION */
    assert_int_equal(expect_goaway(h), CALM);
    expect_close(h->c);
    h2_close(h);
    h = h2_open();
    ask(h, 1, 0, "POST", "/b", NULL);
    put_frame(h, DATA, 0, 1, "x", 1);
    expect_answer(h, 1, "408", "request_timeout");
    assert_int_equal(expect_reset(h, 1), NO_ERROR);
    assert_int_equal(expect_goaway(h), NO_ERROR); /* then it is idle */
    expect_close(h->c);
    h2_close(h);
}

static void a_long_answer_is_waited_for(void **state)
{
    struct h2 *h;

    (void)state;
    limits.header_ms = limits.body_ms = limits.idle_ms = 30;
    h = h2_open();
    ask(h, 1, END_STREAM, "GET", "/later", NULL);
    wait_for(&request_count, 1);
    usleep(100000);
    loop_post_fn(loop, answer_kept, 0);
    expect_answer(h, 1, "200", NULL);
    h2_close(h);
}

static void drain(struct loop *l, uint64_t v)
{
    (void)v;
    net_drain(net);
    loop_drain(l);
}

static void a_drain_lets_streams_end(void **state)
{
    struct h2 *h = h2_open(), *idle = h2_open();

    (void)state;
    ask(idle, 1, END_STREAM, "GET", "/a", NULL);
    expect_answer(idle, 1, "200", NULL);
    ask(h, 1, END_STREAM, "GET", "/later", NULL);
    wait_for(&request_count, 2);
    loop_post_fn(loop, drain, 0);
    assert_int_equal(expect_goaway(idle), NO_ERROR);
    expect_close(idle->c);
    struct frame f = expect_frame(h, GOAWAY);
    assert_int_equal(word(f.payload), 1); /* stream 1 is served */
    ask(h, 3, END_STREAM, "GET", "/later", NULL);
    loop_post_fn(loop, answer_kept, 0);
    expect_answer(h, 1, "200", "GET /later?");
    expect_close(h->c);
    assert_int_equal(request_count, 2);
    h2_close(idle);
    h2_close(h);
}

int main(void)
{
#define TH(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TH(serves_streams_and_stays_open),
        TH(byte_by_byte_is_the_same),
        TH(answers_come_in_any_order),
        TH(the_clients_window_is_kept),
        TH(little_is_kept_for_a_client_that_reads_nothing),
        TH(bodies_are_limited),
        TH(all_bodies_of_a_connection_are_limited),
        TH(windows_open_as_bodies_are_taken),
        TH(heads_are_limited),
        TH(hosts_and_cookies_are_unified),
        TH(malformed_requests_are_reset),
        TH(trailers_are_ignored_and_expectations_answered),
        TH(resets_are_told_both_ways),
        TH(streams_are_limited),
        TH(floods_are_stopped),
        TH(honest_clients_are_not_taken_for_floods),
        TH(broken_frames_end_the_connection),
        TH(a_preface_behind_a_request_is_refused),
        TH(slow_clients_are_sent_away),
        TH(a_long_answer_is_waited_for),
        TH(a_drain_lets_streams_end),
    };
    return RUN(tests);
}
