/* Frames of a streaming invocation on their way to the binding.
 *
 * One frame at a time is offered on the parent's strand. The call keeps it, and with it the end, until
 * the binding has taken it: frames_take() says MIG_E_AGAIN while it is offered and MIG_OK when it comes
 * back for a frame that was taken. What waits behind it is the stream's queue; its limits are the
 * call's credit. */
#include "base/check.h"
#include "base/log.h"
#include "core/observe.h"

enum { ARENA_LIMIT = 64 << 20, SLOW_PERCENT = 75, QUICK_PERCENT = 25 };

/* --- the style of the answers ------------------------------------------------------------------- */

str frames_stream_id(struct op *op)
{
    struct arena_text t;

    if (op->in.stream_id.len)
        return op->in.stream_id;
    text_init(&t, op->arena, 48);
    text_add(&t, S("stream-"));
    text_add(&t, op->header.message_id);
    return t.has_failed ? S("stream") : text_str(&t);
}

void frames_begin(struct op *op)
{
    bool is_stream = op->mode != MIG_MODE_UNARY;

    op->frames.limit = op->gen->policy.stream_credit_frames;
    op->frames.limit_bytes = op->gen->policy.stream_credit_bytes;
    op->frames.stall_ms = op->gen->policy.stream_stall_ms;
    if (op->in.flags & MIG_SUBMIT_ALWAYS_FRAMES || (is_stream && op->in.flags & MIG_SUBMIT_FRAMES))
        op->frames.style = STYLE_FRAMES;
    else if (is_stream && op->in.on_frame && !op->in.flags)
        op->frames.style = STYLE_RAW;
    if (is_stream && op->frames.style == STYLE_GATHER)
        text_init(&op->frames.gathered, op->arena, 256);
}

static void drop(struct frames *f)
{
    if (f->arena)
        arena_unref(f->arena);
    f->arena = NULL;
    f->text = (str){NULL, 0};
}

void frames_end(struct op *op)
{
    timer_stop(&op->home->timers, &op->frames.stall);
    drop(&op->frames);
}

/* --- offering ----------------------------------------------------------------------------------- */

static void stalled(struct timer *t)
{
    struct op *op = container_of(t, struct op, frames.stall);

    if (op->call)
        call_abort(op->call, CALL_STOP,
                   &(struct call_result){.status = MIG_BACKPRESSURE,
                                         .message = S("the stream's reader is too slow"),
                                         .details = S("{\"reason\":\"stream_stalled\"}")});
}

/* Home loop: the binding has looked at the frame. */
static void looked_at(struct task *t)
{
    struct op *op = container_of(t, struct op, frames.task);
    struct frames *f = &op->frames;
    struct call *c = op->call;

    if (f->status == MIG_E_AGAIN) {
        f->state = FRAME_BLOCKED; /* until frames_room() */
        f->was_blocked = true;
        if (!timer_is_running(&f->stall) && c)
            loop_timer(op->home, &f->stall, f->stall_ms, stalled);
        return;
    }
    timer_stop(&op->home->timers, &f->stall);
    drop(f);
    f->state = f->has_notice ? FRAME_NONE : FRAME_TAKEN;
    f->has_notice = false;
    if (!c)
        return;
    if (f->status == MIG_E_GONE)
        call_abort(c, CALL_CANCEL,
                   &(struct call_result){.status = MIG_TIMEOUT,
                                         .retry = 2,
                                         .message = S("invocation cancelled: the client left"),
                                         .details = S("{\"reason\":\"cancelled\"}")});
    else
        call_flow_resume(c);
}

/* On the parent's strand. */
static void run_frame(struct call *parent, struct strand_event *e)
{
    struct op *op = container_of(e, struct op, ev_frame);
    struct frames *f = &op->frames;

    f->status = op->in.on_frame(op->instance->self, op->in.tag, call_handle(parent), f->text);
    f->task.run = looked_at;
    if (loop_is_current(op->home))
        loop_defer(op->home, &f->task);
    else
        loop_post(op->home, &f->task);
}

static void offer(struct op *op)
{
    op->frames.state = FRAME_OFFERED;
    op->ev_frame.run = run_frame;
    call_strand_push(op->parent, &op->ev_frame);
}

void frames_room(struct call_child *child)
{
    struct op *op = container_of(child, struct op, child);

    if (op->frames.state == FRAME_BLOCKED)
        offer(op);
}

/* --- taking ------------------------------------------------------------------------------------- */

struct fill {
    uint64_t queued, limit;
};

static uint64_t percent(struct fill f)
{
    return f.limit ? f.queued * 100 / f.limit : 0;
}

