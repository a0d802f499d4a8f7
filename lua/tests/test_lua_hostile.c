/* test_lua_hostile.c: every script of tests/data/lua/hostile does what its first line says:
 *   -- expect: load TEXT | ok JSON | CODE|CODE REASON|REASON  -- why
 * within its time, and the state serves another call afterwards. */
#include "stub_host.h"

#include <dirent.h>
#include <sys/stat.h>

#include "mig/sdk/status.h"

#ifndef HOSTILE_DIR
#define HOSTILE_DIR "tests/data/lua/hostile"
#endif

static bool in_list(const char *list, const char *word)
{
    size_t n = strlen(word);

    if (!strcmp(list, "*"))
        return true;
    for (const char *p = list; (p = strstr(p, word)); p++)
        if ((p == list || p[-1] == '|') && (p[n] == 0 || p[n] == '|'))
            return true;
    return false;
}

static void check_result(const char *file, const struct stub_call *c, const char *codes,
                         const char *rest)
{
    if (c->ended != 1)
        fail_msg("%s: ended %d times", file, c->ended);
    const char *code = c->code == MIG_OK ? "ok" : mig_status_row(c->code)->name;
    if (!in_list(codes, code))
        fail_msg("%s: %s, not %s: %s %s", file, code, codes, c->result ? c->result : "", S->log);
    if (c->code == MIG_OK && strcmp(rest, "*") != 0 && strcmp(c->result, rest) != 0)
        fail_msg("%s: returned %s, not %s", file, c->result, rest);
    if (c->code == MIG_OK)
        return;
    char reason[64] = "";
    sscanf(c->details, "{\"reason\":\"%63[a-z_]", reason);
    if (!in_list(rest, reason))
        fail_msg("%s: reason %s, not %s: %s", file, reason, rest, S->log);
    assert_has_not(c->message, "traceback");
    assert_has_not(c->message, ".lua:");
}

static void check_script(const char *file)
{
    char path[512], line[512], verb[64], rest[256];

    snprintf(path, sizeof path, "%s/%s", HOSTILE_DIR, file);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    fclose(f);
    char *why = strstr(line + 3, " -- ");
    assert_non_null(why);
    *why = 0;
    assert_int_equal(sscanf(line, "-- expect: %63s %255[^\n]", verb, rest), 2);

    stub_setup(NULL);
    S->is_real_clock = true;
    mig_status s = stub_load_file(path, "");
    if (!strcmp(verb, "load")) {
        assert_int_equal(s, MIG_INVALID_REQUEST);
        assert_has(S->log, rest);
    } else {
        if (s != MIG_OK)
            fail_msg("%s: %s", file, S->log);
        uint64_t t0 = stub_cpu_ms();
        struct stub_call *c = stub_call("{}");
        uint64_t ms = stub_cpu_ms() - t0;
        if (getenv("VERBOSE"))
            print_message("%-34s %4llu ms  %s %s\n", file, (unsigned long long)ms,
                          c->code ? mig_status_row(c->code)->name : "ok",
                          c->code ? c->details : c->result);
        check_result(file, c, verb, rest);
        if (ms > 1000)
            fail_msg("%s: took %llu ms", file, (unsigned long long)ms);
        assert_result(stub_call("{\"ping\":true}"), "\"pong\"");
    }
    stub_teardown(NULL);
}

static void hostile_scripts_do_no_harm(void **state)
{
    DIR *d = opendir(HOSTILE_DIR);
    struct dirent *e;
    int n = 0;

    (void)state;
    assert_non_null(d);
    while ((e = readdir(d))) {
        const char *dot = strrchr(e->d_name, '.');
        if (!dot || strcmp(dot, ".lua") != 0)
            continue;
        check_script(e->d_name);
        n++;
    }
    closedir(d);
    assert_true(n >= 40);
}

