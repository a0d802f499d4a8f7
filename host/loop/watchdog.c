#include "loop/watchdog.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/wait.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A slice is guarded by one state word, so that begin and end are plain stores but for the exchange
 * that meets a fire in progress. */
enum slice_state { SLICE_NONE, SLICE_ARMED, SLICE_FIRING };

struct slice {
    _Alignas(64) _Atomic int state;
    _Atomic uint64_t due_ns;
    void (*fire)(void *arg);
    void *arg;
};

struct watchdog {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct loop **loops;
    size_t count;
    _Atomic unsigned stall_ms;
    _Atomic bool is_dozing; /* looks rarely: no slice was armed for a while */
    _Atomic uint64_t slices;
    _Atomic uint64_t fine_ns; /* when the last slice began that is shorter than a look */
    bool is_stopping;
    uint64_t *reported; /* per loop: busy_since of the stall last reported */
    struct slice *slice;
};

enum { LOOK_NS = 1000000, DOZE_NS = 20000000, DOZE_AFTER_LOOKS = 50 };
enum { FINE_NS = 100000, FINE_FOR_NS = 10000000 };

static void look_at_slice(struct slice *s, uint64_t now)
{
    int armed = SLICE_ARMED;

    if (atomic_load(&s->state) != SLICE_ARMED || now < atomic_load(&s->due_ns))
        return;
    if (!atomic_compare_exchange_strong(&s->state, &armed, SLICE_FIRING))
        return;
    s->fire(s->arg);
    atomic_store(&s->state, SLICE_NONE);
}

static void look_at_loop(struct watchdog *w, size_t i, uint64_t now)
{
    struct loop *l = w->loops[i];
    uint64_t since = atomic_load_explicit(&l->busy_since_ns, memory_order_relaxed);
    uint64_t limit = (uint64_t)atomic_load(&w->stall_ms) * 1000000u;

    if (!since || now < since || now - since < limit)
        return;
    if (now - since > atomic_load(&l->longest_ns))
        atomic_store(&l->longest_ns, now - since);
    if (w->reported[i] == since)
        return;
    w->reported[i] = since;
    atomic_fetch_add(&l->stalls, 1);
    const char *who = atomic_load(&l->running);
    log_warn(
        "loop.stalled", F_U64("loop", l->index), F_Z("instance", who ? who : "host"),
        F_MS("for_ms", (double)(now - since) / 1e6),
        F_Z("hint", "a LOOP handler must return within 1 ms; use MIG_EXEC_POOL for slow work"));
}

/* Slices that are shorter than a look come one after the other: they are looked at more closely. */
static uint64_t nap_of(struct watchdog *w, uint64_t now, bool is_dozing)
{
    uint64_t fine = atomic_load_explicit(&w->fine_ns, memory_order_relaxed);

    return is_dozing ? DOZE_NS : fine + FINE_FOR_NS > now ? FINE_NS : LOOK_NS;
}

/* sched_setattr(2); glibc has a name for it since 2.41. */
struct scheduling {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

/* A look takes some microseconds: let the scheduler know (Linux 6.12), so that it is not put off until the
 * loop has had its share. Where it does not listen, the watchdog is as late as any thread. */
static void hurry(void)
{
    struct scheduling s = {0};

    prctl(PR_SET_TIMERSLACK, FINE_NS / 10);
    if (syscall(SYS_sched_getattr, 0, &s, sizeof s, 0) != 0 || s.policy != SCHED_OTHER)
        return;
    s.runtime = FINE_NS;
    syscall(SYS_sched_setattr, 0, &s, 0);
}

static void *watch(void *arg)
{
    struct watchdog *w = arg;
    uint64_t seen = 0;
    unsigned quiet = 0;

    hurry();
    pthread_mutex_lock(&w->lock);
    while (!w->is_stopping) {
        uint64_t slices = atomic_load(&w->slices);
        quiet = slices == seen ? quiet + 1 : 0;
        seen = slices;
        bool doze = quiet > DOZE_AFTER_LOOKS;
        atomic_store(&w->is_dozing, doze);
        bool is_late = doze && atomic_load(&w->slices) != seen; /* armed while we decided */
        uint64_t now = clock_now_ns();
        wait_until(&w->wake, &w->lock, now + nap_of(w, now, doze && !is_late));
        now = clock_now_ns();
        for (size_t i = 0; i < w->count; i++) {
            look_at_slice(&w->slice[i], now);
            look_at_loop(w, i, now);
        }
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

struct watchdog *watchdog_new(struct loop **loops, size_t count, unsigned stall_ms)
{
    struct watchdog *w = calloc(1, sizeof *w);

    must(w);
    w->loops = calloc(count, sizeof(struct loop *));
    w->count = count;
    w->stall_ms = stall_ms;
    w->reported = calloc(count, sizeof *w->reported);
    w->slice = aligned_alloc(64, count * sizeof *w->slice);
    must(w->loops && w->reported && w->slice);
    memcpy(w->loops, loops, count * sizeof(struct loop *));
    for (size_t i = 0; i < count; i++)
        w->slice[i] = (struct slice){0};
    must(pthread_mutex_init(&w->lock, NULL) == 0 && pthread_cond_init(&w->wake, NULL) == 0);
    must(pthread_create(&w->thread, NULL, watch, w) == 0);
    return w;
}

void watchdog_free(struct watchdog *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->is_stopping = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    free(w->loops);
    free(w->reported);
    free(w->slice);
    free(w);
}

/* A look reads a name and writes its line under the lock, which it gives up only between two. */
void watchdog_wait_look(struct watchdog *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    pthread_mutex_unlock(&w->lock);
}

void watchdog_set_stall_ms(struct watchdog *w, unsigned stall_ms)
{
    atomic_store(&w->stall_ms, stall_ms);
}

void watchdog_slice_begin(struct watchdog *w, struct loop *l, uint32_t limit_us,
                          void (*fire)(void *arg), void *arg)
{
    struct slice *s = &w->slice[l->index];

    must(loop_is_current(l) && atomic_load(&s->state) == SLICE_NONE);
    s->fire = fire;
    s->arg = arg;
    uint64_t now = clock_now_ns(), limit_ns = (uint64_t)limit_us * 1000u;
    atomic_store_explicit(&s->due_ns, now + limit_ns, memory_order_relaxed);
    if (limit_ns < LOOK_NS)
        atomic_store_explicit(&w->fine_ns, now, memory_order_relaxed);
    atomic_store(&s->state, SLICE_ARMED);
    atomic_fetch_add_explicit(&w->slices, 1, memory_order_relaxed);
    if (atomic_load(&w->is_dozing)) {
        pthread_mutex_lock(&w->lock); /* held by the watchdog except between two looks */
        atomic_store(&w->is_dozing, false);
        pthread_cond_signal(&w->wake);
        pthread_mutex_unlock(&w->lock);
    }
}

void watchdog_slice_end(struct watchdog *w, struct loop *l)
{
    struct slice *s = &w->slice[l->index];
    int armed = SLICE_ARMED;

    if (atomic_compare_exchange_strong(&s->state, &armed, SLICE_NONE))
        return;
    while (atomic_load(&s->state) == SLICE_FIRING)
        sched_yield();
}
