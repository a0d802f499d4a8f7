/* Steps 15 to 17: the provider's call, from its start to the answer. */
#include "core/op.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/gate.h"

#include <stdlib.h>

static const struct call_kind invocation;

enum { FRAME_ARENA_LIMIT = 64 << 20 };

struct op *op_of_call(struct call *c)
{
    return c->kind == &invocation ? c->owner : NULL;
}

/* --- the answer --------------------------------------------------------------------------------- */

static str wrapped(struct op *op, str value)
{
    struct arena_text t;

    text_init(&t, op->arena, value.len + 16);
    text_add(&t, S("{\"result\":"));
    text_add(&t, value);
    text_add(&t, S("}"));
    return t.has_failed ? S("{}") : text_str(&t);
}

/* What callers do not see of an internal error goes to the log. */
static void log_internal(struct op *op, str message, str details)
{
    log_error("call.internal", F_STR("capability", str_of(op->cap->id)),
              F_Z("instance", op->cap->instance->name), F_STR("tenant", op->header.tenant_id),
              F_STR("message_id", op->header.message_id), F_STR("message", message),
              F_STR("details", details));
}

static void answer_internal(struct op *op, str details)
{
    const struct call_result r = {
        .status = MIG_INTERNAL, .message = S("the provider failed"), .details = details};
    op_answer_error(op, &r);
}

static void answer_result(struct op *op, str json)
{
    struct json_fault fault;
    str text = str_trim(json);

    if (!json_check(op->arena, text, &fault)) {
        log_internal(op, S("the provider's result is not JSON"), str_of(fault.text));
        answer_internal(op, S("{\"reason\":\"invalid_provider_output\"}"));
        return;
    }
    if (text.ptr[0] != '{')
        text = wrapped(op, text);
    str envelope = op->done ? (str){NULL, 0} : envelope_invoke(op, text);
    if (!op->done && !envelope.ptr) {
        answer_internal(op, S("{\"reason\":\"memory\"}"));
        return;
    }
    /* The provider's bytes may go with its call before the outcome is read. */
    str kept = op->done ? arena_copy(op->arena, text) : (str){NULL, 0};
    op_answer(op, &(struct call_result){.json = kept}, envelope);
}

static bool is_object(struct op *op, str json)
{
    return json.len && str_trim(json).ptr[0] == '{' && json_check(op->arena, json, NULL);
}

static void answer_now(struct op *op, const struct call_result *r)
{
    struct call_result kept = *r;

    atomic_fetch_add_explicit(&op->provider->calls, 1, memory_order_relaxed);
    if (r->status == MIG_OK) {
        answer_result(op, r->json);
        return;
    }
    atomic_fetch_add_explicit(&op->provider->errors, 1, memory_order_relaxed);
    kept.release = NULL;
    kept.details =
        is_object(op, r->details) ? arena_copy(op->arena, str_trim(r->details)) : S("{}");
    kept.message = str_is_utf8(r->message) ? arena_copy(op->arena, r->message) : S("");
    if (r->status != MIG_INTERNAL) {
        op_answer_error(op, &kept);
        return;
    }
    log_internal(op, r->message, r->details);
    answer_internal(op, kept.details);
}

static void on_answer(struct call *c, const struct call_result *r)
{
    struct op *op = c->owner;

    if (op->waits_at_gate && gate_give_up(op->gate, &op->gate_task)) {
        op->waits_at_gate = false;
        op->end_unseen = true;
    }
    answer_now(op, r);
    if (op->end_unseen)
        loop_defer(op->home, &op->gate_task);
}

static void on_free(struct call *c)
{
    struct op *op = c->owner;

    if (op->has_gate)
        gate_leave(op->gate);
    op->call = NULL;
}

static void on_start(struct call *c)
{
    struct op *op = c->owner;

    op->invoke(op->provider->self, c->handler.data, call_handle(c), &op->request);
}

