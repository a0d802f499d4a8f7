/* json_write.c: Lua values to JSON text, into the buffer of the state.
 *
 * A table is an array when mig.array marked it or when its keys are exactly 1 .. n; an empty
 * table is {}. No metamethod runs here, so nothing a script does can happen meanwhile. Errors are
 * raised and name the place: "result.items[3].when: a function has no JSON form". */
#include "engine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct writer {
    lua_State *L;
    struct state *st;
    struct buf *out;
    const char *what;
    bool is_sorted;
    int depth;
    struct {
        const char *key; /* NULL: an array element. The key stays on the Lua stack meanwhile. */
        lua_Integer index;
    } path[JSON_DEPTH + 1];
};

static void write_value(struct writer *w, int index);

static _Noreturn void fail(struct writer *w, const char *why)
{
    struct buf *b = &w->st->text;

    b->len = 0;
    buf_addf(b, "%s", w->what);
    for (int i = 0; i < w->depth && b->len < 200; i++) {
        if (w->path[i].key)
            buf_addf(b, ".%.60s", w->path[i].key);
        else if (w->path[i].index)
            buf_addf(b, "[%lld]", (long long)w->path[i].index);
    }
    lua_pushlstring(w->L, b->ptr, b->len);
    luaL_error(w->L, "%s: %s", lua_tostring(w->L, -1), why);
    abort(); /* luaL_error does not return */
}

static inline void put(struct writer *w, const char *ptr, size_t len)
{
    if (!buf_add(w->out, ptr, len))
        fail(w, "the JSON text is too long");
}

static inline void put_char(struct writer *w, char c)
{
    if (!buf_addc(w->out, c))
        fail(w, "the JSON text is too long");
}

static void write_number(struct writer *w, int index)
{
    char text[40];
    int n;

    if (lua_isinteger(w->L, index)) {
        /* Digits by hand: snprintf costs more than the rest of a small answer. */
        lua_Integer v = lua_tointeger(w->L, index);
        lua_Unsigned u = v < 0 ? 0u - (lua_Unsigned)v : (lua_Unsigned)v;
        char *p = text + sizeof text;
        do
            *--p = (char)('0' + u % 10);
        while (u /= 10);
        if (v < 0)
            *--p = '-';
        put(w, p, (size_t)(text + sizeof text - p));
        return;
    }
    double d = lua_tonumber(w->L, index);
    if (!isfinite(d))
        fail(w, "infinity and NaN have no JSON form");
    for (int digits = 15; digits <= 17; digits++) {
        n = snprintf(text, sizeof text, "%.*g", digits, d);
        if (strtod(text, NULL) == d)
            break;
    }
    char *comma = strchr(text, ',');
    if (comma)
        *comma = '.';
    if (!strpbrk(text, ".e")) { /* floats stay floats */
        text[n++] = '.';
        text[n++] = '0';
    }
    put(w, text, (size_t)n);
}

static void write_text(struct writer *w, const char *s, size_t len)
{
    if (!buf_add_quoted(w->out, s, len))
        fail(w, w->out->limit - w->out->len < len * 6 ? "the JSON text is too long, or not UTF-8"
                                                      : "the string is not UTF-8");
}

static void write_string(struct writer *w, int index)
{
    size_t len;
    const char *s = lua_tolstring(w->L, index, &len);

    write_text(w, s, len);
}

static bool is_marked_array(struct writer *w, int table)
{
    if (!lua_getmetatable(w->L, table))
        return false;
    lua_rawgeti(w->L, LUA_REGISTRYINDEX, w->st->array_mt_ref);
    bool is = lua_rawequal(w->L, -1, -2);
    lua_pop(w->L, 2);
    return is;
}

static void write_array(struct writer *w, int table)
{
    lua_State *L = w->L;
    lua_Unsigned n = lua_rawlen(L, table), count = 0;

    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        if (!lua_isinteger(L, -2))
            fail(w, "a table cannot be list and object at the same time");
        lua_Integer k = lua_tointeger(L, -2);
        if (k < 1 || (lua_Unsigned)k > n)
            fail(w, "the list has holes; use mig.null for missing values");
        count++;
    }
    if (count != n)
        fail(w, "the list has holes; use mig.null for missing values");

    put_char(w, '[');
    for (lua_Unsigned i = 1; i <= n; i++) {
        if (i > 1)
            put_char(w, ',');
        lua_rawgeti(L, table, (lua_Integer)i);
        w->path[w->depth - 1].key = NULL;
        w->path[w->depth - 1].index = (lua_Integer)i;
        write_value(w, lua_gettop(L));
        lua_pop(L, 1);
    }
    put_char(w, ']');
}

