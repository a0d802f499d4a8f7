/* From a schema object to a node: everything about members, and const and enum. */
#include "base/jsonschema_compile.h"

/* A power of two, at most half full. */
static uint32_t slots_for(size_t n)
{
    uint32_t size = 4;

    while (size < 2 * n)
        size *= 2;
    return size;
}

/* --- properties and required --------------------------------------------------------------------- */

struct table {
    struct property *properties;
    uint32_t *slots;
    uint32_t mask, count;
};

static bool table_init(struct compiler *c, struct table *t, size_t n)
{
    uint32_t size = slots_for(n);

    t->properties = build_alloc(c, n * sizeof *t->properties);
    t->slots = t->properties ? build_alloc(c, size * sizeof *t->slots) : NULL;
    t->mask = size - 1;
    return t->slots;
}

/* The property with this name, made when it is new. */
static struct property *table_at(struct table *t, str name)
{
    uint64_t hash = str_hash(name);
    uint32_t i = (uint32_t)hash & t->mask;

    for (; t->slots[i]; i = (i + 1) & t->mask) {
        struct property *p = &t->properties[t->slots[i] - 1];
        if (p->hash == hash && str_eq(p->name, name))
            return p;
    }
    struct property *p = &t->properties[t->count++];
    t->slots[i] = t->count;
    *p = (struct property){.name = name, .hash = hash, .node = NODE_NONE};
    return p;
}

static bool is_names(const json_value *v)
{
    for (struct json_iter i = json_iter(v); json_next(&i);)
        if (!json_is_string(i.value))
            return false;
    return json_is_array(v);
}

static bool build_properties(struct compiler *c, const struct sub *sub, struct object_rule *r)
{
    const json_value *properties = keyword_get(sub, KW_PROPERTIES);
    const json_value *required = keyword_get(sub, KW_REQUIRED);
    struct table t = {0};

    if (properties && !json_is_object(properties))
        return compile_refuse(c, sub, S("properties"), "must be an object");
    if (required && !is_names(required))
        return compile_refuse(c, sub, S("required"), "must be an array of strings");
    if (!table_init(c, &t, json_size(properties) + json_size(required)))
        return false;
    for (struct json_iter i = json_iter(properties); json_next(&i);)
        if (!build_child(c, i.value, &table_at(&t, i.key)->node))
            return false;
    for (struct json_iter i = json_iter(required); json_next(&i);) {
        struct property *p = table_at(&t, json_string(i.value));
        r->required_count += !p->is_required;
        p->is_required = true;
    }
    r->properties = t.properties;
    r->slots = t.slots;
    r->slot_mask = t.mask;
    r->property_count = t.count;
    return true;
}

static bool build_patterns(struct compiler *c, const struct sub *sub, struct object_rule *r)
{
    const json_value *v = keyword_get(sub, KW_PATTERN_PROPERTIES);
    struct pattern_rule *list;

    if (!v)
        return true;
    if (!json_is_object(v))
        return compile_refuse(c, sub, S("patternProperties"), "must be an object");
    if (!(list = build_alloc(c, json_size(v) * sizeof *list)))
        return false;
    for (struct json_iter i = json_iter(v); json_next(&i);) {
        struct pattern_rule *p = &list[r->pattern_count++];
        p->text = i.key;
        if (!build_regex(c, sub, KW_PATTERN_PROPERTIES, i.key, &p->regex) ||
            !build_child(c, i.value, &p->node))
            return false;
    }
    r->patterns = list;
    return true;
}

bool build_object(struct compiler *c, const struct sub *sub)
{
    static const enum keyword mine[] = {
        KW_PROPERTIES,     KW_PATTERN_PROPERTIES, KW_ADDITIONAL_PROPERTIES, KW_REQUIRED,
        KW_PROPERTY_NAMES, KW_MIN_PROPERTIES,     KW_MAX_PROPERTIES};
    struct object_rule *r = NULL;

    for (size_t i = 0; i < countof(mine) && !r; i++)
        if (keyword_get(sub, mine[i]) && !(r = build_alloc(c, sizeof *r)))
            return false;
    if (!r)
        return true;
    r->max = UINT64_MAX;
    if (!build_count(c, sub, KW_MIN_PROPERTIES, &r->min) ||
        !build_count(c, sub, KW_MAX_PROPERTIES, &r->max) || !build_properties(c, sub, r) ||
        !build_patterns(c, sub, r) ||
        !build_child(c, keyword_get(sub, KW_ADDITIONAL_PROPERTIES), &r->additional) ||
        !build_child(c, keyword_get(sub, KW_PROPERTY_NAMES), &r->names))
        return false;
    build_op(c, OP_OBJECT, TYPE_OBJECT, KW_PROPERTIES)->object = r;
    return true;
}