static void a_busy_call_lets_others_run(void **state)
{
    (void)state;
    S->is_real_clock = true;
    assert_int_equal(stub_load("quick = false\n" BODY(
                         "if call.payload.quick then quick = true return 'quick' end\n"
                         "while not quick do end return 'slow'")),
                     MIG_OK);
    mig_call slow = stub_start("{}");
    assert_int_equal(stub_call_of(slow)->ended, 0); /* it gave way after about a millisecond */
    assert_result(stub_call_of(stub_start("{\"quick\":true}")), "\"quick\"");
    stub_run();
    assert_result(stub_call_of(slow), "\"slow\""); /* it ends when others had their turn */
    assert_true(S->fires > 0);
}

static void a_script_that_had_to_give_way_has_short_slices_for_a_while(void **state)
{
    (void)state;
    S->is_real_clock = true;
    assert_int_equal(
        stub_load(BODY("if call.payload.quick then return 'quick' end\nwhile true do end")),
        MIG_OK);
    stub_start("{\"quick\":true}");
    assert_int_equal(S->guard_us, 1000);
    mig_call slow = stub_start("{}");
    stub_start("{\"quick\":true}");
    assert_int_equal(S->guard_us, 50);
    stub_run();
    assert_int_equal(stub_call_of(slow)->code, MIG_TIMEOUT);
    S->is_real_clock = false;
    S->now_ms = stub_real_ns() / 1000000 + 9000;
    stub_start("{\"quick\":true}");
    assert_int_equal(S->guard_us, 50);
    S->now_ms += 1100;
    stub_start("{\"quick\":true}");
    assert_int_equal(S->guard_us, 1000);
}

static void slices_are_summed_over_suspensions(void **state)
{
    (void)state;
    S->is_real_clock = true;
    struct stub_call *c = stub_body(
        BODY("while true do local t = 0 for i = 1, 20000 do t = t + i end mig.sleep(0) end"), "{}");
    assert_int_equal(c->code, MIG_TIMEOUT);
    assert_has(c->details, "cpu_budget");
}

static void a_capability_can_have_less(void **state)
{
    (void)state;
    S->is_real_clock = true;
    assert_int_equal(stub_load("local mig = require 'mig'\n"
                               "local a = mig.capability { id = 'a.b', version = '1.0.0', budget = "
                               "{ cpu_ms = 5, memory_kb = 1000 } }\n"
                               "function a.invoke(call) if call.payload.m then return "
                               "#('x'):rep(2000000) end while true do end end"),
                     MIG_OK);
    uint64_t t0 = stub_cpu_ms();
    struct stub_call *c = stub_call("{}");
    assert_int_equal(c->code, MIG_TIMEOUT);
    assert_true(stub_cpu_ms() - t0 < 40);
    c = stub_call("{\"m\":1}");
    assert_int_equal(c->code, MIG_BACKPRESSURE);
}

static void without_a_watchdog_the_budget_holds(void **state)
{
    (void)state;
    S->is_real_clock = true;
    S->has_no_loop = true;
    struct stub_call *c =
        stub_body(BODY("while true do pcall(function() while true do end end) end"), "{}");
    assert_int_equal(c->code, MIG_TIMEOUT);
    assert_int_equal(c->ended, 1);
}

static void an_endless_close_of_a_cancelled_call_is_ended(void **state)
{
    (void)state;
    S->is_real_clock = true;
    assert_int_equal(
        stub_load(BODY(
            "if call.payload.ping then return 'pong' end\n"
            "local a <close> = setmetatable({}, { __close = function() while true do end end })\n"
            "local b <close> = setmetatable({}, { __close = function() while true do "
            "pcall(function() while true do end end) end end })\n"
            "mig.sleep(100000)")),
        MIG_OK);
    mig_call h = stub_start("{}");
    uint64_t t0 = stub_cpu_ms();
    stub_cancel(h);
    assert_true(stub_cpu_ms() - t0 < 60);
    assert_int_equal(stub_call_of(h)->ended, 1);
    assert_result(stub_call("{\"ping\":1}"), "\"pong\"");
}

