/* budget.c: time. No hook is set while a script behaves: it would double the cost of every script.
 *
 *   slice_begin --> lua_resume --> slice_end            the usual 20 us
 *        |              |
 *        | 1 ms later, on the watchdog's thread; 0.05 to 0.15 ms where that happened lately
 *        +--> fire: lua_sethook --> on_hook, on the loop: over the budget?  raise, and go on
 * raising can it yield?     yield; mig.task resumes it later neither?          10 ms, then as over
 * the budget
 *
 * lua_sethook from another thread is what Lua allows for signal handlers: it stores four words and
 * marks the frames. What differs with real concurrency is dealt with here: `firing` keeps the
 * allocator from freeing frames meanwhile (state.c), and fire() repeats itself until the hook has
 * answered, since a frame entered at that very moment may have missed the mark. */
#include "engine.h"

#include <sched.h>
#include <time.h>

static uint64_t now(struct state *st)
{
    return st->engine->host->now_ns(st->engine->host);
}

static void on_hook(lua_State *L, lua_Debug *ar);

/* Keeps raising: a script that catches the error meets it again at its next instruction. */
static void out_of_time(lua_State *L, struct run *run, enum over over)
{
    if (run->over == OVER_NO)
        run->over = over;
    run->st->is_armed = true;
    lua_sethook(L, on_hook, LUA_MASKCOUNT, 1);
    luaL_error(L, run->over == OVER_CALLBACK ? "a callback held the event loop for too long"
                                             : "cpu budget exceeded");
}

/* A call that is answered once has its budget once. A stream may live for hours, so it has the same
 * again for every second of its life: it must use less than cpu_ms per second in the long run. */
static uint64_t budget_of(const struct run *run, uint64_t at_ns)
{
    uint64_t budget = run->cpu_budget_ns;

    if (!run->req || run->req->mode == MIG_MODE_UNARY)
        return budget;
    return budget + (at_ns - run->start_ns) / 1000000 * (budget / 1000);
}

/* CPU time of this thread. A system call, so it is only asked once the watchdog has struck. */
static uint64_t cpu_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t at_most(uint64_t ns, uint64_t max)
{
    return ns < max ? ns : max;
}

/* What the slice has cost. The wall clock charges a script for the time in which its thread had to wait
 * for a processor, so it counts only up to the first strike, and there no more than the watchdog
 * would have let pass; from then on the thread's own clock does. */
static uint64_t slice_cost(struct state *st)
{
    if (st->strike_cpu_ns)
        return st->strike_cost_ns + (cpu_now() - st->strike_cpu_ns);
    return at_most(now(st) - st->slice_t0, 2 * SLICE_US * 1000u);
}

static void note_strike(struct state *st)
{
    if (st->strike_cpu_ns)
        return;
    st->strike_cost_ns = slice_cost(st);
    st->strike_cpu_ns = cpu_now();
}

/* Raises when the call has used up its time; else what this slice has cost. */
static uint64_t check_time(lua_State *L, struct state *st, struct run *run)
{
    note_strike(st);
    uint64_t at = now(st), slice = slice_cost(st);

    if (run->over != OVER_NO)
        out_of_time(L, run, run->over);
    if (!run->is_closing && run->cpu_ns + slice > budget_of(run, at))
        out_of_time(L, run, OVER_CPU);
    return slice;
}

static void on_hook(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    struct co *co = co_of(L);
    struct state *st = co->st;

    atomic_store(&st->acked, true);
    while (atomic_load(&st->firing)) /* two words being stored on the other thread */
        ;
    uint64_t slice = check_time(L, st, co->run);
    if (slice >= st->slice_us * 1000u && !co->run->is_closing && st->engine->task &&
        lua_isyieldable(L)) {
        lua_sethook(L, NULL, 0, 0);
        st->greedy_until_ns = now(st) + LATELY_MS * 1000000ull;
        co->wait = WAIT_SLICE;
        lua_yield(L, 0);
        return;
    }
    if (slice > CALLBACK_US * 1000u && (co->run->is_closing || !lua_isyieldable(L)))
        out_of_time(L, co->run, OVER_CALLBACK);
    st->is_armed = true;
    lua_sethook(L, on_hook, LUA_MASKCOUNT, 1000);
}

