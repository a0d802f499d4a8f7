#include "unit.h"
#include "base/clock.h"
#include "base/log.h"
#include "loop/watchdog.h"

static _Atomic int fired;
static _Atomic uint64_t fired_ns;
static _Atomic bool fire_may_end, fire_has_ended;
static struct watchdog *dog;
static struct loop *loop;
static struct buf lines;
static pthread_mutex_t lines_lock = PTHREAD_MUTEX_INITIALIZER;

static void sink(str line)
{
    pthread_mutex_lock(&lines_lock);
    buf_add(&lines, line);
    pthread_mutex_unlock(&lines_lock);
}

static void fire(void *arg)
{
    assert_ptr_equal(arg, &fired);
    atomic_store(&fired_ns, clock_now_ns());
    atomic_fetch_add(&fired, 1);
}

static void slow_fire(void *arg)
{
    fire(arg);
    while (!atomic_load(&fire_may_end))
        usleep(200);
    atomic_store(&fire_has_ended, true);
}

static void wait_fired(int n)
{
    for (int i = 0; i < 5000 && atomic_load(&fired) < n; i++)
        usleep(1000);
}

static void once_and_not_early(struct loop *l, uint64_t v)
{
    uint64_t begin = clock_now_ns();

    (void)v;
    watchdog_slice_begin(dog, l, 3000, fire, &fired);
    wait_fired(1);
    assert_int_equal(fired, 1);
    assert_true(fired_ns - begin >= 3000000);
    usleep(10000);
    assert_int_equal(fired, 1);
    watchdog_slice_end(dog, l);
    for (int i = 0; i < 200; i++) { /* short ones: none fires */
        watchdog_slice_begin(dog, l, 10000000, fire, &fired);
        watchdog_slice_end(dog, l);
    }
    usleep(5000);
    assert_int_equal(fired, 1);
    loop_stop(l);
}

static void *end_fire(void *arg)
{
    usleep(20000);
    atomic_store(&fire_may_end, true);
    return arg;
}

static void end_waits(struct loop *l, uint64_t v)
{
    pthread_t t;

    (void)v;
    watchdog_slice_begin(dog, l, 1000, slow_fire, &fired);
    wait_fired(1);
    assert_int_equal(pthread_create(&t, NULL, end_fire, NULL), 0);
    watchdog_slice_end(dog, l);
    assert_true(fire_has_ended);
    pthread_join(t, NULL);
    loop_stop(l);
}

static void after_a_doze(struct loop *l, uint64_t v)
{
    (void)v;
    usleep(150000); /* the watchdog looks rarely now */
    watchdog_slice_begin(dog, l, 1000, fire, &fired);
    wait_fired(1);
    watchdog_slice_end(dog, l);
    assert_int_equal(fired, 1);
    loop_stop(l);
}

static void stall(struct loop *l, uint64_t v)
{
    if (v == 0) { /* next turn: busy_since is set by then */
        loop_post_fn(l, stall, 1);
        return;
    }
    atomic_store(&l->running, "lazy");
    for (int i = 0; i < 5000 && atomic_load(&l->stalls) == 0; i++)
        usleep(1000);
    usleep(30000);
    assert_int_equal(l->stalls, 1); /* one stall, one report */
    assert_true(l->longest_ns >= 20000000);
    atomic_store(&l->running, NULL);
    loop_stop(l);
}

static void run(void (*fn)(struct loop *l, uint64_t v), unsigned stall_ms)
{
    loop = loop_new(0);
    fired = 0;
    fire_may_end = fire_has_ended = false;
    dog = watchdog_new(&loop, 1, stall_ms);
    loop_post_fn(loop, fn, 0);
    loop_run(loop);
    watchdog_free(dog);
    loop_free(loop);
}

/* --- names of those who are gone ---------------------------------------------------------------- */

static _Atomic bool is_looking, look_may_end, is_let_go, was_let_go_early;

static void slow_sink(str line)
{
    (void)line;
    atomic_store(&is_looking, true);
    while (!atomic_load(&look_may_end))
        usleep(200);
    usleep(5000); /* whoever does not wait is let go now */
    was_let_go_early = is_let_go;
}

static void *let_go(void *arg)
{
    watchdog_wait_look(dog);
    atomic_store(&is_let_go, true);
    return arg;
}

static void name_in_use(struct loop *l, uint64_t v)
{
    pthread_t t;

    if (v == 0) {
        loop_post_fn(l, name_in_use, 1);
        return;
    }
    atomic_store(&l->running, "gone soon");
    while (!atomic_load(&is_looking))
        usleep(200);
    atomic_store(&l->running, NULL);
    assert_int_equal(pthread_create(&t, NULL, let_go, NULL), 0);
    atomic_store(&look_may_end, true);
    pthread_join(t, NULL);
    assert_true(is_let_go);
    assert_false(was_let_go_early);
    loop_stop(l);
}

static void a_name_may_go_when_the_look_that_read_it_is_over(void **state)
{
    (void)state;
    watchdog_wait_look(NULL);
    log_set_sink(slow_sink);
    run(name_in_use, 20);
    log_set_sink(NULL);
}

/* A test that fails leaves its world behind, and the next one uses its array again. */
static void the_array_of_loops_is_not_needed_any_more(void **state)
{
    struct loop *own = loop_new(0), *array[1] = {own};

    (void)state;
    dog = watchdog_new(array, 1, 20);
    array[0] = (struct loop *)(uintptr_t)64;
    usleep(30000); /* several looks */
    watchdog_free(dog);
    loop_stop(own);
    loop_run(own);
    loop_free(own);
}

static void a_slice_fires_once_and_not_early(void **state)
{
    (void)state;
    run(once_and_not_early, 60000);
}

static void the_end_of_a_slice_waits_for_its_fire(void **state)
{
    (void)state;
    run(end_waits, 60000);
}

static void a_dozing_watchdog_still_fires(void **state)
{
    (void)state;
    run(after_a_doze, 60000);
}

static void a_stall_is_reported_once_with_its_culprit(void **state)
{
    (void)state;
    buf_init(&lines, 1 << 16);
    log_set_sink(sink);
    run(stall, 20);
    assert_true(str_contains_nocase(buf_str(&lines), S("loop.stalled")));
    assert_true(str_contains_nocase(buf_str(&lines), S("lazy")));
    buf_deinit(&lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_slice_fires_once_and_not_early),
        T(the_end_of_a_slice_waits_for_its_fire),
        T(a_dozing_watchdog_still_fires),
        T(a_stall_is_reported_once_with_its_culprit),
        T(a_name_may_go_when_the_look_that_read_it_is_over),
        T(the_array_of_loops_is_not_needed_any_more),
    };
    return RUN(tests);
}
