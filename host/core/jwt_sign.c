/* The one place that uses libjwt; core/jwt.h says why it only signs. */
#include "base/check.h"
#include "core/jwt.h"

#include <jwt.h>
#include <limits.h>
#include <stdlib.h>

static char *encode(jwt_t *jwt, str secret, const char *claims)
{
    if (jwt_add_grants_json(jwt, claims) != 0 ||
        jwt_set_alg(jwt, JWT_ALG_HS256, (const unsigned char *)secret.ptr, (int)secret.len) != 0)
        return NULL;
    return jwt_encode_str(jwt);
}

char *jwt_sign_hs256(str secret, str claims_json)
{
    CLEANUP(str_freep) char *claims = str_dup(claims_json);
    jwt_t *jwt = NULL;

    if (!claims || !secret.len || secret.len > INT_MAX || jwt_new(&jwt) != 0)
        return NULL;
    char *token = encode(jwt, secret, claims);
    jwt_free(jwt);
    return token;
}
