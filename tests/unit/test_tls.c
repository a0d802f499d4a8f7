/* tls*.c over real sockets: certificates are made here, clients are OpenSSL's. */
#include "net_unit.h"
#include "net/raw.h"
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* --- certificates -------------------------------------------------------------------------------- */

struct identity {
    X509 *cert;
    EVP_PKEY *key;
};

static char *dir;
static struct identity server, other, ca, client_id, stranger;
static struct tls_tickets *tickets;

static void add_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, (char *)(uintptr_t)value);

    assert_int_equal(X509_add_ext(cert, e, -1), 1);
    X509_EXTENSION_free(e);
}

static struct identity identity_new(const char *cn, const char *o, const char *san,
                                    const struct identity *issuer, long days)
{
    struct identity i = {X509_new(), EVP_EC_gen("P-256")};
    X509_NAME *name = X509_get_subject_name(i.cert);

    X509_set_version(i.cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(i.cert), (long)(uintptr_t)i.cert & 0xfffffff);
    X509_gmtime_adj(X509_getm_notBefore(i.cert), -86400);
    X509_gmtime_adj(X509_getm_notAfter(i.cert), days * 86400);
    X509_set_pubkey(i.cert, i.key);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
    if (o)
        X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)o, -1, -1, 0);
    X509_set_issuer_name(i.cert, issuer ? X509_get_subject_name(issuer->cert) : name);
    if (san)
        add_extension(i.cert, NID_subject_alt_name, san);
    if (!issuer)
        add_extension(i.cert, NID_basic_constraints, "critical,CA:TRUE");
    assert_true(X509_sign(i.cert, issuer ? issuer->key : i.key, EVP_sha256()) > 0);
    return i;
}

static const char *path(const char *name)
{
    static char paths[32][300];
    static unsigned turn;

    turn = (turn + 1) % 32;
    snprintf(paths[turn], sizeof paths[0], "%s/%s", dir, name);
    return paths[turn];
}

