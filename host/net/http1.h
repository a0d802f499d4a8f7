/* http1.h: HTTP/1.1 on a connection (RFC 9112). Private to net/. Owner: the loop. http1_parse.c
 * reads, http1.c drives it, http1_answer.c writes. */
#ifndef NET_HTTP1_H
#define NET_HTTP1_H
#include "net/conn.h"
#include "net/exchange_io.h"

#include <llhttp.h>

enum http1_phase {
    HTTP1_IDLE,    /* between requests                                            */
    HTTP1_HEAD,    /* a request line or headers are coming, or nothing came yet   */
    HTTP1_BODY,    /* the body is coming                                          */
    HTTP1_HANDLING /* somebody works on the answer                                */
};

/* One header line while it is read: offsets into the head text, which may move. */
struct head_line {
    uint32_t name, name_len, value, value_len;
};

struct http1 {
    struct conn *c;
    llhttp_t parser;
    enum http1_phase phase;
    bool wants_writable;
    bool is_phase_new; /* its time begins when http1_feed() returns */
    bool is_feeding;   /* http1_feed() is on the stack and looks at this again */
    bool is_replaced;  /* another protocol has the connection                  */
    bool has_served;   /* a request has come: too late for an HTTP/2 preface   */
    struct buf stash;  /* bytes behind the present request                     */

    struct http_limits limits; /* in force for the present request */

    /* the request being read */
    struct exchange *x;
    struct arena_text head;
    struct head_line *lines;
    uint32_t line_count, line_cap;
    uint32_t url_len, head_bytes;
    const char *chunk_end; /* of the bytes that are parsed now                              */
    str run;               /* of them, what llhttp need not see; ptr NULL: nothing is ahead */
    char *body;
    size_t body_len, body_cap;
    unsigned refusal; /* status to answer with instead of going on */
    const char *refusal_reason;
};

extern const struct conn_proto http1_proto;
extern const struct exchange_io http1_io;

/* A fresh connection that will speak HTTP/1, or HTTP/2 with prior knowledge. */
void http1_start(struct conn *c);
void http1_feed(struct conn *c, const char *data, size_t len);
void http1_phase(struct http1 *h, enum http1_phase phase);
/* http1_parse.c: the parser, and an exchange for the next request; h->x NULL when memory is out. */
void http1_parser_init(struct http1 *h);
/* As llhttp_execute(); HPE_PAUSED means that a request is complete. */
llhttp_errno_t http1_execute(struct http1 *h, const char *data, size_t len);
void http1_begin(struct http1 *h);
/* The answer is complete: the next request, or the end. */
void http1_next(struct http1 *h);
/* Another protocol takes the connection: what came and was not used is moved to *ret_rest. */
void http1_leave(struct http1 *h, struct buf *ret_rest);
/* Afterwards, where http1_feed() may not be on the stack, which else frees h. */
void http1_left(struct http1 *h);
#endif
