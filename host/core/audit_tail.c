/* The records in memory. Each lane fills a chunk of its own; when it is full, the lane takes another one,
 * and the oldest chunk of all lanes goes once there are too many. Readers hold the chunk they are in. The
 * lock is taken once for a chunk, not for a record. */
#include "base/check.h"
#include "core/audit_own.h"

#include <stdlib.h>

enum { CHUNK = 1 << 18, PRESSED_PERCENT = 75 };

struct chunk {
    struct chunk *next;
    uint64_t number; /* in its lane, from 1 */
    _Atomic size_t len;
    _Atomic unsigned count;
    _Atomic bool is_full;
    unsigned readers; /* under the lock, like all below */
    bool is_dropped;  /* the last reader frees it       */
    bool is_taken;    /* the file has begun to read it  */
    bool is_written;  /* the file has all of it         */
    char bytes[];
};

struct audit_tail {
    pthread_mutex_t lock; /* leaf */
    struct audit_lane *lanes;
    size_t lane_count;
    struct chunk *spare;
    uint64_t chunks, unwritten; /* unwritten: full, and the file has not all of it */
    uint64_t max_records, max_chunks, missed;
    bool has_file;
    _Atomic bool is_pressed;
};

struct audit_tail *audit_tail_new(struct audit_lane *lanes, size_t lane_count)
{
    struct audit_tail *t = calloc(1, sizeof *t);

    must(t && pthread_mutex_init(&t->lock, NULL) == 0);
    t->lanes = lanes;
    t->lane_count = lane_count;
    t->max_chunks = 2;
    return t;
}

void audit_tail_free(struct audit_tail *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->lane_count; i++)
        for (struct chunk *c = t->lanes[i].first, *next; c; c = next) {
            next = c->next;
            free(c);
        }
    free(t->spare);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static uint64_t first_us(const struct chunk *c)
{
    return record_time((str){c->bytes + AUDIT_LENGTH, 0});
}

/* --- under the lock ----------------------------------------------------------------------------- */

static void look_at_pressure(struct audit_tail *t)
{
    bool is = t->has_file && t->unwritten * 100 >= t->max_chunks * PRESSED_PERCENT;
    atomic_store_explicit(&t->is_pressed, is, memory_order_relaxed);
}

static void drop_first(struct audit_tail *t, struct audit_lane *lane)
{
    struct chunk *c = lane->first;

    lane->first = c->next;
    t->chunks--;
    if (t->has_file && !c->is_written) {
        t->unwritten--;
        t->missed += c->is_taken ? 0 : atomic_load(&c->count); // else it is read to its end
    }
    c->is_dropped = true;
    if (c->readers)
        return;
    if (t->spare)
        free(c);
    else
        t->spare = c;
}

/* The lane with the oldest full chunk; of those that the file has, if there is any. NULL: no full one. */
static struct audit_lane *oldest(struct audit_tail *t, bool must_be_written)
{
    struct audit_lane *best = NULL;

    for (size_t i = 0; i < t->lane_count; i++) {
        struct chunk *c = t->lanes[i].first;
        bool is_able = c && atomic_load(&c->is_full) && (c->is_written || !must_be_written);
        if (is_able && (!best || first_us(c) < first_us(best->first)))
            best = &t->lanes[i];
    }
    return best;
}

static uint64_t total(const struct audit_tail *t)
{
    uint64_t n = 0;

    for (size_t i = 0; i < t->lane_count; i++)
        for (struct chunk *c = t->lanes[i].first; c; c = c->next)
            n += atomic_load_explicit(&c->count, memory_order_relaxed);
    return n;
}

/* What nobody wants, and what there is no room for. */
static void drop_beyond(struct audit_tail *t)
{
    struct audit_lane *lane;
    uint64_t n = total(t);

    while ((lane = oldest(t, t->has_file)) &&
           n - atomic_load(&lane->first->count) >= t->max_records) {
        n -= atomic_load(&lane->first->count);
        drop_first(t, lane);
    }
    while (t->chunks >= t->max_chunks &&
           ((lane = oldest(t, t->has_file)) || (lane = oldest(t, false))))
        drop_first(t, lane);
}

static void close_current(struct audit_tail *t, struct audit_lane *lane)
{
    if (!lane->current)
        return;
    atomic_store_explicit(&lane->current->is_full, true, memory_order_release);
    t->unwritten += t->has_file;
    look_at_pressure(t);
}

static bool add_chunk(struct audit_tail *t, struct audit_lane *lane)
{
    drop_beyond(t);
    struct chunk *c = t->spare ? t->spare : malloc(CHUNK);
    if (!c)
        return false;
    t->spare = NULL;
    memset(c, 0, sizeof *c);
    c->number = ++lane->numbers;
    if (lane->first)
        lane->last->next = c;
    else
        lane->first = c;
    lane->last = lane->current = c;
    lane->at = c->bytes;
    lane->end = (char *)c + CHUNK;
    t->chunks++;
    return true;
}

