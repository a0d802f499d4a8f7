#include "unit.h"
#include "base/json.h"

struct fixture {
    struct arena_pool pool;
    struct arena *a;
    struct json doc;
    struct json_fault fault;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->a = arena_new(&f->pool, 64 << 20);
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

static bool parse(struct fixture *f, const char *z)
{
    f->fault = (struct json_fault){0};
    bool ok = json_parse(&f->doc, f->a, str_of(z), &f->fault);
    struct json_fault other = {0};
    assert_int_equal(json_check(f->a, str_of(z), &other), ok); /* both say the same */
    if (!ok)
        assert_int_equal(other.kind, f->fault.kind);
    return ok;
}

static void accepts_what_rfc_8259_allows(void **state)
{
    static const char *const good[] = {"{}",
                                       "[]",
                                       "null",
                                       "true",
                                       "false",
                                       "0",
                                       "-0",
                                       "1e5",
                                       "-1.5E-3",
                                       "\"\"",
                                       " \t\r\n[ 1 , 2 ]\n",
                                       "{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":2}]}",
                                       "\"\\u0041\\ud83d\\ude00\\n\\/\"",
                                       "\"\xf0\x9f\x98\x80\"",
                                       "{\"\":1}",
                                       "123456789012345678901234567890"};

    for (size_t i = 0; i < countof(good); i++)
        if (!parse(*state, good[i]))
            fail_msg("refused: %s", good[i]);
}

static void refuses_with_the_right_reason(void **state)
{
    static const struct {
        const char *text;
        enum json_fault_kind kind;
    } bad[] = {
        {"", JSON_FAULT_SYNTAX},
        {"{", JSON_FAULT_SYNTAX},
        {"[1,]", JSON_FAULT_SYNTAX},
        {"{\"a\":1,}", JSON_FAULT_SYNTAX},
        {"{a:1}", JSON_FAULT_SYNTAX},
        {"'a'", JSON_FAULT_SYNTAX},
        {"01", JSON_FAULT_SYNTAX},
        {"+1", JSON_FAULT_SYNTAX},
        {".5", JSON_FAULT_SYNTAX},
        {"1.", JSON_FAULT_SYNTAX},
        {"NaN", JSON_FAULT_SYNTAX},
        {"Infinity", JSON_FAULT_SYNTAX},
        {"{} {}", JSON_FAULT_SYNTAX},
        {"[] // c", JSON_FAULT_SYNTAX},
        {"\"\t\"", JSON_FAULT_SYNTAX},
        {"\"\\x\"", JSON_FAULT_SYNTAX},
        {"\"\\ud800\"", JSON_FAULT_SYNTAX},
        {"\"\\udc00\\ud800\"", JSON_FAULT_SYNTAX},
        {"nul", JSON_FAULT_SYNTAX},
        {"\"\xff\"", JSON_FAULT_UTF8},
        {"\"\xc0\x80\"", JSON_FAULT_UTF8},
        {"\"\xed\xa0\x80\"", JSON_FAULT_UTF8},
        {"\"\xf4\x90\x80\x80\"", JSON_FAULT_UTF8},
        {"\"\xc3\"", JSON_FAULT_UTF8},
        {"{\"a\":1,\"a\":2}", JSON_FAULT_DUPLICATE},
        {"{\"a\":1,\"\\u0061\":2}", JSON_FAULT_DUPLICATE},
        {"[{\"x\":{\"k\":1,\"j\":2,\"k\":3}}]", JSON_FAULT_DUPLICATE},
        {"{\"\":1,\"\":2}", JSON_FAULT_DUPLICATE},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < countof(bad); i++) {
        if (parse(f, bad[i].text))
            fail_msg("accepted: %s", bad[i].text);
        if (f->fault.kind != bad[i].kind)
            fail_msg("%s: %s", bad[i].text, json_fault_reason(f->fault.kind));
        assert_non_null(f->fault.text);
        assert_true(f->fault.offset <= strlen(bad[i].text));
    }
    assert_false(parse(f, "\xef\xbb\xbf{}")); /* BOM */
}

static void nested(char *out, size_t depth, bool is_object)
{
    for (size_t i = 0; i < depth; i++)
        out += sprintf(out, is_object ? "{\"a\":" : "[");
    out += sprintf(out, "1");
    for (size_t i = 0; i < depth; i++)
        *out++ = is_object ? '}' : ']';
    *out = 0;
}

static void depth_128_passes_and_129_does_not(void **state)
{
    static char text[1 << 20];
    struct fixture *f = *state;

    for (int is_object = 0; is_object < 2; is_object++) {
        nested(text, JSON_DEPTH_MAX, is_object);
        assert_true(parse(f, text));
        nested(text, JSON_DEPTH_MAX + 1, is_object);
        assert_false(parse(f, text));
        assert_int_equal(f->fault.kind, JSON_FAULT_DEPTH);
        nested(text, 100000, is_object);
        assert_false(parse(f, text));
        assert_int_equal(f->fault.kind, JSON_FAULT_DEPTH);
    }
}

static void duplicates_are_found_in_big_objects(void **state)
{
    struct fixture *f = *state;
    struct buf b;

    for (int with_duplicate = 0; with_duplicate < 2; with_duplicate++) {
        buf_init(&b, 1 << 24);
        buf_addz(&b, "{");
        for (unsigned i = 0; i < 20000; i++)
            buf_addf(&b, "%s\"key-%u\":%u", i ? "," : "", i, i);
        if (with_duplicate)
            buf_addz(&b, ",\"key-7777\":1");
        buf_addz(&b, "}");
        bool ok = json_parse(&f->doc, f->a, buf_str(&b), &f->fault);
        assert_int_equal(ok, !with_duplicate);
        if (with_duplicate) {
            assert_int_equal(f->fault.kind, JSON_FAULT_DUPLICATE);
        } else {
            int64_t n;
            assert_int_equal(json_size(f->doc.root), 20000);
            assert_true(json_is_integer(json_get(f->doc.root, S("key-19999")), &n) && n == 19999);
        }
        buf_deinit(&b);
    }
}

