/* Answers as JSON text (MIG v0.1 sections 2 and 10). */
#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "core/op.h"
#include "mig/sdk/status.h"

static void add_member(struct arena_text *t, str name, str value)
{
    if (!value.len)
        return;
    text_add(t, S(",\""));
    text_add(t, name);
    text_add(t, S("\":"));
    text_add_json(t, value);
}

/* value: of characters that need no escape. */
static void add_plain(struct arena_text *t, str name, str value)
{
    if (!value.len)
        return;
    text_add(t, name);
    text_add(t, value);
    text_add(t, S("\""));
}

static void add_scopes(struct arena_text *t, const struct principal *p)
{
    text_add(t, S(",\"idg.principal_scopes\":["));
    for (size_t i = 0; i < p->scope_count; i++) {
        text_add(t, i ? S(",") : S(""));
        text_add_json(t, p->scopes[i]);
    }
    text_add(t, S("]"));
}

static str tier_of(const struct op *op)
{
    const struct cap_policy *p = op->cap ? op->cap->policy : NULL;

    return p && p->billing_tier.len ? p->billing_tier : S("core");
}

/* The client's meta, then what the server knows. */
static void add_meta(struct arena_text *t, const struct op *op)
{
    str own = op->header.meta;
    bool is_empty = true;

    for (size_t i = 1; i + 1 < own.len; i++)
        is_empty &=
            own.ptr[i] == ' ' || own.ptr[i] == '\n' || own.ptr[i] == '\t' || own.ptr[i] == '\r';
    text_add(t, S(",\"meta\":{"));
    if (!is_empty) {
        text_add_line(t, (str){own.ptr + 1, own.len - 2});
        text_add(t, S(","));
    }
    text_add(t, S("\"idg.principal_subject\":"));
    text_add_json(t, op->principal->subject);
    add_scopes(t, op->principal);
    if (op->frames.seq) {
        text_add(t, S(",\"mig.frame_seq\":"));
        text_addu(t, op->frames.seq);
    }
    if (op->is_replay)
        text_add(t, S(",\"mig.idempotent_replay\":true"));
    text_add(t, S(",\"idg.product_tier\":\""));
    text_add(t, tier_of(op));
    text_add(t, S("\",\"idg.meter_key\":\"invocations_capability_tier\",\"mig.binding\":\""));
    text_add(t, op->in.binding);
    text_add(t, op->in.operation == MIG_OP_HELLO ? S("\",\"mig.profile\":\"full\"") : S("\""));
}

/* The header object up to the last member of its meta. */
static void open_header(const struct op *op, struct arena_text *t)
{
    const struct op_header *h = &op->header;

    text_add(t, S("{\"mig_version\":\"0.1\",\"message_id\":"));
    text_add_json(t, h->message_id);
    add_plain(t, S(",\"timestamp\":\""), h->timestamp);
    add_plain(t, S(",\"tenant_id\":\""), h->tenant_id.len ? h->tenant_id : S("unknown"));
    add_member(t, S("session_id"), h->session_id);
    add_member(t, S("traceparent"), h->traceparent); /* a later version may end in anything */
    add_member(t, S("idempotency_key"), h->idempotency_key);
    text_add(t, S(",\"deadline_ms\":"));
    text_addu(t, h->deadline_ms ? h->deadline_ms : POLICY_DEADLINE_MS);
    add_meta(t, op);
}

void envelope_header(struct op *op, struct arena_text *t)
{
    text_add(t, S("{\"header\":"));
    open_header(op, t);
    text_add(t, S("}}"));
}

void envelope_event_header(struct op *op, str event_key, struct arena_text *t)
{
    open_header(op, t);
    if (!event_key.len)
        return;
    text_add(t, S(",\"mig.event_key\":"));
    text_add_json(t, event_key);
}

str envelope_invoke(struct op *op, str payload)
{
    struct arena_text t;

    text_init(&t, op->arena, 640 + payload.len);
    envelope_header(op, &t);
    text_add(&t, S(",\"capability\":"));
    text_add(&t, op->cap->id_json);
    text_add(&t, S(",\"payload\":"));
    text_add(&t, payload);
    text_add(&t, op->cap->result_json);
    return t.has_failed ? (str){NULL, 0} : text_str(&t);
}

