#include "net/conn.h"
#include "base/check.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LINGER_MS = 2000 };

/* --- the loop's side ---------------------------------------------------------------------------- */

struct net_loop *net_loop_new(struct loop *l, const struct exchange_ops *ops,
                              const struct http_limits *(*limits)(struct loop *l))
{
    struct net_loop *n = calloc(1, sizeof *n);

    must(n);
    n->loop = l;
    n->ops = ops;
    n->limits = limits;
    list_init(&n->conns);
    http1_settings(&n->settings);
    l->local[LOOP_NET] = n;
    return n;
}

void net_loop_free(struct net_loop *n)
{
    free(n);
}

size_t net_connections(const struct net_loop *n)
{
    return atomic_load_explicit(&n->count, memory_order_relaxed);
}

void net_counters(const struct net_loop *n, uint64_t *ret_requests, uint64_t *ret_accepted,
                  uint64_t *ret_errors)
{
    *ret_requests = atomic_load_explicit(&n->requests, memory_order_relaxed);
    *ret_accepted = atomic_load_explicit(&n->accepted, memory_order_relaxed);
    *ret_errors = atomic_load_explicit(&n->errors, memory_order_relaxed);
}

str net_date(struct net_loop *n)
{
    uint64_t now_ms = clock_wall_ms();

    if (now_ms / 1000 != n->date_s) {
        n->date_s = now_ms / 1000;
        clock_http_date(now_ms, n->date);
    }
    return (str){n->date, sizeof n->date};
}

void net_drain(struct net_loop *n)
{
    n->is_draining = true;
    for (struct list *l = n->conns.next, *next; l != &n->conns; l = next) {
        struct http_conn *c = container_of(l, struct http_conn, link);
        next = l->next;
        if (c->phase == CONN_IDLE || (c->phase == CONN_HEAD && !c->x))
            conn_finish(c); /* between two requests, or before the first byte of one */
    }
}

void net_close_all(struct net_loop *n)
{
    n->is_draining = true;
    for (struct list *l = n->conns.next, *next; l != &n->conns; l = next) {
        next = l->next;
        conn_close(container_of(l, struct http_conn, link));
    }
}

/* --- time --------------------------------------------------------------------------------------- */

static void on_due(struct timer *t);

/* The timer is only moved forward when it fires: a phase change costs one store. */
static void arm(struct http_conn *c, uint64_t due_ms)
{
    uint64_t now = loop_now_ms(c->net->loop);

    c->due_ms = due_ms;
    if (due_ms != TIMER_NEVER && (!timer_is_running(&c->timer) || due_ms < c->timer.at_ms))
        loop_timer(c->net->loop, &c->timer, due_ms > now ? due_ms - now : 0, on_due);
}

/* How long a phase may last; 0: as long as it takes. */
static uint64_t phase_ms(const struct http_limits *m, enum conn_phase phase)
{
    switch (phase) {
    case CONN_IDLE: return m->idle_ms;
    case CONN_HEAD: return m->header_ms;
    case CONN_BODY: return m->body_ms;
    case CONN_LINGER: return LINGER_MS;
    default: return 0;
    }
}

void conn_phase(struct http_conn *c, enum conn_phase phase)
{
    c->phase = phase;
    if (c->is_writing)
        return; /* the write's own time counts until it is over: after_write() */
    uint64_t lasts = phase_ms(&c->limits, phase);
    arm(c, lasts ? loop_now_ms(c->net->loop) + lasts : TIMER_NEVER);
}

static void refuse_slow(struct http_conn *c)
{
    c->refusal = 408;
    c->refusal_reason = "request_timeout";
    if (!c->x)
        http1_begin(c);
    if (c->x)
        exchange_refuse(c->x, 408, "request_timeout");
    else
        conn_close(c);
}

