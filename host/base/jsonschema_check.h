/* jsonschema_check.h: the state of one check (jsonschema_check*.c, jsonschema_report.c).
 *
 * A check runs twice at most: quietly, which ends at the first violation, and for those who want to
 * know why, once more with everything written down. */
#ifndef BASE_JSONSCHEMA_CHECK_H
#define BASE_JSONSCHEMA_CHECK_H
#include "base/jsonschema_parts.h"

#include <inttypes.h>

enum {
    CHECK_STEPS = 1000000, /* and */
    CHECK_STEPS_PER_VALUE = 64,
    CHECK_DEPTH_MAX = 2000 /* nodes within each other; about 0.5 kB of stack each */
};

struct check {
    const struct jschema *s;
    struct arena *arena;
    struct jschema_errors *errors; /* NULL: quiet now */
    uint64_t steps;                /* left            */
    unsigned depth;
    const char *gave_up; /* why; NULL: it did not */
    str gave_up_at;
    struct regex_scratch scratch;
};

/* Which members or items were evaluated: one bit each. */
struct seen {
    uint64_t *bits, few;
    size_t count;
};

enum step { STEP_IN_PLACE, STEP_MEMBER, STEP_ITEM };

/* A node that is applied to a value. Frames up to the root are the dynamic scope and the path. */
struct frame {
    struct check *c;
    const struct frame *up;
    const struct node *node;
    const json_value *value;
    struct seen *seen; /* NULL: nobody asks */
    str key;
    size_t index;
    enum step step;
    enum json_kind kind;
};

/* Notes a violation, when somebody listens. Always false. */
bool report(const struct frame *f, const char *keyword, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool report_type(const struct frame *f);
bool report_values(const struct frame *f, const struct op *op);
bool report_required(const struct frame *f, const struct object_rule *r);
bool report_number(const struct frame *f, const struct number_rule *r);
/* Ends the check: it costs too much. Always false. */
bool give_up(const struct frame *f, const char *why);
/* At most some characters of a text, for messages. */
str report_clip(str s);

static inline bool check_pay(const struct frame *f, uint64_t cost)
{
    struct check *c = f->c;

    if (c->steps < cost)
        return give_up(f, "too complex");
    c->steps -= cost;
    return true;
}

static inline bool is_quiet(const struct frame *f)
{
    return !f->c->errors;
}

bool check_node(struct frame *f);
/* A node for the same value. */
bool check_in_place(const struct frame *f, node_id node, struct seen *seen);
/* A node for a member or an item. */
bool check_child(const struct frame *f, node_id node, const struct json_iter *i, size_t index);
/* Does the pattern match? Gives up when it takes too long. */
bool check_pattern(const struct frame *f, const struct regex *regex, str s);

typedef bool check_fn(struct frame *f, const struct op *op);
check_fn check_object, check_dependent, check_unevaluated_properties;
check_fn check_array, check_contains, check_unique, check_unevaluated_items;
check_fn check_all_of, check_any_of, check_one_of, check_not, check_if, check_ref,
    check_dynamic_ref;

bool seen_init(const struct frame *f, struct seen *s, size_t count);
void seen_clear(struct seen *s);
void seen_merge(struct seen *to, const struct seen *from);

static inline void seen_add(struct seen *s, size_t i)
{
    s->bits[i / 64] |= (uint64_t)1 << i % 64;
}

static inline bool seen_has(const struct seen *s, size_t i)
{
    return s->bits[i / 64] >> i % 64 & 1;
}
#endif
