/* The connections of a loop: who is there, limits, counters, stop. */
#include "base/check.h"
#include "base/clock.h"
#include "net/conn.h"
#include "net/http1.h"
#include "net/tls_conn.h"

#include <stdlib.h>
#include <unistd.h>

struct net_loop *net_loop_new(struct loop *l, const struct exchange_ops *ops,
                              const struct http_limits *(*limits)(struct loop *l))
{
    struct net_loop *n = calloc(1, sizeof *n);

    must(n);
    n->loop = l;
    n->ops = ops;
    n->limits = limits;
    list_init(&n->conns);
    turns_init(&n->turns, l);
    buf_init(&n->frames, CONN_OUT_MAX);
    l->local[LOOP_NET] = n;
    return n;
}

void net_loop_free(struct net_loop *n)
{
    tls_loop_free(n->tls);
    buf_deinit(&n->frames);
    free(n);
}

size_t net_connections(const struct net_loop *n)
{
    return atomic_load_explicit(&n->count, memory_order_relaxed);
}

static uint64_t count_of(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void net_count(const struct net_loop *n, struct net_counters *ret)
{
    *ret = (struct net_counters){
        .requests = count_of(&n->requests),
        .accepted = count_of(&n->accepted),
        .errors = count_of(&n->errors),
        .tls_failed = count_of(&n->tls_failed),
        .cut = count_of(&n->cut),
        .floods = count_of(&n->floods),
    };
}

str net_date(struct net_loop *n)
{
    uint64_t now_ms = clock_turn_wall_ms();

    if (now_ms / 1000 != n->date_s) {
        n->date_s = now_ms / 1000;
        clock_http_date(now_ms, n->date);
    }
    return (str){n->date, sizeof n->date};
}

void net_drain(struct net_loop *n)
{
    struct list now;

    n->is_draining = true;
    list_take(&now, &n->conns); /* a callback may close others than its own */
    while (!list_is_empty(&now)) {
        struct conn *c = container_of(now.next, struct conn, link);
        list_remove(&c->link);
        list_push(&n->conns, &c->link);
        c->proto->drain(c);
    }
}

void net_close_all(struct net_loop *n)
{
    n->is_draining = true;
    while (!list_is_empty(&n->conns))
        conn_close(container_of(n->conns.next, struct conn, link), NET_END_STOP);
    loop_drain(n->loop);
}

void net_accepted(struct net_loop *n, int fd, bool is_tls)
{
    const struct http_limits *m = n->limits(n->loop);
    bool is_full = net_connections(n) >= m->max_connections;
    bool is_refused = is_full || n->is_draining || (is_tls && !m->tls);
    struct conn *c = is_refused ? NULL : conn_open(n, fd);

    if (!c)
        close(fd);
    else if (is_tls)
        tls_start(c, m->tls);
    else
        http1_start(c);
}