static void on_due(struct timer *t)
{
    struct http_conn *c = container_of(t, struct http_conn, timer);
    uint64_t now = loop_now_ms(c->net->loop);

    if (c->is_writing && now >= c->due_ms) {
        conn_close(c); /* the client takes nothing */
        return;
    }
    if (c->due_ms == TIMER_NEVER)
        return;
    if (now < c->due_ms) {
        loop_timer(c->net->loop, &c->timer, c->due_ms - now, on_due);
        return;
    }
    if (c->phase == CONN_HEAD || c->phase == CONN_BODY)
        refuse_slow(c);
    else if (c->phase == CONN_IDLE)
        conn_finish(c);
    else
        conn_close(c);
}

/* --- output ------------------------------------------------------------------------------------- */

size_t conn_queued(const struct http_conn *c)
{
    return c->out.len + (c->is_writing ? c->sending.len : 0);
}

static void after_write(struct http_conn *c);

static void on_written(uv_write_t *w, int status)
{
    struct http_conn *c = container_of(w, struct http_conn, write);

    c->is_writing = false;
    buf_deinit(&c->sending);
    if (status < 0)
        conn_close(c);
    else if (c->phase != CONN_CLOSING)
        after_write(c);
    loop_drain(c->net->loop);
}

static void start_write(struct http_conn *c)
{
    c->sending = c->out;
    buf_init(&c->out, CONN_OUT_MAX);
    uv_buf_t b = uv_buf_init(c->sending.ptr, (unsigned)c->sending.len);
    c->is_writing = true;
    arm(c, loop_now_ms(c->net->loop) + c->limits.write_ms);
    if (uv_write(&c->write, (uv_stream_t *)&c->tcp, &b, 1, on_written) < 0) {
        c->is_writing = false;
        conn_close(c);
    }
}

static void on_shutdown(uv_shutdown_t *s, int status)
{
    (void)s;
    (void)status; /* the lingering close ends it either way */
}

static void after_write(struct http_conn *c)
{
    if (c->out.len) {
        start_write(c);
        return;
    }
    conn_phase(c, c->phase); /* the write is over: the phase's own time counts again */
    if (c->close_after_write) {
        if (c->phase == CONN_LINGER)
            return;
        conn_phase(c, CONN_LINGER);
        if (uv_shutdown(&c->shutdown, (uv_stream_t *)&c->tcp, on_shutdown) < 0)
            conn_close(c);
        return;
    }
    if (c->wants_writable && c->x && c->phase == CONN_HANDLING) {
        c->wants_writable = false;
        c->net->ops->writable(c->x);
    }
}

void conn_write(struct http_conn *c, const uv_buf_t *bufs, unsigned count)
{
    size_t sent = 0;

    if (!c->is_writing && !c->out.len && !c->is_corked) {
        int n = uv_try_write((uv_stream_t *)&c->tcp, bufs, count);
        if (n < 0 && n != UV_EAGAIN) {
            conn_close(c);
            return;
        }
        sent = n > 0 ? (size_t)n : 0;
    }
    for (unsigned i = 0; i < count; i++) {
        size_t skip = sent < bufs[i].len ? sent : bufs[i].len;
        sent -= skip;
        buf_add(&c->out, (str){bufs[i].base + skip, bufs[i].len - skip});
    }
    if (c->out.has_failed) {
        conn_close(c);
        return;
    }
    if (c->out.len && !c->is_writing && !c->is_corked)
        start_write(c);
}

void conn_finish(struct http_conn *c)
{
    c->close_after_write = true;
    if (!c->is_writing && !c->is_corked)
        after_write(c);
}

