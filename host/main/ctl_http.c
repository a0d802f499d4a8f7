#include "ctl.h"

#include <errno.h>
#include <llhttp.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>
#include <netinet/in.h>

bool url_parse(struct url *u, const char *text, const char **why)
{
    const char *p = text + 7, *end;
    size_t n;

    *u = (struct url){.port = "80"};
    *why = "only http:// addresses are spoken";
    if (strncmp(text, "http://", 7) != 0)
        return false;
    *why = "no host in it, or one that is too long";
    end = *p == '[' ? strchr(p, ']') : p + strcspn(p, ":/?#");
    p += *p == '[';
    if (!end || end == p || (n = (size_t)(end - p)) >= sizeof u->host)
        return false;
    memcpy(u->host, p, n);
    p = end + (*end == ']');
    *why = "the port is no number";
    if (*p == ':') {
        uint64_t port;
        n = strcspn(++p, "/?#");
        if (!str_to_u64((str){p, n}, &port) || port == 0 || port > 65535)
            return false;
        snprintf(u->port, sizeof u->port, "%u", (unsigned)port);
        p += n;
    }
    *why = "a path is allowed behind the host, a query is not";
    n = strlen(p);
    while (n && p[n - 1] == '/')
        n--;
    if (n >= sizeof u->prefix || strcspn(p, "?# \r\n") < n || (n && *p != '/'))
        return false;
    memcpy(u->prefix, p, n);
    return true;
}

void url_add_segment(struct buf *out, str segment)
{
    static const char safe[] = "-._~";

    for (size_t i = 0; i < segment.len; i++) {
        unsigned char c = (unsigned char)segment.ptr[i];
        bool is_plain = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') ||
                        (c && strchr(safe, c));
        if (is_plain)
            buf_addc(out, (char)c);
        else
            buf_addf(out, "%%%02X", c);
    }
}

/* ---- sockets with a deadline ------------------------------------------------------------------
 */

struct wire {
    int fd;
    int64_t deadline_ms;
};

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* false: errno says why (ETIMEDOUT at the deadline). */
static bool ready(const struct wire *w, short events)
{
    for (;;) {
        int64_t left = w->deadline_ms - now_ms();
        struct pollfd p = {.fd = w->fd, .events = events};
        int n = left > 0 ? poll(&p, 1, left > 3600000 ? 3600000 : (int)left) : 0;

        if (n > 0)
            return true;
        if (n == 0 && now_ms() >= w->deadline_ms)
            errno = ETIMEDOUT;
        else if (n == 0 || errno == EINTR)
            continue;
        return false;
    }
}

static bool try_connect(struct wire *w, const struct addrinfo *a)
{
    int error = 0;
    socklen_t size = sizeof error;

    w->fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
    if (w->fd < 0)
        return false;
    if (connect(w->fd, a->ai_addr, a->ai_addrlen) == 0)
        return true;
    if (errno != EINPROGRESS || !ready(w, POLLOUT))
        return false;
    if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error)
        errno = error;
    return error == 0;
}

static int say_failed(const struct ctl *c, const char *what, int error)
{
    if (error == ECONNREFUSED) {
        fprintf(stderr, "migctl: migd is not running at %s (connection refused)\n", c->url);
        return CTL_NOT_RUNNING;
    }
    fprintf(stderr, "migctl: %s %s: %s\n", what, c->url,
            error == ETIMEDOUT ? "no answer in time" : strerror(error));
    return CTL_FAILED;
}

static int dial(const struct ctl *c, const struct url *u, struct wire *w)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *list, *a;
    int bad = getaddrinfo(u->host, u->port, &hints, &list);
    int error = 0;

    if (bad) {
        fprintf(stderr, "migctl: %s: %s\n", u->host, gai_strerror(bad));
        return CTL_FAILED;
    }
    for (a = list; a; a = a->ai_next) {
        if (try_connect(w, a))
            break;
        error = errno;
        if (w->fd >= 0)
            close(w->fd);
        w->fd = -1;
    }
    freeaddrinfo(list);
    return a ? CTL_OK : say_failed(c, "cannot reach", error);
}

