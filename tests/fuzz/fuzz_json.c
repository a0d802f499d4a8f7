/* Any text as JSON: json_parse() and json_check() agree; what is written again parses to the same text;
 * the raw span of every member is itself a text that parses to the same value. */
#include "base/check.h"
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static str written(struct arena *a, const json_value *v)
{
    struct arena_text t;

    text_init(&t, a, 64);
    json_write(v, &t);
    must(!t.has_failed);
    return text_str(&t);
}

static void check_spans(struct arena *a, const struct json *doc, const json_value *v, str raw,
                        int depth)
{
    if (!json_is_object(v) || depth > 4)
        return;
    for (struct json_iter i = json_iter(v); json_next(&i);) {
        struct json_fault fault;
        struct json own;
        str span = json_raw(doc, raw, &i);
        must(span.ptr >= doc->text.ptr && span.ptr + span.len <= doc->text.ptr + doc->text.len);
        must(json_parse(&own, a, span, &fault));
        must(str_eq(written(a, own.root), written(a, i.value)));
        must(json_get(v, i.key) == i.value);
        check_spans(a, doc, i.value, span, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena_pool pool = {0};
    struct arena *a = arena_new(&pool, 256 << 20);
    struct json_fault fault = {0}, other = {0};
    str text = {(const char *)data, size};
    struct json doc, again;

    bool ok = json_parse(&doc, a, text, &fault);
    must(json_check(a, text, &other) == ok);
    must(ok || (fault.kind != JSON_FAULT_NONE && fault.text && fault.offset <= size &&
                fault.kind == other.kind));
    if (ok) {
        must(str_is_utf8(text));
        str once = written(a, doc.root);
        must(json_parse(&again, a, once, &fault));
        must(str_eq(once, written(a, again.root)));
        check_spans(a, &doc, doc.root, text, 0);
    }
    arena_unref(a);
    arena_pool_deinit(&pool);
    return 0;
}