/* --- frames to the binding ----------------------------------------------------------------------
 *
 * One frame at a time is offered on the parent's strand. The call keeps it, and with it the end,
 * until the binding has taken it: on_frame() says MIG_E_AGAIN while it is offered and MIG_OK when it
 * comes back for a frame that was taken. */

void op_frame_drop(struct op *op)
{
    free((char *)(uintptr_t)op->frame.ptr);
    op->frame = (str){NULL, 0};
}

/* Home loop: the binding has looked at the frame. */
static void frame_looked_at(struct task *t)
{
    struct op *op = container_of(t, struct op, frame_task);
    struct call *c = op->call;

    if (op->frame_status == MIG_E_AGAIN) {
        op->frame_state = FRAME_BLOCKED; /* until op_resume() */
        return;
    }
    op_frame_drop(op);
    op->frame_state = FRAME_TAKEN;
    if (!c)
        return;
    if (op->frame_status == MIG_E_GONE)
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

    op->frame_status =
        op->in.on_frame(op->instance->self, op->in.tag, call_handle(parent), op->frame);
    op->frame_task.run = frame_looked_at;
    if (loop_is_current(op->home))
        loop_defer(op->home, &op->frame_task);
    else
        loop_post(op->home, &op->frame_task);
}

static void offer_frame(struct op *op)
{
    op->frame_state = FRAME_OFFERED;
    op->ev_frame.run = run_frame;
    call_strand_push(op->parent, &op->ev_frame);
}

void op_resume(struct op *op)
{
    if (op->frame_state == FRAME_BLOCKED)
        offer_frame(op);
}

static bool frame_is_json(struct op *op, str bytes)
{
    struct arena *a = arena_new(&op->home->chunks, FRAME_ARENA_LIMIT);
    bool is_json = a && json_check(a, bytes, NULL);

    if (a)
        arena_unref(a);
    return is_json;
}

static mig_status on_frame(struct call *c, str bytes)
{
    struct op *op = c->owner;

    if (!op->in.on_frame || op->mode == MIG_MODE_UNARY)
        return MIG_E_GONE; /* nobody listens */
    if (op->frame_state == FRAME_TAKEN) {
        op->frame_state = FRAME_NONE;
        return MIG_OK;
    }
    if (op->frame_state != FRAME_NONE)
        return MIG_E_AGAIN;
    if (!frame_is_json(op, bytes)) {
        log_internal(op, S("a frame of the provider is not JSON"), S(""));
        call_abort(c, CALL_STOP,
                   &(struct call_result){.status = MIG_INTERNAL,
                                         .details = S("{\"reason\":\"invalid_provider_output\"}")});
        return MIG_E_GONE;
    }
    op->frame = (str){str_dup(bytes), bytes.len};
    must(op->frame.ptr);
    offer_frame(op);
    return MIG_E_AGAIN;
}

static const struct call_kind invocation = {
    .name = "invocation",
    .start = on_start,
    .answer = on_answer,
    .frame = on_frame,
    .free = on_free,
};

/* --- dispatch ----------------------------------------------------------------------------------- */

static void cancel_child(struct call_child *child)
{
    struct op *op = container_of(child, struct op, child);

    if (op->call)
        call_abort(op->call, CALL_CANCEL,
                   &(struct call_result){.status = MIG_TIMEOUT,
                                         .retry = 2,
                                         .message = S("invocation cancelled: the caller left"),
                                         .details = S("{\"reason\":\"cancelled\"}")});
}

static void fill_request(struct op *op, uint64_t deadline_ns)
{
    const struct op_header *h = &op->header;

    op->request = (mig_request){
        .struct_size = sizeof op->request,
        .mode = op->mode,
        .hops = op->hops,
        .deadline_ns = deadline_ns,
        .capability = arena_copy(op->arena, str_of(op->cap->id)),
        .message_id = h->message_id,
        .tenant_id = h->tenant_id,
        .session_id = h->session_id,
        .subject = op->principal->subject,
        .traceparent = h->traceparent,
        .idempotency_key = h->idempotency_key,
        .meta = h->meta,
        .payload = op->payload,
    };
}

