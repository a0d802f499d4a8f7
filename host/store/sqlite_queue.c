#include "base/check.h"
#include "base/clock.h"
#include "base/wait.h"
#include "store/sqlite.h"

void queue_init(struct queue *q, uint64_t max_waiting, uint64_t max_bytes)
{
    *q = (struct queue){.max_waiting = max_waiting, .max_bytes = max_bytes, .wake_at = 1};
    must(pthread_mutex_init(&q->lock, NULL) == 0);
    must(pthread_cond_init(&q->more, NULL) == 0);
}

void queue_deinit(struct queue *q)
{
    pthread_cond_destroy(&q->more);
    pthread_mutex_destroy(&q->lock);
}

mig_status queue_put(struct queue *q, struct store_request *r)
{
    size_t size = store_request_size(r);
    mig_status status = MIG_OK;

    pthread_mutex_lock(&q->lock);
    if (q->is_closing) {
        status = MIG_UNAVAILABLE;
    } else if (q->waiting && (q->waiting >= q->max_waiting || q->bytes + size > q->max_bytes)) {
        status = MIG_BACKPRESSURE;
    } else {
        task_push(&q->list, &r->task);
        q->listed++;
        q->waiting++;
        q->bytes += size;
    }
    bool wake = status == MIG_OK && q->sleepers && q->listed >= q->wake_at;
    pthread_mutex_unlock(&q->lock);
    if (wake)
        pthread_cond_signal(&q->more);
    return status;
}

static void sleep_until(struct queue *q, uint64_t until_ns, uint64_t wake_at)
{
    q->wake_at = wake_at;
    q->sleepers++;
    wait_until(&q->more, &q->lock, until_ns);
    q->sleepers--;
    q->wake_at = 1;
}

size_t queue_take(struct queue *q, struct task_queue *to, const struct queue_wish *wish,
                  bool *ret_is_over)
{
    size_t count = 0, bytes = 0;

    pthread_mutex_lock(&q->lock);
    if (!q->list.first && !q->is_closing && wish->until_ns)
        sleep_until(q, wish->until_ns, 1);
    if (q->list.first && q->listed < wish->company && !q->is_closing)
        sleep_until(q, clock_now_ns() + wish->company_ns, wish->company);
    *ret_is_over = q->is_closing && !q->list.first;
    for (struct task *t; count < wish->max && (t = q->list.first); count++) {
        bytes += store_request_size(container_of(t, struct store_request, task));
        if (count && bytes > wish->max_bytes)
            break;
        task_push(to, task_pop(&q->list));
        q->listed--;
    }
    pthread_mutex_unlock(&q->lock);
    return count;
}

void queue_release(struct queue *q, uint64_t count, uint64_t bytes)
{
    pthread_mutex_lock(&q->lock);
    q->waiting -= count;
    q->bytes -= bytes;
    pthread_mutex_unlock(&q->lock);
}

void queue_close(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->is_closing = true;
    pthread_mutex_unlock(&q->lock);
    pthread_cond_broadcast(&q->more);
}

void queue_stats(const struct queue *q, uint64_t *ret_waiting, uint64_t *ret_bytes)
{
    struct queue *all = (struct queue *)(uintptr_t)q;

    pthread_mutex_lock(&all->lock);
    *ret_waiting = q->waiting;
    *ret_bytes = q->bytes;
    pthread_mutex_unlock(&all->lock);
}
