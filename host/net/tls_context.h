/* tls_context.h: what tls.c takes from a context. Private to net/. */
#ifndef NET_TLS_CONTEXT_H
#define NET_TLS_CONTEXT_H
#include "net/tls.h"

struct ssl_ctx_st;    /* OpenSSL's SSL_CTX    */
struct bio_method_st; /* OpenSSL's BIO_METHOD */

struct ssl_ctx_st *tls_context_ssl(const struct tls_context *t);
bool tls_context_asks_clients(const struct tls_context *t);

/* tls_tickets.c: let ctx use these keys; they live longer than ctx. */
void tls_tickets_use(struct tls_tickets *t, struct ssl_ctx_st *ctx);
#endif