/* --- dependencies -------------------------------------------------------------------------------- */

static bool read_names(struct compiler *c, const json_value *v, struct dependency *d)
{
    str *names = build_alloc(c, json_size(v) * sizeof *names);

    if (!names)
        return false;
    for (struct json_iter i = json_iter(v); json_next(&i);)
        names[d->required_count++] = json_string(i.value);
    d->required = names;
    return true;
}

static bool build_dependency(struct compiler *c, const struct sub *sub, enum keyword k,
                             const struct json_iter *i, struct dependency *d)
{
    *d = (struct dependency){.name = i->key, .node = NODE_NONE};
    if (k != KW_DEPENDENT_SCHEMAS && is_names(i->value))
        return read_names(c, i->value, d);
    if (k == KW_DEPENDENT_REQUIRED || !index_find(c, i->value))
        return compile_refuse(c, sub, keyword_name(k), "must hold arrays of strings%s",
                              k == KW_DEPENDENCIES ? ", or schemas" : "");
    return build_child(c, i->value, &d->node);
}

bool build_dependent(struct compiler *c, const struct sub *sub)
{
    static const enum keyword mine[] = {KW_DEPENDENT_REQUIRED, KW_DEPENDENT_SCHEMAS,
                                        KW_DEPENDENCIES};
    struct dependency *list;
    size_t room = 0;
    uint32_t n = 0;

    for (size_t i = 0; i < countof(mine); i++) {
        const json_value *v = keyword_get(sub, mine[i]);
        if (v && !json_is_object(v))
            return compile_refuse(c, sub, keyword_name(mine[i]), "must be an object");
        room += json_size(v);
    }
    if (!room)
        return true;
    if (!(list = build_alloc(c, room * sizeof *list)))
        return false;
    for (size_t k = 0; k < countof(mine); k++)
        for (struct json_iter i = json_iter(keyword_get(sub, mine[k])); json_next(&i); n++)
            if (!build_dependency(c, sub, mine[k], &i, &list[n]))
                return false;
    struct op *op = build_op(c, OP_DEPENDENT, TYPE_OBJECT, KW_DEPENDENT_REQUIRED);
    op->dependencies = list;
    op->count = n;
    return true;
}

/* --- const and enum ------------------------------------------------------------------------------- */

static void set_add(struct value_set *set, const json_value **values, uint64_t *hashes,
                    uint32_t *slots, const json_value *v)
{
    uint64_t hash = value_hash(v), steps = UINT64_MAX;
    uint32_t i = (uint32_t)hash & set->slot_mask;

    for (; slots[i]; i = (i + 1) & set->slot_mask)
        if (hashes[slots[i] - 1] == hash && value_equal(values[slots[i] - 1], v, &steps))
            return;
    values[set->count] = v;
    hashes[set->count] = hash;
    slots[i] = ++set->count;
}

/* The items of list, or v alone. */
static const struct value_set *set_new(struct compiler *c, const json_value *list,
                                       const json_value *v)
{
    size_t n = v ? 1 : json_size(list);
    uint32_t size = slots_for(n);
    struct value_set *set = build_alloc(c, sizeof *set);
    const json_value **values = set ? build_alloc(c, n * sizeof *values) : NULL;
    uint64_t *hashes = values ? build_alloc(c, n * sizeof *hashes) : NULL;
    uint32_t *slots = hashes ? build_alloc(c, size * sizeof *slots) : NULL;

    if (!slots)
        return NULL;
    *set = (struct value_set){values, hashes, slots, size - 1, 0};
    if (v)
        set_add(set, values, hashes, slots, v);
    for (struct json_iter i = json_iter(v ? NULL : list); json_next(&i);)
        set_add(set, values, hashes, slots, i.value);
    return set;
}

bool build_values(struct compiler *c, const struct sub *sub)
{
    const json_value *one = keyword_get(sub, KW_CONST), *list = keyword_get(sub, KW_ENUM);

    if (one && !(build_op(c, OP_CONST, TYPE_ALL, KW_CONST)->set = set_new(c, NULL, one)))
        return false;
    if (!list)
        return true;
    if (!json_is_array(list))
        return compile_refuse(c, sub, S("enum"), "must be an array");
    return (build_op(c, OP_ENUM, TYPE_ALL, KW_ENUM)->set = set_new(c, list, NULL));
}
