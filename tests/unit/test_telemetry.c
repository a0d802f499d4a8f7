#include "unit.h"
#include "core/telemetry.h"

static struct telemetry *t;
static struct buf out;

static int set_up(void **state)
{
    (void)state;
    t = telemetry_new(2, 10);
    buf_init(&out, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    telemetry_free(t);
    buf_deinit(&out);
    return 0;
}

static bool has(const char *line)
{
    buf_clear(&out);
    telemetry_text(t, &out);
    buf_addc(&out, 0);
    const char *at = strstr(out.ptr, line);
    return at && at[strlen(line)] == '\n';
}

static size_t count_of(const char *part)
{
    size_t n = 0;

    has("");
    for (const char *at = out.ptr; (at = strstr(at, part)); at++)
        n++;
    return n;
}

static void loops_are_summed(void **state)
{
    struct capability_counts *c = telemetry_capability(t, S("a.b"));

    (void)state;
    assert_ptr_equal(telemetry_capability(t, S("a.b")), c);
    count_invocation(t, 0, c, S("acme"), OUTCOME_SUCCESS, MIG_OK, 200000);
    count_invocation(t, 1, c, S("acme"), OUTCOME_SUCCESS, MIG_OK, 3000000000);
    count_invocation(t, 1, c, S("acme"), OUTCOME_CANCELLED, MIG_TIMEOUT, 99000000000);
    count_invocation(t, 1, c, S("acme"), OUTCOME_REPLAYED, MIG_OK, 1000);
    count_inflight(c, 0, 1);
    count_inflight(c, 1, 2);
    count_inflight(c, 1, -1);
    count_deadline(c, 1);
    count_replay(c, 0);
#define L "{capability=\"a.b\",tenant=\"acme\","
    assert_true(has("mig_gateway_invocations_total" L "outcome=\"success\",code=\"MIG_OK\"} 2"));
    assert_true(
        has("mig_gateway_invocations_total" L "outcome=\"cancelled\",code=\"MIG_TIMEOUT\"} 1"));
    assert_true(has("mig_gateway_invocations_total" L "outcome=\"replayed\",code=\"MIG_OK\"} 1"));
    assert_true(has("mig_gateway_invocation_duration_seconds_bucket" L "le=\"0.0001\"} 1"));
    assert_true(has("mig_gateway_invocation_duration_seconds_bucket" L "le=\"0.0005\"} 2"));
    assert_true(has("mig_gateway_invocation_duration_seconds_bucket" L "le=\"10\"} 3"));
    assert_true(has("mig_gateway_invocation_duration_seconds_bucket" L "le=\"+Inf\"} 4"));
    assert_true(has("mig_gateway_inflight_invocations{capability=\"a.b\"} 2"));
    assert_true(has("mig_gateway_deadline_exceeded_total{capability=\"a.b\"} 1"));
    assert_true(has("mig_gateway_idempotent_replays_total{capability=\"a.b\"} 1"));
}

static void pairs_are_capped(void **state)
{
    struct capability_counts *c = telemetry_capability(t, S("a.b"));
    char tenant[24];

    (void)state;
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 50; i++) {
            snprintf(tenant, sizeof tenant, "tenant-%d", i);
            const struct record_names *n =
                count_invocation(t, (unsigned)i % 2, c, str_of(tenant), OUTCOME_SUCCESS, MIG_OK, 1);
            if (n) {
                assert_str(n->tenant, tenant);
                assert_str(n->capability, "a.b");
            }
        }
    assert_true(count_of("mig_gateway_invocations_total{") <= 10);
    assert_int_equal(count_of("mig_gateway_invocations_total{capability=\"a.b\",tenant=\"other\""),
                     1);
    assert_true(has("mig_gateway_invocations_total{capability=\"a.b\",tenant=\"tenant-0\","
                    "outcome=\"success\",code=\"MIG_OK\"} 2"));
    telemetry_set_max_series(t, 1000);
    count_invocation(t, 0, c, S("tenant-49"), OUTCOME_SUCCESS, MIG_OK, 1);
    assert_int_equal(count_of("tenant=\"tenant-49\",outcome"), 1);
}

static void many_capabilities_share_the_last_place(void **state)
{
    char id[24];

    (void)state;
    for (int i = 0; i < 200; i++) {
        snprintf(id, sizeof id, "cap.n%d", i);
        struct capability_counts *c = telemetry_capability(t, str_of(id));
        for (int n = 0; n < 3; n++)
            count_invocation(t, 0, c, n ? S("x") : S("y"), OUTCOME_SUCCESS, MIG_OK, 1);
    }
    assert_true(count_of("mig_gateway_invocations_total{") <= 10);
    assert_int_equal(
        count_of("mig_gateway_invocations_total{capability=\"other\",tenant=\"other\""), 1);
}

