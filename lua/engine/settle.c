/* settle.c: the main function of a call's coroutine: call the script, and turn what comes back, a
 * result or an error, into what the caller hears (run->code, st->out, st->text) and the operator
 * reads. */
#include "engine.h"

#include <string.h>

void settle_fail(struct run *run, mig_status code, const char *message, const char *reason)
{
    struct state *st = run->st;

    run->code = code;
    st->text.len = st->out.len = 0;
    buf_add(&st->text, message, strlen(message));
    if (reason)
        buf_addf(&st->out, "{\"reason\":\"%s\"}", reason);
}

/* For the operator: the first line of the text as message, the rest in the fields. */
static void log_failure(struct run *run, uint32_t level, const char *text, size_t len)
{
    struct engine *e = run->st->engine;
    struct buf f = {.limit = 64 * 1024};
    const char *nl = memchr(text, '\n', len);
    size_t first = nl ? (size_t)(nl - text) : len;

    buf_addf(&f, "{\"script\":");
    buf_add_quoted(&f, e->name, strlen(e->name));
    buf_addf(&f, ",\"capability\":");
    const char *id = run->cap ? run->cap->id : run->timer->name;
    buf_add_quoted(&f, id, strlen(id));
    size_t before = f.len;
    if (nl && !(buf_addf(&f, ",\"traceback\":") && buf_add_quoted(&f, nl + 1, len - first - 1)))
        f.len = before;
    buf_addf(&f, "}");
    e->host->log(e->host, level, (mig_str){text, first}, (mig_str){f.ptr, f.len});
    buf_deinit(&f);
}

void settle_fail_script(struct run *run, const char *text, size_t len)
{
    if (run->is_out_of_memory) {
        log_failure(run, MIG_LOG_WARN, "memory budget exceeded", 22);
        settle_fail(run, MIG_BACKPRESSURE, "the script needs more memory than it may use",
                    "memory_budget");
    } else if (run->over != OVER_NO) {
        log_failure(run, MIG_LOG_WARN, text, len);
        settle_fail(run, MIG_TIMEOUT, "the script took more CPU time than it may use",
                    "cpu_budget");
    } else {
        log_failure(run, MIG_LOG_ERROR, text, len);
        settle_fail(run, MIG_INTERNAL, "the script failed", "script_error");
    }
}

/* The mig.error at the top becomes the answer. */
static void fail_as_told(lua_State *L, struct run *run)
{
    struct state *st = run->st;
    int error = lua_gettop(L);
    size_t len;

    lua_pushliteral(L, "details");
    if (lua_rawget(L, error) == LUA_TTABLE)
        json_write(L, st, -1, "error.details");
    else
        st->out.len = 0;
    lua_pushliteral(L, "code");
    lua_rawget(L, error);
    const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
    mig_status code = name ? error_code(name, len) : MIG_OK;
    run->code = code ? code : MIG_INTERNAL;
    lua_pushliteral(L, "retry_after_ms");
    lua_rawget(L, error);
    lua_Integer retry = lua_tointeger(L, -1);
    run->retry_after_ms = retry > 0 && retry < INT32_MAX ? (uint32_t)retry : 0;
    lua_pushliteral(L, "message");
    lua_rawget(L, error);
    const char *message = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
    st->text.len = 0;
    if (message)
        buf_add(&st->text, message, len);
    if (run->code == MIG_INTERNAL && message)
        log_failure(run, MIG_LOG_ERROR, message, len);
    lua_settop(L, error - 1);
}

/* Message handler: text plus traceback. It may run where hooks cannot, so it calls nothing of the
 * script (no __tostring). */
static int add_traceback(lua_State *L)
{
    if (error_is(L, 1))
        return 1;
    const char *text = lua_type(L, 1) == LUA_TSTRING || lua_type(L, 1) == LUA_TNUMBER
                           ? lua_tostring(L, 1)
                           : lua_pushfstring(L, "(the error is a %s)", luaL_typename(L, 1));
    luaL_traceback(L, L, text, 1);
    return 1;
}

/* Runs in the coroutine, after the script's function. Slots: 1 message handler, then two results.
 */
static int settle(lua_State *L, int status, lua_KContext ctx)
{
    struct run *run = co_of(L)->run;
    struct state *st = run->st;
    (void)ctx;

    if (status == LUA_ERRMEM)
        run->is_out_of_memory = true;
    if ((status != LUA_OK && status != LUA_YIELD) || run->over != OVER_NO) {
        size_t len = 0;
        if (run->over == OVER_NO && !run->is_out_of_memory && error_is(L, -1)) {
            fail_as_told(L, run);
            return 0;
        }
        const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
        if (text)
            settle_fail_script(run, text, len);
        else
            settle_fail_script(run, "cpu budget exceeded", 19);
        return 0;
    }
    if (lua_isnil(L, -2) && !lua_isnil(L, -1)) {
        if (error_is(L, -1)) {
            fail_as_told(L, run);
        } else {
            size_t len;
            const char *text = luaL_tolstring(L, -1, &len);
            settle_fail_script(run, text, len);
        }
        return 0;
    }
    if (lua_isnil(L, -2)) {
        st->out.len = 0;
        buf_add(&st->out, "{}", 2);
    } else {
        json_write(L, st, -2, "result");
    }
    run->code = MIG_OK;
    return 0;
}

int settle_main(lua_State *L)
{
    struct run *run = co_of(L)->run;
    struct state *st = run->st;
    int nargs = 0;

    lua_pushcfunction(L, add_traceback);
    if (run->cap) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, st->cap_refs[run->cap->index]);
        api_call_push(L, run);
        nargs = 1;
    } else {
        lua_rawgeti(L, LUA_REGISTRYINDEX, st->timer_refs[run->timer->index]);
    }
    return settle(L, lua_pcallk(L, nargs, 2, 1, 0, settle), 0);
}