static void identity_write(const struct identity *i, const char *cert, const char *key)
{
    FILE *f = fopen(path(cert), "w");

    assert_int_equal(PEM_write_X509(f, i->cert), 1);
    fclose(f);
    f = fopen(path(key), "w");
    assert_int_equal(PEM_write_PrivateKey(f, i->key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(f);
}

static void identity_free(struct identity *i)
{
    X509_free(i->cert);
    EVP_PKEY_free(i->key);
}

static int make_all(void **state)
{
    struct identity old;

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    dir = unit_dir();
    server = identity_new("main", NULL, "DNS:localhost", NULL, 30);
    other = identity_new("other", NULL, "DNS:other.example", NULL, 30);
    ca = identity_new("authority", NULL, NULL, NULL, 30);
    client_id = identity_new("alice", "acme", NULL, &ca, 30);
    stranger = identity_new("mallory", "acme", NULL, NULL, 30);
    old = identity_new("old", NULL, NULL, NULL, 0);
    X509_gmtime_adj(X509_getm_notAfter(old.cert), -3600);
    X509_sign(old.cert, old.key, EVP_sha256());
    identity_write(&server, "main.pem", "main.key");
    identity_write(&other, "other.pem", "other.key");
    identity_write(&ca, "ca.pem", "ca.key");
    identity_write(&stranger, "stranger.pem", "stranger.key");
    identity_write(&old, "old.pem", "old.key");
    identity_free(&old);
    unit_write(dir, "junk.pem", "this is no PEM\n");
    FILE *f = fopen(path("locked.key"), "w");
    PEM_write_PrivateKey(f, server.key, EVP_aes_128_cbc(), (const unsigned char *)"pw", 2, NULL,
                         NULL);
    fclose(f);
    tickets = tls_tickets_new();
    return 0;
}

static int free_all(void **state)
{
    (void)state;
    identity_free(&server);
    identity_free(&other);
    identity_free(&ca);
    identity_free(&client_id);
    identity_free(&stranger);
    tls_tickets_free(tickets);
    unit_rm(dir);
    return 0;
}

/* --- contexts ------------------------------------------------------------------------------------ */

static const char *const wild_names[] = {"Exact.example", "*.wild.example"};

static struct tls_options usual(void)
{
    static struct tls_pair more;

    more = (struct tls_pair){path("other.pem"), path("other.key"), wild_names, 2};
    return (struct tls_options){.pair = {path("main.pem"), path("main.key"), NULL, 0},
                                .more = &more,
                                .more_count = 1,
                                .tickets = tickets};
}

static struct tls_context *context(const struct tls_options *o)
{
    struct diag d;

    diag_init(&d);
    struct tls_context *t = tls_context_new(o, &d);
    if (!t)
        fail_msg("%s", d.list[0].text);
    diag_deinit(&d);
    return t;
}

static void what_is_wrong_with_files_is_said(void **state)
{
    struct tls_pair twice = {path("main.pem"), path("main.key"), (const char *[]){"a", "A"}, 2};
    char none[300];
    strcpy(none, path("none.pem"));
    const struct {
        struct tls_options o;
        const char *id, *file, *text;
    } bad[] = {
        {{.pair = {none, path("main.key")}}, "tls.cert_file", "none.pem", "No such file"},
        {{.pair = {path("main.pem"), none}}, "tls.key_file", "none.pem", "No such file"},
        {{.pair = {path("junk.pem"), path("main.key")}},
         "tls.cert_file",
         "junk.pem",
         "no start line"},
        {{.pair = {path("main.pem"), path("other.key")}}, "tls.key_file", "other.key", "mismatch"},
        {{.pair = {path("main.pem"), path("locked.key")}}, "tls.key_file", "locked.key", "no key"},
        {{.pair = {path("main.pem"), path("main.key")}, .client_ca_file = path("junk.pem")},
         "tls.client_ca_file",
         "junk.pem",
         "no certificate"},
        {{.pair = {path("main.pem"), path("main.key")}, .ciphers = "NONSENSE"},
         "tls.ciphers",
         NULL,
         "no cipher match"},
        {{.pair = {path("main.pem"), path("main.key")}, .more = &twice, .more_count = 1},
         "tls.name_twice",
         "main.pem",
         "two certificates"},
    };

    (void)state;
    for (size_t i = 0; i < countof(bad); i++) {
        struct tls_options o = bad[i].o;
        struct diag d;
        diag_init(&d);
        o.tickets = tickets;
        assert_null(tls_context_new(&o, &d));
        assert_true(d.errors >= 1);
        assert_string_equal(d.list[0].id, bad[i].id);
        if (bad[i].file && !strstr(d.list[0].file, bad[i].file))
            fail_msg("%zu: %s", i, d.list[0].file);
        if (!strstr(d.list[0].text, bad[i].text))
            fail_msg("%zu: %s", i, d.list[0].text);
        diag_deinit(&d);
        assert_int_equal(ERR_peek_error(), 0);
    }
}

static void a_certificate_out_of_date_is_a_warning(void **state)
{
    struct diag d;

    (void)state;
    diag_init(&d);
    struct tls_context *t = tls_context_new(
        &(struct tls_options){.pair = {path("old.pem"), path("old.key")}, .tickets = tickets}, &d);
    assert_non_null(t);
    assert_int_equal(d.count, 1);
    assert_string_equal(d.list[0].id, "tls.expired");
    tls_context_unref(t);
    diag_deinit(&d);
}

/* --- the server ---------------------------------------------------------------------------------- */

static char big[1 << 20];

static struct raw *raw;
static _Atomic int raw_end = -1;

static void on_bytes(void *owner, str data)
{
    (void)owner;
    uv_buf_t b[2] = {{"<", 1}, {(char *)(uintptr_t)data.ptr, data.len}};
    raw_write(raw, b, 2);
}

static void on_raw(void *owner)
{
    (void)owner;
}

static void on_closed(void *owner, enum net_end why)
{
    (void)owner;
    raw_end = (int)why;
}

static const struct raw_ops raw_ops = {on_bytes, on_raw, on_raw, on_raw, on_closed};

static bool on_head(struct exchange *x)
{
    (void)x;
    return true;
}

static void on_request(struct exchange *x)
{
    struct arena *a = x->arena;
    struct arena_text t;

    if (x->upgrade.len) {
        raw = exchange_switch(x, S("HTTP/1.1 101 Switching Protocols\r\n\r\n"), &raw_ops, NULL);
        arena_unref(a);
        return;
    }
    text_init(&t, a, 100);
    text_add(&t, x->is_tls ? S("tls ") : S("plain "));
    text_add(&t, x->tls_subject_cn);
    text_add(&t, S("/"));
    text_add(&t, x->tls_subject_o);
    text_add(&t, S(" ["));
    text_add(&t, x->body);
    text_add(&t, S("]"));
    exchange_head(x, 200, NULL, 0);
    if (str_eq(x->path, S("/big")))
        exchange_end(x, (str){big, sizeof big});
    else
        exchange_end(x, text_str(&t));
    arena_unref(a);
}

static void nothing(struct exchange *x)
{
    (void)x;
}

static void on_gone(struct exchange *x)
{
    arena_unref(x->arena);
}

static const struct exchange_ops ops = {on_head, on_request, nothing, on_gone, net_error_body};

static int set_up(void **state)
{
    struct tls_options o = usual();

    (void)state;
    int failed = net_up(&ops);
    limits.tls = context(&o);
    limits.max_body = 2 << 20;
    return failed;
}

static int tear_down(void **state)
{
    (void)state;
    net_down();
    limits.tls = tls_context_unref(limits.tls);
    return 0;
}

static void set_context(struct loop *l, uint64_t v)
{
    (void)l;
    tls_context_unref(limits.tls);
    limits.tls = (struct tls_context *)(uintptr_t)v;
    sem_post(&net_ready);
}

/* As a reload does: on the loop. */
static void publish(struct tls_context *t)
{
    loop_post_fn(loop, set_context, (uintptr_t)t);
    sem_wait(&net_ready);
}

/* --- the client ---------------------------------------------------------------------------------- */

struct tls_client {
    SSL_CTX *ctx;
    SSL *ssl;
    int fd;
    char got[2 << 20];
    size_t len;
};

static void take_tls(struct loop *l, uint64_t fd)
{
    (void)l;
    net_accepted(net, (int)fd, /*is_tls=*/true);
}

static int connect_fd(void)
{
    int fds[2];
    struct timeval patience = {5, 0};

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    loop_post_fn(loop, take_tls, (uint64_t)fds[1]);
    return fds[0];
}

static struct tls_client *tls_new(void)
{
    struct tls_client *c = calloc(1, sizeof *c);

    c->ctx = SSL_CTX_new(TLS_client_method());
    c->ssl = SSL_new(c->ctx);
    c->fd = connect_fd();
    SSL_set_fd(c->ssl, c->fd);
    return c;
}

static void tls_close(struct tls_client *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    ERR_clear_error();
    close(c->fd);
    free(c);
}

static void tls_put(struct tls_client *c, const char *text)
{
    assert_int_equal(SSL_write(c->ssl, text, (int)strlen(text)), (int)strlen(text));
}

static void tls_expect(struct tls_client *c, const char *text)
{
    while (!strstr(c->got, text)) {
        int n = SSL_read(c->ssl, c->got + c->len, (int)(sizeof c->got - 1 - c->len));
        if (n <= 0)
            fail_msg("no \"%s\" in: %.300s", text, c->got);
        c->len += (size_t)n;
    }
}

#define GET "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

static struct tls_client *tls_open(void)
{
    struct tls_client *c = tls_new();

    assert_int_equal(SSL_connect(c->ssl), 1);
    return c;
}

static void counted(uint64_t failed, uint64_t cut)
{
    struct net_counters n;

    for (int i = 0; i < 5000; i++) {
        net_count(net, &n);
        if (n.tls_failed == failed && n.cut == cut)
            return;
        usleep(1000);
    }
    fail_msg("tls_failed %d, cut %d", (int)n.tls_failed, (int)n.cut);
}

/* --- tests ---------------------------------------------------------------------------------------- */

static void both_versions_are_spoken(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    (void)state;
    for (size_t i = 0; i < countof(versions); i++) {
        struct tls_client *c = tls_new();
        SSL_set_min_proto_version(c->ssl, versions[i]);
        SSL_set_max_proto_version(c->ssl, versions[i]);
        assert_int_equal(SSL_connect(c->ssl), 1);
        tls_put(c, GET);
        tls_expect(c, "tls / []");
        tls_put(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
        tls_expect(c, "[abc]");
        tls_close(c);
    }
}

static void old_versions_are_refused(void **state)
{
    struct tls_options o = usual();

    (void)state;
    o.is_13_only = true;
    publish(context(&o));
    struct tls_client *c = tls_new();
    SSL_set_max_proto_version(c->ssl, TLS1_2_VERSION);
    assert_true(SSL_connect(c->ssl) <= 0);
    counted(1, 0);
    tls_close(c);
}

static void protocols_are_chosen(void **state)
{
    static const struct {
        const char *offer, *chosen; /* NULL: refused */
    } rows[] = {{"\x02h2\x08http/1.1", "h2"},
                {"\x08http/1.1\x02h2", "h2"},
                {"\x08http/1.1", "http/1.1"},
                {"\x04nope", NULL}};

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct tls_client *c = tls_new();
        const unsigned char *chosen;
        unsigned len;
        SSL_set_alpn_protos(c->ssl, (const unsigned char *)rows[i].offer,
                            (unsigned)strlen(rows[i].offer));
        assert_int_equal(SSL_connect(c->ssl) == 1, rows[i].chosen != NULL);
        SSL_get0_alpn_selected(c->ssl, &chosen, &len);
        if (rows[i].chosen)
            assert_str(((str){(const char *)chosen, len}), rows[i].chosen);
        tls_close(c);
    }
}

static void names_choose_certificates(void **state)
{
    static const struct {
        const char *name, *cn;
    } rows[] = {{NULL, "main"},
                {"localhost", "main"},
                {"exact.example", "other"},
                {"EXACT.Example", "other"},
                {"a.wild.example", "other"},
                {"wild.example", "main"},
                {"a.b.wild.example", "main"},
                {"*.wild.example", "other"}};

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct tls_client *c = tls_new();
        char cn[64] = "";
        if (rows[i].name)
            SSL_set_tlsext_host_name(c->ssl, rows[i].name);
        assert_int_equal(SSL_connect(c->ssl), 1);
        X509 *cert = SSL_get1_peer_certificate(c->ssl);
        X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, cn, sizeof cn);
        assert_string_equal(cn, rows[i].cn);
        X509_free(cert);
        tls_put(c, GET);
        tls_expect(c, "tls /");
        tls_close(c);
    }
}

