/* What is asked of arrays; and which members and items were evaluated. */
#include "base/jsonschema_check.h"

/* --- evaluated ---------------------------------------------------------------------------------- */

static size_t words(size_t count)
{
    return (count + 63) / 64;
}

bool seen_init(const struct frame *f, struct seen *s, size_t count)
{
    s->count = count;
    s->bits = count <= 64 ? &s->few : arena_alloc(f->c->arena, words(count) * sizeof *s->bits);
    if (!s->bits)
        return give_up(f, "too complex");
    seen_clear(s);
    return check_pay(f, words(count));
}

void seen_clear(struct seen *s)
{
    s->few = 0;
    memset(s->bits, 0, words(s->count) * sizeof *s->bits);
}

void seen_merge(struct seen *to, const struct seen *from)
{
    for (size_t i = 0; i < words(from->count); i++)
        to->bits[i] |= from->bits[i];
}

static void seen_add_first(struct seen *s, size_t n)
{
    for (size_t i = 0; i < n && i < s->count; i++)
        seen_add(s, i);
}

/* --- items -------------------------------------------------------------------------------------- */

static bool check_count(const struct frame *f, const struct array_rule *r, size_t n)
{
    if (n < r->min)
        return report(f, "minItems", "must have at least %" PRIu64 " items, has %zu", r->min, n);
    return n <= r->max ||
           report(f, "maxItems", "must have at most %" PRIu64 " items, has %zu", r->max, n);
}

bool check_array(struct frame *f, const struct op *op)
{
    const struct array_rule *r = op->array;
    size_t n = json_size(f->value), index = 0;
    bool has_rest = r->items != NODE_NONE;
    size_t checked = has_rest || r->prefix_count > n ? n : r->prefix_count;
    bool ok = check_count(f, r, n);

    if (f->seen)
        seen_add_first(f->seen, checked);
    if (has_rest && !r->prefix_count && f->c->s->nodes[r->items].is_any)
        return ok;
    if (!check_pay(f, checked))
        return false;
    for (struct json_iter i = json_iter(f->value);
         index < checked && (ok || !is_quiet(f)) && json_next(&i); index++)
        ok &= check_child(f, index < r->prefix_count ? r->prefix[index] : r->items, &i, index);
    return ok;
}

bool check_unevaluated_items(struct frame *f, const struct op *op)
{
    size_t index = 0;
    bool ok = true;

    if (!check_pay(f, json_size(f->value)))
        return false;
    for (struct json_iter i = json_iter(f->value); (ok || !is_quiet(f)) && json_next(&i); index++)
        if (!seen_has(f->seen, index)) {
            ok &= check_child(f, op->node, &i, index);
            seen_add(f->seen, index);
        }
    return ok;
}

bool check_contains(struct frame *f, const struct op *op)
{
    const struct contains_rule *r = op->contains;
    struct jschema_errors *errors = f->c->errors;
    bool needs_all = f->seen && r->is_seen;
    uint64_t found = 0;
    size_t index = 0;

    if (!check_pay(f, json_size(f->value)))
        return false;
    f->c->errors = NULL;
    for (struct json_iter i = json_iter(f->value); json_next(&i); index++) {
        if (!needs_all && found >= r->min && r->max == UINT64_MAX)
            break;
        if (!check_child(f, r->node, &i, index))
            continue;
        found++;
        if (needs_all)
            seen_add(f->seen, index);
    }
    f->c->errors = errors;
    if (found < r->min)
        return report(f, op->keyword,
                      "must contain at least %" PRIu64 " items that fit, has %" PRIu64, r->min,
                      found);
    return found <= r->max ||
           report(f, "maxContains", "must contain at most %" PRIu64 " items that fit, has %" PRIu64,
                  r->max, found);
}

/* --- uniqueItems --------------------------------------------------------------------------------- */

enum { FEW_ITEMS = 8 };

static bool report_twice(const struct frame *f, size_t first, size_t second)
{
    return report(f, "uniqueItems", "items %zu and %zu are equal", first, second);
}

static bool unique_few(const struct frame *f)
{
    const json_value *items[FEW_ITEMS];
    size_t n = 0;

    for (struct json_iter i = json_iter(f->value); json_next(&i); n++) {
        items[n] = i.value;
        for (size_t k = 0; k < n; k++)
            if (value_equal(items[k], i.value, &f->c->steps))
                return report_twice(f, k, n);
    }
    return true;
}

struct item {
    const json_value *value;
    uint64_t hash;
};

static bool unique_many(const struct frame *f, size_t count)
{
    size_t size = 16, n = 0;

    while (size < 2 * count)
        size *= 2;
    struct item *items = arena_alloc(f->c->arena, count * sizeof *items);
    uint32_t *slots = arena_zero(f->c->arena, size * sizeof *slots);
    if (!items || !slots || !check_pay(f, json_count(f->value)))
        return give_up(f, "too complex");
    for (struct json_iter it = json_iter(f->value); json_next(&it); n++) {
        uint64_t hash = value_hash(it.value);
        size_t i = (size_t)hash & (size - 1);
        for (; slots[i]; i = (i + 1) & (size - 1)) {
            struct item *other = &items[slots[i] - 1];
            if (other->hash == hash && value_equal(other->value, it.value, &f->c->steps))
                return report_twice(f, slots[i] - 1, n);
        }
        items[n] = (struct item){it.value, hash};
        slots[i] = (uint32_t)n + 1;
    }
    return true;
}

/* Values run out of steps as unequal; then the check as a whole gives up. */
bool check_unique(struct frame *f, const struct op *op)
{
    size_t n = json_size(f->value);

    (void)op;
    return (n <= FEW_ITEMS ? unique_few(f) : unique_many(f, n)) && check_pay(f, 1);
}
