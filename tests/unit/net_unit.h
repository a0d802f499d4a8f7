/* net_unit.h: a server loop on a thread of its own, and clients that block, for tests of net/. */
#ifndef TESTS_NET_UNIT_H
#define TESTS_NET_UNIT_H
#include "unit.h"
#include "net/http.h"

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/socket.h>

/* --- the server ---------------------------------------------------------------------------------- */

static struct http_limits limits;
static struct loop *loop;
static struct net_loop *net;
static pthread_t net_thread;
static sem_t net_ready;

static const struct http_limits *get_limits(struct loop *l)
{
    (void)l;
    return &limits;
}

static void *net_serve(void *arg)
{
    loop = loop_new(0);
    net = net_loop_new(loop, arg, get_limits);
    sem_post(&net_ready);
    loop_run(loop);
    net_loop_free(net);
    loop_free(loop);
    return NULL;
}

static inline int net_up(const struct exchange_ops *ops)
{
    limits = (struct http_limits){.max_body = 1000,
                                  .max_header_bytes = 1024,
                                  .max_headers = 10,
                                  .max_url = 100,
                                  .max_connections = 50,
                                  .header_ms = 5000,
                                  .body_ms = 5000,
                                  .idle_ms = 5000,
                                  .write_ms = 5000,
                                  .handshake_ms = 5000,
                                  .max_streams = 100};
    signal(SIGPIPE, SIG_IGN); /* as the daemon does */
    sem_init(&net_ready, 0, 0);
    if (pthread_create(&net_thread, NULL, net_serve, (void *)(uintptr_t)ops) != 0)
        return -1;
    sem_wait(&net_ready);
    return 0;
}

static void net_stop_here(struct loop *l, uint64_t v)
{
    (void)v;
    net_close_all(net);
    loop_stop(l);
}

static inline void net_down(void)
{
    loop_post_fn(loop, net_stop_here, 0);
    pthread_join(net_thread, NULL);
}

/* The body of what the protocol answers by itself. */
static inline str net_error_body(struct arena *a, unsigned status, str reason, str *ret_id)
{
    struct arena_text t;

    text_init(&t, a, 64);
    text_add(&t, S("error "));
    text_addu(&t, status);
    text_add(&t, S(" "));
    text_add(&t, reason);
    *ret_id = S("the-id");
    return text_str(&t);
}

/* Waits for a counter of the server's thread. */
static inline void wait_for(_Atomic int *counter, int n)
{
    for (int i = 0; i < 5000 && *counter < n; i++)
        usleep(1000);
    assert_int_equal(*counter, n);
}

/* --- the client ---------------------------------------------------------------------------------- */

struct client {
    int fd;
    char got[1 << 18];
    size_t len;
    bool is_closed;
};

static void net_take_plain(struct loop *l, uint64_t fd)
{
    (void)l;
    net_accepted(net, (int)fd, /*is_tls=*/false);
}

static inline struct client *client_open(void)
{
    struct client *c = calloc(1, sizeof *c);
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    c->fd = fds[0];
    loop_post_fn(loop, net_take_plain, (uint64_t)fds[1]);
    return c;
}

static inline void client_close(struct client *c)
{
    close(c->fd);
    free(c);
}

static inline void put_bytes(struct client *c, const void *bytes, size_t n)
{
    ssize_t sent = send(c->fd, bytes, n, MSG_NOSIGNAL);
    (void)sent; /* the server may have hung up already: the answer tells */
}

static inline void put(struct client *c, const char *text)
{
    put_bytes(c, text, strlen(text));
}

/* Reads what is there within ms; false: nothing came. */
static inline bool get(struct client *c, int ms)
{
    struct pollfd p = {c->fd, POLLIN, 0};

    if (c->is_closed || poll(&p, 1, ms) <= 0)
        return false;
    ssize_t n = read(c->fd, c->got + c->len, sizeof c->got - 1 - c->len);
    if (n <= 0)
        c->is_closed = true;
    else
        c->len += (size_t)n;
    c->got[c->len] = 0;
    return n > 0;
}

static inline void expect(struct client *c, const char *text)
{
    while (!strstr(c->got, text))
        if (!get(c, 5000))
            fail_msg("no \"%s\" in: %s", text, c->got);
}

static inline void expect_close(struct client *c)
{
    while (get(c, 5000))
        ;
    assert_true(c->is_closed);
}

static inline unsigned count(const struct client *c, const char *text)
{
    unsigned n = 0;

    for (const char *at = c->got; (at = strstr(at, text)); at += strlen(text))
        n++;
    return n;
}
#endif
