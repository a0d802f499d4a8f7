/* jsonschema_compile.h: what exists while a schema is compiled (jsonschema*.c).
 *
 * A document is one JSON text. A resource is a schema with an $id of its own, or a whole document;
 * references are resolved against its URI, and it has one dialect. A sub is a place where a schema
 * stands. Only subs that are reached from the root become nodes. */
#ifndef BASE_JSONSCHEMA_COMPILE_H
#define BASE_JSONSCHEMA_COMPILE_H
#include "base/jsonschema_parts.h"
#include "base/map.h"

enum {
    SUBS_MAX = 65536,
    REGEXES_MAX = 4096,
    DOCUMENTS_MAX = 256,
    META_LEVELS_MAX = 3, /* a metaschema that has a metaschema that has ... */
    DEFAULT_MAX_BYTES = 16 << 20
};

enum vocabulary {
    VOCAB_CORE = 1,
    VOCAB_APPLICATOR = 2,
    VOCAB_UNEVALUATED = 4,
    VOCAB_VALIDATION = 8,
    VOCAB_META_DATA = 16,
    VOCAB_FORMAT = 32,
    VOCAB_CONTENT = 64,
    VOCAB_ALL = 127
};

struct dialect {
    str uri;
    enum jschema_draft draft;
    unsigned vocabularies;
    bool has_formats;
    const struct jschema *meta;
    struct jschema *own_meta; /* the same, when it is ours to free */
    struct dialect *next;
};

struct resource {
    str uri;
    struct sub *root;
    const struct dialect *dialect;
    uint32_t number;
};

struct sub {
    const json_value *value;
    struct resource *resource;
    const struct sub *up; /* where it lies in the document; NULL: it is the document */
    str keyword, key;     /* the way from there; key may be absent (ptr NULL)         */
    str document_uri;
    node_id node;
};

struct dynamic_anchor {
    struct dynamic_anchor *next;
    str name;
    struct sub *sub;
};

struct dynamic_pending {
    struct dynamic_pending *next;
    str name;
    struct dynamic_rule *rule;
};

struct compiler {
    struct jschema *s;
    const struct jschema_options *options;
    struct jschema_fault *fault;
    struct arena *keep; /* the schema's */
    struct arena *work; /* until it is compiled */
    struct map resources, anchors, subs, patterns;
    struct dialect *dialects;
    struct dynamic_anchor *dynamic_anchors;
    struct dynamic_pending *dynamic_pending;
    struct sub **queue; /* by node_id */
    struct node *nodes;
    struct op *next_op;
    size_t queue_cap, regex_cap;
    uint32_t sub_count, document_count;
    unsigned level;
    bool is_trusted;
};

bool compile_trusted(struct jschema **ret, str text, str uri, const struct jschema_options *o,
                     struct jschema_fault *fault);
bool compile_at_level(struct jschema **ret, str text, str uri, const struct jschema_options *o,
                      unsigned level, bool is_trusted, struct jschema_fault *fault);

