/* api_call.c: the call object. Its fields are made when they are asked for: a function that never
 * looks at the payload does not pay for decoding it. */
#include "engine.h"

#include <stdlib.h>
#include <string.h>

struct call_object { /* runs are pooled and outlive every object that points at one */
    struct run *run;
    uint32_t gen;
};

static const char *const fields[] = {
    "payload", "tenant",     "subject", "message_id", "session",         "deadline_ms", "meta",
    "mode",    "capability", "send",    "messages",   "idempotency_key", NULL};

static struct run *check_call(lua_State *L, int index)
{
    struct call_object *o = lua_touserdata(L, index);

    if (!o || lua_type(L, index) != LUA_TUSERDATA || lua_rawlen(L, index) != sizeof *o)
        luaL_typeerror(L, index, "call");
    if (o->run->gen != o->gen || !o->run->req)
        luaL_error(L, "this call has ended");
    return o->run;
}

void api_call_push(lua_State *L, struct run *run)
{
    struct call_object *o = lua_newuserdatauv(L, sizeof *o, 2);

    o->run = run;
    o->gen = run->gen;
    lua_rawgeti(L, LUA_REGISTRYINDEX, run->st->call_mt_ref);
    lua_setmetatable(L, -2);
}

static int push_json(lua_State *L, struct run *run, mig_str json, int slot)
{
    const char *why = "";

    if (lua_getiuservalue(L, 1, slot) != LUA_TNIL)
        return 1;
    lua_pop(L, 1);
    if (json.len == 0)
        lua_newtable(L);
    else if (!json_push(L, run->st, json.ptr, json.len, &why))
        return luaL_error(L, "the call's JSON cannot be read: %s", why);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, slot);
    return 1;
}

static int push_str(lua_State *L, mig_str s)
{
    if (s.len)
        lua_pushlstring(L, s.ptr, s.len);
    else
        lua_pushnil(L);
    return 1;
}

static const char *mode_name(uint32_t mode)
{
    return mode == MIG_MODE_SERVER_STREAM   ? "server_stream"
           : mode == MIG_MODE_CLIENT_STREAM ? "client_stream"
           : mode == MIG_MODE_BIDI          ? "bidi"
                                            : "unary";
}

/* A constant number of bytes to compare: no calls for what each script does. */
#define IS(name) (len == sizeof(name) - 1 && !memcmp(key, name, sizeof(name) - 1))

static int call_index(lua_State *L)
{
    size_t len;
    const char *key = luaL_checklstring(L, 2, &len);

    if (IS("send") || IS("messages")) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, state_of(L)->methods_ref);
        lua_getfield(L, -1, key);
        return 1;
    }
    struct run *run = check_call(L, 1);
    const mig_request *req = run->req;
    if (IS("payload"))
        return push_json(L, run, req->payload, 1);
    if (IS("meta"))
        return push_json(L, run, req->meta, 2);
    if (IS("tenant"))
        return push_str(L, req->tenant_id);
    if (IS("subject"))
        return push_str(L, req->subject);
    if (IS("message_id"))
        return push_str(L, req->message_id);
    if (IS("session"))
        return push_str(L, req->session_id);
    if (IS("capability"))
        return push_str(L, req->capability);
    if (IS("idempotency_key"))
        return push_str(L, req->idempotency_key);
    if (IS("mode"))
        return lua_pushstring(L, mode_name(req->mode)), 1;
    if (IS("deadline_ms")) {
        const mig_host *h = run->st->engine->host;
        uint64_t now = h->now_ns(h);
        lua_pushinteger(
            L, req->deadline_ns > now ? (lua_Integer)((req->deadline_ns - now) / 1000000) : 0);
        return 1;
    }
    const char *near = near_match(key, fields);
    return near ? luaL_error(L, "a call has no field '%s'; did you mean '%s'?", key, near)
                : luaL_error(L, "a call has no field '%s'", key);
}

