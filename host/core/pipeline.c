/* The row of stages of each operation, and its start and end. */
#include "core/op.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json_canon.h"
#include "base/log.h"
#include "core/observe.h"
#include "core/once.h"

typedef mig_status (*stage_fn)(struct op *op);

static mig_status stage_refuse(struct op *op);
static mig_status stage_serving(struct op *op);

enum { STAGES_MAX = 13, ARENA_LIMIT = 64 << 20 };

/* Numbers: the processing order of MIG v0.1 5.3. */
static const stage_fn rows[][STAGES_MAX] = {
    [MIG_OP_INVOKE] =
        {
            stage_envelope,    /* 1      */
            stage_serving,     /* 1      */
            stage_tenant,      /* 1      */
            stage_resolve,     /* 2 to 4 */
            stage_scope,       /* 5      */
            stage_mode,        /* 6      */
            stage_cancelled,   /* 7      */
            stage_once,        /* 8, 9   */
            stage_payload,     /* 10     */
            stage_limits,      /* 12     */
            stage_concurrency, /* 13     */
            stage_register,    /* 14     */
            stage_dispatch,    /* 15; 16 and 17 follow its answer */
        },
    [MIG_OP_HELLO] = {stage_envelope, stage_tenant, stage_hello},
    [MIG_OP_DISCOVER] = {stage_envelope, stage_tenant, stage_discover},
    [MIG_OP_PUBLISH] = {stage_envelope, stage_serving, stage_tenant, stage_publish},
    [MIG_OP_SUBSCRIBE] = {stage_envelope, stage_serving, stage_tenant, stage_subscribe},
    [MIG_OP_REFUSE] = {stage_envelope, stage_refuse},
    [MIG_OP_SCHEMA] = {stage_envelope, stage_tenant, stage_schema},
    [MIG_OP_CANCEL] = {stage_envelope, stage_tenant, stage_cancel},
    [MIG_OP_HEARTBEAT] = {stage_envelope, stage_tenant, stage_heartbeat},
};

/* Invoked by a call: header and tenant are the caller's. */
static const stage_fn nested_row[STAGES_MAX] = {stage_resolve,     stage_scope,   stage_mode,
                                                stage_once,        stage_payload, stage_limits,
                                                stage_concurrency, stage_dispatch};

/* --- errors ------------------------------------------------------------------------------------- */

mig_status op_fail_details(struct op *op, mig_status status, str details, str message)
{
    op->error = (struct call_result){.status = status, .message = message, .details = details};
    return status;
}

mig_status op_fail(struct op *op, mig_status status, const char *reason, const char *message)
{
    return op_fail_details(op, status, envelope_reason(op->arena, str_of(reason)), str_of(message));
}

/* --- small stages ------------------------------------------------------------------------------- */

static uint32_t mode_named(str name)
{
    static const struct {
        str name;
        uint32_t mode;
    } modes[] = {{S(""), MIG_MODE_UNARY},
                 {S("unary"), MIG_MODE_UNARY},
                 {S("server_stream"), MIG_MODE_SERVER_STREAM},
                 {S("client_stream"), MIG_MODE_CLIENT_STREAM},
                 {S("bidi_stream"), MIG_MODE_BIDI}};

    for (size_t i = 0; i < countof(modes); i++)
        if (str_eq(modes[i].name, name))
            return modes[i].mode;
    return 0;
}

mig_status stage_mode(struct op *op)
{
    op->mode = mode_named(op->stream_preference);
    if (!op->mode)
        return op_fail_member(op, S("stream_preference"));
    if (!(op->cap->modes & op->mode))
        return op_fail(op, MIG_INVALID_REQUEST, "mode_not_supported",
                       "the capability does not offer the requested mode");
    frames_begin(op);
    return MIG_OK;
}

static mig_status stage_refuse(struct op *op)
{
    const mig_error *e = &op->in.refusal;
    mig_status code = e->code > MIG_OK && e->code <= MIG_INTERNAL ? e->code : MIG_INVALID_REQUEST;
    mig_status status = op_fail_details(op, code, e->details, e->message);

    op->error.retry_after_ms = e->retry_after_ms;
    op->error.retry = e->retry;
    return status;
}

/* Requests are looked at when they come; an exchange that lasts may bring more of them later. */
static mig_status stage_serving(struct op *op)
{
    if (!op->parent->is_lasting ||
        !atomic_load_explicit(&op->core->is_stopping, memory_order_relaxed))
        return MIG_OK;
    return op_fail(op, MIG_UNAVAILABLE, "stopping", "the gateway is stopping");
}

static mig_status fail_cancelled(struct op *op)
{
    mig_status status =
        op_fail(op, MIG_TIMEOUT, "cancelled", "invocation cancelled: before it began");

    op->error.retry = 2;
    return status;
}

