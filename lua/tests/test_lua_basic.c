/* test_lua_basic.c: registration, results, errors, JSON. */
#include "stub_host.h"

static void returns_the_payload(void **state)
{
    (void)state;
    assert_result(stub_body(BODY("return call.payload"), "{\"a\":[1,2.5,\"x\",null,true,[],{}]}"),
                  "{\"a\":[1,2.5,\"x\",null,true,[],{}]}");
}

static void returns_an_object_for_nothing(void **state)
{
    (void)state;
    assert_result(stub_body(BODY(""), "{}"), "{}");
}

static void returns_scalars(void **state)
{
    (void)state;
    assert_result(stub_body(BODY("return 42"), "{}"), "42");
}

static void keeps_integers_and_floats_apart(void **state)
{
    (void)state;
    assert_result(
        stub_body(
            BODY("return { call.payload.i + 1, call.payload.f, 9007199254740993, 0.1, -0.5e300 }"),
            "{\"i\":1,\"f\":2.0}"),
        "[2,2.0,9007199254740993,0.1,-5e+299]");
}

static void knows_null_and_arrays(void **state)
{
    (void)state;
    assert_result(
        stub_body(BODY("return { mig.null, mig.array{}, {}, call.payload.n == mig.null }"),
                  "{\"n\":null}"),
        "[null,[],{},true]");
}

static void shows_the_fields_of_a_call(void **state)
{
    (void)state;
    assert_result(
        stub_body(BODY("return { call.tenant, call.subject, call.message_id, call.session == nil,"
                       " call.deadline_ms, call.meta.a, call.mode, call.capability }"),
                  "{}"),
        "[\"acme\",\"ada\",\"m1\",true,30000,1,\"unary\",\"test.it\"]");
}

static void a_wrong_field_of_a_call_gets_a_suggestion(void **state)
{
    (void)state;
    stub_body(BODY("return call.paylod"), "{}");
    assert_has(S->log, "did you mean 'payload'");
}

static void returned_errors_reach_the_caller(void **state)
{
    (void)state;
    struct stub_call *c = stub_body(
        BODY("return nil, mig.error('MIG_NOT_FOUND', 'no such city', {city = 'Rome'})"), "{}");
    assert_int_equal(c->code, MIG_NOT_FOUND);
    assert_string_equal(c->message, "no such city");
    assert_string_equal(c->details, "{\"city\":\"Rome\"}");
}

static void raised_errors_stay_inside(void **state)
{
    (void)state;
    struct stub_call *c =
        stub_body(BODY("local function inner() error('secret ' .. 42) end\n inner()"), "{}");
    assert_int_equal(c->code, MIG_INTERNAL);
    assert_has_not(c->message, "secret");
    assert_has_not(c->message, "traceback");
    assert_has_not(c->details, "secret");
    assert_has(S->log, "3 test.lua:4: secret 42");
    assert_has(S->log, "inner");
    assert_has(S->log, "\"capability\":\"test.it\"");
}

static void runtime_errors_are_internal(void **state)
{
    (void)state;
    struct stub_call *c = stub_body(BODY("return call.payload.x.y"), "{}");
    assert_int_equal(c->code, MIG_INTERNAL);
    assert_has(S->log, "field 'x'");
    stub_call("{}"); /* and the state goes on */
    assert_int_equal(c->ended, 1);
}

