#include "core/audit.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/wait.h"
#include "core/audit_own.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* With a file there is a thread, which looks at the lanes every ACTIVE_MS while there is something. After
 * QUIET_TURNS without a record it sleeps until the first one wakes it; should that get lost, for IDLE_MS. */
enum {
    ACTIVE_MS = 20,
    IDLE_MS = 1000,
    STUCK_MS = 200,
    QUIET_TURNS = 50,
    FILE_ONLY_BYTES = 4 << 20
};

struct audit {
    size_t lane_count; /* one per loop, and a last one for all other threads */
    struct audit_lane *lanes;
    struct audit_tail *tail;
    pthread_mutex_t shared; /* of the last lane; leaf */
    _Atomic bool is_on, is_required, is_idle;
    bool has_file;
    uint64_t max_records;

    pthread_mutex_t lock; /* what follows, but for file and cursors, which are the thread's own */
    pthread_cond_t wake, flushed;
    pthread_t thread;
    bool is_stopping, is_woken, wants_reopen, has_settings;
    struct audit_settings settings; /* without the path */
    uint64_t flush_asked, flush_done;
    struct audit_file file;
    struct cursor *cursors;
};

struct audit *audit_new(size_t loops)
{
    struct audit *a = calloc(1, sizeof *a);

    must(a);
    a->lane_count = loops + 1;
    a->lanes = aligned_alloc(64, a->lane_count * sizeof *a->lanes);
    a->cursors = calloc(a->lane_count, sizeof *a->cursors);
    must(a->lanes && a->cursors);
    memset(a->lanes, 0, a->lane_count * sizeof *a->lanes);
    for (size_t i = 0; i < a->lane_count; i++)
        a->cursors[i].is_file = true;
    a->tail = audit_tail_new(a->lanes, a->lane_count);
    must(pthread_mutex_init(&a->lock, NULL) == 0 && pthread_mutex_init(&a->shared, NULL) == 0 &&
         pthread_cond_init(&a->wake, NULL) == 0 && pthread_cond_init(&a->flushed, NULL) == 0);
    return a;
}

/* --- recording ---------------------------------------------------------------------------------- */

bool audit_is_on(const struct audit *a)
{
    return atomic_load_explicit(&((struct audit *)(uintptr_t)a)->is_on, memory_order_relaxed);
}

static void wake(struct audit *a)
{
    atomic_store_explicit(&a->is_idle, false, memory_order_relaxed);
    pthread_mutex_lock(&a->lock);
    a->is_woken = true;
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->lock);
}

/* Lane's thread: where the next record goes; NULL: memory is out. */
static inline char *place(struct audit *a, struct audit_lane *lane)
{
    if (lane->end - lane->at >= AUDIT_LENGTH + RECORD_MAX || audit_tail_extend(a->tail, lane))
        return lane->at + AUDIT_LENGTH;
    atomic_fetch_add_explicit(&lane->dropped, 1, memory_order_relaxed);
    return NULL;
}

static inline void placed(struct audit *a, struct audit_lane *lane, size_t n)
{
    audit_tail_commit(lane, n);
    if (atomic_load_explicit(&a->is_idle, memory_order_relaxed))
        wake(a);
}

static void add_to(struct audit *a, struct audit_lane *lane, const struct record *r)
{
    char *to = place(a, lane);

    if (to)
        placed(a, lane, record_pack(r, to));
}

void audit_add(struct audit *a, unsigned loop, const struct record *r)
{
    if (!audit_is_on(a))
        return;
    if (loop < a->lane_count - 1) {
        add_to(a, &a->lanes[loop], r);
        return;
    }
    pthread_mutex_lock(&a->shared);
    add_to(a, &a->lanes[a->lane_count - 1], r);
    pthread_mutex_unlock(&a->shared);
}