mig_status stage_cancelled(struct op *op)
{
    if (inflight_is_cancelled(op->core->inflight, op->header.tenant_id, op->header.message_id,
                              loop_now_ms(op->home)))
        return fail_cancelled(op);
    return MIG_OK;
}

mig_status stage_register(struct op *op)
{
    op->inflight.tenant = op->header.tenant_id;
    op->inflight.id = op->header.message_id;
    op->inflight.subject = op->principal->subject;
    switch (inflight_add(op->core->inflight, &op->inflight, loop_now_ms(op->home))) {
    case MIG_OK: return MIG_OK;
    case MIG_TIMEOUT: return fail_cancelled(op);
    case MIG_INVALID_REQUEST:
        return op_fail(op, MIG_INVALID_REQUEST, "duplicate_message_id",
                       "an invocation with this message_id is in flight");
    default: return op_fail(op, MIG_BACKPRESSURE, "memory", "the table of invocations is full");
    }
}

/* --- idempotency: steps 8 and 9 ----------------------------------------------------------------- */

static void run(struct op *op, const stage_fn *row, size_t from)
{
    mig_status status = MIG_OK;

    for (size_t i = from; i < STAGES_MAX && row[i] && status == MIG_OK; i++)
        status = row[i](op);
    if (status == OP_WAITS || status == MIG_OK)
        return;
    op_answer_error(op, &op->error);
}

/* The one before it has failed in a way that does not count: now it is its turn. */
static void go_on(struct op *op)
{
    const stage_fn *row = rows[MIG_OP_INVOKE];
    size_t i = 0;

    while (row[i] != stage_once)
        i++;
    run(op, row, i + 1);
}

static const struct once_kind invocations = {IDEM_INVOKE, go_on, op_give};

mig_status stage_once(struct op *op)
{
    struct arena_text asked;

    if (!op->header.idempotency_key.len) {
        if (op->cap->policy && op->cap->policy->require_key)
            return op_fail(op, MIG_INVALID_REQUEST, "idempotency_key_required",
                           "the capability asks for an idempotency_key");
        return MIG_OK;
    }
    text_init(&asked, op->arena, op->payload.len + 2);
    if (op->payload_value)
        json_canon(op->payload_value, &asked);
    else
        text_add(&asked, S("{}"));
    if (asked.has_failed)
        return op_fail(op, MIG_BACKPRESSURE, "memory", "the payload needs too much memory");
    return once_begin(op, &invocations, str_of(op->cap->id), text_str(&asked));
}

/* --- start -------------------------------------------------------------------------------------- */

static void run_submitted(struct task *t)
{
    struct op *op = container_of(t, struct op, task);
    run(op, rows[op->in.operation], 0);
}

static void run_nested(struct task *t)
{
    run(container_of(t, struct op, task), nested_row, 0);
}

struct op *op_new(struct call *parent, struct arena *a, struct instance *instance)
{
    struct op *op = arena_zero(a, sizeof *op);

    if (!op)
        return NULL;
    op->core = parent->core;
    op->home = parent->home;
    parent->guests += a == parent->arena;
    op->gen = parent->gen;
    if (!op->gen)
        op->gen = op->pinned = gen_pin(gen_current(parent->core, parent->home), parent->home);
    op->arena = a;
    op->principal = parent->principal;
    op->parent = parent;
    op->instance = instance;
    op->hops = parent->hops;
    op->started_ns = clock_now_ns();
    list_init(&op->child.link);
    return op;
}

void op_let_go(struct op *op)
{
    op->gen = NULL;
    if (op->pinned)
        gen_unpin(op->pinned, op->home);
    op->pinned = NULL;
}

void op_take(struct op *op, const mig_submit *s)
{
    op->in = *s;
    if (s->flags & MIG_SUBMIT_ALWAYS_FRAMES)
        op->frames.style = STYLE_FRAMES;
}

void op_free(struct op *op)
{
    op_let_go(op);
    op->parent->guests -= op->arena == op->parent->arena;
    if (op->owns_arena)
        arena_unref(op->arena);
}

/* What a lasting exchange submits must not stay with it: the texts go with the op. */
static bool own_texts(struct op *op)
{
    str *texts[] = {&op->in.binding,     &op->in.envelope,        &op->in.target,
                    &op->in.mig_version, &op->in.message_id,      &op->in.session_id,
                    &op->in.traceparent, &op->in.deadline_ms,     &op->in.idempotency_key,
                    &op->in.stream_id,   &op->in.refusal.message, &op->in.refusal.details,
                    &op->in.tracestate};

    op->owns_arena = true;
    return arena_own(op->arena, texts, countof(texts));
}

static struct op *op_of_submission(struct call *ex, struct instance *binding, const mig_submit *s)
{
    struct arena *a = ex->is_lasting ? arena_new(&ex->home->chunks, ARENA_LIMIT) : ex->arena;
    struct op *op = a ? op_new(ex, a, binding) : NULL;

