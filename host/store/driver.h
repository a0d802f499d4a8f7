/* driver.h: what store.c and the drivers share. Nobody else includes it. */
#ifndef STORE_DRIVER_H
#define STORE_DRIVER_H
#include "store/store.h"

#include <stdatomic.h>

enum store_op {
    OP_GET,
    OP_RANGE,
    OP_COUNT,
    OP_READ,
    OP_HEAD, /* the last of those that only read */
    OP_PUT,
    OP_DELETE,
    OP_ADD,
    OP_APPEND,
    OP_TRIM
};

typedef void store_visit_topic(void *arg, struct store_topic topic, struct store_head head);
typedef void store_visit_row(void *arg, struct store_tenant tenant, const struct store_row *row);

struct store_driver {
    /* The request was checked. MIG_OK: store_answer() will come. */
    mig_status (*submit)(struct store *s, struct store_request *r);
    void (*stats)(const struct store *s, struct store_stats *ret);
    bool (*each_topic)(struct store *s, store_visit_topic *visit, void *arg, struct diag *d);
    bool (*each_row)(struct store *s, enum store_space space, store_visit_row *visit, void *arg,
                     struct diag *d);
    void (*close)(struct store *s);
};

/* How full a space is. Any thread. */
struct store_gauge {
    _Atomic uint64_t count, bytes, max_count, max_bytes;
};

/* The beginning of each driver's own struct. */
struct store {
    const struct store_driver *driver;
    struct store_settings settings;
    struct store_gauge spaces[STORE_SPACES];
};

static inline bool store_op_writes(uint8_t op)
{
    return op > OP_HEAD;
}
/* What the request counts for in the queue. */
size_t store_request_size(const struct store_request *r);
/* Would the space hold this much more? */
bool store_has_room(const struct store *s, unsigned space, uint64_t count, uint64_t bytes);
void store_gauge_add(struct store *s, unsigned space, int64_t count, int64_t bytes);

/* Appends a row or record to the answer: two numbers, three texts. false: no memory, or the answer is
 * full (has_more is set; the first one always fits). */
bool store_pack(struct store_request *r, const uint64_t numbers[2], const str texts[3]);
/* Gives a single value as the answer. false: no memory. */
bool store_pack_value(struct store_request *r, str value);
/* Sets the answer of a failure. */
void store_fail(struct store_request *r, mig_status status, const char *reason);
/* [any] Hands r to its loop; it is the caller's again. */
void store_answer(struct store_request *r);

/* Counters are eight bytes, least significant first. */
uint64_t store_counter(const char bytes[8]);
/* Stops at the ends; out gets the bytes. */
uint64_t store_counter_add(uint64_t was, int64_t delta, char out[8]);

static inline bool store_has_expired(uint64_t expires_at_ms, uint64_t now_ms)
{
    return expires_at_ms && expires_at_ms <= now_ms;
}
#endif