/* {"code":...,"message":...,"retryable":...,"details":{...}} */
static void add_error(struct arena_text *t, const struct call_result *r)
{
    const mig_status_info *row = mig_status_row(r->status);
    bool retryable = r->retry ? r->retry == 1 : row->retryable;
    str details = str_trim(r->details);

    if (!details.len)
        details = S("{}");
    text_add(t, S("\"error\":{\"code\":\""));
    text_add(t, str_of(row->name));
    text_add(t, S("\",\"message\":"));
    text_add_json(t, r->message.len ? r->message : str_of(row->name));
    text_add(t, retryable ? S(",\"retryable\":true,\"details\":")
                          : S(",\"retryable\":false,\"details\":"));
    text_add(t, (str){details.ptr, details.len - 1});
    uint32_t after_ms = r->retry_after_ms                      ? r->retry_after_ms
                        : row->http == 429 || row->http == 503 ? POLICY_RETRY_AFTER_MS
                                                               : 0;
    if (after_ms) {
        text_add(t, details.len > 2 ? S(",\"retry_after_ms\":") : S("\"retry_after_ms\":"));
        text_addu(t, after_ms);
    }
    text_add(t, S("}}"));
}

str envelope_error(struct op *op, const struct call_result *r)
{
    struct arena_text t;

    text_init(&t, op->arena, 768);
    envelope_header(op, &t);
    text_add(&t, S(","));
    add_error(&t, r);
    text_add(&t, S("}"));
    return t.has_failed ? (str){NULL, 0} : text_str(&t);
}

str envelope_object(struct arena *a, str json)
{
    struct arena_text t;

    if (json.ptr[0] == '{')
        return json;
    text_init(&t, a, json.len + 16);
    text_add(&t, S("{\"result\":"));
    text_add(&t, json);
    text_add(&t, S("}"));
    return t.has_failed ? S("{}") : text_str(&t);
}

/* A raw line break in JSON can only be white space. */
void text_add_line(struct arena_text *t, str json)
{
    size_t from = t->len;

    text_add(t, json);
    if (t->has_failed || !json.len ||
        (!memchr(json.ptr, '\n', json.len) && !memchr(json.ptr, '\r', json.len)))
        return;
    for (size_t i = from; i < t->len; i++)
        if (t->ptr[i] == '\n' || t->ptr[i] == '\r')
            t->ptr[i] = ' ';
}

/* The next StreamFrame up to its kind (MIG v0.1 6.1). */
static void begin_frame(struct op *op, struct arena_text *t)
{
    op->frames.seq++;
    if (!op->frames.stream_id.len)
        op->frames.stream_id = frames_stream_id(op);
    envelope_header(op, t);
    text_add(t, S(",\"stream_id\":"));
    text_add_json(t, op->frames.stream_id);
    text_add(t, S(",\"capability\":"));
    text_add_json(t, op->cap             ? str_of(op->cap->id)
                     : op->in.target.len ? op->in.target
                                         : op->capability_in);
}

void envelope_frame(struct op *op, struct arena_text *t, str payload, bool is_last)
{
    begin_frame(op, t);
    text_add(t, S(",\"kind\":\"response\",\"payload\":"));
    text_add_line(t, payload);
    text_add(t, is_last ? S(",\"end_stream\":true}") : S("}"));
}

void envelope_control(struct op *op, struct arena_text *t, str payload)
{
    begin_frame(op, t);
    text_add(t, S(",\"kind\":\"control\",\"payload\":"));
    text_add(t, payload);
    text_add(t, S("}"));
}

str envelope_error_frame(struct op *op, const struct call_result *r)
{
    struct arena_text t;

    text_init(&t, op->arena, 896);
    if (op->frames.state == FRAME_BLOCKED)
        op->frames.seq--; /* that frame was not taken and will not be */
    begin_frame(op, &t);
    text_add(&t, S(",\"kind\":\"error\",\"end_stream\":true,"));
    add_error(&t, r);
    text_add(&t, S("}"));
    return t.has_failed ? (str){NULL, 0} : text_str(&t);
}

str envelope_reason(struct arena *a, str reason)
{
    struct arena_text t;

    text_init(&t, a, 64);
    text_add(&t, S("{\"reason\":"));
    text_add_json(&t, reason);
    text_add(&t, S("}"));
    return t.has_failed ? S("{}") : text_str(&t);
}

str envelope_bare(struct arena *a, const struct call_result *r, str message_id)
{
    struct arena_text t;
    char at[CLOCK_RFC3339];

    clock_rfc3339(clock_wall_ms(), at);
    text_init(&t, a, 512);
    text_add(&t, S("{\"header\":{\"mig_version\":\"0.1\",\"message_id\":"));
    text_add_json(&t, message_id);
    add_member(&t, S("timestamp"), (str){at, sizeof at});
    text_add(&t, S(",\"tenant_id\":\"unknown\",\"deadline_ms\":30000,\"meta\":{}},"));
    add_error(&t, r);
    text_add(&t, S("}"));
    return t.has_failed ? S("{}") : text_str(&t);
}