static void requests_have_their_templates(void **state)
{
    struct route_counts *r = telemetry_route(t, S("/mig/v0.1/invoke/{capability}"));

    (void)state;
    assert_int_equal(route_operation(r), OPERATION_INVOKE);
    assert_int_equal(route_operation(telemetry_route(t, S("/admin/v0.1/reload"))), OPERATION_ADMIN);
    assert_int_equal(route_operation(telemetry_route(t, S("/mig/v0.1/heartbeat"))),
                     OPERATION_HEARTBEAT);
    assert_int_equal(route_operation(telemetry_route(t, S("/metrics"))), OPERATIONS);
    assert_int_equal(route_operation(telemetry_no_route(t)), OPERATIONS);
    for (unsigned status = 200; status < 230; status++)
        for (unsigned loop = 0; loop < 2; loop++)
            count_request(t, loop, r, S("POST"), status, 6000000);
    count_request(t, 0, telemetry_no_route(t), S("BREW"), 418, 1);
#define R "{method=\"POST\",path=\"/mig/v0.1/invoke/{capability}\","
    assert_true(has("mig_gateway_http_requests_total" R "status=\"200\"} 2"));
    assert_true(has("mig_gateway_http_requests_total" R "status=\"other\"} 38"));
    assert_true(has("mig_gateway_http_request_duration_seconds_bucket" R "le=\"0.005\"} 0"));
    assert_true(has("mig_gateway_http_request_duration_seconds_bucket" R "le=\"0.01\"} 60"));
    assert_true(has("mig_gateway_http_requests_total{method=\"other\",path=\"other\","
                    "status=\"418\"} 1"));
}

static void small_tables_add_up(void **state)
{
    char reason[16];

    (void)state;
    count_error(t, 0, MIG_TIMEOUT, OPERATION_INVOKE);
    count_error(t, 1, MIG_TIMEOUT, OPERATION_INVOKE);
    count_error(t, 1, 9999, OPERATION_ADMIN);
    count_cancel(t, 0, S("ws"), CANCEL_PENDING);
    count_cancel(t, 1, S("pigeon"), CANCEL_COMPLETED);
    count_stream(t, 0, STREAM_SSE, 1);
    count_stream(t, 1, STREAM_SSE, 1);
    count_stream(t, 0, STREAM_SSE, -1);
    count_backpressure(t, 0, STREAM_SSE, OPERATION_INVOKE);
    count_backpressure(t, 0, STREAM_NONE, OPERATION_PUBLISH);
    count_caller(t, 0, false);
    count_caller(t, 1, true);
    for (int i = 0; i < 100; i++) {
        snprintf(reason, sizeof reason, "r%d", i);
        count_auth(t, (unsigned)i % 2, DECISION_DENY, str_of(i < 4 ? "same" : reason));
    }
    assert_true(has("mig_gateway_errors_total{code=\"MIG_TIMEOUT\",operation=\"invoke\"} 2"));
    assert_true(has("mig_gateway_errors_total{code=\"MIG_INTERNAL\",operation=\"admin\"} 1"));
    assert_true(has("mig_gateway_cancellations_total{binding=\"ws\",status=\"pending\"} 1"));
    assert_true(has("mig_gateway_cancellations_total{binding=\"other\",status=\"completed\"} 1"));
    assert_true(has("mig_gateway_active_streams{type=\"sse\"} 1"));
    assert_true(has("mig_gateway_active_streams{type=\"mcp\"} 0"));
    assert_true(has("mig_gateway_backpressure_total{channel=\"sse\"} 1"));
    assert_true(has("mig_gateway_backpressure_total{channel=\"publish\"} 1"));
    assert_true(has("mig_gateway_auth_decisions_total{decision=\"deny\",reason=\"same\"} 4"));
    assert_true(
        has("mig_gateway_auth_decisions_total{decision=\"allow\",reason=\"authenticated\"} 1"));
    assert_int_equal(count_of("decision=\"deny\",reason=\"other\""), 1);
    assert_true(count_of("decision=\"deny\"") <= 64);
}

static void labels_are_escaped(void **state)
{
    (void)state;
    count_auth(t, 0, DECISION_DENY, S("a\"b\\c\nd"));
    assert_true(has("mig_gateway_auth_decisions_total{decision=\"deny\","
                    "reason=\"a\\\"b\\\\c\\nd\"} 1"));
}

#define TT(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TT(loops_are_summed),
        TT(pairs_are_capped),
        TT(many_capabilities_share_the_last_place),
        TT(requests_have_their_templates),
        TT(small_tables_add_up),
        TT(labels_are_escaped),
    };
    return RUN(tests);
}
