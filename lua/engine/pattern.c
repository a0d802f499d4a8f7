/* pattern.c: string.find, match, gmatch, gsub of scripts. They behave like the stock ones. */
#include "pattern.h"

#include <ctype.h>
#include <string.h>

/* --- captures
 * ---------------------------------------------------------------------------------------- */

static void push_capture(struct matcher *m, int i, const char *s, const char *end)
{
    if (i >= m->level) {
        if (i != 0)
            luaL_error(m->L, "invalid capture index %%%d", i + 1);
        lua_pushlstring(m->L, s, (size_t)(end - s)); /* no captures: the whole match */
        return;
    }
    if (m->cap[i].len == OPEN)
        luaL_error(m->L, "unfinished capture");
    if (m->cap[i].len == POSITION)
        lua_pushinteger(m->L, m->cap[i].at - m->begin + 1);
    else
        lua_pushlstring(m->L, m->cap[i].at, (size_t)m->cap[i].len);
}

/* s == NULL: none when the pattern has none (string.find). */
static int push_captures(struct matcher *m, const char *s, const char *end)
{
    int n = m->level == 0 && s ? 1 : m->level;

    luaL_checkstack(m->L, n, "too many captures");
    for (int i = 0; i < n; i++)
        push_capture(m, i, s, end);
    return n;
}

static size_t start_of(lua_State *L, int index, size_t len)
{
    lua_Integer i = luaL_optinteger(L, index, 1);

    if (i > 0)
        return (lua_Unsigned)i - 1 > len ? len + 1 : (size_t)i - 1;
    if (i == 0 || i < -(lua_Integer)len)
        return 0;
    return len - (size_t)-i;
}

static int find_or_match(lua_State *L, bool is_find)
{
    size_t len, plen;
    const char *s = luaL_checklstring(L, 1, &len);
    const char *p = luaL_checklstring(L, 2, &plen);
    size_t start = start_of(L, 3, len);

    if (start > len)
        return lua_pushnil(L), 1;
    if (is_find && (lua_toboolean(L, 4) || (!memchr(p, 0, plen) && !strpbrk(p, "^$*+?.([%-")))) {
        /* memmem is linear, so plain text needs no steps */
        const char *at = plen ? memmem(s + start, len - start, p, plen) : s + start;
        if (!at)
            return lua_pushnil(L), 1;
        lua_pushinteger(L, at - s + 1);
        lua_pushinteger(L, at - s + (lua_Integer)plen);
        return 2;
    }
    struct matcher m;
    matcher_init(&m, L, s, len, p, plen);
    bool is_anchored = plen && *p == '^';
    p += is_anchored;
    for (const char *at = s + start; at <= m.end; at++) {
        const char *end = match_at(&m, at, p);
        if (end && is_find) {
            lua_pushinteger(L, at - s + 1);
            lua_pushinteger(L, end - s);
            return 2 + push_captures(&m, NULL, NULL);
        }
        if (end)
            return push_captures(&m, at, end);
        if (is_anchored)
            break;
    }
    return lua_pushnil(L), 1;
}

static int str_find(lua_State *L)
{
    return find_or_match(L, true);
}

static int str_match(lua_State *L)
{
    return find_or_match(L, false);
}

/* Upvalues: subject, pattern, where to go on, end of the last match (so that an empty one does not
 * repeat at the same place). */
static int gmatch_next(lua_State *L)
{
    size_t len, plen;
    const char *s = lua_tolstring(L, lua_upvalueindex(1), &len);
    const char *p = lua_tolstring(L, lua_upvalueindex(2), &plen);
    size_t start = (size_t)lua_tointeger(L, lua_upvalueindex(3));
    lua_Integer last = lua_tointeger(L, lua_upvalueindex(4));
    struct matcher m;

    matcher_init(&m, L, s, len, p, plen);
    for (; start <= len; start++) {
        const char *end = match_at(&m, s + start, p);
        if (!end || end - s == last)
            continue;
        lua_pushinteger(L, end - s);
        lua_pushvalue(L, -1);
        lua_replace(L, lua_upvalueindex(3));
        lua_replace(L, lua_upvalueindex(4));
        return push_captures(&m, s + start, end);
    }
    lua_pushinteger(L, (lua_Integer)len + 1);
    lua_replace(L, lua_upvalueindex(3));
    return 0;
}

