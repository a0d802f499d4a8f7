/* Schemas that are applied to the same value: references and combinations. */
#include "base/jsonschema_check.h"

bool check_in_place(const struct frame *f, node_id node, struct seen *seen)
{
    const struct node *n = &f->c->s->nodes[node];

    if (n->is_any)
        return true;
    struct frame same = {.c = f->c, .up = f, .node = n, .value = f->value, .seen = seen};
    return check_node(&same);
}

/* The same without telling anybody why it fails; what it evaluates counts only when it fits. */
static bool fits(const struct frame *f, node_id node, struct seen *own)
{
    struct jschema_errors *errors = f->c->errors;

    if (own)
        seen_clear(own);
    f->c->errors = NULL;
    bool ok = check_in_place(f, node, own);
    f->c->errors = errors;
    if (ok && own)
        seen_merge(f->seen, own);
    return ok;
}

/* *ret is NULL when nobody asks what was evaluated. */
static bool own_seen(const struct frame *f, struct seen *storage, struct seen **ret)
{
    *ret = f->seen ? storage : NULL;
    return !f->seen || seen_init(f, storage, f->seen->count);
}

bool check_ref(struct frame *f, const struct op *op)
{
    return check_in_place(f, op->node, f->seen);
}

/* The outermost resource on the way here that has the anchor (core 8.2.3.2). */
bool check_dynamic_ref(struct frame *f, const struct op *op)
{
    const struct frame *at = f;
    node_id found = NODE_NONE;
    uint64_t cost = 0;

    do {
        node_id node = op->dynamic->by_resource[at->node->resource];
        if (node != NODE_NONE)
            found = node;
        cost++;
    } while ((at = at->up));
    return check_pay(f, cost / 8) &&
           check_in_place(f, found == NODE_NONE ? op->dynamic->fallback : found, f->seen);
}

bool check_all_of(struct frame *f, const struct op *op)
{
    bool ok = true;

    for (uint32_t i = 0; i < op->count && (ok || !is_quiet(f)); i++)
        ok &= check_in_place(f, op->nodes[i], f->seen);
    return ok;
}

/* The only alternative for values of this kind is the one that was meant: say what is wrong there. */
static void explain(const struct frame *f, const struct op *op)
{
    node_id meant = NODE_NONE;

    if (is_quiet(f))
        return;
    for (uint32_t i = 0; i < op->count; i++) {
        if (!(f->c->s->nodes[op->nodes[i]].types & (1U << f->kind | TYPE_INTEGER)))
            continue;
        if (meant != NODE_NONE)
            return;
        meant = op->nodes[i];
    }
    if (meant != NODE_NONE)
        check_in_place(f, meant, NULL);
}

bool check_any_of(struct frame *f, const struct op *op)
{
    struct seen storage, *own;
    bool ok = false;

    if (!own_seen(f, &storage, &own))
        return false;
    for (uint32_t i = 0; i < op->count && (!ok || own); i++)
        ok |= fits(f, op->nodes[i], own);
    if (ok)
        return true;
    report(f, op->keyword, "fits none of %u alternatives", op->count);
    explain(f, op);
    return false;
}

bool check_one_of(struct frame *f, const struct op *op)
{
    struct seen storage, *own;
    uint32_t first = 0, count = 0;

    if (!own_seen(f, &storage, &own))
        return false;
    for (uint32_t i = 0; i < op->count; i++) {
        if (!fits(f, op->nodes[i], own))
            continue;
        if (count++)
            return report(f, op->keyword, "fits the alternatives %u and %u, must fit only one",
                          first, i);
        first = i;
    }
    if (count)
        return true;
    report(f, op->keyword, "fits none of %u alternatives", op->count);
    explain(f, op);
    return false;
}

bool check_not(struct frame *f, const struct op *op)
{
    struct jschema_errors *errors = f->c->errors;

    f->c->errors = NULL;
    bool is_match = check_in_place(f, op->node, NULL);
    f->c->errors = errors;
    return !is_match || report(f, op->keyword, "fits a schema that it must not fit");
}

bool check_if(struct frame *f, const struct op *op)
{
    struct seen storage, *own;

    if (!own_seen(f, &storage, &own))
        return false;
    node_id then = fits(f, op->cond->condition, own) ? op->cond->yes : op->cond->no;
    return then == NODE_NONE || check_in_place(f, then, f->seen);
}
