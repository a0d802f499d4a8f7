/* From a schema object to a node: types, numbers, strings, references. */
#include "base/jsonschema_compile.h"

#include <math.h>
#include <stdlib.h>

void *build_alloc(struct compiler *c, size_t n)
{
    void *p = arena_zero(c->keep, n ? n : 1);

    if (!p)
        compile_no_memory(c);
    return p;
}

struct op *build_op(struct compiler *c, enum op_code code, unsigned kinds, enum keyword k)
{
    struct op *op = c->next_op++;

    *op =
        (struct op){.code = (uint8_t)code, .kinds = (uint8_t)kinds, .keyword = keyword_name(k).ptr};
    return op;
}

bool build_child(struct compiler *c, const json_value *value, node_id *ret)
{
    struct sub *sub = value ? index_find(c, value) : NULL;

    *ret = sub ? schema_node_of(c, sub) : NODE_NONE;
    return !value || *ret != NODE_NONE;
}

bool build_count(struct compiler *c, const struct sub *sub, enum keyword k, uint64_t *ret)
{
    const json_value *v = keyword_get(sub, k);

    if (!v)
        return true;
    if (json_kind(v) != JSON_NUMBER || !value_is_integer(v) || json_exact(v) < 0)
        return compile_refuse(c, sub, keyword_name(k), "must be a whole number, not below 0");
    *ret = json_exact(v) < 0x1p63L ? (uint64_t)json_exact(v) : UINT64_MAX;
    return true;
}

/* --- types -------------------------------------------------------------------------------------- */

static unsigned type_bit(str name)
{
    static const struct {
        const char *name;
        unsigned bit;
    } types[] = {{"null", 1 << JSON_NULL}, {"boolean", 1 << JSON_BOOL}, {"integer", TYPE_INTEGER},
                 {"number", TYPE_NUMBER},  {"string", TYPE_STRING},     {"array", TYPE_ARRAY},
                 {"object", TYPE_OBJECT}};

    for (size_t i = 0; i < countof(types); i++)
        if (str_eq(name, str_of(types[i].name)))
            return types[i].bit;
    return 0;
}

static bool build_types(struct compiler *c, const struct sub *sub, uint8_t *ret)
{
    const json_value *v = keyword_get(sub, KW_TYPE);
    unsigned bits = json_is_string(v) ? type_bit(json_string(v)) : 0;

    *ret = TYPE_ALL;
    if (!v)
        return true;
    for (struct json_iter i = json_iter(json_is_array(v) ? v : NULL); json_next(&i);) {
        unsigned bit = json_is_string(i.value) ? type_bit(json_string(i.value)) : 0;
        if (!bit)
            return compile_refuse(c, sub, S("type"), "names no type");
        bits |= bit;
    }
    *ret = (uint8_t)bits;
    return bits || compile_refuse(c, sub, S("type"), "names no type");
}

/* --- numbers and strings ------------------------------------------------------------------------ */

static bool read_bound(struct compiler *c, const struct sub *sub, enum keyword k, long double *ret)
{
    const json_value *v = keyword_get(sub, k);

    if (!v)
        return true;
    if (json_kind(v) != JSON_NUMBER)
        return compile_refuse(c, sub, keyword_name(k), "must be a number");
    *ret = json_exact(v);
    return true;
}

bool build_has_any(const struct sub *sub, const enum keyword *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (keyword_get(sub, list[i]))
            return true;
    return false;
}

static bool build_number(struct compiler *c, const struct sub *sub)
{
    static const enum keyword mine[] = {KW_MINIMUM, KW_MAXIMUM, KW_EXCLUSIVE_MINIMUM,
                                        KW_EXCLUSIVE_MAXIMUM, KW_MULTIPLE_OF};
    struct number_rule *r;

    if (!build_has_any(sub, mine, countof(mine)))
        return true;
    if (!(r = build_alloc(c, sizeof *r)))
        return false;
    *r = (struct number_rule){-INFINITY, INFINITY, -INFINITY, INFINITY, {0, 0}, NULL};
    if (!read_bound(c, sub, KW_MINIMUM, &r->minimum) ||
        !read_bound(c, sub, KW_MAXIMUM, &r->maximum) ||
        !read_bound(c, sub, KW_EXCLUSIVE_MINIMUM, &r->above) ||
        !read_bound(c, sub, KW_EXCLUSIVE_MAXIMUM, &r->below))
        return false;
    const json_value *v = r->multiple_value = keyword_get(sub, KW_MULTIPLE_OF);
    if (v && (json_kind(v) != JSON_NUMBER || json_exact(v) <= 0))
        return compile_refuse(c, sub, S("multipleOf"), "must be a number above 0");
    if (v)
        r->multiple_of = decimal_of(v);
    build_op(c, OP_NUMBER, TYPE_NUMBER, KW_MULTIPLE_OF)->number = r;
    return true;
}

