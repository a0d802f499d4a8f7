/* Any JSON: its canonical text is JSON, is its own canonical text, and does not depend on how the value
 * was written. */
#include "base/check.h"
#include "base/json_canon.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static str canon(struct arena *a, str text)
{
    struct json doc;
    struct arena_text t;

    must(json_parse(&doc, a, text, NULL));
    text_init(&t, a, 64);
    json_canon(doc.root, &t);
    must(!t.has_failed);
    return text_str(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena_pool pool = {0};
    struct arena *a = arena_new(&pool, 512 << 20);
    struct arena_text again;
    struct json doc;

    if (json_parse(&doc, a, (str){(const char *)data, size}, NULL)) {
        str once = canon(a, doc.text);
        must(str_eq(canon(a, once), once));
        text_init(&again, a, 64);
        json_write(doc.root, &again);
        must(str_eq(canon(a, text_str(&again)), once));
    }
    arena_unref(a);
    arena_pool_deinit(&pool);
    return 0;
}
