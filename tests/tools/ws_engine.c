/* ws_engine: host/net/ws.c without the daemon, for interop tests and figures.
 *
 *   ws_engine echo [MAX]   listens on a port of 127.0.0.1 that it prints, echoes messages (at most MAX
 *                          bytes), one client after the other; a line per socket that ended
 *   ws_engine bench        frames per second and bytes per socket, in memory */
#include "base/check.h"
#include "net/ws.h"
#include "net/ws_frame.h"
#include "net/ws_handshake.h"

#include <arpa/inet.h>
#include <malloc.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { READ = 64 << 10, DEFLATE_MIN = 32 };

/* --- echo --------------------------------------------------------------------------------------------- */

struct client {
    struct ws *ws;
    int fd;
};

static mig_status send_all(void *owner, const str *pieces, unsigned count, void *hold)
{
    struct client *c = owner;

    (void)hold;
    for (unsigned i = 0; i < count; i++)
        for (size_t at = 0; at < pieces[i].len;) {
            ssize_t n = send(c->fd, pieces[i].ptr + at, pieces[i].len - at, MSG_NOSIGNAL);
            if (n <= 0)
                return MIG_E_GONE;
            at += (size_t)n;
        }
    return MIG_OK;
}

static void echo(void *owner, str bytes, bool is_binary)
{
    struct client *c = owner;
    ws_send(c->ws, &(struct ws_message){.bytes = bytes, .is_binary = is_binary});
}

static void on_pong(void *owner, str payload)
{
    (void)owner;
    printf("pong %zu\n", payload.len);
}

static void on_close(void *owner, unsigned code, str reason)
{
    (void)owner;
    printf("close %u %.*s\n", code, STR_ARG(reason));
}

static void on_fail(void *owner, unsigned code, const char *reason)
{
    (void)owner;
    printf("fail %u %s\n", code, reason);
}

static const struct ws_ops echo_ops = {send_all, echo, on_pong, on_close, on_fail};

/* Headers of a request, names in lower case; how many. */
static uint32_t split_headers(str head, mig_header *headers, uint32_t max)
{
    uint32_t count = 0;

    str_split(&head, '\n');
    while (head.ptr && count < max) {
        str line = str_trim(str_split(&head, '\n'));
        str name = str_split(&line, ':');
        if (!name.len)
            continue;
        str_lower((char *)(uintptr_t)name.ptr, name.len);
        headers[count++] = (mig_header){name, str_trim(line)};
    }
    return count;
}

static void serve(struct ws_pool *pool, int fd, uint32_t max)
{
    static char buf[READ];
    struct arena_pool chunks = {0};
    struct arena *a = arena_new(&chunks, 1 << 20);
    mig_header headers[64];
    struct ws_agreement agreed;
    size_t len = 0;
    ssize_t n;
    char *end = NULL;
    const str protocols[] = {S("mig.v0.1")};

    must(a);
    while (!end && (n = recv(fd, buf + len, sizeof buf - len, 0)) > 0) {
        len += (size_t)n;
        end = memmem(buf, len, "\r\n\r\n", 4);
    }
    size_t head = end ? (size_t)(end + 4 - buf) : 0;
    uint32_t count = split_headers((str){buf, head}, headers, countof(headers));
    struct client c = {.fd = fd};
    if (end && ws_accept(headers, count, protocols, 1, true, a, &agreed)) {
        struct ws_config config = {max, DEFLATE_MIN, agreed.window_bits};
        c.ws = ws_new(pool, &config, &echo_ops, &c);
        must(c.ws);
        send_all(&c, &agreed.head, 1, NULL);
        mig_status r = ws_feed(c.ws, buf + head, len - head);
        while (r == MIG_OK && (n = recv(fd, buf, sizeof buf, 0)) > 0)
            r = ws_feed(c.ws, buf, (size_t)n);
    }
    shutdown(fd, SHUT_WR);
    while (recv(fd, buf, sizeof buf, 0) > 0)
        continue;
    close(fd);
    ws_free(c.ws);
    arena_unref(a);
    arena_pool_deinit(&chunks);
}

static void listen_and_echo(uint32_t max)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof addr;
    struct ws_pool *pool = ws_pool_new();
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), client;

    must(fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof addr) == 0 && listen(fd, 16) == 0);
    must(getsockname(fd, (struct sockaddr *)&addr, &size) == 0 && pool);
    printf("%u\n", ntohs(addr.sin_port));
    while ((client = accept(fd, NULL, NULL)) >= 0) {
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        serve(pool, client, max);
    }
}

/* --- bench -------------------------------------------------------------------------------------------- */

static size_t sent;

static mig_status sink(void *owner, const str *pieces, unsigned count, void *hold)
{
    (void)owner;
    (void)hold;
    for (unsigned i = 0; i < count; i++)
        sent += pieces[i].len;
    return MIG_OK;
}

static const struct ws_ops sink_ops = {sink, echo, on_pong, on_close, on_fail};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* `count` masked text frames of `size` bytes each. */
static struct buf frames(size_t count, size_t size, unsigned reserved, const char *payload)
{
    static const uint8_t mask[4] = {0x37, 0xFA, 0x21, 0x3D};
    struct buf b;

