/* jwt.h: bearer tokens: signed (RFC 7515, compact form) claims (RFC 7519) to what edge/ makes a
 * principal of. Encrypted tokens and those that bring their own key (`jwk`, `jku`, `x5u`) are not
 * known: such members of the header are never looked at.
 *
 * OpenSSL's EVP verifies. libjwt signs, and must never verify: jwt_decode() takes an HS256 token
 * that was signed with the text of an RSA public key, takes any signature when it is given no key,
 * and does not look at exp, nbf, aud or iss. It is confined to jwt_sign.c. */
#ifndef CORE_JWT_H
#define CORE_JWT_H
#include "base/arena.h"
#include "core/jwks.h"

enum { JWT_TOKEN_MAX = 16 << 10, JWT_SCOPES_MAX = 256, JWT_LEEWAY_S = 30 };
#define JWT_NEVER UINT64_MAX

struct jwt_rules {
    str issuer, audience; /* empty: not checked */
    uint32_t leeway_s;    /* for exp and nbf: JWT_LEEWAY_S unless configured */
    bool require_exp;
    unsigned algorithms; /* mask of JWS_ALG(); 0 refuses everything */
};

struct jwt_claims {
    str subject;       /* `sub`; "unknown" when the token has none  */
    str tenant;        /* `tenant_id`, else `tenant`; empty: none   */
    const str *scopes; /* `scope` and `scopes`, sorted, each once   */
    size_t scope_count;
    uint64_t expires_s; /* `exp` in whole seconds; JWT_NEVER: none   */
};

/* Checks the token, without "Bearer ". What *ret borrows is in `a`; nothing else stays there.
 *   MIG_OK; MIG_BACKPRESSURE: out of memory, *ret_reason is "memory";
 *   MIG_UNAUTHORIZED, the first of these that holds (a word for logs and metrics; the client
 *   learns no more than "invalid bearer token"):
 *     missing        no text at all
 *     too_large      more than 16 KiB
 *     malformed      not three base64url parts; the header is no JSON object, says a member
 *                    twice, or has `crit`; the claims are no JSON object
 *     alg_refused    none, unknown, not in the rules, or not for this type of key
 *     unknown_key    no key of this `kid`: time to look for new ones
 *     bad_signature
 *     exp_required, expired, not_yet_valid, issuer, audience
 *     claims         a claim of the wrong type (for exp and nbf before all others), a control
 *                    character in a text, more than 256 scopes
 * now_s: wall clock. Any thread; nothing blocks, but it computes: 4 us (HMAC), 20 us (RSA), 60 us
 * (ES256), 0.15 ms (EdDSA), up to 0.9 ms (ES384, ES512), times four at the most for a token without
 * `kid`. */
mig_status jwt_verify(const struct jwks *keys, str token, const struct jwt_rules *rules,
                      uint64_t now_s, struct arena *a, struct jwt_claims *ret,
                      const char **ret_reason);

/* A token with these claims (a JSON object), for tests, tools and client assertions. malloc'ed;
 * NULL: the claims are no object, the secret is empty, or memory is out. */
char *jwt_sign_hs256(str secret, str claims_json);
#endif
