/* api.c: the table `mig`. */
#include "engine.h"

#include <string.h>

static const char *const later[] = {"http", "publish", "on", "route", "cache", "metric", NULL};
static const char *const names[] = {"capability", "every", "kv",     "invoke", "sleep",
                                    "all",        "log",   "config", "error",  "null",
                                    "array",      "json",  "now_ms", NULL};

static int unknown_name(lua_State *L)
{
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2);

    for (const char *const *n = later; *n; n++)
        if (!strcmp(*n, key))
            return luaL_error(L, "mig.%s is not available in this version", key);
    const char *near = near_match(key, names);
    return near ? luaL_error(L, "mig has no '%s'; did you mean mig.%s?", key, near)
                : luaL_error(L, "mig has no '%s'", key);
}

static int read_only(lua_State *L)
{
    return luaL_error(L, "mig is read-only");
}

static int make_array(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, state_of(L)->array_mt_ref);
    if (lua_getmetatable(L, 1) && !lua_rawequal(L, -1, 2))
        return luaL_error(L, "mig.array: the table has a metatable already");
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

static int json_encode(lua_State *L)
{
    struct state *st = state_of(L);

    luaL_checkany(L, 1);
    json_write(L, st, 1, "value");
    lua_pushlstring(L, st->out.ptr, st->out.len);
    return 1;
}

static int json_decode(lua_State *L)
{
    size_t len;
    const char *why = "", *text = luaL_checklstring(L, 1, &len);

    if (json_push(L, state_of(L), text, len, &why))
        return 1;
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
}

static int now_ms(lua_State *L)
{
    const mig_host *h = state_of(L)->engine->host;

    lua_pushinteger(L, (lua_Integer)(h->now_ns(h) / 1000000));
    return 1;
}

static int null_tostring(lua_State *L)
{
    lua_pushliteral(L, "null");
    return 1;
}

static int error_tostring(lua_State *L)
{
    if (!error_is(L, 1))
        return luaL_typeerror(L, 1, "mig.error");
    lua_pushliteral(L, "code");
    lua_rawget(L, 1);
    lua_pushliteral(L, ": ");
    lua_pushliteral(L, "message");
    lua_rawget(L, 1);
    if (lua_type(L, -1) != LUA_TSTRING || lua_type(L, -3) != LUA_TSTRING)
        return lua_pushliteral(L, "mig.error"), 1;
    lua_concat(L, 3);
    return 1;
}

static void push_meta(lua_State *L, const char *name, lua_CFunction tostring)
{
    lua_newtable(L);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__name");
    lua_pushcfunction(L, tostring);
    lua_setfield(L, -2, "__tostring");
}

static const luaL_Reg functions[] = {{"capability", capability_declare},
                                     {"every", capability_every},
                                     {"invoke", api_wait_invoke},
                                     {"sleep", api_wait_sleep},
                                     {"all", api_wait_all},
                                     {"error", error_make},
                                     {"array", make_array},
                                     {"now_ms", now_ms},
                                     {NULL, NULL}};
static const luaL_Reg json[] = {{"encode", json_encode}, {"decode", json_decode}, {NULL, NULL}};
static const luaL_Reg guard[] = {
    {"__index", unknown_name}, {"__newindex", read_only}, {NULL, NULL}};

void api_open(lua_State *L, struct state *st)
{
    const char *why = "";

    push_meta(L, "mig.error", error_tostring);
    st->error_mt_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    luaL_newlib(L, functions);
    luaL_newlib(L, json);
    lua_setfield(L, -2, "json");
    api_wait_open_kv(L);
    api_log_open(L);
    lua_pushlightuserdata(L, NULL);
    push_meta(L, "mig.null", null_tostring);
    lua_setmetatable(L, -2); /* of all light userdata; a script never sees another */
    lua_setfield(L, -2, "null");
    if (!json_push(L, st, st->engine->config, strlen(st->engine->config), &why))
        luaL_error(L, "the configuration cannot be read: %s", why);
    lua_setfield(L, -2, "config");
    luaL_newlib(L, guard);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
}
