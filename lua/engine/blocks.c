#include "blocks.h"

#include <stdlib.h>
#include <string.h>

struct block {
    struct block *next;
};

static inline size_t index_of(size_t size)
{
    return (size - 1) / BLOCK_STEP;
}

static inline size_t size_of(size_t index)
{
    return (index + 1) * BLOCK_STEP;
}

void *blocks_alloc(struct blocks *b, size_t size)
{
    size_t i = index_of(size);

    if (i >= BLOCK_SIZES)
        return malloc(size);
    struct block *spare = b->of[i].spare;
    if (!spare)
        return malloc(size_of(i));
    b->of[i].spare = spare->next;
    b->of[i].bytes -= size_of(i);
    return spare;
}

void blocks_free(struct blocks *b, void *ptr, size_t size)
{
    size_t i = index_of(size);
    struct block *spare = ptr;

    if (!ptr || i >= BLOCK_SIZES || b->of[i].bytes + size_of(i) > b->keep) {
        free(ptr);
        return;
    }
    spare->next = b->of[i].spare;
    b->of[i].spare = spare;
    b->of[i].bytes += size_of(i);
}

void *blocks_realloc(struct blocks *b, void *ptr, size_t old_size, size_t size)
{
    size_t old = index_of(old_size), now = index_of(size);

    if (old >= BLOCK_SIZES && now >= BLOCK_SIZES)
        return realloc(ptr, size);
    if (old == now)
        return ptr;
    void *moved = blocks_alloc(b, size);
    if (!moved)
        return size < old_size ? ptr : NULL; /* it is large enough */
    memcpy(moved, ptr, size < old_size ? size : old_size);
    blocks_free(b, ptr, old_size);
    return moved;
}

void blocks_deinit(struct blocks *b)
{
    for (size_t i = 0; i < BLOCK_SIZES; i++)
        while (b->of[i].spare) {
            struct block *spare = b->of[i].spare;
            b->of[i].spare = spare->next;
            free(spare);
        }
}