void audit_add_brief(struct audit *a, unsigned loop, const struct brief *b)
{
    struct audit_lane *lane = &a->lanes[loop];
    char *to = place(a, lane);

    if (to)
        placed(a, lane, record_pack_brief(b, to));
}

/* The last quarter of the memory is for calls that were let in before. */
bool audit_refuses(const struct audit *a)
{
    struct audit *w = (struct audit *)(uintptr_t)a;

    return atomic_load_explicit(&w->is_required, memory_order_relaxed) &&
           (atomic_load_explicit(&w->file.is_stuck, memory_order_relaxed) ||
            audit_tail_is_pressed(a->tail));
}

/* --- the oldest record of all lanes ------------------------------------------------------------- */

/* -1: there is none. */
static int oldest(struct audit *a, struct cursor *cursors, str *ret)
{
    uint64_t best_us = 0;
    int best = -1;

    for (size_t i = 0; i < a->lane_count; i++) {
        str packed = cursor_peek(a->tail, &a->lanes[i], &cursors[i]);
        uint64_t at_us = packed.ptr ? record_time(packed) : 0;
        if (!packed.ptr || (best >= 0 && at_us >= best_us))
            continue;
        best = (int)i;
        best_us = at_us;
        *ret = packed;
    }
    return best;
}

/* --- the thread --------------------------------------------------------------------------------- */

static bool is_stuck(const struct audit *a)
{
    return atomic_load_explicit(&a->file.is_stuck, memory_order_relaxed);
}

/* Everything that waits. false: there was nothing. */
static bool drain(struct audit *a)
{
    bool has_any = false;
    int lane;

    for (str packed; !is_stuck(a) && (lane = oldest(a, a->cursors, &packed)) >= 0; has_any = true) {
        struct record r;
        record_unpack(packed, &r);
        audit_file_add(&a->file, &r);
        cursor_next(&a->cursors[lane]);
    }
    if (a->file.lines.len || is_stuck(a))
        audit_file_flush(&a->file);
    return has_any;
}

/* Under the lock. */
static void take_settings(struct audit *a)
{
    const struct audit_settings *s = &a->settings;

    a->has_settings = false;
    a->file.max_bytes = s->file_bytes;
    a->file.keep = s->keep;
    a->file.is_required = s->is_required;
    a->file.is_chained = s->is_chained;
}

static void sleep_for(struct audit *a, unsigned ms)
{
    uint64_t at = clock_now_ns() + (uint64_t)ms * 1000000u;

    while (!a->is_woken && !a->is_stopping && wait_until(&a->wake, &a->lock, at))
        ;
    a->is_woken = false;
}

