#include "core/jwt.h"
#include "core/jwt_claims.h"
#include "core/jwt_key.h"

/* A token of 16 KiB takes at most 12 KiB decoded, twice for JSON, and 16 bytes for each value. */
enum { WORK_LIMIT = 1 << 20 };
/* Signatures are dear: a token without `kid` cannot make us try a whole set. */
enum { TRIES_MAX = 4 };

struct parts {
    str signed_text; /* header.claims as they came */
    str header, claims, signature;
};

struct header {
    enum jws_alg alg;
    bool has_kid;
    str kid;
};

/* Exactly three parts (RFC 7515 7.1); the signature may be empty, so that "none" is called by its
 * name. */
static const char *split(struct parts *p, struct arena *work, str token)
{
    str rest = token, header = str_split(&rest, '.'), claims = str_split(&rest, '.');

    if (!rest.ptr || !header.len || !claims.len)
        return "malformed";
    p->signed_text = (str){token.ptr, header.len + 1 + claims.len};
    return base64url_take(work, header, &p->header) && base64url_take(work, claims, &p->claims) &&
                   base64url_take(work, rest, &p->signature)
               ? NULL
               : "malformed";
}

/* A JSON object, each member once. */
static const char *parse(struct json *doc, struct arena *work, str text)
{
    struct json_fault fault = {0};

    if (!json_parse(doc, work, text, &fault))
        return fault.kind == JSON_FAULT_MEMORY ? jwt_out_of_memory : "malformed";
    return json_is_object(doc->root) ? NULL : "malformed";
}

static const char *read_header(struct header *h, struct arena *work, str text, unsigned allowed)
{
    struct json doc;
    const char *reason = parse(&doc, work, text);

    if (reason)
        return reason;
    const json_value *alg = json_get(doc.root, S("alg")), *kid = json_get(doc.root, S("kid"));
    if (json_get(doc.root, S("crit"))) // we understand no extension (RFC 7515 4.1.11)
        return "malformed";
    if (!json_is_string(alg) || (kid && !json_is_string(kid)))
        return "malformed";
    if (!jws_alg_parse(json_string(alg), &h->alg) || !(allowed & JWS_ALG(h->alg)))
        return "alg_refused";
    h->has_kid = kid != NULL;
    h->kid = json_string(kid);
    return NULL;
}

/* --- which key -------------------------------------------------------------------------------- */

struct search {
    const struct jwt_key *keys;
    size_t count, candidates, tries;
};

/* Tries the keys that the filter lets through. */
static bool try_keys(struct search *s, const struct header *h, const struct parts *p,
                     bool (*is_candidate)(const struct jwt_key *k, const struct header *h))
{
    for (size_t i = 0; i < s->count; i++) {
        const struct jwt_key *k = &s->keys[i];
        if (!is_candidate(k, h))
            continue;
        s->candidates++;
        if (!(k->algs & JWS_ALG(h->alg)))
            continue;
        if (s->tries++ == TRIES_MAX)
            return false;
        if (jwt_key_verify(k, h->alg, p->signed_text, p->signature))
            return true;
    }
    return false;
}

static bool has_this_name(const struct jwt_key *k, const struct header *h)
{
    return k->kid.len && str_eq(k->kid, h->kid);
}

static bool has_no_name(const struct jwt_key *k, const struct header *h)
{
    (void)h;
    return !k->kid.len;
}

static bool is_any(const struct jwt_key *k, const struct header *h)
{
    (void)k;
    (void)h;
    return true;
}

static bool has_names(const struct search *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->keys[i].kid.len)
            return true;
    return false;
}

/* Keys of the token's kid first; then keys without a name, which may be behind any kid (a secret, a
 * PEM file). Where all keys have names, or a named one is missing, the kid is unknown. */
static const char *check_signature(const struct jwks *keys, const struct header *h,
                                   const struct parts *p)
{
    struct search s = {0};
    s.keys = jwks_keys(keys, &s.count);

    if (!h->has_kid) {
        if (try_keys(&s, h, p, is_any))
            return NULL;
        return !s.candidates ? "unknown_key" : s.tries ? "bad_signature" : "alg_refused";
    }
    if (try_keys(&s, h, p, has_this_name))
        return NULL;
    bool is_known = s.candidates > 0 || !has_names(&s);
    if (try_keys(&s, h, p, has_no_name))
        return NULL;
    return !is_known || !s.candidates ? "unknown_key" : s.tries ? "bad_signature" : "alg_refused";
}

/* --- the token -------------------------------------------------------------------------------- */

static const char *verify(const struct jwks *keys, str token, const struct jwt_rules *rules,
                          uint64_t now_s, struct arena *work, struct jwt_claims *ret)
{
    struct parts p;
    struct header h;
    struct json claims;
    const char *reason = split(&p, work, token);

    if (!reason)
        reason = read_header(&h, work, p.header, rules->algorithms);
    if (!reason)
        reason = check_signature(keys, &h, &p);
    if (!reason)
        reason = parse(&claims, work, p.claims);
    return reason ? reason : jwt_read_claims(claims.root, rules, now_s, work, ret);
}

static mig_status refuse(const char *reason, const char **ret_reason)
{
    *ret_reason = reason;
    return reason == jwt_out_of_memory ? MIG_BACKPRESSURE : MIG_UNAUTHORIZED;
}

mig_status jwt_verify(const struct jwks *keys, str token, const struct jwt_rules *rules,
                      uint64_t now_s, struct arena *a, struct jwt_claims *ret,
                      const char **ret_reason)
{
    struct arena_pool pool = {0};
    struct jwt_claims claims = {0};

    if (!token.len)
        return refuse("missing", ret_reason);
    if (token.len > JWT_TOKEN_MAX)
        return refuse("too_large", ret_reason);
    /* Apart from the request's arena: that may live as long as a stream. */
    struct arena *work = arena_new(&pool, WORK_LIMIT);
    const char *reason =
        work ? verify(keys, token, rules, now_s, work, &claims) : jwt_out_of_memory;
    if (!reason && !jwt_copy_claims(a, &claims, ret))
        reason = jwt_out_of_memory;
    if (work)
        arena_unref(work);
    arena_pool_deinit(&pool);
    return reason ? refuse(reason, ret_reason) : MIG_OK;
}
