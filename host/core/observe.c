#include "core/observe.h"
#include "base/check.h"
#include "base/clock.h"

#include <assert.h>

static_assert((int)OPERATION_INVOKE == (int)MIG_OP_INVOKE &&
                  (int)OPERATION_HELLO == (int)MIG_OP_HELLO &&
                  (int)OPERATION_DISCOVER == (int)MIG_OP_DISCOVER &&
                  (int)OPERATION_CANCEL == (int)MIG_OP_CANCEL &&
                  (int)OPERATION_HEARTBEAT == (int)MIG_OP_HEARTBEAT &&
                  (int)OPERATION_PUBLISH == (int)MIG_OP_PUBLISH &&
                  (int)OPERATION_SUBSCRIBE == (int)MIG_OP_SUBSCRIBE,
              "operations are numbered as in the ABI");

static struct telemetry *counters(const struct op *op)
{
    return op->core->telemetry;
}

static unsigned here(const struct op *op)
{
    return op->home->index;
}

static bool is_subscribe(const struct op *op)
{
    return op->in.operation == MIG_OP_SUBSCRIBE;
}

static struct capability_counts *capability_of(const struct op *op)
{
    return op->cap ? op->cap->counts : telemetry_no_capability(counters(op));
}

str observe_reason(str details)
{
    static const str head = S("{\"reason\":\"");
    str rest = str_cut(details, head.len);

    return str_starts(details, head) ? str_split(&rest, '"') : S("");
}

/* --- on the way --------------------------------------------------------------------------------- */

mig_status observe_admit(struct op *op)
{
    if (!audit_refuses(op->core->audit))
        return MIG_OK;
    return op_fail(op, MIG_UNAVAILABLE, "audit", "the audit cannot be written");
}

void observe_dispatch(struct op *op, struct call *c)
{
    str text = trace_child(op);

    op->log = (struct log_context){
        {text.ptr + 3, 2 * TRACE_ID}, op->header.tenant_id, op->header.message_id};
    c->log = &op->log;
    op->is_inflight = true;
    count_inflight(op->cap->counts, here(op), 1);
}

static enum stream_type stream_of(const struct op *op)
{
    static const struct {
        str binding;
        enum stream_type calls, events;
    } rows[] = {{S("http"), STREAM_INVOKE_SSE, STREAM_SSE},
                {S("ws"), STREAM_WEBSOCKET, STREAM_WEBSOCKET},
                {S("websocket"), STREAM_WEBSOCKET, STREAM_WEBSOCKET},
                {S("grpc"), STREAM_GRPC_BIDI, STREAM_GRPC_EVENTS},
                {S("nats"), STREAM_NATS, STREAM_NATS},
                {S("mcp"), STREAM_MCP, STREAM_MCP}};

    for (size_t i = 0; i < countof(rows); i++)
        if (str_eq(rows[i].binding, op->in.binding))
            return is_subscribe(op) ? rows[i].events : rows[i].calls;
    return STREAM_OTHER;
}

void observe_stream(struct op *op)
{
    if (!is_subscribe(op) && op->frames.style == STYLE_GATHER)
        return; // the client sees one answer
    op->stream = stream_of(op);
    count_stream(counters(op), here(op), op->stream, 1);
}

void observe_slow(const struct core *core, const struct loop *l, enum stream_type stream)
{
    count_backpressure(core->telemetry, l->index, stream ? stream : STREAM_OTHER, OPERATION_INVOKE);
}

void observe_replayed(struct op *op)
{
    op->is_replay = true;
    count_replay(capability_of(op), here(op));
}

void observe_cancel(struct op *op, enum cancel_status status)
{
    count_cancel(counters(op), here(op), op->in.binding, status);
}

/* --- the end ------------------------------------------------------------------------------------ */

static enum outcome outcome_for(const struct op *op, const struct call_result *r)
{
    if (r->status == MIG_OK)
        return op->is_replay ? OUTCOME_REPLAYED : OUTCOME_SUCCESS;
    if (r->status == MIG_TIMEOUT && str_eq(observe_reason(r->details), S("cancelled")))
        return OUTCOME_CANCELLED;
    return op->is_replay ? OUTCOME_REPLAYED : outcome_of(r->status);
}

static bool is_denial(mig_status status)
{
    return status == MIG_FORBIDDEN || status == MIG_UNAUTHORIZED;
}

static const struct record_names *end_invocation(struct op *op, const struct call_result *r,
                                                 enum outcome outcome, uint64_t took_ns)
{
    struct capability_counts *c = capability_of(op);
    str tenant = op->header.tenant_id.len ? op->header.tenant_id : S("unknown");