static void ask_for_clients(const char *ca_file)
{
    struct tls_options o = usual();

    o.client_ca_file = path(ca_file);
    publish(context(&o));
}

static bool is_served(struct tls_client *c)
{
    if (SSL_connect(c->ssl) != 1)
        return false;
    SSL_write(c->ssl, GET, (int)strlen(GET)); /* 1.3: a refusal comes with the first read */
    int n = SSL_read(c->ssl, c->got, sizeof c->got - 1);
    return n > 0;
}

static void clients_show_certificates(void **state)
{
    static const char *const names[] = {NULL, "exact.example"};

    (void)state;
    ask_for_clients("ca.pem");
    for (size_t i = 0; i < countof(names); i++) {
        struct tls_client *with = tls_new(), *without = tls_new(), *wrong = tls_new();
        if (names[i]) {
            SSL_set_tlsext_host_name(with->ssl, names[i]);
            SSL_set_tlsext_host_name(without->ssl, names[i]);
            SSL_set_tlsext_host_name(wrong->ssl, names[i]);
        }
        SSL_use_certificate(with->ssl, client_id.cert);
        SSL_use_PrivateKey(with->ssl, client_id.key);
        assert_true(is_served(with));
        assert_non_null(strstr(with->got, "tls alice/acme"));
        assert_false(is_served(without));
        SSL_use_certificate(wrong->ssl, stranger.cert);
        SSL_use_PrivateKey(wrong->ssl, stranger.key);
        assert_false(is_served(wrong));
        tls_close(with);
        tls_close(without);
        tls_close(wrong);
    }
}

