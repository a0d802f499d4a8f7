/* rest.h: what an op leaves behind whose answer comes much later, so that it need not stay itself: an op
 * has two kilobytes, an idle subscription shall have a few hundred bytes. Owner: the parent's loop. */
#ifndef CORE_REST_H
#define CORE_REST_H
#include "core/op.h"

struct op_rest {
    struct call *parent; /* held */
    struct instance *instance;
    struct op_header header;
    str binding, target, stream_id, tracestate;
    uint32_t operation, flags; /* of mig_submit */
    void *tag;
    void (*on_done)(void *self, void *tag, mig_call ex, const mig_outcome *out);
    uint64_t started_ns;
    enum stream_type stream;
};

/* The texts are still the op's. */
struct op_rest op_rest_of(const struct op *op);
/* What op_rest_own() will ask of the arena. */
size_t op_rest_bytes(const struct op_rest *r);
/* Copies the texts. false: no memory. */
bool op_rest_own(struct op_rest *r, struct arena *a);
/* An open op that can be answered, in `a`, which must have the rest and is referenced; the hold on the
 * parent is the op's. NULL: no memory. */
struct op *op_of_rest(const struct op_rest *r, struct arena *a);
#endif
