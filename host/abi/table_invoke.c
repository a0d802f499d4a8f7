/* mig.invoke/1 */
#include "abi/pending.h"
#include "abi/tables.h"
#include "base/check.h"
#include "core/op.h"
#include "mig/ext/invoke.h"

#include <stdlib.h>

/* On its way to the home loop; the op takes the hold on the call over. */
struct order {
    struct task task;
    struct call *call;
    struct nested_spec spec;
    char text[];
};

static void obey(struct task *t)
{
    struct order *o = container_of(t, struct order, task);

    pipeline_invoke(o->call, &o->spec);
    free(o);
}

static mig_status start(const mig_host *h, mig_call call, mig_str capability,
                        const mig_payload *payload, struct nested_spec spec)
{
    struct instance *i = instance_of(h);
    struct call *c = call_hold(i->core, i, call);
    str json = payload ? payload->bytes : S("{}");

    if (!c) {
        payload_release_later(i->core, payload);
        return MIG_E_GONE;
    }
    struct order *o = malloc(sizeof *o + capability.len + json.len);
    must(o);
    *o = (struct order){{.run = obey}, c, spec};
    memcpy(o->text, capability.ptr, capability.len);
    if (json.len)
        memcpy(o->text + capability.len, json.ptr, json.len);
    o->spec.capability = (str){o->text, capability.len};
    o->spec.payload = (str){o->text + capability.len, json.len};
    payload_release_later(i->core, payload);
    if (loop_is_current(c->home))
        loop_defer(c->home, &o->task);
    else
        loop_post(c->home, &o->task);
    return MIG_OK;
}

static mig_status invoke(const mig_host *h, mig_call call, mig_str capability,
                         const mig_payload *payload, mig_done done, void *tag)
{
    return start(h, call, capability, payload, (struct nested_spec){.done = done, .tag = tag});
}

/* --- waiting on the pool ------------------------------------------------------------------------ */

struct waiting {
    const mig_outcome *out; /* under the call's wait lock */
};

static void unused(void *self, void *tag, const mig_outcome *out)
{
    (void)self;
    (void)tag;
    (void)out;
}

/* Home loop: the outcome is copied into the caller's arena, where it lives until its call ends. */
static void answered(struct op *op)
{
    struct waiting *w = op->done_tag;
    struct arena *a = op->parent->arena;
    mig_outcome *out = arena_alloc(a, sizeof *out);

    must(out);
    *out = op->out;
    out->json = arena_copy(a, out->json);
    out->message = arena_copy(a, out->message);
    out->details = arena_copy(a, out->details);
    out->message_id = arena_copy(a, out->message_id);
    struct call_wait *lock = call_wait_of(op->parent);
    pthread_mutex_lock(&lock->lock);
    w->out = out;
    pthread_cond_broadcast(&lock->changed);
    pthread_mutex_unlock(&lock->lock);
}

static mig_status invoke_wait(const mig_host *h, mig_call call, mig_str capability,
                              const mig_payload *payload, const mig_outcome **ret_out)
{
    struct instance *i = instance_of(h);
    struct waiting w = {NULL};

    if (loop_current())
        return MIG_E_ARG;
    struct call *c = call_hold(i->core, i, call);
    if (!c) {
        payload_release_later(i->core, payload);
        return MIG_E_GONE;
    }
    mig_status status =
        start(h, call, capability, payload,
              (struct nested_spec){.done = unused, .tag = &w, .answered_here = answered});
    if (status == MIG_OK) {
        /* The nested call ends with the caller's deadline or cancellation at the latest. */
        struct call_wait *lock = call_wait_of(c);
        pthread_mutex_lock(&lock->lock);
        while (!w.out)
            pthread_cond_wait(&lock->changed, &lock->lock);
        pthread_mutex_unlock(&lock->lock);
        *ret_out = w.out;
    }
    call_drop_any(c);
    return status;
}

const void *table_invoke(struct instance *i)
{
    static const mig_ext_invoke table = {sizeof table, 0, invoke, invoke_wait};
    (void)i;
    return &table;
}