static void nap(long ns)
{
    struct timespec t = {0, ns};
    nanosleep(&t, NULL);
}

/* On the watchdog's thread. */
static void fire(void *arg)
{
    struct state *st = arg;

    atomic_store(&st->fired, true);
    for (int i = 0; i < 4; i++) {
        atomic_store(&st->firing, true);
        bool is_acked = atomic_load(&st->acked);
        if (!is_acked)
            lua_sethook(st->slice_co->L, on_hook, LUA_MASKCOUNT, 1);
        atomic_store(&st->firing, false);
        if (is_acked)
            return;
        nap(20000);
    }
}

void slice_begin(struct state *st, struct co *co)
{
    struct run *run = co->run;
    struct engine *e = st->engine;

    st->slice_co = co;
    st->slice_t0 = now(st);
    st->slice_us = st->slice_t0 < st->greedy_until_ns ? SHORT_SLICE_US : SLICE_US;
    st->strike_cpu_ns = 0;
    if (run->start_ns == 0)
        run->start_ns = st->slice_t0;
    st->is_armed = false;
    if (run->cap && run->cap->memory_kb) {
        size_t grown = st->used + (size_t)run->cap->memory_kb * 1024;
        st->soft_limit = grown < st->limit ? grown : st->limit;
    }
    atomic_store_explicit(&st->acked, false, memory_order_relaxed);
    atomic_store_explicit(&st->fired, false, memory_order_relaxed);
    if (run->over != OVER_NO || run->cpu_ns > budget_of(run, st->slice_t0)) {
        st->is_armed = true;
        lua_sethook(co->L, on_hook, LUA_MASKCOUNT, 1);
    } else if (!e->loop) { /* no watchdog: the slow way */
        st->is_armed = true;
        lua_sethook(co->L, on_hook, LUA_MASKCOUNT, 1000);
    }
    if (e->loop)
        e->loop->slice_begin(e->host, st->slice_us, fire, st);
}

void slice_end(struct state *st)
{
    struct engine *e = st->engine;
    struct co *co = st->slice_co;

    if (e->loop)
        e->loop->slice_end(e->host);
    co->run->cpu_ns += slice_cost(st);
    if (st->is_armed || atomic_load_explicit(&st->fired, memory_order_relaxed))
        lua_sethook(co->L, NULL, 0, 0);
    st->soft_limit = st->limit;
    st->slice_co = NULL;
}

/* How long the slice has lasted; 0 while the watchdog has not struck. */
static uint64_t tick(lua_State *L)
{
    struct co *co = co_of(L);
    struct state *st = state_of(L);

    if (co)
        return st->is_armed || atomic_load_explicit(&st->fired, memory_order_relaxed)
                   ? check_time(L, st, co->run)
                   : 0;
    if (st->is_loading && st->load_until_ns && now(st) > st->load_until_ns)
        luaL_error(L, "the script takes too long to load (more than a second)");
    return 0;
}

void budget_tick(lua_State *L)
{
    if (tick(L) > CALLBACK_US * 1000u)
        out_of_time(L, co_of(L)->run, OVER_CALLBACK);
}

void budget_check(lua_State *L)
{
    tick(L);
}

/* --- loading: a lifecycle thread, where no watchdog looks ------------------------------------- */

static void on_load_hook(lua_State *L, lua_Debug *ar)
{
    struct state *st = state_of(L);

    (void)ar;
    if (now(st) <= st->load_until_ns)
        return;
    lua_sethook(L, on_load_hook, LUA_MASKCOUNT, 1);
    luaL_error(L, "the script takes too long to load (more than a second)");
}

void budget_load_begin(struct state *st)
{
    st->load_until_ns = now(st) + (uint64_t)LOAD_MS * 1000000;
    lua_sethook(st->L, on_load_hook, LUA_MASKCOUNT, 1000);
}

void budget_load_end(struct state *st)
{
    lua_sethook(st->L, NULL, 0, 0);
}
