/* api_wait.c: what suspends a call: mig.sleep, mig.invoke, mig.kv.*, mig.all. Each starts something
 * with a ticket and yields; the continuation finds what came in co->in. */
#include "engine.h"

#include <string.h>

/* After a host function took (MIG_OK) or refused a request made with a ticket. */
static int wait_for(lua_State *L, struct co *co, mig_status s, const char *what, lua_KFunction then)
{
    if (s == MIG_OK) {
        co->wait = WAIT_OP;
        return lua_yieldk(L, 0, 0, then);
    }
    co->gen++; /* the ticket was never used */
    if (s == MIG_E_GONE) {
        co->run->is_gone = true;
        co->wait = WAIT_GONE;
        return lua_yieldk(L, 0, 0, then);
    }
    if (s == MIG_E_ARG || s == MIG_E_NOSYS)
        return luaL_error(L, "%s: the host refused the arguments", what);
    lua_pushnil(L);
    error_push(L, s, mig_s("the host has no room for this request"), (mig_str){NULL, 0}, 0);
    return 2;
}

/* --- sleep, invoke
 * --------------------------------------------------------------------------------- */

static int slept(lua_State *L, int status, lua_KContext ctx)
{
    (void)L, (void)status, (void)ctx;
    return 0;
}

int api_wait_sleep(lua_State *L)
{
    lua_Number ms = luaL_checknumber(L, 1);
    luaL_argcheck(L, ms >= 0 && ms <= 86400000, 1, "milliseconds from 0 to 86400000");
    struct co *co = co_may_wait(L, "mig.sleep");
    struct engine *e = co->st->engine;

    if (!e->task)
        return luaL_error(L, "mig.sleep: this host has no mig.task/1");
    return wait_for(L, co,
                    e->task->after(e->host, co->run->call, (uint64_t)ms, run_done, co_ticket(co)),
                    "mig.sleep", slept);
}

static int invoked(lua_State *L, int status, lua_KContext ctx)
{
    const mig_outcome *out = co_of(L)->in;
    const char *why = "";
    (void)status, (void)ctx;

    if (out->status == MIG_OK) {
        if (json_push(L, state_of(L), out->json.ptr, out->json.len, &why))
            return 1;
        return luaL_error(L, "mig.invoke: the result cannot be read: %s", why);
    }
    lua_pushnil(L);
    error_push(L, out->status, out->message, out->details, out->retry_after_ms);
    return 2;
}

int api_wait_invoke(lua_State *L)
{
    mig_str id = {NULL, 0};
    id.ptr = luaL_checklstring(L, 1, &id.len);
    struct co *co = co_may_wait(L, "mig.invoke");
    struct state *st = co->st;
    struct engine *e = st->engine;

    if (!e->invoke)
        return luaL_error(L, "mig.invoke: this host has no mig.invoke/1");
    lua_settop(L, 2);
    if (lua_isnil(L, 2)) {
        st->out.len = 0;
        buf_add(&st->out, "{}", 2);
    } else {
        json_write(L, st, 2, "payload");
    }
    mig_payload p = {{st->out.ptr, st->out.len}, NULL, NULL};
    return wait_for(L, co,
                    e->invoke->invoke(e->host, co->run->call, id, &p, run_done, co_ticket(co)),
                    "mig.invoke", invoked);
}

/* --- key-value store
 * ------------------------------------------------------------------------------- */

enum kv_op { KV_GET, KV_PUT, KV_DELETE };

static int kv_failed(lua_State *L, const mig_kv_result *r)
{
    const char *text = r->status == MIG_NOT_FOUND          ? "no such key"
                       : r->status == MIG_VERSION_MISMATCH ? "the key has another revision"
                       : r->status == MIG_BACKPRESSURE     ? "the store is full"
                                                           : "the store failed";
    lua_pushnil(L);
    error_push(L, r->status, mig_s(text), (mig_str){NULL, 0}, 0);
    return 2;
}

