/* tls.h: what TLS on a listener needs: certificates, who may connect, ticket keys. A context is an
 * immutable snapshot of the files, made for a generation; connections keep theirs until they end.
 *
 * TLS 1.2 and 1.3, ALPN h2 and http/1.1, names (SNI) exact or *.example.org, no renegotiation, no
 * compression, no 0-RTT. The only face of OpenSSL's ssl library together with tls*.c. */
#ifndef NET_TLS_H
#define NET_TLS_H
#include "base/diag.h"

struct tls_tickets;
struct tls_context;

/* A certificate chain with its key, both PEM. */
struct tls_pair {
    const char *cert_file, *key_file;
    const char *const *names; /* server names that it is for; of the first pair not looked at */
    size_t name_count;
};

struct tls_options {
    struct tls_pair pair; /* for every name that no other pair has */
    const struct tls_pair *more;
    size_t more_count;
    const char *client_ca_file; /* PEM; clients must have a certificate from it. NULL: none asked */
    const char *ciphers;        /* of TLS 1.2, in OpenSSL's words; NULL: OpenSSL's choice         */
    bool is_13_only;
    struct tls_tickets *tickets;
};

/* Reads the files, so it may block. NULL: d says of each file what is wrong with it, in OpenSSL's
 * words. A certificate that is not valid now is a warning. */
struct tls_context *tls_context_new(const struct tls_options *o, struct diag *d);
/* [any] */
struct tls_context *tls_context_ref(struct tls_context *t);
struct tls_context *tls_context_unref(struct tls_context *t);

/* Keys of session tickets, new each hour; tickets of the hour before are still taken. Outlive
 * contexts, so that a reload does not end sessions. [any] */
struct tls_tickets *tls_tickets_new(void);
void tls_tickets_free(struct tls_tickets *t);
#endif
