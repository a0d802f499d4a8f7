/* The metaschemas of 2020-12 and draft-07 as json-schema.org publishes them, without annotations. */
#include "base/jsonschema_compile.h"

#include <pthread.h>

// clang-format off
static const struct {
    const char *uri, *text;
} documents[] = {
    {"https://json-schema.org/draft/2020-12/schema",
     "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
     "\"$id\":\"https://json-schema.org/draft/2020-12/schema\","
     "\"$vocabulary\":{\"https://json-schema.org/draft/2020-12/vocab/core\":true,"
     "\"https://json-schema.org/draft/2020-12/vocab/applicator\":true,"
     "\"https://json-schema.org/draft/2020-12/vocab/unevaluated\":true,"
     "\"https://json-schema.org/draft/2020-12/vocab/validation\":true,"
     "\"https://json-schema.org/draft/2020-12/vocab/meta-data\":true,"
     "\"https://json-schema.org/draft/2020-12/vocab/format-annotation\":true,"
     "\"https://json-schema.org/draft/2020-12/vocab/content\":true},"
     "\"$dynamicAnchor\":\"meta\",\"allOf\":[{\"$ref\":\"meta/core\"},"
     "{\"$ref\":\"meta/applicator\"},{\"$ref\":\"meta/unevaluated\"},"
     "{\"$ref\":\"meta/validation\"},{\"$ref\":\"meta/meta-data\"},"
     "{\"$ref\":\"meta/format-annotation\"},{\"$ref\":\"meta/content\"}],"
     "\"type\":[\"object\",\"boolean\"],\"properties\":{\"definitions\":{\"type\":\"object"
     "\",\"additionalProperties\":{\"$dynamicRef\":\"#meta\"}},"
     "\"dependencies\":{\"type\":\"object\",\"additionalProperties\":{\"anyOf\":[{\"$dynam"
     "icRef\":\"#meta\"},{\"$ref\":\"meta/validation#/$defs/stringArray\"}]}},"
     "\"$recursiveAnchor\":{\"$ref\":\"meta/core#/$defs/anchorString\"},"
     "\"$recursiveRef\":{\"$ref\":\"meta/core#/$defs/uriReferenceString\"}}}"},
    {"https://json-schema.org/draft/2020-12/meta/core",
     "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
     "\"$id\":\"https://json-schema.org/draft/2020-12/meta/core\","
     "\"$vocabulary\":{\"https://json-schema.org/draft/2020-12/vocab/core\":true},"
     "\"$dynamicAnchor\":\"meta\",\"type\":[\"object\",\"boolean\"],"
     "\"properties\":{\"$id\":{\"$ref\":\"#/$defs/uriReferenceString\","
     "\"pattern\":\"^[^#]*#?$\"},\"$schema\":{\"$ref\":\"#/$defs/uriString\"},"
     "\"$ref\":{\"$ref\":\"#/$defs/uriReferenceString\"},"
     "\"$anchor\":{\"$ref\":\"#/$defs/anchorString\"},"
     "\"$dynamicRef\":{\"$ref\":\"#/$defs/uriReferenceString\"},"
     "\"$dynamicAnchor\":{\"$ref\":\"#/$defs/anchorString\"},"
     "\"$vocabulary\":{\"type\":\"object\",\"propertyNames\":{\"$ref\":\"#/$defs/uriString"
     "\"},\"additionalProperties\":{\"type\":\"boolean\"}},"
     "\"$comment\":{\"type\":\"string\"},\"$defs\":{\"type\":\"object\","
     "\"additionalProperties\":{\"$dynamicRef\":\"#meta\"}}},"
     "\"$defs\":{\"anchorString\":{\"type\":\"string\","
     "\"pattern\":\"^[A-Za-z_][-A-Za-z0-9._]*$\"},\"uriString\":{\"type\":\"string\","
     "\"format\":\"uri\"},\"uriReferenceString\":{\"type\":\"string\","
     "\"format\":\"uri-reference\"}}}"},
    {"https://json-schema.org/draft/2020-12/meta/applicator",
     "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
     "\"$id\":\"https://json-schema.org/draft/2020-12/meta/applicator\","
     "\"$vocabulary\":{\"https://json-schema.org/draft/2020-12/vocab/applicator\":true},"
     "\"$dynamicAnchor\":\"meta\",\"type\":[\"object\",\"boolean\"],"
     "\"properties\":{\"prefixItems\":{\"$ref\":\"#/$defs/schemaArray\"},"
     "\"items\":{\"$dynamicRef\":\"#meta\"},\"contains\":{\"$dynamicRef\":\"#meta\"},"
     "\"additionalProperties\":{\"$dynamicRef\":\"#meta\"},"
     "\"properties\":{\"type\":\"object\",\"additionalProperties\":{\"$dynamicRef\":\"#met"
     "a\"}},\"patternProperties\":{\"type\":\"object\","
     "\"additionalProperties\":{\"$dynamicRef\":\"#meta\"},"
     "\"propertyNames\":{\"format\":\"regex\"}},\"dependentSchemas\":{\"type\":\"object\","
     "\"additionalProperties\":{\"$dynamicRef\":\"#meta\"}},"
     "\"propertyNames\":{\"$dynamicRef\":\"#meta\"},\"if\":{\"$dynamicRef\":\"#meta\"},"
     "\"then\":{\"$dynamicRef\":\"#meta\"},\"else\":{\"$dynamicRef\":\"#meta\"},"
     "\"allOf\":{\"$ref\":\"#/$defs/schemaArray\"},"
     "\"anyOf\":{\"$ref\":\"#/$defs/schemaArray\"},"
     "\"oneOf\":{\"$ref\":\"#/$defs/schemaArray\"},\"not\":{\"$dynamicRef\":\"#meta\"}},"
     "\"$defs\":{\"schemaArray\":{\"type\":\"array\",\"minItems\":1,"
     "\"items\":{\"$dynamicRef\":\"#meta\"}}}}"},
    {"https://json-schema.org/draft/2020-12/meta/unevaluated",
     "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
     "\"$id\":\"https://json-schema.org/draft/2020-12/meta/unevaluated\","
     "\"$vocabulary\":{\"https://json-schema.org/draft/2020-12/vocab/unevaluated\":true},"
     "\"$dynamicAnchor\":\"meta\",\"type\":[\"object\",\"boolean\"],"
     "\"properties\":{\"unevaluatedItems\":{\"$dynamicRef\":\"#meta\"},"
     "\"unevaluatedProperties\":{\"$dynamicRef\":\"#meta\"}}}"},
    {"https://json-schema.org/draft/2020-12/meta/validation",
     "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
     "\"$id\":\"https://json-schema.org/draft/2020-12/meta/validation\","
     "\"$vocabulary\":{\"https://json-schema.org/draft/2020-12/vocab/validation\":true},"
     "\"$dynamicAnchor\":\"meta\",\"type\":[\"object\",\"boolean\"],"
     "\"properties\":{\"type\":{\"anyOf\":[{\"$ref\":\"#/$defs/simpleTypes\"},"
     "{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/simpleTypes\"},\"minItems\":1,"
     "\"uniqueItems\":true}]},\"const\":true,\"enum\":{\"type\":\"array\",\"items\":true},"
     "\"multipleOf\":{\"type\":\"number\",\"exclusiveMinimum\":0},"
     "\"maximum\":{\"type\":\"number\"},\"exclusiveMaximum\":{\"type\":\"number\"},"
     "\"minimum\":{\"type\":\"number\"},\"exclusiveMinimum\":{\"type\":\"number\"},"
     "\"maxLength\":{\"$ref\":\"#/$defs/nonNegativeInteger\"},"
     "\"minLength\":{\"$ref\":\"#/$defs/nonNegativeIntegerDefault0\"},"
     "\"pattern\":{\"type\":\"string\",\"format\":\"regex\"},"
     "\"maxItems\":{\"$ref\":\"#/$defs/nonNegativeInteger\"},"
     "\"minItems\":{\"$ref\":\"#/$defs/nonNegativeIntegerDefault0\"},"
     "\"uniqueItems\":{\"type\":\"boolean\"},\"maxContains\":{\"$ref\":\"#/$defs/nonNegati"
     "veInteger\"},\"minContains\":{\"$ref\":\"#/$defs/nonNegativeInteger\"},"
     "\"maxProperties\":{\"$ref\":\"#/$defs/nonNegativeInteger\"},"
     "\"minProperties\":{\"$ref\":\"#/$defs/nonNegativeIntegerDefault0\"},"
     "\"required\":{\"$ref\":\"#/$defs/stringArray\"},"
     "\"dependentRequired\":{\"type\":\"object\","
     "\"additionalProperties\":{\"$ref\":\"#/$defs/stringArray\"}}},"
     "\"$defs\":{\"nonNegativeInteger\":{\"type\":\"integer\",\"minimum\":0},"
     "\"nonNegativeIntegerDefault0\":{\"$ref\":\"#/$defs/nonNegativeInteger\"},"
     "\"simpleTypes\":{\"enum\":[\"array\",\"boolean\",\"integer\",\"null\",\"number\","
     "\"object\",\"string\"]},\"stringArray\":{\"type\":\"array\","
     "\"items\":{\"type\":\"string\"},\"uniqueItems\":true}}}"},
    {"https://json-schema.org/draft/2020-12/meta/meta-data",
     "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
     "\"$id\":\"https://json-schema.org/draft/2020-12/meta/meta-data\","
     "\"$vocabulary\":{\"https://json-schema.org/draft/2020-12/vocab/meta-data\":true},"
     "\"$dynamicAnchor\":\"meta\",\"type\":[\"object\",\"boolean\"],"
     "\"properties\":{\"title\":{\"type\":\"string\"},"
     "\"description\":{\"type\":\"string\"},\"default\":true,"
     "\"deprecated\":{\"type\":\"boolean\"},\"readOnly\":{\"type\":\"boolean\"},"
     "\"writeOnly\":{\"type\":\"boolean\"},\"examples\":{\"type\":\"array\","
     "\"items\":true}}}"},
    {"https://json-schema.org/draft/2020-12/meta/format-annotation",
     "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
     "\"$id\":\"https://json-schema.org/draft/2020-12/meta/format-annotation\","
     "\"$vocabulary\":{\"https://json-schema.org/draft/2020-12/vocab/format-annotation\":t"
     "rue},\"$dynamicAnchor\":\"meta\",\"type\":[\"object\",\"boolean\"],"
     "\"properties\":{\"format\":{\"type\":\"string\"}}}"},
    {"https://json-schema.org/draft/2020-12/meta/format-assertion",
     "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
     "\"$id\":\"https://json-schema.org/draft/2020-12/meta/format-assertion\","
     "\"$vocabulary\":{\"https://json-schema.org/draft/2020-12/vocab/format-assertion\":tr"
     "ue},\"$dynamicAnchor\":\"meta\",\"type\":[\"object\",\"boolean\"],"
     "\"properties\":{\"format\":{\"type\":\"string\"}}}"},
    {"https://json-schema.org/draft/2020-12/meta/content",
     "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
     "\"$id\":\"https://json-schema.org/draft/2020-12/meta/content\","
     "\"$vocabulary\":{\"https://json-schema.org/draft/2020-12/vocab/content\":true},"
     "\"$dynamicAnchor\":\"meta\",\"type\":[\"object\",\"boolean\"],"
     "\"properties\":{\"contentEncoding\":{\"type\":\"string\"},"
     "\"contentMediaType\":{\"type\":\"string\"},"
     "\"contentSchema\":{\"$dynamicRef\":\"#meta\"}}}"},
    {"http://json-schema.org/draft-07/schema",
     "{\"$schema\":\"http://json-schema.org/draft-07/schema#\","
     "\"$id\":\"http://json-schema.org/draft-07/schema#\","
     "\"definitions\":{\"schemaArray\":{\"type\":\"array\",\"minItems\":1,"
     "\"items\":{\"$ref\":\"#\"}},\"nonNegativeInteger\":{\"type\":\"integer\","
     "\"minimum\":0},\"nonNegativeIntegerDefault0\":{\"allOf\":[{\"$ref\":\"#/definitions/"
     "nonNegativeInteger\"},{}]},\"simpleTypes\":{\"enum\":[\"array\",\"boolean\","
     "\"integer\",\"null\",\"number\",\"object\",\"string\"]},"
     "\"stringArray\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},"
     "\"uniqueItems\":true}},\"type\":[\"object\",\"boolean\"],"
     "\"properties\":{\"$id\":{\"type\":\"string\",\"format\":\"uri-reference\"},"
     "\"$schema\":{\"type\":\"string\",\"format\":\"uri\"},\"$ref\":{\"type\":\"string\","
     "\"format\":\"uri-reference\"},\"$comment\":{\"type\":\"string\"},"
     "\"title\":{\"type\":\"string\"},\"description\":{\"type\":\"string\"},"
     "\"default\":true,\"readOnly\":{\"type\":\"boolean\"},"
     "\"examples\":{\"type\":\"array\",\"items\":true},"
     "\"multipleOf\":{\"type\":\"number\",\"exclusiveMinimum\":0},"
     "\"maximum\":{\"type\":\"number\"},\"exclusiveMaximum\":{\"type\":\"number\"},"
     "\"minimum\":{\"type\":\"number\"},\"exclusiveMinimum\":{\"type\":\"number\"},"
     "\"maxLength\":{\"$ref\":\"#/definitions/nonNegativeInteger\"},"
     "\"minLength\":{\"$ref\":\"#/definitions/nonNegativeIntegerDefault0\"},"
     "\"pattern\":{\"type\":\"string\",\"format\":\"regex\"},"
     "\"additionalItems\":{\"$ref\":\"#\"},\"items\":{\"anyOf\":[{\"$ref\":\"#\"},"
     "{\"$ref\":\"#/definitions/schemaArray\"}]},"
     "\"maxItems\":{\"$ref\":\"#/definitions/nonNegativeInteger\"},"
     "\"minItems\":{\"$ref\":\"#/definitions/nonNegativeIntegerDefault0\"},"
     "\"uniqueItems\":{\"type\":\"boolean\"},\"contains\":{\"$ref\":\"#\"},"
     "\"maxProperties\":{\"$ref\":\"#/definitions/nonNegativeInteger\"},"
     "\"minProperties\":{\"$ref\":\"#/definitions/nonNegativeIntegerDefault0\"},"
     "\"required\":{\"$ref\":\"#/definitions/stringArray\"},"
     "\"additionalProperties\":{\"$ref\":\"#\"},\"definitions\":{\"type\":\"object\","
     "\"additionalProperties\":{\"$ref\":\"#\"}},\"properties\":{\"type\":\"object\","
     "\"additionalProperties\":{\"$ref\":\"#\"}},"
     "\"patternProperties\":{\"type\":\"object\","
     "\"additionalProperties\":{\"$ref\":\"#\"},\"propertyNames\":{\"format\":\"regex\"}},"
     "\"dependencies\":{\"type\":\"object\",\"additionalProperties\":{\"anyOf\":[{\"$ref\""
     ":\"#\"},{\"$ref\":\"#/definitions/stringArray\"}]}},"
     "\"propertyNames\":{\"$ref\":\"#\"},\"const\":true,\"enum\":{\"type\":\"array\","
     "\"items\":true,\"minItems\":1,\"uniqueItems\":true},"
     "\"type\":{\"anyOf\":[{\"$ref\":\"#/definitions/simpleTypes\"},{\"type\":\"array\","
     "\"items\":{\"$ref\":\"#/definitions/simpleTypes\"},\"minItems\":1,"
     "\"uniqueItems\":true}]},\"format\":{\"type\":\"string\"},"
     "\"contentMediaType\":{\"type\":\"string\"},"
     "\"contentEncoding\":{\"type\":\"string\"},\"if\":{\"$ref\":\"#\"},"
     "\"then\":{\"$ref\":\"#\"},\"else\":{\"$ref\":\"#\"},"
     "\"allOf\":{\"$ref\":\"#/definitions/schemaArray\"},"
     "\"anyOf\":{\"$ref\":\"#/definitions/schemaArray\"},"
     "\"oneOf\":{\"$ref\":\"#/definitions/schemaArray\"},\"not\":{\"$ref\":\"#\"}}}"},
};
// clang-format on

str meta_text(str uri)
{
    for (size_t i = 0; i < countof(documents); i++)
        if (str_eq(uri, str_of(documents[i].uri)))
            return str_of(documents[i].text);
    return (str){NULL, 0};
}

static struct jschema *schemas[2];

static void compile_one(enum jschema_draft draft, str uri)
{
    const struct jschema_options options = {.draft = draft};
    struct jschema_fault fault;

    must(compile_trusted(&schemas[draft], meta_text(uri), uri, &options, &fault));
}

static void compile_2020_12(void)
{
    compile_one(JSCHEMA_2020_12, S("https://json-schema.org/draft/2020-12/schema"));
}

static void compile_draft_07(void)
{
    compile_one(JSCHEMA_DRAFT_07, S("http://json-schema.org/draft-07/schema"));
}

/* Each when it is first needed: most daemons never see the older one. */
const struct jschema *meta_schema(enum jschema_draft draft)
{
    static pthread_once_t once[2] = {PTHREAD_ONCE_INIT, PTHREAD_ONCE_INIT};

    pthread_once(&once[draft], draft == JSCHEMA_2020_12 ? compile_2020_12 : compile_draft_07);
    return schemas[draft];
}
