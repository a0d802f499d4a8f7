/* Keys of session tickets (RFC 5077, RFC 8446 4.6.1). A leaf lock guards them: it is held for a copy of
 * a key, in a handshake that costs a millisecond. */
#include "base/check.h"
#include "base/clock.h"
#include "base/openssl.h"
#include "net/tls_context.h"

#include <pthread.h>
#include <stdlib.h>

enum { LIFE_MS = 3600 * 1000 };

struct ticket_key {
    unsigned char name[16], aes[32], hmac[32];
};

struct tls_tickets {
    pthread_mutex_t lock;
    struct ticket_key now, before;
    uint64_t since_ms;
    bool has_before;
};

struct tls_tickets *tls_tickets_new(void)
{
    struct tls_tickets *t = calloc(1, sizeof *t);

    must(t && pthread_mutex_init(&t->lock, NULL) == 0);
    return t;
}

void tls_tickets_free(struct tls_tickets *t)
{
    if (!t)
        return;
    pthread_mutex_destroy(&t->lock);
    explicit_bzero(t, sizeof *t);
    free(t);
}

/* Under the lock. false: no randomness. */
static bool turn(struct tls_tickets *t)
{
    uint64_t now_ms = clock_now_ns() / 1000000;
    bool is_first = t->since_ms == 0;
    struct ticket_key fresh;

    if (!is_first && now_ms - t->since_ms < LIFE_MS)
        return true;
    if (RAND_bytes((unsigned char *)&fresh, sizeof fresh) != 1)
        return false;
    t->has_before = !is_first && now_ms - t->since_ms < 2 * (uint64_t)LIFE_MS;
    t->before = t->now;
    t->now = fresh;
    t->since_ms = now_ms;
    explicit_bzero(&fresh, sizeof fresh);
    return true;
}

/* 0: not one of ours; 1: of this hour; 2: of the last, so the client gets a new one. */
static int find(struct tls_tickets *t, const unsigned char name[16], struct ticket_key *ret)
{
    int found = 0;

    pthread_mutex_lock(&t->lock);
    if (turn(t) && memcmp(name, t->now.name, 16) == 0)
        found = 1;
    else if (t->has_before && memcmp(name, t->before.name, 16) == 0)
        found = 2;
    if (found)
        *ret = found == 1 ? t->now : t->before;
    pthread_mutex_unlock(&t->lock);
    return found;
}

static bool current(struct tls_tickets *t, struct ticket_key *ret)
{
    pthread_mutex_lock(&t->lock);
    bool ok = turn(t);
    *ret = t->now;
    pthread_mutex_unlock(&t->lock);
    return ok;
}

static bool set_up(struct ticket_key *k, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                   EVP_MAC_CTX *mac, int is_sealing)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, k->hmac, sizeof k->hmac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
        OSSL_PARAM_construct_end()};

    return EVP_MAC_CTX_set_params(mac, params) == 1 &&
           EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, k->aes, iv, is_sealing) == 1;
}

static int on_ticket(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int is_sealing)
{
    struct tls_tickets *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    struct ticket_key k;
    int found = 1;

    if (!is_sealing) {
        found = find(t, name, &k);
        if (!found)
            return 0;
    } else if (!current(t, &k) || RAND_bytes(iv, EVP_MAX_IV_LENGTH) != 1) {
        return -1;
    } else {
        memcpy(name, k.name, sizeof k.name);
    }
    bool ok = set_up(&k, iv, cipher, mac, is_sealing);
    explicit_bzero(&k, sizeof k);
    return ok ? found : -1;
}

void tls_tickets_use(struct tls_tickets *t, SSL_CTX *ctx)
{
    SSL_CTX_set_app_data(ctx, t);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
    SSL_CTX_set_timeout(ctx, LIFE_MS / 1000);
}
