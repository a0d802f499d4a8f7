/* blocks.h: the memory of one Lua state: small blocks that were freed are kept, each size by itself: a
 * script makes and drops some per call. Owner: the thread of the state. */
#ifndef LUA_BLOCKS_H
#define LUA_BLOCKS_H
#include <stddef.h>

enum { BLOCK_STEP = 16, BLOCK_SIZES = 16 };

struct block;
struct blocks {
    size_t keep; /* bytes of each size, at most; the owner sets it. 0: every block goes at once */
    struct {
        struct block *spare;
        size_t bytes;
    } of[BLOCK_SIZES];
};

/* NULL: out of memory. size > 0. */
void *blocks_alloc(struct blocks *b, size_t size);
/* Never fails where size <= old_size. Both > 0. */
void *blocks_realloc(struct blocks *b, void *ptr, size_t old_size, size_t size);
void blocks_free(struct blocks *b, void *ptr, size_t size);
void blocks_deinit(struct blocks *b);
#endif