static int kv_got(lua_State *L, int status, lua_KContext ctx)
{
    const mig_kv_result *r = co_of(L)->in;
    const char *why = "";
    (void)status, (void)ctx;

    if (r->status == MIG_NOT_FOUND)
        return lua_pushnil(L), 1;
    if (r->status != MIG_OK)
        return kv_failed(L, r);
    if (!json_push(L, state_of(L), r->value.ptr, r->value.len, &why))
        lua_pushlstring(L, r->value.ptr, r->value.len); /* written by another provider of ours */
    lua_pushinteger(L, (lua_Integer)r->revision);
    return 2;
}

static int kv_put_done(lua_State *L, int status, lua_KContext ctx)
{
    const mig_kv_result *r = co_of(L)->in;
    (void)status, (void)ctx;

    if (r->status != MIG_OK)
        return kv_failed(L, r);
    lua_pushinteger(L, (lua_Integer)r->revision);
    return 1;
}

static int kv_deleted(lua_State *L, int status, lua_KContext ctx)
{
    const mig_kv_result *r = co_of(L)->in;
    (void)status, (void)ctx;

    if (r->status != MIG_OK && r->status != MIG_NOT_FOUND)
        return kv_failed(L, r);
    lua_pushboolean(L, r->status == MIG_OK);
    return 1;
}

/* {ttl_ms = , expect = } at `index`. */
static void kv_options(lua_State *L, int index, const char *what, bool has_ttl,
                       uint64_t *ret_expect, uint64_t *ret_ttl)
{
    *ret_expect = MIG_KV_ANY;
    *ret_ttl = 0;
    if (lua_isnoneornil(L, index))
        return;
    luaL_checktype(L, index, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        bool is_ttl = has_ttl && !strcmp(key, "ttl_ms");
        if (!is_ttl && strcmp(key, "expect") != 0)
            luaL_error(L, "%s: unknown option '%s'", what, key);
        if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 0)
            luaL_error(L, "%s: %s is a whole number", what, key);
        *(is_ttl ? ret_ttl : ret_expect) = (uint64_t)lua_tointeger(L, -1);
    }
}

static struct co *kv_start(lua_State *L, const char *what, mig_str *ret_key)
{
    ret_key->ptr = luaL_checklstring(L, 1, &ret_key->len);
    luaL_argcheck(L, ret_key->len > 0 && ret_key->len <= 512, 1, "a key has 1 to 512 bytes");
    struct co *co = co_may_wait(L, what);
    if (!co->st->engine->kv)
        luaL_error(L, "%s: this host has no mig.kv/1", what);
    return co;
}

static int kv_get(lua_State *L)
{
    mig_str key;
    struct co *co = kv_start(L, "mig.kv.get", &key);
    struct engine *e = co->st->engine;

    return wait_for(L, co, e->kv->get(e->host, co->run->call, key, run_kv_done, co_ticket(co)),
                    "mig.kv.get", kv_got);
}

static int kv_put(lua_State *L)
{
    mig_str key;
    uint64_t expect, ttl;
    struct co *co = kv_start(L, "mig.kv.put", &key);
    struct state *st = co->st;
    struct engine *e = st->engine;

    luaL_checkany(L, 2);
    kv_options(L, 3, "mig.kv.put", true, &expect, &ttl);
    json_write(L, st, 2, "value");
    mig_str value = {st->out.ptr, st->out.len};
    mig_status s =
        e->kv->put(e->host, co->run->call, key, value, expect, ttl, run_kv_done, co_ticket(co));
    return wait_for(L, co, s, "mig.kv.put", kv_put_done);
}

