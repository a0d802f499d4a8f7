#include "core/call.h"
#include "base/check.h"
#include "base/clock.h"
#include "core/call_parts.h"
#include "core/core.h"

#include <stdlib.h>

enum { CHUNK_CALLS = 256, CHUNKS = 65536, WAITS = 16, FIRST_GRANTS = 16 };

struct call_table {
    struct core *core;
    struct loop *home;
    _Atomic(struct call *) chunks[CHUNKS];
    size_t used;
    struct call *free;
    struct list open;
    struct call_wait waits[WAITS];
};

/* --- the state machine ------------------------------------------------------------------------- */

struct call_step call_step(enum call_state state, enum call_event event)
{
    static const struct call_step steps[CALL_STATES][CALL_EVENTS] = {
        [CALL_FREE] = {[CALL_END] = {CALL_FREE, CALL_STALE},
                       [CALL_DEADLINE] = {CALL_FREE, 0},
                       [CALL_CANCEL] = {CALL_FREE, 0},
                       [CALL_DISCONNECT] = {CALL_FREE, 0},
                       [CALL_STOP] = {CALL_FREE, 0}},
        [CALL_OPEN] = {[CALL_END] = {CALL_ENDED, CALL_GIVE_RESULT},
                       [CALL_DEADLINE] = {CALL_ANSWERED, CALL_GIVE_ERROR | CALL_TELL_PLUGIN},
                       [CALL_CANCEL] = {CALL_ANSWERED, CALL_GIVE_ERROR | CALL_TELL_PLUGIN},
                       [CALL_DISCONNECT] = {CALL_ANSWERED, CALL_TELL_PLUGIN},
                       [CALL_STOP] = {CALL_ANSWERED, CALL_GIVE_ERROR | CALL_TELL_PLUGIN}},
        [CALL_ANSWERED] = {[CALL_END] = {CALL_ENDED, 0},
                           [CALL_DEADLINE] = {CALL_ANSWERED, 0},
                           [CALL_CANCEL] = {CALL_ANSWERED, 0},
                           [CALL_DISCONNECT] = {CALL_ANSWERED, 0},
                           [CALL_STOP] = {CALL_ANSWERED, 0}},
        /* Ended by the plugin, but the result may still be on its way to the home loop, or wait
         * behind frames: until it was given, an event may still answer the caller first. */
        [CALL_ENDED] = {[CALL_END] = {CALL_ENDED, CALL_STALE},
                        [CALL_DEADLINE] = {CALL_ENDED, CALL_GIVE_ERROR},
                        [CALL_CANCEL] = {CALL_ENDED, CALL_GIVE_ERROR},
                        [CALL_DISCONNECT] = {CALL_ENDED, 0},
                        [CALL_STOP] = {CALL_ENDED, CALL_GIVE_ERROR}},
    };
    return steps[state][event];
}

/* --- table ------------------------------------------------------------------------------------ */

struct call_table *call_table_new(struct core *core, struct loop *home)
{
    struct call_table *t = calloc(1, sizeof *t);

    must(t);
    t->core = core;
    t->home = home;
    list_init(&t->open);
    for (size_t i = 0; i < WAITS; i++)
        must(pthread_mutex_init(&t->waits[i].lock, NULL) == 0 &&
             pthread_cond_init(&t->waits[i].changed, NULL) == 0);
    return t;
}

void call_table_free(struct call_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->used / CHUNK_CALLS; i++)
        free(atomic_load(&t->chunks[i]));
    for (size_t i = 0; i < WAITS; i++) {
        pthread_cond_destroy(&t->waits[i].changed);
        pthread_mutex_destroy(&t->waits[i].lock);
    }
    free(t);
}

struct list *call_table_open(struct call_table *t)
{
    return &t->open;
}

static bool add_chunk(struct call_table *t)
{
    size_t at = t->used / CHUNK_CALLS;
    struct call *chunk = at < CHUNKS ? calloc(CHUNK_CALLS, sizeof *chunk) : NULL;

    if (!chunk)
        return false;
    for (size_t i = CHUNK_CALLS; i-- > 0;) {
        chunk[i].slot = (uint32_t)(t->used + i);
        chunk[i].home = t->home;
        atomic_init(&chunk[i].word, (uint64_t)1 << 32 | CALL_FREE);
        chunk[i].next_free = t->free;
        t->free = &chunk[i];
    }
    atomic_store_explicit(&t->chunks[at], chunk, memory_order_release);
    t->used += CHUNK_CALLS;
    return true;
}

