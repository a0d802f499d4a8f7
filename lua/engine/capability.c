/* capability.c: mig.capability and mig.every: from a table to a registration. State 0 registers,
 * the other states must come to the same. */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- declarations ------------------------------------------------------------------------------
 */

static int *refs_grow(lua_State *L, int *refs, uint32_t n)
{
    int *grown = realloc(refs, (n + 1) * sizeof *refs);

    if (!grown)
        luaL_error(L, "not enough memory");
    grown[n] = LUA_NOREF;
    return grown;
}

/* Read into a userdata first, whose contents the caller frees whatever happens. */
static int read_protected(lua_State *L)
{
    struct cap_def *d = lua_touserdata(L, 2);

    lua_settop(L, 1);
    definition_read(L, state_of(L), d);
    return 0;
}

static int capability_declare_in(lua_State *L, struct state *st, struct cap_def *d)
{
    struct engine *e = st->engine;
    uint32_t n = st->loaded_caps;

    lua_pushcfunction(L, read_protected);
    lua_pushvalue(L, 1);
    lua_pushlightuserdata(L, d);
    int status = lua_pcall(L, 2, 0, 0);
    if (status != LUA_OK) {
        definition_deinit(d);
        luaL_where(L, 1); /* the line of mig.capability{ in the script */
        lua_insert(L, -2);
        lua_concat(L, 2);
        return lua_error(L);
    }
    for (uint32_t i = 0; i < n && i < e->cap_count; i++) {
        if (strcmp(e->caps[i].id, d->id) || strcmp(e->caps[i].version, d->version))
            continue;
        lua_pushfstring(L, "mig.capability: %s %s is declared twice", d->id, d->version);
        definition_deinit(d);
        return luaL_error(L, "%s", lua_tostring(L, -1));
    }
    if (st->index == 0) {
        struct cap_def *grown = realloc(e->caps, (n + 1) * sizeof *grown);
        if (!grown) {
            definition_deinit(d);
            return luaL_error(L, "not enough memory");
        }
        e->caps = grown;
        d->engine = e;
        d->index = n;
        grown[n] = *d;
        e->cap_count = n + 1;
    } else {
        bool is_same = n < e->cap_count && !strcmp(e->caps[n].canon, d->canon);
        definition_deinit(d);
        if (!is_same)
            return luaL_error(L, "mig.capability: a script must declare the same in every state, "
                                 "whatever the time or a random number is");
    }
    st->cap_refs = refs_grow(L, st->cap_refs, n);
    lua_pushvalue(L, 1);
    st->cap_refs[n] = luaL_ref(L, LUA_REGISTRYINDEX);
    st->loaded_caps = n + 1;
    lua_settop(L, 1);
    return 1;
}

int capability_declare(lua_State *L)
{
    struct state *st = state_of(L);
    struct cap_def d = {0};

    if (!st->is_loading)
        return luaL_error(L, "mig.capability is only possible while the script loads");
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    if (lua_getmetatable(L, 1))
        return luaL_error(L, "mig.capability: the table must not have a metatable");
    return capability_declare_in(L, st, &d);
}