    const struct record_names *names =
        count_invocation(counters(op), here(op), c, tenant, outcome, r->status, took_ns);
    if (op->is_inflight)
        count_inflight(c, here(op), -1);
    if (r->status == MIG_TIMEOUT && str_eq(observe_reason(r->details), S("deadline_exceeded")))
        count_deadline(c, here(op));
    return op->cap && op->header.tenant_id.len ? names : NULL;
}

/* A stream that has begun always ends with a status; most of them are no error. */
static bool is_error(const struct op *op, mig_status status)
{
    bool is_usual =
        is_subscribe(op) && op->is_open && (status == MIG_TIMEOUT || status == MIG_UNAVAILABLE);
    return status != MIG_OK && !is_usual;
}

static void end_failed(struct op *op, mig_status status)
{
    enum operation operation = (enum operation)op->in.operation;

    count_error(counters(op), here(op), status, operation);
    if (status == MIG_BACKPRESSURE)
        count_backpressure(counters(op), here(op), op->stream, operation);
}

static void count_access(struct op *op, const struct call_result *r)
{
    if (is_denial(r->status))
        count_auth(counters(op), here(op), DECISION_DENY, observe_reason(r->details));
    else
        count_caller(counters(op), here(op), op->principal->is_authenticated);
}

static const struct traceparent *trace_of(const struct op *op)
{
    return op->trace.has_parent ? &op->trace.parent : &op->trace.own;
}

/* Most calls are of this kind: let in, by a binding that is known, counted under their own names. */
static bool keep_brief(struct op *op, const struct call_result *r, enum outcome outcome,
                       uint64_t now_ns, const struct record_names *names)
{
    unsigned binding = binding_named(op->in.binding);
    uint64_t took_us = (now_ns - op->started_ns) / 1000;

    if (!names || binding == BINDINGS_KNOWN || !op->principal->remote.len || took_us > UINT32_MAX ||
        is_denial(r->status) ||
        (op->trace.own.flags & TRACE_SAMPLED && tracing_is_exported(op->core->tracing)))
        return false;
    audit_add_brief(op->core->audit, here(op),
                    &(struct brief){clock_wall_of(now_ns) / 1000, (uint32_t)took_us, outcome,
                                    r->status, binding, trace_of(op), names, op->header.message_id,
                                    op->principal->remote, op->principal->actor});
    return true;
}

static void keep(struct op *op, const struct call_result *r, enum outcome outcome, uint64_t now_ns)
{
    bool is_invoke = op->in.operation == MIG_OP_INVOKE;
    bool is_denied = is_denial(r->status);
    str asked = op->in.target.len ? op->in.target : op->capability_in;
    struct record record = {
        .at_us = clock_wall_of(now_ns) / 1000,
        .took_us = (now_ns - op->started_ns) / 1000,
        .operation = (enum operation)op->in.operation,
        .outcome = outcome,
        .decision = is_denied ? DECISION_DENY : DECISION_ALLOW,
        .code = r->status,
        .has_trace = true,
        .trace = *trace_of(op),
        .actor = op->principal->actor,
        .tenant = op->header.tenant_id,
        .capability = op->cap     ? str_of(op->cap->id)
                      : is_invoke ? asked
                                  : S(""),
        .message_id = op->header.message_id,
        .binding = op->in.binding.len ? op->in.binding : S("internal"),
        .remote = op->principal->remote,
        .target = is_invoke ? S("") : op->in.target,
    };
    if ((is_invoke || is_denied) && !op->principal->is_host) /* self-checks are nobody's deeds */
        audit_add(op->core->audit, here(op), &record);
    trace_end(op, &record);
}

void observe_end(struct op *op, const struct call_result *r)
{
    uint64_t now_ns = clock_now_ns();
    enum outcome outcome = outcome_for(op, r);
    const struct record_names *names = NULL;

    if (op->in.operation == MIG_OP_INVOKE)
        names = end_invocation(op, r, outcome, now_ns - op->started_ns);
    if (is_error(op, r->status))
        end_failed(op, r->status);
    if (op->stream)
        count_stream(counters(op), here(op), op->stream, -1);
    count_access(op, r);
    bool is_on = audit_is_on(op->core->audit);
    if (!is_on && !tracing_is_exported(op->core->tracing))
        return;
    trace_begin(op);
    if (!is_on || !keep_brief(op, r, outcome, now_ns, names))
        keep(op, r, outcome, now_ns);
}

void observe_decision(struct core *core, unsigned loop, struct record *r)
{
    if (!audit_is_on(core->audit))
        return;
    r->at_us = clock_read(CLOCK_REALTIME) / 1000;
    audit_add(core->audit, loop, r);
}
