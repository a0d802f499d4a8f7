#include "edge/identity.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/openssl.h"
#include "core/jwks_source.h"
#include "core/token_cache.h"

#include <stdlib.h>

enum { WAITING_MAX = 1024, ARENA_LIMIT = 1 << 20 };

struct identity {
    struct core *core;
    struct jwks_source *source;
    struct pool_share share;
    bool has_url;
    _Atomic bool is_quick; /* only a shared secret: never worth a worker */
    void (*freed)(void *arg);
    void *freed_arg;
};

/* What a loop has of it. */
struct local {
    struct jwks_view keys;
    struct token_cache *cache;
};

/* --- keys --------------------------------------------------------------------------------------- */

struct jwks *identity_read_keys(const struct identity_config *c, struct diag *d)
{
    const char *why;

    if (!openssl_load(&why)) {
        diag_error(d, ((struct diag_at){0}), "identity.openssl", "tokens need OpenSSL: %s", why);
        return NULL;
    }
    struct jwks *set = jwks_new();
    bool ok = true;
    if (c->secret)
        ok &= jwks_add_secret(set, str_of(c->secret), (struct diag_at){0}, d);
    for (size_t i = 0; i < c->key_file_count; i++)
        ok &= jwks_add_file(set, c->key_files[i], d);
    return ok ? set : jwks_unref(set);
}

static void note_quick(struct identity *i, const struct jwks *keys)
{
    atomic_store(&i->is_quick, !i->has_url && !jwks_has_pairs(keys));
}

struct identity *identity_new(struct core *core, const struct identity_config *c,
                              jwks_fetch_fn *fetch, void *ctx, struct diag *d)
{
    struct jwks *fixed = identity_read_keys(c, d);
    struct identity *i = NULL;

    if (fixed && (jwks_count(fixed) || c->jwks_url)) {
        i = calloc(1, sizeof *i);
        must(i);
        i->core = core;
        i->has_url = c->jwks_url;
        note_quick(i, fixed);
        i->share.run_limit = 64;
        i->share.queue_limit = WAITING_MAX;
        i->source = jwks_source_new(&(struct jwks_source_config){.url = c->jwks_url,
                                                                 .fixed = fixed,
                                                                 .fetch = fetch,
                                                                 .fetch_ctx = ctx,
                                                                 .control = core->control,
                                                                 .pool = core->pool});
    }
    jwks_unref(fixed);
    return i;
}

bool identity_set_keys(struct identity *i, const struct jwks *keys)
{
    if (!jwks_source_set_fixed(i->source, keys))
        return false;
    note_quick(i, keys);
    return true;
}

static void source_freed(void *arg)
{
    struct identity *i = arg;
    void (*freed)(void *) = i->freed;
    void *freed_arg = i->freed_arg;

    pool_share_close(i->core->pool, &i->share);
    free(i);
    if (freed)
        freed(freed_arg);
}

void identity_free(struct identity *i, void (*done)(void *arg), void *arg)
{
    i->freed = done;
    i->freed_arg = arg;
    jwks_source_free(i->source, source_freed, i);
}

/* --- per loop ----------------------------------------------------------------------------------- */

static struct local *local_of(struct loop *l)
{
    struct local *mine = l->local[LOOP_IDENTITY];

    if (mine)
        return mine;
    mine = calloc(1, sizeof *mine);
    must(mine);
    mine->cache = token_cache_new(&TOKEN_CACHE_DEFAULTS);
    must(mine->cache);
    l->local[LOOP_IDENTITY] = mine;
    return mine;
}

void identity_loop_free(struct loop *l)
{
    struct local *mine = l->local[LOOP_IDENTITY];

    if (!mine)
        return;
    l->local[LOOP_IDENTITY] = NULL;
    jwks_view_close(&mine->keys);
    token_cache_free(mine->cache);
    free(mine);
}

/* --- verifying ---------------------------------------------------------------------------------- */

static uint64_t version_of(const struct identity_ask *a, const struct jwks *keys)
{
    return jwks_version(keys) * 0x100000001B3u ^ a->rules_version;
}

/* Home loop: the answer is known. */
static void learn(struct identity_ask *a, const struct jwks *keys)
{
    if (a->status == MIG_OK)
        token_cache_add(local_of(a->home)->cache, a->token, version_of(a, keys), a->now_s,
                        &a->claims);
    else if (a->reason && !strcmp(a->reason, "unknown_key"))
        jwks_source_want(a->identity->source);
}

static bool copy_claims(struct identity_ask *a)
{
    struct jwt_claims *c = &a->claims;
    str *scopes = arena_alloc(a->arena, (c->scope_count + 1) * sizeof *scopes);

    c->subject = arena_copy(a->arena, c->subject);
    c->tenant = arena_copy(a->arena, c->tenant);
    for (size_t i = 0; scopes && i < c->scope_count; i++)
        scopes[i] = arena_copy(a->arena, c->scopes[i]);
    c->scopes = scopes;
    return scopes && c->subject.ptr && c->tenant.ptr;
}

static void drop_scratch(struct identity_ask *a)
{
    if (a->scratch)
        arena_unref(a->scratch);
    if (a->pool)
        arena_pool_deinit(a->pool);
    free(a->pool);
}

static void verified(struct task *t)
{
    struct identity_ask *a = container_of(t, struct identity_ask, task);

    learn(a, a->keys);
    if (a->status == MIG_OK && !copy_claims(a)) {
        a->status = MIG_BACKPRESSURE;
        a->reason = "memory";
    }
    jwks_unref(a->keys);
    drop_scratch(a);
    a->done(a);
}

/* On a worker. */
static void verify(struct task *t)
{
    struct identity_ask *a = container_of(t, struct identity_ask, task);

    a->status =
        jwt_verify(a->keys, a->token, &a->rules, a->now_s, a->scratch, &a->claims, &a->reason);
    t->run = verified;
    loop_post(a->home, t);
}

static void refuse(struct identity_ask *a)
{
    a->status = MIG_BACKPRESSURE;
    a->reason = "busy";
}

/* What a worker needs, and its generation may take away. false: no memory. */
static bool pack(struct identity_ask *a)
{
    str *const texts[] = {&a->rules.issuer, &a->rules.audience};

    a->pool = calloc(1, sizeof *a->pool);
    a->scratch = a->pool ? arena_new(a->pool, ARENA_LIMIT) : NULL;
    return a->scratch && arena_own(a->scratch, texts, countof(texts));
}

/* false: it is on its way to a worker. */
static bool send_away(struct identity_ask *a, const struct jwks *keys)
{
    a->keys = jwks_ref(keys);
    a->task.run = verify;
    if (pack(a) && pool_run(a->identity->core->pool, &a->identity->share, &a->task))
        return false;
    jwks_unref(a->keys);
    drop_scratch(a);
    refuse(a);
    return true;
}

bool identity_verify(struct identity_ask *a)
{
    struct local *mine = local_of(a->home);
    const struct jwks *keys = jwks_view_look(&mine->keys, a->identity->source);

    a->now_s = clock_wall_ms() / 1000;
    const struct jwt_claims *known =
        token_cache_find(mine->cache, a->token, version_of(a, keys), a->now_s, a->arena);
    if (known) {
        a->claims = *known;
        a->status = MIG_OK;
        return true;
    }
    if (!atomic_load_explicit(&a->identity->is_quick, memory_order_relaxed))
        return send_away(a, keys);
    a->status = jwt_verify(keys, a->token, &a->rules, a->now_s, a->arena, &a->claims, &a->reason);
    learn(a, keys);
    return true;
}
