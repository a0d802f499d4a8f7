/* test_lua_wait.c: what suspends: streams, kv, invoke, sleep, all; cancellation; timers. */
#include "stub_host.h"

#define STREAM(text)                                                                               \
    "local mig = require 'mig'\n"                                                                  \
    "local c = mig.capability { id = 'test.it', version = '1.0.0', modes = { 'server_stream', "    \
    "'client_stream', 'bidi' } }\n"                                                                \
    "function c.invoke(call)\n" text "\nend\n"

static void load(const char *script)
{
    if (stub_load(script) != MIG_OK)
        fail_msg("load: %s", S->log);
}

static void sends_frames(void **state)
{
    (void)state;
    load(STREAM("for i = 1, 3 do call:send { i = i } end return { done = true }"));
    struct stub_call *c = stub_call_of(stub_start_mode(0, "{}", MIG_MODE_SERVER_STREAM));
    assert_string_equal(c->frames, "{\"i\":1};{\"i\":2};{\"i\":3};");
    assert_result(c, "{\"done\":true}");
}

static void waits_for_room(void **state)
{
    (void)state;
    load(STREAM("mig.sleep(1) for i = 1, 5 do call:send { i = i } end"));
    mig_call h = stub_start_mode(0, "{}", MIG_MODE_SERVER_STREAM);
    struct stub_call *c = stub_call_of(h);
    c->room = 2;
    stub_run();
    assert_int_equal(c->frame_count, 2);
    assert_int_equal(c->ended, 0);
    c->room = 1;
    S->caps[0].on_writable(S->self, NULL, h);
    assert_int_equal(c->frame_count, 3);
    c->room = -1;
    S->caps[0].on_writable(S->self, NULL, h);
    assert_int_equal(c->frame_count, 5);
    assert_result(c, "{}");
}

static void unary_calls_take_no_frames(void **state)
{
    (void)state;
    stub_body(BODY("call:send {}"), "{}");
    assert_has(S->log, "a call of mode unary takes no frames");
}

static void reads_messages_until_half_close(void **state)
{
    (void)state;
    load(STREAM(
        "local sum = 0 for msg in call:messages() do sum = sum + msg.n end return { sum = sum }"));
    mig_call h = stub_start_mode(0, "{}", MIG_MODE_CLIENT_STREAM);
    struct stub_call *c = stub_call_of(h);
    for (int i = 0; i < 4; i++)
        S->caps[0].on_message(S->self, NULL, h, mig_s("{\"n\":10}"));
    assert_int_equal(c->granted, 4);
    S->caps[0].on_half_close(S->self, NULL, h);
    assert_result(c, "{\"sum\":40}");
}

static void messages_queue_while_the_script_sleeps(void **state)
{
    (void)state;
    load(STREAM("mig.sleep(10) local t = {} for msg in call:messages() do t[#t + 1] = msg "
                "call:send(msg) end return t"));
    mig_call h = stub_start_mode(0, "{}", MIG_MODE_BIDI);
    struct stub_call *c = stub_call_of(h);
    S->caps[0].on_message(S->self, NULL, h, mig_s("1"));
    S->caps[0].on_message(S->self, NULL, h, mig_s("null"));
    S->caps[0].on_half_close(S->self, NULL, h);
    assert_int_equal(c->granted, 0);
    stub_run();
    assert_int_equal(c->granted, 2);
    assert_result(c, "[1,null]");
    assert_string_equal(c->frames, "1;null;");
}

static void stores_values(void **state)
{
    (void)state;
    assert_result(
        stub_body(BODY("local none = mig.kv.get('k')\n"
                       "local r1 = mig.kv.put('k', { a = 1 }, { ttl_ms = 5, expect = 0 })\n"
                       "local v, r2 = mig.kv.get('k')\n"
                       "local ok, err = mig.kv.put('k', 2, { expect = 99 })\n"
                       "local gone, again = mig.kv.delete('k'), mig.kv.delete('k')\n"
                       "return { none == nil, r1, v.a, r2, ok == nil, err.code, gone, again }"),
                  "{}"),
        "[true,1,1,1,true,\"MIG_VERSION_MISMATCH\",true,false]");
}

