/* json_read.c: JSON text to Lua values, by yyjson. Small texts are parsed inside a block that the
 * state keeps; larger ones allocate, and what they take counts as memory of the state. */
#include "engine.h"

#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

enum { POOL_BYTES = 64 * 1024 };

struct counted {
    size_t size, pad; /* keeps what follows aligned to 16 */
};

static void *counted_malloc(void *ctx, size_t size)
{
    struct state *st = ctx;

    if (size > st->limit || st->used > st->limit - size)
        return NULL;
    struct counted *c = malloc(sizeof *c + size);
    if (!c)
        return NULL;
    c->size = size;
    st->used += size;
    return c + 1;
}

static void counted_free(void *ctx, void *ptr)
{
    struct state *st = ctx;

    if (!ptr)
        return;
    struct counted *c = (struct counted *)ptr - 1;
    st->used -= c->size;
    free(c);
}

static void *counted_realloc(void *ctx, void *ptr, size_t old_size, size_t size)
{
    void *grown = counted_malloc(ctx, size);

    if (grown) {
        memcpy(grown, ptr, old_size < size ? old_size : size);
        counted_free(ctx, ptr);
    }
    return grown;
}

static void push_value(lua_State *L, struct state *st, yyjson_val *v, int depth);

static void push_array(lua_State *L, struct state *st, yyjson_val *v, int depth)
{
    size_t i, n;
    yyjson_val *item;

    lua_createtable(L, (int)yyjson_arr_size(v), 0);
    lua_rawgeti(L, LUA_REGISTRYINDEX, st->array_mt_ref); /* [] stays [] on the way back */
    lua_setmetatable(L, -2);
    yyjson_arr_foreach(v, i, n, item)
    {
        push_value(L, st, item, depth);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_object(lua_State *L, struct state *st, yyjson_val *v, int depth)
{
    size_t i, n;
    yyjson_val *key, *item;

    lua_createtable(L, 0, (int)yyjson_obj_size(v));
    yyjson_obj_foreach(v, i, n, key, item)
    {
        lua_pushlstring(L, yyjson_get_str(key), yyjson_get_len(key));
        push_value(L, st, item, depth);
        lua_rawset(L, -3);
    }
}

static void push_value(lua_State *L, struct state *st, yyjson_val *v, int depth)
{
    switch (yyjson_get_type(v)) {
    case YYJSON_TYPE_BOOL: lua_pushboolean(L, yyjson_get_bool(v)); return;
    case YYJSON_TYPE_STR: lua_pushlstring(L, yyjson_get_str(v), yyjson_get_len(v)); return;
    case YYJSON_TYPE_NUM:
        if (yyjson_is_real(v) || (yyjson_is_uint(v) && yyjson_get_uint(v) > INT64_MAX))
            lua_pushnumber(L, yyjson_get_num(v));
        else
            lua_pushinteger(L, yyjson_get_sint(v));
        return;
    case YYJSON_TYPE_ARR:
    case YYJSON_TYPE_OBJ:
        if (depth >= JSON_DEPTH)
            luaL_error(L, "JSON is nested too deeply (128 levels)");
        budget_check(L);
        luaL_checkstack(L, 6, "JSON");
        if (yyjson_is_arr(v))
            push_array(L, st, v, depth + 1);
        else
            push_object(L, st, v, depth + 1);
        return;
    default: lua_pushlightuserdata(L, NULL); return;
    }
}

/* Pushes the value. May raise (memory, depth): the document is then freed by the next use. */
bool json_push(lua_State *L, struct state *st, const char *ptr, size_t len, const char **ret_why)
{
    yyjson_alc alc = {counted_malloc, counted_realloc, counted_free, st};
    yyjson_read_err err;

    yyjson_doc_free(st->doc);
    st->doc = NULL;
    if (len == 0) {
        *ret_why = "empty text is not JSON";
        return false;
    }
    bool is_small = yyjson_read_max_memory_usage(len, 0) <= POOL_BYTES;
    if (is_small && (st->doc_pool || (st->doc_pool = malloc(POOL_BYTES))))
        yyjson_alc_pool_init(&alc, st->doc_pool, POOL_BYTES);
    /* Without YYJSON_READ_INSITU the text is only read. */
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)ptr, len, 0, &alc, &err);
    if (!doc) {
        *ret_why = err.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION ? "not enough memory" : err.msg;
        return false;
    }
    /* A pooled document needs no free, and its allocator record dies with this function. */
    bool is_pooled = alc.ctx != st;
    if (!is_pooled)
        st->doc = doc;
    push_value(L, st, yyjson_doc_get_root(doc), 0);
    if (!is_pooled) {
        yyjson_doc_free(doc);
        st->doc = NULL;
    }
    return true;
}