/* --- close -------------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *h)
{
    struct http_conn *c = h->data;

    atomic_fetch_sub_explicit(&c->net->count, 1, memory_order_relaxed);
    buf_deinit(&c->out);
    buf_deinit(&c->sending);
    buf_deinit(&c->stash);
    free(c);
}

void conn_close(struct http_conn *c)
{
    if (c->phase == CONN_CLOSING)
        return;
    bool was_handling = c->phase == CONN_HANDLING;
    struct exchange *x = c->x;

    c->phase = CONN_CLOSING;
    timer_stop(&c->net->loop->timers, &c->timer);
    list_remove(&c->link);
    uv_close((uv_handle_t *)&c->tcp, on_closed);
    if (was_handling && x) {
        c->x = NULL;
        x->conn = NULL;
        c->net->ops->gone(x);
    } else {
        http1_forget(c);
    }
}

/* --- input -------------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    struct http_conn *c = h->data;

    (void)suggested;
    *buf = uv_buf_init(c->net->read_buffer, sizeof c->net->read_buffer);
}

/* Bytes behind a request that is being handled wait; when there are too many, the socket does. */
void conn_stash(struct http_conn *c, const char *data, size_t len)
{
    buf_add(&c->stash, (str){data, len});
    if (c->stash.has_failed) {
        conn_close(c);
    } else if (c->stash.len >= CONN_STASH_MAX && c->is_reading) {
        uv_read_stop((uv_stream_t *)&c->tcp);
        c->is_reading = false;
    }
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    struct http_conn *c = s->data;
    struct loop *l = c->net->loop;

    if (n < 0)
        conn_close(c);
    else if (n == 0 || c->close_after_write)
        return; /* nothing, or nothing that will be answered */
    else if (c->phase == CONN_HANDLING)
        conn_stash(c, buf->base, (size_t)n);
    else
        http1_feed(c, buf->base, (size_t)n);
    loop_drain(l);
}

void conn_next(struct http_conn *c)
{
    c->x = NULL;
    atomic_fetch_add_explicit(&c->net->requests, 1, memory_order_relaxed);
    if (c->close_after_write || c->net->is_draining) {
        conn_phase(c, CONN_IDLE);
        conn_finish(c);
        return;
    }
    conn_phase(c, CONN_IDLE);
    if (c->is_corked || !c->stash.len)
        return;
    if (!c->is_reading) {
        c->is_reading = true;
        uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
    }
    struct buf bytes = c->stash;
    buf_init(&c->stash, CONN_STASH_MAX + sizeof c->net->read_buffer);
    http1_feed(c, bytes.ptr, bytes.len);
    buf_deinit(&bytes);
}

/* --- accept ------------------------------------------------------------------------------------- */

void net_accepted(struct net_loop *n, int fd)
{
    struct http_conn *c = NULL;
    bool is_full = net_connections(n) >= n->limits(n->loop)->max_connections;

    if (is_full || n->is_draining || !(c = calloc(1, sizeof *c))) {
        close(fd);
        return;
    }
    must(uv_tcp_init(&n->loop->uv, &c->tcp) == 0);
    c->tcp.data = c;
    c->net = n;
    c->limits = *n->limits(n->loop);
    buf_init(&c->out, CONN_OUT_MAX);
    buf_init(&c->sending, CONN_OUT_MAX);
    buf_init(&c->stash, CONN_STASH_MAX + sizeof n->read_buffer);
    atomic_fetch_add_explicit(&n->count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&n->accepted, 1, memory_order_relaxed);
    list_push(&n->conns, &c->link);
    llhttp_init(&c->parser, HTTP_REQUEST, &n->settings);
    c->parser.data = c;
    if (uv_tcp_open(&c->tcp, fd) < 0) {
        close(fd);
        conn_close(c);
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    conn_phase(c, CONN_HEAD); /* a client that connects and says nothing gets the header time */
    c->is_reading = true;
    if (uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) < 0)
        conn_close(c);
}

str exchange_remote(struct exchange *x)
{
    struct http_conn *c = x->conn;
    struct sockaddr_storage a;
    int len = sizeof a;
    char ip[INET6_ADDRSTRLEN] = "?";
    unsigned port = 0;

    if (!c)
        return S("");
    if (!c->remote[0] && uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&a, &len) == 0) {
        if (a.ss_family == AF_INET6) {
            uv_ip6_name((struct sockaddr_in6 *)&a, ip, sizeof ip);
            port = ntohs(((struct sockaddr_in6 *)&a)->sin6_port);
        } else {
            uv_ip4_name((struct sockaddr_in *)&a, ip, sizeof ip);
            port = ntohs(((struct sockaddr_in *)&a)->sin_port);
        }
        snprintf(c->remote, sizeof c->remote, a.ss_family == AF_INET6 ? "[%s]:%u" : "%s:%u", ip,
                 port);
    }
    return arena_copy(x->arena, str_of(c->remote));
}
