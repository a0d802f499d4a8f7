/* ws PORT PID CONNECTIONS DEPTH SECONDS: MIG invocations over WebSocket, closed loop (goals.md W6). Each
 * connection keeps DEPTH requests on the way; what one read brings is answered with one write. Frames
 * are masked, each with a mask of its own. BODY is the payload, TENANT for whom. What is counted is
 * round trips: a request frame and the frame that ends it. Prints a line of JSON. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "load.h"

enum {
    DEPTH_MAX = 64,
    FRAME_MAX = 1024,     /* ours */
    READ_MAX = 128 << 10, /* theirs */
    HEAD_MAX = 8,         /* of our frames: 126 to 65535 bytes */
    WARM_MS = 500
};

struct conn {
    int fd;
    size_t number, held, written; /* held: bytes of a frame that is not whole */
    uint64_t sent_ns[DEPTH_MAX];  /* by slot */
    char *in, out[DEPTH_MAX * FRAME_MAX];
};

struct load {
    int ep;
    size_t depth;
    uint32_t mask;
    uint64_t next_id, done;
    struct delays delays;
};

/* --- frames --------------------------------------------------------------------------------------- */

/* The text of a request. Its stream_id names the slot that the answer is for. */
static size_t request(char *text, struct load *l, const struct conn *c, size_t slot)
{
    int n = snprintf(text, FRAME_MAX - HEAD_MAX,
                     "{\"header\":{\"mig_version\":\"0.1\",\"tenant_id\":\"%s\","
                     "\"message_id\":\"w%llu\"},\"stream_id\":\"%02zu-%zu\",\"capability\":"
                     "\"observatory.models.infer\",\"kind\":\"request\",\"payload\":%s}",
                     required("TENANT"), (unsigned long long)l->next_id++, slot, c->number,
                     required("BODY"));
    if (n < 126 || n >= FRAME_MAX - HEAD_MAX)
        die("a request of %d bytes", n);
    return (size_t)n;
}

static void put_request(struct load *l, struct conn *c, size_t slot)
{
    char *frame = c->out + c->written, *text = frame + HEAD_MAX;
    size_t len = request(text, l, c, slot);

    l->mask = l->mask * 1664525 + 1013904223;
    frame[0] = (char)0x81;
    frame[1] = (char)(0x80 | 126);
    frame[2] = (char)(len >> 8);
    frame[3] = (char)len;
    memcpy(frame + 4, &l->mask, 4);
    for (size_t i = 0; i < len; i++)
        text[i] ^= frame[4 + (i & 3)];
    c->written += HEAD_MAX + len;
    c->sent_ns[slot] = now_ns();
}

static void flush(struct conn *c)
{
    if (c->written)
        send_all(c->fd, c->out, c->written);
    c->written = 0;
}

static void answered(struct load *l, struct conn *c, const char *text, size_t len)
{
    const char *id = memmem(text, len, "\"stream_id\":\"", 13);
    size_t slot = id ? (size_t)(id[13] - '0') * 10 + (size_t)(id[14] - '0') : DEPTH_MAX;

    if (slot >= l->depth || !memmem(text, len, "\"result\":\"ok\"", 13))
        die("not the answer: %.*s", (int)len, text);
    delays_add(&l->delays, now_ns() - c->sent_ns[slot]);
    l->done++;
    put_request(l, c, slot);
}

/* The whole frames in c->in; what is left over moves to its beginning. */
static void take_frames(struct load *l, struct conn *c)
{
    size_t at = 0;

    for (;;) {
        const unsigned char *h = (const unsigned char *)c->in + at;
        size_t have = c->held - at, head = 2, len;
        if (have < 4)
            break;
        len = h[1];
        if (len == 126) {
            head = 4;
            len = (size_t)h[2] << 8 | h[3];
        }
        if (h[0] != 0x81 || len > 65535 || (h[1] & 0x7f) == 127)
            die("a frame that begins with %02x %02x", h[0], h[1]);
        if (have < head + len)
            break;
        answered(l, c, c->in + at + head, len);
        at += head + len;
    }
    memmove(c->in, c->in + at, c->held - at);
    c->held -= at;
}

/* --- connections ---------------------------------------------------------------------------------- */

static void open_one(struct load *l, struct conn *c, int port, size_t number)
{
    char text[512];

    *c = (struct conn){.fd = dial(port, 0), .number = number, .in = malloc(READ_MAX)};
    if (!c->in)
        die("out of memory");
    int n = snprintf(text, sizeof text,
                     "GET /mig/v0.1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n"
                     "Sec-WebSocket-Version: 13\r\nX-Tenant-ID: %s\r\n\r\n",
                     required("TENANT"));
    send_all(c->fd, text, (size_t)n);
    skip_until(c->fd, "\r\n\r\n");
    unblock(c->fd);
    epoll_ctl(l->ep, EPOLL_CTL_ADD, c->fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = c});
}

static void serve(struct load *l, uint64_t until)
{
    struct epoll_event ready[256];

    while (now_ns() < until) {
        int n = epoll_wait(l->ep, ready, 256, 1000);
        if (n <= 0)
            die("no answer for a second");
        for (int i = 0; i < n; i++) {
            struct conn *c = ready[i].data.ptr;
            ssize_t got = recv(c->fd, c->in + c->held, READ_MAX - c->held, 0);
            if (got <= 0)
                die("a connection was cut off");
            c->held += (size_t)got;
            take_frames(l, c);
            flush(c);
        }
    }
}

int main(int argc, char **argv)
{
    struct load l = {.mask = 2463534242};

    if (argc != 6)
        die("usage: ws PORT PID CONNECTIONS DEPTH SECONDS");
    int pid = atoi(argv[2]);
    size_t count = strtoul(argv[3], NULL, 10);
    l.depth = strtoul(argv[4], NULL, 10);
    if (!l.depth || l.depth > DEPTH_MAX)
        die("1 to %d requests on the way", DEPTH_MAX);
    raise_files();
    delays_init(&l.delays);
    l.ep = epoll_create1(EPOLL_CLOEXEC);
    struct conn *conns = calloc(count, sizeof *conns);
    for (size_t i = 0; i < count; i++)
        open_one(&l, &conns[i], atoi(argv[1]), i);
    for (size_t i = 0; i < count; i++) {
        for (size_t slot = 0; slot < l.depth; slot++)
            put_request(&l, &conns[i], slot);
        flush(&conns[i]);
    }
    serve(&l, now_ns() + WARM_MS * (NS_PER_S / 1000));
    delays_clear(&l.delays);
    l.done = 0;

    uint64_t cpu = cpu_ns(pid), began = now_ns();
    serve(&l, began + (uint64_t)(atof(argv[5]) * (double)NS_PER_S));
    double took = (double)(now_ns() - began) / (double)NS_PER_S;
    cpu = cpu_ns(pid) - cpu;
    printf("{\"connections\": %zu, \"depth\": %zu, \"round_trips\": %llu, \"per_s\": %.0f, "
           "\"cpu_us\": %.3f, ",
           count, l.depth, (unsigned long long)l.done, (double)l.done / took,
           (double)cpu / 1e3 / (double)l.done);
    delays_print(&l.delays);
    printf("}\n");
    return 0;
}