/* Ending one call may end others, so the handles are noted first. */
void call_table_abort(struct call_table *t, bool (*which)(struct call *c, void *arg), void *arg,
                      const struct call_result *r)
{
    size_t n = 0;

    for (struct list *at = t->open.next; at != &t->open; at = at->next)
        n++;
    mig_call *noted = calloc(n + 1, sizeof *noted);
    must(noted);
    n = 0;
    for (struct list *at = t->open.next; at != &t->open; at = at->next) {
        struct call *c = container_of(at, struct call, in_table);
        if (!which || which(c, arg))
            noted[n++] = call_handle(c);
    }
    for (size_t i = 0; i < n; i++) {
        struct call *c = call_find(t->core, noted[i]);
        if (c)
            call_abort(c, CALL_STOP, r);
    }
    free(noted);
}

struct call_wait *call_wait_of(const struct call *c)
{
    return &core_loop_of(c->core, c->home)->calls->waits[c->slot % WAITS];
}

/* --- open and free ---------------------------------------------------------------------------- */

struct call *call_open(struct call_table *t, const struct call_spec *spec)
{
    if (!t->free && !add_chunk(t))
        return NULL;
    struct call *c = t->free;
    t->free = c->next_free;
    /* The atomics before `home` are read by foreign threads; the rest is the loop's alone. */
    size_t from = offsetof(struct call, kind);
    memset((char *)c + from, 0, sizeof *c - from);
    c->kind = spec->kind;
    c->owner = spec->owner;
    c->core = t->core;
    c->gen = gen_pin(spec->gen, t->home);
    c->arena = arena_ref(spec->arena);
    c->principal = spec->principal;
    c->handler = *spec->handler;
    c->deadline_ns = spec->deadline_ns;
    c->hops = spec->hops;
    c->grants = FIRST_GRANTS;
    c->opened_ms = loop_now_ms(t->home);
    c->ev_start.run = call_run_start;
    c->end_task.run = call_end_arrived;
    list_init(&c->children);
    list_push(&t->open, &c->in_table);
    const struct policy *p = &spec->gen->policy;
    uint64_t bytes = spec->credit_bytes ? spec->credit_bytes : p->stream_credit_bytes;
    uint64_t frames = spec->credit_frames ? spec->credit_frames : p->stream_credit_frames;
    atomic_store_explicit(&c->credit_bytes, (int64_t)bytes, memory_order_relaxed);
    atomic_store_explicit(&c->credit_frames, (int64_t)frames, memory_order_relaxed);
    atomic_store_explicit(&c->wants_writable, false, memory_order_relaxed);
    atomic_store_explicit(&c->instance, spec->instance, memory_order_relaxed);
    instance_debt_add(spec->instance, 1);
    uint64_t word = atomic_load_explicit(&c->word, memory_order_relaxed);
    atomic_store_explicit(&c->word, call_word_with(word, CALL_OPEN), memory_order_release);
    uint64_t now_ns = clock_turn_ns();
    uint64_t ms = spec->deadline_ns > now_ns ? (spec->deadline_ns - now_ns + 999999) / 1000000 : 0;
    if (spec->deadline_ns != UINT64_MAX)
        loop_timer(t->home, &c->deadline, ms, call_deadline_passed);
    return c;
}

void call_let_go(struct call *c)
{
    struct gen *gen = c->gen;

    c->gen = NULL;
    if (gen)
        gen_unpin(gen, c->home);
}

/* A call that was answered needs its generation no more: what the plugin still owes keeps its
 * instance alive, but not a configuration. */
static void maybe_unpin(struct call *c)
{
    if (c->gen && c->is_answered && !atomic_load(&c->holds))
        call_let_go(c);
}

void call_lasts(struct call *c)
{
    call_let_go(c);
    c->is_lasting = true;
    c->deadline_ns = UINT64_MAX;
    timer_stop(&c->home->timers, &c->deadline);
}

