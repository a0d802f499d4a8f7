/* error.c: mig.error, the failures that callers may see. */
#include "engine.h"

#include <string.h>

static const char *const names[] = {
    "MIG_INVALID_REQUEST",        "MIG_UNAUTHORIZED",     "MIG_FORBIDDEN", "MIG_NOT_FOUND",
    "MIG_UNSUPPORTED_CAPABILITY", "MIG_VERSION_MISMATCH", "MIG_TIMEOUT",   "MIG_RATE_LIMITED",
    "MIG_BACKPRESSURE",           "MIG_UNAVAILABLE",      "MIG_INTERNAL",  NULL};

mig_status error_code(const char *name, size_t len)
{
    for (mig_status i = 0; names[i]; i++)
        if (strlen(names[i]) == len && !memcmp(names[i], name, len))
            return i + 1;
    return MIG_OK;
}

bool error_is(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TTABLE || !lua_getmetatable(L, index))
        return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, state_of(L)->error_mt_ref);
    bool is = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return is;
}

static void mark(lua_State *L)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, state_of(L)->error_mt_ref);
    lua_setmetatable(L, -2);
}

int error_make(lua_State *L)
{
    size_t len;
    const char *code = luaL_checklstring(L, 1, &len);

    if (!error_code(code, len)) {
        const char *near = near_match(code, names);
        return luaL_error(L,
                          near ? "mig.error: unknown code '%s'; did you mean '%s'?"
                               : "mig.error: unknown code '%s'",
                          code, near);
    }
    luaL_checkstring(L, 2);
    if (!lua_isnoneornil(L, 3))
        luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);
    lua_createtable(L, 0, 3);
    static const char *const keys[] = {"code", "message", "details"};
    for (int i = 0; i < 3; i++) {
        lua_pushvalue(L, i + 1);
        lua_setfield(L, 4, keys[i]);
    }
    mark(L);
    return 1;
}

/* A failure of the host or of another capability. Details that are no JSON are left out. */
void error_push(lua_State *L, mig_status code, mig_str message, mig_str details,
                uint32_t retry_after_ms)
{
    const char *why;

    if (code == MIG_E_NOMEM)
        code = MIG_BACKPRESSURE;
    if (code < 1 || code > MIG_INTERNAL)
        code = MIG_INTERNAL;
    lua_createtable(L, 0, 4);
    lua_pushstring(L, names[code - 1]);
    lua_setfield(L, -2, "code");
    lua_pushlstring(L, message.ptr ? message.ptr : "", message.len);
    lua_setfield(L, -2, "message");
    if (details.len && json_push(L, state_of(L), details.ptr, details.len, &why))
        lua_setfield(L, -2, "details");
    if (retry_after_ms) {
        lua_pushinteger(L, retry_after_ms);
        lua_setfield(L, -2, "retry_after_ms");
    }
    mark(L);
}
