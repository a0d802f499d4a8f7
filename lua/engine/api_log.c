/* api_log.c: mig.log.error, warn, info, debug and mig.log.span. */
#include "engine.h"

#include <string.h>

static int log_line(lua_State *L)
{
    struct state *st = state_of(L);
    const mig_host *h = st->engine->host;
    mig_str text = {NULL, 0};

    text.ptr = luaL_checklstring(L, 1, &text.len);
    st->out.len = 0;
    if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        json_write(L, st, 2, "fields");
        luaL_argcheck(L, st->out.ptr[0] == '{', 2, "fields are named");
    }
    h->log(h, (uint32_t)lua_tointeger(L, lua_upvalueindex(1)), text,
           (mig_str){st->out.ptr, st->out.len});
    return 0;
}

/* local s <close> = mig.log.span(name, fields): one line with the duration when it is closed. */
static int span_new(lua_State *L)
{
    struct state *st = state_of(L);
    const mig_host *h = st->engine->host;

    luaL_checkstring(L, 1);
    lua_settop(L, 2);
    st->out.len = 0;
    if (!lua_isnil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        json_write(L, st, 2, "fields");
        luaL_argcheck(L, st->out.ptr[0] == '{', 2, "fields are named");
    }
    uint64_t *start = lua_newuserdatauv(L, sizeof *start, 2);
    *start = h->now_ns(h);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    lua_pushlstring(L, st->out.ptr ? st->out.ptr : "", st->out.len);
    lua_setiuservalue(L, -2, 2);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_setmetatable(L, -2);
    return 1;
}

static int span_close(lua_State *L)
{
    struct state *st = state_of(L);
    const mig_host *h = st->engine->host;
    uint64_t *start = lua_touserdata(L, 1);
    mig_str name = {NULL, 0};
    size_t len = 0;

    if (!start || lua_getiuservalue(L, 1, 1) != LUA_TSTRING)
        return luaL_error(L, "not a span");
    name.ptr = lua_tolstring(L, -1, &name.len);
    lua_getiuservalue(L, 1, 2);
    const char *fields = lua_tolstring(L, -1, &len);
    st->out.len = 0;
    buf_addf(&st->out, "{\"duration_ms\":%.3f", (double)(h->now_ns(h) - *start) / 1e6);
    if (!lua_isnoneornil(L, 2))
        buf_addf(&st->out, ",\"failed\":true");
    if (len > 2) { /* "{...}" without its first brace */
        buf_add(&st->out, ",", 1);
        buf_add(&st->out, fields + 1, len - 1);
    } else {
        buf_add(&st->out, "}", 1);
    }
    h->log(h, MIG_LOG_INFO, name, (mig_str){st->out.ptr, st->out.len});
    return 0;
}

void api_log_open(lua_State *L)
{
    static const struct {
        const char *name;
        lua_Integer level;
    } levels[] = {{"error", MIG_LOG_ERROR},
                  {"warn", MIG_LOG_WARN},
                  {"info", MIG_LOG_INFO},
                  {"debug", MIG_LOG_DEBUG}};

    lua_newtable(L);
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        lua_pushinteger(L, levels[i].level);
        lua_pushcclosure(L, log_line, 1);
        lua_setfield(L, -2, levels[i].name);
    }
    lua_newtable(L);
    lua_pushcfunction(L, span_close);
    lua_setfield(L, -2, "__close");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pushcclosure(L, span_new, 1);
    lua_setfield(L, -2, "span");
    lua_setfield(L, -2, "log");
}
