/* mig.control/1: verbs run on the control thread. */
#include "abi/pending.h"
#include "abi/tables.h"
#include "base/check.h"
#include "mig/ext/control.h"

#include <stdlib.h>

struct control_pending {
    struct pending pending;
    mig_done done;
    void *tag;
    struct task order;
    char *verb, *args;
    char *json, *message, *details;
    mig_status status;
};

static void run(struct pending *p)
{
    struct control_pending *c = container_of(p, struct control_pending, pending);
    mig_outcome out = {.struct_size = sizeof out,
                       .status = c->status,
                       .json = str_of(c->json),
                       .message = str_of(c->message),
                       .details = str_of(c->details)};

    c->done(p->instance->self, c->tag, &out);
}

static void drop(struct pending *p)
{
    struct control_pending *c = container_of(p, struct control_pending, pending);

    free(c->verb);
    free(c->args);
    free(c->json);
    free(c->message);
    free(c->details);
    free(c);
}

/* Control thread, or wherever the verb ended. */
static void verb_done(void *arg, mig_status status, str json, str message, str details)
{
    struct control_pending *c = arg;

    c->status = status;
    c->json = str_dup(json);
    c->message = str_dup(message);
    c->details = str_dup(details);
    pending_ready(&c->pending);
}

static void on_control(struct task *t)
{
    struct control_pending *c = container_of(t, struct control_pending, order);
    struct core *core = c->pending.instance->core;

    struct call *call = c->pending.call; /* held: its principal stays */

    core->control_verb(core, call ? call->principal : NULL, str_of(c->verb), str_of(c->args),
                       verb_done, c);
}

static mig_status request(const mig_host *h, mig_call call, mig_str verb, mig_str args,
                          mig_done done, void *tag)
{
    mig_status status;
    struct control_pending *c = pending_new(sizeof *c, h, call, &status);

    if (!c)
        return status;
    c->pending.run = run;
    c->pending.free = drop;
    c->done = done;
    c->tag = tag;
    c->verb = str_dup(verb);
    c->args = str_dup(args.len ? args : S("{}"));
    c->order.run = on_control;
    loop_post(instance_of(h)->core->control, &c->order);
    return MIG_OK;
}

const void *table_control(struct instance *i)
{
    static const mig_ext_control table = {sizeof table, 0, request};
    return i->may_control ? &table : NULL;
}