static void links_out_of_the_folder_are_refused(void **state)
{
    (void)state;
    char link[128];

    stub_write("x.lua", "", 0);
    snprintf(link, sizeof link, "%s/evil.lua", stub_dir);
    unlink(link);
    assert_int_equal(symlink("/etc/passwd", link), 0);
    assert_int_equal(stub_load("require 'evil'"), MIG_INVALID_REQUEST);
    assert_has(S->log, "module 'evil' is outside the script's folder");
    assert_has_not(S->log, "root:");
}

static void bytecode_modules_are_refused(void **state)
{
    (void)state;
    stub_write("code.lua", "\x1bLuaS", 5);
    assert_int_equal(stub_load("require 'code'"), MIG_INVALID_REQUEST);
    assert_has(S->log, "code.lua:1: bytecode is refused");
}

static void running_out_of_memory_at_every_allocation_is_survived(void **state)
{
    (void)state;
    S->is_real_clock = true;
    const char *script = "hog = {}\n" BODY(
        "if call.payload.fill then\n"
        "  for i = 1, 20000 do hog[i] = false end\n"
        "  local ok, n = true, 0\n"
        "  while ok do ok = pcall(function() hog[n + 1] = ('x'):rep(30) .. n n = n + 1 end) end\n"
        "  top = n return n\n"
        "end\n"
        "hog[top] = false top = top - 1\n"
        "local t = {} for i = 1, 10 do t[i] = { i = i, s = ('x'):rep(i) } end\n"
        "local r <close> = mig.log.span('s', { a = 1 })\n"
        "local all = mig.all { function() mig.kv.put('k', t) return mig.kv.get('k') end, "
        "function() return call.payload end,\n"
        "  function() local ok, e = pcall(mig.all, { function() mig.sleep(1) error({}) end }) "
        "return ok end }\n"
        "for w in ('a b c'):gmatch('%a') do t[w] = w:gsub('.', '%0%0') end\n"
        "table.sort(all, function() return false end)\n"
        "return mig.error('MIG_TIMEOUT', 'x')");
    assert_int_equal(stub_load_file(stub_write("mem.lua", script, strlen(script)),
                                    ",\"limits\":{\"memory_kb\":1500,\"cpu_ms\":60000}"),
                     MIG_OK);
    struct stub_call *c = stub_call("{\"fill\":true}");
    if (c->code != MIG_OK)
        fail_msg("%d %s", c->code, S->log);
    int ok = 0, refused = 0;
    for (int i = 0; i < 1500; i++) {
        c = stub_call("{\"a\":[1,2,3],\"b\":{\"c\":\"d\"}}");
        assert_int_equal(c->ended, 1);
        ok += c->code == MIG_OK;
        refused += c->code == MIG_BACKPRESSURE;
        free(c->result), free(c->message), free(c->details);
        *c = (struct stub_call){0};
        S->log_len = 0;
    }
    assert_true(refused > 0);
    assert_true(ok > 0); /* in the end there is room again */
}

/* Often enough that the watchdog met it in all the places, however late it comes on a busy machine. */
static void slow_code_in_odd_places_still_works(void **state)
{
    static const char script[] =
        "function slow() local t = mig.now_ms() + 3 while mig.now_ms() < t do end end\n" BODY(
            "local out = mig.array {}\n"
            "do local a <close> = setmetatable({}, { __close = function() slow() out[#out + 1] "
            "= 'close' end }) end\n"
            "local ok, e = pcall(function() local a <close> = setmetatable({}, { __close = "
            "function() slow() out[#out + 1] = 'unwound' end }) error('x', 0) end)\n"
            "out[#out + 1] = e\n"
            "out[#out + 1] = setmetatable({}, { __index = function() slow() return 'index' end "
            "}).x\n"
            "out[#out + 1] = setmetatable({}, { __concat = function() slow() return 'concat' "
            "end }) .. 'y'\n"
            "out[#out + 1] = ('a'):gsub('a', function() slow() return 'gsub' end)\n"
            "for v in function(_, v) slow() if not v then return 'iter' end end do out[#out + "
            "1] = v end\n"
            "local t = { 2, 1 } table.sort(t, function(a, b) slow() return a < b end) out[#out "
            "+ 1] = t[1]\n"
            "local f = function(...) slow() return select('#', ...) end out[#out + 1] = f(1, "
            "2, nil)\n"
            "return out");

    (void)state;
    S->is_real_clock = true;
    assert_int_equal(stub_load(script), MIG_OK);
    for (int i = 0; i == 0 || (i < STUB_CALLS / 2 && S->fires <= 5); i++)
        assert_result(stub_call("{}"),
                      "[\"close\",\"unwound\",\"x\",\"index\",\"concat\",\"gsub\",\"iter\",1,3]");
    assert_true(S->fires > 5);
}

