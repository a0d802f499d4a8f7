#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/yaml.h"

#include <math.h>
#include <stdlib.h>

static void assert_json(str text, const char *json)
{
    CLEANUP(diag_deinit) struct diag d;
    CLEANUP(buf_deinit) struct buf b;

    diag_init(&d);
    buf_init(&b, 1 << 20);
    CLEANUP(yaml_freep) struct yaml_node *root = yaml_parse(text, "t.yaml", &d);
    if (!root)
        fail_msg("%.*s: %s", STR_ARG(text), d.list[0].text);
    yaml_to_json(root, &b);
    if (!str_eq(buf_str(&b), str_of(json)))
        fail_msg("%.*s\n is  %.*s\n not %s", STR_ARG(text), STR_ARG(buf_str(&b)), json);
}

static void assert_refused(str text, const char *id, unsigned line, unsigned column)
{
    CLEANUP(diag_deinit) struct diag d;

    diag_init(&d);
    assert_null(yaml_parse(text, "t.yaml", &d));
    assert_true(d.errors > 0);
    if (strcmp(d.list[0].id, id) || d.list[0].line != line || d.list[0].column != column)
        fail_msg("%.*s\n is %s:%u:%u %s", (int)(text.len < 200 ? text.len : 200), text.ptr,
                 d.list[0].id, d.list[0].line, d.list[0].column, d.list[0].text);
    assert_string_equal(d.list[0].file, "t.yaml");
    assert_null(strstr(d.list[0].text, "memory-@"));
}

static void plain_scalars_follow_the_core_schema_of_yaml_1_2(void **state)
{
    static const struct {
        const char *text;
        enum yaml_type type;
        double number;
    } rows[] = {
        {"~", YAML_NULL, 0},
        {"null", YAML_NULL, 0},
        {"NULL", YAML_NULL, 0},
        {"nULL", YAML_STRING, 0},
        {"true", YAML_BOOL, 0},
        {"False", YAML_BOOL, 0},
        {"yes", YAML_STRING, 0},
        {"no", YAML_STRING, 0},
        {"on", YAML_STRING, 0},
        {"off", YAML_STRING, 0},
        {"tRUE", YAML_STRING, 0},
        {"0", YAML_INT, 0},
        {"-12", YAML_INT, -12},
        {"+12", YAML_INT, 12},
        {"012", YAML_INT, 12},
        {"0x1F", YAML_INT, 31},
        {"0xg", YAML_STRING, 0},
        {"0x", YAML_STRING, 0},
        {"0o17", YAML_INT, 15},
        {"0o8", YAML_STRING, 0},
        {"-0x1", YAML_STRING, 0},
        {"1_000", YAML_STRING, 0},
        {"0b1", YAML_STRING, 0},
        {"1.5", YAML_FLOAT, 1.5},
        {".5", YAML_FLOAT, .5},
        {"1.", YAML_FLOAT, 1},
        {"-1e3", YAML_FLOAT, -1000},
        {"1e", YAML_STRING, 0},
        {".", YAML_STRING, 0},
        {"1.2.3", YAML_STRING, 0},
        {"1e+2", YAML_FLOAT, 100},
        {"+", YAML_STRING, 0},
        {"2001-01-01", YAML_STRING, 0},
        {"12:30", YAML_STRING, 0},
        {"0.1", YAML_FLOAT, .1},
        {"9223372036854775807", YAML_INT, 9223372036854775807.0},
        {"9223372036854775808", YAML_FLOAT, 9223372036854775808.0},
        {".inf", YAML_FLOAT, (double)INFINITY},
        {"-.Inf", YAML_FLOAT, -(double)INFINITY},
        {"'12'", YAML_STRING, 0},
        {"\"true\"", YAML_STRING, 0},
        {"\"\"", YAML_STRING, 0},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(diag_deinit) struct diag d;
        CLEANUP(buf_deinit) struct buf b;
        diag_init(&d);
        buf_init(&b, 1000);
        buf_addf(&b, "a: %s\n", rows[i].text);
        CLEANUP(yaml_freep) struct yaml_node *root = yaml_parse(buf_str(&b), "t.yaml", &d);
        const struct yaml_node *n = yaml_get(root, S("a"));
        assert_non_null(n);
        if (n->type != rows[i].type)
            fail_msg("%s is %s", rows[i].text, yaml_type_name(n->type));
        if (n->type == YAML_INT || n->type == YAML_FLOAT)
            assert_true(n->number >= rows[i].number && n->number <= rows[i].number);
        assert_int_equal(n->text.ptr[n->text.len], 0);
    }
}

