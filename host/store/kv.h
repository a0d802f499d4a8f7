/* kv.h: the key-value store behind mig.kv/1. This driver keeps everything in memory: it lives as long
 * as the process and survives reloads. Any thread; leaf locks; each function is short. */
#ifndef STORE_KV_H
#define STORE_KV_H
#include "base/buf.h"
#include "mig/ext/kv.h"

struct kv_store;

struct kv_limits {
    uint64_t max_bytes, max_keys, max_value;
};

struct kv_store *kv_new(const struct kv_limits *limits);
void kv_free(struct kv_store *s);
void kv_set_limits(struct kv_store *s, const struct kv_limits *limits);

/* Where a key lives: nobody sees another's. */
struct kv_space {
    str tenant, plugin, provider;
};
/* MIG_OK: the value is appended to out. MIG_NOT_FOUND. now_ms: monotonic. */
mig_status kv_get(struct kv_store *s, const struct kv_space *space, str key, uint64_t now_ms,
                  struct buf *out, uint64_t *ret_revision);
/* MIG_OK; MIG_VERSION_MISMATCH: expect is not the revision (*ret_revision is); MIG_BACKPRESSURE: a
 * limit is reached; MIG_INVALID_REQUEST: key or value too long. */
mig_status kv_put(struct kv_store *s, const struct kv_space *space, str key, str value,
                  uint64_t expect, uint64_t ttl_ms, uint64_t now_ms, uint64_t *ret_revision);
/* MIG_OK, MIG_NOT_FOUND or MIG_VERSION_MISMATCH. */
mig_status kv_del(struct kv_store *s, const struct kv_space *space, str key, uint64_t expect,
                  uint64_t now_ms, uint64_t *ret_revision);
void kv_stats(struct kv_store *s, uint64_t *ret_keys, uint64_t *ret_bytes);
#endif
