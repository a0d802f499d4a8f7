#include "unit.h"
#include "core/life.h"

#include <semaphore.h>

struct job {
    struct task task;
    struct life *l;
    sem_t *done;
    int n;
};

static int order[16];
static size_t order_len;
static sem_t hang;
static _Atomic int entered, left;
static _Atomic bool call_ok[4];
static pthread_t threads[4];

static void note_thread(void *arg)
{
    threads[*(int *)arg] = pthread_self();
}

static void stay(void *arg)
{
    (void)arg;
    entered++;
    sem_wait(&hang);
    left++;
}

static void in_order(struct task *t)
{
    struct job *j = container_of(t, struct job, task);
    order[order_len++] = j->n;
    sem_post(j->done);
}

static void jobs_run_in_order(void **state)
{
    struct life *l = life_new();
    struct job jobs[8];
    sem_t done;

    (void)state;
    order_len = 0;
    sem_init(&done, 0, 0);
    for (int i = 0; i < 8; i++) {
        jobs[i] = (struct job){{.run = in_order}, l, &done, i};
        life_post(l, &jobs[i].task);
    }
    for (int i = 0; i < 8; i++)
        sem_wait(&done);
    for (int i = 0; i < 8; i++)
        assert_int_equal(order[i], i);
    life_free(l);
}

static void free_runs_what_waits(void **state)
{
    struct life *l = life_new();
    struct job jobs[8];
    sem_t done;

    (void)state;
    order_len = 0;
    sem_init(&done, 0, 0);
    for (int i = 0; i < 8; i++) {
        jobs[i] = (struct job){{.run = in_order}, l, &done, i};
        life_post(l, &jobs[i].task);
    }
    life_free(l);
    assert_int_equal(order_len, 8);
}

static void overstay(struct task *t)
{
    struct job *j = container_of(t, struct job, task);
    static int zero = 0, one = 1, two = 2;

    call_ok[0] = life_call(j->l, 1000, note_thread, &zero);
    call_ok[1] = life_call(j->l, 1000, note_thread, &one);
    call_ok[2] = life_call(j->l, 20, stay, NULL);
    call_ok[3] = life_call(j->l, 1000, note_thread, &two);
    sem_post(j->done);
}

static void a_function_that_overstays_leaves_its_thread_behind(void **state)
{
    struct life *l = life_new();
    sem_t done;
    struct job j = {{.run = overstay}, l, &done, 0};

    (void)state;
    sem_init(&hang, 0, 0);
    sem_init(&done, 0, 0);
    life_post(l, &j.task);
    sem_wait(&done);
    assert_true(call_ok[0] && call_ok[1] && call_ok[3]);
    assert_false(call_ok[2]);
    assert_true(pthread_equal(threads[0], threads[1]));  /* one thread serves as long as it can */
    assert_false(pthread_equal(threads[0], threads[2])); /* a new one took its place */
    assert_int_equal(entered, 1);
    assert_int_equal(left, 0);
    life_free(l); /* does not wait for the lost one */
    sem_post(&hang);
    for (int i = 0; i < 2000 && !left; i++)
        usleep(1000);
    assert_int_equal(left, 1);
    usleep(20000); /* it frees itself */
}

/* --- in a row ----------------------------------------------------------------------------------- */

static size_t rows[2];

static void take_30_ms(void *arg)
{
    note_thread(arg);
    usleep(30000);
}

static void stay_at_the_second(void *arg)
{
    if (*(int *)arg == 1)
        stay(arg);
}

static void run_rows(struct task *t)
{
    struct job *j = container_of(t, struct job, task);
    static int numbers[] = {0, 1, 2, 3};
    static void *const args[] = {&numbers[0], &numbers[1], &numbers[2], &numbers[3]};

    memset(threads, 0, sizeof threads);
    rows[0] = life_call_each(j->l, 100, take_30_ms, args, 4);
    rows[1] = life_call_each(j->l, 100, stay_at_the_second, args, 4);
    sem_post(j->done);
}

static void each_of_a_row_has_its_own_time(void **state)
{
    struct life *l = life_new();
    sem_t done;
    struct job j = {{.run = run_rows}, l, &done, 0};

    (void)state;
    entered = left = 0;
    sem_init(&hang, 0, 0);
    sem_init(&done, 0, 0);
    life_post(l, &j.task);
    sem_wait(&done);
    assert_int_equal(rows[0], 4); /* 120 ms in all */
    for (int i = 1; i < 4; i++)
        assert_true(pthread_equal(threads[0], threads[i]));
    assert_int_equal(rows[1], 1);
    assert_int_equal(entered, 1);
    life_free(l);
    sem_post(&hang);
    for (int i = 0; i < 2000 && !left; i++)
        usleep(1000);
    assert_int_equal(left, 1);
    usleep(20000); /* it frees itself */
}

int main(void)
{
    const struct CMUnitTest tests[] = {T(jobs_run_in_order), T(free_runs_what_waits),
                                       T(a_function_that_overstays_leaves_its_thread_behind),
                                       T(each_of_a_row_has_its_own_time)};
    return RUN(tests);
}
