/* The connections of a loop: who is there, limits, counters, stop. */
#include "base/check.h"
#include "base/clock.h"
#include "net/conn.h"
#include "net/http1.h"

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

void net_accepted(struct net_loop *n, int fd)
{
    bool is_full = net_connections(n) >= n->limits(n->loop)->max_connections;
    struct conn *c = is_full || n->is_draining ? NULL : conn_open(n, fd);

    if (c)
        http1_start(c);
    else
        close(fd);
}
