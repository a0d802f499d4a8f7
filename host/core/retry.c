/* Further attempts of an invocation that may run twice. */
#include "base/check.h"
#include "base/clock.h"
#include "core/op.h"
#include "mig/sdk/status.h"

/* Between two attempts. In the op's arena. */
struct retry {
    struct op *op;
    struct timer look;
    uint64_t due_ms;
    uint32_t attempts; /* that have failed */
    bool is_waiting;
};

/* How soon a cancel is seen between two attempts. */
enum { RETRY_LOOK_MS = 20 };

bool retry_is_wished(const struct call_result *r)
{
    return r->retry ? r->retry == 1 : mig_status_row(r->status)->retryable;
}

bool retry_leave(struct op *op)
{
    if (!op->retry || !op->retry->is_waiting)
        return false;
    op->retry->is_waiting = false;
    timer_stop(&op->home->timers, &op->retry->look);
    return true;
}

/* CANCEL finds no call between two attempts; it leaves a mark instead. */
static bool is_cancelled(struct op *op)
{
    return op->inflight.is_listed &&
           !inflight_set_call(op->core->inflight, &op->inflight, (mig_call){0});
}

static void look_later(struct op *op, uint64_t now_ms);

static void try_again(struct timer *t)
{
    struct op *op = container_of(t, struct retry, look)->op;
    uint64_t now_ms = loop_now_ms(op->home);
    bool is_over = is_cancelled(op);

    /* The provider's thread may still be on its way out of the call before. */
    if (!is_over && (now_ms < op->retry->due_ms || op->call)) {
        look_later(op, now_ms);
        return;
    }
    op->retry->is_waiting = false;
    list_remove(&op->child.link);
    if (is_over) {
        op_fail(op, MIG_TIMEOUT, "cancelled", "invocation cancelled");
        op->error.retry = 2;
    }
    if (is_over || dispatch_attempt(op) != OP_WAITS)
        op_answer_error(op, &op->error);
}

static void look_later(struct op *op, uint64_t now_ms)
{
    uint64_t left = op->retry->due_ms > now_ms ? op->retry->due_ms - now_ms : 1;

    loop_timer(op->home, &op->retry->look, left < RETRY_LOOK_MS ? left : RETRY_LOOK_MS, try_again);
}

static struct retry *retry_of(struct op *op)
{
    if (!op->retry && (op->retry = arena_zero(op->arena, sizeof *op->retry)))
        op->retry->op = op;
    return op->retry;
}

/* The pause doubles with each attempt; a provider that says when gets at least that. */
static uint64_t pause_ms(const struct op *op, const struct call_result *r)
{
    uint64_t ms = (uint64_t)op->cap->policy->backoff_ms << op->retry->attempts;

    return ms > r->retry_after_ms ? ms : r->retry_after_ms;
}

bool retry_begin(struct op *op, const struct call_result *r)
{
    const struct cap_policy *p = op->cap->policy;

    if (p->max_attempts < 2 || op->mode != MIG_MODE_UNARY || !retry_is_wished(r) ||
        !(p->is_idempotent || op->header.idempotency_key.len) || !retry_of(op) ||
        op->retry->attempts + 1 >= p->max_attempts || op->parent->is_answered || is_cancelled(op))
        return false;
    uint64_t ms = pause_ms(op, r);
    if (clock_now_ns() + ms * 1000000u >= op_deadline(op))
        return false;
    op->retry->attempts++;
    op->retry->is_waiting = true;
    op->retry->due_ms = loop_now_ms(op->home) + ms;
    look_later(op, loop_now_ms(op->home));
    return true;
}
