/* Step 5: who may invoke what (MIG v0.1 section 4). */
#include "core/op.h"

bool authz_may_invoke(const struct principal *p, const struct capability *c)
{
    if (!p->is_authenticated || !c->scope_count)
        return true; /* nobody is authenticated only in mode none, which asks for no scopes */
    for (size_t i = 0; i < c->scope_count; i++)
        if (principal_has_scope(p, c->auth_scopes[i]))
            return true;
    return false;
}

/* A topic that capabilities with scopes announce needs a scope of one of them (MIG v0.1 section 4). */
bool authz_may_topic(const struct principal *p, const struct gen *g, str topic)
{
    bool is_guarded = false;

    if (!p->is_authenticated)
        return true;
    for (size_t i = 0; i < g->capability_count; i++) {
        const struct capability *c = g->capabilities[i];
        bool announces = false;
        for (size_t n = 0; n < c->topic_count; n++)
            announces |= str_eq(c->event_topics[n], topic);
        if (!announces || !c->scope_count)
            continue;
        is_guarded = true;
        if (authz_may_invoke(p, c))
            return true;
    }
    return !is_guarded;
}

mig_status stage_scope(struct op *op)
{
    if (authz_may_invoke(op->principal, op->cap))
        return MIG_OK;
    return op_fail(op, MIG_FORBIDDEN, "insufficient_scope", "insufficient capability scope");
}