static int kv_delete(lua_State *L)
{
    mig_str key;
    uint64_t expect, ttl;
    struct co *co = kv_start(L, "mig.kv.delete", &key);
    struct engine *e = co->st->engine;

    kv_options(L, 2, "mig.kv.delete", false, &expect, &ttl);
    mig_status s = e->kv->del(e->host, co->run->call, key, expect, run_kv_done, co_ticket(co));
    return wait_for(L, co, s, "mig.kv.delete", kv_deleted);
}

void api_wait_open_kv(lua_State *L)
{
    static const luaL_Reg kv[] = {
        {"get", kv_get}, {"put", kv_put}, {"delete", kv_delete}, {NULL, NULL}};

    luaL_newlib(L, kv);
    lua_setfield(L, -2, "kv");
}

/* --- mig.all
 * ------------------------------------------------------------------------------------------ */

static void release_children(struct co *co)
{
    while (co->children) {
        struct co *child = co->children;
        co->children = child->sibling;
        co_release(child);
    }
}

/* In the child. Its thread ends well in any case; child_status tells how the function ended. */
static int child_settle(lua_State *L, int status, lua_KContext ctx)
{
    (void)ctx;
    co_of(L)->child_status = status == LUA_YIELD ? LUA_OK : status;
    return status == LUA_OK || status == LUA_YIELD ? 2 : 1;
}

static int child_main(lua_State *L)
{
    return child_settle(L, lua_pcallk(L, 0, 2, 0, 0, child_settle), 0);
}

/* In the parent, when all have ended or one has failed (then it is the only child left). */
static int all_done(lua_State *L, int status, lua_KContext ctx)
{
    struct co *parent = co_of(L);
    (void)status, (void)ctx;

    luaL_checkstack(L, 8, "mig.all");
    lua_newtable(L);
    int results = lua_gettop(L), failures = 0;
    for (lua_Integer i = 1; parent->children; i++) {
        struct co *child = parent->children;
        bool is_failed = child->child_status != LUA_OK;
        lua_xmove(child->L, L, is_failed ? 1 : 2);
        parent->children = child->sibling;
        co_release(child);
        if (is_failed)
            return lua_error(L);
        if (lua_isnil(L, -2) && !lua_isnil(L, -1)) { /* return nil, mig.error(...) */
            if (!failures) {
                lua_newtable(L);
                lua_insert(L, results + 1);
                failures = results + 1;
            }
            lua_pushvalue(L, -1);
            lua_rawseti(L, failures, i);
        }
        lua_pop(L, 1);
        lua_rawseti(L, results, i);
    }
    lua_settop(L, failures ? failures : results);
    return failures ? 2 : 1;
}

int api_wait_all(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    struct co *co = co_may_wait(L, "mig.all");
    lua_Integer n = (lua_Integer)lua_rawlen(L, 1);

    luaL_argcheck(L, n < RUN_COS - (lua_Integer)co->run->co_count, 1,
                  "at most 255 functions at a time in a call");
    for (lua_Integer i = 1; i <= n; i++) {
        if (lua_rawgeti(L, 1, i) != LUA_TFUNCTION)
            return luaL_error(L, "mig.all: element %d is a %s, not a function", (int)i,
                              luaL_typename(L, -1));
        lua_pop(L, 1);
    }
    release_children(co); /* of an earlier one that ran out of memory while it collected */
    struct co **link = &co->children;
    for (lua_Integer i = 1; i <= n; i++) {
        struct co *child = co_take(co->st, co->run);
        if (!child) {
            release_children(co);
            return luaL_error(L, "not enough memory");
        }
        child->parent = co;
        *link = child;
        link = &child->sibling;
        lua_pushcfunction(child->L, child_main);
        lua_rawgeti(L, 1, i);
        lua_xmove(L, child->L, 1);
    }
    if (n == 0)
        return all_done(L, LUA_OK, 0);
    co->pending = (uint32_t)n;
    for (struct co *c = co->children; c; c = c->sibling)
        co_make_ready(c);
    co->wait = WAIT_ALL;
    return lua_yieldk(L, 0, 0, all_done);
}
