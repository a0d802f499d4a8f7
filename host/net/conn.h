/* conn.h: a client connection: socket, output and timer. Private to net/. Owner: its loop. */
#ifndef NET_CONN_H
#define NET_CONN_H
#include "base/list.h"
#include "net/http.h"

#include <llhttp.h>
#include <stdatomic.h>

enum conn_phase {
    CONN_IDLE,     /* between requests                                */
    CONN_HEAD,     /* a request line or headers are coming            */
    CONN_BODY,     /* the body is coming                              */
    CONN_HANDLING, /* somebody works on the answer                    */
    CONN_LINGER,   /* answered for good; what still comes is dropped  */
    CONN_CLOSING
};

struct net_loop {
    struct loop *loop;
    const struct exchange_ops *ops;
    const struct http_limits *(*limits)(struct loop *l);
    llhttp_settings_t settings;
    struct list conns;
    bool is_draining;
    _Atomic size_t count;
    _Atomic uint64_t requests, accepted, errors;
    char read_buffer[65536]; /* shared by all connections: used within one callback */
    char date[29];
    uint64_t date_s;
};

/* One header line while it is read: offsets into the head text, which may move. */
struct head_line {
    uint32_t name, name_len, value, value_len;
};

struct http_conn {
    uv_tcp_t tcp;
    uv_write_t write;
    uv_shutdown_t shutdown;
    llhttp_t parser;
    struct net_loop *net;
    struct list link;
    struct timer timer;
    uint64_t due_ms; /* when the phase has lasted too long; TIMER_NEVER */
    enum conn_phase phase;
    bool is_corked; /* more requests wait in this read: collect the answers */
    bool is_writing, is_reading, close_after_write, wants_writable;
    struct buf out;     /* waits behind what is being written */
    struct buf sending; /* owned by libuv until written       */
    struct buf stash;   /* bytes behind the present request   */

    struct http_limits limits; /* in force for the present request */

    /* the request being read */
    struct exchange *x;
    struct arena_text head;
    struct head_line *lines;
    uint32_t line_count, line_cap;
    uint32_t url_len, head_bytes;
    char *body;
    size_t body_len, body_cap;
    unsigned refusal; /* status to answer with instead of going on */
    const char *refusal_reason;
    char remote[64];
};

enum { CONN_HIGH_WATER = 65536, CONN_STASH_MAX = 65536, CONN_OUT_MAX = 64 << 20 };

/* http1.c */
void http1_settings(llhttp_settings_t *s);
void http1_begin(struct http_conn *c);
void http1_feed(struct http_conn *c, const char *data, size_t len);
void http1_forget(struct http_conn *c); /* drops a request that is not complete */

/* conn.c */
void conn_write(struct http_conn *c, const uv_buf_t *bufs, unsigned count);
/* Keep bytes that came behind the present request. */
void conn_stash(struct http_conn *c, const char *data, size_t len);
size_t conn_queued(const struct http_conn *c);
void conn_phase(struct http_conn *c, enum conn_phase phase);
/* Close behind what is queued. */
void conn_finish(struct http_conn *c);
void conn_close(struct http_conn *c);
/* The answer is complete: the next request, or the end. */
void conn_next(struct http_conn *c);
str net_date(struct net_loop *n);
#endif
