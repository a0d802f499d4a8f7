/* map.h: hash map from text to pointer, open addressing. Keys are borrowed. Owner: one thread, or
 * immutable and shared. Not for keys without a limit on their number. */
#ifndef BASE_MAP_H
#define BASE_MAP_H
#include "base/str.h"

struct map_entry {
    str key;
    uint64_t hash; /* 0: empty */
    void *value;
};

struct map {
    struct map_entry *entries;
    size_t mask, count;
};

void map_deinit(struct map *m);
/* The value of key, NULL when absent. */
void *map_get(const struct map *m, str key);
/* Adds or replaces. false: out of memory. */
bool map_put(struct map *m, str key, void *value);
/* The value that was there, NULL when none. */
void *map_remove(struct map *m, str key);
/* for (size_t at = 0; (e = map_each(m, &at));) in no order */
struct map_entry *map_each(const struct map *m, size_t *at);
#endif
