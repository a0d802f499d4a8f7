/* timer.h: the timer wheel of a loop. Starting and stopping are O(1) and free of system calls, so
 * that each call can have a deadline. Resolution 1 ms; timers never fire early. Owner: its loop.
 *
 * A started timer is only noted; it gets its place in the wheel when somebody asks the wheel what is
 * next. Most timers of calls are stopped before that and never see the wheel. */
#ifndef LOOP_TIMER_H
#define LOOP_TIMER_H
#include "base/list.h"

#include <stdint.h>

struct timer;
typedef void (*timer_fn)(struct timer *t);

/* Embedded in what it times. Zeroed memory is a timer that is not running. */
struct timer {
    struct list link;
    uint64_t at_ms;
    timer_fn fn;
    uint8_t level, slot; /* level TIMER_NOTED: not in the wheel yet */
};

enum { TIMER_LEVELS = 4, TIMER_SLOTS = 64, TIMER_NOTED = TIMER_LEVELS };

struct timer_wheel {
    uint64_t now_ms;
    uint64_t occupied[TIMER_LEVELS]; /* a bit per slot that may hold timers */
    struct list slots[TIMER_LEVELS][TIMER_SLOTS];
    struct list noted;
    size_t count;
};

#define TIMER_NEVER UINT64_MAX

void timer_wheel_init(struct timer_wheel *w, uint64_t now_ms);
/* Fire at at_ms (or with the next advance when that has passed). Restarts a running timer. */
void timer_start(struct timer_wheel *w, struct timer *t, uint64_t at_ms, timer_fn fn);
/* Harmless when it is not running. */
void timer_stop(struct timer_wheel *w, struct timer *t);
static inline bool timer_is_running(const struct timer *t)
{
    return t->fn != NULL;
}
static inline bool timer_wheel_has_noted(const struct timer_wheel *w)
{
    return !list_is_empty(&w->noted);
}
/* Runs all timers due at now_ms. They may start and stop others. */
void timer_wheel_advance(struct timer_wheel *w, uint64_t now_ms);
/* When advance has something to do next (firing, or moving timers down a level); TIMER_NEVER. */
uint64_t timer_wheel_next(struct timer_wheel *w);
#endif
