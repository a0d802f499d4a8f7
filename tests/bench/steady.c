/* steady PORT PATH CONNECTIONS PER_SECOND SECONDS: HTTP requests at a fixed rate, open loop. The delay of
 * a request counts from the moment at which it was due, whether or not there was a connection for it
 * (goals.md 2.4). BODY is posted, TENANT for whom. Prints a line of JSON. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "load.h"

enum { READ_MAX = 16 << 10, GRACE_MS = 2000 };

struct conn {
    int fd;
    size_t held;
    uint64_t due_ns; /* of the request on the way */
    struct conn *next_free;
    char in[READ_MAX + 1];
};

struct load {
    int ep;
    char text[8192];
    size_t len;
    struct conn *free;
    uint64_t begin_ns, step_ns, sent, total, answers, failures;
    struct delays delays;
};

static uint64_t due(const struct load *l)
{
    return l->begin_ns + l->sent * l->step_ns;
}

static void send_due(struct load *l)
{
    while (l->free && l->sent < l->total && due(l) <= now_ns()) {
        struct conn *c = l->free;
        l->free = c->next_free;
        c->due_ns = due(l);
        l->sent++;
        send_all(c->fd, l->text, l->len);
    }
}

/* Is there a whole answer in c->in? */
static int is_whole(const struct conn *c)
{
    const char *end = strstr(c->in, "\r\n\r\n"), *length = strcasestr(c->in, "\r\ncontent-length:");

    if (!end || !length || length > end)
        return 0;
    return c->held >= (size_t)(end + 4 - c->in) + strtoul(length + 17, NULL, 10);
}

static void receive(struct load *l, struct conn *c)
{
    ssize_t n = recv(c->fd, c->in + c->held, READ_MAX - c->held, 0);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        die("a connection was cut off");
    c->held += (size_t)n;
    c->in[c->held] = 0;
    if (!is_whole(c))
        return;
    delays_add(&l->delays, now_ns() - c->due_ns);
    l->answers++;
    l->failures += memcmp(c->in, "HTTP/1.1 200", 12) != 0;
    c->held = 0;
    c->next_free = l->free;
    l->free = c;
}

/* Until the next request is due, or for an answer. */
static void wait_some(struct load *l)
{
    struct epoll_event ready[256];
    uint64_t now = now_ns(), until = l->sent < l->total && l->free ? due(l) : now + NS_PER_S / 10;
    uint64_t left = until > now ? until - now : 0;
    struct timespec t = {(time_t)(left / NS_PER_S), (long)(left % NS_PER_S)};
    int n = epoll_pwait2(l->ep, ready, 256, &t, NULL);

    for (int i = 0; i < n; i++)
        receive(l, ready[i].data.ptr);
}

static void prepare(struct load *l, int port, const char *path, size_t count)
{
    const char *body = required("BODY");
    int n = snprintf(l->text, sizeof l->text,
                     "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Tenant-ID: %s\r\n"
                     "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                     path, required("TENANT"), strlen(body), body);

    if (n < 0 || (size_t)n >= sizeof l->text)
        die("the body is too large");
    l->len = (size_t)n;
    l->ep = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < count; i++) {
        struct conn *c = calloc(1, sizeof *c);
        c->fd = dial(port, 0);
        unblock(c->fd);
        c->next_free = l->free;
        l->free = c;
        epoll_ctl(l->ep, EPOLL_CTL_ADD, c->fd,
                  &(struct epoll_event){.events = EPOLLIN, .data.ptr = c});
    }
}

int main(int argc, char **argv)
{
    static struct load l;

    if (argc != 6)
        die("usage: steady PORT PATH CONNECTIONS PER_SECOND SECONDS");
    prctl(PR_SET_TIMERSLACK, 1);
    delays_init(&l.delays);
    prepare(&l, atoi(argv[1]), argv[2], strtoul(argv[3], NULL, 10));
    l.step_ns = NS_PER_S / strtoul(argv[4], NULL, 10);
    l.total = (uint64_t)(atof(argv[5]) * (double)NS_PER_S) / l.step_ns;
    l.begin_ns = now_ns();
    uint64_t end = l.begin_ns + l.total * l.step_ns + GRACE_MS * (NS_PER_S / 1000);
    while (l.answers < l.total && now_ns() < end) {
        send_due(&l);
        wait_some(&l);
    }
    printf("{\"requests\": %llu, \"missing\": %llu, \"failures\": %llu, ",
           (unsigned long long)l.total, (unsigned long long)(l.total - l.answers),
           (unsigned long long)l.failures);
    delays_print(&l.delays);
    printf("}\n");
    return 0;
}
