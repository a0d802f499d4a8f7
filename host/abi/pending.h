/* pending.h: a host operation that was started for a plugin and whose continuation has not run. It
 * counts as debt: it holds its call, or its instance when there is no call. */
#ifndef ABI_PENDING_H
#define ABI_PENDING_H
#include "core/call.h"
#include "core/core.h"
#include "core/instance.h"

/* First member of an operation's own struct, malloc'ed. */
struct pending {
    struct task task;
    struct strand_event event;
    struct instance *instance;
    struct call *call;               /* held; NULL: call 0, the continuation runs on the pool */
    void (*run)(struct pending *p);  /* on the strand of the call, or on the pool  */
    void (*free)(struct pending *p); /* afterwards; NULL: free()                   */
};

static inline struct instance *instance_of(const mig_host *h)
{
    return h->ctx;
}

/* [any] size: of the whole struct. NULL: *ret_status says why (MIG_E_GONE, MIG_E_NOMEM). */
void *pending_new(size_t size, const mig_host *h, mig_call call, mig_status *ret_status);
/* [any] The result is there: let the continuation run. */
void pending_ready(struct pending *p);
/* [any] Start failed after all: no continuation. */
void pending_cancel(struct pending *p);
/* [any] Run fn on the home loop of the call, at once when this is it. p->call must be set. */
void pending_on_home(struct pending *p, void (*fn)(struct task *t));
#endif
