/* Step 1, second half: whose request it is (MIG v0.1 section 3). */
#include "core/names.h"
#include "core/op.h"
#include "core/tenants.h"

static bool is_placeholder(const struct policy *p, str tenant)
{
    for (size_t i = 0; i < p->placeholder_count; i++)
        if (str_eq(p->placeholder_tenants[i], tenant))
            return true;
    return false;
}

static bool is_registered(struct core *core, str name)
{
    struct tenant *t = tenant_find(core->tenants, name);

    return t && atomic_load(&t->is_registered);
}

mig_status stage_tenant(struct op *op)
{
    const struct principal *who = op->principal;
    str body;

    if (op->gen->policy.require_tenant_header && !who->has_tenant_header)
        return op_fail(op, MIG_FORBIDDEN, "tenant_header_required", "tenant header is required");
    if (!op_header_text(op, HEADER_TENANT_ID, (str){NULL, 0}, &body))
        return op_fail_member(op, S("header.tenant_id"));
    if (who->tenant.len && is_placeholder(&op->gen->policy, body))
        body = (str){NULL, 0};
    if (!body.len)
        body = who->tenant;
    if (who->tenant.len && !str_eq(body, who->tenant))
        return op_fail(op, MIG_FORBIDDEN, "tenant_mismatch",
                       "tenant_id does not match authenticated principal");
    if (!name_is_tenant(body))
        return op_fail(op, MIG_INVALID_REQUEST, "tenant_required", "tenant_id is required");
    if (op->gen->policy.is_tenant_registered && !who->is_host && !is_registered(op->core, body))
        return op_fail(op, MIG_FORBIDDEN, "tenant_not_registered", "the tenant is not registered");
    op->header.tenant_id = body;
    return MIG_OK;
}