/* --- writing ------------------------------------------------------------------------------------ */

bool audit_tail_extend(struct audit_tail *t, struct audit_lane *lane)
{
    pthread_mutex_lock(&t->lock);
    close_current(t, lane);
    lane->current = NULL;
    lane->at = lane->end = NULL;
    bool is_made = add_chunk(t, lane);
    pthread_mutex_unlock(&t->lock);
    return is_made;
}

void audit_tail_commit(struct audit_lane *lane, size_t n)
{
    struct chunk *c = lane->current;
    const uint16_t len = (uint16_t)n;
    unsigned count = atomic_load_explicit(&c->count, memory_order_relaxed);

    memcpy(lane->at, &len, sizeof len);
    lane->at += sizeof len + n;
    atomic_store_explicit(&c->count, count + 1, memory_order_relaxed);
    atomic_store_explicit(&c->len, (size_t)(lane->at - c->bytes), memory_order_release);
}

void audit_tail_limit(struct audit_tail *t, uint64_t records, uint64_t bytes, bool has_file)
{
    pthread_mutex_lock(&t->lock);
    t->max_records = records;
    t->max_chunks = bytes / CHUNK > 2 ? bytes / CHUNK : 2;
    t->has_file = has_file;
    drop_beyond(t);
    pthread_mutex_unlock(&t->lock);
}

/* --- reading ------------------------------------------------------------------------------------ */

/* Under the lock. */
static void let_go(struct audit_tail *t, struct cursor *c)
{
    struct chunk *chunk = c->chunk;

    if (!chunk)
        return;
    bool is_read = atomic_load(&chunk->is_full) && c->at == atomic_load(&chunk->len);
    if (c->is_file && is_read && !chunk->is_written && !chunk->is_dropped) {
        chunk->is_written = true;
        t->unwritten--;
        look_at_pressure(t);
    }
    if (--chunk->readers == 0 && chunk->is_dropped)
        free(chunk);
    c->chunk = NULL;
}

static bool advance(struct audit_tail *t, struct audit_lane *lane, struct cursor *c)
{
    pthread_mutex_lock(&t->lock);
    let_go(t, c);
    struct chunk *next = lane->first;
    while (next && next->number <= c->number)
        next = next->next;
    if (next) {
        next->readers++;
        next->is_taken |= c->is_file;
        *c = (struct cursor){next, 0, next->number, c->is_file};
    }
    pthread_mutex_unlock(&t->lock);
    return next != NULL;
}

str cursor_peek(struct audit_tail *t, struct audit_lane *lane, struct cursor *c)
{
    for (;;) {
        /* First whether it is full: then its length is the last one. */
        bool is_full = !c->chunk || atomic_load_explicit(&c->chunk->is_full, memory_order_acquire);
        size_t len = c->chunk ? atomic_load_explicit(&c->chunk->len, memory_order_acquire) : 0;
        if (c->chunk && c->at < len) {
            uint16_t n;
            memcpy(&n, c->chunk->bytes + c->at, sizeof n);
            return (str){c->chunk->bytes + c->at + AUDIT_LENGTH, n};
        }
        if (!is_full || !advance(t, lane, c))
            return (str){NULL, 0};
    }
}

void cursor_next(struct cursor *c)
{
    uint16_t n;

    memcpy(&n, c->chunk->bytes + c->at, sizeof n);
    c->at += AUDIT_LENGTH + n;
}

void cursor_end(struct audit_tail *t, struct cursor *c)
{
    pthread_mutex_lock(&t->lock);
    let_go(t, c);
    pthread_mutex_unlock(&t->lock);
}

/* --- looking ------------------------------------------------------------------------------------ */

bool audit_tail_is_pressed(const struct audit_tail *t)
{
    return atomic_load_explicit(&((struct audit_tail *)(uintptr_t)t)->is_pressed,
                                memory_order_relaxed);
}

uint64_t audit_tail_records(struct audit_tail *t)
{
    pthread_mutex_lock(&t->lock);
    uint64_t n = total(t);
    pthread_mutex_unlock(&t->lock);
    return n;
}

void audit_tail_stats(struct audit_tail *t, struct tail_stats *ret)
{
    pthread_mutex_lock(&t->lock);
    uint64_t n = total(t);
    *ret =
        (struct tail_stats){n < t->max_records ? n : t->max_records, t->chunks * CHUNK, t->missed};
    pthread_mutex_unlock(&t->lock);
}
