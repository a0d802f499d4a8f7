/* Does a newer schema take what the older one took? Answers "yes" only where that can be seen; who
 * cannot see it says "breaking". References are followed within each document. */
#include "base/jsonschema_parts.h"
#include "base/jsonschema_uri.h"

#include <math.h>

enum { COMPARE_DEPTH_MAX = 200, COMPARE_STEPS = 4000000 };

/* Pairs that are being compared: a recursive schema meets itself again. */
struct pair {
    const struct pair *up;
    const json_value *older, *newer;
};

struct compare {
    struct arena *arena;
    const json_value *older, *newer; /* the roots */
    uint64_t steps;
    unsigned depth;
    bool has_same_definitions;
};

static bool is_wider(struct compare *c, const json_value *older, const json_value *newer,
                     const struct pair *up);

/* --- values ------------------------------------------------------------------------------------- */

static bool contains(struct compare *c, const json_value *list, const json_value *v)
{
    for (struct json_iter i = json_iter(list); c->steps && json_next(&i);)
        if (value_equal(i.value, v, &c->steps))
            return true;
    return false;
}

/* A member, paid for: both sides may be large. NULL also when there are no steps left. */
static const json_value *lookup(struct compare *c, const json_value *object, str key)
{
    size_t cost = 1 + json_size(object) / 8;

    c->steps = c->steps > cost ? c->steps - cost : 0;
    return c->steps ? json_get(object, key) : NULL;
}

static bool is_subset(struct compare *c, const json_value *small, const json_value *big)
{
    for (struct json_iter i = json_iter(small); json_next(&i);)
        if (!contains(c, big, i.value))
            return false;
    return true;
}

static bool has_refs(const json_value *v)
{
    if (json_get(v, S("$ref")) || json_get(v, S("$dynamicRef")))
        return true;
    for (struct json_iter i = json_iter(v); json_next(&i);)
        if (has_refs(i.value))
            return true;
    return false;
}

/* Do all references in it lead to definitions, or to other documents? */
static bool refs_are_plain(const json_value *v)
{
    str ref = json_string(json_get(v, S("$ref")));
    bool is_inner = str_starts(ref, S("#")) && !str_starts(ref, S("#/$defs/")) &&
                    !str_starts(ref, S("#/definitions/"));

    if (is_inner || json_get(v, S("$dynamicRef")))
        return false;
    for (struct json_iter i = json_iter(v); json_next(&i);)
        if (!refs_are_plain(i.value))
            return false;
    return true;
}

/* Equal, and what its references lead to did not change either. */
static bool is_same(struct compare *c, const json_value *older, const json_value *newer)
{
    if (!older || !newer)
        return older == newer;
    return value_equal(older, newer, &c->steps) &&
           (c->has_same_definitions ? refs_are_plain(older) : !has_refs(older));
}

static bool is_true(const json_value *v)
{
    bool b;

    return json_is_bool(v, &b) && b;
}

static long double number_of(const json_value *object, const char *key, long double absent)
{
    const json_value *v = json_get(object, str_of(key));

    return v && json_kind(v) == JSON_NUMBER ? json_exact(v) : absent;
}

/* --- what a value may be ------------------------------------------------------------------------ */

static bool has_type(const json_value *types, str name)
{
    if (json_is_string(types))
        return str_eq(json_string(types), name);
    for (struct json_iter i = json_iter(types); json_next(&i);)
        if (json_is_string(i.value) && str_eq(json_string(i.value), name))
            return true;
    return false;
}

static bool is_type_wider(const json_value *older, const json_value *newer)
{
    static const str names[] = {{"null", 4},   {"boolean", 7}, {"integer", 7}, {"number", 6},
                                {"string", 6}, {"array", 5},   {"object", 6}};

    for (size_t i = 0; newer && i < countof(names); i++) {
        bool is_new = has_type(newer, names[i]) ||
                      (str_eq(names[i], S("integer")) && has_type(newer, S("number")));
        if ((!older || has_type(older, names[i])) && !is_new)
            return false;
    }
    return true;
}

