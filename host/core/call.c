#include "core/call.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
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

static _Atomic uint64_t stale;

uint64_t call_stale_count(void)
{
    return atomic_load(&stale);
}

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

static enum call_state state_of(uint64_t word)
{
    return (enum call_state)(word & 0xFF);
}

static uint64_t word_with(uint64_t word, enum call_state state)
{
    return (word & ~(uint64_t)0xFF) | state;
}

mig_call call_handle(const struct call *c)
{
    uint64_t generation = atomic_load_explicit(&c->word, memory_order_relaxed) >> 32;

    return (mig_call){(uint64_t)c->home->index << 56 | (uint64_t)c->slot << 32 | generation};
}

/* The slot a handle names, whatever lives there now; NULL when there never was one. */
static struct call *slot_of(struct core *core, mig_call h)
{
    size_t loop = h.v >> 56, slot = h.v >> 32 & 0xFFFFFF;

    if (loop >= core->loop_count)
        return NULL;
    struct call_table *t = core->per_loop[loop].calls;
    struct call *chunk = atomic_load_explicit(&t->chunks[slot / CHUNK_CALLS], memory_order_acquire);
    return chunk ? &chunk[slot % CHUNK_CALLS] : NULL;
}

static bool is_generation(uint64_t word, mig_call h)
{
    return (uint32_t)(word >> 32) == (uint32_t)h.v && state_of(word) != CALL_FREE;
}

static mig_status gone(void)
{
    atomic_fetch_add_explicit(&stale, 1, memory_order_relaxed);
    return MIG_E_GONE;
}

/* Claims the end of a call in place. MIG_OK: the caller of this function now owns the end. */
static mig_status claim_end(struct call *c, struct instance *inst, mig_call h)
{
    if (!c)
        return gone();
    uint64_t word = atomic_load(&c->word);
    do {
        if (!is_generation(word, h))
            return gone();
        if (atomic_load_explicit(&c->instance, memory_order_relaxed) != inst)
            return MIG_E_ARG;
        struct call_step step = call_step(state_of(word), CALL_END);
        if (step.actions & CALL_STALE)
            return gone();
    } while (!atomic_compare_exchange_weak(&c->word, &word, word_with(word, CALL_ENDED)));
    return MIG_OK;
}

/* --- table ------------------------------------------------------------------------------------- */

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

struct call_wait *call_wait_of(const struct call *c)
{
    return &core_loop_of(c->core, c->home)->calls->waits[c->slot % WAITS];
}

/* --- open and free ------------------------------------------------------------------------------ */

static void run_start(struct call *c, struct strand_event *e);
static void end_arrived(struct task *t);
static void deadline_passed(struct timer *t);

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
    c->ev_start.run = run_start;
    c->end_task.run = end_arrived;
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
    atomic_store_explicit(&c->word, word_with(word, CALL_OPEN), memory_order_release);
    uint64_t now_ns = clock_turn_ns();
    uint64_t ms = spec->deadline_ns > now_ns ? (spec->deadline_ns - now_ns + 999999) / 1000000 : 0;
    if (spec->deadline_ns != UINT64_MAX)
        loop_timer(t->home, &c->deadline, ms, deadline_passed);
    return c;
}

