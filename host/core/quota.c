/* Step 13: how many invocations may be in flight, on the node and per tenant. */
#include "base/check.h"
#include "core/op.h"
#include "core/quota.h"

#include <stdlib.h>

/* One per tenant that has called since the start; bounded, so hostile tenant names share the last
 * one. Any thread. */
struct tenant_load {
    struct stripe_item item;
    _Atomic uint64_t inflight;
    char tenant[65];
};

enum { TENANTS_MAX = 65536 };

struct quota {
    struct stripe_map tenants;
    _Atomic size_t count;
    struct tenant_load overflow;
};

static bool equal(const struct stripe_item *item, const void *key)
{
    const struct tenant_load *l = container_of(item, struct tenant_load, item);
    return str_eq(str_of(l->tenant), *(const str *)key);
}

struct quota *quota_new(void)
{
    struct quota *q = aligned_alloc(64, (sizeof *q + 63) / 64 * 64);

    must(q);
    memset(q, 0, sizeof *q);
    stripe_init(&q->tenants, equal);
    return q;
}

void quota_free(struct quota *q)
{
    if (!q)
        return;
    for (size_t i = 0; i < STRIPES; i++)
        for (size_t b = 0; q->tenants.stripes[i].buckets && b <= q->tenants.stripes[i].mask; b++)
            for (struct stripe_item *at = q->tenants.stripes[i].buckets[b], *next; at; at = next) {
                next = at->next;
                free(container_of(at, struct tenant_load, item));
            }
    stripe_deinit(&q->tenants);
    free(q);
}

static struct tenant_load *load_new(struct quota *q, str tenant)
{
    struct tenant_load *l = NULL;

    if (atomic_fetch_add(&q->count, 1) < TENANTS_MAX)
        l = calloc(1, sizeof *l);
    if (!l) {
        atomic_fetch_sub(&q->count, 1);
        return NULL;
    }
    memcpy(l->tenant, tenant.ptr, tenant.len);
    return l;
}

static struct tenant_load *load_of(struct quota *q, str tenant)
{
    uint64_t hash = str_hash(tenant);
    struct stripe *s = stripe_lock(&q->tenants, hash);
    struct stripe_item *item = stripe_find(&q->tenants, s, hash, &tenant);
    struct tenant_load *l = item ? container_of(item, struct tenant_load, item) : NULL;

    if (!l && (l = load_new(q, tenant)) && !stripe_add(s, &l->item, hash)) {
        free(l);
        l = NULL;
    }
    stripe_unlock(s);
    return l ? l : &q->overflow;
}

static mig_status full(struct op *op, const char *reason, const char *message)
{
    mig_status status = op_fail(op, MIG_BACKPRESSURE, reason, message);

    op->error.retry_after_ms = 1000;
    return status;
}

mig_status stage_concurrency(struct op *op)
{
    const struct policy *p = &op->gen->policy;
    struct core *core = op->core;

    op->load = load_of(core->quota, op->header.tenant_id);
    op->is_counted = true;
    uint64_t mine = atomic_fetch_add(&op->load->inflight, 1) + 1;
    uint64_t all = atomic_fetch_add(&core->inflight_count, 1) + 1;
    if (all > p->max_inflight)
        return full(op, "max_inflight", "the node has too many invocations in flight");
    if (mine > p->max_inflight_tenant)
        return full(op, "max_inflight_tenant", "the tenant has too many invocations in flight");
    return MIG_OK;
}

void concurrency_leave(struct op *op)
{
    if (!op->is_counted)
        return;
    op->is_counted = false;
    atomic_fetch_sub(&op->load->inflight, 1);
    atomic_fetch_sub(&op->core->inflight_count, 1);
}
