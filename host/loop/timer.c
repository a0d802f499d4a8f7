#include "loop/timer.h"
#include "base/check.h"

enum { BITS = 6 };
static const uint64_t HORIZON_MS = (uint64_t)1 << (BITS * TIMER_LEVELS);

void timer_wheel_init(struct timer_wheel *w, uint64_t now_ms)
{
    *w = (struct timer_wheel){.now_ms = now_ms};
    list_init(&w->noted);
    for (int level = 0; level < TIMER_LEVELS; level++)
        for (int slot = 0; slot < TIMER_SLOTS; slot++)
            list_init(&w->slots[level][slot]);
}

/* Level k holds timers whose time differs from now first in its k-th group of six bits, counted
 * from the low end, in the slot that those bits name. A timer thus waits in a slot that lies ahead
 * of the hand of its level and moves down when the hand reaches it. */
static void place(struct timer_wheel *w, struct timer *t)
{
    uint64_t at = t->at_ms > w->now_ms ? t->at_ms : w->now_ms + 1;
    if (at - w->now_ms >= HORIZON_MS)
        at = w->now_ms + HORIZON_MS - 1; /* placed again when it comes down */
    int level = (63 - __builtin_clzll((at ^ w->now_ms) | 1)) / BITS;
    if (level >= TIMER_LEVELS)
        level = TIMER_LEVELS - 1; /* the top level wraps around */
    t->level = (uint8_t)level;
    t->slot = (uint8_t)(at >> (BITS * level) & (TIMER_SLOTS - 1));
    list_push(&w->slots[level][t->slot], &t->link);
    w->occupied[level] |= (uint64_t)1 << t->slot;
}

static void unlink_timer(struct timer_wheel *w, struct timer *t)
{
    list_remove(&t->link);
    if (t->level != TIMER_NOTED && list_is_empty(&w->slots[t->level][t->slot]))
        w->occupied[t->level] &= ~((uint64_t)1 << t->slot);
}

void timer_start(struct timer_wheel *w, struct timer *t, uint64_t at_ms, timer_fn fn)
{
    timer_stop(w, t);
    t->at_ms = at_ms;
    t->fn = fn;
    t->level = TIMER_NOTED;
    w->count++;
    list_push(&w->noted, &t->link);
}

static void place_noted(struct timer_wheel *w)
{
    while (!list_is_empty(&w->noted)) {
        struct timer *t = container_of(w->noted.next, struct timer, link);
        list_remove(&t->link);
        place(w, t);
    }
}

void timer_stop(struct timer_wheel *w, struct timer *t)
{
    if (!t->fn)
        return;
    t->fn = NULL;
    w->count--;
    unlink_timer(w, t);
}

/* Empties one slot: due timers fire, the others are placed closer. */
static void run_slot(struct timer_wheel *w, int level, unsigned slot)
{
    struct list due;

    w->occupied[level] &= ~((uint64_t)1 << slot);
    list_take(&due, &w->slots[level][slot]);
    while (!list_is_empty(&due)) {
        struct timer *t = container_of(due.next, struct timer, link);
        list_remove(&t->link);
        if (t->at_ms > w->now_ms) {
            place(w, t);
            continue;
        }
        timer_fn fn = t->fn;
        t->fn = NULL;
        w->count--;
        fn(t);
    }
}

/* The first time after now at which the hand of the level reaches an occupied slot. */
static uint64_t next_on_level(const struct timer_wheel *w, int level)
{
    unsigned shift = (unsigned)(BITS * level);
    unsigned hand = w->now_ms >> shift & (TIMER_SLOTS - 1);
    uint64_t bits = w->occupied[level];

    if (!bits)
        return TIMER_NEVER;
    unsigned turn = (hand + 1) & (TIMER_SLOTS - 1);
    uint64_t ahead = turn ? bits >> turn | bits << (TIMER_SLOTS - turn) : bits;
    uint64_t steps = (uint64_t)__builtin_ctzll(ahead) + 1;
    return ((w->now_ms >> shift) + steps) << shift;
}

uint64_t timer_wheel_next(struct timer_wheel *w)
{
    uint64_t next = TIMER_NEVER;

    place_noted(w);
    for (int level = 0; level < TIMER_LEVELS; level++) {
        uint64_t at = next_on_level(w, level);
        next = at < next ? at : next;
    }
    return next;
}

void timer_wheel_advance(struct timer_wheel *w, uint64_t now_ms)
{
    for (uint64_t at; (at = timer_wheel_next(w)) <= now_ms;) {
        w->now_ms = at;
        for (int level = TIMER_LEVELS - 1; level >= 0; level--) {
            uint64_t span = ((uint64_t)1 << (BITS * level)) - 1;
            unsigned slot = at >> (BITS * level) & (TIMER_SLOTS - 1);
            if ((at & span) == 0 && w->occupied[level] >> slot & 1)
                run_slot(w, level, slot);
        }
    }
    if (now_ms > w->now_ms)
        w->now_ms = now_ms;
}
