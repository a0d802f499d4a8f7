#include "loop/lane.h"

#include <stdint.h>
#include <stdlib.h>

/* Before each record: its length; SKIP: the rest of the ring is not used. Records begin at multiples of
 * eight, so the length always fits. */
enum { HEAD = 8 };
static const uint64_t skip = UINT64_MAX;

static size_t rounded(size_t n)
{
    return (n + HEAD + 7) & ~(size_t)7;
}

bool lane_init(struct lane *l, size_t size)
{
    memset(l, 0, sizeof *l);
    l->size = size;
    l->bytes = malloc(size);
    return l->bytes != NULL;
}

void lane_deinit(struct lane *l)
{
    free(l->bytes);
    l->bytes = NULL;
}

static bool has_room(struct lane *l, size_t end)
{
    if (end - l->tail_seen <= l->size)
        return true;
    l->tail_seen = atomic_load_explicit(&l->tail, memory_order_acquire);
    return end - l->tail_seen <= l->size;
}

char *lane_reserve(struct lane *l, size_t n)
{
    size_t from = atomic_load_explicit(&l->head, memory_order_relaxed);
    size_t at = from & (l->size - 1), need = rounded(n);
    size_t left = l->size - at, pad = left < need ? left : 0;

    if (!has_room(l, from + pad + need))
        return NULL;
    if (pad)
        memcpy(l->bytes + at, &skip, sizeof skip);
    l->next = from + pad;
    return l->bytes + (l->next & (l->size - 1)) + HEAD;
}

void lane_commit(struct lane *l, size_t n)
{
    uint64_t len = n;

    memcpy(l->bytes + (l->next & (l->size - 1)), &len, sizeof len);
    atomic_store_explicit(&l->head, l->next + rounded(n), memory_order_release);
}

size_t lane_used(const struct lane *l)
{
    size_t tail = atomic_load_explicit(&l->tail, memory_order_relaxed);
    return atomic_load_explicit(&l->head, memory_order_relaxed) - tail;
}

str lane_peek(struct lane *l)
{
    size_t tail = atomic_load_explicit(&l->tail, memory_order_relaxed);
    uint64_t len;

    for (;;) {
        if (tail == atomic_load_explicit(&l->head, memory_order_acquire))
            return (str){NULL, 0};
        size_t at = tail & (l->size - 1);
        memcpy(&len, l->bytes + at, sizeof len);
        if (len != skip)
            return (str){l->bytes + at + HEAD, (size_t)len};
        tail += l->size - at;
        atomic_store_explicit(&l->tail, tail, memory_order_release);
    }
}

void lane_next(struct lane *l)
{
    str r = lane_peek(l);
    size_t tail = atomic_load_explicit(&l->tail, memory_order_relaxed);

    if (r.ptr)
        atomic_store_explicit(&l->tail, tail + rounded(r.len), memory_order_release);
}
