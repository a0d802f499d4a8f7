#include "net/turns.h"
#include "base/check.h"
#include "net/conn.h"

/* One large read or eight small ones a turn. A connection goes on first until it has had its burst, so that
 * large bodies are in memory one after the other; then the next one is first. A request may come in two
 * pieces, as many clients send it, without waiting. */
enum { TURN = 8, LARGE = 8, SMALL = 1, BURST = 8 << 20, PIECES = 2 };

static void take_turn(struct task *task)
{
    struct turns *t = container_of(task, struct turns, task);

    t->is_due = false;
    for (int left = TURN; left > 0 && !list_is_empty(&t->waiting);) {
        struct conn *c = container_of(t->waiting.next, struct conn, turn);
        left -= c->is_large ? LARGE : SMALL;
        list_remove(&c->turn);
        conn_release(c, HOLD_TURN);
    }
    if (!list_is_empty(&t->waiting)) {
        t->is_due = true;
        loop_yield(t->loop, &t->task);
    }
}

void turns_init(struct turns *t, struct loop *l)
{
    *t = (struct turns){.loop = l, .task.run = take_turn};
    list_init(&t->waiting);
}

void turns_was_read(struct turns *t, struct conn *c, size_t n, bool is_full)
{
    bool is_first = is_full && c->burst < BURST;

    c->is_large = is_full;
    c->burst = is_first ? c->burst + (uint32_t)n : 0;
    if (!is_full && c->pieces <= PIECES)
        return;
    conn_hold(c, HOLD_TURN);
    list_push(is_first ? t->waiting.next : &t->waiting, &c->turn);
    if (!t->is_due) {
        t->is_due = true;
        loop_yield(t->loop, &t->task);
    }
}
