#include "core/jwks.h"
#include "base/check.h"
#include "base/openssl.h"
#include "core/jwt_key.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { JSON_ARENA_LIMIT = 16 << 20 };

/* Immutable after its maker has shared it, but for the count. */
struct jwks {
    _Atomic unsigned refs;
    uint64_t version;
    size_t count;
    bool has_short_secret;
    struct jwt_key keys[JWKS_KEYS_MAX];
};

struct jwks *jwks_new(void)
{
    static _Atomic uint64_t versions;
    struct jwks *s = calloc(1, sizeof *s);

    must(s && openssl_load(NULL));
    s->refs = 1;
    s->version = atomic_fetch_add(&versions, 1) + 1;
    return s;
}

struct jwks *jwks_ref(const struct jwks *s)
{
    struct jwks *mine = (struct jwks *)(uintptr_t)s;

    if (mine)
        atomic_fetch_add_explicit(&mine->refs, 1, memory_order_relaxed);
    return mine;
}

struct jwks *jwks_unref(struct jwks *s)
{
    if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
        return NULL;
    for (size_t i = 0; i < s->count; i++)
        jwt_key_deinit(&s->keys[i]);
    free(s);
    return NULL;
}

void jwks_freep(struct jwks **s)
{
    jwks_unref(*s);
}

void jwt_key_deinit(struct jwt_key *k)
{
    if (k->secret.len)
        explicit_bzero((char *)(uintptr_t)k->secret.ptr, k->secret.len);
    free((char *)(uintptr_t)k->secret.ptr);
    free((char *)(uintptr_t)k->kid.ptr);
    EVP_PKEY_free(k->pkey);
    *k = (struct jwt_key){0};
}

bool jwks_take_key(struct jwks *s, struct jwt_key *k)
{
    if (s->count == JWKS_KEYS_MAX) {
        jwt_key_deinit(k);
        return false;
    }
    s->has_short_secret |= !k->pkey && k->secret.len < JWKS_SECRET_GOOD;
    s->keys[s->count++] = *k;
    *k = (struct jwt_key){0};
    return true;
}

const struct jwt_key *jwks_keys(const struct jwks *s, size_t *ret_count)
{
    *ret_count = s ? s->count : 0;
    return s ? s->keys : NULL;
}

size_t jwks_count(const struct jwks *s)
{
    return s->count;
}

bool jwks_has_short_secret(const struct jwks *s)
{
    return s->has_short_secret;
}

bool jwks_has_pairs(const struct jwks *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->keys[i].pkey)
            return true;
    return false;
}

uint64_t jwks_version(const struct jwks *s)
{
    return s->version;
}

/* A malloc'ed copy; the empty text has ptr NULL. */
static str copy(str s)
{
    if (!s.len)
        return (str){0};
    char *z = str_dup(s);
    must(z);
    return (str){z, s.len};
}

bool jwks_add_set(struct jwks *s, const struct jwks *other)
{
    size_t count = other->count; // it may be the same set

    if (s->count + count > JWKS_KEYS_MAX)
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct jwt_key *from = &other->keys[i];
        struct jwt_key k = {copy(from->kid), from->algs, from->pkey, copy(from->secret)};
        if (k.pkey)
            must(EVP_PKEY_up_ref(k.pkey) == 1);
        jwks_take_key(s, &k);
    }
    return true;
}

static bool is_same_key(const struct jwt_key *a, const struct jwt_key *b)
{
    return str_eq(a->kid, b->kid) && a->algs == b->algs && !a->pkey == !b->pkey &&
           (!a->pkey || EVP_PKEY_eq(a->pkey, b->pkey) == 1) && str_eq_secret(a->secret, b->secret);
}

bool jwks_is_same(const struct jwks *a, const struct jwks *b)
{
    bool is_same = a->count == b->count;

    for (size_t i = 0; is_same && i < a->count; i++)
        is_same = is_same_key(&a->keys[i], &b->keys[i]);
    return is_same;
}

/* --- JWKS documents --------------------------------------------------------------------------- */

struct reading {
    struct jwks *set;
    enum jwks_origin origin;
    struct arena *arena;
    struct diag_at at;
    struct diag *diag;
    size_t taken, for_other_use;
};

