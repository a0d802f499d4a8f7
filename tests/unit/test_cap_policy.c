#include "unit.h"
#include "core/cap_policy.h"

static struct arena_pool pool;

static const json_value *parsed(struct arena *a, const char *text)
{
    struct json doc;

    if (!json_parse(&doc, a, str_of(text), NULL))
        fail_msg("not JSON: %s", text);
    return doc.root;
}

static void what_is_read_is_told_again(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"{}", "{}"},
        {"{\"idempotent\":false,\"retry\":{\"max_attempts\":1},\"tags\":[]}", "{}"},
        {"{\"idempotent\":null,\"rate_limit\":null}", "{}"},
        {"{\"billing_tier\":\"pro\",\"tags\":[\"a.b\",\"c\"],\"max_concurrency\":3,"
         "\"rate_limit\":{\"burst\":9,\"rps\":5},\"retry\":{\"backoff_ms\":7,\"max_attempts\":2},"
         "\"idempotent\":true,\"require_idempotency_key\":true}",
         "{\"require_idempotency_key\":true,\"idempotent\":true,"
         "\"retry\":{\"max_attempts\":2,\"backoff_ms\":7},\"max_concurrency\":3,"
         "\"rate_limit\":{\"rps\":5,\"burst\":9},\"tags\":[\"a.b\",\"c\"],"
         "\"billing_tier\":\"pro\"}"},
        {"{\"rate_limit\":{\"rps\":5}}", "{\"rate_limit\":{\"rps\":5}}"},
    };
    struct arena *a = arena_new(&pool, 1 << 20);

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        const json_value *v = parsed(a, rows[i].text);
        if (cap_policy_fault(v))
            fail_msg("%s: %s", rows[i].text, cap_policy_fault(v));
        struct cap_policy *p = cap_policy_read(a, v);
        assert_str(p->json, rows[i].want);
        assert_int_equal(p->max_attempts >= 1, 1);
        assert_int_equal(p->rate.interval_ns, p->rps ? 1000000000 / p->rps : 0);
        assert_null(cap_policy_fault(parsed(a, arena_copy(a, p->json).ptr)));
    }
    arena_unref(a);
}

static void wrong_ones_are_told_apart(void **state)
{
    static const struct {
        const char *text, *about;
    } rows[] = {
        {"[]", "an object"},
        {"{\"retries\":1}", "nothing else"},
        {"{\"idempotent\":1}", "true or false"},
        {"{\"retry\":true}", "policy.retry"},
        {"{\"retry\":{\"max_attempts\":11}}", "policy.retry"},
        {"{\"retry\":{\"max_attempts\":0}}", "policy.retry"},
        {"{\"retry\":{\"backoff_ms\":-1}}", "policy.retry"},
        {"{\"retry\":{\"backoff_ms\":60001}}", "policy.retry"},
        {"{\"retry\":{\"pause\":1}}", "policy.retry"},
        {"{\"max_concurrency\":0}", "max_concurrency"},
        {"{\"max_concurrency\":10001}", "max_concurrency"},
        {"{\"rate_limit\":5}", "rate_limit"},
        {"{\"rate_limit\":{\"burst\":5}}", "needs rps"},
        {"{\"rate_limit\":{\"rps\":1000001}}", "rate_limit"},
        {"{\"rate_limit\":{\"rps\":0.5}}", "rate_limit"},
        {"{\"rate_limit\":{\"rps\":5,\"per\":1}}", "rate_limit"},
        {"{\"tags\":{}}", "tags"},
        {"{\"tags\":[1]}", "tags"},
        {"{\"tags\":[\"\"]}", "tags"},
        {"{\"tags\":[\"a\\u0000b\"]}", "tags"},
        {"{\"billing_tier\":\"Pro\"}", "billing_tier"},
        {"{\"billing_tier\":\"\"}", "billing_tier"},
        {"{\"billing_tier\":7}", "billing_tier"},
    };
    struct arena *a = arena_new(&pool, 1 << 20);

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        const char *fault = cap_policy_fault(parsed(a, rows[i].text));
        if (!fault || !strstr(fault, rows[i].about))
            fail_msg("%s: %s", rows[i].text, fault ? fault : "no fault");
    }
    arena_unref(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_is_read_is_told_again),
        T(wrong_ones_are_told_apart),
    };
    int failed = RUN(tests);
    arena_pool_deinit(&pool);
    return failed;
}
