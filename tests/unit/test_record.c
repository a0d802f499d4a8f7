#include "unit.h"
#include "core/record.h"

static char packed[RECORD_MAX];
static struct buf out;

static int set_up(void **state)
{
    (void)state;
    buf_init(&out, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_deinit(&out);
    return 0;
}

static const struct record_names names = {S("a.b.c"), S("acme")};

static struct record full(void)
{
    return (struct record){
        .at_us = 1792000000123456,
        .took_us = 1500,
        .operation = OPERATION_INVOKE,
        .outcome = OUTCOME_ERROR,
        .decision = DECISION_ALLOW,
        .code = MIG_UNAVAILABLE,
        .has_trace = true,
        .trace = {.trace_id = {1, 2}, .span_id = {3}, .flags = 1},
        .actor = S("alice"),
        .tenant = S("acme"),
        .capability = S("a.b.c"),
        .message_id = S("m-1"),
        .binding = S("http"),
        .remote = S("127.0.0.1:1"),
        .target = S("POST /x"),
        .mapping = S("quota"),
    };
}

static void assert_same(const struct record *a, const struct record *b)
{
    assert_int_equal(a->at_us, b->at_us);
    assert_int_equal(a->took_us, b->took_us);
    assert_int_equal(a->operation, b->operation);
    assert_int_equal(a->outcome, b->outcome);
    assert_int_equal(a->decision, b->decision);
    assert_int_equal(a->code, b->code);
    assert_int_equal(a->has_trace, b->has_trace);
    assert_int_equal(a->has_parent, b->has_parent);
    assert_memory_equal(&a->trace, &b->trace, sizeof a->trace);
    assert_memory_equal(a->parent_span, b->parent_span, SPAN_ID);
    for (size_t i = 0; i < RECORD_TEXTS; i++)
        assert_true(str_eq(a->texts[i], b->texts[i]));
}

static void what_is_packed_comes_out(void **state)
{
    struct record r = full(), found;

    (void)state;
    for (int variant = 0; variant < 6; variant++) {
        r.names = variant == 1 ? &names : NULL;
        r.has_parent = variant == 2;
        r.parent_span[7] = variant == 2 ? 9 : 0;
        r.binding = variant == 3 ? S("pigeon") : variant == 4 ? S("") : S("grpc");
        r.actor = variant == 5 ? S("anonymous") : S("alice");
        size_t n = record_pack(&r, packed);
        record_unpack((str){packed, n}, &found);
        assert_same(&r, &found);
        assert_int_equal(record_time((str){packed, n}), r.at_us);
    }
    record_unpack((str){packed, record_pack(&(struct record){0}, packed)}, &found);
    assert_same(&(struct record){0}, &found);
}

static void a_brief_one_is_the_same(void **state)
{
    static const str actors[] = {S("anonymous"), S("alice")};
    struct record r = full(), found;

    (void)state;
    r.target = r.mapping = S("");
    for (size_t i = 0; i < countof(actors); i++) {
        r.actor = actors[i];
        const struct brief b = {.at_us = r.at_us,
                                .took_us = (uint32_t)r.took_us,
                                .outcome = r.outcome,
                                .code = r.code,
                                .binding = binding_named(r.binding),
                                .trace = &r.trace,
                                .names = &names,
                                .message_id = r.message_id,
                                .remote = r.remote,
                                .actor = r.actor};
        size_t n = record_pack_brief(&b, packed);
        assert_true(n < 110);
        record_unpack((str){packed, n}, &found);
        assert_same(&r, &found);
    }
}

static void long_texts_are_cut_and_fit(void **state)
{
    static char text[4000];
    struct record r = full(), found;

    (void)state;
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < RECORD_TEXTS; i++)
        r.texts[i] = (str){text, sizeof text};
    r.has_parent = true;
    size_t n = record_pack(&r, packed);
    assert_in_range(n, RECORD_TEXTS * RECORD_TEXT_MAX, RECORD_MAX);
    record_unpack((str){packed, n}, &found);
    for (size_t i = 0; i < RECORD_TEXTS; i++)
        assert_int_equal(found.texts[i].len, RECORD_TEXT_MAX);
}

