#include "unit.h"
#include "base/jsonschema.h"

static enum jschema_compat compare(const char *older, const char *newer)
{
    struct arena_pool pool = {0};
    struct arena *a = arena_new(&pool, 16 << 20);
    struct json_fault fault;
    struct json x, y;

    if (!json_parse(&x, a, str_of(older), &fault) || !json_parse(&y, a, str_of(newer), &fault))
        fail_msg("no JSON: %s | %s", older, newer);
    enum jschema_compat result = jschema_compat(x.root, y.root);
    arena_unref(a);
    arena_pool_deinit(&pool);
    return result;
}

#define P(x) "{\"properties\":{\"a\":" x "}}"

static void tells_wider_from_narrower(void **state)
{
    static const struct {
        const char *older, *newer;
        enum jschema_compat there, back;
    } cases[] = {
#define SAME JSCHEMA_IDENTICAL, JSCHEMA_IDENTICAL
#define BOTH JSCHEMA_BACKWARD_COMPATIBLE, JSCHEMA_BACKWARD_COMPATIBLE
#define WIDER JSCHEMA_BACKWARD_COMPATIBLE, JSCHEMA_BREAKING
#define NEITHER JSCHEMA_BREAKING, JSCHEMA_BREAKING
        {"{}", "{}", SAME},
        {"{\"type\":\"object\",\"minProperties\":1.0}", "{\"minProperties\":1,\"type\":\"object\"}",
         SAME},
        {"{\"title\":\"a\"}", "{\"title\":\"b\",\"description\":\"c\"}", BOTH},
        {"true", "{}", BOTH},
        {"false", "{\"type\":\"string\"}", WIDER},
        {"{\"type\":\"string\"}", "{}", WIDER},
        {"{\"type\":\"integer\"}", "{\"type\":\"number\"}", WIDER},
        {"{\"type\":\"string\"}", "{\"type\":[\"null\",\"string\"]}", WIDER},
        {"{\"type\":\"string\"}", "{\"type\":\"object\"}", NEITHER},
        {"{\"type\":[\"string\",\"null\"]}", "{\"type\":[\"null\",\"string\"]}", BOTH},
        {"{\"enum\":[1,2]}", "{\"enum\":[3,2,1.0]}", WIDER},
        {"{\"enum\":[1]}", "{\"const\":1}", BOTH},
        {"{\"const\":1}", "{\"enum\":[1,2]}", WIDER},
        {"{\"const\":1}", "{\"const\":2}", NEITHER},
        {"{\"minimum\":2}", "{\"minimum\":1}", WIDER},
        {"{\"minimum\":2}", "{\"exclusiveMinimum\":1}", WIDER},
        {"{\"exclusiveMinimum\":1}", "{\"minimum\":1}", WIDER},
        {"{\"maximum\":2}", "{\"exclusiveMaximum\":3}", WIDER},
        {"{\"exclusiveMaximum\":3}", "{\"maximum\":3}", WIDER},
        {"{\"maximum\":3}", "{}", WIDER},
        {"{\"multipleOf\":6}", "{\"multipleOf\":3}", WIDER},
        {"{\"multipleOf\":0.5}", "{\"multipleOf\":0.1}", WIDER},
        {"{\"minLength\":1}", "{\"minLength\":0}", WIDER},
        {"{\"minLength\":0}", "{}", BOTH},
        {"{\"maxLength\":5}", "{\"maxLength\":6}", WIDER},
        {"{\"maxItems\":5}", "{\"maxItems\":6}", WIDER},
        {"{\"minProperties\":2}", "{\"minProperties\":1}", WIDER},
        {"{\"pattern\":\"a\"}", "{\"pattern\":\"b\"}", NEITHER},
        {"{\"pattern\":\"a\"}", "{}", WIDER},
        {"{\"format\":\"date\"}", "{}", WIDER},
        {"{\"uniqueItems\":true}", "{\"uniqueItems\":false}", WIDER},
        {"{\"required\":[\"a\",\"b\"]}", "{\"required\":[\"b\"]}", WIDER},
        {P("{\"type\":\"integer\"}"), P("{\"type\":\"number\"}"), WIDER},
        /* a new optional property is fine, a removed one is not */
        {"{\"properties\":{\"a\":{}}}", "{\"properties\":{\"a\":{},\"b\":{}}}", WIDER},
        {"{\"additionalProperties\":false}", "{}", WIDER},
        {"{\"propertyNames\":{\"maxLength\":3}}", "{\"propertyNames\":{\"maxLength\":4}}", WIDER},
        {"{\"patternProperties\":{\"a\":{\"minimum\":3}}}",
         "{\"patternProperties\":{\"a\":{\"minimum\":1}}}", WIDER},
        {"{\"patternProperties\":{\"a\":{}}}", "{\"patternProperties\":{\"b\":{}}}", NEITHER},
        {"{\"items\":{\"type\":\"integer\"}}", "{\"items\":{\"type\":\"number\"}}", WIDER},
        {"{\"prefixItems\":[{\"minimum\":2}]}", "{\"prefixItems\":[{\"minimum\":1}]}", WIDER},
        {"{\"prefixItems\":[{}]}", "{\"prefixItems\":[{},{}]}", NEITHER},
        {"{\"contains\":{\"minimum\":2}}", "{\"contains\":{\"minimum\":1}}", WIDER},
        {"{\"contains\":{},\"minContains\":2}", "{\"contains\":{}}", WIDER},
        {"{\"allOf\":[{\"minimum\":2}]}", "{\"allOf\":[{\"minimum\":1}]}", WIDER},
        {"{\"allOf\":[{\"minimum\":2}]}", "{}", WIDER},
        {"{\"anyOf\":[{\"const\":1},{\"const\":2}]}",
         "{\"anyOf\":[{\"const\":3},{\"const\":2},{\"const\":1}]}", WIDER},
        {"{\"anyOf\":[{\"const\":1}]}", "{}", WIDER},
        {"{\"oneOf\":[{\"const\":1}],\"title\":\"a\"}", "{\"oneOf\":[{\"const\":1}]}", BOTH},
        {"{\"oneOf\":[{\"const\":1}]}", "{\"oneOf\":[{\"const\":1},{\"const\":2}]}", NEITHER},
        {"{\"not\":{\"const\":1}}", "{\"not\":{\"const\":2}}", NEITHER},
        /* references are followed */
        {"{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"minimum\":2}}}",
         "{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"minimum\":2}},\"title\":\"x\"}", BOTH},
        {"{\"items\":{\"$ref\":\"#/$defs/a\"},\"$defs\":{\"a\":{\"minimum\":2}}}",
         "{\"items\":{\"$ref\":\"#/$defs/a\"},\"$defs\":{\"a\":{\"minimum\":1}}}", WIDER},
        {"{\"items\":{\"$ref\":\"#/$defs/a\"},\"$defs\":{\"a\":{\"minimum\":2}}}",
         "{\"items\":{\"minimum\":2,\"title\":\"b\"}}", BOTH},
        {"{\"not\":{\"$ref\":\"#/$defs/a\"},\"$defs\":{\"a\":{\"minimum\":2}}}",
         "{\"not\":{\"$ref\":\"#/$defs/a\"},\"$defs\":{\"a\":{\"minimum\":1}}}", NEITHER},
        {"{\"not\":{\"$ref\":\"#/properties/a\"},\"properties\":{\"a\":{\"minimum\":2}}}",
         "{\"not\":{\"$ref\":\"#/properties/a\"},\"properties\":{\"a\":{\"minimum\":1}}}", NEITHER},
        {"{\"properties\":{\"n\":{\"$ref\":\"#\"},\"v\":{\"minimum\":2}}}",
         "{\"properties\":{\"n\":{\"$ref\":\"#\"},\"v\":{\"minimum\":1}}}", WIDER},
        {"{\"$ref\":\"x\"}", "{\"$ref\":\"y\"}", NEITHER},
        {"{\"$ref\":\"x\"}", "{\"$ref\":\"x\",\"title\":\"t\"}", BOTH},
        {"{\"$schema\":\"http://json-schema.org/draft-07/schema#\"}", "{\"title\":\"t\"}", NEITHER},
        {"{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\"}", "{}", BOTH},
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        enum jschema_compat there = compare(cases[i].older, cases[i].newer);
        enum jschema_compat back = compare(cases[i].newer, cases[i].older);
        if (there != cases[i].there || back != cases[i].back)
            fail_msg("%s -> %s: %s, back: %s", cases[i].older, cases[i].newer,
                     jschema_compat_name(there), jschema_compat_name(back));
    }
    assert_string_equal(jschema_compat_name(JSCHEMA_BACKWARD_COMPATIBLE), "backward_compatible");
}

/* Alternatives within alternatives are compared each with each: bounded, and then "breaking". */
static void gives_up_in_time(void **state)
{
    static char older[1 << 16], newer[1 << 16];
    char *o = older, *n = newer;

    (void)state;
    for (int i = 0; i < 50; i++) {
        o += sprintf(o, "{\"anyOf\":[{\"minimum\":%d},{\"minimum\":%d},", i, i + 1);
        n += sprintf(n, "{\"anyOf\":[{\"minimum\":%d},{\"minimum\":%d},", i, i + 2);
    }
    o += sprintf(o, "{}");
    n += sprintf(n, "{\"const\":1}");
    for (int i = 0; i < 50; i++) {
        o += sprintf(o, "]}");
        n += sprintf(n, "]}");
    }
    assert_int_equal(compare(older, newer), JSCHEMA_BREAKING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {T(tells_wider_from_narrower), T(gives_up_in_time)};
    return RUN(tests);
}
