/* core_world.h: a core of one loop with topics and consumers on a store in memory. A test runs inside a
 * message of the loop and carries out its work by hand, so that each order can be played exactly. */
#ifndef TESTS_CORE_WORLD_H
#define TESTS_CORE_WORLD_H
#include "unit.h"
#include "core/consumers.h"
#include "core/core.h"
#include "core/events_own.h"
#include "store/store.h"

#include <pthread.h>

/* As a core starts, the store in memory visits its topics under its own locks; nobody else takes any
 * then, so that the order, which is the other way round later, does not matter. TSan cannot know. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "detect_deadlocks=0";
}

static struct world {
    struct loop *l;
    struct core *core;
    struct store *store;
    void (*body)(void);
} w;

static inline bool has_work(void)
{
    pthread_mutex_lock(&w.l->inbox_lock);
    bool has = w.l->inbox.first || w.l->deferred.first;
    pthread_mutex_unlock(&w.l->inbox_lock);
    return has;
}

/* Carries out all work that is due. */
static inline void pump(void)
{
    do {
        loop_drain(w.l);
        w.l->wake.async_cb(&w.l->wake);
    } while (has_work());
}

static inline void open_data(void)
{
    struct diag d;

    diag_init(&d);
    w.core->store = w.store;
    assert_true(events_open(w.core, &d));
    assert_true(consumers_open(w.core, &d));
    diag_deinit(&d);
}

/* As a restart does, but for the store. */
static inline void reopen_data(void)
{
    pump();
    timer_stop(&w.l->timers, &w.core->events->sweep);
    events_close(w.core);
    consumers_close(w.core);
    open_data();
}

static inline void world_body(struct loop *l, uint64_t v)
{
    (void)v;
    w.core = core_new(l, &w.l, 1, 1, 60000);
    open_data();
    w.body();
    pump();
    timer_stop(&l->timers, &w.core->events->sweep);
    loop_stop(l);
}

/* max_bytes: of the store; 0: no limit. */
static inline void world_run(void (*body)(void), uint64_t max_bytes)
{
    struct store_settings how = STORE_DEFAULTS;
    struct diag d;

    how.max_bytes = max_bytes;
    diag_init(&d);
    w = (struct world){.body = body};
    assert_non_null(w.store = store_open_memory(&how, &d));
    diag_deinit(&d);
    w.l = loop_new(0);
    loop_post_fn(w.l, world_body, 0);
    loop_run(w.l);
    store_close(w.store);
    events_close(w.core);
    consumers_close(w.core);
    core_free(w.core);
    loop_free(w.l);
}
#endif
