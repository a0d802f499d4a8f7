/* jwt_key.h: one key and one signature, between jwks*.c and jwt*.c; for nobody else. */
#ifndef CORE_JWT_KEY_H
#define CORE_JWT_KEY_H
#include "base/arena.h"
#include "base/json.h"
#include "core/jwks.h"

#include <openssl/types.h>

/* Owner: its set. Either a public key or a shared secret. */
struct jwt_key {
    str kid;       /* malloc'ed; empty: none, so it may have signed any token */
    unsigned algs; /* never mixes HS* with others */
    EVP_PKEY *pkey;
    str secret; /* malloc'ed, zeroed before it is freed */
};

void jwt_key_deinit(struct jwt_key *k);
/* Takes the key over (*k is empty afterwards, also on failure). false: the set is full. */
bool jwks_take_key(struct jwks *s, struct jwt_key *k);
const struct jwt_key *jwks_keys(const struct jwks *s, size_t *ret_count);

/* Is it the key's signature of the text? alg must be one of key->algs. Any thread. */
bool jwt_key_verify(const struct jwt_key *k, enum jws_alg alg, str text, str signature);

/* What algorithms a public key is good for by type, curve and size; 0: *ret_why says why it is
 * refused. */
unsigned jws_algs_of(EVP_PKEY *pkey, const char **ret_why);

enum jwk_verdict { JWK_GOOD, JWK_FOR_OTHER_USE, JWK_REFUSED };
/* A key from a JWK; needs arena memory for a moment. JWK_REFUSED: *ret_why, static, says why. */
enum jwk_verdict jwk_read(struct jwt_key *k, const json_value *jwk, enum jwks_origin origin,
                          struct arena *a, const char **ret_why);

/* A member that is a text; anything else, and nothing, is the empty text. */
str jwk_text(const json_value *jwk, const char *name);

/* base64url without padding (RFC 7515 2), one way to write each value: no other characters, no
 * left-over bits. out has room for text.len / 4 * 3 + 2. */
bool base64url_decode(str text, char *out, size_t *ret_len);
/* The same into an arena; false also when memory is out. */
bool base64url_take(struct arena *a, str text, str *ret);
#endif
