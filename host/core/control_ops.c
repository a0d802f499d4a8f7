/* CANCEL and HEARTBEAT (MIG v0.1 5.6 and 5.7). */
#include "base/check.h"
#include "base/clock.h"
#include "core/observe.h"
#include "core/principal.h"
#include "core/sessions.h"

#include <stdlib.h>

/* --- CANCEL ------------------------------------------------------------------------------------- */

/* On its way to the loop where the call runs. */
struct order {
    struct task task;
    struct core *core;
    mig_call call;
    size_t len;
    char reason[];
};

static void obey(struct task *task)
{
    struct order *o = container_of(task, struct order, task);
    struct call *c = call_find(o->core, o->call);
    struct arena_text message, details;
    const str reason = {o->reason, o->len};

    if (c) {
        text_init(&message, c->arena, 64 + o->len);
        text_add(&message, S("invocation cancelled: "));
        text_add(&message, reason);
        text_init(&details, c->arena, 64 + o->len);
        text_add(&details, S("{\"reason\":\"cancelled\",\"cancel_reason\":"));
        text_add_json(&details, reason);
        text_add(&details, S("}"));
        call_abort(c, CALL_CANCEL,
                   &(struct call_result){.status = MIG_TIMEOUT,
                                         .retry = 2,
                                         .message = text_str(&message),
                                         .details = text_str(&details)});
    }
    free(o);
}

static void send_order(struct op *op, mig_call call, str reason)
{
    struct order *o = malloc(sizeof *o + reason.len);
    struct loop *home = op->core->loops[call.v >> 56];

    must(o);
    *o = (struct order){{.run = obey}, op->core, call, reason.len};
    memcpy(o->reason, reason.ptr ? reason.ptr : "", reason.len);
    if (loop_is_current(home))
        loop_defer(home, &o->task);
    else
        loop_post(home, &o->task);
}

static mig_status target_of(struct op *op, str *ret)
{
    const json_value *v = json_have(op->doc.root, S("target_message_id"));

    if (v && !json_is_string(v))
        return op_fail_member(op, S("target_message_id"));
    *ret = op->in.target;
    if (v && ret->len && json_string(v).len && !str_eq(*ret, json_string(v)))
        return op_fail(op, MIG_INVALID_REQUEST, "target_mismatch",
                       "the target of the body differs from that of the path");
    if (!ret->len)
        *ret = json_string(v);
    if (ret->len && !str_is_visible(*ret, 128))
        return op_fail_member(op, S("target_message_id"));
    if (!ret->len)
        return op_fail(op, MIG_INVALID_REQUEST, "target_required", "target message id is required");
    return MIG_OK;
}

static bool may_cancel(const struct principal *p, bool is_own)
{
    return is_own || !p->is_authenticated || principal_has_scope(p, S("mig:admin"));
}

mig_status stage_cancel(struct op *op)
{
    static const str names[] = {S("cancelled"), S("completed"), S("pending")};
    const json_value *reason = json_have(op->doc.root, S("reason"));
    mig_call call = {0};
    bool is_own = true;
    str target;
    struct arena_text t;

    mig_status status = target_of(op, &target);
    if (status != MIG_OK)
        return status;
    if (reason && !json_is_string(reason))
        return op_fail_member(op, S("reason"));
    enum inflight_found found =
        inflight_cancel(op->core->inflight, op->header.tenant_id, target, op->principal->subject,
                        loop_now_ms(op->home), &call, &is_own);
    if (found == INFLIGHT_RUNNING && !may_cancel(op->principal, is_own))
        return op_fail(op, MIG_FORBIDDEN, "not_the_invoker",
                       "only the invoker may cancel an invocation");
    observe_cancel(op, (enum cancel_status)found);
    if (found == INFLIGHT_RUNNING && call.v)
        send_order(op, call, json_string(reason));
    text_init(&t, op->arena, 768);
    envelope_header(op, &t);
    text_add(&t, S(",\"target_message_id\":"));
    text_add_json(&t, target);
    text_add(&t, S(",\"accepted\":true,\"status\":"));
    text_add_json(&t, names[found]);
    text_add(&t, S("}"));
    op_answer(op, &(struct call_result){0}, text_str(&t));
    return OP_WAITS;
}

/* --- HEARTBEAT ---------------------------------------------------------------------------------- */

double core_load_factor(struct core *core, const struct gen *g)
{
    size_t waiting, busy, threads;
    uint64_t inflight = atomic_load(&core->inflight_count);

    pool_stats(core->pool, &waiting, &busy, &threads);
    double calls = (double)inflight / (double)g->policy.max_inflight;
    double queue = (double)waiting / (double)g->policy.instance_queue;
    double load = calls > queue ? calls : queue;
    return load > 1 ? 1 : load;
}

mig_status stage_heartbeat(struct op *op)
{
    const json_value *v = json_have(op->doc.root, S("interval_ms"));
    int64_t ms = 5000;
    struct arena_text t;

    if (v && !json_is_integer(v, &ms))
        return op_fail_member(op, S("interval_ms"));
    ms = ms <= 0 ? 5000 : ms < 1000 ? 1000 : ms > 60000 ? 60000 : ms;
    if (op->header.session_id.len) /* one more than can be watched is answered all the same */
        sessions_beat(op->core->sessions, op->header.tenant_id, op->header.session_id, (uint64_t)ms,
                      clock_now_ns() / 1000000);
    unsigned load = (unsigned)(core_load_factor(op->core, op->gen) * 1000 + 0.5);
    text_init(&t, op->arena, 768);
    envelope_header(op, &t);
    text_add(&t, S(",\"suggested_interval_ms\":"));
    text_addu(&t, (uint64_t)ms);
    text_add(&t, S(",\"load_factor\":"));
    text_addu(&t, load / 1000);
    text_add(&t, S("."));
    text_add(&t, (str){(char[]){(char)('0' + load / 100 % 10), (char)('0' + load / 10 % 10),
                                (char)('0' + load % 10)},
                       3});
    text_add(&t, S("}"));
    op_answer(op, &(struct call_result){0}, text_str(&t));
    return OP_WAITS;
}
