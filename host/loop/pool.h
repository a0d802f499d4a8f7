/* pool.h: threads for work that may block. Each user has a share: how many of its jobs may run at a
 * time and how many may wait; nothing is queued without bound. */
#ifndef LOOP_POOL_H
#define LOOP_POOL_H
#include "base/list.h"

#include <stdbool.h>
#include <stddef.h>

struct pool;

/* Owner: its user; any thread through pool_run() only. Zeroed except for the limits. */
struct pool_share {
    size_t run_limit, queue_limit;
    size_t running, waiting; /* under the pool's lock */
    struct task_queue queue; /* under the pool's lock */
    struct pool_share *next; /* in the pool's row of shares that have work */
    bool is_listed;
};

struct pool *pool_new(size_t threads);
/* Waits for the running jobs, drops nothing: waiting jobs are run first. */
void pool_free(struct pool *p);
/* [any] Run t on a worker. false: the share's queue is full, nothing was taken. Jobs that could run but
 * find no thread wait beside the queue's. */
bool pool_run(struct pool *p, struct pool_share *s, struct task *t);
/* [any] Run t even beyond the queue's limit: the continuation of work already admitted. */
void pool_run_admitted(struct pool *p, struct pool_share *s, struct task *t);
/* Before a share's memory goes: waits until no worker touches it any more. Its jobs must be over. */
void pool_share_close(struct pool *p, struct pool_share *s);
/* [any] For metrics and load_factor: jobs waiting, threads busy, threads. */
void pool_stats(struct pool *p, size_t *ret_waiting, size_t *ret_busy, size_t *ret_threads);
#endif