/* Caller, capability, else 30 s; never beyond the caller's own call. */
static uint64_t deadline_of(struct op *op)
{
    uint64_t max = op->gen->policy.max_deadline_ms;
    uint64_t ms = op->header.deadline_ms ? op->header.deadline_ms
                  : op->cap->timeout_ms  ? op->cap->timeout_ms
                                         : POLICY_DEADLINE_MS;

    op->header.deadline_ms = ms = ms > max ? max : ms;
    uint64_t at = op->started_ns + ms * 1000000u;
    return op->done && op->parent->deadline_ns < at ? op->parent->deadline_ns : at;
}

static mig_status fail_queue(struct op *op)
{
    mig_status status =
        op_fail(op, MIG_BACKPRESSURE, "instance_queue", "the provider has too many calls waiting");

    op->error.retry_after_ms = 1000;
    return status;
}

/* Home loop: the gate has let it through, or it was answered while it waited. */
static void gate_opened(struct task *t)
{
    struct op *op = container_of(t, struct op, gate_task);
    struct call *c = op->call;

    op->has_gate = op->waits_at_gate;
    op->waits_at_gate = false;
    if (c->is_answered) {
        call_end_unseen(c);
        return;
    }
    if (call_start(c))
        return;
    fail_queue(op); /* the call is gone, and on_free() has left the gate */
    op_answer_error(op, &op->error);
}

static void run_open(struct call *parent, struct strand_event *e)
{
    struct op *op = container_of(e, struct op, ev_open);
    op->in.on_open(op->instance->self, op->in.tag, call_handle(parent), op->handle);
}

static mig_status start(struct op *op)
{
    struct gate *g = op->gate;
    struct call *c = op->call;

    op->gate_task.run = gate_opened;
    switch (g ? gate_enter(g, op->home, &op->gate_task) : GATE_PASS) {
    case GATE_WAIT: op->waits_at_gate = true; return OP_WAITS;
    case GATE_FULL: call_refuse(c); return fail_queue(op);
    case GATE_PASS: break;
    }
    op->has_gate = g != NULL;
    return call_start(c) ? OP_WAITS : fail_queue(op);
}

mig_status stage_dispatch(struct op *op)
{
    if (op->hops > POLICY_HOPS_MAX)
        return op_fail(op, MIG_INVALID_REQUEST, "hop_limit",
                       "the chain of capabilities is longer than 8");
    if (op->parent->is_answered)
        return op_fail(op, MIG_TIMEOUT, "cancelled", "invocation cancelled: the caller left");
    uint64_t deadline_ns = deadline_of(op);
    fill_request(op, deadline_ns);
    op->invoke = op->cap->invoke;
    op->gate = op->cap->gate;
    op->provider = op->cap->instance;
    struct call *c =
        call_open(core_loop_of(op->core, op->home)->calls, &(struct call_spec){
                                                               .kind = &invocation,
                                                               .instance = op->cap->instance,
                                                               .gen = op->gen,
                                                               .arena = op->arena,
                                                               .principal = op->principal,
                                                               .handler = op->cap->handler,
                                                               .owner = op,
                                                               .deadline_ns = deadline_ns,
                                                               .hops = op->hops,
                                                           });
    if (!c)
        return op_fail(op, MIG_BACKPRESSURE, "memory", "no room for another call");
    op->call = c;
    op->handle = call_handle(c);
    if (op->inflight.is_listed &&
        !inflight_set_call(op->core->inflight, &op->inflight, op->handle)) {
        call_refuse(c);
        return op_fail(op, MIG_TIMEOUT, "cancelled", "invocation cancelled: before it began");
    }
    op->child.cancel = cancel_child;
    list_push(&op->parent->children, &op->child.link);
    if (op->mode != MIG_MODE_UNARY && op->in.on_open) {
        op->ev_open.run = run_open;
        call_strand_push(op->parent, &op->ev_open);
    }
    mig_status status = start(op);
    if (status != OP_WAITS)
        list_remove(&op->child.link);
    return status;
}
