/* Steps 2 to 4: which capability, which version of it. */
#include "core/op.h"

static mig_status capability_id(struct op *op, str *ret)
{
    str path = op->in.target, body = op->capability_in;

    if (path.len && body.len && !str_eq(path, body))
        return op_fail(op, MIG_INVALID_REQUEST, "capability_mismatch",
                       "the capability of the body differs from that of the path");
    *ret = path.len ? path : body;
    if (!ret->len)
        return op_fail(op, MIG_INVALID_REQUEST, "capability_required", "capability is required");
    return MIG_OK;
}

/* "1.2.0" is exact; "1.x" and "1.2.x" take the newest that fits. */
static bool fits(const struct capability *c, str pin)
{
    str version = str_of(c->version);

    if (!str_ends(pin, S(".x")))
        return str_eq(version, pin);
    pin.len -= 1; /* "1." */
    return str_starts(version, pin);
}

mig_status stage_resolve(struct op *op)
{
    str id;
    mig_status status = capability_id(op, &id);

    if (status != MIG_OK)
        return status;
    struct capability_family *f = map_get(&op->gen->families, id);
    if (!f)
        return op_fail(op, MIG_UNSUPPORTED_CAPABILITY, "capability_not_found",
                       "capability not found");
    str pin = op->header.version_pin;
    for (size_t i = 0; i < f->count && !op->cap; i++)
        if (!pin.len || fits(f->versions[i], pin))
            op->cap = f->versions[i];
    if (!op->cap)
        return op_fail(op, MIG_VERSION_MISMATCH, "capability_version",
                       "no version of the capability matches mig.capability_version");
    return MIG_OK;
}
