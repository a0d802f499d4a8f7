/* A JSON web key (RFC 7517, 7518 section 6, 8037) to a key of OpenSSL. */
#include "base/check.h"
#include "base/openssl.h"
#include "core/jwt_key.h"

#include <stdlib.h>

str jwk_text(const json_value *jwk, const char *name)
{
    const json_value *v = json_get(jwk, str_of(name));
    return json_is_string(v) ? json_string(v) : S("");
}

/* A member that holds bytes. ret->ptr NULL: absent, no string, or no base64url. */
static str bytes_of(const json_value *jwk, const char *name, struct arena *a)
{
    str text = jwk_text(jwk, name), bytes = {0};

    return text.len && base64url_take(a, text, &bytes) ? bytes : (str){0};
}

static EVP_PKEY *build(const char *type, OSSL_PARAM_BLD *bld)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
    EVP_PKEY *pkey = NULL;

    if (!ctx || !params || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        pkey = NULL;
    OSSL_PARAM_free(params);
    EVP_PKEY_CTX_free(ctx);
    return pkey;
}

static EVP_PKEY *rsa_from(str n, str e)
{
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    BIGNUM *bn_n = BN_bin2bn((const unsigned char *)n.ptr, (int)n.len, NULL);
    BIGNUM *bn_e = BN_bin2bn((const unsigned char *)e.ptr, (int)e.len, NULL);

    must(bld && bn_n && bn_e && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, bn_n) == 1 &&
         OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, bn_e) == 1);
    EVP_PKEY *pkey = build("RSA", bld);
    OSSL_PARAM_BLD_free(bld);
    BN_free(bn_n);
    BN_free(bn_e);
    return pkey;
}

static EVP_PKEY *read_rsa(const json_value *jwk, struct arena *a, const char **ret_why)
{
    str n = bytes_of(jwk, "n", a), e = bytes_of(jwk, "e", a);

    if (!n.ptr || !e.ptr) {
        *ret_why = "`n` and `e` are base64url texts";
        return NULL;
    }
    if (n.len > JWKS_RSA_BITS_MAX / 8 + 1 || e.len > 16) { // before OpenSSL computes with it
        *ret_why = "an RSA key has at most 8192 bits";
        return NULL;
    }
    *ret_why = "OpenSSL does not take the RSA key";
    return rsa_from(n, e);
}

static bool is_on_curve(EVP_PKEY *pkey)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    bool is_good = ctx && EVP_PKEY_public_check(ctx) == 1;

    EVP_PKEY_CTX_free(ctx);
    return is_good;
}

enum { COORDINATE_MAX = 66 };
static EVP_PKEY *ec_from(const char *group, str x, str y)
{
    unsigned char point[1 + 2 * COORDINATE_MAX] = {4}; // uncompressed
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();

    memcpy(point + 1, x.ptr, x.len);
    memcpy(point + 1 + x.len, y.ptr, y.len);
    must(bld && OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, group, 0) == 1 &&
         OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + x.len + y.len) ==
             1);
    EVP_PKEY *pkey = build("EC", bld);
    OSSL_PARAM_BLD_free(bld);
    if (pkey && !is_on_curve(pkey)) {
        EVP_PKEY_free(pkey);
        pkey = NULL;
    }
    return pkey;
}

static EVP_PKEY *read_ec(const json_value *jwk, struct arena *a, const char **ret_why)
{
    static const struct {
        const char *crv, *group;
        size_t size; /* of a coordinate, leading zeros included (RFC 7518 6.2.1.2) */
    } curves[] = {
        {"P-256", "prime256v1", 32}, {"P-384", "secp384r1", 48}, {"P-521", "secp521r1", 66}};
    str crv = jwk_text(jwk, "crv");
    str x = bytes_of(jwk, "x", a), y = bytes_of(jwk, "y", a);

    for (size_t i = 0; i < countof(curves); i++) {
        if (!str_eq(crv, str_of(curves[i].crv)))
            continue;
        *ret_why = "`x` and `y` are base64url texts of the curve's size";
        if (x.len != curves[i].size || y.len != curves[i].size)
            return NULL;
        *ret_why = "the point is not on the curve";
        return ec_from(curves[i].group, x, y);
    }
    *ret_why = "the curve is none of P-256, P-384, P-521";
    return NULL;
}

static EVP_PKEY *read_okp(const json_value *jwk, struct arena *a, const char **ret_why)
{
    str x = bytes_of(jwk, "x", a);

    *ret_why = "of kty OKP only Ed25519 is known, with 32 bytes of `x`";
    if (!str_eq(jwk_text(jwk, "crv"), S("Ed25519")) || x.len != 32)
        return NULL;
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (const unsigned char *)x.ptr, x.len);
}

