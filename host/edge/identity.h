/* identity.h: who sent a bearer token. Keys and verified tokens outlive generations; the rules are the
 * generation's. A token that was verified lately costs one look-up; others are verified in place when a
 * shared secret signed them (4 us), on a worker when a key pair did. */
#ifndef EDGE_IDENTITY_H
#define EDGE_IDENTITY_H
#include "base/diag.h"
#include "core/core.h"
#include "core/jwks_source.h"
#include "core/jwt.h"

struct identity;

struct identity_config {
    const char *secret;           /* HS256; NULL: none                          */
    const char *jwks_url;         /* NULL: none                                 */
    const char *ca_file;          /* for the URL; NULL: the system's            */
    const char *const *key_files; /* PEM or JWKS                                */
    size_t key_file_count;
};

/* The keys of files and the secret. Reads files: not on a loop. NULL: d says why. */
struct jwks *identity_read_keys(const struct identity_config *c, struct diag *d);
/* Control thread. NULL: d says why; or there is no key at all, and d says nothing. fetch: how key sets
 * are got; ctx outlives the identity. */
struct identity *identity_new(struct core *core, const struct identity_config *c,
                              jwks_fetch_fn *fetch, void *ctx, struct diag *d);
/* Control thread. Other keys than identity_new() has read, for all tokens from now on. false: with those
 * of the URL there are too many; the old ones stay. */
bool identity_set_keys(struct identity *i, const struct jwks *keys);
/* Control thread, when no loop asks any more; the control loop must still run until done(). */
void identity_free(struct identity *i, void (*done)(void *arg), void *arg);
/* Loop thread, when the loop ends. */
void identity_loop_free(struct loop *l);

/* One question, in the arena of whoever asks. */
struct identity_ask {
    struct identity *identity;
    struct loop *home;
    struct arena *arena;
    str token;
    struct jwt_rules rules; /* the generation's: good within the turn */
    uint64_t rules_version;
    void (*done)(struct identity_ask *ask); /* home loop, when identity_verify() said so */

    /* the answer */
    mig_status status;
    const char *reason; /* of MIG_UNAUTHORIZED, for logs and metrics */
    struct jwt_claims claims;

    /* private */
    struct task task;
    struct jwks *keys;
    struct arena_pool *pool;
    struct arena *scratch;
    uint64_t now_s;
};
/* Loop thread. true: answered. false: done() will run, once. */
bool identity_verify(struct identity_ask *ask);
#endif
