/* Algorithms and signatures, all by OpenSSL's EVP (dependencies.md 6.3 says why not by libjwt). */
#include "base/check.h"
#include "base/openssl.h"
#include "core/jwt_key.h"

#include <pthread.h>

enum kind { KIND_HMAC, KIND_PKCS1, KIND_PSS, KIND_ECDSA, KIND_EDDSA };
enum hash { HASH_256, HASH_384, HASH_512, HASH_COUNT };

static const struct {
    const char *name;
    enum kind kind;
    enum hash hash;
    size_t half; /* ECDSA: bytes of r and of s (RFC 7518 3.4) */
} algs[JWS_ALG_COUNT] = {
    [JWS_HS256] = {"HS256", KIND_HMAC, HASH_256},
    [JWS_HS384] = {"HS384", KIND_HMAC, HASH_384},
    [JWS_HS512] = {"HS512", KIND_HMAC, HASH_512},
    [JWS_RS256] = {"RS256", KIND_PKCS1, HASH_256},
    [JWS_RS384] = {"RS384", KIND_PKCS1, HASH_384},
    [JWS_RS512] = {"RS512", KIND_PKCS1, HASH_512},
    [JWS_PS256] = {"PS256", KIND_PSS, HASH_256},
    [JWS_PS384] = {"PS384", KIND_PSS, HASH_384},
    [JWS_PS512] = {"PS512", KIND_PSS, HASH_512},
    [JWS_ES256] = {"ES256", KIND_ECDSA, HASH_256, 32},
    [JWS_ES384] = {"ES384", KIND_ECDSA, HASH_384, 48},
    [JWS_ES512] = {"ES512", KIND_ECDSA, HASH_512, 66},
    [JWS_EDDSA] = {"EdDSA", KIND_EDDSA},
};

static EVP_MD *hashes[HASH_COUNT];
static EVP_MAC *hmac;
static const char *const hash_names[HASH_COUNT] = {"SHA256", "SHA384", "SHA512"};

/* Once: an implicit fetch at each use doubles the price (dependencies.md 6.1, 6). Of the default providers,
 * whatever a configuration file says. */
static void fetch(void)
{
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    for (size_t i = 0; i < HASH_COUNT; i++)
        must(hashes[i] = EVP_MD_fetch(NULL, hash_names[i], NULL));
    must(hmac = EVP_MAC_fetch(NULL, "HMAC", NULL));
}

static void fetch_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fetch);
}

bool jws_alg_parse(str name, enum jws_alg *ret)
{
    for (size_t i = 0; i < JWS_ALG_COUNT; i++)
        if (str_eq(name, str_of(algs[i].name))) {
            *ret = (enum jws_alg)i;
            return true;
        }
    return false;
}

const char *jws_alg_name(enum jws_alg alg)
{
    return algs[alg].name;
}

/* --- what a public key is good for ------------------------------------------------------------ */

static bool is_sound_exponent(EVP_PKEY *pkey)
{
    BIGNUM *e = NULL;
    bool is_sound = EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_is_odd(e) &&
                    !BN_is_one(e) && BN_num_bits(e) <= 64;

    BN_free(e);
    return is_sound;
}

static bool is_odd_modulus(EVP_PKEY *pkey)
{
    BIGNUM *n = NULL;
    bool is_odd = EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) == 1 && BN_is_odd(n);

    BN_free(n);
    return is_odd;
}

static unsigned algs_of_rsa(EVP_PKEY *pkey, const char **ret_why)
{
    int bits = EVP_PKEY_get_bits(pkey);

    if (bits < JWKS_RSA_BITS_MIN)
        *ret_why = "an RSA key has at least 2048 bits";
    else if (bits > JWKS_RSA_BITS_MAX)
        *ret_why = "an RSA key has at most 8192 bits";
    else if (!is_sound_exponent(pkey))
        *ret_why = "the RSA exponent is odd, at least 3 and below 2^64";
    else if (!is_odd_modulus(pkey))
        *ret_why = "the RSA modulus is no product of two primes";
    else
        return JWS_ALGS_RSA;
    return 0;
}

static unsigned algs_of_ec(EVP_PKEY *pkey, const char **ret_why)
{
    static const struct {
        const char *group;
        enum jws_alg alg;
    } curves[] = {
        {"prime256v1", JWS_ES256},
        {"secp384r1", JWS_ES384},
        {"secp521r1", JWS_ES512},
    };
    char group[64] = "";

    EVP_PKEY_get_group_name(pkey, group, sizeof group, NULL);
    for (size_t i = 0; i < countof(curves); i++)
        if (strcmp(group, curves[i].group) == 0)
            return JWS_ALG(curves[i].alg);
    *ret_why = "the curve is none of P-256, P-384, P-521";
    return 0;
}

