/* conn.h: a client connection: socket, output queue, one timer, and TLS where the listener has it. A
 * protocol lives on it and may be replaced by another (HTTP/1 by HTTP/2 or by a raw stream). Private
 * to net/. Owner: its loop.
 *
 *   socket -> [ tls.c ] -> proto->feed          conn_write -> [ tls.c ] -> try to send -> queue
 *
 * conn_close() ends a connection at any moment, also from within a callback; the memory stays until
 * libuv has closed the socket, so that callers on the stack may still look at is_closed. */
#ifndef NET_CONN_H
#define NET_CONN_H
#include "base/buf.h"
#include "base/list.h"
#include "net/http.h"
#include "net/raw.h"
#include "net/turns.h"

#include <stdatomic.h>

struct conn;
struct tls;
struct tls_loop;

struct conn_proto {
    void (*feed)(struct conn *c, const char *data, size_t len);
    /* Everything that was written is on its way. */
    void (*written)(struct conn *c);
    /* conn_lasts() is over. */
    void (*due)(struct conn *c);
    /* No new requests: finish when nothing is running. */
    void (*drain)(struct conn *c);
    /* c is closed: tell whoever waits. Not the place to free anything of c->state ... */
    void (*ended)(struct conn *c, enum net_end why);
    /* ... but this is: nobody on the stack uses it any more. */
    void (*dispose)(struct conn *c);
};

struct net_loop {
    struct loop *loop;
    const struct exchange_ops *ops;
    const struct http_limits *(*limits)(struct loop *l);
    struct list conns;
    bool is_draining;
    _Atomic size_t count;
    _Atomic uint64_t requests, accepted, errors, tls_failed, cut, floods;
    struct turns turns;
    struct tls_loop *tls;    /* made with the first TLS connection                      */
    struct buf frames;       /* HTTP/2: of one connection's turn, while they are collected */
    char read_buffer[65536]; /* shared by all connections: used within one callback */
    char date[29];
    uint64_t date_s;
};

/* Why a connection is not read although its protocol would. */
enum conn_hold { HOLD_REST = 1, HOLD_TURN = 2 };

struct conn {
    uv_tcp_t tcp;
    struct net_loop *net;
    const struct conn_proto *proto;
    void *state;     /* of proto         */
    struct tls *tls; /* NULL: plain text */
    struct list link, turn;
    struct timer timer, rest;
    uint64_t due_ms;             /* when to look again; TIMER_NEVER        */
    uint32_t lasts_ms, write_ms; /* what proto asked for; one write's time */
    bool is_corked;              /* collect the output until conn_uncork() */
    bool is_reading;             /* proto wants to                */
    uint8_t holds;               /* enum conn_hold                */
    uint32_t burst;              /* bytes of full reads in a row  */
    bool is_ending;              /* closes behind what is queued; input is dropped    */
    bool has_said_bye;           /* TLS: close_notify is written                      */
    bool is_lingering;           /* everything was sent, the client hangs up          */
    bool is_closed;
    struct buf out;           /* waits behind what is being written      */
    struct outgoing *sending; /* what the socket did not take at once    */
    char *remote;             /* once somebody has asked; malloc'ed      */
};

enum { CONN_HIGH_WATER = 65536, CONN_STASH_MAX = 65536, CONN_OUT_MAX = 64 << 20 };

/* A connection for an accepted socket; proto's state is the caller's to make. NULL: fd is closed. */
struct conn *conn_open(struct net_loop *n, int fd);
/* Sends, or queues behind what is queued. A failure closes the connection. */
void conn_write(struct conn *c, const uv_buf_t *bufs, unsigned count);
/* The same for bytes that are not to be sealed (any more). For tls.c. */
void conn_send(struct conn *c, const uv_buf_t *bufs, unsigned count);
/* Send what was collected while is_corked was set. */
void conn_uncork(struct conn *c);
/* Bytes that wait in this process. */
size_t conn_queued(const struct conn *c);
/* Is there something that conn_write() would queue behind? */
static inline bool conn_is_waiting(const struct conn *c)
{
    return c->sending || c->out.len;
}
/* proto->due in ms from now unless called again before; 0: never. A write's own time goes first. */
void conn_lasts(struct conn *c, uint32_t ms);
/* Stop reading, or go on. */
void conn_read(struct conn *c, bool is_wanted);
/* The same for a reason that is none of the protocol's. */
void conn_hold(struct conn *c, enum conn_hold why);
void conn_release(struct conn *c, enum conn_hold why);
/* Close behind what is queued. */
void conn_finish(struct conn *c);
void conn_close(struct conn *c, enum net_end why);
/* "127.0.0.1:51234", or "?". */
const char *conn_remote(struct conn *c);
str net_date(struct net_loop *n);
#endif
