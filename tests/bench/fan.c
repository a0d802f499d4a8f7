/* fan PORT PID TOPIC SUBSCRIBERS BURST SECONDS STALLED: one topic, many SSE subscribers, one publisher
 * (goals.md W8). Closed loop: a burst of events goes out in one write on one connection, the next when
 * all subscribers have all of them. BODY is what is published, TENANT for whom. Prints a line of JSON.
 *
 * The delay of an event is from the write of its burst to the moment when the last subscriber has it
 * whole. STALLED subscribers more read nothing at all: their sockets are filled before the others come. */
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
    LINE_KEEP = 64,       /* as much of a line as we look at */
    BURST_MAX = 256,      /* events on the way at a time */
    READ_MAX = 256 << 10, /* bytes of one read */
    WARM_MS = 300,
    SILENCE_MS = 5000, /* after which the rest counts as missing */
    FILL_EVENTS = 160, /* together more than a socket takes */
    FILL_BYTES = 64 << 10
};

struct subscriber {
    int fd, kept;
    uint64_t id, last; /* of the event that comes; of the last one that came */
    char line[LINE_KEEP];
};

struct fan {
    int port, ep, publisher;
    const char *topic;
    size_t count, burst;
    struct subscriber *subs;
    uint64_t first;                /* sequence of the first event of the burst */
    size_t arrived[BURST_MAX];     /* by event of the burst */
    size_t left, answers;          /* to come, of the burst */
    size_t matched;                /* bytes of the head of an answer */
    uint64_t began_ns;             /* the burst */
    uint64_t missing, again, lags; /* sequences left out; that came twice; notices of being slow */
    struct delays delays;
    char buffer[READ_MAX];
};

/* --- reading -------------------------------------------------------------------------------------- */

static void deliver(struct fan *f, struct subscriber *s)
{
    uint64_t at = s->id - f->first;

    if (s->id <= s->last) {
        f->again++;
        return;
    }
    if (s->last)
        f->missing += s->id - s->last - 1;
    s->last = s->id;
    if (at >= f->burst)
        die("event %llu in the burst of %llu", (unsigned long long)s->id,
            (unsigned long long)f->first);
    f->left--;
    if (++f->arrived[at] == f->count)
        delays_add(&f->delays, now_ns() - f->began_ns);
}

/* One line of a stream, or the beginning of a long one, without its end. */
static void take_line(struct fan *f, struct subscriber *s, const char *line, size_t len)
{
    if (len > 4 && !memcmp(line, "id: ", 4)) {
        s->id = strtoull(line + 4, NULL, 10);
    } else if (len == 0 && s->id) {
        deliver(f, s);
        s->id = 0;
    } else if (len >= 23 && !memcmp(line, "event: mig-backpressure", 23)) {
        f->lags++;
    }
}

static void keep(struct subscriber *s, const char *text, size_t len)
{
    size_t room = LINE_KEEP - 1 - (size_t)s->kept, n = len < room ? len : room;

    memcpy(s->line + s->kept, text, n);
    s->kept += (int)n;
    s->line[s->kept] = 0;
}

static void read_stream(struct fan *f, struct subscriber *s)
{
    ssize_t n = recv(s->fd, f->buffer, sizeof f->buffer - 1, 0);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        die("a subscriber was cut off");
    f->buffer[n] = 0;
    for (char *at = f->buffer, *end = at + n; at < end;) {
        char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) {
            keep(s, at, (size_t)(end - at));
            return;
        }
        if (s->kept) {
            keep(s, at, (size_t)(stop - at));
            take_line(f, s, s->line, (size_t)s->kept);
            s->kept = 0;
        } else {
            take_line(f, s, at, (size_t)(stop - at));
        }
        at = stop + 1;
    }
}

/* Counts those that are good; a refusal shows as an answer that is missing. */
static void read_answers(struct fan *f)
{
    static const char good[] = "HTTP/1.1 200 ";
    ssize_t n = recv(f->publisher, f->buffer, sizeof f->buffer - 1, 0);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        die("the publisher was cut off");
    for (ssize_t i = 0; i < n; i++) {
        f->matched = f->buffer[i] == good[f->matched] ? f->matched + 1 : f->buffer[i] == good[0];
        if (good[f->matched])
            continue;
        f->answers--;
        f->matched = 0;
    }
}

/* --- subscribing, publishing ----------------------------------------------------------------------- */

static int subscribe(const struct fan *f, int receive_bytes)
{
    char text[512];
    int fd = dial(f->port, receive_bytes);
    int n = snprintf(text, sizeof text,
                     "GET /mig/v0.1/subscribe/%s?resume_cursor=latest HTTP/1.1\r\n"
                     "Host: 127.0.0.1\r\nAccept: text/event-stream\r\nX-Tenant-ID: %s\r\n\r\n",
                     f->topic, required("TENANT"));
    send_all(fd, text, (size_t)n);
    return fd;
}

