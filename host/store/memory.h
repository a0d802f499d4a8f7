/* memory.h: the parts of the memory driver. Values lie in skip lists, a shard for each hash of (tenant,
 * space), so that a range is in order and in one shard; logs in a striped map, a ring each. Leaf locks;
 * requests are answered by the thread that submits them. */
#ifndef STORE_MEMORY_H
#define STORE_MEMORY_H
#include "loop/stripe.h"
#include "store/driver.h"

enum { MEMORY_SHARDS = 64, MEMORY_LEVELS = 16 };

struct memory_value {
    char *bytes;
    size_t len;
    uint64_t revision, expires_at_ms;
    uint32_t tenant_len, name_len;
    uint8_t space, height;
    struct memory_value *next[]; /* height of them, then the tenant and the name */
};

struct memory_shard {
    _Alignas(64) pthread_mutex_t lock;
    struct memory_value *first[MEMORY_LEVELS];
    struct memory_value
        *hand; /* where the search for expired values goes on; NULL: from the start */
    uint64_t random;
    size_t expiring; /* values with an expiry */
};

struct memory_store {
    struct store base;
    struct memory_shard shards[MEMORY_SHARDS];
    struct stripe_map topics;
    _Atomic uint64_t revisions, bytes, topic_count;
    _Atomic uint64_t records, purged, failed;
};

struct memory_store *memory_of(struct store *s);
/* Room for that many bytes more, which are taken? */
bool memory_take(struct memory_store *m, size_t bytes);
void memory_give(struct memory_store *m, size_t bytes);

/* Each sets the answer. now_ms: wall clock. */
void memory_get(struct memory_store *m, struct store_request *r, uint64_t now_ms);
void memory_put(struct memory_store *m, struct store_request *r, uint64_t now_ms);
void memory_delete(struct memory_store *m, struct store_request *r, uint64_t now_ms);
void memory_add(struct memory_store *m, struct store_request *r, uint64_t now_ms);
void memory_range(struct memory_store *m, struct store_request *r, uint64_t now_ms);
void memory_count(struct memory_store *m, struct store_request *r, uint64_t now_ms);
void memory_values_init(struct memory_store *m);
void memory_values_deinit(struct memory_store *m);
void memory_each_row(struct memory_store *m, unsigned space, store_visit_row *visit, void *arg);

void memory_append(struct memory_store *m, struct store_request *r, uint64_t now_ms);
void memory_read(struct memory_store *m, struct store_request *r, uint64_t now_ms);
void memory_trim(struct memory_store *m, struct store_request *r, uint64_t now_ms);
void memory_head(struct memory_store *m, struct store_request *r, uint64_t now_ms);
void memory_logs_init(struct memory_store *m);
void memory_logs_deinit(struct memory_store *m);
void memory_each_topic(struct memory_store *m, store_visit_topic *visit, void *arg);
#endif