    buf_init(&b, BUF_MAX);
    for (size_t i = 0; i < count; i++) {
        char *p = buf_reserve(&b, size + WS_HEAD_MAX);
        must(p);
        size_t head = ws_head_write(p, WS_TEXT, reserved, true, size);
        p[1] = (char)(p[1] | 0x80);
        memcpy(p + head, mask, 4);
        ws_unmask(p + head + 4, payload, size, mask, 0);
        b.len += head + 4 + size;
    }
    return b;
}

static void measure(const char *what, uint8_t window_bits, const struct buf *in, size_t count,
                    size_t size, size_t cut)
{
    struct client c = {0};
    struct ws_pool *pool = ws_pool_new();
    double best = 0;

    must(pool);
    c.ws = ws_new(pool, &(struct ws_config){4 << 20, 0, window_bits}, &sink_ops, &c);
    for (int run = 0; run < 7; run++) {
        double from = now();
        size_t rounds = 0;
        for (; now() - from < 0.1; rounds++)
            for (size_t at = 0; at < in->len; at += cut)
                must(ws_feed(c.ws, in->ptr + at, in->len - at < cut ? in->len - at : cut) ==
                     MIG_OK);
        double rate = (double)(rounds * count) / (now() - from);
        best = rate > best ? rate : best;
    }
    printf("%-34s %9.3f M frames/s  %8.1f MB/s\n", what, best / 1e6, best * (double)size / 1e6);
    ws_free(c.ws);
    ws_pool_free(pool);
}

static void measure_plain(const char *what, size_t count, size_t size, size_t cut, const char *fill)
{
    char *text = malloc(size);
    must(text);
    for (size_t i = 0; i < size; i++)
        text[i] = fill[i % strlen(fill)];
    struct buf in = frames(count, size, 0, text);
    measure(what, 0, &in, count, size, cut);
    buf_deinit(&in);
    free(text);
}

static void measure_deflated(const char *what, size_t count, size_t size)
{
    struct ws_pool *pool = ws_pool_new();
    struct ws_message m = {0};
    struct buf plain, z;
    buf_init(&plain, BUF_MAX);
    buf_init(&z, BUF_MAX);
    for (unsigned i = 0; plain.len < size; i++)
        buf_addf(&plain, "{\"stream_id\":\"s-%u\",\"kind\":\"request\",\"seq\":%u,\"v\":%x},", i,
                 i * 7, i * 2654435761u);
    m.bytes = (str){plain.ptr, size};
    ws_message_deflate(pool, &m, &z);
    must(m.deflated.len);
    struct buf in = frames(count, m.deflated.len, WS_RSV1, m.deflated.ptr);
    measure(what, 15, &in, count, size, READ);
    buf_deinit(&in);
    buf_deinit(&plain);
    buf_deinit(&z);
    ws_pool_free(pool);
}

static void measure_memory(void)
{
    enum { COUNT = 10000 };
    struct ws_pool *pool = ws_pool_new();
    static struct client clients[COUNT];
    struct buf in = frames(1, 100, 0, (char[100]){'a'});
    size_t before = mallinfo2().uordblks;

    for (int i = 0; i < COUNT; i++) {
        struct client *c = &clients[i];
        c->ws = ws_new(pool, &(struct ws_config){4 << 20, 0, 0}, &sink_ops, c);
        for (size_t at = 0; at < in.len; at += 50)
            must(ws_feed(c->ws, in.ptr + at, in.len - at < 50 ? in.len - at : 50) == MIG_OK);
        must(ws_is_idle(c->ws));
    }
    printf("%-34s %9.1f bytes of heap\n", "an idle socket, after an echo",
           (double)(mallinfo2().uordblks - before) / COUNT);
    for (int i = 0; i < COUNT; i++)
        ws_free(clients[i].ws);
    buf_deinit(&in);
    ws_pool_free(pool);
}

int main(int argc, char **argv)
{
    uint64_t max = 4 << 20;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1 && strcmp(argv[1], "echo") == 0 &&
        (argc < 3 || (str_to_u64(str_of(argv[2]), &max) && max <= UINT32_MAX))) {
        listen_and_echo((uint32_t)max);
        return 0;
    }
    if (argc != 2 || strcmp(argv[1], "bench") != 0) {
        fprintf(stderr, "usage: ws_engine echo [MAX] | bench\n");
        return 2;
    }
    measure_plain("100 bytes ASCII", 500, 100, READ, "abcdefghij");
    measure_plain("100 bytes ASCII, a feed each", 500, 100, 106, "abcdefghij");
    measure_plain("100 bytes ASCII, cut at 50", 500, 100, 50, "abcdefghij");
    measure_plain("100 bytes of Cyrillic", 500, 100, READ, "\xD0\xB6\xD1\x8F");
    measure_plain("16 KiB ASCII", 8, 16384, READ, "abcdefghij");
    measure_plain("1 MiB ASCII in reads of 64 KiB", 2, 1 << 20, READ, "abcdefghij");
    measure_deflated("120 bytes JSON, deflated", 500, 120);
    measure_deflated("1000 bytes JSON, deflated", 500, 1000);
    measure_deflated("100 kB JSON, deflated", 5, 100000);
    measure_memory();
    return 0;
}
