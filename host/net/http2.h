/* http2.h: HTTP/2 on a connection (RFC 9113), server side. Private to net/. Owner: the loop.
 *
 *   http2.c          the session: bytes in and out, time, end
 *   http2_session.c  nghttp2's session: settings, what frames cost, the life of streams
 *   http2_request.c  heads and bodies to exchanges
 *   http2_answer.c   exchanges' answers to frames
 *
 *   feed: nghttp2 reads all that came -> complete requests are handed over -> answers are collected ->
 *   pump: frames of the whole turn leave in one write. Answers of later turns post a pump.
 *
 * nghttp2 may not be re-entered from its callbacks, so those only note what is to be done. */
#ifndef NET_HTTP2_H
#define NET_HTTP2_H
#include "net/conn.h"
#include "net/exchange_io.h"

#include <nghttp2/nghttp2.h>

enum { HTTP2_HEADER_LIST_MAX = 65536 };

/* Owner: its connection. */
struct http2 {
    struct conn *c;
    nghttp2_session *session;
    struct http_limits limits; /* in force when the last request began               */
    struct list streams;       /* all                                                */
    struct list receiving;     /* a body may come, longest without a byte first      */
    struct list ready;         /* complete requests, not handed over yet             */
    struct list relieved;      /* somebody waits for room, and there is room         */
    size_t body_bytes;         /* of bodies that are kept, all streams together      */
    struct task pump;
    bool is_posted;  /* the task is queued                                           */
    bool is_busy;    /* feed() will pump                                             */
    bool is_greeted; /* the client's settings came                                   */
    bool is_flooded; /* the client has used up its budget                            */
    bool is_leaving; /* GOAWAY is on its way                                         */
    bool is_ended, is_disposed;
    int32_t last_id, previous_id; /* of the last two streams that the client has opened  */
    uint64_t head_since_ms;       /* a header block is coming; 0: none                     */
    uint64_t idle_since_ms;       /* no stream since then; 0: there are streams            */
    int64_t budget;               /* for frames that cost us more than the client          */
    uint64_t budget_ms;
};

/* In its own arena, of which it has a reference until nghttp2 closes the stream. */
struct http2_stream {
    struct exchange x; /* first: the exchange is the stream */
    struct http2 *h;   /* NULL: the stream is closed        */
    struct list link;  /* in h->streams                     */
    struct list queue; /* in receiving, ready or relieved   */
    int32_t id;
    bool is_complete; /* the whole request has come                               */
    bool is_handed;   /* the exchange's reference to the arena is somebody else's  */
    uint64_t heard_ms;

    /* the request */
    mig_header *lines;
    uint32_t line_count, line_cap;
    size_t head_bytes;
    unsigned refusal;
    const char *refusal_reason;
    str expect;
    char *body;
    size_t body_len, body_cap;

    /* the answer */
    nghttp2_nv *fields; /* [0] is :status, two more are free */
    size_t field_count;
    struct buf out; /* what nghttp2 has not taken; out_at bytes of it are gone */
    size_t out_at;
    bool is_submitted;
    bool is_waiting; /* nghttp2 asked for data and there was none */
    bool wants_writable;
};

extern const struct exchange_io http2_io;

/* For a connection on which HTTP/2 was agreed on by ALPN, or whose preface has been read. NULL: out of
 * memory; nothing has happened to c. */
struct http2 *http2_new(struct conn *c, bool has_preface);
/* From here on the connection is h's. */
void http2_start(struct http2 *h);

/* Frames wait: see to it that they leave in this turn. */
void http2_wake(struct http2 *h);
/* The client did something that is cheap for it and dear for us. */
void http2_charge(struct http2 *h, int cost);
/* http2_session.c */
nghttp2_session *http2_session_new(struct http2 *h, bool has_preface);
/* The stream is closed: its exchange, if it still runs, hears of it. */
void http2_forget(struct http2_stream *s);
/* http2_request.c: callbacks of nghttp2, and what http2_session.c makes of frames. */
int http2_on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user);
int http2_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                    size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                    void *user);
int http2_on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                  size_t len, void *user);
void http2_on_head(struct http2_stream *s, bool is_complete);
void http2_on_complete(struct http2_stream *s);
/* Hand over what is complete. */
void http2_dispatch(struct http2 *h);
/* No byte of the body for too long: 408, or, when it has its answer, the end of the stream. */
void http2_too_slow(struct http2_stream *s);
/* http2_answer.c: data for nghttp2. */
ssize_t http2_take(struct http2_stream *s, uint8_t *to, size_t max, uint32_t *flags);
#endif