/* const and enum. A list in the older one is enough when each of its members is in the newer. */
static bool are_values_wider(struct compare *c, const json_value *older, const json_value *newer)
{
    const json_value *old_one = json_get(older, S("const")), *new_one = json_get(newer, S("const"));
    const json_value *old_list = json_get(older, S("enum")), *new_list = json_get(newer, S("enum"));

    if (new_one && !(old_one && value_equal(old_one, new_one, &c->steps)))
        return !old_one && json_size(old_list) == 1 && contains(c, old_list, new_one);
    if (new_list && old_one)
        return contains(c, new_list, old_one);
    return !new_list || (old_list && is_subset(c, old_list, new_list));
}

/* sign 1: upper bounds. -1: lower ones, mirrored. */
static bool is_range_wider(const json_value *older, const json_value *newer, const char *inclusive,
                           const char *exclusive, int sign)
{
    long double none = sign > 0 ? INFINITY : -INFINITY;
    long double old_in = sign * number_of(older, inclusive, none);
    long double old_ex = sign * number_of(older, exclusive, none);
    long double new_in = sign * number_of(newer, inclusive, none);
    long double new_ex = sign * number_of(newer, exclusive, none);

    return (old_in <= new_in || old_ex <= new_in) &&
           (old_ex <= new_ex || old_in < new_ex || isinf(new_ex));
}

static bool are_counts_wider(const json_value *older, const json_value *newer)
{
    static const char *const least[] = {"minLength", "minItems", "minProperties"};
    static const char *const most[] = {"maxLength", "maxItems", "maxProperties"};

    for (size_t i = 0; i < countof(least); i++)
        if (number_of(newer, least[i], 0) > number_of(older, least[i], 0) ||
            number_of(newer, most[i], INFINITY) < number_of(older, most[i], INFINITY))
            return false;
    return true;
}

static bool is_multiple_wider(const json_value *older, const json_value *newer)
{
    const json_value *was = json_get(older, S("multipleOf")),
                     *is = json_get(newer, S("multipleOf"));

    return !is || (was && decimal_divides(decimal_of(is), decimal_of(was)));
}

/* Absent, or as it was. */
static bool are_texts_wider(struct compare *c, const json_value *older, const json_value *newer)
{
    static const char *const keys[] = {"pattern", "format", "contentEncoding", "contentMediaType"};

    for (size_t i = 0; i < countof(keys); i++) {
        const json_value *is = json_get(newer, str_of(keys[i]));
        const json_value *was = json_get(older, str_of(keys[i]));
        if (is && !(was && value_equal(was, is, &c->steps)))
            return false;
    }
    return !is_true(json_get(newer, S("uniqueItems"))) ||
           is_true(json_get(older, S("uniqueItems")));
}

/* --- schemas within ------------------------------------------------------------------------------ */

/* A schema that is absent takes everything. */
static bool is_part_wider(struct compare *c, const json_value *older, const json_value *newer,
                          const char *key, const struct pair *up)
{
    const json_value *is = json_get(newer, str_of(key));

    return !is || is_wider(c, json_get(older, str_of(key)), is, up);
}

static bool are_pairs_wider(struct compare *c, const json_value *older, const json_value *newer,
                            const struct pair *up)
{
    struct json_iter i = json_iter(older), k = json_iter(newer);

    if (!json_is_array(older) || json_size(older) != json_size(newer))
        return false;
    while (json_next(&i) && json_next(&k))
        if (!is_wider(c, i.value, k.value, up))
            return false;
    return true;
}

/* No property may go; those that are new were open before, or forbidden. */
static bool are_properties_wider(struct compare *c, const json_value *older,
                                 const json_value *newer, const struct pair *up)
{
    const json_value *now = json_get(newer, S("properties"));

    for (struct json_iter i = json_iter(json_get(older, S("properties"))); json_next(&i);) {
        const json_value *is = lookup(c, now, i.key);
        if (!is || !is_wider(c, i.value, is, up))
            return false;
    }
    return is_subset(c, json_get(newer, S("required")), json_get(older, S("required")));
}

static bool are_patterns_wider(struct compare *c, const json_value *older, const json_value *newer,
                               const struct pair *up)
{
    const json_value *was = json_get(older, S("patternProperties"));
    const json_value *is = json_get(newer, S("patternProperties"));

    if (json_size(was) != json_size(is))
        return false;
    for (struct json_iter i = json_iter(is); json_next(&i);) {
        const json_value *before = lookup(c, was, i.key);
        if (!before || !is_wider(c, before, i.value, up))
            return false;
    }
    return true;
}