/* `keys[2] (kid "a")`: for findings; the kid comes from outside and is cut. */
static void name_key(char out[96], size_t index, str kid)
{
    enum { SHOWN = 48 };
    size_t n = kid.len > SHOWN ? SHOWN : kid.len;

    if (!kid.len)
        snprintf(out, 96, "keys[%zu]", index);
    else if (str_is_visible(kid, JWKS_TEXT_MAX))
        snprintf(out, 96, "keys[%zu] (kid \"%.*s%s\")", index, (int)n, kid.ptr,
                 kid.len > SHOWN ? "..." : "");
    else
        snprintf(out, 96, "keys[%zu] (kid of %zu bytes)", index, kid.len);
}

static void read_key(struct reading *r, size_t index, const json_value *jwk)
{
    struct jwt_key k = {0};
    const char *why = NULL;
    char name[96];

    name_key(name, index, jwk_text(jwk, "kid"));
    switch (jwk_read(&k, jwk, r->origin, r->arena, &why)) {
    case JWK_FOR_OTHER_USE: r->for_other_use++; break;
    case JWK_REFUSED: diag_warn(r->diag, r->at, "jwks.key", "%s is left out: %s", name, why); break;
    case JWK_GOOD:
        if (json_have(jwk, S("d")) && k.pkey)
            diag_warn(r->diag, r->at, "jwks.private",
                      "%s shows its private half; whoever reads this file can sign", name);
        if (!k.pkey && k.secret.len < JWKS_SECRET_GOOD)
            diag_warn(r->diag, r->at, "jwks.short_secret", "%s: a secret should have 32 bytes",
                      name);
        if (jwks_take_key(r->set, &k))
            r->taken++;
        else
            diag_warn(r->diag, r->at, "jwks.key", "%s is left out: a set has at most %d keys", name,
                      JWKS_KEYS_MAX);
        break;
    }
}

static bool read_document(struct reading *r, str text)
{
    struct json_fault fault = {0};
    struct json doc;

    if (!json_parse(&doc, r->arena, text, &fault)) {
        diag_error(r->diag, r->at, "jwks.json", "no JSON at byte %zu: %s", fault.offset,
                   fault.text);
        return false;
    }
    const json_value *keys = json_get(doc.root, S("keys"));
    if (!keys && json_have(doc.root, S("kty"))) { // a single JWK
        read_key(r, 0, doc.root);
    } else if (!json_is_array(keys)) {
        diag_error(r->diag, r->at, "jwks.shape", "a key set is an object with an array `keys`");
        return false;
    } else {
        size_t index = 0;
        for (struct json_iter i = json_iter(keys); json_next(&i);)
            read_key(r, index++, i.value);
    }
    if (!r->taken)
        diag_error(r->diag, r->at, "jwks.empty",
                   "no key can verify a signature (%zu %s other uses)", r->for_other_use,
                   r->for_other_use == 1 ? "is for" : "are for");
    return r->taken > 0;
}

bool jwks_add_json(struct jwks *s, str text, enum jwks_origin origin, struct diag_at at,
                   struct diag *d)
{
    struct arena_pool pool = {0};

    if (text.len > JWKS_TEXT_MAX) {
        diag_error(d, at, "jwks.too_large", "a key set has at most %d KiB", JWKS_TEXT_MAX >> 10);
        return false;
    }
    struct arena *a = arena_new(&pool, JSON_ARENA_LIMIT);
    must(a);
    struct reading r = {s, origin, a, at, d, 0, 0};
    bool ok = read_document(&r, text);
    arena_unref(a);
    arena_pool_deinit(&pool);
    return ok;
}

/* --- secrets ---------------------------------------------------------------------------------- */

bool jwks_add_secret(struct jwks *s, str secret, struct diag_at at, struct diag *d)
{
    const char *why = NULL;

    if (secret.len < JWKS_SECRET_MIN)
        why = "a secret has at least 16 bytes, better 32";
    else if (secret.len > JWKS_SECRET_MAX)
        why = "a secret has at most 1024 bytes";
    else if (str_starts(secret, S("-----BEGIN")))
        why = "this is a PEM text: everybody knows a public key, so it is no secret";
    if (why) {
        diag_error(d, at, "jwks.secret", "%s", why);
        return false;
    }
    if (secret.len < JWKS_SECRET_GOOD)
        diag_warn(d, at, "jwks.short_secret",
                  "the secret has %zu bytes; HS256 wants 32 (RFC 7518 3.2)", secret.len);
    struct jwt_key k = {.algs = JWS_ALG(JWS_HS256), .secret = copy(secret)};
    if (!jwks_take_key(s, &k)) {
        diag_error(d, at, "jwks.full", "a set has at most %d keys", JWKS_KEYS_MAX);
        return false;
    }
    return true;
}
