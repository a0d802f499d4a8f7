/* tls_conn.h: TLS between a connection's socket and its protocol. Private to net/. Owner: the loop.
 *
 * OpenSSL sees memory only: what was read from the socket on one side, a buffer of the loop on the
 * other. A handshake runs on the loop: about 0.4 ms of CPU with an EC key, 0.7 ms with RSA
 * 2048, 0.1 ms when it resumes a session. */
#ifndef NET_TLS_CONN_H
#define NET_TLS_CONN_H
#include "net/conn.h"
#include "net/exchange.h"
#include "net/tls.h"

struct tls;

/* Buffers that all TLS connections of a loop share within one callback; made with the first one. */
struct tls_loop;
void tls_loop_free(struct tls_loop *t);

/* A fresh connection: shakes hands, then starts the protocol that ALPN chose. */
void tls_start(struct conn *c, struct tls_context *context);
void tls_free(struct tls *t);
/* What the socket gave. */
void tls_feed(struct conn *c, const char *data, size_t len);
/* Seals and sends. */
void tls_write(struct conn *c, const uv_buf_t *bufs, unsigned count);
/* close_notify, the last that is written. */
void tls_say_goodbye(struct conn *c);
/* After a FIN: did the client announce it (close_notify)? */
bool tls_was_closed(const struct tls *t);
/* Who the client's certificate says it is, into x. */
void tls_identify(const struct tls *t, struct exchange *x);
#endif
