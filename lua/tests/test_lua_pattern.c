/* test_lua_pattern.c: our pattern matching agrees with the stock one, on a table of cases and on
 * random patterns over a small alphabet. Ours is the library of a sandbox state; stock is
 * luaopen_string. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "stub_host.h"

/* Both sides run this text; `string` is theirs. Results and errors are flattened to one string. */
static const char runner[] =
    "local string, table, tostring, select, pcall, type = string, table, tostring, select, pcall, "
    "type\n"
    "local function flat(ok, ...)\n"
    "  local t = { tostring(ok) }\n"
    "  for i = 1, select('#', ...) do t[#t + 1] = tostring((select(i, ...))) end\n"
    "  return table.concat(t, '|')\n"
    "end\n"
    "function run(s, p)\n"
    "  local out = { flat(pcall(string.find, s, p)), flat(pcall(string.match, s, p)), "
    "flat(pcall(string.find, s, p, 3)),\n"
    "    flat(pcall(string.find, s, p, -2)), flat(pcall(string.match, s, p, 1)), "
    "flat(pcall(string.gsub, s, p, '<%0%1>')),\n"
    "    flat(pcall(string.gsub, s, p, '%%', 2)), flat(pcall(string.gsub, s, p, { a = 'A', b = "
    "false })),\n"
    "    flat(pcall(string.gsub, s, p, function(a, b) return b and b or a end)) }\n"
    "  out[#out + 1] = flat(pcall(function() local t = {} for a, b in string.gmatch(s, p) do t[#t "
    "+ 1] = tostring(a) .. ',' .. tostring(b)\n"
    "    if #t > 50 then break end end return table.concat(t, ';') end))\n"
    "  return table.concat(out, '\\n')\n"
    "end\n";

static const char ours_script[] =
    "local mig = require 'mig'\n"
    "local c = mig.capability { id = 'test.it', version = '1.0.0' }\n"
    "function c.invoke(call) local out = mig.array {} for i, q in ipairs(call.payload) do out[i] = "
    "run(q[1], q[2]) end return out end\n";

static lua_State *stock;

static const char *run_stock(const char *s, const char *p)
{
    lua_settop(stock, 0);
    lua_getglobal(stock, "run");
    lua_pushstring(stock, s);
    lua_pushstring(stock, p);
    if (lua_pcall(stock, 2, 1, 0) != LUA_OK)
        fail_msg("stock: %s", lua_tostring(stock, -1));
    return lua_tostring(stock, -1);
}

static void quote(char *to, const char *s)
{
    *to++ = '"';
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            *to++ = '\\';
        *to++ = *s;
    }
    strcpy(to, "\"");
}

static void compare(const char *s, const char *p)
{
    char payload[512], qs[200], qp[200], expected[8192], *e = expected;

    quote(qs, s);
    quote(qp, p);
    snprintf(payload, sizeof payload, "[[%s,%s]]", qs, qp);
    struct stub_call *c = stub_call(payload);
    if (c->code != MIG_OK)
        fail_msg("'%s' '%s': %s", s, p, S->log);
    e += sprintf(e, "[\"");
    for (const char *r = run_stock(s, p); *r; r++) {
        if (*r == '\n')
            *e++ = '\\', *e++ = 'n';
        else {
            if (*r == '"' || *r == '\\')
                *e++ = '\\';
            *e++ = *r;
        }
    }
    strcpy(e, "\"]");
    if (strcmp(c->result, expected) != 0)
        fail_msg("subject '%s' pattern '%s':\nours  %s\nstock %s", s, p, c->result, expected);
    free(c->result), free(c->message), free(c->details);
    *c = (struct stub_call){0};
}