static int str_gmatch(lua_State *L)
{
    size_t len;

    luaL_checklstring(L, 1, &len);
    luaL_checkstring(L, 2);
    size_t start = start_of(L, 3, len);
    lua_settop(L, 2);
    lua_pushinteger(L, (lua_Integer)start);
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, gmatch_next, 4);
    return 1;
}

/* --- gsub
 * -----------------------------------------------------------------------------------------------
 */

/* %0 .. %9 and %% in a replacement text. */
static void add_text(struct matcher *m, luaL_Buffer *b, const char *s, const char *end)
{
    size_t len, cap_len;
    const char *r = lua_tolstring(m->L, 3, &len), *rend = r + len;

    for (const char *pct; (pct = memchr(r, '%', (size_t)(rend - r))); r = pct + 2) {
        luaL_addlstring(b, r, (size_t)(pct - r));
        if (pct + 1 < rend && pct[1] == '%') {
            luaL_addchar(b, '%');
        } else if (pct + 1 < rend && pct[1] == '0') {
            luaL_addlstring(b, s, (size_t)(end - s));
        } else if (pct + 1 < rend && isdigit((unsigned char)pct[1])) {
            push_capture(m, pct[1] - '1', s, end);
            luaL_tolstring(m->L, -1, &cap_len);
            lua_remove(m->L, -2);
            luaL_addvalue(b);
        } else {
            luaL_error(m->L, "invalid use of '%%' in replacement string");
        }
    }
    luaL_addlstring(b, r, (size_t)(rend - r));
}

static void add_replacement(struct matcher *m, luaL_Buffer *b, const char *s, const char *end,
                            int type)
{
    lua_State *L = m->L;

    if (type == LUA_TFUNCTION) {
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(m, s, end), 1);
    } else if (type == LUA_TTABLE) {
        push_capture(m, 0, s, end);
        lua_gettable(L, 3);
    } else {
        add_text(m, b, s, end);
        return;
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(b, s, (size_t)(end - s));
    } else if (lua_isstring(L, -1)) {
        luaL_addvalue(b);
    } else {
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    }
}

static int str_gsub(lua_State *L)
{
    size_t len, plen;
    const char *s = luaL_checklstring(L, 1, &len);
    const char *p = luaL_checklstring(L, 2, &plen);
    int type = lua_type(L, 3);
    lua_Integer max = luaL_optinteger(L, 4, (lua_Integer)len + 1), n = 0;
    bool is_anchored = plen && *p == '^';
    const char *last = NULL; /* end of the last match */
    struct matcher m;
    luaL_Buffer b;

    luaL_argexpected(L,
                     type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION ||
                         type == LUA_TTABLE,
                     3, "string/function/table");
    if (type == LUA_TNUMBER) {
        lua_tostring(L, 3);
        type = LUA_TSTRING;
    }
    matcher_init(&m, L, s, len, p, plen);
    luaL_buffinit(L, &b);
    p += is_anchored;
    while (n < max) {
        const char *end = match_at(&m, s, p);
        if (end && end != last) {
            n++;
            budget_tick(L);
            add_replacement(&m, &b, s, end, type);
            s = last = end;
        } else if (s < m.end) {
            luaL_addchar(&b, *s++);
        } else {
            break;
        }
        if (is_anchored)
            break;
    }
    luaL_addlstring(&b, s, (size_t)(m.end - s));
    luaL_pushresult(&b);
    lua_pushinteger(L, n);
    return 2;
}

const luaL_Reg pattern_functions[] = {{"find", str_find},
                                      {"match", str_match},
                                      {"gmatch", str_gmatch},
                                      {"gsub", str_gsub},
                                      {NULL, NULL}};
