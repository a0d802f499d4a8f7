/* jwks_source.h: the keys that are in force now, from a JWKS URL, from files and secrets, or both.
 *
 *   control loop    owns the source: when to fetch, what to publish, when to forget
 *   a worker        fetches and parses, one at a time; a bad answer changes nothing
 *   every loop      has a view. Its counted reference makes the common case free of locks: one
 *                   atomic load says that nothing has changed. After a change each view takes a
 *                   reference of the new set under a leaf lock, once, and lets go of the old one,
 *                   which is freed with its last reference. So a retired set lives until the
 *                   last loop has looked again.
 *
 * A document is fetched again after 3/4 of its life (max-age, bounded), sooner when a token names a
 * key that we do not know, and then at most every 30 s whatever tokens come. While the URL fails
 * the old keys stay for 24 h beyond their life, with a warning at each failure; then only files and
 * secrets are left. */
#ifndef CORE_JWKS_SOURCE_H
#define CORE_JWKS_SOURCE_H
#include "core/jwks.h"
#include "loop/loop.h"
#include "loop/pool.h"

struct jwks_answer {
    bool has_max_age;
    uint64_t max_age_s;
    char why[256]; /* false: for the log */
};
/* Gets the document (status 200, nothing else) into out, whose limit bounds it. Runs on a worker
 * and blocks. *stop: give up, the source is going away. core/ does not include net/: main/ hands in
 * fetch_get(). */
typedef bool jwks_fetch_fn(void *ctx, const char *url, const _Atomic bool *stop, struct buf *out,
                           struct jwks_answer *ret);

/* Milliseconds; 0 takes the default. */
struct jwks_times {
    uint64_t default_ttl, min_ttl, max_ttl; /* 300 s, 60 s, 24 h              */
    uint64_t first_retry, last_retry;       /* 1 s, doubled up to 60 s        */
    uint64_t stale;                         /* 24 h beyond the document's life */
    uint64_t forced_gap;                    /* 30 s                           */
};

struct jwks_source_config {
    const char *url;          /* copied; NULL: only `fixed`                      */
    const struct jwks *fixed; /* part of every set; may be NULL                  */
    jwks_fetch_fn *fetch;
    void *fetch_ctx; /* outlives the source */
    struct loop *control;
    struct pool *pool;
    struct jwks_times times;
    uint64_t (*now_ms)(void); /* NULL: the monotonic clock */
};

struct jwks_source;

/* Control thread. Fixed keys are in force at once; the first fetch begins, nobody waits for it. */
struct jwks_source *jwks_source_new(const struct jwks_source_config *config);
/* Control thread, when no loop will look again. Returns at once; a running fetch is told to stop.
 * done(arg), if not NULL, runs on the control thread when all is freed: the pool and the control
 * loop must live until then. Views may be closed later. */
void jwks_source_free(struct jwks_source *s, void (*done)(void *arg), void *arg);
/* Control thread: other keys of files and secrets than before, in force at once beside those of the URL.
 * false: together there are too many; nothing has changed. The same keys again change nothing, so that
 * what was verified with them stays so. */
bool jwks_source_set_fixed(struct jwks_source *s, const struct jwks *fixed);
/* Control thread: do what is due. The timer calls it. */
void jwks_source_look(struct jwks_source *s);

/* [any] A token named a key that is in no set (jwt_verify: unknown_key). Cheap when too soon. */
void jwks_source_want(struct jwks_source *s);

/* Owner: its loop. Zeroed memory is a view of nothing. */
struct jwks_view {
    struct jwks *set;
};
/* The keys in force, valid until the next look or close; never NULL, maybe without keys. */
const struct jwks *jwks_view_look(struct jwks_view *v, struct jwks_source *s);
void jwks_view_close(struct jwks_view *v);

struct jwks_source_state {
    size_t keys;
    uint64_t loaded_ms; /* wall clock of the last good answer; 0: none yet */
    bool is_stale;      /* the document's life is over */
    uint64_t fetches, failures, forced;
    char why[256]; /* the last failure; empty after a good answer */
};
/* [any] For health, metrics and the admin API. */
void jwks_source_state(struct jwks_source *s, struct jwks_source_state *ret);
#endif
