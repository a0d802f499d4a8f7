#include "net/listener.h"
#include "base/check.h"
#include "net/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 1024, ACCEPT_BUDGET = 64, PAUSE_MS = 100, UNEVEN = 16 };

struct listener_set {
    char address[80];
    bool is_tls;
    size_t count;
    int fds[LOOP_MAX];
};

struct listener {
    uv_poll_t poll;
    struct timer pause;
    struct listener_set *set;
    struct net_loop *net;
    struct net_loop **all;
    int fd;
};

/* --- addresses ---------------------------------------------------------------------------------- */

static bool parse_address(str address, struct sockaddr_storage *a, socklen_t *ret_len)
{
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)a;
    struct sockaddr_in *v4 = (struct sockaddr_in *)a;
    char host[64];
    uint64_t port;
    size_t colon = address.len;

    while (colon > 0 && address.ptr[colon - 1] != ':')
        colon--;
    if (!colon || !str_to_u64(str_cut(address, colon), &port) || port > 65535)
        return false;
    str name = {address.ptr, colon - 1};
    if (name.len >= 2 && name.ptr[0] == '[')
        name = (str){name.ptr + 1, name.len - 2};
    snprintf(host, sizeof host, "%.*s", STR_ARG(name));
    memset(a, 0, sizeof *a);
    if (!name.len || inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6; /* no name: any address, IPv4 included */
        v6->sin6_port = htons((uint16_t)port);
        *ret_len = sizeof *v6;
        return true;
    }
    v4->sin_family = AF_INET;
    v4->sin_port = htons((uint16_t)port);
    *ret_len = sizeof *v4;
    return inet_pton(AF_INET, strcmp(host, "localhost") ? host : "127.0.0.1", &v4->sin_addr) == 1;
}

static int open_one(const struct sockaddr_storage *a, socklen_t len)
{
    int fd = socket(a->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1, off = 0;

    if (fd < 0)
        return -1;
    bool ok = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
              setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0;
    if (a->ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (ok && bind(fd, (const struct sockaddr *)a, len) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* SO_REUSEPORT lets anybody of the same user share our port without a word: look first. */
static bool is_taken(const struct sockaddr_storage *a, socklen_t len)
{
    int fd = socket(a->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1, off = 0;

    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (a->ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    bool taken = bind(fd, (const struct sockaddr *)a, len) != 0 && errno == EADDRINUSE;
    close(fd);
    return taken;
}

static void write_address(struct listener_set *s, struct sockaddr_storage *a, socklen_t *len)
{
    char ip[INET6_ADDRSTRLEN];

    getsockname(s->fds[0], (struct sockaddr *)a, len);
    if (a->ss_family == AF_INET6) {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)a;
        inet_ntop(AF_INET6, &v6->sin6_addr, ip, sizeof ip);
        snprintf(s->address, sizeof s->address, "[%s]:%u", ip, ntohs(v6->sin6_port));
    } else {
        struct sockaddr_in *v4 = (struct sockaddr_in *)a;
        inet_ntop(AF_INET, &v4->sin_addr, ip, sizeof ip);
        snprintf(s->address, sizeof s->address, "%s:%u", ip, ntohs(v4->sin_port));
    }
}

struct listener_set *listener_open(str address, bool is_tls, size_t loops, char error[160])
{
    struct listener_set *s = calloc(1, sizeof *s);
    struct sockaddr_storage a;
    socklen_t len;

    must(s && loops <= LOOP_MAX);
    s->is_tls = is_tls;
    if (!parse_address(address, &a, &len)) {
        snprintf(error, 160, "%.*s is not an address of the form host:port", STR_ARG(address));
        free(s);
        return NULL;
    }
    bool taken = is_taken(&a, len);
    for (; !taken && s->count < loops; s->count++) {
        s->fds[s->count] = open_one(&a, len);
        if (s->fds[s->count] < 0)
            break;
        if (s->count == 0)
            write_address(s, &a, &len); /* the others bind to the port that 0 became */
    }
    if (s->count == loops)
        return s;
    snprintf(error, 160, "cannot listen on %.*s: %s", STR_ARG(address),
             strerror(taken ? EADDRINUSE : errno));
    listener_free(s);
    return NULL;
}

const char *listener_address(const struct listener_set *s)
{
    return s->address;
}

void listener_free(struct listener_set *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++)
        close(s->fds[i]);
    free(s);
}

/* --- accepting ---------------------------------------------------------------------------------- */

struct handed {
    struct task task;
    struct net_loop *to;
    int fd;
    bool is_tls;
};

static void take_handed(struct task *t)
{
    struct handed *h = container_of(t, struct handed, task);

    net_accepted(h->to, h->fd, h->is_tls);
    free(h);
}

/* The loop that shall have the next connection: this one, unless it is far ahead of the others. */
static struct net_loop *choose(struct listener *l)
{
    struct net_loop *least = l->net;
    size_t total = 0;

    for (size_t i = 0; i < l->set->count; i++) {
        size_t n = net_connections(l->all[i]);
        total += n;
        if (n < net_connections(least))
            least = l->all[i];
    }
    size_t average = total / l->set->count;
    return net_connections(l->net) > 2 * average + UNEVEN ? least : l->net;
}

static void give(struct listener *l, int fd)
{
    struct net_loop *to = choose(l);

    if (to == l->net) {
        net_accepted(to, fd, l->set->is_tls);
        return;
    }
    struct handed *h = malloc(sizeof *h);
    must(h);
    *h = (struct handed){{.run = take_handed}, to, fd, l->set->is_tls};
    loop_post(to->loop, &h->task);
}

static void on_ready(uv_poll_t *p, int status, int events);

static void go_on(struct timer *t)
{
    struct listener *l = container_of(t, struct listener, pause);
    uv_poll_start(&l->poll, UV_READABLE, on_ready);
}

static void on_ready(uv_poll_t *p, int status, int events)
{
    struct listener *l = p->data;

    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPT_BUDGET; i++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            give(l, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            uv_poll_stop(p); /* out of descriptors: the kernel's queue holds them for a moment */
            loop_timer(l->net->loop, &l->pause, PAUSE_MS, go_on);
            break;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            break;
        }
    }
    loop_drain(l->net->loop);
}

struct listener *listener_start(struct listener_set *s, struct net_loop *n, struct net_loop **all)
{
    struct listener *l = calloc(1, sizeof *l);

    must(l);
    l->set = s;
    l->net = n;
    l->all = all;
    l->fd = s->fds[n->loop->index];
    must(uv_poll_init(&n->loop->uv, &l->poll, l->fd) == 0);
    l->poll.data = l;
    uv_poll_start(&l->poll, UV_READABLE, on_ready);
    return l;
}

static void on_closed(uv_handle_t *h)
{
    free(h->data);
}

void listener_stop(struct listener *l)
{
    timer_stop(&l->net->loop->timers, &l->pause);
    uv_close((uv_handle_t *)&l->poll, on_closed);
}
