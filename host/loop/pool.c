#include "loop/pool.h"
#include "base/check.h"

#include <pthread.h>
#include <stdlib.h>

/* Threads start when there is work and nobody idle, up to the limit: a daemon that only serves LOOP
 * handlers never pays for them. */
struct pool {
    pthread_mutex_t lock;
    pthread_cond_t has_work, share_is_idle;
    struct pool_share *first, **last; /* shares with a job that may run, served in turn */
    size_t limit, threads, idle, waiting;
    bool is_waking; /* a worker was called and has not looked yet: it will call the next one */
    pthread_t *ids;
    bool is_stopping;
};

struct pool *pool_new(size_t threads)
{
    struct pool *p = calloc(1, sizeof *p);

    if (!p || !(p->ids = calloc(threads, sizeof *p->ids))) {
        free(p);
        return NULL;
    }
    must(pthread_mutex_init(&p->lock, NULL) == 0 && pthread_cond_init(&p->has_work, NULL) == 0 &&
         pthread_cond_init(&p->share_is_idle, NULL) == 0);
    p->limit = threads;
    p->last = &p->first;
    return p;
}

static void list_share(struct pool *p, struct pool_share *s)
{
    if (s->is_listed || !s->queue.first || s->running >= s->run_limit)
        return;
    s->is_listed = true;
    s->next = NULL;
    *p->last = s;
    p->last = &s->next;
}

static struct task *take(struct pool *p, struct pool_share **ret_share)
{
    struct pool_share *s = p->first;

    if (!s)
        return NULL;
    if (!(p->first = s->next))
        p->last = &p->first;
    s->is_listed = false;
    struct task *t = task_pop(&s->queue);
    s->waiting--;
    p->waiting--;
    s->running++;
    list_share(p, s); /* more of it goes to the end of the row: shares take turns */
    *ret_share = s;
    return t;
}

static void *work(void *arg);

/* One worker is called at a time; it calls the next when it finds more than it takes. So a burst of
 * jobs does not wake everybody, and long jobs still get a thread each. */
static void call_worker(struct pool *p)
{
    if (p->is_waking || !p->first)
        return;
    if (p->idle) {
        p->is_waking = true;
        pthread_cond_signal(&p->has_work);
    } else if (p->threads < p->limit && pthread_create(&p->ids[p->threads], NULL, work, p) == 0) {
        p->is_waking = true;
        p->threads++;
    }
    must(p->threads > 0);
}

static void run_one(struct pool *p, struct task *t, struct pool_share *s)
{
    call_worker(p);
    pthread_mutex_unlock(&p->lock);
    t->run(t); /* t may be gone after this; the share stays until pool_share_close() */
    pthread_mutex_lock(&p->lock);
    if (--s->running == 0)
        pthread_cond_broadcast(&p->share_is_idle);
    list_share(p, s);
}

static void *work(void *arg)
{
    struct pool *p = arg;
    struct pool_share *s;

    pthread_mutex_lock(&p->lock);
    p->is_waking = false;
    for (;;) {
        struct task *t = take(p, &s);
        if (t) {
            run_one(p, t, s);
        } else if (p->is_stopping && !p->waiting) {
            break;
        } else {
            p->idle++;
            pthread_cond_wait(&p->has_work, &p->lock);
            p->idle--;
            p->is_waking = false;
        }
    }
    pthread_cond_broadcast(&p->has_work); /* stopping: the others look too */
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static void add(struct pool *p, struct pool_share *s, struct task *t)
{
    task_push(&s->queue, t);
    s->waiting++;
    p->waiting++;
    list_share(p, s);
    call_worker(p);
}

bool pool_run(struct pool *p, struct pool_share *s, struct task *t)
{
    pthread_mutex_lock(&p->lock);
    /* Not "fewer than run_limit run": with fewer threads than that it would be true for ever. */
    bool has_room = s->running + s->waiting < s->run_limit + s->queue_limit;
    if (has_room)
        add(p, s, t);
    pthread_mutex_unlock(&p->lock);
    return has_room;
}

void pool_run_admitted(struct pool *p, struct pool_share *s, struct task *t)
{
    pthread_mutex_lock(&p->lock);
    add(p, s, t);
    pthread_mutex_unlock(&p->lock);
}

void pool_share_close(struct pool *p, struct pool_share *s)
{
    pthread_mutex_lock(&p->lock);
    while (s->running || s->waiting)
        pthread_cond_wait(&p->share_is_idle, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

void pool_stats(struct pool *p, size_t *ret_waiting, size_t *ret_busy, size_t *ret_threads)
{
    pthread_mutex_lock(&p->lock);
    *ret_waiting = p->waiting;
    *ret_busy = p->threads - p->idle;
    *ret_threads = p->limit;
    pthread_mutex_unlock(&p->lock);
}

/* Under the lock: a worker may still start another one for the jobs that wait. */
static bool has_thread(struct pool *p, size_t i)
{
    pthread_mutex_lock(&p->lock);
    bool has = i < p->threads;
    pthread_mutex_unlock(&p->lock);
    return has;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->is_stopping = true;
    pthread_cond_broadcast(&p->has_work);
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; has_thread(p, i); i++)
        pthread_join(p->ids[i], NULL);
    pthread_cond_destroy(&p->has_work);
    pthread_cond_destroy(&p->share_is_idle);
    pthread_mutex_destroy(&p->lock);
    free(p->ids);
    free(p);
}
