#include "base/openssl.h"
#include "net/http1.h"
#include "net/http2.h"
#include "net/tls_conn.h"
#include "net/tls_context.h"

#include <stdlib.h>

enum { RECORD = 16384, SEALED_KEEP = 1 << 18, SUBJECT_MAX = 256 };

struct tls_loop {
    char opened[65536];    /* plaintext on its way to a protocol   */
    char gathered[RECORD]; /* plaintext on its way into a record   */
    struct buf sealed;     /* records on their way to the socket   */
    BIO_METHOD *method;
};

struct tls {
    SSL *ssl;
    struct tls_context *context;
    struct conn *c;
    const char *in; /* within tls_feed(): what the socket gave and OpenSSL has not read */
    size_t in_len;
    bool is_ready;                       /* hands are shaken */
    bool is_broken;                      /* nothing can be sealed any more */
    bool has_certificate, has_cn, has_o; /* of the client; it was verified */
    char *cn, *o;                        /* NULL: none, or no use          */
};

/* --- OpenSSL's view of the socket --------------------------------------------------------------- */

static int bio_read(BIO *b, char *to, int max)
{
    struct tls *t = BIO_get_data(b);
    size_t n = t->in_len < (size_t)max ? t->in_len : (size_t)max;

    BIO_clear_retry_flags(b);
    if (!n) {
        BIO_set_retry_read(b);
        return -1;
    }
    memcpy(to, t->in, n);
    t->in += n;
    t->in_len -= n;
    return (int)n;
}

static int bio_write(BIO *b, const char *bytes, int n)
{
    struct tls *t = BIO_get_data(b);

    BIO_clear_retry_flags(b);
    return buf_add(&t->c->net->tls->sealed, (str){bytes, (size_t)n}) ? n : -1;
}

static long bio_ctrl(BIO *b, int command, long number, void *pointer)
{
    (void)b;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static struct tls_loop *tls_loop_new(void)
{
    struct tls_loop *t = calloc(1, sizeof *t);
    BIO_METHOD *method =
        t ? BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "migd") : NULL;

    if (!method) {
        free(t);
        return NULL;
    }
    t->method = method;
    buf_init(&t->sealed, CONN_OUT_MAX);
    BIO_meth_set_read(t->method, bio_read);
    BIO_meth_set_write(t->method, bio_write);
    BIO_meth_set_ctrl(t->method, bio_ctrl);
    return t;
}

void tls_loop_free(struct tls_loop *t)
{
    if (!t)
        return;
    BIO_meth_free(t->method);
    buf_deinit(&t->sealed);
    free(t);
}

/* --- out ---------------------------------------------------------------------------------------- */

/* What OpenSSL wrote goes to the socket. */
static void flush(struct conn *c)
{
    struct buf *sealed = &c->net->tls->sealed;
    bool has_failed = sealed->has_failed;

    if (sealed->len && !c->is_closed)
        conn_send(c, &(uv_buf_t){sealed->ptr, sealed->len}, 1);
    buf_clear(sealed);
    if (sealed->cap > SEALED_KEEP || has_failed) {
        buf_deinit(sealed);
        buf_init(sealed, CONN_OUT_MAX);
    }
    if (has_failed)
        conn_close(c, NET_END_ERROR);
}

static void seal(struct conn *c, const char *bytes, size_t len)
{
    if (c->tls->is_broken || !len)
        return;
    if (SSL_write(c->tls->ssl, bytes, (int)len) == (int)len)
        return;
    ERR_clear_error();
    c->tls->is_broken = true;
}

/* Full records, whatever the pieces are. */
void tls_write(struct conn *c, const uv_buf_t *bufs, unsigned count)
{
    char *gathered = c->net->tls->gathered;
    size_t have = 0;

    if (c->is_closed || !c->tls->is_ready)
        return;
    for (unsigned i = 0; i < count; i++) {
        str rest = {bufs[i].base, bufs[i].len};
        while (rest.len) {
            size_t n = rest.len < RECORD - have ? rest.len : RECORD - have;
            memcpy(gathered + have, rest.ptr, n);
            have += n;
            rest = str_cut(rest, n);
            if (have == RECORD) {
                seal(c, gathered, have);
                have = 0;
            }
        }
    }
    seal(c, gathered, have);
    flush(c);
    if (c->tls->is_broken)
        conn_close(c, NET_END_ERROR);
}

