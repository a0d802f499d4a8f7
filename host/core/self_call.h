/* self_call.h: calls that an instance makes for itself: ticks, probes, tasks. */
#ifndef CORE_SELF_CALL_H
#define CORE_SELF_CALL_H
#include "core/call.h"

struct self_call_spec {
    struct instance *instance;
    uint32_t exec;
    uint64_t timeout_ms;                                   /* 0: 30 s */
    void (*give)(void *arg, mig_call call);                /* on the strand        */
    void (*ended)(void *arg, const struct call_result *r); /* home loop, once: with the
                                       answer, or when the plugin's end came after it     */
    void *arg;
};
/* Loop thread, on the loop's current generation. false: no memory or the queue is full; ended() is
 * not called. */
bool self_call_start(struct loop *l, const struct self_call_spec *spec);
#endif
