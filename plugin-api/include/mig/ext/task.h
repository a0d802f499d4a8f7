/* mig/ext/task.h: run something later, on the strand of a call or as a call of its own. */
#ifndef MIG_EXT_TASK_H
#define MIG_EXT_TASK_H
#include "mig/plugin.h"
#ifdef __cplusplus
extern "C" {
#endif

#define MIG_EXT_TASK "mig.task/1" /* host: mig_ext_task */

/* A task is a call: it must be ended with finish() or finish_error(). */
typedef struct mig_task {
    uint32_t struct_size, flags;
    uint32_t exec;       /* MIG_EXEC_*                                              */
    uint32_t timeout_ms; /* 0: 30 000                                         */
    uint64_t delay_ms;
    void *data;
    void (*run)(void *self, void *data, mig_call task);
} mig_task;

typedef struct mig_ext_task {
    uint32_t struct_size, flags;
    /* [any] done runs after delay_ms on the strand of `call`, with MIG_OK, or at once with
     * MIG_E_GONE when the call is cancelled before that. Without a delay it runs when the sockets of
     * the loop had their turn: so gives way who has worked for long. */
    mig_status (*after)(const mig_host *h, mig_call call, uint64_t delay_ms, mig_done done,
                        void *tag);
    /* [any] Start a call of the instance's own. MIG_E_AGAIN: too many are waiting. */
    mig_status (*run)(const mig_host *h, const mig_task *task);
} mig_ext_task;

#ifdef __cplusplus
}
#endif
#endif
