/* state.c: one lua_State with a memory limit, for one script on one loop. */
#include "engine.h"

#include <stdlib.h>

/* The address sanitizer shall see each block go. */
#if defined(__SANITIZE_ADDRESS__) /* gcc */
#define IS_CHECKED 1
#elif defined(__has_feature)
#define IS_CHECKED __has_feature(address_sanitizer) /* clang */
#else
#define IS_CHECKED 0
#endif
enum { KEEP_BYTES = IS_CHECKED ? 0 : 32 << 10 };

/* The only allocator of the state. Two things are special:
 * - a limit: growing over it fails, which Lua turns into "not enough memory" after a full
 *   collection. osize is a type tag when ptr is NULL.
 * - the watchdog may walk the call frames right now (budget.c, fire): a block that could be a frame
 *   (64 bytes in Lua 5.4; a table has 56) is not freed before it has left. */
static void *limited_alloc(void *ud, void *ptr, size_t osize, size_t nsize)
{
    struct state *st = ud;
    size_t old = ptr ? osize : 0;

    if (nsize == 0) {
        if (old - 60 <= 20) {
            atomic_thread_fence(memory_order_seq_cst);
            while (atomic_load_explicit(&st->firing, memory_order_acquire))
                ;
        }
        st->used -= old;
        blocks_free(&st->blocks, ptr, old);
        return NULL;
    }
    if (nsize > old && (nsize > st->soft_limit || st->used - old > st->soft_limit - nsize))
        return NULL;
    void *grown =
        ptr ? blocks_realloc(&st->blocks, ptr, old, nsize) : blocks_alloc(&st->blocks, nsize);
    if (grown)
        st->used = st->used - old + nsize;
    return grown;
}

static int panic(lua_State *L)
{
    (void)L; /* an error outside every protected call: a bug of the engine; Lua aborts after this */
    return 0;
}

struct state *state_of(lua_State *L)
{
    void *ud;

    lua_getallocf(L, &ud);
    return ud;
}

/* Protected: builds everything a script can see. */
static int open_state(lua_State *L)
{
    struct state *st = lua_touserdata(L, 1);

    lua_newtable(L);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pushliteral(L, "mig.array");
    lua_setfield(L, -2, "__name");
    st->array_mt_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    st->modules_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    api_call_open(L, st);
    api_open(L, st);
    st->mig_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    sandbox_open(L, st);
    st->env_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

struct state *state_new(struct engine *e, uint32_t index)
{
    struct state *st = calloc(1, sizeof *st);

    if (!st)
        return NULL;
    st->engine = e;
    st->index = index;
    st->limit = st->soft_limit = e->memory_bytes;
    st->out.limit = e->memory_bytes;
    st->text.limit = 64 * 1024;
    st->blocks.keep = KEEP_BYTES;
    st->is_loading = true;
    st->L = lua_newstate(limited_alloc, st);
    if (!st->L) {
        free(st);
        return NULL;
    }
    lua_atpanic(st->L, panic);
    *(struct co **)lua_getextraspace(st->L) = NULL;
    lua_pushcfunction(st->L, open_state); /* neither allocates */
    lua_pushlightuserdata(st->L, st);
    if (lua_pcall(st->L, 1, 0, 0) != LUA_OK) {
        const char *why = lua_tostring(st->L, -1);
        engine_log(e, MIG_LOG_ERROR, why ? why : "the Lua state cannot be made", NULL, 0);
        state_free(st);
        return NULL;
    }
    return st;
}

void state_free(struct state *st)
{
    if (!st)
        return;
    lua_close(st->L);
    blocks_deinit(&st->blocks);
    run_deinit(st);
    buf_deinit(&st->out);
    buf_deinit(&st->text);
    free(st->doc_pool);
    free(st->cap_refs);
    free(st->timer_refs);
    free(st);
}