static void a_stream_has_its_budget_every_second(void **state)
{
    (void)state;
    assert_int_equal(
        stub_load("local mig = require 'mig'\n"
                  "local c = mig.capability { id = 'test.it', version = '1.0.0', modes = { "
                  "'server_stream' } }\n"
                  "function c.invoke(call) while true do call:send(1) mig.sleep(call.payload.ms)\n"
                  "  local t = mig.now_ms() + 2 while mig.now_ms() < t do end end end"),
        MIG_OK);
    S->is_real_clock = true;
    mig_call h = stub_start_mode(0, "{\"ms\":0}", MIG_MODE_SERVER_STREAM);
    uint64_t t0 = stub_cpu_ms();
    stub_run();
    assert_int_equal(stub_call_of(h)->code, MIG_TIMEOUT); /* too busy: ended soon */
    assert_true(stub_cpu_ms() - t0 < 200);
}

/* The watchdog strikes at random moments of calls and returns, collection, and deep stacks: nothing
 * is missed, nothing is torn. */
static void the_watchdog_may_strike_anywhere(void **state)
{
    (void)state;
    S->is_real_clock = true;
    const char *script =
        BODY("local function deep(n) local t = { n } if n == 0 then return 0 end return deep(n - "
             "1) + #t end\n"
             "local stop = mig.now_ms() + 3 local n = 0\n"
             "if call.payload.kind == 0 then while true do end end\n"
             "if call.payload.kind == 1 then while true do deep(call.payload.n) end end\n"
             "if call.payload.kind == 2 then while true do (function() end)() end end\n"
             "while mig.now_ms() < stop do n = n + deep(call.payload.n) end return n >= 0");
    assert_int_equal(stub_load_file(stub_write("strike.lua", script, strlen(script)),
                                    ",\"limits\":{\"cpu_ms\":4}"),
                     MIG_OK);
    for (int i = 0; i < 120; i++) {
        char payload[64];
        snprintf(payload, sizeof payload, "{\"kind\":%d,\"n\":%d}", i % 4, i % 150);
        uint64_t t0 = stub_cpu_ms();
        struct stub_call *c = stub_call(payload);
        assert_int_equal(c->ended, 1);
        if (i % 4 < 3)
            assert_int_equal(c->code, MIG_TIMEOUT);
        assert_true(stub_cpu_ms() - t0 < 500);
        free(c->result), free(c->message), free(c->details);
        *c = (struct stub_call){0};
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_scripts_do_no_harm),
        T(a_busy_call_lets_others_run),
        T(a_script_that_had_to_give_way_has_short_slices_for_a_while),
        T(slices_are_summed_over_suspensions),
        T(a_capability_can_have_less),
        T(without_a_watchdog_the_budget_holds),
        T(an_endless_close_of_a_cancelled_call_is_ended),
        T(links_out_of_the_folder_are_refused),
        T(bytecode_modules_are_refused),
        T(the_watchdog_may_strike_anywhere),
        T(slow_code_in_odd_places_still_works),
        T(a_stream_has_its_budget_every_second),
        T(running_out_of_memory_at_every_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
