/* header.c, tenant.c and envelope.c: what a request says about itself, and how the answer shows it. */
#include "unit.h"
#include "base/json.h"
#include "core/op.h"

struct fixture {
    struct arena_pool pool;
    struct gen gen;
    struct principal who;
    struct op op;
};
static struct fixture f;
static const str placeholders[] = {S("mcp-adapter")};

static int set_up(void **state)
{
    (void)state;
    memset(&f, 0, sizeof f);
    f.gen.policy = (struct policy){
        .placeholder_tenants = placeholders, .placeholder_count = 1, .max_deadline_ms = 300000};
    f.who = (struct principal){.subject = S("ada"), .tenant = S("acme"), .has_tenant_header = true};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (f.op.arena)
        arena_unref(f.op.arena);
    arena_pool_deinit(&f.pool);
    return 0;
}

static void begin(void)
{
    if (f.op.arena)
        arena_unref(f.op.arena);
    mig_submit in = f.op.in;
    f.op = (struct op){
        .gen = &f.gen, .principal = &f.who, .in = in, .arena = arena_new(&f.pool, 4 << 20)};
    f.op.in.binding = S("http");
}

/* The status of the two stages; what the answer would be is checked on the way. */
static mig_status stages(const char *envelope)
{
    struct json doc;
    struct json_fault fault;

    begin();
    f.op.in.envelope = str_of(envelope);
    mig_status s = stage_envelope(&f.op);
    if (s == MIG_OK)
        s = stage_tenant(&f.op);
    if (s != MIG_OK)
        assert_int_equal(f.op.error.status, s);
    assert_int_not_equal(f.op.header.message_id.len, 0);
    assert_int_not_equal(f.op.header.timestamp.len, 0);
    str answer = envelope_error(&f.op, &f.op.error);
    if (!json_parse(&doc, f.op.arena, answer, &fault))
        fail_msg("%s in %.*s", fault.text, STR_ARG(answer));
    assert_true(json_is_object(json_get(doc.root, S("header"))));
    return s;
}

static mig_status header(const char *members)
{
    static char text[40000]; // f.op borrows it until the next one begins

    snprintf(text, sizeof text, "{\"header\":{%s}}", members);
    return stages(text);
}

/* Whole text of details.reason, "" when it went well. */
static const char *reason(const char *envelope)
{
    static char text[64];
    struct json doc;
    struct json_fault fault;

    if (stages(envelope) == MIG_OK)
        return "";
    assert_true(json_parse(&doc, f.op.arena, f.op.error.details, &fault));
    str r = json_string(json_get(doc.root, S("reason")));
    snprintf(text, sizeof text, "%.*s", STR_ARG(r));
    return text;
}

static void the_empty_envelope_gets_everything_it_lacks(void **state)
{
    (void)state;
    assert_int_equal(stages(""), MIG_OK);
    assert_int_equal(f.op.header.message_id.len, 36);
    assert_int_equal(f.op.header.timestamp.len, 24);
    assert_str(f.op.header.tenant_id, "acme");
    assert_str(f.op.header.meta, "{}");
    assert_int_equal(f.op.header.deadline_ms, 0);
    assert_int_equal(stages(" \r\n{}\t"), MIG_OK);
}

static void bodies_that_are_no_object_are_refused(void **state)
{
    (void)state;
    assert_string_equal(reason("[]"), "invalid_envelope");
    assert_string_equal(reason("\"x\""), "invalid_envelope");
    assert_string_equal(reason("{"), "malformed_json");
    assert_string_equal(reason("{\"header\":{},\"header\":{}}"), "duplicate_member");
    assert_string_equal(reason("{\"header\":7}"), "invalid_member");
    assert_string_equal(reason("{\"header\":null}"), "");
    assert_string_equal(reason("{\"capability\":7}"), "invalid_member");
    assert_string_equal(reason("{\"unknown\":7}"), "");
    f.gen.policy.is_strict_json = true;
    assert_string_equal(reason("{\"unknown\":7}"), "invalid_member");
    assert_string_equal(reason("{\"header\":{\"unknown\":7}}"), "invalid_member");
}

