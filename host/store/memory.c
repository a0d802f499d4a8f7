#include "store/memory.h"
#include "base/check.h"
#include "base/clock.h"

#include <stdlib.h>

struct memory_store *memory_of(struct store *s)
{
    return container_of(s, struct memory_store, base);
}

bool memory_take(struct memory_store *m, size_t bytes)
{
    uint64_t max = m->base.settings.max_bytes, have = atomic_load(&m->bytes);

    do {
        if (max && (bytes > max || have > max - bytes))
            return false;
    } while (!atomic_compare_exchange_weak(&m->bytes, &have, have + bytes));
    return true;
}

void memory_give(struct memory_store *m, size_t bytes)
{
    atomic_fetch_sub(&m->bytes, bytes);
}

/* Nothing waits here, so nothing can be full; what is asked for is done at once and only the answer
 * travels. */
static mig_status submit(struct store *s, struct store_request *r)
{
    static void (*const act[])(struct memory_store *, struct store_request *, uint64_t) = {
        [OP_GET] = memory_get,       [OP_RANGE] = memory_range, [OP_COUNT] = memory_count,
        [OP_READ] = memory_read,     [OP_HEAD] = memory_head,   [OP_PUT] = memory_put,
        [OP_DELETE] = memory_delete, [OP_ADD] = memory_add,     [OP_APPEND] = memory_append,
        [OP_TRIM] = memory_trim,
    };
    struct memory_store *m = memory_of(s);

    act[r->op](m, r, clock_wall_ms());
    if (store_op_writes(r->op)) {
        atomic_fetch_add(&m->records, 1);
        if (r->status == MIG_UNAVAILABLE)
            atomic_fetch_add(&m->failed, 1);
    }
    store_answer(r);
    return MIG_OK;
}

static void stats(const struct store *s, struct store_stats *ret)
{
    const struct memory_store *m = (const struct memory_store *)s;

    *ret = (struct store_stats){
        .driver = "memory",
        .commits = atomic_load(&m->records),
        .records = atomic_load(&m->records),
        .failed = atomic_load(&m->failed),
        .purged = atomic_load(&m->purged),
        .topics = atomic_load(&m->topic_count),
        .bytes = atomic_load(&m->bytes),
    };
}

static bool each_topic(struct store *s, store_visit_topic *visit, void *arg, struct diag *d)
{
    (void)d;
    memory_each_topic(memory_of(s), visit, arg);
    return true;
}

static bool each_row(struct store *s, enum store_space space, store_visit_row *visit, void *arg,
                     struct diag *d)
{
    (void)d;
    memory_each_row(memory_of(s), space, visit, arg);
    return true;
}

static void close_memory(struct store *s)
{
    struct memory_store *m = memory_of(s);

    memory_values_deinit(m);
    memory_logs_deinit(m);
    free(m);
}

struct store *store_open_memory(const struct store_settings *settings, struct diag *d)
{
    static const struct store_driver driver = {submit, stats, each_topic, each_row, close_memory};
    struct memory_store *m = aligned_alloc(64, (sizeof *m + 63) / 64 * 64);

    if (!m) {
        diag_error(d, (struct diag_at){0}, "store.memory", "there is no memory for the store");
        return NULL;
    }
    memset(m, 0, sizeof *m);
    m->base.driver = &driver;
    m->base.settings = *settings;
    memory_values_init(m);
    memory_logs_init(m);
    return &m->base;
}
