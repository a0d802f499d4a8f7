/* tablelib.c: the table library of scripts. Loops in C see no hook, so whatever could run long with
 * hostile metatables works on plain access here, and sort is an own merge sort (stable, always
 * n log n, whatever the comparator answers) that asks budget_tick between comparisons. */
#include "engine.h"

#include <lualib.h>

static void check_plain(lua_State *L, int index, const char *what)
{
    static const char *const events[] = {"__index", "__newindex", "__len", NULL};

    luaL_checktype(L, index, LUA_TTABLE);
    if (!lua_getmetatable(L, index))
        return;
    for (const char *const *e = events; *e; e++) {
        lua_pushstring(L, *e);
        if (lua_rawget(L, -2) != LUA_TNIL)
            luaL_error(L, "%s: the table has a metatable with %s; only plain tables here", what,
                       *e);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* The stock function is the upvalue; its loops are bounded once the table is plain. */
static int call_stock(lua_State *L)
{
    int n = lua_gettop(L);

    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, n, LUA_MULTRET);
    return lua_gettop(L);
}

static int safe_insert(lua_State *L)
{
    check_plain(L, 1, "table.insert");
    return call_stock(L);
}

static int safe_remove(lua_State *L)
{
    check_plain(L, 1, "table.remove");
    return call_stock(L);
}

static int safe_move(lua_State *L)
{
    lua_Integer f = luaL_checkinteger(L, 2), e = luaL_checkinteger(L, 3);

    check_plain(L, 1, "table.move");
    if (!lua_isnoneornil(L, 5))
        check_plain(L, 5, "table.move");
    if (e >= f && (lua_Unsigned)e - (lua_Unsigned)f >= 1000000)
        return luaL_error(L, "table.move: more than a million elements");
    return call_stock(L);
}

static int safe_unpack(lua_State *L)
{
    if (lua_istable(L, 1))
        check_plain(L, 1, "table.unpack");
    return call_stock(L);
}

static int safe_concat(lua_State *L)
{
    size_t sep_len, total = 0, len;

    check_plain(L, 1, "table.concat");
    const char *sep = luaL_optlstring(L, 2, "", &sep_len);
    lua_Integer i = luaL_optinteger(L, 3, 1);
    lua_Integer last = luaL_opt(L, luaL_checkinteger, 4, (lua_Integer)lua_rawlen(L, 1));
    (void)sep;
    /* First pass: kinds and size. A missing element ends it, so it is no longer than the table. */
    for (lua_Integer k = i; k <= last; k++) {
        lua_rawgeti(L, 1, k);
        int type = lua_type(L, -1);
        if (type == LUA_TSTRING)
            lua_tolstring(L, -1, &len);
        else if (type == LUA_TNUMBER)
            len = 24;
        else
            return luaL_error(L, "invalid value (at index %I) in table for 'concat'",
                              (LUAI_UACINT)k);
        lua_pop(L, 1);
        total += len + sep_len;
        if (total > STRING_MAX)
            return luaL_error(L, "table.concat: the result is longer than 8 MiB");
        if (k == LUA_MAXINTEGER)
            break;
    }
    return call_stock(L);
}

/* Sorting orders numbers 1..n in `order`, the table stays as it is until the end: whatever a
 * comparator does meanwhile is harmless. Slots: 1 table, 2 comparator or nil. */
static bool is_less(lua_State *L, uint32_t a, uint32_t b)
{
    bool is;

    budget_tick(L);
    if (lua_isnil(L, 2)) {
        lua_rawgeti(L, 1, a);
        lua_rawgeti(L, 1, b);
        is = lua_compare(L, -2, -1, LUA_OPLT);
        lua_pop(L, 2);
        return is;
    }
    lua_pushvalue(L, 2);
    lua_rawgeti(L, 1, a);
    lua_rawgeti(L, 1, b);
    lua_call(L, 2, 1);
    is = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return is;
}

static void merge_sort(lua_State *L, uint32_t *order, uint32_t *other, size_t n)
{
    if (n <= 6) {
        for (size_t i = 1; i < n; i++) {
            uint32_t v = order[i];
            size_t k = i;
            for (; k > 0 && is_less(L, v, order[k - 1]); k--)
                order[k] = order[k - 1];
            order[k] = v;
        }
        return;
    }
    size_t half = n / 2;
    merge_sort(L, order, other, half);
    merge_sort(L, order + half, other, n - half);
    for (size_t i = 0; i < half; i++)
        other[i] = order[i];
    size_t left = 0, right = half, to = 0;
    while (left < half && right < n) {
        if (is_less(L, order[right], other[left]))
            order[to++] = order[right++];
        else
            order[to++] = other[left++];
    }
    while (left < half)
        order[to++] = other[left++];
}

static int safe_sort(lua_State *L)
{
    check_plain(L, 1, "table.sort");
    size_t n = (size_t)lua_rawlen(L, 1);
    if (!lua_isnoneornil(L, 2))
        luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    if (n < 2)
        return 0;
    luaL_argcheck(L, n < INT32_MAX / 16, 1, "too many elements");

    uint32_t *order = lua_newuserdatauv(L, (n + n / 2 + 1) * sizeof *order, 0);
    for (size_t i = 0; i < n; i++)
        order[i] = (uint32_t)(i + 1);
    merge_sort(L, order, order + n, n);

    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, 1, order[i]);
        lua_rawseti(L, 4, (lua_Integer)i + 1);
    }
    for (size_t i = 1; i <= n; i++) {
        lua_rawgeti(L, 4, (lua_Integer)i);
        lua_rawseti(L, 1, (lua_Integer)i);
    }
    return 0;
}

void tablelib_open(lua_State *L)
{
    static const luaL_Reg wrapped[] = {{"insert", safe_insert}, {"remove", safe_remove},
                                       {"move", safe_move},     {"unpack", safe_unpack},
                                       {"concat", safe_concat}, {NULL, NULL}};

    lua_pushcfunction(L, luaopen_table);
    lua_call(L, 0, 1);
    lua_newtable(L);
    for (const luaL_Reg *r = wrapped; r->name; r++) {
        lua_getfield(L, -2, r->name);
        lua_pushcclosure(L, r->func, 1);
        lua_setfield(L, -2, r->name);
    }
    lua_getfield(L, -2, "pack");
    lua_setfield(L, -2, "pack");
    lua_pushcfunction(L, safe_sort);
    lua_setfield(L, -2, "sort");
    lua_remove(L, -2);
}