static void trees_become_json_in_document_order(void **state)
{
    static const char *const rows[][2] = {
        {"", "{}"},
        {"# nothing\n", "{}"},
        {"---\n", "{}"},
        {"~", "null"},
        {"b: 1\na: [x, 2, {c: }]\n", "{\"b\":1,\"a\":[\"x\",2,{\"c\":null}]}"},
        {"- |\n  two\n  lines\n- >-\n  one\n  line\n", "[\"two\\nlines\\n\",\"one line\"]"},
        {"[0x1F, +1, .5, 1., 012, 1e3, 0.10]", "[31,1,0.5,1,12,1e3,0.10]"},
        {"[.inf, .nan]", "[null,null]"},
        {"[123456789012345678901234567890]", "[123456789012345678901234567890]"},
        {"a: !!str 12\nb: !!float 1\nc: ! 1\nd: !!map {}\ne: !!int 0x10",
         "{\"a\":\"12\",\"b\":1,\"c\":\"1\",\"d\":{},\"e\":16}"},
        {"\xEF\xBB\xBF"
         "a: 1",
         "{\"a\":1}"},
        {"['it''s', '''''''''''''''''''''', '']", "[\"it's\",\"''''''''''\",\"\"]"},
        {"a: 'b  \n  c\n\n  d  e ''\n  f'", "{\"a\":\"b c\\nd  e ' f\"}"},
        {"\xEF\xBB\xBF"
         "a: 'b'",
         "{\"a\":\"b\"}"},
        {"1: a\ntrue: b\n", "{\"1\":\"a\",\"true\":\"b\"}"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++)
        assert_json(str_of(rows[i][0]), rows[i][1]);
}

static void json_is_read_by_the_same_function(void **state)
{
    (void)state;
    assert_json(S("{\n\t\"a\":[1,\n\t\t-2.5e3,true,null],"
                  "\"b\":{\"c\":\"\\u00e4\\/\\ud83d\\ude00\"}\n}"),
                "{\"a\":[1,-2.5e3,true,null],\"b\":{\"c\":\"\xC3\xA4/\xF0\x9F\x98\x80\"}}");
}

static void aliases_and_merge_keys_are_applied(void **state)
{
    static const char *const rows[][2] = {
        {"a: &x 1\nb: *x", "{\"a\":1,\"b\":1}"},
        {"a: &x [1]\nb: *x\nc: &x 2\nd: *x", "{\"a\":[1],\"b\":[1],\"c\":2,\"d\":2}"},
        {"a: &x {k: 1, l: 2}\nb: {<<: *x, k: 3}",
         "{\"a\":{\"k\":1,\"l\":2},\"b\":{\"k\":3,\"l\":2}}"},
        {"b: {<<: [{k: 1}, {k: 2, l: 2}], m: 3}", "{\"b\":{\"m\":3,\"k\":1,\"l\":2}}"},
        {"\"<<\": 1", "{\"<<\":1}"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++)
        assert_json(str_of(rows[i][0]), rows[i][1]);
}

static void every_node_knows_its_line_and_column(void **state)
{
    static const str text = S("a: 1\nlist:\n  - \"quoted\"\n  - {k: 'v'}\nempty:\n"
                              "\xC3\xA4\xC3\xA4: x\n");
    CLEANUP(diag_deinit) struct diag d;

    (void)state;
    diag_init(&d);
    CLEANUP(yaml_freep) struct yaml_node *root = yaml_parse(text, "t.yaml", &d);
    const struct yaml_node *list = yaml_get(root, S("list")), *k;
    assert_int_equal(list->key_line * 100 + list->key_column, 201);
    assert_int_equal(list->first->line * 100 + list->first->column, 305);
    k = yaml_get(list->first->next, S("k"));
    assert_int_equal(k->key_line * 100 + k->key_column, 406);
    assert_int_equal(k->line * 100 + k->column, 409);
    k = yaml_get(root, S("empty")); // stands where its key does
    assert_int_equal(k->line * 100 + k->column, 501);
    k = yaml_get(root, S("\xC3\xA4\xC3\xA4"));
    assert_int_equal(k->line * 100 + k->column, 605); // characters, not bytes
    assert_int_equal(yaml_key_at(k, "f").column, 1);
    assert_int_equal(root->count, 4);
    assert_null(yaml_get(root, S("none")));
    assert_null(yaml_get(k, S("x")));
}

static void what_the_header_says_is_refused_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *text, *id;
        unsigned line, column;
    } rows[] = {
        {"a: [1, 2\nb: 3\n", "yaml.syntax", 3, 1},
        {"a: b: c", "yaml.syntax", 1, 5},
        {"a:\n\t- b", "yaml.syntax", 2, 1},
        {"a: \"\\uD800\"", "yaml.syntax", 1, 5},
        {"a: 1\nb: 2\na: 3\n", "yaml.duplicate", 3, 1},
        {"{\"a\": {\"b\": 1, \"b\": 2}}", "yaml.duplicate", 1, 16},
        {"? [x]\n: y", "yaml.explicit_key", 1, 1},
        {"? {x: 1}\n: y", "yaml.explicit_key", 1, 1},
        {"a:\n  - ? b", "yaml.explicit_key", 2, 5},
        {"a: 1\n---\nb: 1\n", "yaml.documents", 2, 1},
        {"a: &x [1, *x]", "yaml.alias", 1, 11},
        {"a: &x {<<: *x}", "yaml.alias", 1, 12},
        {"a: *nobody", "yaml.alias", 1, 4},
        {"a: {<<: 1}", "yaml.merge", 1, 5},
        {"a: {<<: [1]}", "yaml.merge", 1, 5},
        {"a: !thing 1", "yaml.tag", 1, 11},
        {"a: !!int x", "yaml.tag", 1, 10},
        {"a: !!seq {}", "yaml.tag", 1, 10},
        {"a: 1\nb: \xFF", "yaml.utf8", 2, 4},
        {"\xC3\xA4\xC3", "yaml.utf8", 1, 2},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++)
        assert_refused(str_of(rows[i].text), rows[i].id, rows[i].line, rows[i].column);
    assert_refused((str){"a: 1\nb: x\0y", 11}, "yaml.nul", 2, 5);
}

