/* Key sets: JSON by origin, PEM. Nothing is added without a reason given; what is added can be
 * asked to verify. */
#include "base/check.h"
#include "core/jwt.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* {"alg":"HS256"} and so on. */
static const struct {
    const char *header;
    size_t signature_bytes;
} shapes[] = {
    {"eyJhbGciOiJIUzI1NiJ9", 32}, {"eyJhbGciOiJSUzI1NiJ9", 256}, {"eyJhbGciOiJQUzM4NCJ9", 256},
    {"eyJhbGciOiJFUzI1NiJ9", 64}, {"eyJhbGciOiJFUzM4NCJ9", 96},  {"eyJhbGciOiJFUzUxMiJ9", 132},
    {"eyJhbGciOiJFZERTQSJ9", 64},
};

/* A token that nobody has signed. */
static void ask(const struct jwks *s, size_t which)
{
    const struct jwt_rules rules = {.algorithms = JWS_ALGS_ALL};
    struct arena_pool pool = {0};
    struct arena *a = arena_new(&pool, 1 << 20);
    struct jwt_claims claims;
    const char *reason = NULL;
    char token[600];

    must(a);
    int n = snprintf(token, sizeof token, "%s.e30.", shapes[which].header);
    size_t bytes = shapes[which].signature_bytes, len = bytes * 4 / 3 + (bytes % 3 != 0);
    memset(token + n, 'A', len);
    must(jwt_verify(s, (str){token, (size_t)n + len}, &rules, 0, a, &claims, &reason) != MIG_OK);
    must(!jwks_count(s) || !strcmp(reason, "bad_signature") || !strcmp(reason, "alg_refused"));
    arena_unref(a);
    arena_pool_deinit(&pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct jwks *s = jwks_new();
    struct diag_at at = {0};
    struct diag d;

    if (!size) {
        jwks_unref(s);
        return 0;
    }
    diag_init(&d);
    str text = {(const char *)data + 1, size - 1};
    bool ok = data[0] % 4 == 0   ? jwks_add_pem(s, text, S("name"), at, &d)
              : data[0] % 4 == 1 ? jwks_add_json(s, text, JWKS_OF_FILE, at, &d)
              : data[0] % 4 == 2 ? jwks_add_json(s, text, JWKS_OF_URL, at, &d)
                                 : jwks_add_secret(s, text, at, &d);
    must(ok == (jwks_count(s) > 0) && ok == (d.errors == 0) && jwks_count(s) <= JWKS_KEYS_MAX);
    must(data[0] % 4 != 2 || !jwks_has_short_secret(s));
    ask(s, data[0] / 4 % countof(shapes));
    diag_deinit(&d);
    jwks_unref(s);
    return 0;
}
