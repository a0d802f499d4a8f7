/* Steps 15 to 17: the provider's call, from its start to the answer. */
#include "core/op.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/gate.h"
#include "core/observe.h"
#include "core/once.h"
#include "core/subscription.h"

static const struct call_kind invocation;

struct op *op_of_call(struct call *c)
{
    return c->kind == &invocation ? c->owner : NULL;
}

const struct op_header *op_header_of(struct call *c)
{
    struct op *op = op_of_call(c);
    struct subscription *s = subscription_of(c);

    return op ? &op->header : s ? &s->rest.header : NULL;
}

/* --- the answer --------------------------------------------------------------------------------- */

static bool is_empty_object(str json)
{
    return str_trim((str){json.ptr + 1, json.len - 2}).len == 0;
}

static bool has_member(struct op *op, str json, str name)
{
    struct json doc;

    return json_parse(&doc, op->arena, json, NULL) && json_get(doc.root, name);
}

/* The result has a member `frames` of its own. */
static str nested(struct op *op, str result)
{
    struct arena_text t;

    text_init(&t, op->arena, result.len + 16);
    text_add(&t, S("{\"result\":"));
    text_add(&t, result);
    text_add(&t, S("}"));
    return t.has_failed ? S("{}") : text_str(&t);
}

/* The frames of a stream for a caller that gets one answer (MIG v0.1 11.2). */
static str gathered(struct op *op, str result)
{
    struct arena_text *list = &op->frames.gathered, t;

    if (has_member(op, result, S("frames")))
        result = nested(op, result);
    text_init(&t, op->arena, result.len + list->len + 16);
    text_add(&t, (str){result.ptr, result.len - 1});
    text_add(&t, is_empty_object(result) ? S("\"frames\":[") : S(",\"frames\":["));
    text_add(&t, text_str(list));
    text_add(&t, S("]}"));
    return t.has_failed || list->has_failed ? (str){NULL, 0} : text_str(&t);
}

static bool is_gathered(const struct op *op)
{
    return op->mode != MIG_MODE_UNARY && op->frames.style == STYLE_GATHER && !op->done;
}

/* The whole answer as the binding wants it. */
static str rendered(struct op *op, str text)
{
    struct arena_text t;

    if (is_gathered(op))
        text = gathered(op, text);
    if (!text.ptr || op->frames.style != STYLE_FRAMES)
        return text.ptr ? envelope_invoke(op, text) : text;
    text_init(&t, op->arena, 768 + text.len);
    envelope_frame(op, &t, text, /*is_last=*/true);
    return t.has_failed ? (str){NULL, 0} : text_str(&t);
}

void op_log_internal(struct op *op, str message, str details)
{
    const struct log_context *outer = log_enter(&op->log);

    log_error("call.internal", F_STR("capability", str_of(op->cap->id)),
              F_Z("instance", op->provider->name), F_STR("message", message),
              F_STR("details", details));
    log_enter(outer);
}

/* What callers see of it. */
static struct call_result internal(str details)
{
    return (struct call_result){
        .status = MIG_INTERNAL, .message = S("the provider failed"), .details = details};
}

static void give_result(struct op *op, str text)
{
    str envelope = op->done ? (str){NULL, 0} : rendered(op, text);

    if (!op->done && !envelope.ptr) {
        const struct call_result r = internal(S("{\"reason\":\"memory\"}"));
        op_answer_error(op, &r);
        return;
    }
    /* The provider's bytes may go with its call before the outcome is read. */
    str kept = op->done ? arena_copy(op->arena, text) : (str){NULL, 0};
    op_answer(op, &(struct call_result){.json = kept}, envelope);
}

void op_give(struct op *op, const struct call_result *r)
{
    if (r->status == MIG_OK)
        give_result(op, r->json);
    else
        op_answer_error(op, r);
}

/* What a repetition with the same key gets, too, when the end was the provider's own. */
static void settle(struct op *op, const struct call_result *r)
{
    if (!op->once || !once_keep(op, r))
        op_give(op, r);
}

static void answer_result(struct op *op, str json)
{
    struct json_fault fault;
    str text = str_trim(json);
    struct call_result r = {0};
    str why;

    if (!json_check(op->arena, text, &fault)) {
        op_log_internal(op, S("the provider's result is not JSON"), str_of(fault.text));
        r = internal(S("{\"reason\":\"invalid_provider_output\"}"));
    } else if (!schema_check_output(op, text = envelope_object(op->arena, text), &why)) {
        op_log_internal(op, S("the provider's result does not agree with its schema"), why);
        r = internal(S("{\"reason\":\"output_schema_violation\"}"));
    } else {
        r.json = text;
    }
    settle(op, &r);
}