static void all_duplicates_are_told_at_once(void **state)
{
    CLEANUP(diag_deinit) struct diag d;

    (void)state;
    diag_init(&d);
    assert_null(yaml_parse(S("a: 1\na: 2\nb: {c: 1, c: 2}\n"), "t.yaml", &d));
    assert_int_equal(d.errors, 2);
}

static void depth_ends_at_64(void **state)
{
    CLEANUP(buf_deinit) struct buf b;

    (void)state;
    buf_init(&b, 1 << 20);
    for (int depth = 64; depth <= 65; depth++) {
        CLEANUP(diag_deinit) struct diag d;
        diag_init(&d);
        buf_clear(&b);
        for (int i = 0; i < depth; i++)
            buf_addc(&b, '[');
        for (int i = 0; i < depth; i++)
            buf_addc(&b, ']');
        CLEANUP(yaml_freep) struct yaml_node *root = yaml_parse(buf_str(&b), "t.yaml", &d);
        assert_int_equal(root != NULL, depth == 64);
    }
    assert_refused(S("a: &a [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n"
                     "b: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n"),
                   "yaml.depth", 2, 36);
}

static void an_alias_bomb_is_refused(void **state)
{
    CLEANUP(buf_deinit) struct buf b;
    CLEANUP(diag_deinit) struct diag d;

    (void)state;
    diag_init(&d);
    buf_init(&b, 1 << 20);
    buf_addz(&b, "a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 10; i++) {
        buf_addf(&b, "a%d: &a%d [", i, i);
        for (int k = 0; k < 9; k++)
            buf_addf(&b, "%s*a%d", k ? "," : "", i - 1);
        buf_addz(&b, "]\n");
    }
    assert_null(yaml_parse(buf_str(&b), "t.yaml", &d));
    assert_string_equal(d.list[0].id, "yaml.alias");
}

static void a_text_over_1_mib_is_refused(void **state)
{
    size_t size = (1 << 20) + 1;
    char *text = malloc(size);
    CLEANUP(diag_deinit) struct diag d;

    (void)state;
    diag_init(&d);
    memset(text, 'x', size);
    assert_null(yaml_parse((str){text, size}, "t.yaml", &d));
    assert_string_equal(d.list[0].id, "yaml.size");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_scalars_follow_the_core_schema_of_yaml_1_2),
        cmocka_unit_test(trees_become_json_in_document_order),
        cmocka_unit_test(json_is_read_by_the_same_function),
        cmocka_unit_test(aliases_and_merge_keys_are_applied),
        cmocka_unit_test(every_node_knows_its_line_and_column),
        cmocka_unit_test(what_the_header_says_is_refused_is_refused_with_its_place),
        cmocka_unit_test(all_duplicates_are_told_at_once),
        cmocka_unit_test(depth_ends_at_64),
        cmocka_unit_test(an_alias_bomb_is_refused),
        cmocka_unit_test(a_text_over_1_mib_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
