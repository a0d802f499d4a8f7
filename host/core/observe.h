/* observe.h: the hooks by which operations and requests are counted (telemetry.h), traced (trace.h) and
 * recorded (audit.h). Home loop of the operation. */
#ifndef CORE_OBSERVE_H
#define CORE_OBSERVE_H
#include "core/audit.h"
#include "core/op.h"

/* May it begin at all? MIG_UNAVAILABLE: nobody could record it (mig.audit_required). */
mig_status observe_admit(struct op *op);
/* It goes to its provider. */
void observe_dispatch(struct op *op, struct call *c);
/* The caller was told of a stream, and gets it piece by piece. */
void observe_stream(struct op *op);
/* The reader of one has fallen behind. */
void observe_slow(const struct core *core, const struct loop *l, enum stream_type stream);
/* The answer that follows was given before for the same idempotency key. */
void observe_replayed(struct op *op);
void observe_cancel(struct op *op, enum cancel_status status);
/* The caller has the answer. */
void observe_end(struct op *op, const struct call_result *r);

/* --- beside operations: any thread -------------------------------------------------------------- */

/* A decision about somebody's rights that no operation shows: a policy that was asked, an operator's
 * request. Completed with the time. loop: index, or AUDIT_NO_LOOP. */
void observe_decision(struct core *core, unsigned loop, struct record *r);

/* The text of "reason" when details begin with it. */
str observe_reason(str details);
#endif