    if (!op)
        return NULL;
    op_take(op, s);
    if (!ex->is_lasting || own_texts(op))
        return op;
    op_free(op);
    return NULL;
}

void pipeline_submit(struct call *ex, struct instance *binding, const mig_submit *s)
{
    struct op *op = op_of_submission(ex, binding, s);

    if (!op) { /* the exchange has used up its memory: end it, the hold with it */
        call_abort(ex, CALL_STOP,
                   &(struct call_result){.status = MIG_BACKPRESSURE,
                                         .message = S("the request needs too much memory")});
        call_drop(ex);
        return;
    }
    op->task.run = run_submitted;
    loop_defer(ex->home, &op->task);
}

static const struct principal *system_principal(void)
{
    static const struct principal p = {
        .subject = S("system"), .tenant = S("system"), .actor = S("system")};
    return &p;
}

static void inherit_header(struct op *op, const struct op *from)
{
    char *id = arena_alloc(op->arena, ID_UUID);

    if (id)
        id_uuid7(id);
    if (from) {
        trace_nest(op, from);
        op->header = from->header;
        op->header.idempotency_key = (str){NULL, 0};
    } else {
        op->header.tenant_id = op->principal->tenant.len ? op->principal->tenant : S("system");
        op->header.meta = S("{}");
    }
    op->header.message_id = (str){id, id ? ID_UUID : 0};
    op->header.version_pin = (str){NULL, 0};
    op->header.deadline_ms = 0;
}

void pipeline_invoke(struct call *parent, const struct nested_spec *spec)
{
    struct arena *a = arena_new(&parent->home->chunks, ARENA_LIMIT);
    struct op *op = a ? op_new(parent, a, atomic_load(&parent->instance)) : NULL;

    must(op); /* a fresh chunk holds it */
    op->owns_arena = true;
    if (!op->principal)
        op->principal = system_principal();
    op->done = spec->done;
    op->done_tag = spec->tag;
    op->answered_here = spec->answered_here;
    op->hops = parent->hops + 1;
    op->capability_in = arena_copy(a, spec->capability);
    op->payload = arena_copy(a, spec->payload);
    inherit_header(op, op_of_call(parent));
    op->task.run = run_nested;
    loop_defer(parent->home, &op->task);
}

/* --- the answer --------------------------------------------------------------------------------- */

/* Home loop: nothing of the op is used after this but what its provider's call still holds. */
static void leave(struct task *t)
{
    struct op *op = container_of(t, struct op, task);
    struct call *parent = op->parent;

    frames_end(op);
    op_free(op);
    call_drop(parent);
}

/* On the parent's strand. */
static void run_done(struct call *parent, struct strand_event *e)
{
    struct op *op = container_of(e, struct op, ev_done);
    void *self = op->instance->self;

    if (op->done)
        op->done(self, op->done_tag, &op->out);
    else
        op->in.on_done(self, op->in.tag, call_handle(parent), &op->out);
    op->task.run = leave;
    if (loop_is_current(op->home))
        loop_defer(op->home, &op->task);
    else
        loop_post(op->home, &op->task);
}

/* What a stream is refused with before it was opened is an ordinary error. */
static bool is_frame(const struct op *op, mig_status status)
{
    return op->frames.style == STYLE_FRAMES && !op->done &&
           (status == MIG_OK || op->is_open || op->in.flags & MIG_SUBMIT_ALWAYS_FRAMES);
}

void op_answer(struct op *op, const struct call_result *r, str envelope)
{
    if (broken(op->is_answered))
        return;
    op->is_answered = true;
    observe_end(op, r);
    inflight_remove(op->core->inflight, &op->inflight, loop_now_ms(op->home));
    limits_leave(op, r->status == MIG_OK);
    once_end(op);
    list_remove(&op->child.link);
    op->out = (mig_outcome){
        .struct_size = sizeof op->out,
        .status = r->status,
        .json = r->json,
        .message = r->message,
        .details = r->details,
        .retry_after_ms = r->retry_after_ms,
        .retry = r->retry,
        .envelope = envelope,
        .message_id = op->header.message_id,
        .flags = (is_frame(op, r->status) ? MIG_OUTCOME_FRAME : 0) |
                 (op->is_open ? MIG_OUTCOME_OPEN : 0),
    };
    if (op->answered_here) {
        op->answered_here(op);
        leave(&op->task);
        return;
    }
    op->ev_done.run = run_done;
    call_strand_push(op->parent, &op->ev_done);
}

void op_answer_error(struct op *op, const struct call_result *r)
{
    op_answer(op, r,
              op->done                  ? (str){NULL, 0}
              : is_frame(op, r->status) ? envelope_error_frame(op, r)
                                        : envelope_error(op, r));
}
