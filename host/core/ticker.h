/* ticker.h: periodic calls of instances: mig.timer/1 and mig.health/1. A ticker lives on one loop and
 * outlives generations as long as its name and period stay. */
#ifndef CORE_TICKER_H
#define CORE_TICKER_H
#include "core/gen.h"

struct ticker;

/* Control thread: start, keep and stop tickers as the new generation says. */
void tickers_adopt(struct core *core, struct gen *g);
/* Control thread: stop all of an instance; done(i) on the control thread when none will fire. */
void tickers_stop(struct instance *i, void (*done)(struct instance *i));
#endif