static void a_result_without_json_form_names_the_place(void **state)
{
    (void)state;
    static const struct {
        const char *body, *log;
    } cases[] = {
        {"return { a = { b = { 1, print, function() end } } }", "result.a.b[2]: a function"},
        {"return { a = { 1, nil, 3 } }", "result.a: the list has holes"},
        {"return { a = { 1, x = 2 } }", "list and object"},
        {"return { [true] = 1 }", "keys of an object are strings"},
        {"return { a = 0/0 }", "result.a: infinity and NaN"},
        {"return { a = '\\xff' }", "result.a: "},
        {"local t = {}; t.t = t; return t", "nested too deeply"},
        {"return call", "a userdata has no JSON form"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char script[512];
        snprintf(script, sizeof script, BODY("%s"), cases[i].body);
        S->cap_count = 0;
        struct stub_call *c = stub_body(script, "{}");
        assert_int_equal(c->code, MIG_INTERNAL);
        assert_int_equal(c->ended, 1);
        if (i != 0) /* print does not exist: the first list is {1, nil, function} */
            assert_has(S->log, cases[i].log);
        S->plugin->destroy(S->self);
        S->self = NULL;
        free(c->result), free(c->message), free(c->details);
        *c = (struct stub_call){0};
    }
}

static void registers_everything_that_is_said(void **state)
{
    (void)state;
    assert_int_equal(
        stub_load("local mig = require 'mig'\n"
                  "local c = mig.capability { id = 'a.b.c', version = '1.2.3', summary = 'S.',\n"
                  "  scopes = { 'x:read', 'y' }, modes = { 'server_stream', 'bidi' },\n"
                  "  input = { type = 'object', required = { 'z', 'a' } }, timeout_ms = 5, "
                  "max_concurrency = 7,\n"
                  "  budget = { cpu_ms = 3, memory_kb = 100 }, meta = { q = 1 } }\n"
                  "function c.invoke() end\n"
                  "mig.every(1000, function() end)\n"),
        MIG_OK);
    const mig_capability *c = &S->caps[0];
    assert_string_equal(c->id, "a.b.c");
    assert_string_equal(c->version, "1.2.3");
    assert_string_equal(c->input_schema, "{\"required\":[\"z\",\"a\"],\"type\":\"object\"}");
    assert_string_equal(c->meta, "{\"q\":1}");
    assert_string_equal(c->auth_scopes[1], "y");
    assert_null(c->auth_scopes[2]);
    assert_int_equal(c->modes, MIG_MODE_SERVER_STREAM | MIG_MODE_BIDI);
    assert_int_equal(c->exec, MIG_EXEC_LOOP);
    assert_int_equal(c->timeout_ms, 5);
    assert_int_equal(c->max_concurrency, 7);
    assert_int_equal(c->flags, MIG_CAP_MANUAL_GRANT);
    assert_int_equal(S->timer_count, 1);
    assert_int_equal(S->timers[0].every_ms, 1000);
}

static void bad_scripts_are_refused_with_the_place(void **state)
{
    (void)state;
    static const struct {
        const char *script, *log;
    } cases[] = {
        {"local x = = 3\n", "test.lua:1:11: unexpected symbol near '='"},
        {"local x = 1\nlocal y = foo)\n", "test.lua:2:14: unexpected symbol near ')'"},
        {"function f(\n", "near <eof>"},
        {"local m = require 'mig'\nm.capability { id = 'a.b', versoin = '1.0.0' }",
         "test.lua:2: mig.capability: unknown key 'versoin'; did you mean 'version'?"},
        {"require 'mig'.capability { id = 'ab', version = '1.0.0' }", "id 'ab' is not of the form"},
        {"require 'mig'.capability { id = 'a.b', version = '1' }", "version '1' is not"},
        {"require 'mig'.capability { id = 'a.b' }", "version is a string and must be there"},
        {"require 'mig'.capability { id = 'a.b', version = '1.0.0', modes = { 'unry' } }",
         "did you mean 'unary'"},
        {"require 'mig'.capability { id = 'a.b', version = '1.0.0', input = { 1, 2 } }",
         "input is an object"},
        {"require 'mig'.capability { id = 'a.b', version = '1.0.0' }",
         "capability a.b has no function invoke"},
        {"require 'mig'.capability { id = 'a.b', version = '1.0.0' }.invok = 1",
         "did you mean 'invoke'"},
        {"local m = require 'mig'\nm.kv.get('x')",
         "test.lua:2: mig.kv.get is not possible while the script loads"},
        {"local m = require 'mig'\nm.sleep(1)", "not possible while the script loads"},
        {"local m = require 'mig'\nm.http.get('x')", "mig.http is not available in this version"},
        {"local m = require 'mig'\nm.on('x')", "mig.on is not available in this version"},
        {"local m = require 'mig'\nm.kapability{}", "did you mean mig.capability?"},
        {"\x1bLua", "bytecode is refused"},
        {"while true do end", "takes too long to load"},
        {"while true do pcall(function() while true do end end) end", "takes too long to load"},
        {"error({})", "the error is not a text"},
        {"local x <close> = nil\n error('top')", "test.lua:2: top"},
        {"return 1", "declares no capability"},
        {"local _ENV <const> = {}", "_ENV cannot"},
        {"local s = 'x' while true do s = s .. s end", "not enough memory"},
    };
    S->is_real_clock = true;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        S->log_len = 0;
        S->log[0] = 0;
        assert_int_equal(stub_load(cases[i].script), MIG_INVALID_REQUEST);
        assert_has(S->log, cases[i].log);
        assert_has(S->log, "\"file\":\"/tmp/luatest");
    }
}

