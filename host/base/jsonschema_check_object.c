/* What is asked of objects. */
#include "base/jsonschema_check.h"

/* What is known about the members that were met. */
struct members {
    uint32_t required; /* how many of the required ones */
    uint32_t next; /* the property behind the last one: mostly members keep the schema's order */
};

static const struct property *property_find(const struct object_rule *r, str name,
                                            struct members *m)
{
    if (m->next < r->property_count && str_eq(r->properties[m->next].name, name))
        return &r->properties[m->next++];
    if (!r->property_count)
        return NULL;
    uint64_t hash = str_hash(name);
    for (uint32_t i = (uint32_t)hash & r->slot_mask; r->slots[i]; i = (i + 1) & r->slot_mask) {
        const struct property *p = &r->properties[r->slots[i] - 1];
        if (p->hash == hash && str_eq(p->name, name)) {
            m->next = r->slots[i];
            return p;
        }
    }
    return NULL;
}

static bool is_never(const struct frame *f, node_id node)
{
    const struct node *n = &f->c->s->nodes[node];

    return n->op_count == 1 && n->ops[0].code == OP_NEVER;
}

/* A member that nobody asked for. */
static bool check_extra(const struct frame *f, node_id node, const struct json_iter *i,
                        size_t index, const char *keyword)
{
    if (is_quiet(f) || !is_never(f, node))
        return check_child(f, node, i, index);
    struct frame child = {
        .c = f->c, .up = f, .value = i->value, .key = i->key, .step = STEP_MEMBER};
    return report(&child, keyword, "is no property that is allowed here");
}

static bool check_name(const struct frame *f, node_id node, const struct json_iter *i)
{
    struct jschema_errors *errors = f->c->errors;
    struct frame name = {.c = f->c, .up = f, .node = &f->c->s->nodes[node], .value = i->key_value};
    str clipped = report_clip(i->key);

    f->c->errors = NULL;
    bool ok = check_node(&name);
    f->c->errors = errors;
    return ok ||
           report(f, "propertyNames", "must have no property named \"%.*s\"", STR_ARG(clipped));
}

static bool check_member(const struct frame *f, const struct object_rule *r,
                         const struct json_iter *i, size_t index, struct members *m)
{
    const struct property *p = property_find(r, i->key, m);
    bool ok = true, is_known = p && p->node != NODE_NONE;

    if (p)
        m->required += p->is_required;
    if (is_known)
        ok = check_child(f, p->node, i, index);
    for (uint32_t k = 0; k < r->pattern_count && (ok || !is_quiet(f)); k++)
        if (check_pattern(f, r->patterns[k].regex, i->key)) {
            is_known = true;
            ok &= check_child(f, r->patterns[k].node, i, index);
        }
    if (!is_known && r->additional != NODE_NONE) {
        is_known = true;
        ok &= check_extra(f, r->additional, i, index, "additionalProperties");
    }
    if (is_known && f->seen)
        seen_add(f->seen, index);
    return ok && (r->names == NODE_NONE || check_name(f, r->names, i));
}

static bool check_size(const struct frame *f, const struct object_rule *r, size_t n)
{
    if (n < r->min)
        return report(f, "minProperties", "must have at least %" PRIu64 " properties, has %zu",
                      r->min, n);
    return n <= r->max || report(f, "maxProperties",
                                 "must have at most %" PRIu64 " properties, has %zu", r->max, n);
}

bool check_object(struct frame *f, const struct op *op)
{
    const struct object_rule *r = op->object;
    size_t n = json_size(f->value), index = 0;
    bool ok = check_size(f, r, n);
    struct members m = {0};

    if (!check_pay(f, n))
        return false;
    for (struct json_iter i = json_iter(f->value); (ok || !is_quiet(f)) && json_next(&i); index++)
        ok &= check_member(f, r, &i, index, &m);
    if (!ok && is_quiet(f))
        return false;
    return (m.required == r->required_count || report_required(f, r)) && ok;
}

static bool check_dependency(const struct frame *f, const struct dependency *d)
{
    if (d->node != NODE_NONE)
        return check_in_place(f, d->node, f->seen);
    str because = report_clip(d->name);
    for (uint32_t i = 0; i < d->required_count; i++)
        if (!json_get(f->value, d->required[i])) {
            str name = report_clip(d->required[i]);
            return report(f, "dependentRequired", "lacks \"%.*s\", which \"%.*s\" needs",
                          STR_ARG(name), STR_ARG(because));
        }
    return true;
}

bool check_dependent(struct frame *f, const struct op *op)
{
    size_t n = json_size(f->value);
    bool ok = true;

    for (uint32_t i = 0; i < op->count && (ok || !is_quiet(f)); i++) {
        const struct dependency *d = &op->dependencies[i];
        if (!check_pay(f, 1 + n / 16))
            return false;
        if (json_get(f->value, d->name))
            ok &= check_pay(f, d->required_count * (1 + n / 16)) && check_dependency(f, d);
    }
    return ok;
}

bool check_unevaluated_properties(struct frame *f, const struct op *op)
{
    size_t index = 0;
    bool ok = true;

    if (!check_pay(f, json_size(f->value)))
        return false;
    for (struct json_iter i = json_iter(f->value); (ok || !is_quiet(f)) && json_next(&i); index++)
        if (!seen_has(f->seen, index)) {
            ok &= check_extra(f, op->node, &i, index, op->keyword);
            seen_add(f->seen, index);
        }
    return ok;
}
