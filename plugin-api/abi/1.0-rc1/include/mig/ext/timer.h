/* mig/ext/timer.h: periodic work of an instance. */
#ifndef MIG_EXT_TIMER_H
#define MIG_EXT_TIMER_H
#include "mig/plugin.h"
#ifdef __cplusplus
extern "C" {
#endif

#define MIG_EXT_TIMER "mig.timer/1" /* registrar: mig_timer */

/* A tick is a call: finish() ends it. The next tick is due every_ms after the last one started and
 * is skipped while that one still runs. Ticks stop before quiesce(). */
typedef struct mig_timer {
    uint32_t struct_size, flags;
    uint32_t exec, reserved; /* reserved: 0                                         */
    const char *name;
    uint64_t every_ms, jitter_ms; /* every_ms at least 1                            */
    void *data;
    void (*on_tick)(void *self, void *data, mig_call tick);
} mig_timer;

#ifdef __cplusplus
}
#endif
#endif