static void texts_are_checked_by_form(void **state)
{
    static const struct {
        const char *members;
        mig_status want;
    } rows[] = {
        {"\"message_id\":\"m-1\"", MIG_OK},
        {"\"message_id\":\"\"", MIG_OK},
        {"\"message_id\":null", MIG_OK},
        {"\"message_id\":7", MIG_INVALID_REQUEST},
        {"\"message_id\":\"a b\"", MIG_INVALID_REQUEST},
        {"\"message_id\":\"\\u00e4\"", MIG_INVALID_REQUEST},
        {"\"message_id\":\"a\\r\\nSet-Cookie: b\"", MIG_INVALID_REQUEST},
        {"\"mig_version\":\"0.1\"", MIG_OK},
        {"\"mig_version\":\"0.2\"", MIG_VERSION_MISMATCH},
        {"\"mig_version\":0.1", MIG_INVALID_REQUEST},
        {"\"timestamp\":\"2026-11-21T06:14:03Z\"", MIG_OK},
        {"\"timestamp\":\"2026-11-21t06:14:03.123456+01:30\"", MIG_OK},
        {"\"timestamp\":\"2026-13-21T06:14:03Z\"", MIG_INVALID_REQUEST},
        {"\"timestamp\":\"2026-11-21 06:14:03Z\"", MIG_INVALID_REQUEST},
        {"\"timestamp\":\"2026-11-21T06:14:03\"", MIG_INVALID_REQUEST},
        {"\"timestamp\":\"2026-11-21T06:14:03.Z\"", MIG_INVALID_REQUEST},
        {"\"timestamp\":\"2026-11-21T06:14:03+0100\"", MIG_INVALID_REQUEST},
        {"\"timestamp\":\"2026-11-21T06:14:03.\"", MIG_INVALID_REQUEST},
        {"\"timestamp\":\"yesterday, at about noon\"", MIG_INVALID_REQUEST},
        {"\"session_id\":7", MIG_INVALID_REQUEST},
        {"\"deadline_ms\":5", MIG_OK},
        {"\"deadline_ms\":-5", MIG_OK},
        {"\"deadline_ms\":1.5", MIG_INVALID_REQUEST},
        {"\"deadline_ms\":\"5\"", MIG_INVALID_REQUEST},
        {"\"deadline_ms\":99999999999999999999", MIG_INVALID_REQUEST},
        {"\"meta\":[]", MIG_INVALID_REQUEST},
        {"\"meta\":null", MIG_OK},
        {"\"tenant_id\":7", MIG_INVALID_REQUEST},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++)
        if (header(rows[i].members) != rows[i].want)
            fail_msg("%s: %d", rows[i].members, f.op.error.status);
}

static void lengths_are_limited(void **state)
{
    static const struct {
        const char *name;
        size_t max;
    } rows[] = {{"message_id", 128}, {"session_id", 128}, {"idempotency_key", 255}};
    char text[400], long_text[300];

    (void)state;
    memset(long_text, 'a', sizeof long_text);
    for (size_t i = 0; i < countof(rows); i++)
        for (size_t more = 0; more < 2; more++) {
            snprintf(text, sizeof text, "\"%s\":\"%.*s\"", rows[i].name, (int)(rows[i].max + more),
                     long_text);
            assert_int_equal(header(text), more ? MIG_INVALID_REQUEST : MIG_OK);
        }
}

static void the_envelope_wins_over_the_transport(void **state)
{
    (void)state;
    f.op.in.message_id = S("from-header");
    f.op.in.deadline_ms = S("700");
    f.op.in.mig_version = S("0.1");
    assert_int_equal(header(""), MIG_OK);
    assert_str(f.op.header.message_id, "from-header");
    assert_int_equal(f.op.header.deadline_ms, 700);
    assert_int_equal(header("\"message_id\":\"own\",\"deadline_ms\":900"), MIG_OK);
    assert_str(f.op.header.message_id, "own");
    assert_int_equal(f.op.header.deadline_ms, 900);
    assert_int_equal(header("\"deadline_ms\":99999999"), MIG_OK);
    assert_int_equal(f.op.header.deadline_ms, 300000);
    assert_int_equal(stages("{"), MIG_INVALID_REQUEST); /* the answer still names the request */
    assert_str(f.op.header.message_id, "from-header");
    f.op.in.deadline_ms = S("soon");
    assert_int_equal(header(""), MIG_INVALID_REQUEST);
    f.op.in.deadline_ms = S("");
    f.op.in.message_id = S("a b");
    assert_int_equal(header(""), MIG_INVALID_REQUEST);
    assert_int_equal(f.op.header.message_id.len, 36);
}