static void invokes_others(void **state)
{
    (void)state;
    assert_result(stub_body(BODY("local r = mig.invoke('test.echo', { x = 1 })\n"
                                 "local no, err = mig.invoke('test.fail', {})\n"
                                 "return { r.x, no == nil, err.code, err.message, "
                                 "err.details.reason, tostring(err) }"),
                            "{}"),
                  "[1,true,\"MIG_UNAVAILABLE\",\"refused\",\"test\",\"MIG_UNAVAILABLE: refused\"]");
}

static void failures_of_others_can_be_passed_on(void **state)
{
    (void)state;
    struct stub_call *c = stub_body(BODY("return mig.invoke('test.fail', {})"), "{}");
    assert_int_equal(c->code, MIG_UNAVAILABLE);
    assert_string_equal(c->details, "{\"reason\":\"test\"}");
}

static void sleeps(void **state)
{
    (void)state;
    assert_result(
        stub_body(BODY("local t = mig.now_ms() mig.sleep(250) return mig.now_ms() - t"), "{}"),
        "250");
}

static void runs_functions_in_parallel(void **state)
{
    (void)state;
    assert_result(stub_body(BODY("local t = mig.now_ms()\n"
                                 "local r, e = mig.all { function() mig.sleep(30) return 'a' end, "
                                 "function() mig.sleep(20) return 'b' end,\n"
                                 "  function() return mig.invoke('test.fail', {}) end, function() "
                                 "return mig.invoke('x.y', { 5 }) end }\n"
                                 "return { r[1], r[2], r[3] == nil, r[4][1], e[3].code, "
                                 "mig.now_ms() - t, #mig.all {} }"),
                            "{}"),
                  "[\"a\",\"b\",true,5,\"MIG_UNAVAILABLE\",30,0]");
}

static void an_error_ends_its_brothers(void **state)
{
    (void)state;
    assert_result(
        stub_body(
            "closed = 0\n" BODY(
                "local function slow() local x <close> = setmetatable({}, { __close = function() "
                "closed = closed + 1 end }) mig.sleep(1000) closed = 99 end\n"
                "local ok, err = pcall(mig.all, { slow, function() mig.sleep(1) error('boom', 0) "
                "end, slow, function() return mig.all { slow, slow } end })\n"
                "local t = mig.now_ms() mig.sleep(2000)\n"
                "return { ok, err, closed }"),
            "{}"),
        "[false,\"boom\",4]");
}

static void cancellation_closes_everything(void **state)
{
    (void)state;
    load("trace = ''\n" BODY(
        "local a <close> = setmetatable({}, { __close = function() trace = trace .. 'a' end })\n"
        "if call.payload.q then return trace end\n"
        "mig.all { function() local b <close> = setmetatable({}, { __close = function() trace = "
        "trace .. 'b' end }) mig.sleep(1e6) trace = 'never' end,\n"
        "          function() mig.kv.get('x') mig.sleep(1e6) trace = 'never' end }\n"
        "trace = 'never'"));
    mig_call h = stub_start("{}");
    stub_cancel(h);
    struct stub_call *c = stub_call_of(h);
    assert_int_equal(c->ended, 1);
    assert_int_equal(c->code, MIG_TIMEOUT);
    stub_run(); /* completions that come late wake nobody */
    assert_int_equal(c->ended, 1);
    assert_result(stub_call("{\"q\":true}"), "\"ba\"");
}

static void nothing_waits_while_closing(void **state)
{
    (void)state;
    load("seen = 'nothing'\n" BODY("if call.payload.q then return seen end\n"
                                   "local a <close> = setmetatable({}, { __close = function() "
                                   "local ok, e = pcall(mig.sleep, 1) seen = e end })\n"
                                   "mig.sleep(1000)"));
    stub_cancel(stub_start("{}"));
    assert_result(stub_call("{\"q\":true}"), "\"mig.sleep cannot wait: the call is being closed\"");
}

static void late_completions_do_not_wake_strangers(void **state)
{
    (void)state;
    load(
        BODY("local r = mig.invoke('x.y', { n = call.payload.n }) return { call.payload.n, r.n }"));
    mig_call first = stub_start("{\"n\":1}");
    struct stub_op old = *stub_op_at(0);
    stub_cancel(first);
    S->ops[0].kind = 0;                        /* kept in `old` */
    mig_call second = stub_start("{\"n\":2}"); /* takes the same coroutine slot */
    stub_deliver(&old, MIG_OK, "{\"n\":1}");
    assert_int_equal(stub_call_of(second)->ended, 0);
    stub_run();
    assert_result(stub_call_of(second), "[2,2]");
}