unsigned jws_algs_of(EVP_PKEY *pkey, const char **ret_why)
{
    switch (EVP_PKEY_get_base_id(pkey)) {
    case EVP_PKEY_RSA: return algs_of_rsa(pkey, ret_why);
    case EVP_PKEY_EC: return algs_of_ec(pkey, ret_why);
    case EVP_PKEY_ED25519: return JWS_ALG(JWS_EDDSA);
    default: *ret_why = "the key is none of RSA, EC, Ed25519"; return 0;
    }
}

/* --- signatures ------------------------------------------------------------------------------- */

static bool verify_hmac(const struct jwt_key *k, enum jws_alg alg, str text, str signature)
{
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
                                         (char *)(uintptr_t)hash_names[algs[alg].hash], 0),
        OSSL_PARAM_construct_end()};
    unsigned char mac[EVP_MAX_MD_SIZE];
    size_t len = 0;
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(hmac);

    bool is_made =
        ctx &&
        EVP_MAC_init(ctx, (const unsigned char *)k->secret.ptr, k->secret.len, params) == 1 &&
        EVP_MAC_update(ctx, (const unsigned char *)text.ptr, text.len) == 1 &&
        EVP_MAC_final(ctx, mac, &len, sizeof mac) == 1;
    EVP_MAC_CTX_free(ctx);
    bool is_same = is_made && signature.len == len && CRYPTO_memcmp(mac, signature.ptr, len) == 0;
    explicit_bzero(mac, sizeof mac);
    return is_same;
}

/* JOSE writes r and s side by side, OpenSSL wants DER. */
enum { DER_MAX = 160 };
static size_t ecdsa_der(str raw, size_t half, unsigned char out[DER_MAX])
{
    ECDSA_SIG *sig = raw.len == 2 * half ? ECDSA_SIG_new() : NULL;
    const unsigned char *p = (const unsigned char *)raw.ptr;

    if (!sig)
        return 0;
    BIGNUM *r = BN_bin2bn(p, (int)half, NULL), *s = BN_bin2bn(p + half, (int)half, NULL);
    int len = 0;
    if (r && s && ECDSA_SIG_set0(sig, r, s) == 1) {
        r = s = NULL; // they are the signature's now
        len = i2d_ECDSA_SIG(sig, NULL);
        if (len > 0 && len <= DER_MAX)
            len = i2d_ECDSA_SIG(sig, &out);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    return len > 0 && len <= DER_MAX ? (size_t)len : 0;
}

static bool set_pss(EVP_PKEY_CTX *ctx)
{
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
}

static bool verify_public(const struct jwt_key *k, enum jws_alg alg, str text, str signature)
{
    enum kind kind = algs[alg].kind;
    const EVP_MD *md = kind == KIND_EDDSA ? NULL : hashes[algs[alg].hash];
    unsigned char der[DER_MAX];
    EVP_PKEY_CTX *pctx = NULL;

    if (kind == KIND_ECDSA)
        signature = (str){(char *)der, ecdsa_der(signature, algs[alg].half, der)};
    else if (signature.len != (size_t)EVP_PKEY_get_size(k->pkey)) // RFC 8017 8.1.2, 8.2.2
        return false;
    EVP_MD_CTX *ctx = signature.len ? EVP_MD_CTX_new() : NULL;
    bool is_good = ctx && EVP_DigestVerifyInit(ctx, &pctx, md, NULL, k->pkey) == 1 &&
                   (kind != KIND_PSS || set_pss(pctx)) &&
                   EVP_DigestVerify(ctx, (const unsigned char *)signature.ptr, signature.len,
                                    (const unsigned char *)text.ptr, text.len) == 1;
    EVP_MD_CTX_free(ctx);
    return is_good;
}

bool jwt_key_verify(const struct jwt_key *k, enum jws_alg alg, str text, str signature)
{
    fetch_once();
    if (broken(!(k->algs & JWS_ALG(alg))))
        return false;
    bool is_good = algs[alg].kind == KIND_HMAC ? verify_hmac(k, alg, text, signature)
                                               : verify_public(k, alg, text, signature);
    ERR_clear_error(); // what failed here is nobody else's error
    return is_good;
}
