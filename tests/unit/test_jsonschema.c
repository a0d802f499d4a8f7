#include "unit.h"
#include "base/jsonschema.h"

#include <time.h>

struct fixture {
    struct arena_pool pool;
    struct arena *a;
    struct jschema_options options;
    struct jschema_fault fault;
    struct jschema_error list[16];
    struct jschema_errors errors;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->a = arena_new(&f->pool, 256 << 20);
    f->errors = (struct jschema_errors){.list = f->list, .max = countof(f->list)};
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    arena_unref(f->a);
    arena_pool_deinit(&f->pool);
    free(f);
    return 0;
}

static struct jschema *compile(struct fixture *f, str text)
{
    struct jschema *s = NULL;
    if (!jschema_compile(&s, text, S("test:/"), &f->options, &f->fault))
        fail_msg("%.300s: %s: %s", text.ptr, f->fault.pointer, f->fault.text);
    return s;
}

static const json_value *value(struct fixture *f, str text)
{
    struct json_fault fault;
    struct json doc;
    if (!json_parse(&doc, f->a, text, &fault))
        fail_msg("no JSON: %.300s", text.ptr);
    return doc.root;
}

static bool check(struct fixture *f, const char *schema, const char *instance)
{
    struct jschema *s = compile(f, str_of(schema));
    const json_value *v = value(f, str_of(instance));
    bool ok = jschema_check(s, v, f->a, &f->errors);
    assert_int_equal(jschema_check(s, v, f->a, NULL), ok);
    jschema_free(s);
    return ok;
}

/* --- what it says ------------------------------------------------------------------------------- */

