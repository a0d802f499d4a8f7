/* Finished entries: in order of their age, within limits. */
#include "base/check.h"
#include "core/idem_own.h"

#include <stdlib.h>

enum { SWEEP_MS = 1000 };

static struct idem_queue *queue_of(struct idem *i, const struct idem_entry *e)
{
    return &i->queues[e->item.hash % STRIPES];
}

void idem_entry_free(struct idem_entry *e)
{
    idem_result_unref(e->result);
    free(e);
}

static size_t size_of(const struct idem_result *r)
{
    return sizeof *r + r->result.json.len + r->result.message.len + r->result.details.len;
}

static void note_oldest(struct idem_queue *q)
{
    const struct idem_entry *e = list_is_empty(&q->finished)
                                     ? NULL
                                     : container_of(q->finished.next, struct idem_entry, in_order);
    atomic_store(&q->oldest, e ? e->order : IDEM_NONE);
}

void idem_line_up(struct idem *i, struct idem_entry *e)
{
    struct idem_queue *q = queue_of(i, e);

    e->order = atomic_fetch_add(&i->orders, 1);
    e->bytes += size_of(e->result);
    list_push(&q->finished, &e->in_order);
    note_oldest(q);
    atomic_fetch_add(&i->entries, 1);
    atomic_fetch_add(&i->bytes, e->bytes);
}

void idem_take_out(struct idem *i, struct stripe *s, struct idem_entry *e)
{
    stripe_remove(s, &e->item);
    list_remove(&e->in_order);
    note_oldest(queue_of(i, e));
    atomic_fetch_sub(&i->entries, 1);
    atomic_fetch_sub(&i->bytes, e->bytes);
}

void idem_drop_free(struct idem_drop *d)
{
    idem_row_name_free(&d->name);
    free(d);
}

static void dropped(struct store_request *r)
{
    struct idem_drop *d = container_of(r, struct idem_drop, request);
    struct stripe *s = stripe_lock(&d->idem->map, d->hash);

    list_remove(&d->link);
    stripe_unlock(s);
    idem_drop_free(d);
}

/* What was evicted is not to come back after a start. Only the row that was seen goes: another may have
 * taken the key meanwhile. */
static void drop_row(struct idem *i, const struct idem_entry *e)
{
    struct idem_drop *d = i->store && e->revision ? calloc(1, sizeof *d) : NULL;

    if (!d)
        return;
    *d = (struct idem_drop){
        .request = {.loop = loop_current(), .done = dropped}, .idem = i, .hash = e->item.hash};
    list_init(&d->link);
    struct stripe *s = stripe_lock(&i->map, e->item.hash);
    list_push(&queue_of(i, e)->drops, &d->link);
    stripe_unlock(s);
    if (!idem_row_name(&d->name, &e->key) || !d->request.loop ||
        store_delete(i->store, &d->request, idem_row_key(&d->name), e->revision) != MIG_OK)
        dropped(&d->request); /* it goes when it expires */
}

static bool is_over(struct idem *i)
{
    return atomic_load(&i->entries) > atomic_load(&i->max_entries) ||
           atomic_load(&i->bytes) > atomic_load(&i->max_bytes);
}

static size_t oldest_queue(struct idem *i, uint64_t *ret_order)
{
    size_t at = 0;

    *ret_order = IDEM_NONE;
    for (size_t n = 0; n < STRIPES; n++) {
        uint64_t order = atomic_load_explicit(&i->queues[n].oldest, memory_order_relaxed);
        if (order < *ret_order) {
            *ret_order = order;
            at = n;
        }
    }
    return at;
}

/* The oldest of all when it has to go; NULL: nothing has. */
static struct idem_entry *take_oldest(struct idem *i, uint64_t now_ms)
{
    struct idem_entry *e = NULL;
    uint64_t order;
    size_t at = oldest_queue(i, &order);

    if (order == IDEM_NONE)
        return NULL;
    struct stripe *s = stripe_lock(&i->map, at);
    struct idem_queue *q = &i->queues[at];
    if (!list_is_empty(&q->finished))
        e = container_of(q->finished.next, struct idem_entry, in_order);
    if (e && (is_over(i) || e->expires_ms <= now_ms))
        idem_take_out(i, s, e);
    else
        e = NULL;
    stripe_unlock(s);
    return e;
}

void idem_trim(struct idem *i, uint64_t now_ms)
{
    uint64_t swept = atomic_load(&i->swept_ms);
    bool is_time =
        now_ms - swept >= SWEEP_MS && atomic_compare_exchange_strong(&i->swept_ms, &swept, now_ms);

    if (!is_time && !is_over(i))
        return;
    for (struct idem_entry *e; (e = take_oldest(i, now_ms));) {
        if (e->expires_ms > now_ms) {
            atomic_fetch_add(&i->evicted, 1);
            drop_row(i, e);
        }
        idem_entry_free(e);
    }
}