static bool are_items_wider(struct compare *c, const json_value *older, const json_value *newer,
                            const struct pair *up)
{
    const json_value *was = json_get(older, S("items")), *is = json_get(newer, S("items"));
    const json_value *prefix = json_get(newer, S("prefixItems"));

    if (prefix && !are_pairs_wider(c, json_get(older, S("prefixItems")), prefix, up))
        return false;
    if (!prefix && json_get(older, S("prefixItems")))
        return false;
    if (json_is_array(is) || json_is_array(was))
        return are_pairs_wider(c, was, is, up);
    return !is || is_wider(c, was, is, up);
}

static bool is_contains_wider(struct compare *c, const json_value *older, const json_value *newer,
                              const struct pair *up)
{
    if (!json_get(newer, S("contains")))
        return true;
    if (json_get(newer, S("maxContains"))) // wider items may be too many
        return is_same(c, json_get(older, S("contains")), json_get(newer, S("contains"))) &&
               is_same(c, json_get(older, S("maxContains")), json_get(newer, S("maxContains"))) &&
               is_same(c, json_get(older, S("minContains")), json_get(newer, S("minContains")));
    return json_get(older, S("contains")) && is_part_wider(c, older, newer, "contains", up) &&
           number_of(newer, "minContains", 1) <= number_of(older, "minContains", 1);
}

/* Each old alternative has a new one that takes what it took. */
static bool is_any_of_wider(struct compare *c, const json_value *older, const json_value *newer,
                            const struct pair *up)
{
    const json_value *was = json_get(older, S("anyOf")), *is = json_get(newer, S("anyOf"));

    for (struct json_iter i = json_iter(is ? was : NULL); json_next(&i);) {
        bool ok = false;
        for (struct json_iter k = json_iter(is); !ok && json_next(&k);)
            ok = is_wider(c, i.value, k.value, up);
        if (!ok)
            return false;
    }
    return !is || was;
}

/* What can only be seen to be harmless when it did not change, or went. */
static bool are_others_same(struct compare *c, const json_value *older, const json_value *newer)
{
    static const char *const keys[] = {"oneOf",
                                       "not",
                                       "if",
                                       "then",
                                       "else",
                                       "dependentSchemas",
                                       "dependencies",
                                       "$dynamicRef",
                                       "dependentRequired",
                                       "unevaluatedItems",
                                       "unevaluatedProperties"};

    for (size_t i = 0; i < countof(keys); i++)
        if (!is_same(c, json_get(older, str_of(keys[i])), json_get(newer, str_of(keys[i]))))
            return false;
    return true;
}

/* --- references ---------------------------------------------------------------------------------- */

/* "#/a/b" in its own document; NULL: another kind of reference, or it leads nowhere. */
static const json_value *target(struct compare *c, const json_value *root, str ref)
{
    const json_value *v = root;
    str rest = uri_decode(c->arena, str_cut(ref, 1));

    if (!str_starts(ref, S("#")) || !rest.ptr || (rest.len && rest.ptr[0] != '/') ||
        (rest.len && memchr(rest.ptr, '~', rest.len)))
        return NULL;
    for (rest.len ? (void)str_split(&rest, '/') : (void)(rest.ptr = NULL); v && rest.ptr;)
        v = json_get(v, str_split(&rest, '/')); // not into arrays
    return v;
}

static bool is_annotation(str key)
{
    static const char *const keys[] = {"title",      "description", "default",   "examples",
                                       "deprecated", "readOnly",    "writeOnly", "$comment"};

    for (size_t i = 0; i < countof(keys); i++)
        if (str_eq(key, str_of(keys[i])))
            return true;
    return false;
}

static bool is_only_reference(const json_value *v)
{
    for (struct json_iter i = json_iter(v); json_next(&i);)
        if (!str_eq(i.key, S("$ref")) && !is_annotation(i.key))
            return false;
    return true;
}

/* The schema that v stands for when it is only a reference. */
static const json_value *resolve(struct compare *c, const json_value *root, const json_value *v)
{
    for (int i = 0; i < 16; i++) {
        const json_value *ref = json_get(v, S("$ref"));
        const json_value *to = json_is_string(ref) ? target(c, root, json_string(ref)) : NULL;
        if (!to || !is_only_reference(v))
            break;
        v = to;
    }
    return v;
}

