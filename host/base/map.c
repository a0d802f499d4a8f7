#include "base/map.h"

#include <stdlib.h>

static uint64_t hash_of(str key)
{
    uint64_t h = str_hash(key);
    return h ? h : 1;
}

void map_deinit(struct map *m)
{
    free(m->entries);
    *m = (struct map){0};
}

/* The entry of the key, or the empty one where it would go. */
static struct map_entry *find(const struct map *m, str key, uint64_t hash)
{
    for (size_t i = hash & m->mask;; i = (i + 1) & m->mask) {
        struct map_entry *e = &m->entries[i];
        if (!e->hash || (e->hash == hash && str_eq(e->key, key)))
            return e;
    }
}

static bool grow(struct map *m)
{
    if (m->entries && m->count * 4 < (m->mask + 1) * 3)
        return true;
    size_t cap = m->entries ? (m->mask + 1) * 2 : 16;
    struct map bigger = {calloc(cap, sizeof(struct map_entry)), cap - 1, m->count};
    if (!bigger.entries)
        return false;
    for (size_t i = 0; m->entries && i <= m->mask; i++)
        if (m->entries[i].hash)
            *find(&bigger, m->entries[i].key, m->entries[i].hash) = m->entries[i];
    free(m->entries);
    *m = bigger;
    return true;
}

void *map_get(const struct map *m, str key)
{
    return m->entries ? find(m, key, hash_of(key))->value : NULL;
}

bool map_put(struct map *m, str key, void *value)
{
    uint64_t hash = hash_of(key);

    if (!grow(m))
        return false;
    struct map_entry *e = find(m, key, hash);
    m->count += !e->hash;
    *e = (struct map_entry){key, hash, value};
    return true;
}

/* Closes the gap by moving later entries of the run back, so that no tombstones are needed. */
static void close_gap(struct map *m, size_t gap)
{
    for (size_t i = (gap + 1) & m->mask; m->entries[i].hash; i = (i + 1) & m->mask) {
        size_t home = m->entries[i].hash & m->mask;
        if (((i - home) & m->mask) < ((i - gap) & m->mask))
            continue;
        m->entries[gap] = m->entries[i];
        gap = i;
    }
    m->entries[gap] = (struct map_entry){0};
}

void *map_remove(struct map *m, str key)
{
    if (!m->entries)
        return NULL;
    struct map_entry *e = find(m, key, hash_of(key));
    void *value = e->value;
    if (!e->hash)
        return NULL;
    m->count--;
    close_gap(m, (size_t)(e - m->entries));
    return value;
}

struct map_entry *map_each(const struct map *m, size_t *at)
{
    while (m->entries && *at <= m->mask) {
        struct map_entry *e = &m->entries[(*at)++];
        if (e->hash)
            return e;
    }
    return NULL;
}