static void traceparents_are_kept_or_dropped_but_no_error(void **state)
{
    static const struct {
        const char *text;
        bool kept;
    } rows[] = {
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true},
        {"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", true},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", false},
        {"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false},
        {"00-00000000000000000000000000000000-00f067aa0ba902b7-01", false},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false},
        {"00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", false},
        {"x", false},
    };
    char text[200];

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        snprintf(text, sizeof text, "\"traceparent\":\"%s\"", rows[i].text);
        assert_int_equal(header(text), MIG_OK);
        assert_int_equal(f.op.header.traceparent.len > 0, rows[i].kept);
    }
}

static void meta_keeps_the_clients_and_drops_ours(void **state)
{
    char big[40000] = "\"meta\":{";

    (void)state;
    assert_int_equal(header("\"meta\":{ \"a\" : [1, 2] }"), MIG_OK);
    assert_str(f.op.header.meta, "{ \"a\" : [1, 2] }");
    assert_int_equal(header("\"meta\":{\"idg.principal_subject\":\"root\",\"a\":1,"
                            "\"\\u0069dg.x\":2,\"mig.capability_version\":\"1.2\"}"),
                     MIG_OK);
    assert_str(f.op.header.meta, "{\"a\":1,\"mig.capability_version\":\"1.2\"}");
    assert_str(f.op.header.version_pin, "1.2");
    for (int i = 0; i < 65; i++)
        sprintf(big + strlen(big), "%s\"k%d\":1", i ? "," : "", i);
    strcat(big, "}");
    assert_int_equal(header(big), MIG_INVALID_REQUEST);
    strcpy(big, "\"meta\":{\"a\":\"");
    memset(big + strlen(big), 'x', 17000);
    strcpy(big + 13 + 17000, "\"}");
    assert_int_equal(header(big), MIG_INVALID_REQUEST);
}

static void tenants_must_agree(void **state)
{
    (void)state;
    assert_int_equal(header("\"tenant_id\":\"acme\""), MIG_OK);
    assert_int_equal(header("\"tenant_id\":\"other\""), MIG_FORBIDDEN);
    assert_int_equal(header("\"tenant_id\":\"mcp-adapter\""), MIG_OK);
    assert_str(f.op.header.tenant_id, "acme");
    f.who.tenant = (str){NULL, 0};
    f.who.has_tenant_header = false;
    assert_int_equal(header("\"tenant_id\":\"other\""), MIG_OK);
    assert_str(f.op.header.tenant_id, "other");
    static const char *const bad[] = {"",
                                      "\"tenant_id\":\"\"",
                                      "\"tenant_id\":\"unknown\"",
                                      "\"tenant_id\":\"-a\"",
                                      "\"tenant_id\":\"a b\"",
                                      "\"tenant_id\":\"a/../b\"",
                                      "\"tenant_id\":\"\\u00e4\""};
    for (size_t i = 0; i < countof(bad); i++)
        assert_int_equal(header(bad[i]), MIG_INVALID_REQUEST);
    f.gen.policy.require_tenant_header = true;
    assert_int_equal(header("\"tenant_id\":\"other\""), MIG_FORBIDDEN);
}

int main(void)
{
#define TE(x) cmocka_unit_test_setup_teardown(x, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TE(the_empty_envelope_gets_everything_it_lacks),
        TE(bodies_that_are_no_object_are_refused),
        TE(texts_are_checked_by_form),
        TE(lengths_are_limited),
        TE(the_envelope_wins_over_the_transport),
        TE(traceparents_are_kept_or_dropped_but_no_error),
        TE(meta_keeps_the_clients_and_drops_ours),
        TE(tenants_must_agree),
    };
    return RUN(tests);
}
