/* From a schema object to a node: arrays, and lists of schemas for the same value. */
#include "base/jsonschema_compile.h"

/* --- arrays ------------------------------------------------------------------------------------- */

/* The schemas in an array, or in prefixItems; none when v is NULL. */
static bool build_list(struct compiler *c, const struct sub *sub, enum keyword k,
                       const json_value *v, const node_id **ret, uint32_t *ret_count)
{
    node_id *nodes;
    uint32_t n = 0;

    if (!json_is_array(v))
        return !v || compile_refuse(c, sub, keyword_name(k), "must be an array");
    if (!(nodes = build_alloc(c, json_size(v) * sizeof *nodes)))
        return false;
    for (struct json_iter i = json_iter(v); json_next(&i); n++)
        if (!build_child(c, i.value, &nodes[n]))
            return false;
    *ret = nodes;
    *ret_count = n;
    return true;
}

/* draft-07: items is one schema, or a list and additionalItems goes on behind it. */
static bool build_items(struct compiler *c, const struct sub *sub, struct array_rule *r)
{
    const json_value *items = keyword_get(sub, KW_ITEMS_07);

    if (!items)
        return build_list(c, sub, KW_PREFIX_ITEMS, keyword_get(sub, KW_PREFIX_ITEMS), &r->prefix,
                          &r->prefix_count) &&
               build_child(c, keyword_get(sub, KW_ITEMS), &r->items);
    if (!json_is_array(items))
        return build_child(c, items, &r->items);
    return build_list(c, sub, KW_ITEMS_07, items, &r->prefix, &r->prefix_count) &&
           build_child(c, keyword_get(sub, KW_ADDITIONAL_ITEMS), &r->items);
}

static bool build_array_rule(struct compiler *c, const struct sub *sub)
{
    static const enum keyword mine[] = {KW_ITEMS, KW_ITEMS_07, KW_PREFIX_ITEMS, KW_MIN_ITEMS,
                                        KW_MAX_ITEMS};
    struct array_rule *r;

    if (!build_has_any(sub, mine, countof(mine)))
        return true;
    if (!(r = build_alloc(c, sizeof *r)))
        return false;
    r->max = UINT64_MAX;
    r->items = NODE_NONE;
    if (!build_count(c, sub, KW_MIN_ITEMS, &r->min) ||
        !build_count(c, sub, KW_MAX_ITEMS, &r->max) || !build_items(c, sub, r))
        return false;
    build_op(c, OP_ARRAY, TYPE_ARRAY, KW_ITEMS)->array = r;
    return true;
}

static bool build_contains(struct compiler *c, const struct sub *sub)
{
    const json_value *v = keyword_get(sub, KW_CONTAINS);
    struct contains_rule *r;

    if (!v)
        return true;
    if (!(r = build_alloc(c, sizeof *r)))
        return false;
    r->min = 1;
    r->max = UINT64_MAX;
    r->is_seen = sub->resource->dialect->draft == JSCHEMA_2020_12;
    if (!build_count(c, sub, KW_MIN_CONTAINS, &r->min) ||
        !build_count(c, sub, KW_MAX_CONTAINS, &r->max) || !build_child(c, v, &r->node))
        return false;
    build_op(c, OP_CONTAINS, TYPE_ARRAY, KW_CONTAINS)->contains = r;
    return true;
}

static bool build_unique(struct compiler *c, const struct sub *sub)
{
    const json_value *v = keyword_get(sub, KW_UNIQUE_ITEMS);
    bool is_on = false;

    if (v && !json_is_bool(v, &is_on))
        return compile_refuse(c, sub, S("uniqueItems"), "must be a boolean");
    if (is_on)
        build_op(c, OP_UNIQUE, TYPE_ARRAY, KW_UNIQUE_ITEMS);
    return true;
}

bool build_array(struct compiler *c, const struct sub *sub)
{
    return build_array_rule(c, sub) && build_contains(c, sub) && build_unique(c, sub);
}

/* --- in place ----------------------------------------------------------------------------------- */

static bool build_list_op(struct compiler *c, const struct sub *sub, enum keyword k,
                          enum op_code code)
{
    const json_value *v = keyword_get(sub, k);
    const node_id *nodes = NULL;
    uint32_t count = 0;

    if (!v)
        return true;
    if (!json_size(v))
        return compile_refuse(c, sub, keyword_name(k), "must be an array that is not empty");
    if (!build_list(c, sub, k, v, &nodes, &count))
        return false;
    struct op *op = build_op(c, code, TYPE_ALL, k);
    op->nodes = nodes;
    op->count = count;
    return true;
}

bool build_one(struct compiler *c, const struct sub *sub, enum keyword k, enum op_code code,
               unsigned kinds)
{
    const json_value *v = keyword_get(sub, k);
    node_id node;

    if (!v)
        return true;
    if (!build_child(c, v, &node))
        return false;
    build_op(c, code, kinds, k)->node = node;
    return true;
}

static bool build_if(struct compiler *c, const struct sub *sub)
{
    const json_value *v = keyword_get(sub, KW_IF);
    struct if_rule *r;

    if (!v)
        return true;
    if (!(r = build_alloc(c, sizeof *r)) || !build_child(c, v, &r->condition) ||
        !build_child(c, keyword_get(sub, KW_THEN), &r->yes) ||
        !build_child(c, keyword_get(sub, KW_ELSE), &r->no))
        return false;
    build_op(c, OP_IF, TYPE_ALL, KW_IF)->cond = r;
    return true;
}

bool build_in_place(struct compiler *c, const struct sub *sub)
{
    return build_list_op(c, sub, KW_ALL_OF, OP_ALL_OF) &&
           build_list_op(c, sub, KW_ANY_OF, OP_ANY_OF) &&
           build_list_op(c, sub, KW_ONE_OF, OP_ONE_OF) &&
           build_one(c, sub, KW_NOT, OP_NOT, TYPE_ALL) && build_if(c, sub);
}
