/* ctl_http.h: requests of migctl over libcurl, of which ctl_http.c is the one face.
 *
 *   client   the address and how to speak to it; runs any number of jobs at once
 *   job      a request and what came so far of its answer
 *   wire     a bare connection to the same address, TLS included: what WebSocket stands on
 *
 * Nothing happens behind the back: jobs move while http_pump() runs. One thread. */
#ifndef MAIN_CTL_HTTP_H
#define MAIN_CTL_HTTP_H
#include "base/buf.h"
#include "base/check.h"

#include <sys/types.h>

struct ctl;
enum { HTTP_ANSWER_MAX = 64 << 20, HTTP_HEAD_MAX = 256 << 10 };

/* ---- ctl_url.c: addresses, paths, header lines */
struct url {
    char host[256], port[8], prefix[256]; /* host without brackets; prefix without a last slash */
    bool is_tls;
};
/* false: *why (static) says what is wrong. */
bool url_parse(struct url *u, const char *text, const char **why);
/* A segment of a path, percent-encoded. */
void url_add_segment(struct buf *out, str segment);
/* Appends "Name: value\n"; nothing for an absent or empty value. false: control characters, which
 * could bring a second header. */
bool head_add(struct buf *heads, const char *name, const char *value);
/* The value of the first such line, trimmed; ptr NULL: there is none. */
str head_find(str heads, const char *name);

/* ---- the client */
struct http;
/* Borrows c. NULL: a usage error was printed. */
struct http *http_new(const struct ctl *c);
/* Ends what still runs. */
void http_free(struct http *h);
void http_freep(struct http **h);
const struct url *http_url(const struct http *h);
/* Lines that every request of the command line carries: tenant, actor, token, and for operators'
 * paths the admin key. false: a usage error was printed. */
bool http_default_heads(const struct ctl *c, const char *path, struct buf *heads);

/* ---- jobs */
struct http_ask {
    const char *method, *path; /* the path begins with a slash                         */
    str heads;                 /* lines as head_add() makes them                       */
    str body;                  /* ptr NULL: none                                       */
    int64_t timeout_ms;        /* of the whole; 0: no limit                            */
};
struct http_job {
    unsigned status;     /* 0: no head of an answer yet                                */
    struct buf head;     /* status line and header lines, each ended by '\n'           */
    struct buf body;     /* what came; a reader of a stream may drop what it has read  */
    bool is_done, is_h2; /* done: the answer is whole, or there is a fault             */
    const char *fault;   /* why there is no whole answer; NULL: none                   */
    int exit_code;       /* CTL_OK, or what a command that fails by this exits with    */
    int64_t started_ms, head_ms, done_ms; /* clock_ms()                                */
    struct http_job_parts *parts;
};
/* Never NULL; what cannot begin is done at once, with a fault. Copies the request. */
struct http_job *http_start(struct http *h, const struct http_ask *ask);
/* A job that still runs is cut off: the gateway sees its client go. */
void http_job_free(struct http *h, struct http_job *j);
/* Waits until something moved, fd (or -1) can be read, or the time is over; 0: no wait. */
void http_pump(struct http *h, int fd, int64_t timeout_ms);
/* Until it is done. false: the time was over first. */
bool http_wait(struct http *h, const struct http_job *j, int64_t timeout_ms);
/* Until its head is there, or it is done. */
bool http_wait_head(struct http *h, const struct http_job *j, int64_t timeout_ms);

/* ---- wires */
struct http_wire;
/* Connects. NULL: *why (until the next call) says why not. */
struct http_wire *http_wire_open(struct http *h, int64_t timeout_ms, const char **why);
void http_wire_free(struct http_wire *w);
/* Bytes moved; 0: not now; -1: over (recv: the peer closed, or a fault). */
ssize_t http_wire_send(struct http_wire *w, const void *bytes, size_t n);
ssize_t http_wire_recv(struct http_wire *w, void *bytes, size_t n);
int http_wire_fd(const struct http_wire *w);

/* Milliseconds of the monotonic clock. */
int64_t clock_ms(void);
#endif
