#include "net/conn.h"
#include "base/check.h"
#include "net/tls_conn.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LINGER_MS = 2000, REST_MS = 2 };

/* --- time --------------------------------------------------------------------------------------- */

static void on_due(struct timer *t);

/* The timer is only moved forward when it fires: a change of what is waited for costs one store. */
static void arm(struct conn *c, uint32_t ms)
{
    uint64_t now = loop_now_ms(c->net->loop);

    c->due_ms = ms ? now + ms : TIMER_NEVER;
    if (ms && (!timer_is_running(&c->timer) || c->due_ms < c->timer.at_ms))
        loop_timer(c->net->loop, &c->timer, ms, on_due);
}

void conn_lasts(struct conn *c, uint32_t ms)
{
    c->lasts_ms = ms;
    if (!c->sending && !c->is_lingering && !c->is_closed) /* else after_write() sees to it */
        arm(c, ms);
}

static void on_due(struct timer *t)
{
    struct conn *c = container_of(t, struct conn, timer);
    uint64_t now = loop_now_ms(c->net->loop);

    if (c->due_ms == TIMER_NEVER)
        return;
    if (now < c->due_ms)
        loop_timer(c->net->loop, &c->timer, c->due_ms - now, on_due);
    else if (c->sending || c->is_lingering)
        conn_close(c, NET_END_TIMEOUT); /* the client takes nothing, or does not hang up */
    else
        c->proto->due(c);
}

/* --- output ------------------------------------------------------------------------------------- */

/* Most connections never have one: libuv's share of it is large. */
struct outgoing {
    uv_write_t write;
    struct conn *c;
    struct buf bytes;
};

size_t conn_queued(const struct conn *c)
{
    return c->out.len + (c->sending ? c->sending->bytes.len : 0);
}

static void after_write(struct conn *c);

static void drop_sending(struct conn *c)
{
    if (c->sending)
        buf_deinit(&c->sending->bytes);
    free(c->sending);
    c->sending = NULL;
}

static void on_written(uv_write_t *w, int status)
{
    struct conn *c = container_of(w, struct outgoing, write)->c;
    struct loop *l = c->net->loop;

    drop_sending(c);
    if (status < 0)
        conn_close(c, NET_END_ERROR);
    else if (!c->is_closed)
        after_write(c);
    loop_drain(l);
}

static void start_write(struct conn *c)
{
    struct outgoing *o = malloc(sizeof *o);

    if (!o) {
        conn_close(c, NET_END_ERROR);
        return;
    }
    o->c = c;
    o->bytes = c->out;
    c->sending = o;
    buf_init(&c->out, CONN_OUT_MAX);
    uv_buf_t b = uv_buf_init(o->bytes.ptr, (unsigned)o->bytes.len);
    arm(c, c->write_ms);
    if (uv_write(&o->write, (uv_stream_t *)&c->tcp, &b, 1, on_written) < 0) {
        drop_sending(c);
        conn_close(c, NET_END_ERROR);
    }
}

static void on_shutdown(uv_shutdown_t *s, int status)
{
    (void)status; /* the lingering close ends it either way */
    free(s);
}

static void say_goodbye(struct conn *c)
{
    if (c->is_lingering)
        return;
    if (c->tls && !c->has_said_bye) {
        c->has_said_bye = true;
        tls_say_goodbye(c);
        if (c->is_closed || conn_is_waiting(c))
            return; /* once more when it is written */
    }
    c->is_lingering = true;
    arm(c, LINGER_MS);
    uv_shutdown_t *s = malloc(sizeof *s);
    if (s && uv_shutdown(s, (uv_stream_t *)&c->tcp, on_shutdown) == 0)
        return;
    free(s);
    conn_close(c, NET_END_ERROR);
}

static void after_write(struct conn *c)
{
    if (c->out.len) {
        start_write(c);
        return;
    }
    if (c->is_ending) {
        say_goodbye(c);
        return;
    }
    conn_lasts(c, c->lasts_ms); /* the write is over: the protocol's own time counts again */
    c->proto->written(c);
}

void conn_write(struct conn *c, const uv_buf_t *bufs, unsigned count)
{
    if (c->tls)
        tls_write(c, bufs, count);
    else
        conn_send(c, bufs, count);
}