static bool send_all(const struct wire *w, str bytes)
{
    while (bytes.len) {
        ssize_t n = send(w->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (n > 0)
            bytes = str_cut(bytes, (size_t)n);
        else if (errno == EAGAIN ? !ready(w, POLLOUT) : errno != EINTR)
            return false;
    }
    return true;
}

/* ---- the answer -------------------------------------------------------------------------------
 */

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    struct reply *r = p->data;

    return buf_add(&r->body, (str){at, n}) ? 0 : HPE_USER;
}

static int on_done(llhttp_t *p)
{
    struct reply *r = p->data;

    if (p->status_code < 200)
        return 0; /* 100 Continue and its kind: the answer is still to come */
    r->status = p->status_code;
    return HPE_PAUSED;
}

/* false: errno, or 0 and *why says what came instead of an answer. */
static bool read_answer(const struct wire *w, struct reply *r, const char **why)
{
    llhttp_settings_t settings;
    llhttp_t parser;
    char chunk[16384];

    llhttp_settings_init(&settings);
    settings.on_body = on_body;
    settings.on_message_complete = on_done;
    llhttp_init(&parser, HTTP_RESPONSE, &settings);
    parser.data = r;
    *why = "closed the connection without an answer";
    while (!r->status) {
        if (!ready(w, POLLIN))
            return false;
        ssize_t n = recv(w->fd, chunk, sizeof chunk, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n < 0)
            return false;
        llhttp_errno_t e = n ? llhttp_execute(&parser, chunk, (size_t)n) : llhttp_finish(&parser);
        errno = 0;
        if (n)
            *why = r->body.has_failed ? "answers with more than 64 MiB"
                   : e != HPE_OK      ? "speaks no HTTP"
                                      : "closed the connection before the answer was whole";
        if (!r->status && (e != HPE_OK || n == 0))
            return false;
    }
    return true;
}

/* A header value from outside must not bring another header. */
static bool add_header(struct buf *b, const char *name, const char *value)
{
    if (!value || !*value)
        return true;
    for (const char *p = value; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            usage_error("%s: control characters are not allowed", name);
            return false;
        }
    return buf_addf(b, "%s: %s\r\n", name, value);
}

static bool write_head(struct buf *b, const struct ctl *c, const struct url *u, const char *method,
                       const char *path, size_t body)
{
    bool is_v6 = strchr(u->host, ':') != NULL;

    buf_addf(b,
             "%s %s%s HTTP/1.1\r\nHost: %s%s%s:%s\r\nUser-Agent: migctl\r\nConnection: close\r\n",
             method, u->prefix, path, is_v6 ? "[" : "", u->host, is_v6 ? "]" : "", u->port);
    if (body)
        buf_addf(b, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body);
    else if (strcmp(method, "GET") != 0)
        buf_addz(b, "Content-Length: 0\r\n");
    return add_header(b, "X-Tenant-ID", c->tenant) &&
           (!str_starts(str_of(path), S("/admin/")) ||
            add_header(b, "X-Admin-API-Key", c->admin_key)) &&
           buf_addz(b, "\r\n");
}

int http_call(const struct ctl *c, const char *method, const char *path, str body, struct reply *r)
{
    int64_t timeout = c->timeout_ms ? c->timeout_ms : 30000;
    struct wire w = {.fd = -1, .deadline_ms = now_ms() + timeout};
    CLEANUP(buf_deinit) struct buf head;
    const char *why;
    struct url u;
    int code;

    *r = (struct reply){0};
    buf_init(&r->body, HTTP_ANSWER_MAX);
    buf_init(&head, 65536);
    if (!url_parse(&u, c->url, &why))
        return usage_error("--url %s: %s", c->url, why);
    if (!write_head(&head, c, &u, method, path, body.len))
        return CTL_USAGE;
    code = dial(c, &u, &w);
    if (code != CTL_OK)
        return code;
    errno = 0;
    /* A refusal may come before the whole body is sent: the answer counts. */
    bool is_sent = send_all(&w, buf_str(&head)) && send_all(&w, body);
    if ((!is_sent && errno == ETIMEDOUT) || !read_answer(&w, r, &why)) {
        if (errno)
            say_failed(c, "no answer from", errno);
        else
            fprintf(stderr, "migctl: %s %s\n", c->url, why);
        code = CTL_FAILED;
    }
    close(w.fd);
    return code;
}
