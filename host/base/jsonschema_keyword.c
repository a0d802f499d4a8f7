/* Which keyword belongs to which drafts and vocabulary, and where schemas stand in its value. */
#include "base/jsonschema_compile.h"

enum { IN_2020 = 1 << JSCHEMA_2020_12, IN_07 = 1 << JSCHEMA_DRAFT_07, IN_BOTH = IN_2020 | IN_07 };

// clang-format off
static const struct {
    str name;
    unsigned char drafts, vocabulary, children;
} keywords[KW_COUNT] = {
#define ROW(k, text, drafts, vocabulary, children)                                                 \
    [k] = {{text, sizeof(text) - 1}, drafts, VOCAB_##vocabulary, CHILDREN_##children}
    ROW(KW_ID, "$id", IN_BOTH, CORE, NONE),
    ROW(KW_SCHEMA, "$schema", IN_BOTH, CORE, NONE),
    ROW(KW_REF, "$ref", IN_BOTH, CORE, NONE),
    ROW(KW_ANCHOR, "$anchor", IN_2020, CORE, NONE),
    ROW(KW_DYNAMIC_REF, "$dynamicRef", IN_2020, CORE, NONE),
    ROW(KW_DYNAMIC_ANCHOR, "$dynamicAnchor", IN_2020, CORE, NONE),
    ROW(KW_DEFS, "$defs", IN_2020, CORE, MAP),
    ROW(KW_DEFINITIONS, "definitions", IN_BOTH, CORE, MAP),
    ROW(KW_ALL_OF, "allOf", IN_BOTH, APPLICATOR, LIST),
    ROW(KW_ANY_OF, "anyOf", IN_BOTH, APPLICATOR, LIST),
    ROW(KW_ONE_OF, "oneOf", IN_BOTH, APPLICATOR, LIST),
    ROW(KW_NOT, "not", IN_BOTH, APPLICATOR, ONE),
    ROW(KW_IF, "if", IN_BOTH, APPLICATOR, ONE),
    ROW(KW_THEN, "then", IN_BOTH, APPLICATOR, ONE),
    ROW(KW_ELSE, "else", IN_BOTH, APPLICATOR, ONE),
    ROW(KW_PROPERTIES, "properties", IN_BOTH, APPLICATOR, MAP),
    ROW(KW_PATTERN_PROPERTIES, "patternProperties", IN_BOTH, APPLICATOR, MAP),
    ROW(KW_ADDITIONAL_PROPERTIES, "additionalProperties", IN_BOTH, APPLICATOR, ONE),
    ROW(KW_PROPERTY_NAMES, "propertyNames", IN_BOTH, APPLICATOR, ONE),
    ROW(KW_DEPENDENT_SCHEMAS, "dependentSchemas", IN_2020, APPLICATOR, MAP),
    ROW(KW_DEPENDENCIES, "dependencies", IN_BOTH, APPLICATOR, MAP), // 2020-12: as its metaschema does
    ROW(KW_PREFIX_ITEMS, "prefixItems", IN_2020, APPLICATOR, LIST),
    ROW(KW_ITEMS, "items", IN_2020, APPLICATOR, ONE),
    ROW(KW_ITEMS_07, "items", IN_07, APPLICATOR, ONE_OR_LIST),
    ROW(KW_ADDITIONAL_ITEMS, "additionalItems", IN_07, APPLICATOR, ONE),
    ROW(KW_CONTAINS, "contains", IN_BOTH, APPLICATOR, ONE),
    ROW(KW_UNEVALUATED_ITEMS, "unevaluatedItems", IN_2020, UNEVALUATED, ONE),
    ROW(KW_UNEVALUATED_PROPERTIES, "unevaluatedProperties", IN_2020, UNEVALUATED, ONE),
    ROW(KW_CONTENT_SCHEMA, "contentSchema", IN_2020, CONTENT, ONE),
    ROW(KW_TYPE, "type", IN_BOTH, VALIDATION, NONE),
    ROW(KW_CONST, "const", IN_BOTH, VALIDATION, NONE),
    ROW(KW_ENUM, "enum", IN_BOTH, VALIDATION, NONE),
    ROW(KW_MULTIPLE_OF, "multipleOf", IN_BOTH, VALIDATION, NONE),
    ROW(KW_MAXIMUM, "maximum", IN_BOTH, VALIDATION, NONE),
    ROW(KW_EXCLUSIVE_MAXIMUM, "exclusiveMaximum", IN_BOTH, VALIDATION, NONE),
    ROW(KW_MINIMUM, "minimum", IN_BOTH, VALIDATION, NONE),
    ROW(KW_EXCLUSIVE_MINIMUM, "exclusiveMinimum", IN_BOTH, VALIDATION, NONE),
    ROW(KW_MAX_LENGTH, "maxLength", IN_BOTH, VALIDATION, NONE),
    ROW(KW_MIN_LENGTH, "minLength", IN_BOTH, VALIDATION, NONE),
    ROW(KW_PATTERN, "pattern", IN_BOTH, VALIDATION, NONE),
    ROW(KW_MAX_ITEMS, "maxItems", IN_BOTH, VALIDATION, NONE),
    ROW(KW_MIN_ITEMS, "minItems", IN_BOTH, VALIDATION, NONE),
    ROW(KW_UNIQUE_ITEMS, "uniqueItems", IN_BOTH, VALIDATION, NONE),
    ROW(KW_MAX_CONTAINS, "maxContains", IN_2020, VALIDATION, NONE),
    ROW(KW_MIN_CONTAINS, "minContains", IN_2020, VALIDATION, NONE),
    ROW(KW_MAX_PROPERTIES, "maxProperties", IN_BOTH, VALIDATION, NONE),
    ROW(KW_MIN_PROPERTIES, "minProperties", IN_BOTH, VALIDATION, NONE),
    ROW(KW_REQUIRED, "required", IN_BOTH, VALIDATION, NONE),
    ROW(KW_DEPENDENT_REQUIRED, "dependentRequired", IN_2020, VALIDATION, NONE),
    ROW(KW_FORMAT, "format", IN_BOTH, FORMAT, NONE),
#undef ROW
};
// clang-format on

str keyword_name(enum keyword k)
{
    return keywords[k].name;
}

enum children keyword_children(enum keyword k)
{
    return keywords[k].children;
}

const json_value *keyword_get(const struct sub *sub, enum keyword k)
{
    const struct dialect *d = sub->resource->dialect;
    bool is_known = keywords[k].drafts & 1U << d->draft && keywords[k].vocabulary & d->vocabularies;

    return is_known ? json_get(sub->value, keywords[k].name) : NULL;
}
