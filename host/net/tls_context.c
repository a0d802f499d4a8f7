#include "net/tls_context.h"
#include "base/check.h"
#include "base/map.h"
#include "base/openssl.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { NAME_MAX_BYTES = 255 };

/* Immutable after tls_context_new(). Any thread. */
struct tls_context {
    _Atomic unsigned refs;
    SSL_CTX *ssl;
    SSL_CTX **more;
    size_t more_count;
    struct map by_name; /* "a.example.org" or "*.example.org" -> SSL_CTX; keys in names */
    char **names;
    size_t name_count;
    bool asks_clients;
};

/* --- findings ----------------------------------------------------------------------------------- */

/* The root of what OpenSSL has to say; empties its queue. */
static const char *reason(void)
{
    unsigned long first = ERR_peek_error();
    const char *text =
        ERR_SYSTEM_ERROR(first) ? strerror(ERR_GET_REASON(first)) : ERR_reason_error_string(first);

    ERR_clear_error();
    return text ? text : "no reason given";
}

static bool complain(struct diag *d, const char *file, const char *id, const char *what)
{
    diag_error(d, ((struct diag_at){.file = file}), id, "%s: %s", what, reason());
    return false;
}

static void warn_of_dates(X509 *cert, const char *file, struct diag *d)
{
    if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
        diag_warn(d, ((struct diag_at){.file = file}), "tls.expired",
                  "the certificate is no longer valid");
    else if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0)
        diag_warn(d, ((struct diag_at){.file = file}), "tls.early",
                  "the certificate is not valid yet");
}

/* --- names -------------------------------------------------------------------------------------- */

static SSL_CTX *find_name(const struct tls_context *t, str name)
{
    char wild[NAME_MAX_BYTES + 2];
    SSL_CTX *found = map_get(&t->by_name, name);
    const char *dot = found ? NULL : memchr(name.ptr, '.', name.len);

    if (!dot)
        return found;
    str rest = str_cut(name, (size_t)(dot - name.ptr));
    wild[0] = '*';
    memcpy(wild + 1, rest.ptr, rest.len);
    return map_get(&t->by_name, (str){wild, rest.len + 1});
}

static int on_name(SSL *ssl, int *alert, void *arg)
{
    const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    size_t len = asked ? strlen(asked) : 0;
    char lower[NAME_MAX_BYTES];

    (void)alert;
    if (!len || len > sizeof lower)
        return SSL_TLSEXT_ERR_NOACK;
    for (size_t i = 0; i < len; i++)
        lower[i] = asked[i] >= 'A' && asked[i] <= 'Z' ? (char)(asked[i] | 0x20) : asked[i];
    SSL_CTX *ctx = find_name(arg, (str){lower, len});
    if (ctx)
        SSL_set_SSL_CTX(ssl, ctx);
    return SSL_TLSEXT_ERR_OK;
}

static bool take_names(struct tls_context *t, const struct tls_pair *p, SSL_CTX *ctx,
                       struct diag *d)
{
    for (size_t i = 0; i < p->name_count; i++) {
        char *name = str_dup(str_of(p->names[i]));
        must(name);
        str_lower(name, strlen(name));
        t->names[t->name_count++] = name;
        if (map_get(&t->by_name, str_of(name))) {
            diag_error(d, ((struct diag_at){.file = p->cert_file}), "tls.name_twice",
                       "two certificates are for %s", name);
            return false;
        }
        must(map_put(&t->by_name, str_of(name), ctx));
    }
    return true;
}

/* --- protocols ---------------------------------------------------------------------------------- */

/* RFC 7301 3.2: without a protocol in common the handshake ends. */
static int on_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_len,
                   const unsigned char *offered, unsigned offered_len, void *arg)
{
    static const unsigned char ours[] = "\x02h2\x08http/1.1";
    unsigned char *chosen;

    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&chosen, ret_len, ours, sizeof ours - 1, offered, offered_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* --- making one --------------------------------------------------------------------------------- */

/* A key that asks for a pass phrase would ask on the terminal. */
static int no_phrase(char *buf, int size, int is_writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)is_writing;
    (void)arg;
    return -1;
}

static bool take_pair(SSL_CTX *ctx, const struct tls_pair *p, struct diag *d)
{
    ERR_clear_error();
    SSL_CTX_set_default_passwd_cb(ctx, no_phrase);
    if (SSL_CTX_use_certificate_chain_file(ctx, p->cert_file) != 1)
        return complain(d, p->cert_file, "tls.cert_file", "no certificate can be read");
    if (SSL_CTX_use_PrivateKey_file(ctx, p->key_file, SSL_FILETYPE_PEM) != 1)
        return complain(d, p->key_file, "tls.key_file", "no key that fits can be read");
    if (SSL_CTX_check_private_key(ctx) != 1)
        return complain(d, p->key_file, "tls.key_file", "the key is not the certificate's");
    warn_of_dates(SSL_CTX_get0_certificate(ctx), p->cert_file, d);
    return true;
}

