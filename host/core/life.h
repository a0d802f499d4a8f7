/* life.h: the lifecycle threads. One runs jobs in order (a reload, the end of an instance); these
 * call the [life] functions of plugins, one at a time and with a time limit, on the other. A
 * function that overstays leaves its thread behind for good (it may hold locks of the plugin's), and
 * a new thread takes its place. */
#ifndef CORE_LIFE_H
#define CORE_LIFE_H
#include "base/list.h"
#include "loop/loop.h"

#include <stdbool.h>

struct life;

struct life *life_new(void);
/* Runs the jobs that wait, then ends the threads. */
void life_free(struct life *l);

/* [any] Run t on the job thread, one at a time in order: builds of generations, destruction. */
void life_post(struct life *l, struct task *t);

/* Job thread. Run fn(arg) and wait. false: it did not return within limit_ms; arg and
 * what it reaches must then live for ever. */
bool life_call(struct life *l, unsigned limit_ms, void (*fn)(void *arg), void *arg);
/* The same for each of them in order, limit_ms for each, without a change of threads between them. How many
 * have returned; the one behind them did not, and what it reaches must live for ever. */
size_t life_call_each(struct life *l, unsigned limit_ms, void (*fn)(void *arg), void *const *args,
                      size_t count);
#endif