static void raw_spans_are_the_bytes_of_the_text(void **state)
{
    static const char text[] =
        " { \"a\" : 1 ,\n\"b\\\"\\u00e4\" : { \"x\" : [ 1 , \"}\\\"]\" ] } , "
        "\"c\":\"s\\\\\" ,\"d\":\t-1.50e+2\t, \"e\":null, \"\":[] } ";
    static const char *const want[] = {
        "1", "{ \"x\" : [ 1 , \"}\\\"]\" ] }", "\"s\\\\\"", "-1.50e+2", "null", "[]"};
    static const char *const keys[] = {"a", "b\"\xc3\xa4", "c", "d", "e", ""};
    struct fixture *f = *state;
    size_t n = 0;

    assert_true(parse(f, text));
    for (struct json_iter i = json_iter(f->doc.root); json_next(&i); n++) {
        assert_str(i.key, keys[n]);
        str raw = json_raw(&f->doc, f->doc.text, &i);
        assert_str(raw, want[n]);
        assert_true(raw.ptr >= text && raw.ptr + raw.len <= text + sizeof text);
        if (n == 1)
            for (struct json_iter k = json_iter(i.value); json_next(&k);) {
                assert_str(k.key, "x");
                assert_str(json_raw(&f->doc, raw, &k), "[ 1 , \"}\\\"]\" ]");
            }
    }
    assert_int_equal(n, countof(want));
}

static void values_are_typed(void **state)
{
    struct fixture *f = *state;
    int64_t n;
    double d;
    bool b;

    assert_true(parse(f, "{\"i\":-9223372036854775808,\"u\":18446744073709551615,\"f\":1.5,"
                         "\"t\":true,\"n\":null,\"s\":\"x\",\"w\":1.0}"));
    const json_value *r = f->doc.root;
    assert_true(json_is_integer(json_get(r, S("i")), &n) && n == INT64_MIN);
    assert_false(json_is_integer(json_get(r, S("u")), &n));
    assert_false(json_is_integer(json_get(r, S("f")), &n));
    assert_true(json_number(json_get(r, S("f")), &d) && d == 1.5);
    assert_true(json_is_bool(json_get(r, S("t")), &b) && b);
    assert_true(json_is_null(json_get(r, S("n"))));
    assert_null(json_have(r, S("n")));
    assert_non_null(json_have(r, S("s")));
    assert_null(json_get(r, S("none")));
    assert_str(json_string(json_get(r, S("s"))), "x");
    assert_int_equal(json_string(json_get(r, S("i"))).len, 0);
    assert_false(json_is_object(NULL) || json_is_array(NULL) || json_is_string(NULL) ||
                 json_is_null(NULL) || json_is_integer(NULL, &n) || json_number(NULL, &d));
    assert_int_equal(json_size(NULL), 0);
    assert_null(json_get(NULL, S("a")));
    assert_null(json_get(json_get(r, S("i")), S("a")));
}

static void written_text_parses_to_the_same(void **state)
{
    static const char text[] =
        "{\"a\":[1,-2,1.5,true,false,null,\"\\u0000\\\"\\\\\xc3\xa4\"],\"b\":{}}";
    struct fixture *f = *state;
    struct arena_text once, twice;
    struct json again;

    assert_true(parse(f, text));
    text_init(&once, f->a, 1);
    json_write(f->doc.root, &once);
    assert_true(json_parse(&again, f->a, text_str(&once), &f->fault));
    text_init(&twice, f->a, 1);
    json_write(again.root, &twice);
    assert_true(str_eq(text_str(&once), text_str(&twice)));
    assert_str(text_str(&once), text);
}

static void small_arenas_fail_with_memory(void **state)
{
    struct fixture *f = *state;
    struct arena *small = arena_new(&f->pool, 9000);
    struct buf b;

    buf_init(&b, 1 << 20);
    buf_addz(&b, "[1");
    for (int i = 0; i < 20000; i++)
        buf_addz(&b, ",1");
    buf_addz(&b, "]");
    assert_false(json_parse(&f->doc, small, buf_str(&b), &f->fault));
    assert_int_equal(f->fault.kind, JSON_FAULT_MEMORY);
    buf_deinit(&b);
    arena_unref(small);
}

#define TF(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static void nothing_else_is_a_string(void **state)
{
    struct fixture *f = *state;

    assert_true(parse(f, "[[1,2,3],{\"a\":1},7,true,null]"));
    for (struct json_iter i = json_iter(f->doc.root); json_next(&i);)
        assert_int_equal(json_string(i.value).len, 0);
    assert_int_equal(json_string(NULL).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TF(nothing_else_is_a_string),
        TF(accepts_what_rfc_8259_allows),
        TF(refuses_with_the_right_reason),
        TF(depth_128_passes_and_129_does_not),
        TF(duplicates_are_found_in_big_objects),
        TF(raw_spans_are_the_bytes_of_the_text),
        TF(values_are_typed),
        TF(written_text_parses_to_the_same),
        TF(small_arenas_fail_with_memory),
    };
    return RUN(tests);
}
