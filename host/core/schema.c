/* Steps 10, 11 and 16: what payloads and results must look like. */
#include "base/jsonschema.h"
#include "core/op.h"

enum { ERRORS_MAX = 16 };

/* {"reason":...,"errors":[{"path":...,"message":...}, ...]} */
static str describe(struct op *op, str reason, const struct jschema_errors *e)
{
    struct arena_text t;

    text_init(&t, op->arena, 256);
    text_add(&t, S("{\"reason\":\""));
    text_add(&t, reason);
    text_add(&t, S("\",\"errors\":["));
    for (size_t i = 0; i < e->count; i++) {
        text_add(&t, i ? S(",{\"path\":") : S("{\"path\":"));
        text_add_json(&t, e->list[i].path);
        text_add(&t, S(",\"message\":"));
        text_add_json(&t, e->list[i].message);
        text_add(&t, S("}"));
    }
    text_add(&t, e->has_more ? S("],\"has_more\":true}") : S("]}"));
    return t.has_failed ? S("{}") : text_str(&t);
}

static mig_status check_input(struct op *op, const json_value *v)
{
    struct jschema_error list[ERRORS_MAX];
    struct jschema_errors errors = {.list = list, .max = ERRORS_MAX};

    if (jschema_check(op->cap->input, v, op->arena, &errors))
        return MIG_OK;
    return op_fail_details(op, MIG_INVALID_REQUEST, describe(op, S("schema_violation"), &errors),
                           S("the payload does not agree with the capability's input schema"));
}

static mig_status fail_payload(struct op *op)
{
    return op_fail(op, MIG_INVALID_REQUEST, "invalid_payload", "payload must be an object");
}

/* What a plugin hands over was not parsed with an envelope; an absent payload is {}. */
static const json_value *payload_of(struct op *op)
{
    struct json doc;

    if (op->payload_value)
        return op->payload_value;
    return json_parse(&doc, op->arena, op->payload, NULL) ? doc.root : NULL;
}

mig_status stage_payload(struct op *op)
{
    bool is_checked = !op->done && op->payload_value;

    if (!op->payload.len)
        op->payload = S("{}");
    if (op->payload.ptr[0] != '{' || !(is_checked || json_check(op->arena, op->payload, NULL)))
        return fail_payload(op);
    if (op->cap->max_payload_bytes && op->payload.len > op->cap->max_payload_bytes)
        return op_fail(op, MIG_INVALID_REQUEST, "payload_too_large",
                       "the payload is larger than the capability takes");
    if (!op->cap->input || !op->gen->policy.checks_input)
        return MIG_OK;
    const json_value *v = payload_of(op);
    return v ? check_input(op, v) : fail_payload(op);
}

bool schema_check_output(struct op *op, str result, str *ret_details)
{
    struct jschema_error list[ERRORS_MAX];
    struct jschema_errors errors = {.list = list, .max = ERRORS_MAX};
    struct json doc;

    if (!op->checks_output || !op->cap->output)
        return true;
    if (json_parse(&doc, op->arena, result, NULL) &&
        jschema_check(op->cap->output, doc.root, op->arena, &errors))
        return true;
    *ret_details = describe(op, S("output_schema_violation"), &errors);
    return false;
}