void tls_say_goodbye(struct conn *c)
{
    if (!c->tls->is_ready || c->tls->is_broken)
        return;
    SSL_shutdown(c->tls->ssl);
    ERR_clear_error();
    c->tls->is_broken = true;
    flush(c);
}

/* --- who is there ------------------------------------------------------------------------------- */

/* The only one of its kind, as UTF-8; NULL when there are more, since none is meant then, or when it is no
 * plain text. */
static char *subject_part(X509_NAME *name, int nid, bool *ret_has)
{
    unsigned char *utf8 = NULL;
    int at = X509_NAME_get_index_by_NID(name, nid, -1);

    *ret_has = at >= 0;
    if (at < 0 || X509_NAME_get_index_by_NID(name, nid, at) >= 0)
        return NULL;
    int len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    str s = {(char *)utf8, len > 0 ? (size_t)len : 0};
    bool is_plain = s.len && s.len <= SUBJECT_MAX && str_is_utf8(s);
    for (size_t i = 0; i < s.len; i++)
        is_plain &= (unsigned char)s.ptr[i] >= ' ' && s.ptr[i] != 0x7F;
    char *copy = is_plain ? str_dup(s) : NULL;
    OPENSSL_free(utf8);
    return copy;
}

static void remember_client(struct tls *t)
{
    X509 *cert = tls_context_asks_clients(t->context) ? SSL_get0_peer_certificate(t->ssl) : NULL;

    if (!cert)
        return;
    t->has_certificate = true;
    t->cn = subject_part(X509_get_subject_name(cert), NID_commonName, &t->has_cn);
    t->o = subject_part(X509_get_subject_name(cert), NID_organizationName, &t->has_o);
}

/* Without memory it is no use, which never widens what the client may do. */
static str part_for(struct exchange *x, bool has, const char *text)
{
    str copy = text ? arena_copy(x->arena, str_of(text)) : (str){NULL, 0};

    return has && !copy.ptr ? S("") : copy;
}

void tls_identify(const struct tls *t, struct exchange *x)
{
    x->is_tls = true;
    x->has_certificate = t->has_certificate;
    x->tls_subject_cn = part_for(x, t->has_cn, t->cn);
    x->tls_subject_o = part_for(x, t->has_o, t->o);
}

/* --- in ----------------------------------------------------------------------------------------- */

static void refuse_plain(struct conn *c)
{
    static const char text[] =
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 46\r\n"
        "Connection: close\r\n\r\nThis port speaks TLS: the URL begins https://\n";

    conn_send(c, &(uv_buf_t){(char *)(uintptr_t)text, sizeof text - 1}, 1);
    if (!c->is_closed)
        conn_finish(c);
}

static void give_up(struct conn *c)
{
    struct tls *t = c->tls;

    atomic_fetch_add_explicit(t->is_ready ? &c->net->errors : &c->net->tls_failed, 1,
                              memory_order_relaxed);
    ERR_clear_error();
    t->is_broken = true;
    flush(c); /* the alert that says why */
    conn_close(c, NET_END_ERROR);
}

static void start_protocol(struct conn *c)
{
    const unsigned char *chosen;
    unsigned len;

    SSL_get0_alpn_selected(c->tls->ssl, &chosen, &len);
    bool is_h2 = len == 2 && memcmp(chosen, "h2", 2) == 0;
    struct http2 *h = is_h2 ? http2_new(c, /*has_preface=*/false) : NULL;
    if (h)
        http2_start(h);
    else if (is_h2)
        conn_close(c, NET_END_ERROR);
    else
        http1_start(c);
}