/* A connection that offers the session of the one before; NULL: none. */
static SSL_SESSION *resumed(SSL_SESSION *before, bool is_expected, int version)
{
    struct tls_client *c = tls_new();

    SSL_set_max_proto_version(c->ssl, version);
    SSL_use_certificate(c->ssl, client_id.cert);
    SSL_use_PrivateKey(c->ssl, client_id.key);
    if (before)
        SSL_set_session(c->ssl, before);
    SSL_SESSION_free(before);
    assert_true(is_served(c));
    assert_int_equal(SSL_session_reused(c->ssl), is_expected);
    SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_SESSION *now = SSL_get1_session(c->ssl);
    tls_close(c);
    return now;
}

static void sessions_resume_across_reloads_but_not_across_authorities(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    (void)state;
    for (size_t i = 0; i < countof(versions); i++) {
        ask_for_clients("ca.pem");
        SSL_SESSION *s = resumed(NULL, false, versions[i]);
        s = resumed(s, true, versions[i]);
        ask_for_clients("ca.pem"); /* as a reload does */
        s = resumed(s, true, versions[i]);
        FILE *f = fopen(path("both.pem"), "w");
        PEM_write_X509(f, ca.cert);
        PEM_write_X509(f, stranger.cert);
        fclose(f);
        ask_for_clients("both.pem");
        SSL_SESSION_free(resumed(s, false, versions[i]));
    }
}

