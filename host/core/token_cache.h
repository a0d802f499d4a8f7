/* token_cache.h: tokens that were verified a moment ago, so that a client which sends the same one
 * with each call pays for the signature once in five minutes. Owner: its loop; no locks.
 *
 * Found by a seeded 64-bit hash and then by the whole text, so that two tokens cannot be confused;
 * cheaper than SHA-256 by far, at the price that the cache holds live tokens: their memory is
 * zeroed when they leave. Refused tokens are not remembered: whoever sends garbage would only fill
 * the cache.
 *
 * An entry dies at the token's exp or after ttl_s, whichever is first, and at once when `version`
 * is another: the caller changes it whenever the keys (jwks_version()) or the rules do. */
#ifndef CORE_TOKEN_CACHE_H
#define CORE_TOKEN_CACHE_H
#include "core/jwt.h"

struct token_cache_limits {
    size_t entries, bytes;
    uint32_t ttl_s;
};
#define TOKEN_CACHE_DEFAULTS ((struct token_cache_limits){4096, 8 << 20, 300})

struct token_cache_stats { /* for metrics; the counts grow for ever */
    uint64_t hits, misses, evicted;
    size_t entries, bytes;
};

struct token_cache;

/* NULL: out of memory. The tables are made with the first token. */
struct token_cache *token_cache_new(const struct token_cache_limits *limits);
/* Claims that arenas still hold stay until these arenas end. */
void token_cache_free(struct token_cache *c);

/* The claims of a token that was added with this version and has time left, valid until `a` ends
 * (an arena of this loop); NULL: verify it. now_s: wall clock. No malloc, about 0.1 us. */
const struct jwt_claims *token_cache_find(struct token_cache *c, str token, uint64_t version,
                                          uint64_t now_s, struct arena *a);
/* After jwt_verify(). Copies both; replaces an older entry; makes room by dropping tokens that were
 * not used lately. Does nothing when memory is out or the token has no time left. */
void token_cache_add(struct token_cache *c, str token, uint64_t version, uint64_t now_s,
                     const struct jwt_claims *claims);
void token_cache_stats(const struct token_cache *c, struct token_cache_stats *ret);
#endif