static void names_path_keyword_and_reason(void **state)
{
    static const struct {
        const char *schema, *instance, *path, *keyword, *message;
    } cases[] = {
        {"{\"type\":\"integer\"}", "\"x\"", "", "type", "must be integer, is a string"},
        {"{\"type\":[\"null\",\"array\"]}", "{}", "", "type",
         "must be null or array, is an object"},
        {"{\"type\":\"string\"}", "null", "", "type", "must be string, is null"},
        {"{\"properties\":{\"a/b~c\":{\"type\":\"string\"}}}", "{\"a/b~c\":1}", "/a~1b~0c", "type",
         "must be string, is a number"},
        {"{\"items\":{\"items\":{\"minimum\":5}}}", "[[9],[7,8,4]]", "/1/2", "minimum",
         "must be at least 5"},
        {"{\"maximum\":0.1}", "0.2", "", "maximum", "must be at most 0.1"},
        {"{\"maximum\":18446744073709551614}", "18446744073709551615", "", "maximum",
         "must be at most 18446744073709551614"},
        {"{\"exclusiveMinimum\":1}", "1.0", "", "exclusiveMinimum", "must be more than 1"},
        {"{\"exclusiveMaximum\":-1}", "0", "", "exclusiveMaximum", "must be less than -1"},
        {"{\"multipleOf\":0.01}", "0.075", "", "multipleOf", "must be a multiple of 0.01"},
        {"{\"minLength\":3}", "\"\xc3\xa9\xc3\xa9\"", "", "minLength",
         "must have at least 3 characters, has 2"},
        {"{\"maxLength\":1}", "\"ab\"", "", "maxLength", "must have at most 1 characters, has 2"},
        {"{\"pattern\":\"^a\"}", "\"b\"", "", "pattern", "must match the pattern ^a"},
        {"{\"enum\":[\"a\",{\"b\":1}]}", "2", "", "enum", "must be one of \"a\", {\"b\":1}"},
        {"{\"const\":[1]}", "[2]", "", "const", "must be [1]"},
        {"{\"required\":[\"a\",\"b\"]}", "{\"a\":1}", "", "required", "lacks \"b\""},
        {"{\"properties\":{\"a\":true},\"additionalProperties\":false}", "{\"b\":1}", "/b",
         "additionalProperties", "is no property that is allowed here"},
        {"{\"unevaluatedProperties\":false}", "{\"b\":1}", "/b", "unevaluatedProperties",
         "is no property that is allowed here"},
        {"{\"additionalProperties\":{\"type\":\"null\"}}", "{\"b\":1}", "/b", "type",
         "must be null, is a number"},
        {"{\"propertyNames\":{\"maxLength\":2}}", "{\"long\":1}", "", "propertyNames",
         "must have no property named \"long\""},
        {"{\"minProperties\":1}", "{}", "", "minProperties",
         "must have at least 1 properties, has 0"},
        {"{\"maxProperties\":0}", "{\"a\":1}", "", "maxProperties",
         "must have at most 0 properties, has 1"},
        {"{\"minItems\":1}", "[]", "", "minItems", "must have at least 1 items, has 0"},
        {"{\"maxItems\":1}", "[1,2]", "", "maxItems", "must have at most 1 items, has 2"},
        {"{\"uniqueItems\":true}", "[1,\"1\",1.0]", "", "uniqueItems", "items 0 and 2 are equal"},
        {"{\"contains\":{\"type\":\"null\"}}", "[1]", "", "contains",
         "must contain at least 1 items that fit, has 0"},
        {"{\"contains\":true,\"maxContains\":1}", "[1,2]", "", "maxContains",
         "must contain at most 1 items that fit, has 2"},
        {"{\"dependentRequired\":{\"a\":[\"b\"]}}", "{\"a\":1}", "", "dependentRequired",
         "lacks \"b\", which \"a\" needs"},
        {"{\"prefixItems\":[true],\"items\":false}", "[1,2]", "/1", "", "nothing is allowed here"},
        {"false", "1", "", "", "nothing is allowed here"},
        {"{\"not\":{}}", "1", "", "not", "fits a schema that it must not fit"},
        {"{\"oneOf\":[{\"minimum\":1},{\"minimum\":2}]}", "3", "", "oneOf",
         "fits the alternatives 0 and 1, must fit only one"},
        {"{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"string\"}]}", "1", "", "anyOf",
         "fits none of 2 alternatives"},
        {"{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"type\":\"null\"}}}", "1", "", "type",
         "must be null, is a number"},
        {"{\"if\":{\"type\":\"number\"},\"then\":{\"minimum\":2}}", "1", "", "minimum",
         "must be at least 2"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < countof(cases); i++) {
        if (check(f, cases[i].schema, cases[i].instance))
            fail_msg("accepted: %s %s", cases[i].schema, cases[i].instance);
        if (f->errors.count != 1)
            fail_msg("%s: %zu errors", cases[i].schema, f->errors.count);
        assert_str(f->list[0].path, cases[i].path);
        assert_string_equal(f->list[0].keyword, cases[i].keyword);
        assert_str(f->list[0].message, cases[i].message);
    }
}

static void tells_all_that_is_wrong(void **state)
{
    struct fixture *f = *state;

    assert_false(check(f,
                       "{\"required\":[\"a\",\"b\"],\"properties\":{\"c\":{\"type\":\"string\","
                       "\"minLength\":2},\"d\":{\"items\":{\"type\":\"null\"}}}}",
                       "{\"c\":\"x\",\"d\":[null,1,2]}"));
    assert_int_equal(f->errors.count, 5);
    assert_str(f->list[0].path, "/c");
    assert_str(f->list[1].path, "/d/1");
    assert_str(f->list[2].path, "/d/2");
    assert_str(f->list[3].message, "lacks \"a\"");
    assert_str(f->list[4].message, "lacks \"b\"");
    assert_false(f->errors.has_more);
}

static void the_list_is_bounded(void **state)
{
    struct fixture *f = *state;

    for (size_t max = 0; max < 3; max += 2) {
        f->errors.max = max;
        assert_false(check(f, "{\"items\":{\"type\":\"null\"}}", "[1,2,3]"));
        assert_int_equal(f->errors.count, max);
        assert_true(f->errors.has_more);
    }
}

/* Of alternatives only one takes objects: the caller meant that one. */
static void explains_the_alternative_that_was_meant(void **state)
{
    struct fixture *f = *state;

    assert_false(check(f,
                       "{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"object\",\"properties\":"
                       "{\"a\":{\"type\":\"string\"}}}]}",
                       "{\"a\":1}"));
    assert_int_equal(f->errors.count, 2);
    assert_string_equal(f->list[0].keyword, "anyOf");
    assert_str(f->list[1].path, "/a");
}

static void repeat(struct buf *b, const char *z, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_addz(b, z);
}

static void messages_are_cut_between_characters(void **state)
{
    struct fixture *f = *state;
    struct buf b;

    buf_init(&b, 1 << 16);
    buf_addz(&b, "{\"required\":[\"x");
    repeat(&b, "\xe2\x82\xac", 200);
    buf_addz(&b, "\"],\"enum\":[\"");
    repeat(&b, "\xe2\x82\xac", 200);
    buf_addz(&b, "\",1,2,3]}");
    buf_addc(&b, 0);
    assert_false(check(f, b.ptr, "{}"));
    assert_int_equal(f->errors.count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_true(str_is_utf8(f->list[i].message));
        assert_in_range(f->list[i].message.len, 20, 400);
    }
    buf_deinit(&b);
}

/* --- drafts ------------------------------------------------------------------------------------- */

#define D7 "\"$schema\":\"http://json-schema.org/draft-07/schema#\","

static void drafts_are_kept_apart(void **state)
{
    static const struct {
        const char *schema, *instance;
        bool ok;
    } cases[] = {
        {"{" D7 "\"items\":[{\"type\":\"null\"}],\"additionalItems\":false}", "[null]", true},
        {"{" D7 "\"items\":[{\"type\":\"null\"}],\"additionalItems\":false}", "[null,1]", false},
        {"{" D7 "\"prefixItems\":[{\"type\":\"null\"}]}", "[1]", true},
        {"{" D7 "\"$ref\":\"#/definitions/a\",\"type\":\"null\",\"definitions\":{\"a\":{}}}", "1",
         true},
        {"{\"$ref\":\"#/$defs/a\",\"type\":\"null\",\"$defs\":{\"a\":{}}}", "1", false},
        {"{" D7 "\"dependencies\":{\"a\":[\"b\"]}}", "{\"a\":1}", false},
        {"{" D7 "\"dependentRequired\":{\"a\":[\"b\"]}}", "{\"a\":1}", true},
        {"{" D7 "\"unevaluatedProperties\":false}", "{\"a\":1}", true},
        {"{" D7 "\"contains\":{},\"minContains\":2}", "[1]", true},
        {"{\"format\":\"ipv4\"}", "\"x\"", true},
        /* an embedded resource has its own draft */
        {"{\"$defs\":{\"a\":{\"$id\":\"x:/a\"," D7 "\"additionalItems\":false,"
         "\"dependencies\":{}}},\"$ref\":\"x:/a\"}",
         "[1]", true},
    };

    for (size_t i = 0; i < countof(cases); i++)
        if (check(*state, cases[i].schema, cases[i].instance) != cases[i].ok)
            fail_msg("%s %s", cases[i].schema, cases[i].instance);
}

static void options_choose_draft_and_formats(void **state)
{
    struct fixture *f = *state;

    f->options.draft = JSCHEMA_DRAFT_07;
    assert_false(check(f, "{\"items\":[{\"type\":\"null\"}]}", "[1]"));
    f->options.has_formats = true;
    assert_false(check(f, "{\"format\":\"ipv4\"}", "\"x\""));
    assert_string_equal(f->list[0].keyword, "format");
    assert_true(check(f, "{\"format\":\"no-such\"}", "\"x\""));
}

/* --- faults ------------------------------------------------------------------------------------- */

static bool find(void *ctx, str uri, str *ret_text)
{
    static const char *const documents[][2] = {
        {"test:/other", "{\"$defs\":{\"n\":{\"type\":\"null\"}}}"},
        {"test:/bad", "{\"type\":7}"},
        {"test:/broken", "{"},
        {"test:/back", "{\"$ref\":\"root\"}"},
        {"test:/vocabulary", "{\"$id\":\"test:/vocabulary\",\"$vocabulary\":{\"x:/y\":true}}"},
        {"test:/self-meta", "{\"$schema\":\"test:/self-meta\"}"},
    };

    (void)ctx;
    for (size_t i = 0; i < countof(documents); i++)
        if (str_eq(uri, str_of(documents[i][0]))) {
            *ret_text = str_of(documents[i][1]);
            return true;
        }
    return false;
}

#define CIRCLE "applies itself to the same value without end"

static void faults_say_where_and_why(void **state)
{
    static const struct {
        const char *schema, *pointer, *text;
    } cases[] = {
        {"{", "", NULL},
        {"7", "", "a schema must be an object or a boolean"},
        {"{\"type\":\"strin\"}", "/type", NULL},
        {"{\"properties\":{\"a/b\":{\"minLength\":-1}}}", "/properties/a~1b/minLength",
         "must be at least 0"},
        {"{\"properties\":{\"a\":{\"minLength\":1.5}}}", "/properties/a/minLength",
         "must be integer, is a number"},
        {"{\"items\":[{}]}", "/items", "must be boolean or object, is an array"},
        {"{\"allOf\":[]}", "/allOf", NULL},
        {"{\"allOf\":[{},{\"pattern\":\"(\"}]}", "/allOf/1/pattern", NULL},
        {"{\"patternProperties\":{\"[\":{}}}", "/patternProperties", NULL},
        {"{\"multipleOf\":0}", "/multipleOf", "must be more than 0"},
        {"{\"required\":\"a\"}", "/required", NULL},
        {"{\"required\":[\"a\",\"a\"]}", "/required", NULL},
        {"{\"$ref\":\"#/nowhere\"}", "/$ref", "#/nowhere leads to nothing"},
        {"{\"items\":{\"$ref\":\"#nowhere\"}}", "/items/$ref", "#nowhere leads to nothing"},
        {"{\"$ref\":\"gone\"}", "/$ref", "gone leads to no known document"},
        {"{\"$ref\":\"https://example.org/x\"}", "/$ref", NULL},
        {"{\"$ref\":\"#/$defs/a/enum/0\",\"$defs\":{\"a\":{\"enum\":[7]}}}", "/$defs/a/enum/0",
         "a schema must be an object or a boolean"},
        {"{\"x\":{\"y\":{\"type\":9}},\"$ref\":\"#/x/y\"}", "/x/y/type", "names no type"},
        {"{\"$ref\":\"#\"}", "", CIRCLE},
        {"{\"$defs\":{\"a\":{\"allOf\":[{\"$ref\":\"#/$defs/b\"}]},\"b\":{\"not\":{\"$ref\":"
         "\"#/$defs/a\"}}},\"$ref\":\"#/$defs/a\"}",
         "/$defs/a", CIRCLE},
        {"{\"if\":{\"$ref\":\"#\"}}", "", CIRCLE},
        {"{\"dependentSchemas\":{\"a\":{\"$ref\":\"#\"}}}", "", CIRCLE},
        {"{\"$schema\":\"http://json-schema.org/draft-04/schema#\"}", "/$schema", NULL},
        {"{\"$schema\":7}", "/$schema", NULL},
        {"{\"$schema\":\"test:/vocabulary\"}", "/$schema", "needs the unknown vocabulary x:/y"},
        {"{\"$schema\":\"test:/self-meta\"}", "/$schema", NULL},
        {"{\"$id\":7}", "/$id", NULL},
        {"{\"$anchor\":\"1\"}", "/$anchor", NULL},
    };
    struct fixture *f = *state;

    f->options.find = find;
    for (size_t i = 0; i < countof(cases); i++) {
        struct jschema *s;
        if (jschema_compile(&s, str_of(cases[i].schema), S("test:/root"), &f->options, &f->fault))
            fail_msg("accepted: %s", cases[i].schema);
        if (strcmp(f->fault.pointer, cases[i].pointer) != 0 || !f->fault.text[0] ||
            (cases[i].text && strcmp(f->fault.text, cases[i].text) != 0))
            fail_msg("%s: %s: %s", cases[i].schema, f->fault.pointer, f->fault.text);
        assert_string_equal(f->fault.uri, "test:/root");
    }
}

static void faults_of_other_documents_name_them(void **state)
{
    static const char *const cases[][3] = {{"{\"$ref\":\"bad\"}", "test:/bad", "/type"},
                                           {"{\"$ref\":\"broken\"}", "test:/broken", ""},
                                           {"{\"$ref\":\"back\"}", "test:/root", ""}};
    struct fixture *f = *state;
    struct jschema *s;

    f->options.find = find;
    assert_true(check(f, "{\"$ref\":\"other#/$defs/n\"}", "null"));
    assert_false(check(f, "{\"$ref\":\"other#/$defs/n\"}", "1"));
    for (size_t i = 0; i < countof(cases); i++) {
        assert_false(
            jschema_compile(&s, str_of(cases[i][0]), S("test:/root"), &f->options, &f->fault));
        assert_string_equal(f->fault.uri, cases[i][1]);
        assert_string_equal(f->fault.pointer, cases[i][2]);
    }
    assert_string_equal(f->fault.text, CIRCLE);
}

/* --- hostile schemas and values ------------------------------------------------------------------ */

static double ms_of_thread(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static bool compiles(struct fixture *f, struct buf *text)
{
    struct jschema *s = NULL;
    bool ok = jschema_compile(&s, buf_str(text), S(""), &f->options, &f->fault);
    jschema_free(s);
    buf_deinit(text);
    return ok;
}

static void compiling_is_bounded(void **state)
{
    struct fixture *f = *state;
    struct buf b;

    buf_init(&b, 64 << 20); /* nested too deep for JSON */
    repeat(&b, "{\"not\":", 200);
    repeat(&b, "{}", 1);
    repeat(&b, "}", 200);
    assert_false(compiles(f, &b));

    buf_init(&b, 64 << 20); /* too many schemas */
    buf_addz(&b, "{\"allOf\":[true");
    repeat(&b, ",{}", 70000);
    buf_addz(&b, "]}");
    assert_false(compiles(f, &b));

    buf_init(&b, 64 << 20); /* too many patterns */
    buf_addz(&b, "{\"patternProperties\":{\"x\":{}");
    for (unsigned i = 0; i < 5000; i++)
        buf_addf(&b, ",\"x%u\":{}", i);
    buf_addz(&b, "}}");
    assert_false(compiles(f, &b));

    f->options.max_bytes = 1 << 16; /* too large */
    buf_init(&b, 64 << 20);
    buf_addz(&b, "{\"enum\":[0");
    repeat(&b, ",0", 30000);
    buf_addz(&b, "]}");
    assert_false(compiles(f, &b));
    assert_string_equal(f->fault.text, "the schema needs more memory than allowed");
}

static void a_long_chain_of_references_is_caught(void **state)
{
    struct fixture *f = *state;
    struct buf b;

    buf_init(&b, 64 << 20);
    buf_addz(&b, "{\"$ref\":\"#/$defs/a0\",\"$defs\":{\"x\":{}");
    for (unsigned i = 0; i < 5000; i++)
        buf_addf(&b, ",\"a%u\":{\"$ref\":\"#/$defs/a%u\"}", i, i + 1);
    buf_addz(&b, ",\"a5000\":{\"type\":\"null\"}}}");
    struct jschema *s = compile(f, buf_str(&b));
    assert_false(jschema_check(s, value(f, S("null")), f->a, &f->errors));
    assert_str(f->list[0].message, "too complex");
    assert_true(f->errors.has_more);
    jschema_free(s);
    buf_deinit(&b);
}

/* Each level doubles: 2^40 ways without a budget. */
static void exponential_schemas_end(void **state)
{
    struct fixture *f = *state;
    struct buf b;

    buf_init(&b, 1 << 20);
    buf_addz(&b, "{\"$ref\":\"#/$defs/a0\",\"$defs\":{\"x\":{}");
    for (unsigned i = 0; i < 40; i++)
        buf_addf(&b, ",\"a%u\":{\"allOf\":[{\"$ref\":\"#/$defs/a%u\"},{\"$ref\":\"#/$defs/a%u\"}]}",
                 i, i + 1, i + 1);
    buf_addz(&b, ",\"a40\":{\"type\":\"integer\"}}}");
    struct jschema *s = compile(f, buf_str(&b));
    double from = ms_of_thread();
    assert_false(jschema_check(s, value(f, S("7")), f->a, &f->errors));
    assert_true(ms_of_thread() - from < 3000);
    assert_int_equal(f->errors.count, 1);
    assert_str(f->list[0].message, "too complex");
    jschema_free(s);
    buf_deinit(&b);
}

/* `not` must not turn giving up into agreement. */
static void giving_up_is_no_agreement(void **state)
{
    static const char *const schemas[] = {
        "{\"items\":{\"not\":{\"pattern\":\"^(a+)+$\"}}}",
        "{\"items\":{\"if\":{\"pattern\":\"^(a+)+$\"},\"then\":false}}",
        "{\"items\":{\"oneOf\":[{\"pattern\":\"^(a+)+$\"},true]}}",
        "{\"items\":{\"anyOf\":[{\"pattern\":\"^(a+)+$\"},true]}}",
        "{\"contains\":{\"pattern\":\"^(a+)+$\"},\"minContains\":0,\"maxContains\":1}"};
    struct fixture *f = *state;

    for (size_t i = 0; i < countof(schemas); i++) {
        assert_false(check(f, schemas[i], "[\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\"]"));
        assert_int_equal(f->errors.count, 1);
        assert_str(f->list[0].path, "/0");
        assert_str(f->list[0].message, "pattern took too long");
    }
    assert_false(check(f, "{\"patternProperties\":{\"^(a+)+$\":{}}}",
                       "{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\":1}"));
}

static void recursion_goes_as_deep_as_json(void **state)
{
    struct fixture *f = *state;
    struct buf b;
    struct jschema *s =
        compile(f, S("{\"$id\":\"x:/t\",\"$dynamicAnchor\":\"n\",\"allOf\":[{\"$ref\":\"#/$defs/a\""
                     "}],\"$defs\":{\"a\":{\"type\":[\"array\",\"null\"],\"items\":"
                     "{\"$dynamicRef\":\"#n\"}}}}"));

    for (int is_good = 1; is_good >= 0; is_good--) {
        buf_init(&b, 1 << 20);
        repeat(&b, "[", JSON_DEPTH_MAX);
        buf_addz(&b, is_good ? "null" : "1");
        repeat(&b, "]", JSON_DEPTH_MAX);
        assert_int_equal(jschema_check(s, value(f, buf_str(&b)), f->a, &f->errors), is_good);
        assert_int_equal(f->errors.count, !is_good);
        buf_deinit(&b);
    }
    assert_int_equal(f->list[0].path.len, 2 * JSON_DEPTH_MAX);
    jschema_free(s);
}

static void large_arrays_are_not_quadratic(void **state)
{
    struct fixture *f = *state;
    struct jschema *s = compile(f, S("{\"uniqueItems\":true}"));
    struct buf b;

    for (int has_twice = 0; has_twice < 2; has_twice++) {
        buf_init(&b, 64 << 20);
        buf_addz(&b, "[{\"a\":-1}");
        for (unsigned i = 0; i < 50000; i++)
            buf_addf(&b, ",{\"a\":%u,\"b\":[%u.5]}", i, i);
        buf_addz(&b, has_twice ? ",{\"b\":[77.50],\"a\":77.0}]" : "]");
        const json_value *v = value(f, buf_str(&b));
        double from = ms_of_thread();
        assert_int_equal(jschema_check(s, v, f->a, &f->errors), !has_twice);
        assert_true(ms_of_thread() - from < 2000);
        buf_deinit(&b);
    }
    assert_str(f->list[0].message, "items 78 and 50001 are equal");
    jschema_free(s);
}

static void large_objects_under_unevaluated_are_seen(void **state)
{
    struct fixture *f = *state;
    struct buf b;
    struct jschema *s =
        compile(f, S("{\"anyOf\":[{\"properties\":{\"p7\":{}}},{\"patternProperties\":{\"^p\":{}}}]"
                     ",\"unevaluatedProperties\":false}"));

    for (int has_other = 0; has_other < 2; has_other++) {
        buf_init(&b, 1 << 20);
        buf_addz(&b, "{\"p\":0");
        for (unsigned i = 0; i < 300; i++)
            buf_addf(&b, ",\"p%u\":1", i);
        buf_addz(&b, has_other ? ",\"q\":1}" : "}");
        assert_int_equal(jschema_check(s, value(f, buf_str(&b)), f->a, &f->errors), !has_other);
        buf_deinit(&b);
    }
    assert_str(f->list[0].path, "/q");
    jschema_free(s);
}

/* The happy path of the usual schema takes nothing from the arena. */
static void agreement_costs_no_memory(void **state)
{
    struct fixture *f = *state;
    struct jschema *s = compile(
        f, S("{\"type\":\"object\",\"required\":[\"a\"],\"properties\":{\"a\":{\"type\":\"integer\""
             ",\"minimum\":1},\"b\":{\"type\":\"array\",\"items\":{\"enum\":[\"x\",\"y\"]}},\"c\":"
             "{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"string\",\"pattern\":\"^k-\"}]}},"
             "\"unevaluatedProperties\":false}"));
    const json_value *v = value(f, S("{\"a\":2,\"b\":[\"x\",\"y\",\"x\"],\"c\":\"k-1\"}"));

    char *before = arena_alloc(f->a, 16);
    for (int i = 0; i < 10; i++)
        assert_true(jschema_check(s, v, f->a, &f->errors));
    assert_ptr_equal(arena_alloc(f->a, 16), before + 16);
    jschema_free(s);
}

/* What was compiled needs neither the text nor the answers of find. */
static void a_schema_owns_what_it_needs(void **state)
{
    struct fixture *f = *state;
    char text[] = "{\"enum\":[\"first\",\"second\"],\"pattern\":\"^[f-s]\"}";
    struct jschema *s = compile(f, str_of(text));

    memset(text, 'x', sizeof text);
    assert_true(jschema_check(s, value(f, S("\"second\"")), f->a, NULL));
    assert_false(jschema_check(s, value(f, S("\"first2\"")), f->a, &f->errors));
    assert_str(f->list[0].message, "must be one of \"first\", \"second\"");
    jschema_free(s);
    jschema_free(NULL);
}

#define F(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        F(names_path_keyword_and_reason),
        F(tells_all_that_is_wrong),
        F(the_list_is_bounded),
        F(explains_the_alternative_that_was_meant),
        F(messages_are_cut_between_characters),
        F(drafts_are_kept_apart),
        F(options_choose_draft_and_formats),
        F(faults_say_where_and_why),
        F(faults_of_other_documents_name_them),
        F(compiling_is_bounded),
        F(a_long_chain_of_references_is_caught),
        F(exponential_schemas_end),
        F(giving_up_is_no_agreement),
        F(recursion_goes_as_deep_as_json),
        F(large_arrays_are_not_quadratic),
        F(large_objects_under_unevaluated_are_seen),
        F(agreement_costs_no_memory),
        F(a_schema_owns_what_it_needs),
    };
    return RUN(tests);
}
