/* A line with a schema, then a value: whatever compiles also checks, the same way with and without a
 * list of errors, and what gives no error is no failure. The value is compared as a schema, too. */
#include "base/check.h"
#include "base/jsonschema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_value(struct arena *a, const struct jschema *s, const json_value *v)
{
    struct jschema_error list[4];
    struct jschema_errors errors = {.list = list, .max = 4};
    bool ok = jschema_check(s, v, a, &errors);

    must(ok == jschema_check(s, v, a, NULL));
    must(ok == (errors.count == 0) && errors.count <= 4);
    for (size_t i = 0; i < errors.count; i++) {
        must(list[i].keyword && list[i].message.len && list[i].message.len <= 400);
        must(str_is_utf8(list[i].message) && str_is_utf8(list[i].path));
        must(!list[i].path.len || list[i].path.ptr[0] == '/');
    }
}

static void check_draft(struct arena *a, enum jschema_draft draft, str schema, const json_value *v)
{
    const struct jschema_options options = {
        .draft = draft, .has_formats = true, .max_bytes = 4 << 20};
    struct jschema_fault fault = {0};
    struct jschema *s;

    if (!jschema_compile(&s, schema, S("http://fuzz/"), &options, &fault)) {
        must(fault.text[0] && str_is_utf8(str_of(fault.text)));
        return;
    }
    if (v)
        check_value(a, s, v);
    jschema_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena_pool pool = {0};
    struct arena *a = arena_new(&pool, 64 << 20);
    str rest = {(const char *)data, size}, schema = str_split(&rest, '\n');
    struct json x = {0}, y = {0};

    if (!json_parse(&y, a, rest, NULL))
        y.root = NULL;
    check_draft(a, JSCHEMA_2020_12, schema, y.root);
    check_draft(a, JSCHEMA_DRAFT_07, schema, y.root);
    if (y.root && json_parse(&x, a, schema, NULL)) {
        must(jschema_compat(x.root, x.root) == JSCHEMA_IDENTICAL);
        jschema_compat(x.root, y.root);
    }
    arena_unref(a);
    arena_pool_deinit(&pool);
    return 0;
}