/* The request `times` over; *ret_len: its length. */
static char *publishing(const struct fan *f, const char *body, size_t times, size_t *ret_len)
{
    size_t cap = strlen(body) + 512;
    char *text = malloc(cap * times);
    size_t len = 0;

    if (!text)
        die("out of memory");
    for (size_t i = 0; i < times; i++)
        len += (size_t)snprintf(text + len, cap,
                                "POST /mig/v0.1/publish/%s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                                "Content-Type: application/json\r\nX-Tenant-ID: %s\r\n"
                                "Content-Length: %zu\r\n\r\n%s",
                                f->topic, required("TENANT"), strlen(body), body);
    *ret_len = len;
    return text;
}

/* Large events for whoever has subscribed already, one after the other. */
static void fill(struct fan *f)
{
    char *body = malloc(FILL_BYTES + 128);
    size_t len, n = (size_t)sprintf(body, "{\"payload\":{\"fill\":\"");

    memset(body + n, 'f', FILL_BYTES);
    strcpy(body + n + FILL_BYTES, "\"}}");
    char *text = publishing(f, body, 1, &len);
    for (int i = 0; i < FILL_EVENTS; i++) {
        send_all(f->publisher, text, len);
        skip_until(f->publisher, "\"sequence\"");
    }
    f->first = FILL_EVENTS + 1;
    free(text);
    free(body);
}

/* 0: something did not come. */
static int publish(struct fan *f, const char *text, size_t len)
{
    struct epoll_event ready[512];

    f->left = f->count * f->burst;
    f->answers = f->burst;
    memset(f->arrived, 0, sizeof f->arrived);
    f->began_ns = now_ns();
    send_all(f->publisher, text, len);
    while (f->left || f->answers) {
        int n = epoll_wait(f->ep, ready, 512, SILENCE_MS);
        if (n <= 0) {
            f->missing += f->left;
            return 0;
        }
        for (int i = 0; i < n; i++)
            if (ready[i].data.ptr)
                read_stream(f, ready[i].data.ptr);
            else
                read_answers(f);
    }
    f->first += f->burst;
    return 1;
}

static void gather(struct fan *f)
{
    f->subs = calloc(f->count, sizeof *f->subs);
    for (size_t i = 0; i < f->count; i++)
        f->subs[i].fd = subscribe(f, 0);
    for (size_t i = 0; i < f->count; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &f->subs[i]};
        skip_until(f->subs[i].fd, "retry: ");
        unblock(f->subs[i].fd);
        epoll_ctl(f->ep, EPOLL_CTL_ADD, f->subs[i].fd, &e);
    }
    unblock(f->publisher);
    epoll_ctl(f->ep, EPOLL_CTL_ADD, f->publisher, &(struct epoll_event){.events = EPOLLIN});
}

int main(int argc, char **argv)
{
    static struct fan f;
    size_t len;

    if (argc != 8)
        die("usage: fan PORT PID TOPIC SUBSCRIBERS BURST SECONDS STALLED");
    f.port = atoi(argv[1]);
    f.topic = argv[3];
    f.count = strtoul(argv[4], NULL, 10);
    f.burst = strtoul(argv[5], NULL, 10);
    if (!f.burst || f.burst > BURST_MAX)
        die("bursts have 1 to %d events", BURST_MAX);
    raise_files();
    f.ep = epoll_create1(EPOLL_CLOEXEC);
    f.publisher = dial(f.port, 0);
    for (int i = 0; i < atoi(argv[7]); i++)
        skip_until(subscribe(&f, 4096), "200 OK");
    fill(&f);
    gather(&f);
    delays_init(&f.delays);

    char *text = publishing(&f, required("BODY"), f.burst, &len);
    for (uint64_t until = now_ns() + WARM_MS * (NS_PER_S / 1000); now_ns() < until;)
        if (!publish(&f, text, len))
            die("a subscriber got nothing");
    delays_clear(&f.delays);

    int pid = atoi(argv[2]);
    uint64_t cpu = cpu_ns(pid), coarse = cpu_coarse_ns(pid), began = now_ns(), bursts = 0;
    uint64_t until = began + (uint64_t)(atof(argv[6]) * (double)NS_PER_S);
    while (now_ns() < until && publish(&f, text, len))
        bursts++;
    double took = (double)(now_ns() - began) / (double)NS_PER_S;
    double deliveries = (double)(bursts * f.burst * f.count);
    cpu = cpu_ns(pid) - cpu;
    coarse = cpu_coarse_ns(pid) - coarse;
    printf("{\"subscribers\": %zu, \"burst\": %zu, \"deliveries\": %.0f, \"per_s\": %.0f, "
           "\"missing\": %llu, \"repeated\": %llu, \"lags\": %llu, ",
           f.count, f.burst, deliveries, deliveries / took, (unsigned long long)f.missing,
           (unsigned long long)f.again, (unsigned long long)f.lags);
    printf("\"cpu_us\": %.4f, \"coarse_cpu_us\": %.4f, ", (double)cpu / 1e3 / deliveries,
           (double)coarse / 1e3 / deliveries);
    delays_print(&f.delays);
    printf("}\n");
    return 0;
}
