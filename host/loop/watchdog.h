/* watchdog.h: a thread that looks at the loops. It names the instance that holds one up, and gives
 * plugins a guard for slices of work (mig.loop/1). */
#ifndef LOOP_WATCHDOG_H
#define LOOP_WATCHDOG_H
#include "loop/loop.h"

struct watchdog;

/* The loops must outlive it, their array need not. stall_ms: how long a turn may last before it is
 * reported. */
struct watchdog *watchdog_new(struct loop **loops, size_t count, unsigned stall_ms);
void watchdog_free(struct watchdog *w);
/* Any thread but its own: returns when a look that is under way is over. What no loop calls `running`
 * any more may be freed then: so the loops need not copy names that they write for each call. NULL is
 * fine. */
void watchdog_wait_look(struct watchdog *w);
/* [any] From the next look on. */
void watchdog_set_stall_ms(struct watchdog *w, unsigned stall_ms);

/* Own loop: call fire(arg) on the watchdog's thread when slice_end() has not come after limit_us.
 * Granularity about 1 ms; 0.1 ms where slices shorter than 1 ms follow each other. At most one slice per
 * loop at a time. */
void watchdog_slice_begin(struct watchdog *w, struct loop *l, uint32_t limit_us,
                          void (*fire)(void *arg), void *arg);
/* Own loop: returns after a fire() in progress has returned. */
void watchdog_slice_end(struct watchdog *w, struct loop *l);
#endif