static void a_gone_completion_cancels(void **state)
{
    (void)state;
    load(BODY("mig.sleep(10) return 1"));
    mig_call h = stub_start("{}");
    stub_deliver(stub_op_at(0), MIG_E_GONE, "");
    assert_int_equal(stub_call_of(h)->code, MIG_TIMEOUT);
    assert_int_equal(stub_call_of(h)->ended, 1);
}

static void a_caller_that_left_ends_the_stream(void **state)
{
    (void)state;
    load(STREAM("mig.sleep(1) call:send(1) return 2"));
    mig_call h = stub_start_mode(0, "{}", MIG_MODE_SERVER_STREAM);
    stub_call_of(h)->is_gone = true;
    stub_run();
    assert_int_equal(stub_call_of(h)->code, MIG_TIMEOUT);
    assert_int_equal(stub_call_of(h)->ended, 1);
}

static void timers_tick(void **state)
{
    (void)state;
    load("n = 0\n" BODY("return n") "mig.every(100, function() mig.sleep(1) n = n + 1 "
                                    "end)\nmig.every(5, function() error('tock') end)\n");
    for (int i = 0; i < 2; i++) {
        mig_call t = {++stub_next_call};
        *stub_call_of(t) = (struct stub_call){.is_open = true};
        S->timers[i].on_tick(S->self, S->timers[i].data, t);
        stub_run();
        assert_int_equal(stub_call_of(t)->ended, 1);
        assert_int_equal(stub_call_of(t)->code, i ? MIG_INTERNAL : MIG_OK);
    }
    assert_has(S->log, "tock");
    assert_result(stub_call("{}"), "1");
}

static void many_calls_at_once(void **state)
{
    (void)state;
    load(BODY("mig.sleep(call.payload.ms) return call.payload"));
    mig_call h[40];
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 40; i++) {
            char p[32];
            snprintf(p, sizeof p, "{\"ms\":%d}", (i * 7) % 40);
            h[i] = stub_start(p);
        }
        stub_run();
        for (int i = 0; i < 40; i++) {
            assert_int_equal(stub_call_of(h[i])->ended, 1);
            assert_int_equal(stub_call_of(h[i])->code, MIG_OK);
            free(stub_call_of(h[i])->result), free(stub_call_of(h[i])->message),
                free(stub_call_of(h[i])->details);
            *stub_call_of(h[i]) = (struct stub_call){0};
        }
    }
}

static void waiting_goes_through_pcall_and_not_through_sort(void **state)
{
    (void)state;
    assert_result(stub_body(BODY("local ok, v = pcall(function() mig.sleep(1) return 'x' end)\n"
                                 "local ok2, e = pcall(table.sort, { 2, 1 }, function(a, b) "
                                 "mig.sleep(1) return a < b end)\n"
                                 "local a, b = xpcall(function() mig.sleep(1) error('e', 0) end, "
                                 "function(m) mig.sleep(1) return m .. '!' end)\n"
                                 "return { ok, v, ok2, e, a, b }"),
                            "{}"),
                  "[true,\"x\",false,\"test.lua:5: mig.sleep cannot wait inside a table.sort "
                  "comparator or a string.gsub function\",false,\"e!\"]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(sends_frames),
        T(waits_for_room),
        T(unary_calls_take_no_frames),
        T(reads_messages_until_half_close),
        T(messages_queue_while_the_script_sleeps),
        T(stores_values),
        T(invokes_others),
        T(failures_of_others_can_be_passed_on),
        T(sleeps),
        T(runs_functions_in_parallel),
        T(an_error_ends_its_brothers),
        T(cancellation_closes_everything),
        T(nothing_waits_while_closing),
        T(late_completions_do_not_wake_strangers),
        T(a_gone_completion_cancels),
        T(a_caller_that_left_ends_the_stream),
        T(timers_tick),
        T(many_calls_at_once),
        T(waiting_goes_through_pcall_and_not_through_sort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
