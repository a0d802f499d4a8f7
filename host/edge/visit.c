/* Visits whose answer lasts. */
#include "edge/visit.h"
#include "base/check.h"
#include "core/call.h"

enum { KEEPALIVE_MS = 15000, SETTLE_MS = 1, ARENA_LIMIT = 64 << 20 };

/* --- the request's memory goes, and what the answer needs of it moves ------------------------------ */

/* All of it, but for what moves itself. */
static size_t settled_bytes(const struct visit *v)
{
    enum { SLACK = 64 }; /* alignment */
    return sizeof *v + exchange_move_bytes(v->x) + principal_bytes(v->principal) +
           manners_move_bytes(&v->manners) + SLACK;
}

static struct visit *settle(struct visit *v, struct arena *a)
{
    struct visit *to = arena_alloc(a, sizeof *to);
    struct principal *p = to ? principal_copy(a, v->principal) : NULL;
    struct exchange *x = p ? exchange_move(v->x, a) : NULL;

    if (!x)
        return NULL;
    *to = *v;
    x->owner = to;
    to->x = x;
    to->in = NULL;
    to->principal = p;
    manners_move(&to->manners, &v->manners, x, p);
    if (to->tally.is_admin)
        to->tally.remote = x->remote;
    return to;
}

/* For its own timer, which is not running: where the visit is now. */
static struct visit *settled(struct visit *v)
{
    if (!v->is_released || !v->in || !call_is_at_rest(v->call))
        return v;
    struct arena *a = arena_new_small(&v->x->loop->chunks, settled_bytes(v), ARENA_LIMIT);
    struct visit *to = a ? settle(v, a) : NULL;

    if (to)
        call_move(to->call, a, to->principal, to);
    else if (a)
        arena_unref(a);
    return to ? to : v;
}

/* --- while nothing happens ---------------------------------------------------------------------- */

static void keep_alive(struct timer *t)
{
    struct visit *v = settled(container_of(t, struct visit, keepalive));
    uint64_t now = loop_now_ms(v->x->loop), due = v->sent_ms + KEEPALIVE_MS;

    if (now >= due) {
        if (manners_write(&v->manners, S(": keepalive\n\n")) == MIG_E_GONE)
            return;
        due = now + KEEPALIVE_MS;
        v->sent_ms = now;
    }
    loop_timer(v->x->loop, &v->keepalive, due - now, keep_alive);
}

void visit_streams(struct visit *v)
{
    visit_sent(v);
    loop_timer(v->x->loop, &v->keepalive, v->is_released ? SETTLE_MS : KEEPALIVE_MS, keep_alive);
}

void visit_release(struct call *c)
{
    struct visit *v = c->owner;

    v->is_released = true;
    if (timer_is_running(&v->keepalive))
        loop_timer(v->x->loop, &v->keepalive, SETTLE_MS, keep_alive);
}

void visit_forget(struct call *c)
{
    struct visit *v = c->owner;

    timer_stop(&v->x->loop->timers, &v->keepalive);
}