static struct fill fill_of(uint64_t limit, int64_t left)
{
    int64_t queued = (int64_t)limit - left;
    return (struct fill){queued > 0 ? (uint64_t)queued : 0, limit};
}

/* Of its queue: in frames, or in bytes when those are nearer to their limit. */
static struct fill fullest(const struct frames *f, struct call *c)
{
    struct fill frames = fill_of(f->limit, atomic_load(&c->credit_frames));
    struct fill bytes = fill_of(f->limit_bytes, atomic_load(&c->credit_bytes));

    return percent(bytes) > percent(frames) ? bytes : frames;
}

/* The caller is told when its queue fills and when it is empty again (MIG v0.1 6.3). */
static bool wants_notice(struct op *op, struct fill fill)
{
    struct frames *f = &op->frames;
    bool is_slow = f->is_slow ? percent(fill) >= QUICK_PERCENT
                              : f->was_blocked && percent(fill) >= SLOW_PERCENT;

    if (f->style != STYLE_FRAMES || is_slow == f->is_slow)
        return false;
    f->is_slow = is_slow;
    if (is_slow)
        observe_slow(op->core, op->home, op->stream);
    f->was_blocked = false; /* a burst alone is no sign of a slow reader */
    return true;
}

static void write_notice(struct op *op, struct arena_text *t, struct fill fill)
{
    struct arena_text p;

    if (!op->frames.is_slow) {
        envelope_control(op, t, S("{\"action\":\"resumed\"}"));
        return;
    }
    text_init(&p, t->arena, 96);
    text_add(&p, S("{\"action\":\"backpressure\",\"queued\":"));
    text_addu(&p, fill.queued);
    text_add(&p, S(",\"limit\":"));
    text_addu(&p, fill.limit);
    text_add(&p, S("}"));
    envelope_control(op, t, text_str(&p));
}

static void write_frame(struct op *op, struct arena_text *t, str json)
{
    if (op->frames.style == STYLE_RAW)
        text_add(t, json);
    else
        envelope_frame(op, t, json, /*is_last=*/false);
}

static mig_status fail(struct op *op, str reason)
{
    op_log_internal(op, reason, S(""));
    call_abort(op->call, CALL_STOP,
               &(struct call_result){.status = MIG_INTERNAL,
                                     .message = S("the provider failed"),
                                     .details = S("{\"reason\":\"invalid_provider_output\"}")});
    return MIG_E_GONE;
}

static mig_status gather(struct op *op, str json)
{
    struct arena_text *list = &op->frames.gathered;

    text_add(list, list->len ? S(",") : S(""));
    text_add(list, envelope_object(op->arena, json));
    if (!list->has_failed)
        return MIG_OK;
    call_abort(op->call, CALL_STOP,
               &(struct call_result){.status = MIG_BACKPRESSURE,
                                     .message = S("the gathered stream needs too much memory"),
                                     .details = S("{\"reason\":\"memory\"}")});
    return MIG_E_GONE;
}

/* Renders what is offered next: a notice, or the frame. */
static bool render(struct op *op, struct call *c, str json)
{
    struct frames *f = &op->frames;
    struct arena *a = arena_new(&op->home->chunks, ARENA_LIMIT);
    struct arena_text t;

    if (!a || !json_check(a, json, NULL)) {
        if (a)
            arena_unref(a);
        return false;
    }
    struct fill fill = fullest(f, c);
    f->has_notice = wants_notice(op, fill);
    text_init(&t, a, json.len + 768);
    if (f->has_notice)
        write_notice(op, &t, fill);
    else
        write_frame(op, &t, f->style == STYLE_RAW ? json : envelope_object(a, json));
    must(!t.has_failed);
    f->arena = a;
    f->text = text_str(&t);
    return true;
}

mig_status frames_take(struct call *c, str bytes)
{
    struct op *op = c->owner;
    struct frames *f = &op->frames;
    str json = str_trim(bytes);

    if (op->mode == MIG_MODE_UNARY)
        return MIG_E_GONE; /* nobody listens */
    if (f->style == STYLE_GATHER)
        return json_check(op->arena, json, NULL) ? gather(op, json)
                                                 : fail(op, S("a frame is not JSON"));
    if (f->state == FRAME_TAKEN) {
        f->state = FRAME_NONE;
        return MIG_OK;
    }
    if (f->state != FRAME_NONE)
        return MIG_E_AGAIN;
    if (!render(op, c, json))
        return fail(op, S("a frame is not JSON"));
    offer(op);
    return MIG_E_AGAIN;
}