static void all_states_must_agree(void **state)
{
    (void)state;
    S->loops = 3;
    assert_int_equal(stub_load("N = (math.random(1 << 60))\nlocal c = require 'mig'.capability { "
                               "id = 'a.b', version = '1.0.' .. N }\n"
                               "function c.invoke() end"),
                     MIG_INVALID_REQUEST);
    assert_has(S->log, "declare the same in every state");
}

static void each_loop_has_its_state(void **state)
{
    (void)state;
    S->loops = 2;
    assert_result(stub_body("n = 0\n" BODY("n = n + 1 return n"), "{}"), "1");
    assert_result(stub_call("{}"), "2");
    S->here = 1;
    assert_result(stub_call("{}"), "1");
}

static void missing_scripts_are_reported(void **state)
{
    (void)state;
    assert_int_equal(stub_load_file("/nowhere/x.lua", ""), MIG_INVALID_REQUEST);
    assert_has(S->log, "/nowhere/x.lua: No such file");
}

static void config_reaches_the_script(void **state)
{
    (void)state;
    const char *script = BODY("return mig.config");
    assert_int_equal(
        stub_load_file(stub_write("c.lua", script, strlen(script)), ",\"config\":{\"url\":\"x\"}"),
        MIG_OK);
    assert_result(stub_call("{}"), "{\"url\":\"x\"}");
}

static void json_goes_both_ways(void **state)
{
    (void)state;
    assert_result(
        stub_body(BODY("local v = mig.json.decode('[1,{\"a\":null}]')\n"
                       "local bad, why = mig.json.decode('[1,')\n"
                       "return { mig.json.encode(v), bad == nil, why ~= nil, tostring(mig.null) }"),
                  "{}"),
        "[\"[1,{\\\"a\\\":null}]\",true,true,\"null\"]");
}

/* Each length and place: whole words, what is left of one, and what is too short for one. */
static void json_strings_are_escaped_wherever_it_is_wanted(void **state)
{
    (void)state;
    const char *script = BODY(
        "local escapes = { ['\"'] = '\\\\\"', ['\\\\'] = '\\\\\\\\', ['\\n'] = '\\\\n',\n"
        "                  ['\\1'] = '\\\\u0001', ['\xC3\xA9'] = '\xC3\xA9' }\n"
        "local len = call.payload.len\n"
        "local plain = ('x'):rep(len)\n"
        "if mig.json.encode(plain) ~= '\"' .. plain .. '\"' then return 'plain' end\n"
        "for at = 0, len do\n"
        "  local before, behind = ('x'):rep(at), ('y'):rep(len - at)\n"
        "  for c, escape in pairs(escapes) do\n"
        "    local text = mig.json.encode(before .. c .. behind)\n"
        "    if text ~= '\"' .. before .. escape .. behind .. '\"' or\n"
        "       mig.json.decode(text) ~= before .. c .. behind then\n"
        "      return { at, c, text }\n"
        "    end\n"
        "  end\n"
        "  if pcall(mig.json.encode, before .. '\\xFF' .. behind) then return { at, 'UTF-8' } end\n"
        "end\n"
        "return 'right'");
    assert_int_equal(stub_load(script), MIG_OK);
    for (int len = 0; len <= 40; len++) {
        char payload[32];
        snprintf(payload, sizeof payload, "{\"len\":%d}", len);
        assert_result(stub_call(payload), "\"right\"");
    }
}

