/* mig/ext/loop.h: for plugins that keep state per event loop. In-process plugins only. */
#ifndef MIG_EXT_LOOP_H
#define MIG_EXT_LOOP_H
#include "mig/plugin.h"
#ifdef __cplusplus
extern "C" {
#endif

#define MIG_EXT_LOOP "mig.loop/1" /* host: mig_ext_loop */

typedef struct mig_ext_loop {
    uint32_t struct_size, flags;
    /* [any] How many loops there are, for the life of the process. */
    uint32_t (*count)(const mig_host *h);
    /* [any] The loop this thread is, 0 .. count-1; UINT32_MAX on every other thread. */
    uint32_t (*index)(const mig_host *h);
    /* [loop] Guard a stretch of work on this loop: when it lasts longer than limit_us, the
     * watchdog's thread calls fire(arg), once per guard, while the work goes on. One guard per loop
     * at a time; slice_end() returns after a fire() in progress has returned. Costs two stores. */
    void (*slice_begin)(const mig_host *h, uint32_t limit_us, void (*fire)(void *arg), void *arg);
    void (*slice_end)(const mig_host *h);
} mig_ext_loop;

#ifdef __cplusplus
}
#endif
#endif