/* Sets the fault; always false. at may be NULL. */
bool compile_refuse(struct compiler *c, const struct sub *at, str keyword, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
bool compile_no_memory(struct compiler *c);

/* --- keywords (jsonschema_keyword.c) ------------------------------------------------------------- */

enum keyword {
    KW_ID,
    KW_SCHEMA,
    KW_REF,
    KW_ANCHOR,
    KW_DYNAMIC_REF,
    KW_DYNAMIC_ANCHOR,
    KW_DEFS,
    KW_DEFINITIONS,
    KW_ALL_OF,
    KW_ANY_OF,
    KW_ONE_OF,
    KW_NOT,
    KW_IF,
    KW_THEN,
    KW_ELSE,
    KW_PROPERTIES,
    KW_PATTERN_PROPERTIES,
    KW_ADDITIONAL_PROPERTIES,
    KW_PROPERTY_NAMES,
    KW_DEPENDENT_SCHEMAS,
    KW_DEPENDENCIES,
    KW_PREFIX_ITEMS,
    KW_ITEMS,
    KW_ITEMS_07,
    KW_ADDITIONAL_ITEMS,
    KW_CONTAINS,
    KW_UNEVALUATED_ITEMS,
    KW_UNEVALUATED_PROPERTIES,
    KW_CONTENT_SCHEMA,
    KW_TYPE,
    KW_CONST,
    KW_ENUM,
    KW_MULTIPLE_OF,
    KW_MAXIMUM,
    KW_EXCLUSIVE_MAXIMUM,
    KW_MINIMUM,
    KW_EXCLUSIVE_MINIMUM,
    KW_MAX_LENGTH,
    KW_MIN_LENGTH,
    KW_PATTERN,
    KW_MAX_ITEMS,
    KW_MIN_ITEMS,
    KW_UNIQUE_ITEMS,
    KW_MAX_CONTAINS,
    KW_MIN_CONTAINS,
    KW_MAX_PROPERTIES,
    KW_MIN_PROPERTIES,
    KW_REQUIRED,
    KW_DEPENDENT_REQUIRED,
    KW_FORMAT,
    KW_COUNT
};

enum children { CHILDREN_NONE, CHILDREN_ONE, CHILDREN_LIST, CHILDREN_MAP, CHILDREN_ONE_OR_LIST };

str keyword_name(enum keyword k);
enum children keyword_children(enum keyword k);
/* Its value, where the dialect knows the keyword; else NULL. */
const json_value *keyword_get(const struct sub *sub, enum keyword k);

/* --- documents (jsonschema_index.c, jsonschema_dialect.c) ----------------------------------------- */

/* Parses, checks and indexes a document. */
bool index_document(struct compiler *c, str uri, str text, struct sub **ret_root);
/* Indexes the schema at value and everything in it. NULL: the fault is set. */
struct sub *index_sub(struct compiler *c, const json_value *value, const struct sub *up,
                      str keyword, str key, struct resource *resource);
/* The sub that stands exactly there; NULL: none. */
struct sub *index_find(const struct compiler *c, const json_value *value);
/* What "$schema": "uri" means; NULL: the fault is set. */
const struct dialect *dialect_find(struct compiler *c, const struct sub *at, str uri);
const struct dialect *dialect_default(struct compiler *c);

/* --- references (jsonschema_ref.c) ----------------------------------------------------------------- */

/* The schema that ref means at `from`; NULL: the fault is set. *ret_fragment: its decoded fragment. */
struct sub *ref_resolve(struct compiler *c, const struct sub *from, enum keyword keyword, str ref,
                        str *ret_fragment);

/* --- nodes (jsonschema_build*.c) ------------------------------------------------------------------- */

/* The number of the node that sub will become. NODE_NONE: the fault is set. */
node_id schema_node_of(struct compiler *c, struct sub *sub);
bool build_node(struct compiler *c, struct sub *sub, struct node *ret);

bool build_child(struct compiler *c, const json_value *value, node_id *ret);
bool build_count(struct compiler *c, const struct sub *sub, enum keyword k, uint64_t *ret);
bool build_object(struct compiler *c, const struct sub *sub);
bool build_dependent(struct compiler *c, const struct sub *sub);
bool build_values(struct compiler *c, const struct sub *sub);
bool build_array(struct compiler *c, const struct sub *sub);
/* An operation whose value is one schema; nothing when the keyword is absent. */
bool build_one(struct compiler *c, const struct sub *sub, enum keyword k, enum op_code code,
               unsigned kinds);
bool build_has_any(const struct sub *sub, const enum keyword *list, size_t n);
bool build_in_place(struct compiler *c, const struct sub *sub);
bool build_regex(struct compiler *c, const struct sub *sub, enum keyword k, str pattern,
                 const struct regex **ret);
/* The next operation of the node that is being built. */
struct op *build_op(struct compiler *c, enum op_code code, unsigned kinds, enum keyword k);
/* Permanent, zeroed memory; NULL: the fault is set. */
void *build_alloc(struct compiler *c, size_t n);
#endif