/* --- streams ------------------------------------------------------------------------------------
 */

/* The frame is the string at the top. */
static int send_frame(lua_State *L, int status, lua_KContext ctx)
{
    struct run *run = co_of(L)->run;
    const mig_host *h = run->st->engine->host;
    mig_payload p = {{NULL, 0}, NULL, NULL};
    (void)status, (void)ctx;

    p.bytes.ptr = lua_tolstring(L, -1, &p.bytes.len);
    mig_status s = h->send(h, run->call, &p);
    if (s == MIG_OK)
        return 0;
    if (s != MIG_E_AGAIN && s != MIG_E_GONE)
        return luaL_error(L, "call:send: the frame was refused");
    struct co *co = co_may_wait(L, "call:send");
    if (s == MIG_E_GONE)
        run->is_gone = true;
    co->wait = s == MIG_E_GONE ? WAIT_GONE : WAIT_WRITABLE;
    return lua_yieldk(L, 0, 0, send_frame);
}

static int call_send(lua_State *L)
{
    struct run *run = check_call(L, 1);
    struct state *st = run->st;

    luaL_checkany(L, 2);
    if (run->req->mode != MIG_MODE_SERVER_STREAM && run->req->mode != MIG_MODE_BIDI)
        return luaL_error(L, "call:send: a call of mode %s takes no frames; return the result",
                          mode_name(run->req->mode));
    if (run->is_closing)
        return luaL_error(L, "call:send: the call is being closed");
    json_write(L, st, 2, "frame");
    mig_payload p = {{st->out.ptr, st->out.len}, NULL, NULL};
    const mig_host *h = st->engine->host;
    if (h->send(h, run->call, &p) == MIG_OK)
        return 0;
    lua_pushlstring(L, st->out.ptr, st->out.len); /* kept until there is room */
    return send_frame(L, LUA_OK, 0);
}

static int next_message(lua_State *L, int status, lua_KContext ctx)
{
    struct run *run = check_call(L, lua_upvalueindex(1));
    struct engine *e = run->st->engine;
    struct message *m = run->msg_head;
    const char *why = "";
    (void)status, (void)ctx;

    if (m) {
        if (!json_push(L, run->st, m->text, m->len, &why))
            return luaL_error(L, "the message cannot be read: %s", why);
        run->msg_head = m->next;
        if (!m->next)
            run->msg_tail = NULL;
        run->msg_count--;
        free(m);
        if (e->stream)
            e->stream->grant(e->host, run->call, 1);
        return 1;
    }
    if (run->is_half_closed)
        return lua_pushnil(L), 1;
    co_may_wait(L, "call:messages")->wait = WAIT_MESSAGE;
    return lua_yieldk(L, 0, 0, next_message);
}

static int next_message_start(lua_State *L)
{
    return next_message(L, LUA_OK, 0);
}

static int call_messages(lua_State *L)
{
    struct run *run = check_call(L, 1);

    if (run->req->mode != MIG_MODE_CLIENT_STREAM && run->req->mode != MIG_MODE_BIDI)
        return luaL_error(L, "call:messages: a call of mode %s brings one payload, call.payload",
                          mode_name(run->req->mode));
    lua_settop(L, 1);
    lua_pushcclosure(L, next_message_start, 1);
    return 1;
}

static int call_tostring(lua_State *L)
{
    lua_pushliteral(L, "call");
    return 1;
}

void api_call_open(lua_State *L, struct state *st)
{
    static const luaL_Reg methods[] = {
        {"send", call_send}, {"messages", call_messages}, {NULL, NULL}};
    static const luaL_Reg meta[] = {
        {"__index", call_index}, {"__tostring", call_tostring}, {NULL, NULL}};

    luaL_newlib(L, methods);
    st->methods_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    luaL_newlib(L, meta);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pushliteral(L, "call");
    lua_setfield(L, -2, "__name");
    st->call_mt_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}
