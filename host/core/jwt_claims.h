/* jwt_claims.h: the second half of jwt_verify(), when the signature is known to be good. */
#ifndef CORE_JWT_CLAIMS_H
#define CORE_JWT_CLAIMS_H
#include "base/json.h"
#include "core/jwt.h"

extern const char jwt_out_of_memory[];

/* NULL when the claims satisfy the rules; else the reason. *ret borrows from the document and
 * `work`. */
const char *jwt_read_claims(const json_value *claims, const struct jwt_rules *rules, uint64_t now_s,
                            struct arena *work, struct jwt_claims *ret);
/* Copies the texts into another arena. false: out of memory. */
bool jwt_copy_claims(struct arena *a, const struct jwt_claims *from, struct jwt_claims *ret);
#endif
