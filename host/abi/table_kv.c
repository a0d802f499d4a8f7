/* mig.kv/1 */
#include "abi/pending.h"
#include "abi/tables.h"
#include "base/check.h"
#include "base/clock.h"
#include "core/op.h"
#include "store/kv.h"

#include <stdlib.h>

struct kv_pending {
    struct pending pending;
    mig_kv_done done;
    void *tag;
    mig_kv_result result;
    struct buf value;
};

static void run(struct pending *p)
{
    struct kv_pending *k = container_of(p, struct kv_pending, pending);

    k->result.struct_size = sizeof k->result;
    k->result.value = buf_str(&k->value);
    k->done(p->instance->self, k->tag, &k->result);
}

static void drop(struct pending *p)
{
    struct kv_pending *k = container_of(p, struct kv_pending, pending);

    buf_deinit(&k->value);
    free(k);
}

static struct kv_pending *begin(const mig_host *h, mig_call call, mig_kv_done done, void *tag,
                                struct kv_space *space, mig_status *ret_status)
{
    struct kv_pending *k = pending_new(sizeof *k, h, call, ret_status);
    struct instance *i = instance_of(h);

    if (!k)
        return NULL;
    k->pending.run = run;
    k->pending.free = drop;
    k->done = done;
    k->tag = tag;
    buf_init(&k->value, BUF_MAX);
    struct op *op = k->pending.call ? op_of_call(k->pending.call) : NULL;
    const struct principal *p = k->pending.call ? k->pending.call->principal : NULL;
    *space = (struct kv_space){.tenant = op  ? op->header.tenant_id
                                         : p ? p->tenant
                                             : S(""),
                               .plugin = str_of(i->plugin.id),
                               .provider = str_of(i->name)};
    return k;
}

static uint64_t now_ms(void)
{
    return clock_now_ns() / 1000000u;
}

static mig_status get(const mig_host *h, mig_call call, mig_str key, mig_kv_done done, void *tag)
{
    struct kv_space space;
    mig_status status;
    struct kv_pending *k = begin(h, call, done, tag, &space, &status);

    if (!k)
        return status;
    k->result.status =
        kv_get(instance_of(h)->core->kv, &space, key, now_ms(), &k->value, &k->result.revision);
    pending_ready(&k->pending);
    return MIG_OK;
}

static mig_status put(const mig_host *h, mig_call call, mig_str key, mig_str value, uint64_t expect,
                      uint64_t ttl_ms, mig_kv_done done, void *tag)
{
    struct kv_space space;
    mig_status status;
    struct kv_pending *k = begin(h, call, done, tag, &space, &status);

    if (!k)
        return status;
    k->result.status = kv_put(instance_of(h)->core->kv, &space, key, value, expect, ttl_ms,
                              now_ms(), &k->result.revision);
    pending_ready(&k->pending);
    return MIG_OK;
}

static mig_status del(const mig_host *h, mig_call call, mig_str key, uint64_t expect,
                      mig_kv_done done, void *tag)
{
    struct kv_space space;
    mig_status status;
    struct kv_pending *k = begin(h, call, done, tag, &space, &status);

    if (!k)
        return status;
    k->result.status =
        kv_del(instance_of(h)->core->kv, &space, key, expect, now_ms(), &k->result.revision);
    pending_ready(&k->pending);
    return MIG_OK;
}

const void *table_kv(struct instance *i)
{
    static const mig_ext_kv table = {sizeof table, 0, get, put, del};
    (void)i;
    return &table;
}