static void is_one_line_of_json(void **state)
{
    struct record r = full();

    (void)state;
    r.actor = S("a\"\n\xFF");
    record_json(&r, S("00ff"), &out);
    assert_str(
        buf_str(&out),
        "{\"actor\":\"a\\\"\\n\xEF\xBF\xBD\",\"tenant_id\":\"acme\",\"capability\":\"a.b.c\","
        "\"outcome\":\"error\",\"timestamp\":\"2026-10-14T17:46:40.123Z\","
        "\"message_id\":\"m-1\",\"operation\":\"invoke\",\"binding\":\"http\","
        "\"error_code\":\"MIG_UNAVAILABLE\",\"duration_ms\":1.500,\"traceparent\":"
        "\"00-01020000000000000000000000000000-0300000000000000-01\","
        "\"remote_addr\":\"127.0.0.1:1\",\"decision\":\"allow\",\"target\":\"POST /x\","
        "\"mapping\":\"quota\",\"prev\":\"00ff\"}");
    buf_clear(&out);
    record_json(&(struct record){0}, (str){NULL, 0}, &out);
    assert_str(buf_str(&out),
               "{\"actor\":\"\",\"tenant_id\":\"\",\"capability\":\"\",\"outcome\":\"success\","
               "\"timestamp\":\"1970-01-01T00:00:00.000Z\",\"message_id\":\"\","
               "\"operation\":\"invoke\",\"duration_ms\":0.000}");
}

static void formulas_are_harmless_in_csv(void **state)
{
    static const struct {
        const char *actor, *cell;
    } rows[] = {
        {"alice", "\"alice\""},
        {"=1+1", "\"'=1+1\""},
        {"+1", "\"'+1\""},
        {"-1", "\"'-1\""},
        {"@x", "\"'@x\""},
        {"\tx", "\"'\tx\""},
        {"a=1", "\"a=1\""},
        {"a\"b", "\"a\"\"b\""},
        {"a,b\r\nc", "\"a,b\r\nc\""},
        {"", ""},
        {"\"=x", "\"\"\"=x\""},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct record r = {.actor = str_of(rows[i].actor)};
        buf_clear(&out);
        record_csv(&r, &out);
        assert_true(str_starts(buf_str(&out), str_of(rows[i].cell)));
        assert_int_equal(out.ptr[strlen(rows[i].cell)], ',');
        assert_true(str_ends(buf_str(&out), S("\r\n")));
    }
}

static void outcomes_follow_the_contract(void **state)
{
    static const struct {
        mig_status status;
        enum outcome outcome;
    } rows[] = {{MIG_OK, OUTCOME_SUCCESS},
                {MIG_INVALID_REQUEST, OUTCOME_ERROR},
                {MIG_UNAUTHORIZED, OUTCOME_DENIED},
                {MIG_FORBIDDEN, OUTCOME_DENIED},
                {MIG_TIMEOUT, OUTCOME_TIMEOUT},
                {MIG_RATE_LIMITED, OUTCOME_RATE_LIMITED},
                {MIG_BACKPRESSURE, OUTCOME_RATE_LIMITED},
                {MIG_INTERNAL, OUTCOME_ERROR}};

    (void)state;
    for (size_t i = 0; i < countof(rows); i++)
        assert_int_equal(outcome_of(rows[i].status), rows[i].outcome);
    for (enum outcome o = 0; o < OUTCOMES; o++)
        assert_int_equal(outcome_named(str_of(outcome_name(o))), o);
    assert_int_equal(outcome_named(S("good")), OUTCOMES);
    assert_int_equal(outcome_named(S("")), OUTCOMES);
}

#define TR(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TR(what_is_packed_comes_out),     TR(a_brief_one_is_the_same),
        TR(long_texts_are_cut_and_fit),   TR(is_one_line_of_json),
        TR(formulas_are_harmless_in_csv), TR(outcomes_follow_the_contract),
    };
    return RUN(tests);
}