static void result_drop(struct call_result *r)
{
    if (r->release)
        r->release(r->owner);
    r->release = NULL;
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
    if (state_of(atomic_load(&c->word)) != CALL_ENDED || !c->is_ended || c->is_draining_end ||
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

/* --- strand ------------------------------------------------------------------------------------- */

static void run_events(struct call *c, struct task_queue *q)
{
    const char *before = instance_enter(atomic_load_explicit(&c->instance, memory_order_relaxed));
    const struct log_context *outer = log_enter(c->log);

    for (struct task *t; (t = task_pop(q));) {
        struct strand_event *e = container_of(t, struct strand_event, task);
        e->run(c, e);
    }
    log_enter(outer);
    instance_leave(before);
}

/* The plugin never saw a call that was answered while it waited for its turn: end it for it. */
void call_end_unseen(struct call *c)
{
    if (c->was_seen || c->is_ended || !c->is_answered)
        return;
    if (claim_end(c, atomic_load(&c->instance), call_handle(c)) == MIG_OK)
        end_arrived(&c->end_task);
}

static void strand_is_idle(struct call *c)
{
    atomic_fetch_add_explicit(&c->holds, 1, memory_order_relaxed);
    c->strand_is_running = false;
    call_end_unseen(c);
    call_drop(c);
}

static void strand_on_loop(struct task *t)
{
    struct call *c = container_of(t, struct call, strand_task);

    run_events(c, &c->strand_queue);
    strand_is_idle(c);
}

static void strand_to_pool(struct call *c);

static void strand_back(struct task *t)
{
    struct call *c = container_of(t, struct call, strand_task);

    if (c->strand_queue.first)
        strand_to_pool(c);
    else
        strand_is_idle(c);
}

static void strand_on_pool(struct task *t)
{
    struct call *c = container_of(t, struct call, strand_task);

    run_events(c, &c->strand_batch);
    t->run = strand_back;
    loop_post(c->home, t);
}

static void strand_batch(struct call *c)
{
    c->strand_is_running = true;
    c->strand_task.run = strand_on_pool;
    c->strand_batch = c->strand_queue;
    c->strand_queue = (struct task_queue){0};
}

static void strand_to_pool(struct call *c)
{
    strand_batch(c);
    pool_run_admitted(c->core->pool, &atomic_load(&c->instance)->share, &c->strand_task);
}

void call_strand_push(struct call *c, struct strand_event *e)
{
    task_push(&c->strand_queue, &e->task);
    if (c->strand_is_running)
        return;
    if (c->handler.exec == MIG_EXEC_POOL) {
        strand_to_pool(c);
        return;
    }
    c->strand_is_running = true;
    c->strand_task.run = strand_on_loop;
    loop_defer(c->home, &c->strand_task);
}

static void run_start(struct call *c, struct strand_event *e)
{
    (void)e;
    if (state_of(atomic_load(&c->word)) != CALL_OPEN)
        return;
    c->was_seen = true;
    c->kind->start(c);
}

bool call_start(struct call *c)
{
    if (c->handler.exec != MIG_EXEC_POOL) {
        call_strand_push(c, &c->ev_start);
        return true;
    }
    task_push(&c->strand_queue, &c->ev_start.task);
    strand_batch(c);
    if (pool_run(c->core->pool, &atomic_load(&c->instance)->share, &c->strand_task))
        return true;
    c->strand_batch = (struct task_queue){0};
    c->strand_is_running = false;
    call_refuse(c);
    return false;
}

void call_refuse(struct call *c)
{
    uint64_t word = atomic_load(&c->word);

    atomic_store(&c->word, word_with(word, CALL_ENDED));
    c->is_answered = c->is_ended = true;
    maybe_free(c);
}

/* --- the end ------------------------------------------------------------------------------------ */

static void give_result(struct call *c)
{
    atomic_fetch_add_explicit(&c->holds, 1, memory_order_relaxed);
    c->is_draining_end = false;
    if (!c->is_answered) {
        c->is_answered = true;
        timer_stop(&c->home->timers, &c->deadline);
        c->kind->answer(c, &c->result);
    }
    result_drop(&c->result);
    call_drop(c);
}

/* Home loop: the plugin's end has arrived. */
static void end_arrived(struct task *t)
{
    struct call *c = container_of(t, struct call, end_task);

    c->is_ended = true;
    if (c->frames_out.first && !c->is_answered)
        c->is_draining_end = true;
    else
        give_result(c);
}

/* --- what plugins say, from any thread ---------------------------------------------------------- */

struct release {
    struct task task;
    void (*fn)(void *owner);
    void *owner;
};

static void run_release(struct task *t)
{
    struct release *r = container_of(t, struct release, task);

    r->fn(r->owner);
    free(r);
}

void payload_release_later(struct core *core, const mig_payload *p)
{
    if (!p || !p->release)
        return;
    struct release *r = malloc(sizeof *r);
    must(r);
    *r = (struct release){{.run = run_release}, p->release, p->owner};
    loop_post(core->control, &r->task);
}

/* One block for the texts of a result: from the arena on the home loop, else from malloc. */
static bool pack(struct call *c, struct call_result *r)
{
    str *texts[] = {&r->json, &r->message, &r->details};
    size_t total = 1;
    for (size_t i = 0; i < countof(texts); i++)
        total += texts[i]->len;
    bool is_home = loop_is_current(c->home);
    char *to = is_home ? arena_alloc(c->arena, total) : malloc(total);
    if (!to)
        return false;
    if (!is_home) {
        r->release = free;
        r->owner = to;
    }
    for (size_t i = 0; i < countof(texts); i++) {
        if (texts[i]->len)
            memcpy(to, texts[i]->ptr, texts[i]->len);
        texts[i]->ptr = to;
        to += texts[i]->len;
    }
    return true;
}

static void deliver_end(struct call *c, struct call_result r, bool is_taken)
{
    if (!is_taken && !pack(c, &r))
        r = (struct call_result){.status = MIG_INTERNAL, .message = S("out of memory")};
    c->result = r;
    if (loop_is_current(c->home))
        loop_defer(c->home, &c->end_task);
    else
        loop_post(c->home, &c->end_task);
}

mig_status call_finish(struct core *core, struct instance *inst, mig_call h, const mig_payload *p)
{
    struct call *c = slot_of(core, h);
    mig_status status = claim_end(c, inst, h);
    struct call_result r = {.json = p ? p->bytes : (str){NULL, 0}};

    if (status != MIG_OK) {
        payload_release_later(core, p);
        return status;
    }
    if (p && p->release) {
        r.release = p->release;
        r.owner = p->owner;
    }
    deliver_end(c, r, r.release != NULL);
    return MIG_OK;
}

mig_status call_finish_error(struct core *core, struct instance *inst, mig_call h,
                             const mig_error *e)
{
    struct call *c = slot_of(core, h);
    mig_status status = claim_end(c, inst, h);

    if (status != MIG_OK)
        return status;
    struct call_result r = {
        .status = e->code > MIG_OK && e->code <= MIG_INTERNAL ? e->code : MIG_INTERNAL,
        .message = e->message,
        .details = e->details,
        .retry_after_ms = e->retry_after_ms,
        .retry = e->retry,
    };
    deliver_end(c, r, /*is_taken=*/false);
    return MIG_OK;
}

struct call *call_hold(struct core *core, struct instance *inst, mig_call h)
{
    struct call *c = slot_of(core, h);

    if (!c)
        return NULL;
    /* First the hold, then the look: whoever frees the slot sets the word before it reads holds. */
    atomic_fetch_add(&c->holds, 1);
    uint64_t word = atomic_load(&c->word);
    if (is_generation(word, h) && state_of(word) == CALL_OPEN &&
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

bool call_is_cancelled(struct core *core, mig_call h)
{
    struct call *c = slot_of(core, h);
    uint64_t word = c ? atomic_load(&c->word) : 0;

    return !c || !is_generation(word, h) || state_of(word) != CALL_OPEN;
}

struct call *call_find(struct core *core, mig_call h)
{
    return call_is_cancelled(core, h) ? NULL : slot_of(core, h);
}

/* --- what ends a call early --------------------------------------------------------------------- */

static void run_cancel(struct call *c, struct strand_event *e)
{
    (void)e;
    if (c->was_seen && state_of(atomic_load(&c->word)) == CALL_ANSWERED)
        c->handler.on_cancel(atomic_load(&c->instance)->self, c->handler.data, call_handle(c));
}

static struct call_step enter_event(struct call *c, enum call_event event)
{
    uint64_t word = atomic_load(&c->word);
    struct call_step step;

    do
        step = call_step(state_of(word), event);
    while (!atomic_compare_exchange_weak(&c->word, &word, word_with(word, step.next)));
    return step;
}

void call_abort(struct call *c, enum call_event event, const struct call_result *r)
{
    if (c->is_answered)
        return;
    atomic_fetch_add_explicit(&c->holds, 1, memory_order_relaxed);
    struct call_step step = enter_event(c, event);
    c->is_answered = true;
    timer_stop(&c->home->timers, &c->deadline);
    call_frames_drop(c);
    if (step.actions & CALL_GIVE_ERROR)
        c->kind->answer(c, r);
    while (!list_is_empty(&c->children)) {
        struct call_child *child = container_of(c->children.next, struct call_child, link);
        list_remove(&child->link);
        child->cancel(child);
    }
    call_wake(c);
    if (step.actions & CALL_TELL_PLUGIN && c->handler.on_cancel) {
        c->ev_cancel.run = run_cancel;
        call_strand_push(c, &c->ev_cancel);
    }
    if (c->is_draining_end)
        give_result(c);
    call_drop(c);
}

static void deadline_passed(struct timer *t)
{
    struct call *c = container_of(t, struct call, deadline);

    call_abort(c, CALL_DEADLINE,
               &(struct call_result){.status = MIG_TIMEOUT,
                                     .message = S("deadline exceeded"),
                                     .details = S("{\"reason\":\"deadline_exceeded\"}")});
}

/* Frames that held the end back are gone. */
void call_frames_are_out(struct call *c)
{
    if (c->is_draining_end)
        give_result(c);
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
