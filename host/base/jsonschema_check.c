/* Running a compiled schema: nodes, and what is asked of single values. */
#include "base/jsonschema_check.h"

/* --- single values ------------------------------------------------------------------------------ */

static bool check_never(struct frame *f, const struct op *op)
{
    return report(f, op->keyword, "nothing is allowed here");
}

/* The item of the set that equals v. */
static bool set_has(const struct frame *f, const struct value_set *set, const json_value *v)
{
    if (set->count == 1)
        return value_equal(set->values[0], v, &f->c->steps);
    if (!check_pay(f, json_count(v)))
        return false;
    uint64_t hash = value_hash(v);
    for (uint32_t i = (uint32_t)hash & set->slot_mask; set->slots[i];
         i = (i + 1) & set->slot_mask) {
        uint32_t at = set->slots[i] - 1;
        if (set->hashes[at] == hash && value_equal(set->values[at], v, &f->c->steps))
            return true;
    }
    return false;
}

static bool check_values(struct frame *f, const struct op *op)
{
    return set_has(f, op->set, f->value) || report_values(f, op);
}

static bool check_number(struct frame *f, const struct op *op)
{
    const struct number_rule *r = op->number;
    long double x = json_exact(f->value);
    bool fits = x >= r->minimum && x <= r->maximum && x > r->above && x < r->below;

    if (fits && r->multiple_of.m)
        fits = decimal_divides(r->multiple_of, decimal_of(f->value));
    return fits || report_number(f, r);
}

/* A text of n bytes has from n / 4 to n characters: mostly that says enough. */
static bool check_length(struct frame *f, const struct op *op)
{
    const struct string_rule *r = op->string;
    str s = json_string(f->value);

    if ((s.len + 3) / 4 >= r->min && s.len <= r->max)
        return true;
    if (!check_pay(f, s.len / 64))
        return false;
    size_t n = value_length(s);
    if (n < r->min)
        return report(f, "minLength", "must have at least %" PRIu64 " characters, has %zu", r->min,
                      n);
    return n <= r->max ||
           report(f, "maxLength", "must have at most %" PRIu64 " characters, has %zu", r->max, n);
}

bool check_pattern(const struct frame *f, const struct regex *regex, str s)
{
    switch (regex_match(regex, s, &f->c->scratch, &f->c->steps)) {
    case REGEX_YES: return true;
    case REGEX_NO: return false;
    case REGEX_EXCEEDED: break;
    }
    return give_up(f, "pattern took too long");
}

static bool check_pattern_op(struct frame *f, const struct op *op)
{
    str text = report_clip(op->pattern->text);

    return check_pattern(f, op->pattern->regex, json_string(f->value)) ||
           report(f, op->keyword, "must match the pattern %.*s", STR_ARG(text));
}

static bool check_format(struct frame *f, const struct op *op)
{
    str s = json_string(f->value);

    return (check_pay(f, 1 + s.len / 8) && op->format->is_valid(s)) ||
           report(f, op->keyword, "is not a valid %s", op->format->name);
}

/* --- nodes -------------------------------------------------------------------------------------- */

static check_fn *const functions[OP_COUNT] = {
    [OP_NEVER] = check_never,
    [OP_CONST] = check_values,
    [OP_ENUM] = check_values,
    [OP_NUMBER] = check_number,
    [OP_STRING] = check_length,
    [OP_PATTERN] = check_pattern_op,
    [OP_FORMAT] = check_format,
    [OP_ARRAY] = check_array,
    [OP_CONTAINS] = check_contains,
    [OP_UNIQUE] = check_unique,
    [OP_OBJECT] = check_object,
    [OP_DEPENDENT] = check_dependent,
    [OP_REF] = check_ref,
    [OP_DYNAMIC_REF] = check_dynamic_ref,
    [OP_ALL_OF] = check_all_of,
    [OP_ANY_OF] = check_any_of,
    [OP_ONE_OF] = check_one_of,
    [OP_NOT] = check_not,
    [OP_IF] = check_if,
    [OP_UNEVALUATED_ITEMS] = check_unevaluated_items,
    [OP_UNEVALUATED_PROPERTIES] = check_unevaluated_properties,
};

static bool has_type(const struct node *node, const json_value *v, enum json_kind kind)
{
    return node->types >> kind & 1 ||
           (kind == JSON_NUMBER && node->types & TYPE_INTEGER && value_is_integer(v));
}

static bool run_ops(struct frame *f, bool ok)
{
    const struct node *node = f->node;

    for (unsigned i = 0; i < node->op_count; i++) {
        const struct op *op = &node->ops[i];
        if (!(op->kinds >> f->kind & 1))
            continue;
        if (!ok && op->code >= OP_UNEVALUATED_ITEMS) // it would blame what failed already
            break;
        if (functions[op->code](f, op))
            continue;
        ok = false;
        if (is_quiet(f))
            break;
    }
    return ok;
}

/* unevaluated* sees what this node and those in place of it see, not what its neighbours do. */
static bool run_with_seen(struct frame *f, bool ok)
{
    struct seen *outer = f->seen, own;

    if (!seen_init(f, &own, json_size(f->value)))
        return false;
    f->seen = &own;
    ok = run_ops(f, ok);
    f->seen = outer;
    if (ok && outer)
        seen_merge(outer, &own);
    return ok;
}

bool check_node(struct frame *f)
{
    struct check *c = f->c;
    const struct node *node = f->node;

    if (c->depth >= CHECK_DEPTH_MAX)
        return give_up(f, "too complex");
    if (!check_pay(f, 1))
        return false;
    f->kind = json_kind(f->value);
    bool ok = has_type(node, f->value, f->kind) || report_type(f);
    if (!ok && is_quiet(f))
        return false;
    c->depth++;
    if (node->asks_evaluated && f->kind >= JSON_ARRAY)
        ok = run_with_seen(f, ok);
    else
        ok = run_ops(f, ok);
    c->depth--;
    return ok && !c->gave_up;
}

bool check_child(const struct frame *f, node_id node, const struct json_iter *i, size_t index)
{
    const struct node *n = &f->c->s->nodes[node];

    if (!n->op_count && has_type(n, i->value, json_kind(i->value)))
        return true;
    struct frame child = {.c = f->c,
                          .up = f,
                          .node = n,
                          .value = i->value,
                          .key = i->key,
                          .index = index,
                          .step = i->is_object ? STEP_MEMBER : STEP_ITEM};
    return check_node(&child);
}

/* --- all of it ---------------------------------------------------------------------------------- */

static bool run(struct check *c, const json_value *v)
{
    struct frame root = {.c = c, .node = &c->s->nodes[c->s->root], .value = v};

    c->steps = CHECK_STEPS + CHECK_STEPS_PER_VALUE * (uint64_t)json_count(v);
    c->depth = 0;
    return check_node(&root);
}

static void note_gave_up(struct check *c)
{
    struct jschema_errors *e = c->errors;

    e->has_more = true;
    if (!e->count && e->max)
        e->list[e->count++] = (struct jschema_error){c->gave_up_at, "", str_of(c->gave_up)};
}

bool jschema_check(const struct jschema *s, const json_value *v, struct arena *a,
                   struct jschema_errors *errors)
{
    struct check c = {.s = s, .arena = a, .scratch = {.arena = a}};

    if (errors) {
        errors->count = 0;
        errors->has_more = false;
    }
    if (run(&c, v))
        return true;
    if (!errors)
        return false;
    c.errors = errors;
    if (!c.gave_up)
        run(&c, v);
    if (c.gave_up)
        note_gave_up(&c);
    return false;
}