/* References that could not be followed, or have company. */
static bool is_ref_same(struct compare *c, const json_value *older, const json_value *newer)
{
    const json_value *was = json_get(older, S("$ref")), *is = json_get(newer, S("$ref"));

    if (!was || !is)
        return was == is;
    str ref = json_string(is);
    bool is_inner = str_starts(ref, S("#"));
    return str_eq(json_string(was), ref) && (!is_inner || c->has_same_definitions);
}

/* --- all of it ------------------------------------------------------------------------------------ */

static bool are_keywords_wider(struct compare *c, const json_value *older, const json_value *newer,
                               const struct pair *up)
{
    return is_ref_same(c, older, newer) &&
           is_type_wider(json_get(older, S("type")), json_get(newer, S("type"))) &&
           are_values_wider(c, older, newer) &&
           is_range_wider(older, newer, "maximum", "exclusiveMaximum", 1) &&
           is_range_wider(older, newer, "minimum", "exclusiveMinimum", -1) &&
           are_counts_wider(older, newer) && is_multiple_wider(older, newer) &&
           are_texts_wider(c, older, newer) && are_properties_wider(c, older, newer, up) &&
           are_patterns_wider(c, older, newer, up) && are_items_wider(c, older, newer, up) &&
           is_part_wider(c, older, newer, "additionalProperties", up) &&
           is_part_wider(c, older, newer, "additionalItems", up) &&
           is_part_wider(c, older, newer, "propertyNames", up) &&
           is_contains_wider(c, older, newer, up) &&
           (!json_get(newer, S("allOf")) ||
            are_pairs_wider(c, json_get(older, S("allOf")), json_get(newer, S("allOf")), up)) &&
           is_any_of_wider(c, older, newer, up) && are_others_same(c, older, newer);
}

static bool is_false(const json_value *v)
{
    bool b;

    return json_is_bool(v, &b) && !b;
}

/* older may be NULL: true. */
static bool is_wider(struct compare *c, const json_value *older, const json_value *newer,
                     const struct pair *up)
{
    struct pair here = {up, resolve(c, c->older, older), resolve(c, c->newer, newer)};

    if (!c->steps || c->depth >= COMPARE_DEPTH_MAX)
        return false;
    c->steps--;
    for (const struct pair *p = up; p; p = p->up)
        if (p->older == here.older && p->newer == here.newer)
            return true;
    if (is_true(here.newer) || is_false(here.older))
        return true;
    if (is_false(here.newer))
        return false;
    c->depth++;
    bool ok = are_keywords_wider(c, here.older, here.newer, &here);
    c->depth--;
    return ok && c->steps;
}

static bool has_same_definitions(struct compare *c, str key)
{
    const json_value *was = json_get(c->older, key), *is = json_get(c->newer, key);

    return !was || (is && value_equal(was, is, &c->steps) && refs_are_plain(was));
}

static str draft_of(const json_value *root)
{
    str uri = json_string(json_get(root, S("$schema")));

    if (str_ends(uri, S("#")))
        uri.len--;
    return uri.len ? uri : S("https://json-schema.org/draft/2020-12/schema");
}

enum jschema_compat jschema_compat(const json_value *older, const json_value *newer)
{
    struct arena_pool pool = {0};
    struct compare c = {.older = older, .newer = newer, .steps = UINT64_MAX};

    if (value_equal(older, newer, &c.steps))
        return JSCHEMA_IDENTICAL;
    if (!(c.arena = arena_new(&pool, 16 << 20)))
        return JSCHEMA_BREAKING;
    c.has_same_definitions =
        has_same_definitions(&c, S("$defs")) && has_same_definitions(&c, S("definitions"));
    c.steps = COMPARE_STEPS;
    bool ok = str_eq(draft_of(older), draft_of(newer)) && is_wider(&c, older, newer, NULL);
    arena_unref(c.arena);
    arena_pool_deinit(&pool);
    return ok ? JSCHEMA_BACKWARD_COMPATIBLE : JSCHEMA_BREAKING;
}

const char *jschema_compat_name(enum jschema_compat c)
{
    static const char *const names[] = {"identical", "backward_compatible", "breaking"};

    return names[c];
}
