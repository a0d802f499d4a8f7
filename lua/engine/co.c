/* co.c: coroutines of a state, and the tickets their suspensions carry.
 *
 * A ticket is (state 8 | slot 24 | generation 32) in a void *. The generation grows whenever a
 * suspension ends, by whatever means, so a completion that comes late finds another one. */
#include "engine.h"

#include <stdlib.h>

_Static_assert(sizeof(void *) == 8, "a ticket needs 64 bits");

static int new_thread(lua_State *L)
{
    struct co *co = lua_touserdata(L, 1);

    co->L = lua_newthread(L);
    co->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static struct co *slot_new(struct state *st)
{
    if (st->slot_count == st->slot_cap) {
        uint32_t cap = st->slot_cap ? st->slot_cap * 2 : 64;
        struct co **grown = realloc(st->slots, cap * sizeof(struct co *));
        if (!grown || cap > 1u << 24)
            return NULL;
        st->slots = grown;
        st->slot_cap = cap;
    }
    struct co *co = calloc(1, sizeof *co);
    if (!co)
        return NULL;
    co->st = st;
    co->slot = st->slot_count;
    co->gen = 1;
    st->slots[st->slot_count++] = co;
    return co;
}

struct co *co_take(struct state *st, struct run *run)
{
    struct co *co = st->free_cos;

    if (co)
        st->free_cos = co->next;
    else if (!(co = slot_new(st)))
        return NULL;
    if (!co->L) {
        lua_pushcfunction(st->L, new_thread);
        lua_pushlightuserdata(st->L, co);
        if (lua_pcall(st->L, 1, 0, 0) != LUA_OK) {
            lua_settop(st->L, 0);
            co->L = NULL;
            co->next = st->free_cos;
            st->free_cos = co;
            return NULL;
        }
        *(struct co **)lua_getextraspace(co->L) = co;
    }
    co->next = NULL;
    co->wait = WAIT_NONE;
    co->is_ready = co->is_done = false;
    co->parent = co->children = co->sibling = NULL;
    co->pending = 0;
    co->run = run;
    co->run_next = run->cos;
    run->cos = co;
    run->co_count++;
    return co;
}

static void unready(struct co *co)
{
    struct run *run = co->run;
    struct co *before = NULL;

    for (struct co *c = run->ready_head; c && c != co; c = c->next)
        before = c;
    if (before)
        before->next = co->next;
    else
        run->ready_head = co->next;
    if (run->ready_tail == co)
        run->ready_tail = before;
    co->is_ready = false;
}

/* After an error or a cancellation a thread is not reused: Lua 5.4.4 leaves its hook permission and
 * its message handler as they were. */
static void drop_thread(struct co *co)
{
    if (!co->L)
        return;
    luaL_unref(co->st->L, LUA_REGISTRYINDEX, co->ref);
    co->L = NULL;
}

void co_release(struct co *co)
{
    struct co **link = &co->run->cos;

    while (*link && *link != co)
        link = &(*link)->run_next;
    if (*link)
        *link = co->run_next;
    co->run->co_count--;
    if (co->is_ready)
        unready(co);
    co->gen++;
    co->run = NULL;
    co->wait = WAIT_NONE;
    if (co->L && lua_status(co->L) != LUA_OK)
        drop_thread(co);
    else if (co->L)
        lua_settop(co->L, 0);
    co->next = co->st->free_cos;
    co->st->free_cos = co;
}

void co_close(struct co *co)
{
    while (co->children) {
        struct co *child = co->children;
        co->children = child->sibling;
        co_close(child);
    }
    co->gen++;
    if (co->L && !co->is_done) {
        bool was_closing = co->run->is_closing;
        co->run->is_closing = true;
        slice_begin(co->st, co);
#if LUA_VERSION_RELEASE_NUM >= 50406
        lua_closethread(co->L, NULL);
#else
        lua_resetthread(co->L);
#endif
        slice_end(co->st);
        co->run->is_closing = was_closing;
    }
    drop_thread(co);
    co_release(co);
}

void *co_ticket(struct co *co)
{
    co->gen++;
    return (void *)((uintptr_t)co->st->index << 56 | (uintptr_t)co->slot << 32 | co->gen);
}

struct co *co_of_ticket(struct engine *e, void *tag)
{
    uintptr_t v = (uintptr_t)tag;
    uint32_t index = (uint32_t)(v >> 56), slot = (uint32_t)(v >> 32) & 0xFFFFFF;

    if (index >= e->state_count || slot >= e->states[index]->slot_count)
        return NULL;
    struct co *co = e->states[index]->slots[slot];
    if (co->gen != (uint32_t)v || !co->run) {
        e->states[index]->late++;
        return NULL;
    }
    co->gen++;
    return co;
}

void co_make_ready(struct co *co)
{
    struct run *run = co->run;

    if (co->is_ready)
        return;
    co->is_ready = true;
    co->wait = WAIT_NONE;
    co->next = NULL;
    if (run->ready_tail)
        run->ready_tail->next = co;
    else
        run->ready_head = co;
    run->ready_tail = co;
}

struct co *co_may_wait(lua_State *L, const char *what)
{
    struct co *co = co_of(L);

    if (!co)
        luaL_error(L, "%s is not possible while the script loads; call it in a handler", what);
    if (co->run->is_closing)
        luaL_error(L, "%s cannot wait: the call is being closed", what);
    if (!lua_isyieldable(L))
        luaL_error(L, "%s cannot wait inside a table.sort comparator or a string.gsub function",
                   what);
    return co;
}