/* true: hands are shaken. */
static bool shake(struct conn *c)
{
    struct tls *t = c->tls;
    int n = SSL_do_handshake(t->ssl);

    if (n == 1) {
        t->is_ready = true;
        remember_client(t);
        flush(c);
        if (!c->is_closed)
            start_protocol(c);
        return !c->is_closed;
    }
    if (SSL_get_error(t->ssl, n) == SSL_ERROR_WANT_READ)
        flush(c);
    else
        give_up(c);
    return false;
}

/* Fills the loop's buffer. < 0: SSL_get_error() of what ended it. */
static size_t open_some(struct conn *c, int *ret_error)
{
    struct tls_loop *l = c->net->tls;
    size_t have = 0;

    *ret_error = SSL_ERROR_NONE;
    while (sizeof l->opened - have >= RECORD) {
        int n = SSL_read(c->tls->ssl, l->opened + have, RECORD);
        if (n <= 0) {
            *ret_error = SSL_get_error(c->tls->ssl, n);
            break;
        }
        have += (size_t)n;
    }
    return have;
}

void tls_feed(struct conn *c, const char *data, size_t len)
{
    struct tls *t = c->tls;
    int error = SSL_ERROR_NONE;

    if (!t->is_ready && SSL_in_before(t->ssl) && data[0] >= 'A' && data[0] <= 'Z') {
        atomic_fetch_add_explicit(&c->net->tls_failed, 1, memory_order_relaxed);
        refuse_plain(c);
        return;
    }
    ERR_clear_error();
    t->in = data;
    t->in_len = len;
    if (!t->is_ready && !shake(c))
        return;
    while (error == SSL_ERROR_NONE && !c->is_closed && !c->is_ending) {
        size_t n = open_some(c, &error);
        flush(c); /* an answer to a key update */
        if (n && !c->is_closed)
            c->proto->feed(c, c->net->tls->opened, n);
    }
    t->in_len = 0;
    if (c->is_closed || c->is_ending || error == SSL_ERROR_WANT_READ)
        return;
    if (error == SSL_ERROR_ZERO_RETURN)
        conn_close(c, NET_END_PEER);
    else
        give_up(c);
}

bool tls_was_closed(const struct tls *t)
{
    return SSL_get_shutdown(t->ssl) & SSL_RECEIVED_SHUTDOWN;
}

/* --- the connection's side, while hands are shaken ---------------------------------------------- */

static void no_bytes(struct conn *c, const char *data, size_t len)
{
    (void)c;
    (void)data;
    (void)len;
}

static void nothing(struct conn *c)
{
    (void)c;
}

static void on_due(struct conn *c)
{
    atomic_fetch_add_explicit(&c->net->tls_failed, 1, memory_order_relaxed);
    conn_close(c, NET_END_TIMEOUT);
}

static void on_drain(struct conn *c)
{
    conn_close(c, NET_END_STOP);
}

static void on_ended(struct conn *c, enum net_end why)
{
    (void)c;
    (void)why;
}

static const struct conn_proto handshake = {no_bytes, nothing, on_due, on_drain, on_ended, nothing};

void tls_start(struct conn *c, struct tls_context *context)
{
    struct tls *t = calloc(1, sizeof *t);

    if (!c->net->tls)
        c->net->tls = tls_loop_new();
    c->proto = &handshake;
    SSL *ssl = t && c->net->tls ? SSL_new(tls_context_ssl(context)) : NULL;
    BIO *bio = ssl ? BIO_new(c->net->tls->method) : NULL;
    if (!bio) {
        SSL_free(ssl);
        free(t);
        conn_close(c, NET_END_ERROR);
        return;
    }
    *t = (struct tls){.ssl = ssl, .context = tls_context_ref(context), .c = c};
    c->tls = t;
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_accept_state(t->ssl);
    conn_lasts(c, c->net->limits(c->net->loop)->handshake_ms);
    conn_read(c, true);
}

void tls_free(struct tls *t)
{
    if (!t)
        return;
    SSL_free(t->ssl);
    tls_context_unref(t->context);
    free(t->cn);
    free(t->o);
    free(t);
}