static bool read_oct(struct jwt_key *k, const json_value *jwk, enum jwks_origin origin,
                     struct arena *a, const char **ret_why)
{
    str secret = bytes_of(jwk, "k", a);

    *ret_why = NULL;
    if (origin == JWKS_OF_URL)
        *ret_why = "a secret that is published at a URL is none";
    else if (!secret.ptr)
        *ret_why = "`k` is a base64url text";
    else if (secret.len < JWKS_SECRET_MIN)
        *ret_why = "a secret has at least 16 bytes, better 32";
    else if (secret.len > JWKS_SECRET_MAX)
        *ret_why = "a secret has at most 1024 bytes";
    if (*ret_why)
        return false;
    char *copy = str_dup(secret);
    must(copy);
    k->secret = (str){copy, secret.len};
    k->algs = JWS_ALGS_HMAC;
    return true;
}

static bool read_public(struct jwt_key *k, const json_value *jwk, struct arena *a,
                        const char **ret_why)
{
    static const struct {
        const char *kty;
        EVP_PKEY *(*read)(const json_value *jwk, struct arena *a, const char **ret_why);
    } types[] = {{"RSA", read_rsa}, {"EC", read_ec}, {"OKP", read_okp}};
    str kty = jwk_text(jwk, "kty");

    *ret_why = "`kty` is none of RSA, EC, OKP, oct";
    for (size_t i = 0; i < countof(types); i++)
        if (str_eq(kty, str_of(types[i].kty)))
            k->pkey = types[i].read(jwk, a, ret_why);
    if (k->pkey)
        k->algs = jws_algs_of(k->pkey, ret_why);
    ERR_clear_error();
    return k->algs != 0;
}

/* --- what the key says of itself -------------------------------------------------------------- */

static bool lists_verify(const json_value *ops)
{
    for (struct json_iter i = json_iter(ops); json_next(&i);)
        if (json_is_string(i.value) && str_eq(json_string(i.value), S("verify")))
            return true;
    return false;
}

/* RFC 7517 4.2 and 4.3. */
static enum jwk_verdict check_use(const json_value *jwk, const char **ret_why)
{
    const json_value *use = json_have(jwk, S("use")), *ops = json_have(jwk, S("key_ops"));

    *ret_why = "`use` is a text and `key_ops` a list of texts";
    if ((use && !json_is_string(use)) || (ops && !json_is_array(ops)))
        return JWK_REFUSED;
    if (use && !str_eq(json_string(use), S("sig")))
        return JWK_FOR_OTHER_USE;
    return ops && !lists_verify(ops) ? JWK_FOR_OTHER_USE : JWK_GOOD;
}

/* `alg` narrows what the type allows (RFC 7517 4.4). */
static enum jwk_verdict check_alg(struct jwt_key *k, const json_value *jwk, const char **ret_why)
{
    const json_value *v = json_have(jwk, S("alg"));
    enum jws_alg alg;

    if (!v)
        return JWK_GOOD;
    if (!json_is_string(v)) {
        *ret_why = "`alg` is a text";
        return JWK_REFUSED;
    }
    if (!jws_alg_parse(json_string(v), &alg))
        return JWK_FOR_OTHER_USE; // RSA-OAEP, ECDH-ES, ES256K, ...
    if (!(k->algs & JWS_ALG(alg))) {
        *ret_why = "`alg` does not go with the type of the key";
        return JWK_REFUSED;
    }
    k->algs = JWS_ALG(alg);
    return JWK_GOOD;
}

static bool read_kid(struct jwt_key *k, const json_value *jwk, const char **ret_why)
{
    const json_value *v = json_have(jwk, S("kid"));
    str kid = json_string(v);

    *ret_why = "`kid` is a text of at most 256 bytes";
    if (v && (!json_is_string(v) || kid.len > JWKS_KID_MAX))
        return false;
    if (kid.len) {
        char *copy = str_dup(kid);
        must(copy);
        k->kid = (str){copy, kid.len};
    }
    return true;
}

enum jwk_verdict jwk_read(struct jwt_key *k, const json_value *jwk, enum jwks_origin origin,
                          struct arena *a, const char **ret_why)
{
    *ret_why = "a key is an object";
    if (!json_is_object(jwk))
        return JWK_REFUSED;
    enum jwk_verdict verdict = check_use(jwk, ret_why);
    if (verdict != JWK_GOOD)
        return verdict;
    bool is_secret = str_eq(jwk_text(jwk, "kty"), S("oct"));
    bool ok = is_secret ? read_oct(k, jwk, origin, a, ret_why) : read_public(k, jwk, a, ret_why);
    verdict = ok ? check_alg(k, jwk, ret_why) : JWK_REFUSED;
    if (verdict == JWK_GOOD && !read_kid(k, jwk, ret_why))
        verdict = JWK_REFUSED;
    if (verdict != JWK_GOOD)
        jwt_key_deinit(k);
    return verdict;
}
