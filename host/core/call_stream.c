/* Frames out, messages in, and their credit. */
#include "base/check.h"
#include "base/clock.h"
#include "base/wait.h"
#include "core/call_parts.h"
#include "core/core.h"

#include <stdlib.h>

/* A frame on its way from the plugin to the caller; holds its call. */
struct frame {
    struct task task;
    struct call *call;
    mig_payload payload;
    char copy[];
};

struct message {
    struct strand_event event;
    str json;
    char copy[];
};

/* --- waiting on the pool ------------------------------------------------------------------------ */

void call_wake(struct call *c)
{
    struct call_wait *w = call_wait_of(c);

    if (!atomic_load(&w->sleepers))
        return;
    pthread_mutex_lock(&w->lock);
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

/* Under the wait lock: sleeps until something changed or the deadline has passed. */
static void sleep_on(struct call *c, struct call_wait *w)
{
    wait_until(&w->changed, &w->lock, c->deadline_ns);
}

/* --- frames out --------------------------------------------------------------------------------- */

static void run_writable(struct call *c, struct strand_event *e)
{
    (void)e;
    atomic_store(&c->writable_is_queued, false);
    if (c->was_seen && !call_is_cancelled(c->core, call_handle(c)))
        c->handler.on_writable(atomic_load(&c->instance)->self, c->handler.data, call_handle(c));
}

/* Home loop. Tells the plugin that there is room, once per MIG_E_AGAIN. */
static void tell_writable(struct call *c)
{
    call_wake(c);
    if (!atomic_load(&c->wants_writable) || atomic_load(&c->writable_is_queued))
        return;
    atomic_store(&c->wants_writable, false);
    for (struct list *at = c->children.next; at != &c->children; at = at->next) {
        struct call_child *child = container_of(at, struct call_child, link);
        if (child->room)
            child->room(child);
    }
    if (!c->handler.on_writable || atomic_exchange(&c->writable_is_queued, true))
        return;
    c->ev_writable.run = run_writable;
    call_strand_push(c, &c->ev_writable);
}

/* A frame larger than the whole credit passes when nothing else is under way. Two senders that try at
 * once can make each other fail although there is room; then both look again. */
static bool credit_take(struct call *c, int64_t bytes)
{
    do {
        int64_t frames = atomic_fetch_sub(&c->credit_frames, 1);
        int64_t room = atomic_fetch_sub(&c->credit_bytes, bytes);
        if (frames > 0 && room > 0)
            return true;
        atomic_fetch_add(&c->credit_frames, 1);
        atomic_fetch_add(&c->credit_bytes, bytes);
    } while (atomic_load(&c->credit_frames) > 0 && atomic_load(&c->credit_bytes) > 0);
    return false;
}

static void frame_done(struct frame *f)
{
    struct call *c = f->call;

    atomic_fetch_add(&c->credit_frames, 1);
    atomic_fetch_add(&c->credit_bytes, (int64_t)f->payload.bytes.len);
    if (f->payload.release)
        f->payload.release(f->payload.owner);
    free(f);
    if (!c->is_answered)
        tell_writable(c);
    call_drop(c);
}

void call_frames_drop(struct call *c)
{
    for (struct task *t; (t = task_pop(&c->frames_out));)
        frame_done(container_of(t, struct frame, task));
}

static mig_status give_frame(struct call *c, struct frame *f)
{
    mig_status status = c->is_answered ? MIG_E_GONE : c->kind->frame(c, f->payload.bytes);

    if (status != MIG_E_AGAIN)
        frame_done(f);
    return status;
}

static void frame_arrived(struct task *t)
{
    struct frame *f = container_of(t, struct frame, task);
    struct call *c = f->call;

    if (c->frames_out.first || give_frame(c, f) == MIG_E_AGAIN)
        task_push(&c->frames_out, &f->task);
}

void call_flow_resume(struct call *c)
{
    atomic_fetch_add_explicit(&c->holds, 1, memory_order_relaxed);
    while (c->frames_out.first) {
        struct frame *f = container_of(c->frames_out.first, struct frame, task);
        task_pop(&c->frames_out);
        if (give_frame(c, f) != MIG_E_AGAIN)
            continue;
        f->task.next = c->frames_out.first; /* back to the front */
        if (!c->frames_out.first)
            c->frames_out.last = &f->task.next;
        c->frames_out.first = &f->task;
        break;
    }
    if (!c->frames_out.first)
        call_frames_are_out(c);
    call_drop(c);
}

static struct frame *frame_new(struct call *c, const mig_payload *p)
{
    size_t extra = p->release ? 0 : p->bytes.len;
    struct frame *f = malloc(sizeof *f + extra);

    if (!f)
        return NULL;
    *f = (struct frame){{.run = frame_arrived}, c, *p};
    if (!p->release) {
        if (extra)
            memcpy(f->copy, p->bytes.ptr, extra);
        f->payload.bytes.ptr = f->copy;
    }
    return f;
}

mig_status call_send(struct core *core, struct instance *inst, mig_call h, const mig_payload *p)
{
    struct call *c = call_hold(core, inst, h);

    if (!c || !c->kind->frame) {
        if (c)
            call_drop_any(c);
        payload_release_later(core, p);
        return c ? MIG_E_ARG : MIG_E_GONE;
    }
    if (!credit_take(c, (int64_t)p->bytes.len)) {
        atomic_store(&c->wants_writable, true);
        /* Room may have come back before the wish was written down; then nobody would tell. */
        if (!credit_take(c, (int64_t)p->bytes.len)) {
            call_drop_any(c);
            return MIG_E_AGAIN;
        }
        atomic_store(&c->wants_writable, false);
    }
    struct frame *f = frame_new(c, p);
    must(f);
    if (loop_is_current(c->home))
        loop_defer(c->home, &f->task);
    else
        loop_post(c->home, &f->task);
    return MIG_OK;
}

mig_status call_send_wait(struct core *core, struct instance *inst, mig_call h,
                          const mig_payload *p)
{
    struct call *c = call_hold(core, inst, h);
    mig_status status;

    if (!c || loop_current()) {
        payload_release_later(core, p);
        return c ? (call_drop_any(c), MIG_E_ARG) : MIG_E_GONE;
    }
    struct call_wait *w = call_wait_of(c);
    pthread_mutex_lock(&w->lock);
    atomic_fetch_add(&w->sleepers, 1);
    while ((status = call_send(core, inst, h, p)) == MIG_E_AGAIN) {
        if (clock_now_ns() >= c->deadline_ns) {
            status = MIG_TIMEOUT;
            payload_release_later(core, p);
            break;
        }
        sleep_on(c, w);
    }
    atomic_fetch_sub(&w->sleepers, 1);
    pthread_mutex_unlock(&w->lock);
    call_drop_any(c);
    return status;
}

/* --- messages in -------------------------------------------------------------------------------- */

static void earn_grant(struct loop *l, uint64_t v)
{
    struct call *c = (struct call *)(uintptr_t)v;

    (void)l;
    c->grants++;
    call_drop(c);
}

static void run_message(struct call *c, struct strand_event *e)
{
    struct message *m = container_of(e, struct message, event);

    if (c->was_seen && !call_is_cancelled(c->core, call_handle(c))) {
        c->handler.on_message(atomic_load(&c->instance)->self, c->handler.data, call_handle(c),
                              m->json);
        if (!(c->handler.flags & MIG_CAP_MANUAL_GRANT)) {
            atomic_fetch_add(&c->holds, 1);
            loop_post_fn(c->home, earn_grant, (uintptr_t)c);
        }
    }
    free(m);
}

mig_status call_message(struct call *c, str json)
{
    if (c->is_answered)
        return MIG_E_GONE;
    if (c->grants <= 0)
        return MIG_E_AGAIN;
    struct message *m = malloc(sizeof *m + json.len + 1);
    if (!m)
        return MIG_E_NOMEM;
    m->event = (struct strand_event){.run = run_message};
    memcpy(m->copy, json.ptr, json.len);
    m->copy[json.len] = 0;
    m->json = (str){m->copy, json.len};
    c->grants--;
    if (c->handler.on_message) {
        call_strand_push(c, &m->event);
        return MIG_OK;
    }
    struct call_wait *w = call_wait_of(c);
    pthread_mutex_lock(&w->lock);
    task_push(&c->messages_in, &m->event.task);
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    return MIG_OK;
}

static void run_half_close(struct call *c, struct strand_event *e)
{
    (void)e;
    if (c->was_seen && !call_is_cancelled(c->core, call_handle(c)))
        c->handler.on_half_close(atomic_load(&c->instance)->self, c->handler.data, call_handle(c));
}

void call_half_close(struct call *c)
{
    struct call_wait *w = call_wait_of(c);

    pthread_mutex_lock(&w->lock);
    bool is_first = !c->is_half_closed;
    c->is_half_closed = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    if (is_first && c->handler.on_half_close && !c->is_answered) {
        c->ev_half_close.run = run_half_close;
        call_strand_push(c, &c->ev_half_close);
    }
}

/* Under the wait lock. Takes the next message; the one before is no longer valid. */
static bool take_message(struct call *c, mig_str *ret)
{
    struct task *t = task_pop(&c->messages_in);

    if (!t)
        return false;
    struct message *m = container_of(t, struct message, event.task);
    if (c->message_in.ptr)
        free(container_of(c->message_in.ptr, struct message, copy));
    c->message_in = *ret = m->json;
    return true;
}

mig_status call_recv_wait(struct core *core, struct instance *inst, mig_call h, mig_str *ret)
{
    struct call *c = call_hold(core, inst, h);
    mig_status status = MIG_OK;

    if (!c || loop_current())
        return c ? (call_drop_any(c), MIG_E_ARG) : MIG_E_GONE;
    struct call_wait *w = call_wait_of(c);
    pthread_mutex_lock(&w->lock);
    atomic_fetch_add(&w->sleepers, 1);
    while (!take_message(c, ret)) {
        status = call_is_cancelled(core, h)         ? MIG_E_GONE
                 : c->is_half_closed                ? MIG_NOT_FOUND
                 : clock_now_ns() >= c->deadline_ns ? MIG_TIMEOUT
                                                    : MIG_OK;
        if (status != MIG_OK)
            break;
        sleep_on(c, w);
    }
    atomic_fetch_sub(&w->sleepers, 1);
    pthread_mutex_unlock(&w->lock);
    if (status == MIG_OK && !(c->handler.flags & MIG_CAP_MANUAL_GRANT))
        loop_post_fn(c->home, earn_grant, (uintptr_t)c); /* takes over the hold */
    else
        call_drop_any(c);
    return status;
}

void call_messages_free(struct call *c)
{
    for (struct task *t; (t = task_pop(&c->messages_in));)
        free(container_of(t, struct message, event.task));
    if (c->message_in.ptr)
        free(container_of(c->message_in.ptr, struct message, copy));
}

struct grant {
    struct task task;
    struct call *call;
    uint32_t n;
};

static void run_grant(struct task *t)
{
    struct grant *g = container_of(t, struct grant, task);

    g->call->grants += g->n;
    call_drop(g->call);
    free(g);
}

mig_status call_grant(struct core *core, struct instance *inst, mig_call h, uint32_t n)
{
    struct call *c = call_hold(core, inst, h);

    if (!c)
        return MIG_E_GONE;
    struct grant *g = malloc(sizeof *g);
    must(g);
    *g = (struct grant){{.run = run_grant}, c, n};
    loop_post(c->home, &g->task);
    return MIG_OK;
}
