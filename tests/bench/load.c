/* See load.h. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "load.h"

enum { DELAYS = 1000000, HEAD_MAX = 4096 };

void die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

const char *required(const char *name)
{
    const char *text = getenv(name);

    if (!text)
        die("%s is not set", name);
    return text;
}

uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

void raise_files(void)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* --- sockets -------------------------------------------------------------------------------------- */

int dial(int port, int receive_bytes)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    if (fd >= 0 && receive_bytes)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        die("connect to port %d: %s", port, strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

void unblock(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

void send_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 1000);
            continue;
        }
        if (n <= 0)
            die("send: %s", strerror(errno));
        data += n;
        len -= (size_t)n;
    }
}

void skip_until(int fd, const char *text)
{
    char head[HEAD_MAX + 1];
    size_t len = 0;

    do {
        ssize_t n = len < HEAD_MAX ? recv(fd, head + len, HEAD_MAX - len, 0) : 0;
        if (n <= 0)
            die("no \"%s\" in: %.*s", text, (int)len, head);
        len += (size_t)n;
        head[len] = 0;
    } while (!strstr(head, text));
}

/* --- delays --------------------------------------------------------------------------------------- */

void delays_init(struct delays *d)
{
    *d = (struct delays){.count = calloc(DELAYS + 1, sizeof *d->count)};
    if (!d->count)
        die("out of memory");
}

void delays_clear(struct delays *d)
{
    memset(d->count, 0, (DELAYS + 1) * sizeof *d->count);
    d->total = d->max_ns = 0;
}

void delays_deinit(struct delays *d)
{
    free(d->count);
}

void delays_add(struct delays *d, uint64_t ns)
{
    uint64_t us = ns / 1000;

    d->count[us < DELAYS ? us : DELAYS]++;
    d->total++;
    if (ns > d->max_ns)
        d->max_ns = ns;
}

double delays_at(const struct delays *d, double share)
{
    uint64_t left = (uint64_t)((double)d->total * share);

    for (size_t us = 0; us < DELAYS; us++) {
        if (left < d->count[us])
            return (double)us;
        left -= d->count[us];
    }
    return (double)d->max_ns / 1e3;
}

void delays_print(const struct delays *d)
{
    printf("\"p50_us\": %.0f, \"p90_us\": %.0f, \"p99_us\": %.0f, \"max_us\": %.0f",
           delays_at(d, 0.5), delays_at(d, 0.9), delays_at(d, 0.99), (double)d->max_ns / 1e3);
}

/* --- the server ----------------------------------------------------------------------------------- */

uint64_t cpu_ns(int pid)
{
    char path[320];
    uint64_t sum = 0;

    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    for (struct dirent *e; tasks && (e = readdir(tasks));) {
        unsigned long long ns = 0;
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, e->d_name);
        FILE *f = e->d_name[0] != '.' ? fopen(path, "r") : NULL;
        if (f && fscanf(f, "%llu", &ns) == 1)
            sum += ns;
        if (f)
            fclose(f);
    }
    if (tasks)
        closedir(tasks);
    return sum;
}

uint64_t cpu_coarse_ns(int pid)
{
    char path[64], text[1024] = "";
    unsigned long long user = 0, system = 0;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    const char *name_end = n ? strrchr(text, ')') : NULL;
    if (!name_end ||
        sscanf(name_end + 1, " %*c%*d%*d%*d%*d%*d%*u%*u%*u%*u%*u%llu%llu", &user, &system) != 2)
        return 0;
    return (user + system) * (NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK));
}
