#include "unit.h"
#include "loop/pool.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

struct job {
    struct task task;
    sem_t *started, *go; /* NULL: does not wait */
    char name;
};

static char order[256];
static _Atomic size_t order_len;
static _Atomic int running, most;

static void work(struct task *t)
{
    struct job *j = container_of(t, struct job, task);
    int now = atomic_fetch_add(&running, 1) + 1, before = atomic_load(&most);

    while (now > before && !atomic_compare_exchange_weak(&most, &before, now))
        ;
    if (j->started)
        sem_post(j->started);
    if (j->go)
        sem_wait(j->go);
    order[atomic_fetch_add(&order_len, 1)] = j->name;
    atomic_fetch_sub(&running, 1);
}

static int set_up(void **state)
{
    (void)state;
    memset(order, 0, sizeof order);
    order_len = 0;
    running = most = 0;
    return 0;
}

static void refuses_what_is_over_limit_and_queue(void **state)
{
    struct pool *p = pool_new(4);
    struct pool_share s = {.run_limit = 2, .queue_limit = 3};
    struct job jobs[7] = {0};
    size_t waiting, busy, threads;
    sem_t started, go;

    (void)state;
    sem_init(&started, 0, 0);
    sem_init(&go, 0, 0);
    for (size_t i = 0; i < 7; i++)
        jobs[i] = (struct job){{.run = work}, &started, &go, (char)('0' + i)};
    for (size_t i = 0; i < 2; i++) {
        assert_true(pool_run(p, &s, &jobs[i].task));
        sem_wait(&started);
    }
    for (size_t i = 2; i < 5; i++)
        assert_true(pool_run(p, &s, &jobs[i].task));
    assert_false(pool_run(p, &s, &jobs[5].task));
    pool_run_admitted(p, &s, &jobs[6].task); /* even so */
    assert_false(pool_run(p, &s, &jobs[5].task));
    pool_stats(p, &waiting, &busy, &threads);
    assert_int_equal(waiting, 4);
    assert_int_equal(busy, 2);
    assert_int_equal(threads, 4);
    for (int i = 0; i < 6; i++)
        sem_post(&go);
    pool_free(p);
    assert_int_equal(order_len, 6);
    assert_int_equal(most, 2); /* never more than the limit of the share */
    assert_int_equal(s.running + s.waiting, 0);
}

static void a_share_without_a_thread_is_bounded_too(void **state)
{
    struct pool *p = pool_new(1);
    struct pool_share busy = {.run_limit = 1, .queue_limit = 1};
    struct pool_share s = {.run_limit = 3, .queue_limit = 2};
    struct job jobs[7] = {0};
    sem_t started, go;

    (void)state;
    sem_init(&started, 0, 0);
    sem_init(&go, 0, 0);
    for (size_t i = 0; i < 7; i++)
        jobs[i] = (struct job){{.run = work}, NULL, NULL, (char)('0' + i)};
    jobs[0].started = &started;
    jobs[0].go = &go;
    assert_true(pool_run(p, &busy, &jobs[0].task));
    sem_wait(&started);
    for (size_t i = 1; i < 6; i++)
        assert_true(pool_run(p, &s, &jobs[i].task)); /* three that might run, two that queue */
    assert_false(pool_run(p, &s, &jobs[6].task));
    sem_post(&go);
    pool_free(p);
    assert_int_equal(order_len, 6);
}

static void shares_take_turns(void **state)
{
    struct pool *p = pool_new(1);
    struct pool_share a = {.run_limit = 8, .queue_limit = 100}, b = a;
    struct job jobs[41] = {0};
    sem_t started, go;

    (void)state;
    sem_init(&started, 0, 0);
    sem_init(&go, 0, 0);
    jobs[40] = (struct job){{.run = work}, &started, &go, '-'};
    assert_true(pool_run(p, &a, &jobs[40].task));
    sem_wait(&started);
    for (size_t i = 0; i < 40; i++) {
        jobs[i] = (struct job){{.run = work}, NULL, NULL, i < 30 ? 'a' : 'b'};
        assert_true(pool_run(p, i < 30 ? &a : &b, &jobs[i].task));
    }
    sem_post(&go);
    pool_free(p);
    assert_int_equal(order_len, 41);
    order[21] = 0;
    int b_count = 0;
    for (size_t i = 1; i < 21; i++)
        b_count += order[i] == 'b';
    assert_int_equal(b_count, 10); /* ten of the first twenty, although 30 of a came before */
}

static void a_share_keeps_its_order(void **state)
{
    struct pool *p = pool_new(3);
    struct pool_share s = {.run_limit = 1, .queue_limit = 100};
    struct job jobs[50];

    (void)state;
    for (size_t i = 0; i < 50; i++) {
        jobs[i] = (struct job){{.run = work}, NULL, NULL, (char)('!' + i)};
        assert_true(pool_run(p, &s, &jobs[i].task));
    }
    pool_free(p);
    for (size_t i = 0; i < 50; i++)
        assert_int_equal(order[i], '!' + i);
    assert_int_equal(most, 1);
}

struct meeting {
    struct task task;
    sem_t *mine, *other;
    _Atomic int *met;
};

static void meet(struct task *t)
{
    struct meeting *m = container_of(t, struct meeting, task);
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 5;
    sem_post(m->mine);
    while (sem_timedwait(m->other, &until) != 0)
        if (errno == ETIMEDOUT)
            return;
    atomic_fetch_add(m->met, 1);
}

/* Jobs that wait for each other: a job must not wait behind another while threads could be had. */
static void jobs_given_together_run_together(void **state)
{
    (void)state;
    for (int round = 0; round < 40; round++) {
        struct pool *p = pool_new(2);
        struct pool_share s = {.run_limit = 8, .queue_limit = 8};
        struct job first = {{.run = work}, NULL, NULL, 'x'};
        sem_t a, b;
        _Atomic int met = 0;
        sem_init(&a, 0, 0);
        sem_init(&b, 0, 0);
        struct meeting m[2] = {{{.run = meet}, &a, &b, &met}, {{.run = meet}, &b, &a, &met}};
        assert_true(pool_run(p, &s, &first.task)); /* one thread exists and is idle */
        usleep(2000);
        assert_true(pool_run(p, &s, &m[0].task));
        assert_true(pool_run(p, &s, &m[1].task));
        pool_free(p);
        assert_int_equal(met, 2);
    }
}

int main(void)
{
#define TP(f) cmocka_unit_test_setup(f, set_up)
    const struct CMUnitTest tests[] = {
        TP(refuses_what_is_over_limit_and_queue),
        TP(a_share_without_a_thread_is_bounded_too),
        TP(shares_take_turns),
        TP(a_share_keeps_its_order),
        TP(jobs_given_together_run_together),
    };
    return RUN(tests);
}
