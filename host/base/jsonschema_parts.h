/* jsonschema_parts.h: a compiled schema, shared by the files that make and run it (jsonschema*.c).
 *
 * Each schema object becomes a node: the types it allows and a short row of operations. What belongs
 * together (all of properties, required, additionalProperties, ...) is one operation, so that an
 * object is walked once. Nodes name each other by number. */
#ifndef BASE_JSONSCHEMA_PARTS_H
#define BASE_JSONSCHEMA_PARTS_H
#include "base/check.h"
#include "base/jsonschema.h"
#include "base/regex.h"

typedef uint32_t node_id;
enum { NODE_NONE = UINT32_MAX };

/* Bits for the kinds of values; "integer" is one more. */
enum {
    TYPE_INTEGER = 1 << (JSON_OBJECT + 1),
    TYPE_NUMBER = 1 << JSON_NUMBER,
    TYPE_STRING = 1 << JSON_STRING,
    TYPE_ARRAY = 1 << JSON_ARRAY,
    TYPE_OBJECT = 1 << JSON_OBJECT,
    TYPE_ALL = TYPE_INTEGER - 1
};

enum op_code {
    OP_NEVER,
    OP_CONST,
    OP_ENUM,
    OP_NUMBER,
    OP_STRING,
    OP_PATTERN,
    OP_FORMAT,
    OP_ARRAY,
    OP_CONTAINS,
    OP_UNIQUE,
    OP_OBJECT,
    OP_DEPENDENT,
    OP_REF,
    OP_DYNAMIC_REF,
    OP_ALL_OF,
    OP_ANY_OF,
    OP_ONE_OF,
    OP_NOT,
    OP_IF,
    OP_UNEVALUATED_ITEMS, /* last: they ask what the others have seen */
    OP_UNEVALUATED_PROPERTIES,
    OP_COUNT
};

/* A decimal number: m * 10^e, m not divisible by ten unless it is 0. */
struct decimal {
    uint64_t m;
    int e;
};

struct number_rule {
    long double minimum, maximum, above, below; /* infinite: no limit */
    struct decimal multiple_of;                 /* m 0: not asked     */
    const json_value *multiple_value;
};

struct string_rule {
    uint64_t min, max; /* characters */
};

struct array_rule {
    uint64_t min, max;
    const node_id *prefix;
    uint32_t prefix_count;
    node_id items;
};

struct contains_rule {
    uint64_t min, max;
    node_id node;
    bool is_seen; /* counts as evaluated (not in draft-07) */
};

struct property {
    str name;
    uint64_t hash;
    node_id node; /* NODE_NONE: only required */
    bool is_required;
};

struct pattern_rule {
    const struct regex *regex;
    str text;
    node_id node;
};

struct object_rule {
    uint64_t min, max;
    const struct property *properties;
    const uint32_t *slots; /* hash table of indices + 1, 0: free */
    const struct pattern_rule *patterns;
    uint32_t slot_mask, property_count, required_count, pattern_count;
    node_id additional, names;
};

struct dependency {
    str name;
    node_id node; /* NODE_NONE: the names below */
    const str *required;
    uint32_t required_count;
};

/* const and enum: values by hash. */
struct value_set {
    const json_value **values;
    const uint64_t *hashes;
    const uint32_t *slots;
    uint32_t slot_mask, count;
};

/* The nodes that one $dynamicAnchor names, by resource. */
struct dynamic_rule {
    const node_id *by_resource;
    node_id fallback;
};

struct if_rule {
    node_id condition, yes, no; /* NODE_NONE: absent */
};

struct op {
    uint8_t code;   /* enum op_code */
    uint8_t kinds;  /* of values it says something about: 1 << enum json_kind */
    uint32_t count; /* of a list    */
    const char *keyword;
    union {
        node_id node;
        const node_id *nodes;
        const struct number_rule *number;
        const struct string_rule *string;
        const struct array_rule *array;
        const struct contains_rule *contains;
        const struct object_rule *object;
        const struct dependency *dependencies;
        const struct value_set *set;
        const struct pattern_rule *pattern;
        const struct format *format;
        const struct dynamic_rule *dynamic;
        const struct if_rule *cond;
    };
};

struct node {
    const struct op *ops;
    uint8_t op_count;
    uint8_t types;       /* bits; 0 for `false` */
    bool is_any;         /* everything agrees   */
    bool asks_evaluated; /* has an unevaluated* */
    uint32_t resource;
};

struct jschema {
    struct arena_pool pool;
    struct arena *arena;
    const struct node *nodes;
    node_id root;
    struct regex **regexes;
    uint32_t node_count, resource_count, regex_count;
};

/* --- values (jsonschema_value.c) ---------------------------------------------------------------- */

/* Equal as JSON Schema means it: 1 and 1.0 are, the order of members does not matter. Takes from
 * *steps; false when there are none left. */
bool value_equal(const json_value *a, const json_value *b, uint64_t *steps);
/* Equal values have equal hashes. */
uint64_t value_hash(const json_value *v);
bool value_is_integer(const json_value *number);
struct decimal decimal_of(const json_value *number);
bool decimal_divides(struct decimal divisor, struct decimal n);
/* Characters of UTF-8. */
size_t value_length(str s);

/* --- formats (jsonschema_format.c) --------------------------------------------------------------- */

struct format {
    const char *name;
    bool (*is_valid)(str s);
};
/* NULL: unknown. */
const struct format *format_find(str name);

/* --- metaschemas (jsonschema_meta.c) -------------------------------------------------------------- */

/* A built-in document; ptr NULL: none with this URI. */
str meta_text(str uri);
/* The compiled metaschema of a draft, the same one for all threads. NULL while it is being made
 * itself: what it is made of was checked by a unit test. */
const struct jschema *meta_schema(enum jschema_draft draft);
#endif
