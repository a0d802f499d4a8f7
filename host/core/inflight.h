/* inflight.h: which invocations run now, by (tenant, message id), for all bindings and loops. Needed
 * to refuse duplicates and to cancel. Ids that have finished, and cancels that came before their
 * invocation, are remembered for 60 s as fingerprints, up to a bound. Any thread; leaf locks. */
#ifndef CORE_INFLIGHT_H
#define CORE_INFLIGHT_H
#include "loop/stripe.h"
#include "mig/plugin.h"

struct inflight;

/* Embedded in the operation. Texts are borrowed until inflight_remove(). */
struct inflight_item {
    struct stripe_item item;
    str tenant, id, subject;
    mig_call call; /* 0 until the provider has it */
    bool is_listed;
    bool is_cancelled; /* before the provider had it; under the lock */
};

/* remembered: how many fingerprints the node keeps. */
struct inflight *inflight_new(size_t remembered);
void inflight_free(struct inflight *t);

/* MIG_OK; MIG_INVALID_REQUEST: the id is running already; MIG_TIMEOUT: a cancel came first (and is
 * used up); MIG_BACKPRESSURE: out of memory. now_ms: monotonic. */
mig_status inflight_add(struct inflight *t, struct inflight_item *i, uint64_t now_ms);
/* The call that works on it, so that a cancel can find it. false: a cancel was here already. */
bool inflight_set_call(struct inflight *t, struct inflight_item *i, mig_call call);
void inflight_remove(struct inflight *t, struct inflight_item *i, uint64_t now_ms);
/* Is a cancel waiting for this id? It stays. */
bool inflight_is_cancelled(struct inflight *t, str tenant, str id, uint64_t now_ms);

enum inflight_found { INFLIGHT_RUNNING, INFLIGHT_COMPLETED, INFLIGHT_PENDING };
/* What CANCEL finds. RUNNING: *ret_call (0: not yet with a provider, and told to it then) and whether `subject` is the one who asked for it. PENDING: remembered for 60 s. */
enum inflight_found inflight_cancel(struct inflight *t, str tenant, str id, str subject,
                                    uint64_t now_ms, mig_call *ret_call, bool *ret_is_own);
/* Fingerprints that were forgotten before their time because the bound was reached. */
uint64_t inflight_forgotten(const struct inflight *t);
#endif
