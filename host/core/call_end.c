/* How calls end: as the plugin says, or early. */
#include "base/check.h"
#include "core/call_parts.h"
#include "core/core.h"

#include <stdlib.h>

static _Atomic uint64_t stale;

uint64_t call_stale_count(void)
{
    return atomic_load(&stale);
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
        if (!call_is_generation(word, h))
            return gone();
        if (atomic_load_explicit(&c->instance, memory_order_relaxed) != inst)
            return MIG_E_ARG;
        struct call_step step = call_step(call_state_of(word), CALL_END);
        if (step.actions & CALL_STALE)
            return gone();
    } while (!atomic_compare_exchange_weak(&c->word, &word, call_word_with(word, CALL_ENDED)));
    return MIG_OK;
}

/* --- the result ------------------------------------------------------------------------------- */

static void result_drop(struct call_result *r)
{
    if (r->release)
        r->release(r->owner);
    r->release = NULL;
}

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
void call_end_arrived(struct task *t)
{
    struct call *c = container_of(t, struct call, end_task);

    c->is_ended = true;
    if (c->frames_out.first && !c->is_answered)
        c->is_draining_end = true;
    else
        give_result(c);
}

void call_frames_are_out(struct call *c)
{
    if (c->is_draining_end)
        give_result(c);
}

/* The plugin never saw a call that was answered while it waited for its turn: end it for it. */
void call_end_unseen(struct call *c)
{
    if (c->was_seen || c->is_ended || !c->is_answered)
        return;
    if (claim_end(c, atomic_load(&c->instance), call_handle(c)) == MIG_OK)
        call_end_arrived(&c->end_task);
}

/* --- what plugins say, from any thread -------------------------------------------------------- */

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
    struct call *c = call_slot(core, h);
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
    struct call *c = call_slot(core, h);
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

/* --- early ------------------------------------------------------------------------------------ */

static void run_cancel(struct call *c, struct strand_event *e)
{
    (void)e;
    if (c->was_seen && call_state_of(atomic_load(&c->word)) == CALL_ANSWERED)
        c->handler.on_cancel(atomic_load(&c->instance)->self, c->handler.data, call_handle(c));
}

static struct call_step enter_event(struct call *c, enum call_event event)
{
    uint64_t word = atomic_load(&c->word);
    struct call_step step;

    do
        step = call_step(call_state_of(word), event);
    while (!atomic_compare_exchange_weak(&c->word, &word, call_word_with(word, step.next)));
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

void call_deadline_passed(struct timer *t)
{
    struct call *c = container_of(t, struct call, deadline);

    call_abort(c, CALL_DEADLINE,
               &(struct call_result){.status = MIG_TIMEOUT,
                                     .message = S("deadline exceeded"),
                                     .details = S("{\"reason\":\"deadline_exceeded\"}")});
}