static bool is_object(struct op *op, str json)
{
    return json.len && str_trim(json).ptr[0] == '{' && json_check(op->arena, json, NULL);
}

/* is_own: the provider said so itself; otherwise it was told of a deadline, a cancel, a stop. */
static void answer_now(struct op *op, const struct call_result *r, bool is_own)
{
    struct call_result kept = *r;

    atomic_fetch_add_explicit(&op->provider->calls, 1, memory_order_relaxed);
    if (r->status == MIG_OK) {
        answer_result(op, r->json);
        return;
    }
    atomic_fetch_add_explicit(&op->provider->errors, 1, memory_order_relaxed);
    if (is_own && op->cap->policy && retry_begin(op, r))
        return;
    kept.release = NULL;
    kept.details =
        is_object(op, r->details) ? arena_copy(op->arena, str_trim(r->details)) : S("{}");
    kept.message = str_is_utf8(r->message) ? arena_copy(op->arena, r->message) : S("");
    if (r->status == MIG_INTERNAL) {
        op_log_internal(op, r->message, r->details);
        kept = internal(kept.details);
    }
    if (is_own && r->status != MIG_TIMEOUT && !retry_is_wished(r))
        settle(op, &kept);
    else
        op_answer_error(op, &kept);
}

static void on_answer(struct call *c, const struct call_result *r)
{
    struct op *op = c->owner;

    if (op->waits_at_gate && gate_give_up(op->gate, &op->gate_task)) {
        op->waits_at_gate = false;
        op->end_unseen = true;
    }
    answer_now(op, r, r == &c->result);
    if (op->end_unseen)
        loop_defer(op->home, &op->gate_task);
}

static void on_free(struct call *c)
{
    struct op *op = c->owner;

    if (op->has_gate)
        gate_leave(op->gate);
    op->has_gate = false;
    op->call = NULL;
}

static void on_start(struct call *c)
{
    struct op *op = c->owner;

    op->invoke(op->provider->self, c->handler.data, call_handle(c), &op->request);
}

static const struct call_kind invocation = {
    .name = "invocation",
    .start = on_start,
    .answer = on_answer,
    .frame = frames_take,
    .free = on_free,
};

/* --- dispatch ----------------------------------------------------------------------------------- */

static void cancel_child(struct call_child *child)
{
    struct op *op = container_of(child, struct op, child);

    if (retry_leave(op)) {
        op_fail(op, MIG_TIMEOUT, "cancelled", "invocation cancelled: the caller left");
        op->error.retry = 2;
        op_answer_error(op, &op->error);
    } else if (op->call)
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
        .traceparent = trace_child(op),
        .idempotency_key = h->idempotency_key,
        .meta = h->meta,
        .payload = op->payload,
        .tracestate = op->trace.state,
    };
}

/* Caller, capability, else 30 s; never beyond the caller's own call. */
uint64_t op_deadline(struct op *op)
{
    uint64_t max = op->gen->policy.max_deadline_ms;
    uint64_t ms = op->header.deadline_ms           ? op->header.deadline_ms
                  : op->cap && op->cap->timeout_ms ? op->cap->timeout_ms
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

mig_status dispatch_attempt(struct op *op)
{
    uint64_t deadline_ns = op_deadline(op);

    fill_request(op, deadline_ns);
    op->invoke = op->cap->invoke;
    op->gate = op->cap->gate;
    op->checks_output = op->gen->policy.checks_output;
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
    observe_dispatch(op, c);
    if (op->inflight.is_listed &&
        !inflight_set_call(op->core->inflight, &op->inflight, op->handle)) {
        call_refuse(c);
        return op_fail(op, MIG_TIMEOUT, "cancelled", "invocation cancelled: before it began");
    }
    op->child.cancel = cancel_child;
    op->child.room = frames_room;
    list_push(&op->parent->children, &op->child.link);
    if (op->mode != MIG_MODE_UNARY && op->in.on_open) {
        op->is_open = true;
        observe_stream(op);
        op->ev_open.run = run_open;
        call_strand_push(op->parent, &op->ev_open);
    }
    mig_status status = start(op);
    if (status != OP_WAITS)
        list_remove(&op->child.link);
    return status;
}

mig_status stage_dispatch(struct op *op)
{
    if (op->hops > POLICY_HOPS_MAX)
        return op_fail(op, MIG_INVALID_REQUEST, "hop_limit",
                       "the chain of capabilities is longer than 8");
    if (op->parent->is_answered)
        return op_fail(op, MIG_TIMEOUT, "cancelled", "invocation cancelled: the caller left");
    mig_status status = observe_admit(op);
    return status == MIG_OK ? dispatch_attempt(op) : status;
}
