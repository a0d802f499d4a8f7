/* exchange.h: one HTTP request and its answer, whatever carried it. A protocol (http1.c, http2.c)
 * fills the request and takes the answer through its exchange_io; a server's ops (edge/) decide what
 * it means. Lives in the request's arena. Owner: its loop.
 *
 *   head -> request -> [ exchange_head -> exchange_write* -> exchange_end ]
 *                  \-> [ exchange_switch: the connection leaves HTTP, see raw.h ]
 *                  \-> gone: the client left before the answer was complete */
#ifndef NET_EXCHANGE_H
#define NET_EXCHANGE_H
#include "base/arena.h"
#include "mig/ext/http.h"

struct exchange_io;
struct loop;
struct raw;
struct raw_ops;

struct exchange {
    const struct exchange_io *io;
    void *carrier; /* of io; NULL: the client has gone, or the answer is complete */
    struct loop *loop;
    struct arena *arena;
    str method, target, path, query, authority, body;
    str remote;                /* once somebody has asked exchange_remote() */
    const mig_header *headers; /* names in lower case */
    uint32_t header_count;
    uint64_t max_body; /* ops->head may lower or raise it */
    bool is_head;      /* HEAD: the answer's body is not sent */
    bool is_tls;
    str upgrade; /* what exchange_switch() may switch to ("websocket"), as the client wrote it */
    bool has_certificate; /* the client has shown one, and it was verified */
    /* What it says. ptr NULL: nothing; empty: something that is no use. */
    str tls_subject_cn, tls_subject_o;
    void *owner; /* of ops */

    /* answer, private to net/ */
    struct arena_text answer; /* HTTP/1: status line and header lines so far */
    unsigned status;
    bool has_answer, is_head_sent, is_chunked, is_ended, is_refused, must_close;
};

struct exchange_ops {
    /* All headers are there, the body not yet. false: refused, an answer was given. */
    bool (*head)(struct exchange *x);
    /* The request is complete. */
    void (*request)(struct exchange *x);
    /* There is room again after MIG_E_AGAIN. */
    void (*writable)(struct exchange *x);
    /* The client left, or the connection failed, before exchange_end(). */
    void (*gone)(struct exchange *x);
    /* The body of an answer that the protocol gives by itself (400, 408, 413, 431, ...). message_id
     * gets what header MIG-Message-ID shall say, or stays empty. */
    str (*error_body)(struct arena *a, unsigned status, str reason, str *ret_message_id);
};

/* Status and headers. MIG_E_ARG: a head was given before, a header is the host's own, or a name or
 * value has bytes that HTTP does not allow. Nothing is sent yet. */
mig_status exchange_head(struct exchange *x, unsigned status, const mig_header *headers,
                         uint32_t count);
/* A piece of the body; it is copied or sent before the return. MIG_E_AGAIN: not taken. */
mig_status exchange_write(struct exchange *x, str bytes);
/* The last piece, which may be empty, and the end. */
void exchange_end(struct exchange *x, str bytes);
/* Cut the answer off: the client must not take what it got for the whole of it. */
void exchange_break(struct exchange *x);
/* Inside ops->request or later, instead of an answer: write `head` (a whole 101 response, empty line
 * included) and hand the connection to ops, which see owner. The exchange is over, as after
 * exchange_end(). NULL: nothing was done, the exchange goes on: the client asked for no upgrade
 * (x->upgrade is empty: HTTP/2 and HTTP/1.0 never do), has left, or has had a head. */
struct raw *exchange_switch(struct exchange *x, str head, const struct raw_ops *ops, void *owner);
/* A long answer in less memory: moves x into `a`, with what is known of it by method, path and peer; headers
 * and body are gone. Nobody of the caller's may use the old one any more, whose arena stays the caller's. NULL:
 * nothing was done: its head has not left yet, it is over, or there is no memory. */
struct exchange *exchange_move(struct exchange *x, struct arena *a);
/* What exchange_move() will ask of the arena. */
size_t exchange_move_bytes(const struct exchange *x);
/* The value of a request header by its lower-case name; ptr NULL when absent. */
str exchange_header(const struct exchange *x, str name);
/* Peer address as text: "127.0.0.1:51234". */
str exchange_remote(struct exchange *x);
/* An answer of the protocol's own: body from ops->error_body, connection closed behind it. */
void exchange_refuse(struct exchange *x, unsigned status, const char *reason);
#endif
