/* test_lua_examples.c: the scripts that readers learn from do what their comments say. */
#include "stub_host.h"

static void load_example(const char *name)
{
    char path[256];

    snprintf(path, sizeof path, "lua/examples/%s", name);
    if (stub_load_file(path, "") != MIG_OK)
        fail_msg("%s", S->log);
}

static void weather_remembers(void **state)
{
    (void)state;
    load_example("weather.lua");
    struct stub_call *c = stub_call("{\"city\":\"Rome\"}");
    assert_int_equal(c->code, MIG_OK);
    assert_has(c->result, "\"celsius\":21");
    assert_has(c->result, "\"cached\":false");
    assert_has(stub_call("{\"city\":\"Rome\"}")->result, "\"cached\":true");
    c = stub_call("{\"city\":\"Atlantis\"}");
    assert_int_equal(c->code, MIG_NOT_FOUND);
    assert_string_equal(c->message, "no weather for Atlantis");
}

static void countdown_streams_and_is_closed(void **state)
{
    (void)state;
    load_example("countdown.lua");
    mig_call h = stub_start_mode(0, "{\"from\":3}", MIG_MODE_SERVER_STREAM);
    mig_call other = stub_start_mode(0, "{\"from\":1000}", MIG_MODE_SERVER_STREAM);
    stub_cancel(other);
    assert_has(S->log, "6 countdown {\"duration_ms\":0.000,\"from\":1000}");
    stub_run();
    struct stub_call *c = stub_call_of(h);
    assert_string_equal(c->frames, "{\"left\":3};{\"left\":2};{\"left\":1};");
    assert_int_equal(c->code, MIG_OK);
    assert_has(c->result, "\"running\":1");
}

static void pipeline_compares(void **state)
{
    (void)state;
    load_example("pipeline.lua");
    mig_call h = stub_start("{\"cities\":[\"Rome\",\"Oslo\",\"Atlantis\"]}");
    stub_deliver(stub_op_at(0), MIG_OK, "{\"celsius\":21}");
    stub_deliver(stub_op_at(0), MIG_OK, "{\"celsius\":4}");
    stub_deliver(stub_op_at(0), MIG_NOT_FOUND, "");
    struct stub_call *c = stub_call_of(h);
    assert_int_equal(c->code, MIG_OK);
    assert_has(c->result, "\"warmest\":\"Rome\"");
    assert_has(c->result, "\"missing\":[\"Atlantis\"]");
    assert_int_equal(S->timer_count, 1);
}

static void pipeline_hands_failures_on(void **state)
{
    (void)state;
    load_example("pipeline.lua");
    mig_call h = stub_start("{\"cities\":[\"Rome\"]}");
    stub_deliver(stub_op_at(0), MIG_UNAVAILABLE, "");
    assert_int_equal(stub_call_of(h)->code, MIG_UNAVAILABLE);
    assert_string_equal(stub_call_of(h)->message, "refused");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(weather_remembers),
        T(countdown_streams_and_is_closed),
        T(pipeline_compares),
        T(pipeline_hands_failures_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
