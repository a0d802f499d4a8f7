/* http.h: HTTP server connections of a loop: HTTP/1.1 (RFC 9112, on llhttp) and HTTP/2 (RFC 9113, on
 * nghttp2; chosen by ALPN, or on a plain port by the client's preface), with or without TLS.
 *
 * HTTP/1: one request at a time per connection; pipelined ones wait in a bounded stash. An idle
 * connection keeps no buffer. Refused with 400 and close: bare LF, obs-fold, Content-Length beside
 * Transfer-Encoding, bad chunk sizes, a missing or second Host, anything llhttp finds. */
#ifndef NET_HTTP_H
#define NET_HTTP_H
#include "loop/loop.h"
#include "net/exchange.h"

struct tls_context;

struct http_limits {
    uint64_t max_body;
    uint32_t max_header_bytes, max_headers, max_url;
    uint32_t max_connections;
    uint32_t header_ms, body_ms, idle_ms, write_ms, handshake_ms;
    uint32_t max_streams;    /* HTTP/2: requests of a connection at a time         */
    struct tls_context *tls; /* for new connections of TLS listeners; NULL: refuse */
};

struct net_loop;

/* Since the start. */
struct net_counters {
    uint64_t requests; /* answered */
    uint64_t accepted;
    uint64_t errors;     /* protocol errors of all kinds                            */
    uint64_t tls_failed; /* handshakes that came to nothing                         */
    uint64_t cut;        /* TLS connections that ended without a word (truncation?) */
    uint64_t floods;     /* HTTP/2 connections that asked for too much of our work  */
};

/* Own loop. ops and limits() live as long as the loop; limits() is asked at each request. */
struct net_loop *net_loop_new(struct loop *l, const struct exchange_ops *ops,
                              const struct http_limits *(*limits)(struct loop *l));
void net_loop_free(struct net_loop *n);
/* Own loop. A freshly accepted, non-blocking socket. */
void net_accepted(struct net_loop *n, int fd, bool is_tls);
/* Own loop. No more requests: idle connections close now, others behind their answer. */
void net_drain(struct net_loop *n);
/* Own loop. Close what is left. */
void net_close_all(struct net_loop *n);
/* [any] Connections now. */
size_t net_connections(const struct net_loop *n);
/* [any] */
void net_count(const struct net_loop *n, struct net_counters *ret);
#endif