static void prepare(void)
{
    char script[8192];

    snprintf(script, sizeof script, "%s%s", runner, ours_script);
    S->is_real_clock = true;
    if (stub_load_file(stub_write("test.lua", script, strlen(script)),
                       ",\"limits\":{\"cpu_ms\":60000}") != MIG_OK)
        fail_msg("%s", S->log);
    stock = luaL_newstate();
    luaL_openlibs(stock);
    if (luaL_loadbuffer(stock, runner, strlen(runner), "@test.lua") || lua_pcall(stock, 0, 0, 0))
        fail_msg("%s", lua_tostring(stock, -1));
}

static void agrees_on_chosen_cases(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"hello world", "o w"},
        {"hello world", "(%w+) (%w+)"},
        {"  trim  ", "^%s*(.-)%s*$"},
        {"key = value", "^(%w+)%s*=%s*(%w+)$"},
        {"THE (quick) fox", "%((%a+)%)"},
        {"f(a(b)c)d", "%b()"},
        {"THE (quick) fox", "%f[%a]%a+%f[%A]"},
        {"abcabc", "(abc)%1"},
        {"aaa", "a-"},
        {"aaa", "a-$"},
        {"aaab", "a-b"},
        {"", ""},
        {"abc", ""},
        {"abc", "()"},
        {"abc", "()b()"},
        {"a.b", "."},
        {"a.b", "%."},
        {"a]b", "[]]"},
        {"a]b", "[^]]"},
        {"a-b", "[a-]"},
        {"a-b", "[%a-]"},
        {"x^y", "[x^]"},
        {"2024-01-31", "(%d+)-(%d+)-(%d+)"},
        {"abc", "[a-c]+"},
        {"abc", "[c-a]+"},
        {"abc", "%"},
        {"abc", "[a"},
        {"abc", "[a%"},
        {"abc", "(a"},
        {"abc", "a)"},
        {"abc", "%1"},
        {"abc", "(a)%2"},
        {"abc", "%b"},
        {"abc", "%bx"},
        {"abc", "%f"},
        {"abc", "%fa"},
        {"abc", "a?b?c?d?"},
        {"aab", "a?ab"},
        {"abc", "^b"},
        {"abc", "a$"},
        {"a$c", "a$c"},
        {"abc", "c$"},
        {"abcd", "(a)(b)(c)(d)"},
        {"abc", "((a)(b))"},
        {"x", "[%]]"},
        {"aXb", "%u"},
        {"aXb", "%U+"},
        {"ab12", "%x+"},
        {"a_b", "%p"},
        {"abc", "()a()"},
        {"abc", "(()a)%1"},
        {"abab", "(ab)*"},
        {"abab", "[]"},
        {"abab", "[^]"},
        {"a%b", "%%"},
        {"a*", "*"},
        {"a+", "^*"},
        {"-", "-"},
        {"abc", "%g+"},
        {"abc", "[%g]+"},
        {"hello", "l+()"},
        {"abc", "(a)(b)%2"},
    };
    prepare();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        compare(cases[i][0], cases[i][1]);
    lua_close(stock);
}

static void agrees_on_random_cases(void **state)
{
    (void)state;
    static const char alphabet[] = "aab%()[].*+-?$^]b1f";
    static const char letters[] = "aab(b)1";
    uint32_t seed = 12345;

    prepare();
    for (int i = 0; i < 6000; i++) {
        char s[10], p[9];
        int n = 0;
        for (seed = seed * 1664525 + 1013904223; n < (int)(seed >> 28) % 9; n++)
            s[n] = letters[((seed ^ (unsigned)n * 2654435761u) >> 9) % (sizeof letters - 1)];
        s[n] = 0;
        n = 0;
        int len = 1 + (int)(seed >> 20) % 7;
        for (; n < len; n++) {
            seed = seed * 1664525 + 1013904223;
            p[n] = alphabet[(seed >> 16) % (sizeof alphabet - 1)];
        }
        p[n] = 0;
        compare(s, p);
    }
    lua_close(stock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {T(agrees_on_chosen_cases), T(agrees_on_random_cases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