static bool build_length(struct compiler *c, const struct sub *sub)
{
    struct string_rule *r;

    if (!keyword_get(sub, KW_MIN_LENGTH) && !keyword_get(sub, KW_MAX_LENGTH))
        return true;
    if (!(r = build_alloc(c, sizeof *r)))
        return false;
    r->max = UINT64_MAX;
    if (!build_count(c, sub, KW_MIN_LENGTH, &r->min) ||
        !build_count(c, sub, KW_MAX_LENGTH, &r->max))
        return false;
    build_op(c, OP_STRING, TYPE_STRING, KW_MIN_LENGTH)->string = r;
    return true;
}

static bool keep_regex(struct compiler *c, str pattern, struct regex *regex)
{
    struct jschema *s = c->s;

    if (s->regex_count == c->regex_cap) {
        size_t cap = c->regex_cap ? 2 * c->regex_cap : 8;
        struct regex **list = realloc(s->regexes, cap * sizeof *list);
        if (!list)
            return false;
        s->regexes = list;
        c->regex_cap = cap;
    }
    if (!map_put(&c->patterns, pattern, regex))
        return false;
    s->regexes[s->regex_count++] = regex;
    return true;
}

bool build_regex(struct compiler *c, const struct sub *sub, enum keyword k, str pattern,
                 const struct regex **ret)
{
    struct regex *regex = map_get(&c->patterns, pattern);
    struct regex_fault fault;

    if (!regex) {
        if (c->s->regex_count >= REGEXES_MAX)
            return compile_refuse(c, sub, keyword_name(k), "more than %d patterns", REGEXES_MAX);
        if (c->is_trusted && !regex_compile_late(&regex, pattern))
            return compile_no_memory(c);
        if (!c->is_trusted && !regex_compile(&regex, pattern, &fault))
            return compile_refuse(c, sub, keyword_name(k), "%s (byte %zu of the pattern)",
                                  fault.text, fault.offset);
        if (!keep_regex(c, pattern, regex)) {
            regex_free(regex);
            return compile_no_memory(c);
        }
    }
    *ret = regex;
    return true;
}

static bool build_pattern(struct compiler *c, const struct sub *sub)
{
    const json_value *v = keyword_get(sub, KW_PATTERN);
    struct pattern_rule *r;

    if (!v)
        return true;
    if (!json_is_string(v))
        return compile_refuse(c, sub, S("pattern"), "must be a string");
    if (!(r = build_alloc(c, sizeof *r)))
        return false;
    r->text = json_string(v);
    if (!build_regex(c, sub, KW_PATTERN, r->text, &r->regex))
        return false;
    build_op(c, OP_PATTERN, TYPE_STRING, KW_PATTERN)->pattern = r;
    return true;
}

static bool build_format(struct compiler *c, const struct sub *sub)
{
    const json_value *v = keyword_get(sub, KW_FORMAT);
    const struct format *format;

    if (!v || !sub->resource->dialect->has_formats)
        return true;
    if (!json_is_string(v))
        return compile_refuse(c, sub, S("format"), "must be a string");
    if ((format = format_find(json_string(v))))
        build_op(c, OP_FORMAT, TYPE_STRING, KW_FORMAT)->format = format;
    return true;
}

/* --- references --------------------------------------------------------------------------------- */

