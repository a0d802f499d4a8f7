#include "net/turns.h"
#include "base/check.h"
#include "net/conn.h"

/* So many bytes may one connection send before it is another one's turn: large bodies are in memory one
 * after the other, not all at a time. */
enum { BURST = 8 << 20 };

static void wake(struct turns *t)
{
    if (t->is_due || list_is_empty(&t->waiting))
        return;
    t->is_due = true;
    loop_yield(t->loop, &t->task);
}

static void next(struct task *task)
{
    struct turns *t = container_of(task, struct turns, task);

    t->is_due = false;
    if (list_is_empty(&t->waiting))
        return; /* it was closed */
    struct conn *c = container_of(t->waiting.next, struct conn, turn);
    list_remove(&c->turn);
    conn_release(c, HOLD_TURN);
    wake(t);
}

void turns_init(struct turns *t, struct loop *l)
{
    *t = (struct turns){.loop = l, .task.run = next};
    list_init(&t->waiting);
}

void turns_was_read(struct turns *t, struct conn *c, size_t n, bool is_full)
{
    bool goes_on = c->burst > 0 && c->burst < BURST;

    if (!is_full || !goes_on)
        c->burst = 0;
    if (!is_full)
        return;
    c->burst += (uint32_t)n;
    if (!goes_on && list_is_empty(&t->waiting))
        return; /* two reads in a row, where nobody waits: most bodies have ended then */
    conn_hold(c, HOLD_TURN);
    list_push(goes_on ? t->waiting.next : &t->waiting, &c->turn);
    wake(t);
}
