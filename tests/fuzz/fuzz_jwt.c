/* Bearer tokens. The first byte chooses: the text as the token; or header, NUL, claims, which are
 * then signed, so that the walk gets past the signature. What is accepted is in order, and one
 * changed character of it is refused. */
#include "base/check.h"
#include "core/jwt.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW = 1800000000 };
static const str secret = S("0123456789abcdef0123456789abcdef");
static const char public_keys[] =
    "{\"keys\":[{\"kid\":\"ec\",\"kty\":\"EC\",\"crv\":\"P-256\","
    "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"},{\"kid\":\"ed\",\"kty\":\"OKP\","
    "\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";
static const char *const reasons[] = {
    "missing",       "too_large", "malformed",    "alg_refused", "unknown_key",
    "bad_signature", "claims",    "exp_required", "expired",     "not_yet_valid",
    "issuer",        "audience",  "memory",
};

static struct jwks *keys(void)
{
    static struct jwks *s;
    struct diag d;

    if (s)
        return s;
    diag_init(&d);
    s = jwks_new();
    must(jwks_add_json(s, str_of(public_keys), JWKS_OF_URL, (struct diag_at){0}, &d));
    must(jwks_add_secret(s, secret, (struct diag_at){0}, &d));
    diag_deinit(&d);
    return s;
}

static bool is_known(const char *reason)
{
    for (size_t i = 0; i < countof(reasons); i++)
        if (strcmp(reason, reasons[i]) == 0)
            return true;
    return false;
}

static bool is_clean(str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7F)
            return false;
    return s.ptr && s.ptr[s.len] == 0 && str_is_utf8(s);
}

static bool is_accepted(struct arena *a, str token, const struct jwt_rules *rules)
{
    struct jwt_claims c;
    const char *reason = NULL;

    if (jwt_verify(keys(), token, rules, NOW, a, &c, &reason) != MIG_OK) {
        must(is_known(reason));
        return false;
    }
    must(!reason && token.len <= JWT_TOKEN_MAX && c.scope_count <= JWT_SCOPES_MAX);
    must(c.subject.len && is_clean(c.subject) && is_clean(c.tenant));
    must(c.expires_s >= NOW - rules->leeway_s);
    for (size_t i = 0; i < c.scope_count; i++)
        must(c.scopes[i].len && is_clean(c.scopes[i]) &&
             (i == 0 || str_cmp(c.scopes[i - 1], c.scopes[i]) < 0));
    return true;
}

static size_t encode(char *out, const void *bytes, size_t n)
{
    int len = EVP_EncodeBlock((unsigned char *)out, bytes, (int)n);

    while (len && out[len - 1] == '=')
        len--;
    for (int i = 0; i < len; i++)
        out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
    return (size_t)len;
}

static str sign(struct arena *a, str text)
{
    str rest = text, header = str_split(&rest, 0);
    char *out = arena_alloc(a, 2 * text.len + 100);
    unsigned char mac[32];

    must(out);
    size_t n = encode(out, header.ptr, header.len);
    out[n++] = '.';
    n += rest.len ? encode(out + n, rest.ptr, rest.len) : 0;
    HMAC(EVP_sha256(), secret.ptr, (int)secret.len, (unsigned char *)out, n, mac, NULL);
    out[n++] = '.';
    n += encode(out + n, mac, sizeof mac);
    return (str){out, n};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct jwt_rules rules = {.leeway_s = JWT_LEEWAY_S, .algorithms = JWS_ALGS_ALL};
    struct arena_pool pool = {0};

    if (!size || size > 3 * JWT_TOKEN_MAX)
        return 0;
    struct arena *a = arena_new(&pool, 4 << 20);
    str text = {(const char *)data + 1, size - 1};
    str token = data[0] & 1 ? sign(a, text) : text;
    if (data[0] & 2)
        rules.audience = rules.issuer = S("me");
    if (is_accepted(a, token, &rules)) {
        char *other = arena_alloc(a, token.len);
        memcpy(other, token.ptr, token.len);
        other[data[0] * token.len / 256] ^= 1;
        must(!is_accepted(a, (str){other, token.len}, &rules));
    }
    arena_unref(a);
    arena_pool_deinit(&pool);
    return 0;
}
