/* sandbox.c: the environment of a script. What is not put here does not exist for it: no io, os
 * beyond the clock, package, debug, load, dofile, coroutine, string.dump.
 *
 * Replaced: xpcall (stock handlers run inside the failing frame, where no hook can stop them),
 * setmetatable and getmetatable (below), collectgarbage, os.date. */
#include "engine.h"

#include <lualib.h>
#include <string.h>

/* What a script gives to setmetatable is not what its tables get: they get a copy that only the
 * engine can reach, without __gc (finalizers run without hooks) and __mode (a chain of tables with
 * weak keys keeps the collector busy for seconds, in C). The copy is shared by all tables with that
 * metatable and is brought up to date at each setmetatable. */
static const char *const events[] = {
    "__index", "__newindex", "__call", "__close", "__tostring", "__name",  "__metatable",
    "__len",   "__eq",       "__lt",   "__le",    "__concat",   "__pairs", "__add",
    "__sub",   "__mul",      "__div",  "__mod",   "__pow",      "__unm",   "__idiv",
    "__band",  "__bor",      "__bxor", "__shl",   "__shr",      "__bnot",  NULL};
static const char original; /* its address is the key under which a copy knows its original */
static const char copies;   /* registry: original to copy, weak values */

static int safe_getmetatable(lua_State *L)
{
    luaL_checkany(L, 1);
    if (lua_type(L, 1) == LUA_TSTRING || !lua_getmetatable(L, 1)) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushliteral(L, "__metatable");
    if (lua_rawget(L, -2) == LUA_TNIL)
        lua_rawgetp(L, -2, &original);
    return 1;
}

/* The copy of the table at 2 onto the stack. */
static void push_copy(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &copies);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, -2) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, 2);
        lua_rawsetp(L, -2, &original);
        lua_pushvalue(L, 2);
        lua_pushvalue(L, -2);
        lua_rawset(L, -4);
    }
    int first = lua_upvalueindex(1); /* the names, as strings that exist already */
    for (int i = 0; events[i]; i++) {
        lua_rawgeti(L, first, i + 1);
        lua_pushvalue(L, -1);
        lua_rawget(L, 2);
        lua_rawset(L, -3);
    }
}

static int safe_setmetatable(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, lua_isnil(L, 2) || lua_istable(L, 2), 2, "nil or table");
    lua_settop(L, 2);
    if (lua_getmetatable(L, 1)) {
        lua_pushliteral(L, "__metatable");
        if (lua_rawget(L, -2) != LUA_TNIL)
            return luaL_error(L, "cannot change a protected metatable");
        lua_settop(L, 2);
    }
    if (lua_istable(L, 2)) {
        static const char *const refused[] = {"__gc", "__mode", NULL};
        for (const char *const *r = refused; *r; r++) {
            lua_pushstring(L, *r);
            if (lua_rawget(L, 2) != LUA_TNIL)
                return luaL_error(L, "%s is not available in this sandbox", *r);
            lua_pop(L, 1);
        }
        push_copy(L);
    }
    lua_setmetatable(L, 1);
    lua_settop(L, 1);
    return 1;
}