static void a_new_context_is_for_new_connections(void **state)
{
    struct tls_client *old = tls_open();
    struct tls_options o = {.pair = {path("other.pem"), path("other.key")}, .tickets = tickets};

    (void)state;
    publish(context(&o));
    tls_put(old, GET);
    tls_expect(old, "tls /");
    struct tls_client *new = tls_open();
    X509 *cert = SSL_get1_peer_certificate(new->ssl);
    assert_int_equal(X509_cmp(cert, other.cert), 0);
    X509_free(cert);
    tls_close(old);
    tls_close(new);
}

static void plain_http_is_told(void **state)
{
    static const char *const requests[] = {GET, "DELETE /x HTTP/1.1\r\n\r\n",
                                           "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"};

    (void)state;
    for (size_t i = 0; i < countof(requests); i++) {
        struct client *c = calloc(1, sizeof *c);
        c->fd = connect_fd();
        put(c, requests[i]);
        expect_close(c);
        assert_int_equal(strncmp(c->got, "HTTP/1.1 400 ", 13), 0);
        assert_non_null(strstr(c->got, "speaks TLS"));
        client_close(c);
    }
    counted(countof(requests), 0);
}

static void garbage_ends_a_handshake(void **state)
{
    struct client *c = calloc(1, sizeof *c);

    (void)state;
    c->fd = connect_fd();
    put_bytes(c, "\x16\x03\x01\x00\x05hello", 10);
    expect_close(c);
    assert_int_equal(c->got[0], 21); /* an alert */
    counted(1, 0);
    client_close(c);
}

static void a_handshake_has_its_time(void **state)
{
    struct client *c = calloc(1, sizeof *c);

    (void)state;
    limits.handshake_ms = 50;
    c->fd = connect_fd();
    expect_close(c);
    counted(1, 0);
    client_close(c);
}