/* The key is at top - 1, its value at the top. */
static void write_member(struct writer *w, bool is_first)
{
    lua_State *L = w->L;

    w->path[w->depth - 1].key = NULL;
    if (lua_type(L, -2) != LUA_TSTRING)
        fail(w, lua_type(L, -2) == LUA_TNUMBER
                    ? "a table cannot be list and object at the same time"
                    : "keys of an object are strings");
    if (!is_first)
        put_char(w, ',');
    size_t len;
    const char *key = lua_tolstring(L, -2, &len);
    w->path[w->depth - 1].key = key;
    write_text(w, key, len);
    put_char(w, ':');
    write_value(w, lua_gettop(L));
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* For registrations: equal definitions give equal text in every state. */
static void write_object_sorted(struct writer *w, int table)
{
    lua_State *L = w->L;
    size_t n = 0, i = 0;

    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            fail(w, "keys of an object are strings");
        n++;
    }
    const char **keys = lua_newuserdatauv(L, (n + 1) * sizeof *keys, 0);
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1))
        keys[i++] = lua_tostring(L, -2);
    qsort(keys, n, sizeof *keys, compare_keys);
    put_char(w, '{');
    for (i = 0; i < n; i++) {
        lua_pushstring(L, keys[i]);
        lua_pushvalue(L, -1);
        lua_rawget(L, table);
        write_member(w, i == 0);
        lua_pop(L, 2);
    }
    put_char(w, '}');
    lua_pop(L, 1);
}

static void write_object(struct writer *w, int table)
{
    lua_State *L = w->L;
    bool is_first = true;

    put_char(w, '{');
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        write_member(w, is_first);
        is_first = false;
    }
    put_char(w, '}');
}

static void write_table(struct writer *w, int table)
{
    lua_State *L = w->L;

    if (w->depth >= JSON_DEPTH)
        fail(w, "nested too deeply (128 levels), or a table that contains itself");
    budget_check(
        L); /* one table may appear many times: the text can be far larger than the tables */
    luaL_checkstack(L, 8, "JSON");
    w->path[w->depth].key = NULL;
    w->path[w->depth].index = 0;
    w->depth++;

    bool is_array = is_marked_array(w, table);
    if (!is_array) {
        lua_pushnil(L);
        if (lua_next(L, table)) {
            is_array = lua_isinteger(L, -2);
            lua_pop(L, 2);
        }
    }
    if (is_array)
        write_array(w, table);
    else if (w->is_sorted)
        write_object_sorted(w, table);
    else
        write_object(w, table);
    w->depth--;
}

static void write_value(struct writer *w, int index)
{
    lua_State *L = w->L;

    switch (lua_type(L, index)) {
    case LUA_TNIL: put(w, "null", 4); return;
    case LUA_TBOOLEAN:
        if (lua_toboolean(L, index))
            put(w, "true", 4);
        else
            put(w, "false", 5);
        return;
    case LUA_TNUMBER: write_number(w, index); return;
    case LUA_TSTRING: write_string(w, index); return;
    case LUA_TTABLE: write_table(w, index); return;
    case LUA_TLIGHTUSERDATA: /* mig.null is the only one a script can get */
        put(w, "null", 4);
        return;
    default: break;
    }
    lua_pushfstring(L, "a %s has no JSON form", luaL_typename(L, index));
    fail(w, lua_tostring(L, -1));
}

static void write_top(lua_State *L, struct state *st, int index, const char *what, bool is_sorted)
{
    struct writer w;

    w.L = L;
    w.st = st;
    w.out = &st->out;
    w.what = what;
    w.is_sorted = is_sorted;
    w.depth = 0;
    st->out.len = 0;
    luaL_checkstack(L, 8, "JSON");
    write_value(&w, lua_absindex(L, index));
}

void json_write(lua_State *L, struct state *st, int index, const char *what)
{
    write_top(L, st, index, what, false);
}

void json_write_sorted(lua_State *L, struct state *st, int index, const char *what)
{
    write_top(L, st, index, what, true);
}