static void open_metatables(lua_State *L, int env)
{
    lua_newtable(L);
    lua_newtable(L);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &copies);
    lua_newtable(L);
    for (int i = 0; events[i]; i++) {
        lua_pushstring(L, events[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_pushcclosure(L, safe_setmetatable, 1);
    lua_setfield(L, env, "setmetatable");
}

static int safe_collectgarbage(lua_State *L)
{
    const char *what = luaL_optstring(L, 1, "collect");

    if (strcmp(what, "count") != 0)
        return luaL_error(L, "collectgarbage(\"%s\") is not available; only \"count\" is", what);
    lua_pushnumber(L, (lua_Number)state_of(L)->used / 1024);
    return 1;
}

/* os.date expands its format with one strftime per item, in C. Upvalue: the stock function. */
static int safe_date(lua_State *L)
{
    size_t len;

    luaL_optlstring(L, 1, "", &len);
    luaL_argcheck(L, len <= 256, 1, "the format is longer than 256 characters");
    int n = lua_gettop(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, n, 1);
    return 1;
}

/* xpcall(f, handler, ...): as in Lua, except that the handler runs after the stack was unwound.
 * Slots: 1 handler, 2 "true", then f and its arguments. */
static int handled(lua_State *L, int status, lua_KContext ctx)
{
    if (ctx == 0) { /* f is back */
        if (status == LUA_OK || status == LUA_YIELD)
            return lua_gettop(L) - 1;
        lua_pushvalue(L, 1);
        lua_insert(L, -2);
        status = lua_pcallk(L, 1, 1, 0, 1, handled);
    }
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

static int safe_xpcall(lua_State *L)
{
    int n = lua_gettop(L);

    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushvalue(L, 2);
    lua_insert(L, 1); /* handler, f, handler, args      */
    lua_remove(L, 3); /* handler, f, args               */
    lua_pushboolean(L, 1);
    lua_insert(L, 2); /* handler, true, f, args         */
    return handled(L, lua_pcallk(L, n - 2, LUA_MULTRET, 0, 0, handled), 0);
}

static void copy(lua_State *L, int from, int to, const char *const *names)
{
    for (; *names; names++) {
        lua_getfield(L, from, *names);
        lua_setfield(L, to, *names);
    }
}

/* A library of stock functions, reduced to `names`, into the environment at `env`. */
static void open_part(lua_State *L, int env, const char *name, lua_CFunction open,
                      const char *const *names)
{
    lua_pushcfunction(L, open);
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
    lua_newtable(L);
    copy(L, lua_gettop(L) - 1, lua_gettop(L), names);
    lua_setfield(L, env, name);
    lua_pop(L, 1);
}

static const luaL_Reg own[] = {
    {"getmetatable", safe_getmetatable},

    {"collectgarbage", safe_collectgarbage},
    {"xpcall", safe_xpcall},
    {"require", load_require},
    {NULL, NULL},
};

void sandbox_open(lua_State *L, struct state *st)
{
    static const char *const base[] = {
        "select", "pairs",  "ipairs", "next",   "type",     "tostring", "tonumber", "pcall",
        "error",  "assert", "rawget", "rawset", "rawequal", "rawlen",   "_VERSION", NULL};
    static const char *const math[] = {
        "abs", "acos",       "asin", "atan",      "ceil", "cos",    "deg",
        "exp", "floor",      "fmod", "huge",      "log",  "max",    "maxinteger",
        "min", "mininteger", "modf", "pi",        "rad",  "random", "randomseed",
        "sin", "sqrt",       "tan",  "tointeger", "type", "ult",    NULL};
    static const char *const utf8[] = {"char", "charpattern", "codepoint", "codes",
                                       "len",  "offset",      NULL};
    static const char *const os[] = {"time", "clock", "date", "difftime", NULL};

    lua_newtable(L);
    int env = lua_gettop(L);
    /* The base library opens into the state's global table, which no script ever sees. */
    lua_pushcfunction(L, luaopen_base);
    lua_call(L, 0, 1);
    copy(L, lua_gettop(L), env, base);
    lua_pop(L, 1);
    open_part(L, env, "math", luaopen_math, math);
    open_part(L, env, "utf8", luaopen_utf8, utf8);
    open_part(L, env, "os", luaopen_os, os);
    lua_getfield(L, env, "os");
    lua_getfield(L, -1, "date");
    lua_pushcclosure(L, safe_date, 1);
    lua_setfield(L, -2, "date");
    lua_pop(L, 1);
    tablelib_open(L);
    lua_setfield(L, env, "table");
    strlib_open(L);
    lua_setfield(L, env, "string");
    luaL_setfuncs(L, own, 0);
    open_metatables(L, env);
    lua_rawgeti(L, LUA_REGISTRYINDEX, st->mig_ref);
    lua_setfield(L, env, "mig");
    lua_pushvalue(L, env);
    lua_setfield(L, env, "_G");
}