static void good_byes_are_told_from_cuts(void **state)
{
    struct tls_client *c = tls_open();

    (void)state;
    tls_put(c, GET);
    tls_expect(c, "tls /");
    SSL_shutdown(c->ssl);
    tls_close(c);
    c = tls_open();
    tls_put(c, GET);
    tls_expect(c, "tls /");
    SSL_set_quiet_shutdown(c->ssl, 1);
    tls_close(c);
    counted(0, 1);
    c = tls_open(); /* and we say it ourselves */
    tls_put(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    tls_expect(c, "tls /");
    assert_int_equal(SSL_read(c->ssl, c->got, 1), 0);
    assert_int_equal(SSL_get_error(c->ssl, 0), SSL_ERROR_ZERO_RETURN);
    tls_close(c);
}

static void raw_streams_are_sealed_too(void **state)
{
    (void)state;
    for (int is_cut = 0; is_cut < 2; is_cut++) {
        struct tls_client *c = tls_open();
        raw_end = -1;
        tls_put(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: y\r\n\r\nearly");
        tls_expect(c, "<early");
        tls_put(c, "late");
        tls_expect(c, "<late");
        if (is_cut)
            SSL_set_quiet_shutdown(c->ssl, 1);
        SSL_shutdown(c->ssl);
        tls_close(c);
        for (int i = 0; i < 5000 && raw_end < 0; i++)
            usleep(1000);
        assert_int_equal(raw_end, is_cut ? NET_END_CUT : NET_END_PEER);
    }
}

static void nobody_renegotiates(void **state)
{
    struct tls_client *c = tls_new();

    (void)state;
    SSL_set_max_proto_version(c->ssl, TLS1_2_VERSION);
    assert_int_equal(SSL_connect(c->ssl), 1);
    SSL_renegotiate(c->ssl);
    assert_true(SSL_do_handshake(c->ssl) <= 0);
    tls_close(c);
}

static void keys_can_be_updated(void **state)
{
    struct tls_client *c = tls_open();

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(SSL_key_update(c->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        c->len = 0;
        memset(c->got, 0, 100);
        tls_put(c, GET);
        tls_expect(c, "tls /");
    }
    tls_close(c);
}

static void large_bodies_arrive_whole(void **state)
{
    struct tls_client *c = tls_open();
    char head[100];

    (void)state;
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)('a' + i % 26);
    tls_put(c, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
    while (c->len < sizeof big) {
        int n = SSL_read(c->ssl, c->got + c->len, (int)(sizeof c->got - 1 - c->len));
        assert_true(n > 0);
        c->len += (size_t)n;
        if (c->len > sizeof big && strstr(c->got, "\r\n\r\n"))
            break;
    }
    char *body = strstr(c->got, "\r\n\r\n") + 4;
    while (c->len < (size_t)(body - c->got) + sizeof big)
        c->len += (size_t)SSL_read(c->ssl, c->got + c->len, 16384);
    assert_memory_equal(body, big, sizeof big);
    memset(c->got, 0, sizeof c->got);
    c->len = 0;
    snprintf(head, sizeof head, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
             sizeof big);
    tls_put(c, head);
    assert_int_equal(SSL_write(c->ssl, big, sizeof big), sizeof big);
    tls_expect(c, "abcdefghijklmnopqrstuvwxyz");
    tls_close(c);
}

int main(void)
{
#define TH(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(what_is_wrong_with_files_is_said),
        T(a_certificate_out_of_date_is_a_warning),
        TH(both_versions_are_spoken),
        TH(old_versions_are_refused),
        TH(protocols_are_chosen),
        TH(names_choose_certificates),
        TH(clients_show_certificates),
        TH(sessions_resume_across_reloads_but_not_across_authorities),
        TH(a_new_context_is_for_new_connections),
        TH(plain_http_is_told),
        TH(garbage_ends_a_handshake),
        TH(a_handshake_has_its_time),
        TH(good_byes_are_told_from_cuts),
        TH(raw_streams_are_sealed_too),
        TH(nobody_renegotiates),
        TH(keys_can_be_updated),
        TH(large_bodies_arrive_whole),
    };
    return cmocka_run_group_tests(tests, make_all, free_all);
}
