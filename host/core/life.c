#include "core/life.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/wait.h"

#include <pthread.h>
#include <stdlib.h>

/* One thread that runs a row of jobs. When one of them overstays, the caller marks the thread as lost: it
 * frees itself if the job ever returns. */
struct worker {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    void (*fn)(void *arg);
    void *const *args;
    size_t count, at; /* at: of them have returned       */
    unsigned limit_ms;
    uint64_t due_ns; /* when the present one must return */
    bool is_lost, is_stopping;
    pthread_t thread;
};

struct life {
    struct worker *worker; /* job thread */
    pthread_t jobs;
    pthread_mutex_t lock;
    pthread_cond_t has_job;
    struct task_queue queue;
    bool is_stopping;
};

static void worker_free(struct worker *w)
{
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

static void set_due(struct worker *w)
{
    w->due_ns = clock_now_ns() + (uint64_t)w->limit_ms * 1000000u;
}

static void *work(void *arg)
{
    struct worker *w = arg;

    pthread_mutex_lock(&w->lock);
    while (!w->is_stopping && !w->is_lost) {
        if (w->at == w->count) {
            pthread_cond_wait(&w->changed, &w->lock);
            continue;
        }
        set_due(w);
        void *one = w->args[w->at];
        pthread_mutex_unlock(&w->lock);
        w->fn(one);
        pthread_mutex_lock(&w->lock);
        if (!w->is_lost && ++w->at == w->count)
            pthread_cond_broadcast(&w->changed);
    }
    bool is_mine = w->is_lost;
    pthread_mutex_unlock(&w->lock);
    if (is_mine)
        worker_free(w);
    return NULL;
}

static struct worker *worker_new(void)
{
    struct worker *w = calloc(1, sizeof *w);

    must(w && pthread_mutex_init(&w->lock, NULL) == 0 && pthread_cond_init(&w->changed, NULL) == 0);
    must(pthread_create(&w->thread, NULL, work, w) == 0);
    return w;
}

static void *run_jobs(void *arg)
{
    struct life *l = arg;

    pthread_mutex_lock(&l->lock);
    for (;;) {
        struct task *t = task_pop(&l->queue);
        if (!t && l->is_stopping)
            break;
        if (!t) {
            pthread_cond_wait(&l->has_job, &l->lock);
            continue;
        }
        pthread_mutex_unlock(&l->lock);
        t->run(t);
        pthread_mutex_lock(&l->lock);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

struct life *life_new(void)
{
    struct life *l = calloc(1, sizeof *l);

    must(l && pthread_mutex_init(&l->lock, NULL) == 0 &&
         pthread_cond_init(&l->has_job, NULL) == 0 &&
         pthread_create(&l->jobs, NULL, run_jobs, l) == 0);
    return l;
}

void life_post(struct life *l, struct task *t)
{
    pthread_mutex_lock(&l->lock);
    task_push(&l->queue, t);
    pthread_cond_signal(&l->has_job);
    pthread_mutex_unlock(&l->lock);
}

/* Each has its own time: when it is over, another one may be under way by then. */
static void wait_for(struct worker *w)
{
    while (w->at < w->count)
        if (!wait_until(&w->changed, &w->lock, w->due_ns) && clock_now_ns() >= w->due_ns)
            return;
}

size_t life_call_each(struct life *l, unsigned limit_ms, void (*fn)(void *arg), void *const *args,
                      size_t count)
{
    if (!l->worker)
        l->worker = worker_new();
    struct worker *w = l->worker;
    pthread_mutex_lock(&w->lock);
    w->fn = fn;
    w->args = args;
    w->at = 0;
    w->count = count;
    w->limit_ms = limit_ms;
    set_due(w);
    pthread_cond_broadcast(&w->changed);
    wait_for(w);
    size_t done = w->at;
    if (done < count) {
        w->is_lost = true;
        pthread_cond_broadcast(&w->changed); /* it may not even have begun */
        pthread_detach(w->thread);
        l->worker = NULL;
    }
    pthread_mutex_unlock(&w->lock);
    return done;
}

bool life_call(struct life *l, unsigned limit_ms, void (*fn)(void *arg), void *arg)
{
    return life_call_each(l, limit_ms, fn, &arg, 1) == 1;
}

void life_free(struct life *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->is_stopping = true;
    pthread_cond_signal(&l->has_job);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->jobs, NULL);
    struct worker *w = l->worker;
    if (w) {
        pthread_mutex_lock(&w->lock);
        w->is_stopping = true;
        pthread_cond_broadcast(&w->changed);
        pthread_mutex_unlock(&w->lock);
        pthread_join(w->thread, NULL);
        worker_free(w);
    }
    pthread_cond_destroy(&l->has_job);
    pthread_mutex_destroy(&l->lock);
    free(l);
}
