#include "core/once.h"
#include "base/check.h"
#include "base/clock.h"
#include "core/observe.h"

/* In the op's arena. */
struct once {
    struct op *op;
    const struct once_kind *kind;
    struct idem_ticket ticket;
    struct timer deadline; /* while it waits */
    bool is_first;         /* the entry is its to end */
};

static void fingerprint_of(str asked, char ret_hex[DIGEST_HEX + 1])
{
    struct digest *d = digest_new();

    digest_add(d, asked);
    digest_take(d, ret_hex);
}

/* What is kept lives on until the op's memory goes. */
static void give(struct once *o)
{
    struct op *op = o->op;
    struct idem_result *r = o->ticket.result;

    o->ticket.result = NULL;
    if (arena_defer(op->arena, idem_result_unref, r)) {
        o->kind->give(op, &r->result);
        return;
    }
    idem_result_unref(r);
    op_fail(op, MIG_BACKPRESSURE, "memory", "the answer needs too much memory");
    op_answer_error(op, &op->error);
}

/* --- waiting ------------------------------------------------------------------------------------ */

static void wait_ends(struct once *o)
{
    timer_stop(&o->op->home->timers, &o->deadline);
    list_remove(&o->op->child.link);
}

static void told(struct idem_ticket *t)
{
    struct once *o = container_of(t, struct once, ticket);

    wait_ends(o);
    if (t->result) {
        observe_replayed(o->op);
        give(o);
        return;
    }
    o->is_first = true;
    o->kind->go(o->op);
}

static void stored(struct idem_ticket *t)
{
    struct once *o = container_of(t, struct once, ticket);

    o->is_first = false;
    give(o);
}

static void deadline_passed(struct timer *timer)
{
    struct once *o = container_of(timer, struct once, deadline);
    struct op *op = o->op;

    if (!idem_leave(&o->ticket))
        return; /* told() is on its way */
    wait_ends(o);
    op_fail(op, MIG_TIMEOUT, "deadline_exceeded", "deadline exceeded");
    op_answer_error(op, &op->error);
}

static void parent_left(struct call_child *child)
{
    struct op *op = container_of(child, struct op, child);

    if (!idem_leave(&op->once->ticket))
        return;
    wait_ends(op->once);
    op_fail(op, MIG_TIMEOUT, "cancelled", "invocation cancelled: the caller left");
    op->error.retry = 2;
    op_answer_error(op, &op->error);
}

static mig_status wait(struct once *o)
{
    struct op *op = o->op;
    uint64_t now = clock_now_ns(), at = op_deadline(op);

    op->child.cancel = parent_left;
    op->child.room = NULL;
    list_push(&op->parent->children, &op->child.link);
    loop_timer(op->home, &o->deadline, at > now ? (at - now + 999999) / 1000000 : 0,
               deadline_passed);
    return OP_WAITS;
}

/* --- begin and end ------------------------------------------------------------------------------ */

static mig_status fail_memory(struct op *op)
{
    return op_fail(op, MIG_BACKPRESSURE, "memory", "no room for the idempotency key");
}

mig_status once_begin(struct op *op, const struct once_kind *kind, str name, str asked)
{
    const struct idem_key key = {op->header.tenant_id, kind->kind, name,
                                 op->header.idempotency_key};
    char print[DIGEST_HEX + 1];
    struct once *o = op->once = arena_zero(op->arena, sizeof *o);

    if (!o)
        return fail_memory(op);
    *o = (struct once){.op = op, .kind = kind};
    o->ticket = (struct idem_ticket){.home = op->home, .told = told, .stored = stored};
    fingerprint_of(asked, print);
    switch (idem_start(op->core->idem, &key, print, &o->ticket, clock_wall_ms())) {
    case IDEM_FIRST: o->is_first = true; return MIG_OK;
    case IDEM_WAITS: return wait(o);
    case IDEM_REPLAY:
        observe_replayed(op);
        give(o);
        return OP_WAITS;
    case IDEM_REUSED:
        return op_fail(op, MIG_INVALID_REQUEST, "idempotency_key_reuse",
                       "the idempotency_key came with another payload before");
    default: return fail_memory(op);
    }
}

static bool is_first(const struct op *op)
{
    return op->once && op->once->is_first;
}

bool once_keep(struct op *op, const struct call_result *r)
{
    uint64_t now = clock_wall_ms();

    return is_first(op) &&
           idem_finish(&op->once->ticket, r, now, now + op->gen->policy.idempotency_ttl_ms);
}

bool once_prepare(struct op *op, const struct call_result *r, struct store_request **ret_row)
{
    uint64_t now = clock_wall_ms();

    *ret_row = NULL;
    return !is_first(op) || idem_prepare(&op->once->ticket, r, now,
                                         now + op->gen->policy.idempotency_ttl_ms, ret_row);
}

bool once_settle(struct op *op)
{
    if (!is_first(op))
        return false;
    idem_settle(&op->once->ticket, clock_wall_ms());
    return true;
}

void once_end(struct op *op)
{
    if (!is_first(op))
        return;
    op->once->is_first = false;
    idem_abandon(&op->once->ticket);
}