static SSL_CTX *make_ssl(const struct tls_options *o, const struct tls_pair *p, struct diag *d)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    must(ctx);
    SSL_CTX_set_min_proto_version(ctx, o->is_13_only ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets hold the state */
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    tls_tickets_use(o->tickets, ctx);
    bool ok = take_pair(ctx, p, d);
    if (ok && o->ciphers && SSL_CTX_set_cipher_list(ctx, o->ciphers) != 1) {
        diag_error(d, ((struct diag_at){0}), "tls.ciphers", "%s: %s", o->ciphers, reason());
        ok = false;
    }
    if (ok)
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

/* Sessions belong to one set of client authorities: a ticket from before a change of them is not
 * resumed, the client has to show its certificate again. */
static void bind_sessions(SSL_CTX *ctx, X509_STORE *store)
{
    unsigned char id[EVP_MAX_MD_SIZE] = "migd";
    unsigned len = 4;
    EVP_MD_CTX *md = store ? EVP_MD_CTX_new() : NULL;
    STACK_OF(X509_OBJECT) *all = store ? X509_STORE_get0_objects(store) : NULL;

    if (md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1) {
        for (int i = 0; i < sk_X509_OBJECT_num(all); i++) {
            unsigned char print[EVP_MAX_MD_SIZE];
            unsigned n = 0;
            X509 *cert = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i));
            if (cert && X509_digest(cert, EVP_sha256(), print, &n) == 1)
                EVP_DigestUpdate(md, print, n);
        }
        EVP_DigestFinal_ex(md, id, &len);
    }
    EVP_MD_CTX_free(md);
    must(SSL_CTX_set_session_id_context(ctx, id, len) == 1);
}

static bool ask_clients(SSL_CTX *ctx, const char *file, struct diag *d)
{
    ERR_clear_error();
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(file);

    if (!names || SSL_CTX_load_verify_file(ctx, file) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return complain(d, file, "tls.client_ca_file", "no certificate can be read");
    }
    SSL_CTX_set_client_CA_list(ctx, names);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return true;
}

static bool add_more(struct tls_context *t, const struct tls_options *o, struct diag *d)
{
    size_t names = 0;
    bool ok = true;

    for (size_t i = 0; i < o->more_count; i++)
        names += o->more[i].name_count;
    t->names = calloc(names + 1, sizeof *t->names);
    t->more = calloc(o->more_count + 1, sizeof *t->more);
    must(t->names && t->more);
    for (size_t i = 0; i < o->more_count; i++) {
        SSL_CTX *ctx = make_ssl(o, &o->more[i], d);
        if (ctx)
            t->more[t->more_count++] = ctx;
        ok &= ctx && take_names(t, &o->more[i], ctx, d);
    }
    return ok;
}

/* What a handshake looks up in the context of the name that was asked for. */
static void share(struct tls_context *t, SSL_CTX *ctx)
{
    X509_STORE *store = t->asks_clients ? SSL_CTX_get_cert_store(t->ssl) : NULL;

    if (store && ctx != t->ssl)
        SSL_CTX_set1_cert_store(ctx, store);
    bind_sessions(ctx, store);
}

struct tls_context *tls_context_new(const struct tls_options *o, struct diag *d)
{
    const char *why;

    if (!openssl_load(&why)) {
        diag_error(d, ((struct diag_at){0}), "tls.openssl", "TLS needs OpenSSL: %s", why);
        return NULL;
    }
    struct tls_context *t = calloc(1, sizeof *t);
    must(t);
    t->refs = 1;
    t->ssl = make_ssl(o, &o->pair, d);
    bool ok = add_more(t, o, d) && t->ssl;
    if (o->client_ca_file && t->ssl)
        ok &= t->asks_clients = ask_clients(t->ssl, o->client_ca_file, d);
    if (!ok)
        return tls_context_unref(t);
    share(t, t->ssl);
    for (size_t i = 0; i < t->more_count; i++)
        share(t, t->more[i]);
    SSL_CTX_set_tlsext_servername_callback(t->ssl, on_name);
    SSL_CTX_set_tlsext_servername_arg(t->ssl, t);
    return t;
}

struct tls_context *tls_context_ref(struct tls_context *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

struct tls_context *tls_context_unref(struct tls_context *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    for (size_t i = 0; i < t->more_count; i++)
        SSL_CTX_free(t->more[i]);
    for (size_t i = 0; i < t->name_count; i++)
        free(t->names[i]);
    SSL_CTX_free(t->ssl);
    map_deinit(&t->by_name);
    free(t->more);
    free(t->names);
    free(t);
    return NULL;
}

SSL_CTX *tls_context_ssl(const struct tls_context *t)
{
    return t->ssl;
}

bool tls_context_asks_clients(const struct tls_context *t)
{
    return t->asks_clients;
}