void conn_send(struct conn *c, const uv_buf_t *bufs, unsigned count)
{
    size_t sent = 0;

    if (!c->sending && !c->out.len && !c->is_corked) {
        int n = uv_try_write((uv_stream_t *)&c->tcp, bufs, count);
        if (n < 0 && n != UV_EAGAIN) {
            conn_close(c, NET_END_ERROR);
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
        conn_close(c, NET_END_ERROR);
        return;
    }
    if (c->out.len && !c->sending && !c->is_corked)
        start_write(c);
}

void conn_uncork(struct conn *c)
{
    c->is_corked = false;
    if (c->is_closed || c->sending)
        return;
    if (c->out.len) {
        struct buf all = c->out;
        buf_init(&c->out, CONN_OUT_MAX);
        conn_send(c, &(uv_buf_t){all.ptr, all.len}, 1);
        buf_deinit(&all);
    }
    if (c->is_ending && !c->is_closed && !conn_is_waiting(c))
        say_goodbye(c);
}

void conn_finish(struct conn *c)
{
    c->is_ending = true;
    if (!c->is_closed && !c->sending && !c->is_corked)
        after_write(c);
}

/* --- close -------------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *h)
{
    struct conn *c = h->data;

    atomic_fetch_sub_explicit(&c->net->count, 1, memory_order_relaxed);
    if (c->proto)
        c->proto->dispose(c);
    buf_deinit(&c->out);
    drop_sending(c);
    free(c->remote);
    tls_free(c->tls);
    free(c);
}

void conn_close(struct conn *c, enum net_end why)
{
    if (c->is_closed)
        return;
    c->is_closed = true;
    timer_stop(&c->net->loop->timers, &c->timer);
    timer_stop(&c->net->loop->timers, &c->rest);
    list_remove(&c->link);
    list_remove(&c->turn);
    uv_close((uv_handle_t *)&c->tcp, on_closed);
    if (c->proto)
        c->proto->ended(c, why);
}

/* --- input -------------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    struct conn *c = h->data;

    (void)suggested;
    *buf = uv_buf_init(c->net->read_buffer, sizeof c->net->read_buffer);
}

static void on_fin(struct conn *c)
{
    bool is_cut = c->tls && !c->is_ending && !tls_was_closed(c->tls);

    if (is_cut)
        atomic_fetch_add_explicit(&c->net->cut, 1, memory_order_relaxed);
    conn_close(c, is_cut ? NET_END_CUT : NET_END_PEER);
}

static void after_rest(struct timer *t)
{
    conn_release(container_of(t, struct conn, rest), HOLD_REST);
}

/* What nobody wants is thrown away at the pace of a slow line, not at that of a sender who does not care. */
static void rest(struct conn *c)
{
    conn_hold(c, HOLD_REST);
    loop_timer(c->net->loop, &c->rest, REST_MS, after_rest);
}

static void take(struct conn *c, const char *data, size_t n)
{
    if (c->tls)
        tls_feed(c, data, n);
    else
        c->proto->feed(c, data, n);
    if (!c->is_closed)
        turns_was_read(&c->net->turns, c, n, n == sizeof c->net->read_buffer);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = s->data;
    struct loop *l = c->net->loop;

    if (n == UV_EOF)
        on_fin(c);
    else if (n < 0)
        conn_close(c, NET_END_ERROR);
    else if (n == 0)
        return;
    else if (c->is_ending) /* nothing that will be answered */
        rest(c);
    else
        take(c, buf->base, (size_t)n);
    loop_drain(l);
}

static void start_reading(struct conn *c)
{
    if (uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) < 0)
        conn_close(c, NET_END_ERROR);
}

void conn_read(struct conn *c, bool is_wanted)
{
    if (c->is_closed || c->is_reading == is_wanted)
        return;
    c->is_reading = is_wanted;
    if (c->holds)
        return;
    if (is_wanted)
        start_reading(c);
    else
        uv_read_stop((uv_stream_t *)&c->tcp);
}

void conn_hold(struct conn *c, enum conn_hold why)
{
    c->holds |= (uint8_t)why;
    uv_read_stop((uv_stream_t *)&c->tcp);
}

void conn_release(struct conn *c, enum conn_hold why)
{
    c->holds &= (uint8_t)~why;
    if (!c->holds && c->is_reading)
        start_reading(c);
}

/* --- open --------------------------------------------------------------------------------------- */

struct conn *conn_open(struct net_loop *n, int fd)
{
    struct conn *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    must(uv_tcp_init(&n->loop->uv, &c->tcp) == 0);
    c->tcp.data = c;
    c->net = n;
    c->due_ms = TIMER_NEVER;
    c->write_ms = n->limits(n->loop)->write_ms;
    buf_init(&c->out, CONN_OUT_MAX);
    atomic_fetch_add_explicit(&n->count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&n->accepted, 1, memory_order_relaxed);
    list_push(&n->conns, &c->link);
    list_init(&c->turn);
    if (uv_tcp_open(&c->tcp, fd) < 0) {
        conn_close(c, NET_END_ERROR);
        return NULL;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    return c;
}

static void write_peer(const struct conn *c, char *to, size_t size)
{
    struct sockaddr_storage a;
    int len = sizeof a;
    char ip[INET6_ADDRSTRLEN] = "?";

    if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&a, &len) < 0) {
        snprintf(to, size, "?");
    } else if (a.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a;
        uv_ip6_name(v6, ip, sizeof ip);
        snprintf(to, size, "[%s]:%u", ip, ntohs(v6->sin6_port));
    } else {
        const struct sockaddr_in *v4 = (struct sockaddr_in *)&a;
        uv_ip4_name(v4, ip, sizeof ip);
        snprintf(to, size, "%s:%u", ip, ntohs(v4->sin_port));
    }
}

const char *conn_remote(struct conn *c)
{
    char text[64];

    if (!c->remote) {
        write_peer(c, text, sizeof text);
        c->remote = strdup(text);
    }
    return c->remote ? c->remote : "?";
}
