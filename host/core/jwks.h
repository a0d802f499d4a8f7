/* jwks.h: key sets, from JWKS documents (RFC 7517), PEM texts and shared secrets. What a key may be
 * used for is decided here, from its type, before any token is seen: an RSA key never verifies
 * HS256.
 *
 * A set is filled by its maker and immutable as soon as a second thread knows it; then jwks_ref()
 * and jwks_unref() work on any thread, and verifications run side by side. */
#ifndef CORE_JWKS_H
#define CORE_JWKS_H
#include "base/diag.h"
#include "base/str.h"

/* RFC 7518 3.1 and RFC 8037 3.1 (EdDSA: Ed25519 alone). */
enum jws_alg {
    JWS_HS256,
    JWS_HS384,
    JWS_HS512,
    JWS_RS256,
    JWS_RS384,
    JWS_RS512,
    JWS_PS256,
    JWS_PS384,
    JWS_PS512,
    JWS_ES256,
    JWS_ES384,
    JWS_ES512,
    JWS_EDDSA,
    JWS_ALG_COUNT
};
#define JWS_ALG(alg) (1u << (alg)) /* sets of algorithms are masks */
#define JWS_ALGS_HMAC (JWS_ALG(JWS_HS256) | JWS_ALG(JWS_HS384) | JWS_ALG(JWS_HS512))
#define JWS_ALGS_RSA (077u << JWS_RS256) /* RS and PS */
#define JWS_ALGS_ALL (JWS_ALG(JWS_ALG_COUNT) - 1)

/* "ES256" and so on, exactly; "none" is not among them. */
bool jws_alg_parse(str name, enum jws_alg *ret);
const char *jws_alg_name(enum jws_alg alg);

enum { JWKS_KEYS_MAX = 64, JWKS_KID_MAX = 256, JWKS_TEXT_MAX = 256 << 10 };
enum { JWKS_RSA_BITS_MIN = 2048, JWKS_RSA_BITS_MAX = 8192 };
enum { JWKS_SECRET_MIN = 16, JWKS_SECRET_GOOD = 32, JWKS_SECRET_MAX = 1024 };

struct jwks;

/* An empty set with one reference. Aborts when memory is out: configuration, not requests. OpenSSL must be
 * there (base/openssl.h). */
struct jwks *jwks_new(void);
/* NULL is fine. */
struct jwks *jwks_ref(const struct jwks *s);
struct jwks *jwks_unref(struct jwks *s);
void jwks_freep(struct jwks **s);

/* Whether shared secrets (kty "oct") are taken: from a file of ours, yes; from a URL that anybody
 * may read, never. */
enum jwks_origin { JWKS_OF_FILE, JWKS_OF_URL };

/* Adds the signature keys of a JWK set, or a single JWK. Keys for other uses (`use`, `key_ops`,
 * `alg`) are left out in silence; keys that are weak, broken or of an unknown kind are left out
 * with a warning that names index and kid (RFC 7517 5). false: d has an error, none was added. */
bool jwks_add_json(struct jwks *s, str text, enum jwks_origin origin, struct diag_at at,
                   struct diag *d);
/* Adds every PUBLIC KEY of a PEM text, or the key of its one CERTIFICATE: neither the certificate's
 * dates nor its issuer are looked at, whoever configured it vouches for it. kid: their name, empty
 * for none. false: as above. */
bool jwks_add_pem(struct jwks *s, str text, str kid, struct diag_at at, struct diag *d);
/* Adds a shared secret for HS256 alone. Shorter than 16 bytes: an error. Shorter than 32 (RFC 7518
 * 3.2): a warning, and jwks_has_short_secret(). */
bool jwks_add_secret(struct jwks *s, str secret, struct diag_at at, struct diag *d);
/* Adds a file: a PEM text when it begins so, otherwise JSON. Reads it: not on a loop. */
bool jwks_add_file(struct jwks *s, const char *path, struct diag *d);
/* Adds the keys of another set; they are shared, not copied. false: no room. */
bool jwks_add_set(struct jwks *s, const struct jwks *other);

/* The same keys in the same order? */
bool jwks_is_same(const struct jwks *a, const struct jwks *b);
size_t jwks_count(const struct jwks *s);
bool jwks_has_short_secret(const struct jwks *s);
/* Is a key among them that is no secret? */
bool jwks_has_pairs(const struct jwks *s);
/* Another number for each set of this process, never 0: what was verified with one set is not
 * verified with the next. */
uint64_t jwks_version(const struct jwks *s);
#endif
