/* Steps 12 and 13: how often a tenant and its peers may invoke, how much it has left, and how many run
 * at a time. What a provider invokes in the name of a call was paid for by that call: only the rate of
 * the capability itself holds for it. What the host invokes for its self-checks nobody pays for. */
#include "base/clock.h"
#include "core/op.h"
#include "core/quota.h"
#include "core/usage.h"

static mig_status fail_rate(struct op *op, const char *reason, const char *message,
                            uint64_t wait_ns)
{
    mig_status status = op_fail(op, MIG_RATE_LIMITED, reason, message);

    op->error.retry_after_ms = rate_wait_ms(wait_ns);
    return status;
}

static mig_status check_peer(struct op *op, uint64_t now_ns)
{
    char peer[RATE_PEER];
    size_t len = rate_peer(op->principal->remote, peer);
    uint64_t wait = len ? rate_table_take(op->core->peers, (str){peer, len},
                                          &op->gen->policy.client_rate, now_ns)
                        : 0;

    return wait ? fail_rate(op, "rate_limit_client", "too many requests from this address", wait)
                : MIG_OK;
}

static mig_status check_tenant(struct op *op, uint64_t now_ns)
{
    uint64_t wait = rate_take(&op->tenant->rate, &op->gen->policy.tenant_rate, now_ns);

    return wait ? fail_rate(op, "rate_limit_tenant", "too many requests of the tenant", wait)
                : MIG_OK;
}

static mig_status check_capability(struct op *op, uint64_t now_ns)
{
    const struct cap_policy *p = op->cap->policy;

    if (!p || !p->rps)
        return MIG_OK;
    struct usage_cell *cell = usage_cell_of(op->core->usage, op->tenant, op->cap->usage);
    uint64_t wait = rate_take(&cell->rate, &p->rate, now_ns);
    return wait ? fail_rate(op, "rate_limit_capability",
                            "too many requests of the tenant for this capability", wait)
                : MIG_OK;
}

static mig_status reserve(struct op *op)
{
    uint64_t wait_ms = 0;

    op->quota_epoch = quota_take(op->core->tenants, op->tenant, clock_wall_ms(), &wait_ms);
    if (op->quota_epoch)
        return MIG_OK;
    return fail_rate(op, "tenant_quota", "tenant quota exceeded", wait_ms * 1000000);
}

static mig_status check(struct op *op)
{
    const struct policy *p = &op->gen->policy;
    uint64_t now_ns = clock_now_ns();
    mig_status status = MIG_OK;

    if (!op->done && p->client_rate.interval_ns)
        status = check_peer(op, now_ns);
    if (status == MIG_OK && !op->done && p->tenant_rate.interval_ns)
        status = check_tenant(op, now_ns);
    if (status == MIG_OK)
        status = check_capability(op, now_ns);
    if (status == MIG_OK && !op->done && atomic_load(&op->tenant->has_quota))
        status = reserve(op);
    return status;
}

mig_status stage_limits(struct op *op)
{
    const struct policy *p = &op->gen->policy;

    if (op->principal->is_host)
        return MIG_OK;
    op->tenant = tenant_of(op->core->tenants, op->header.tenant_id);
    if (!op->cap->policy && !p->has_rates &&
        !atomic_load_explicit(&op->tenant->has_quota, memory_order_relaxed))
        return MIG_OK;
    return check(op);
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

    if (!op->tenant)
        return MIG_OK; /* the host's own */
    op->is_counted = true;
    uint64_t mine = atomic_fetch_add(&op->tenant->inflight, 1) + 1;
    uint64_t all = atomic_fetch_add(&core->inflight_count, 1) + 1;
    if (all > p->max_inflight)
        return full(op, "max_inflight", "the node has too many invocations in flight");
    if (mine > p->max_inflight_tenant)
        return full(op, "max_inflight_tenant", "the tenant has too many invocations in flight");
    return MIG_OK;
}

void limits_leave(struct op *op, bool is_success)
{
    struct tenant *t = op->tenant;
    bool is_used = is_success && !op->done;

    if (!t)
        return; /* it did not get to step 12 */
    if (op->is_counted) {
        atomic_fetch_sub(&t->inflight, 1);
        atomic_fetch_sub(&op->core->inflight_count, 1);
    }
    if (op->quota_epoch)
        quota_return(op->core->tenants, t, op->quota_epoch, is_used);
    else if (is_used)
        atomic_fetch_add(&t->done, 1);
    if (is_used)
        atomic_fetch_add(&usage_cell_of(op->core->usage, t, op->cap->usage)->count, 1);
    op->tenant = NULL;
}