int capability_every(lua_State *L)
{
    struct state *st = state_of(L);
    struct engine *e = st->engine;
    uint32_t n = st->loaded_timers;

    if (!st->is_loading)
        return luaL_error(L, "mig.every is only possible while the script loads");
    lua_Integer ms = luaL_checkinteger(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    luaL_argcheck(L, ms >= 1, 1, "at least one millisecond");
    if (st->index == 0) {
        struct timer_def *grown = realloc(e->timers, (n + 1) * sizeof *grown);
        if (!grown)
            return luaL_error(L, "not enough memory");
        e->timers = grown;
        grown[n] = (struct timer_def){.engine = e, .index = n, .every_ms = (uint64_t)ms};
        snprintf(grown[n].name, sizeof grown[n].name, "every-%u", n + 1);
        e->timer_count = n + 1;
    } else if (n >= e->timer_count || e->timers[n].every_ms != (uint64_t)ms) {
        return luaL_error(L, "mig.every: a script must declare the same in every state");
    }
    st->timer_refs = refs_grow(L, st->timer_refs, n);
    lua_settop(L, 2);
    st->timer_refs[n] = luaL_ref(L, LUA_REGISTRYINDEX);
    st->loaded_timers = n + 1;
    return 0;
}

/* Replace each capability table by its function: what a script changes later has no effect. */
void capability_settle(lua_State *L, struct state *st)
{
    struct engine *e = st->engine;

    if (st->loaded_caps != e->cap_count || st->loaded_timers != e->timer_count)
        luaL_error(L, "a script must declare the same in every state");
    if (e->cap_count == 0 && e->timer_count == 0)
        luaL_error(L, "%s:1: the script declares no capability", e->sources[0].shown);
    for (uint32_t i = 0; i < st->loaded_caps; i++) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, st->cap_refs[i]);
        definition_check_keys(L, lua_gettop(L), e->caps[i].id, definition_keys);
        lua_pushliteral(L, "invoke");
        if (lua_rawget(L, -2) != LUA_TFUNCTION)
            luaL_error(L, "%s:1: capability %s has no function invoke", e->sources[0].shown,
                       e->caps[i].id);
        lua_rawseti(L, LUA_REGISTRYINDEX, st->cap_refs[i]);
        lua_pop(L, 1);
    }
}

/* --- to the host --------------------------------------------------------------------------------
 */

static mig_status describe_one(struct engine *e, const struct cap_def *d, const mig_registrar *reg)
{
    mig_capability cap = {0};

    cap.struct_size = (uint32_t)sizeof cap;
    cap.modes = d->modes;
    cap.exec = MIG_EXEC_LOOP;
    cap.max_concurrency = d->max_concurrency;
    cap.timeout_ms = d->timeout_ms;
    cap.id = d->id;
    cap.version = d->version;
    cap.summary = d->summary ? d->summary : "";
    cap.input_schema = d->input;
    cap.output_schema = d->output;
    cap.auth_scopes = (const char *const *)d->scopes;
    cap.meta = d->meta;
    cap.data = &e->caps[d->index];
    cap.invoke = run_invoke;
    cap.on_cancel = run_on_cancel;
    if (d->modes & ~(uint32_t)MIG_MODE_UNARY)
        cap.on_writable = run_on_writable;
    if (d->modes & (MIG_MODE_CLIENT_STREAM | MIG_MODE_BIDI)) {
        cap.on_message = run_on_message;
        cap.on_half_close = run_on_half_close;
        if (e->stream) /* a message is granted when the script has taken one */
            cap.flags |= MIG_CAP_MANUAL_GRANT;
    }
    return reg->capability(reg, &cap);
}

mig_status capability_describe(struct engine *e, const mig_registrar *reg)
{
    for (uint32_t i = 0; i < e->cap_count; i++) {
        mig_status s = describe_one(e, &e->caps[i], reg);
        if (s != MIG_OK)
            return s;
    }
    for (uint32_t i = 0; i < e->timer_count; i++) {
        struct timer_def *d = &e->timers[i];
        mig_timer t = {.struct_size = (uint32_t)sizeof t,
                       .exec = MIG_EXEC_LOOP,
                       .name = d->name,
                       .every_ms = d->every_ms,
                       .data = d,
                       .on_tick = run_on_tick};
        mig_status s = reg->extend(reg, MIG_EXT_TIMER, &t);
        if (s != MIG_OK)
            return s;
    }
    return MIG_OK;
}

void capability_free(struct engine *e)
{
    for (uint32_t i = 0; i < e->cap_count; i++)
        definition_deinit(&e->caps[i]);
    free(e->caps);
    free(e->timers);
}
