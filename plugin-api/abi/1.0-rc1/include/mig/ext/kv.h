/* mig/ext/kv.h: key-value store of the node, one namespace per (tenant, plugin id, provider name).
 * It outlives instances and reloads. With a data directory it also outlives the process; without
 * one it lives in memory. Keys up to 512 bytes, values up to the host's limit (default 1 MiB). */
#ifndef MIG_EXT_KV_H
#define MIG_EXT_KV_H
#include "mig/plugin.h"
#ifdef __cplusplus
extern "C" {
#endif

#define MIG_EXT_KV "mig.kv/1" /* host: mig_ext_kv */
#define MIG_KV_ANY UINT64_MAX /* expect: whatever revision is there */

typedef struct mig_kv_result {
    uint32_t struct_size;
    mig_status status; /* MIG_NOT_FOUND: no such key; MIG_VERSION_MISMATCH: expect did not match;
                          MIG_BACKPRESSURE: the store is full                            */
    mig_str value;     /* valid during the callback                                      */
    uint64_t revision; /* of the key now; 0: absent                                      */
} mig_kv_result;

typedef void (*mig_kv_done)(void *self, void *tag, const mig_kv_result *r);

typedef struct mig_ext_kv {
    uint32_t struct_size, flags;
    /* [any] Asynchronous; done runs on the executor of `call` (on [pool] when call is 0). The
     * call gives tenant, deadline, cancellation and trace. done runs exactly once unless the
     * return is not MIG_OK. */
    mig_status (*get)(const mig_host *h, mig_call call, mig_str key, mig_kv_done done, void *tag);
    /* expect: revision that must be current (0: the key must be absent); MIG_KV_ANY: any.
     * ttl_ms 0: for ever. */
    mig_status (*put)(const mig_host *h, mig_call call, mig_str key, mig_str value, uint64_t expect,
                      uint64_t ttl_ms, mig_kv_done done, void *tag);
    mig_status (*del)(const mig_host *h, mig_call call, mig_str key, uint64_t expect,
                      mig_kv_done done, void *tag);
} mig_ext_kv;

#ifdef __cplusplus
}
#endif
#endif
