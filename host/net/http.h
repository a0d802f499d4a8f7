/* http.h: HTTP/1.1 server connections of a loop (RFC 9112), on llhttp.
 *
 * One request at a time per connection; pipelined ones wait in a bounded stash. An idle connection
 * keeps no buffer. Refused with 400 and close: bare LF, obs-fold, Content-Length beside
 * Transfer-Encoding, bad chunk sizes, a missing or second Host, anything llhttp finds. */
#ifndef NET_HTTP_H
#define NET_HTTP_H
#include "loop/loop.h"
#include "net/exchange.h"

struct http_limits {
    uint64_t max_body;
    uint32_t max_header_bytes, max_headers, max_url;
    uint32_t max_connections;
    uint32_t header_ms, body_ms, idle_ms, write_ms;
};

struct net_loop;

/* Own loop. ops and limits() live as long as the loop; limits() is asked at each request. */
struct net_loop *net_loop_new(struct loop *l, const struct exchange_ops *ops,
                              const struct http_limits *(*limits)(struct loop *l));
void net_loop_free(struct net_loop *n);
/* Own loop. A freshly accepted, non-blocking socket. */
void net_accepted(struct net_loop *n, int fd);
/* Own loop. No more requests: idle connections close now, others behind their answer. */
void net_drain(struct net_loop *n);
/* Own loop. Close what is left. */
void net_close_all(struct net_loop *n);
/* [any] Connections now. */
size_t net_connections(const struct net_loop *n);
/* [any] Requests answered, connections accepted, protocol errors since the start. */
void net_counters(const struct net_loop *n, uint64_t *ret_requests, uint64_t *ret_accepted,
                  uint64_t *ret_errors);
#endif
