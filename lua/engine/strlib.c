/* strlib.c: the string library of scripts: harmless stock functions, own patterns, bounded rep and
 * format, no dump. Strings get a metatable that points at a private copy and cannot be reached. */
#include "engine.h"

#include <lualib.h>

/* string.rep(s, n [, sep]): stock, after the size is known to be fine. Upvalue: the stock one. */
static int safe_rep(lua_State *L)
{
    size_t len, sep_len = 0;

    luaL_checklstring(L, 1, &len);
    lua_Integer n = luaL_checkinteger(L, 2);
    luaL_optlstring(L, 3, "", &sep_len);
    if (n > 0 && (len + sep_len) > (size_t)STRING_MAX / (size_t)n)
        return luaL_error(L, "string.rep: the result is longer than 8 MiB");
    if (len + sep_len == 0)
        n = 0; /* a million times nothing is still a million rounds */
    lua_settop(L, 3);
    lua_pushinteger(L, n);
    lua_replace(L, 2);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    if (lua_isnil(L, 4))
        lua_pop(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

static int safe_format(lua_State *L)
{
    int n = lua_gettop(L);
    size_t sum = 0, len;

    for (int i = 1; i <= n; i++)
        if (lua_type(L, i) == LUA_TSTRING && lua_tolstring(L, i, &len))
            sum += len;
    if (sum > STRING_MAX)
        return luaL_error(L, "string.format: the result is longer than 8 MiB");
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, n, 1);
    return 1;
}

static void fill(lua_State *L, int stock, int to)
{
    static const char *const names[] = {"byte", "char", "len",      "lower",  "upper", "reverse",
                                        "sub",  "pack", "packsize", "unpack", NULL};

    for (const char *const *n = names; *n; n++) {
        lua_getfield(L, stock, *n);
        lua_setfield(L, to, *n);
    }
    lua_getfield(L, stock, "rep");
    lua_pushcclosure(L, safe_rep, 1);
    lua_setfield(L, to, "rep");
    lua_getfield(L, stock, "format");
    lua_pushcclosure(L, safe_format, 1);
    lua_setfield(L, to, "format");
    lua_pushvalue(L, to);
    luaL_setfuncs(L, pattern_functions, 0);
    lua_pop(L, 1);
}

void strlib_open(lua_State *L)
{
    lua_pushcfunction(L, luaopen_string); /* also sets a metatable for strings, replaced below */
    lua_call(L, 0, 1);
    int stock = lua_gettop(L);
    lua_newtable(L); /* what methods find: s:upper() */
    fill(L, stock, stock + 1);

    lua_pushliteral(L, "");
    lua_newtable(L);
    /* Arithmetic on numeric strings is a metamethod of the stock metatable. */
    static const char *const arith[] = {"__add", "__sub", "__mul",  "__div", "__mod",
                                        "__pow", "__unm", "__idiv", NULL};
    if (lua_getmetatable(L, stock + 2)) {
        for (const char *const *n = arith; *n; n++) {
            lua_getfield(L, -1, *n);
            lua_setfield(L, stock + 3, *n);
        }
        lua_pop(L, 1);
    }
    lua_pushvalue(L, stock + 1);
    lua_setfield(L, stock + 3, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, stock + 3, "__metatable");
    lua_setmetatable(L, stock + 2);
    lua_settop(L, stock);

    lua_newtable(L); /* what the script sees as `string`; it may change that one */
    fill(L, stock, stock + 1);
    lua_remove(L, stock);
}