static void deep_json_is_refused(void **state)
{
    (void)state;
    char payload[1024] = "{\"a\":";
    size_t n = strlen(payload);
    for (int i = 0; i < 200; i++)
        payload[n++] = '[';
    for (int i = 0; i < 200; i++)
        payload[n++] = ']';
    strcpy(payload + n, "}");
    struct stub_call *c = stub_body(BODY("return call.payload"), payload);
    assert_int_equal(c->code, MIG_INTERNAL);
    assert_has(S->log, "nested too deeply");
    payload[0] = 0;
    for (n = 0; n < 128; n++)
        payload[n] = '[', payload[255 - n] = ']';
    payload[256] = 0;
    c = stub_call(payload);
    assert_result(c, payload);
}

static void a_call_object_does_not_outlive_its_call(void **state)
{
    (void)state;
    assert_result(stub_body(BODY("local old = kept; kept = call; if old then return "
                                 "pcall(function() return old.payload end) end"),
                            "{}"),
                  "{}");
    assert_result(stub_call("{}"), "false");
}

static void require_reads_modules_once(void **state)
{
    (void)state;
    const char *m = "count = (count or 0) + 1\nreturn { n = 7, name = ... }";
    stub_write("helper.lua", m, strlen(m));
    assert_result(stub_body("local h = require 'helper'\nrequire 'helper'\n" BODY(
                                "return { h.n, count, h.name, require('helper').n }"),
                            "{}"),
                  "[7,1,\"helper\",7]");
    const mig_ext_sources *src = S->plugin->get_extension(S->self, MIG_EXT_SOURCES);
    assert_has(src->file(S->self, 0).ptr, "/test.lua");
    assert_has(src->file(S->self, 1).ptr, "/helper.lua");
    assert_int_equal(src->file(S->self, 2).len, 0);
}

static void metatables_work_as_usual(void **state)
{
    (void)state;
    assert_result(
        stub_body(
            "local Base = {} Base.__index = Base\n"
            "function Base.name(self) return 'base ' .. self.n end\n"
            "local Class = setmetatable({}, { __index = Base }) Class.__index = Class\n"
            "Class.__add = function(a, b) return a.n + b.n end\n" BODY(
                "local a, b = setmetatable({ n = 1 }, Class), setmetatable({ n = 2 }, Class)\n"
                "function Class.late() return 'late' end\n"
                "return { a:name(), a + b, a.late(), getmetatable(a) == Class, getmetatable({}) == "
                "nil,\n"
                "  getmetatable(setmetatable({}, { __metatable = 'no' })), "
                "getmetatable(setmetatable({}, nil)) == nil,\n"
                "  (pcall(setmetatable, setmetatable({}, { __metatable = 1 }), {})) }"),
            "{}"),
        "[\"base 1\",3,\"late\",true,true,\"no\",true,false]");
}

static void logs_go_to_the_host(void **state)
{
    (void)state;
    stub_body(BODY("mig.log.warn('careful', { n = 1 }) mig.log.info('plain')\n do local s <close> "
                   "= mig.log.span('work', {k='v'}) end"),
              "{}");
    assert_has(S->log, "4 careful {\"n\":1}\n");
    assert_has(S->log, "6 plain \n");
    assert_has(S->log, "6 work {\"duration_ms\":0.000,\"k\":\"v\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(returns_the_payload),
        T(returns_an_object_for_nothing),
        T(returns_scalars),
        T(keeps_integers_and_floats_apart),
        T(knows_null_and_arrays),
        T(shows_the_fields_of_a_call),
        T(a_wrong_field_of_a_call_gets_a_suggestion),
        T(returned_errors_reach_the_caller),
        T(raised_errors_stay_inside),
        T(runtime_errors_are_internal),
        T(a_result_without_json_form_names_the_place),
        T(registers_everything_that_is_said),
        T(bad_scripts_are_refused_with_the_place),
        T(all_states_must_agree),
        T(each_loop_has_its_state),
        T(missing_scripts_are_reported),
        T(config_reaches_the_script),
        T(json_goes_both_ways),
        T(json_strings_are_escaped_wherever_it_is_wanted),
        T(deep_json_is_refused),
        T(a_call_object_does_not_outlive_its_call),
        T(require_reads_modules_once),
        T(metatables_work_as_usual),
        T(logs_go_to_the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