static void *run(void *arg)
{
    struct audit *a = arg;
    unsigned quiet = 0;

    pthread_mutex_lock(&a->lock);
    for (bool is_last = false; !is_last;) {
        is_last = a->is_stopping;
        uint64_t asked = a->flush_asked;
        bool wants_reopen = a->wants_reopen;
        a->wants_reopen = false;
        if (a->has_settings)
            take_settings(a);
        pthread_mutex_unlock(&a->lock);
        if (wants_reopen)
            audit_file_reopen(&a->file);
        quiet = drain(a) ? 0 : quiet + 1;
        bool is_idle = quiet > QUIET_TURNS && !is_stuck(a);
        atomic_store_explicit(&a->is_idle, is_idle, memory_order_relaxed);
        pthread_mutex_lock(&a->lock);
        a->flush_done = asked;
        pthread_cond_broadcast(&a->flushed);
        if (!is_last)
            sleep_for(a, is_stuck(a) ? STUCK_MS : is_idle ? IDLE_MS : ACTIVE_MS);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* --- control ------------------------------------------------------------------------------------ */

static bool start_file(struct audit *a, const struct audit_settings *s, char error[256])
{
    signal(SIGXFSZ, SIG_IGN); // a file at its limit is a write error like others
    a->file.is_chained = s->is_chained;
    if (!audit_file_open(&a->file, s->path)) {
        snprintf(error, 256, "mig.audit_log_path: cannot open %s: %s", s->path, strerror(errno));
        return false;
    }
    must(pthread_create(&a->thread, NULL, run, a) == 0);
    a->has_file = true;
    return true;
}

bool audit_configure(struct audit *a, const struct audit_settings *s, char error[256])
{
    pthread_mutex_lock(&a->lock);
    a->settings = *s;
    a->has_settings = true;
    pthread_mutex_unlock(&a->lock);
    a->max_records = s->tail_records;
    audit_tail_limit(a->tail, s->tail_records, s->tail_records ? s->tail_bytes : FILE_ONLY_BYTES,
                     s->path != NULL);
    if (s->path && !a->has_file && !start_file(a, s, error))
        return false;
    atomic_store(&a->is_required, s->is_required && a->has_file);
    atomic_store(&a->is_on, a->has_file || s->tail_records);
    if (a->has_file)
        wake(a);
    return true;
}

void audit_reopen(struct audit *a)
{
    if (!a->has_file)
        return;
    pthread_mutex_lock(&a->lock);
    a->wants_reopen = a->is_woken = true;
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->lock);
}

void audit_flush(struct audit *a)
{
    if (!a->has_file)
        return;
    pthread_mutex_lock(&a->lock);
    uint64_t mine = ++a->flush_asked;
    a->is_woken = true;
    pthread_cond_signal(&a->wake);
    while (a->flush_done < mine)
        pthread_cond_wait(&a->flushed, &a->lock);
    pthread_mutex_unlock(&a->lock);
}

void audit_each(struct audit *a, bool (*visit)(void *arg, const struct record *r), void *arg)
{
    struct cursor *cursors = calloc(a->lane_count, sizeof *cursors);
    uint64_t now_us = clock_read(CLOCK_REALTIME) / 1000, all = audit_tail_records(a->tail);
    uint64_t left_out = all > a->max_records ? all - a->max_records : 0;
    bool goes_on = a->max_records > 0;
    int lane;

    must(cursors);
    for (str packed; goes_on && (lane = oldest(a, cursors, &packed)) >= 0;) {
        struct record r;
        record_unpack(packed, &r);
        if (r.at_us > now_us + 1000000)
            break; // made since: they might never end
        if (left_out)
            left_out--;
        else
            goes_on = visit(arg, &r);
        cursor_next(&cursors[lane]);
    }
    for (size_t i = 0; i < a->lane_count; i++)
        cursor_end(a->tail, &cursors[i]);
    free(cursors);
}

void audit_stats(struct audit *a, struct audit_stats *ret)
{
    struct tail_stats tail;

    audit_tail_stats(a->tail, &tail);
    *ret = (struct audit_stats){
        .dropped = atomic_load(&a->file.dropped) + tail.missed,
        .write_errors = atomic_load(&a->file.errors),
        .tail_records = tail.records,
        .tail_bytes = tail.bytes,
        .is_blocked = audit_refuses(a),
    };
    for (size_t i = 0; i < a->lane_count; i++)
        ret->dropped += atomic_load(&a->lanes[i].dropped);
}

void audit_free(struct audit *a)
{
    if (!a)
        return;
    if (a->has_file) {
        pthread_mutex_lock(&a->lock);
        a->is_stopping = true;
        pthread_cond_signal(&a->wake);
        pthread_mutex_unlock(&a->lock);
        pthread_join(a->thread, NULL);
    }
    for (size_t i = 0; i < a->lane_count; i++)
        cursor_end(a->tail, &a->cursors[i]);
    audit_file_close(&a->file);
    audit_tail_free(a->tail);
    pthread_cond_destroy(&a->wake);
    pthread_cond_destroy(&a->flushed);
    pthread_mutex_destroy(&a->lock);
    pthread_mutex_destroy(&a->shared);
    free(a->cursors);
    free(a->lanes);
    free(a);
}