/* A subscription holds its parent; whoever holds it beside (a frame that waits, a foreign thread) looks at what
 * is in the arena, or may. */
bool call_is_at_rest(const struct call *c)
{
    return c->is_lasting && !c->is_answered && !c->guests && !c->strand_is_running &&
           !c->strand_queue.first && atomic_load(&c->holds) <= 1;
}

void call_move(struct call *c, struct arena *a, const struct principal *p, void *owner)
{
    arena_unref(c->arena);
    c->arena = a;
    c->principal = p;
    c->owner = owner;
}

/* Reuses the slot when nothing refers to the call any more. Nobody touches c after calling this. */
static void maybe_free(struct call *c)
{
    maybe_unpin(c);
    if (call_state_of(atomic_load(&c->word)) != CALL_ENDED || !c->is_ended || c->is_draining_end ||
        c->strand_is_running || c->strand_queue.first || atomic_load(&c->holds) ||
        !list_is_empty(&c->children))
        return;
    struct call_table *t = core_loop_of(c->core, c->home)->calls;
    struct arena *arena = c->arena;

    if (c->kind->free)
        c->kind->free(c);
    call_messages_free(c);
    timer_stop(&c->home->timers, &c->deadline);
    list_remove(&c->in_table);
    uint64_t generation = (atomic_load(&c->word) >> 32) + 1;
    generation = (uint32_t)generation ? generation : 1;
    instance_debt_add(atomic_load(&c->instance), -1);
    atomic_store(&c->word, generation << 32 | CALL_FREE);
    c->next_free = t->free;
    t->free = c;
    arena_unref(arena);
}

void call_refuse(struct call *c)
{
    uint64_t word = atomic_load(&c->word);

    atomic_store(&c->word, call_word_with(word, CALL_ENDED));
    c->is_answered = c->is_ended = true;
    maybe_free(c);
}

/* --- handles ---------------------------------------------------------------------------------- */

mig_call call_handle(const struct call *c)
{
    uint64_t generation = atomic_load_explicit(&c->word, memory_order_relaxed) >> 32;

    return (mig_call){(uint64_t)c->home->index << 56 | (uint64_t)c->slot << 32 | generation};
}

struct call *call_slot(struct core *core, mig_call h)
{
    size_t loop = h.v >> 56, slot = h.v >> 32 & 0xFFFFFF;

    if (loop >= core->loop_count)
        return NULL;
    struct call_table *t = core->per_loop[loop].calls;
    struct call *chunk = atomic_load_explicit(&t->chunks[slot / CHUNK_CALLS], memory_order_acquire);
    return chunk ? &chunk[slot % CHUNK_CALLS] : NULL;
}

bool call_is_cancelled(struct core *core, mig_call h)
{
    struct call *c = call_slot(core, h);
    uint64_t word = c ? atomic_load(&c->word) : 0;

    return !c || !call_is_generation(word, h) || call_state_of(word) != CALL_OPEN;
}

struct call *call_find(struct core *core, mig_call h)
{
    return call_is_cancelled(core, h) ? NULL : call_slot(core, h);
}

struct call *call_hold(struct core *core, struct instance *inst, mig_call h)
{
    struct call *c = call_slot(core, h);

    if (!c)
        return NULL;
    /* First the hold, then the look: whoever frees the slot sets the word before it reads holds. */
    atomic_fetch_add(&c->holds, 1);
    uint64_t word = atomic_load(&c->word);
    if (call_is_generation(word, h) && call_state_of(word) == CALL_OPEN &&
        atomic_load_explicit(&c->instance, memory_order_relaxed) == inst && !c->kind->is_the_hosts)
        return c;
    call_drop_any(c); /* our hold may have kept the home loop from freeing what was there */
    return NULL;
}

void call_drop(struct call *c)
{
    if (atomic_fetch_sub(&c->holds, 1) == 1)
        maybe_free(c);
}

static void drop_here(struct loop *l, uint64_t v)
{
    (void)l;
    call_drop((struct call *)(uintptr_t)v);
}

void call_drop_any(struct call *c)
{
    if (loop_is_current(c->home))
        call_drop(c);
    else
        loop_post_fn(c->home, drop_here, (uintptr_t)c);
}