static bool build_ref(struct compiler *c, const struct sub *sub, enum keyword k, struct sub **ret,
                      str *ret_fragment)
{
    const json_value *v = keyword_get(sub, k);

    *ret = NULL;
    if (!v)
        return true;
    if (!json_is_string(v))
        return compile_refuse(c, sub, keyword_name(k), "must be a string");
    *ret = ref_resolve(c, sub, k, json_string(v), ret_fragment);
    return *ret;
}

static bool build_static_ref(struct compiler *c, const struct sub *sub)
{
    struct sub *to;
    str fragment;
    node_id node;

    if (!build_ref(c, sub, KW_REF, &to, &fragment) ||
        (to && (node = schema_node_of(c, to)) == NODE_NONE))
        return false;
    if (to)
        build_op(c, OP_REF, TYPE_ALL, KW_REF)->node = node;
    return true;
}

/* Core 8.2.3.2: dynamic only when it leads first to a $dynamicAnchor. */
static bool build_dynamic_ref(struct compiler *c, const struct sub *sub)
{
    struct sub *to;
    str name;

    if (!build_ref(c, sub, KW_DYNAMIC_REF, &to, &name))
        return false;
    if (!to)
        return true;
    node_id node = schema_node_of(c, to);
    const json_value *anchor = keyword_get(to, KW_DYNAMIC_ANCHOR);
    if (node == NODE_NONE)
        return false;
    if (!name.len || !json_is_string(anchor) || !str_eq(json_string(anchor), name)) {
        build_op(c, OP_DYNAMIC_REF, TYPE_ALL, KW_DYNAMIC_REF)->code = OP_REF;
        c->next_op[-1].node = node;
        return true;
    }
    struct dynamic_rule *rule = build_alloc(c, sizeof *rule);
    struct dynamic_pending *p = rule ? arena_alloc(c->work, sizeof *p) : NULL;
    if (!p)
        return compile_no_memory(c);
    *p = (struct dynamic_pending){c->dynamic_pending, name, rule};
    c->dynamic_pending = p;
    rule->fallback = node;
    build_op(c, OP_DYNAMIC_REF, TYPE_ALL, KW_DYNAMIC_REF)->dynamic = rule;
    return true;
}

/* --- the node ----------------------------------------------------------------------------------- */

static bool build_ops(struct compiler *c, const struct sub *sub, uint8_t *types)
{
    bool is_07 = sub->resource->dialect->draft == JSCHEMA_DRAFT_07;

    *types = TYPE_ALL;
    if (is_07 && keyword_get(sub, KW_REF))
        return build_static_ref(c, sub);
    return build_types(c, sub, types) && build_values(c, sub) && build_number(c, sub) &&
           build_length(c, sub) && build_pattern(c, sub) && build_format(c, sub) &&
           build_array(c, sub) && build_object(c, sub) && build_dependent(c, sub) &&
           build_static_ref(c, sub) && build_dynamic_ref(c, sub) && build_in_place(c, sub) &&
           build_one(c, sub, KW_UNEVALUATED_ITEMS, OP_UNEVALUATED_ITEMS, TYPE_ARRAY) &&
           build_one(c, sub, KW_UNEVALUATED_PROPERTIES, OP_UNEVALUATED_PROPERTIES, TYPE_OBJECT);
}

bool build_node(struct compiler *c, struct sub *sub, struct node *ret)
{
    struct op ops[OP_COUNT + 2];
    bool is_true = true;

    c->next_op = ops;
    *ret = (struct node){.resource = sub->resource->number, .types = TYPE_ALL};
    if (json_is_bool(sub->value, &is_true)) {
        if (!is_true)
            build_op(c, OP_NEVER, TYPE_ALL, KW_REF)->keyword = "";
    } else if (!build_ops(c, sub, &ret->types)) {
        return false;
    }
    size_t n = (size_t)(c->next_op - ops);
    struct op *kept = build_alloc(c, n * sizeof *kept);
    if (!kept)
        return false;
    memcpy(kept, ops, n * sizeof *kept);
    ret->ops = kept;
    ret->op_count = (uint8_t)n;
    ret->is_any = !n && ret->types == TYPE_ALL;
    ret->asks_evaluated = n && kept[n - 1].code >= OP_UNEVALUATED_ITEMS;
    return true;
}
