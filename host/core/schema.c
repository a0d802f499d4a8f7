/* Step 10: what a payload must look like. */
#include "core/op.h"

mig_status stage_payload(struct op *op)
{
    if (!op->payload.len)
        op->payload = S("{}");
    bool is_checked = !op->done; /* what a plugin hands over was not parsed with an envelope */
    if (op->payload.ptr[0] != '{' || !(is_checked || json_check(op->arena, op->payload, NULL)))
        return op_fail(op, MIG_INVALID_REQUEST, "invalid_payload", "payload must be an object");
    if (op->cap->max_payload_bytes && op->payload.len > op->cap->max_payload_bytes)
        return op_fail(op, MIG_INVALID_REQUEST, "payload_too_large",
                       "the payload is larger than the capability takes");
    return MIG_OK;
}
