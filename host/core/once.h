/* once.h: operations that carry an idempotency key (MIG v0.1 8.3), between the pipeline and idem.c.
 * Home loop of the op. */
#ifndef CORE_ONCE_H
#define CORE_ONCE_H
#include "core/idem.h"
#include "core/op.h"

/* What is different between INVOKE and PUBLISH. */
struct once_kind {
    enum idem_kind kind;
    void (*go)(struct op *op);                                /* first, after it has waited */
    void (*give)(struct op *op, const struct call_result *r); /* answer with this           */
};

/* The op has a key. name: capability or topic; asked: canonical text of what it asks for. MIG_OK: it is
 * the first; OP_WAITS: one of kind's functions will run, or it has run; or an error. */
mig_status once_begin(struct op *op, const struct once_kind *kind, str name, str asked);
/* The first has an end that counts: stored, then given. false: no memory, nothing was done. */
bool once_keep(struct op *op, const struct call_result *r);
/* The same in two steps: *ret_row is to be stored with what the op does (NULL: nothing is); once_settle()
 * when both are stored. false: no memory, nothing was done. */
bool once_prepare(struct op *op, const struct call_result *r, struct store_request **ret_row);
/* What was prepared is given. false: nothing was, for want of a key. */
bool once_settle(struct op *op);
/* The op is answered: what it has not kept another may do. Harmless without a key. */
void once_end(struct op *op);
#endif
