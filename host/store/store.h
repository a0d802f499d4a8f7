/* store.h: what survives the process. Two kinds of data, both keyed with the tenant first:
 *
 *   values  (tenant, space, name) -> bytes, with a revision for compare-and-set and an expiry
 *   logs    (tenant, topic) -> records 1, 2, 3 ..., appended at the end and trimmed at the front
 *
 * A request is a struct of the caller's, zeroed but for `loop` and `done`. Any thread submits it with
 * one of the functions below. MIG_OK: done runs exactly once, on the loop, and never before the
 * function has returned; until then the request and every byte it was given stay where they are.
 * Anything else: nothing was taken and done does not run:
 *
 *   MIG_BACKPRESSURE the queue is full; MIG_INVALID_REQUEST an empty or too long tenant, name or
 *   value, or a space that is none; MIG_UNAVAILABLE the store is closing; MIG_E_ARG the request is
 *   still out, a bug.
 *
 * A write that was answered MIG_OK survives kill -9 (sqlite) and is seen by every read submitted after
 * its answer. Requests that wait at the same time may run in any order, except that the writes of a
 * thread keep theirs. Besides the statuses named below every answer may be
 *
 *   MIG_UNAVAILABLE nothing was changed (disk full, I/O error); MIG_INTERNAL what is stored is damaged;
 *
 * `reason` then says which. */
#ifndef STORE_STORE_H
#define STORE_STORE_H
#include "base/buf.h"
#include "base/diag.h"
#include "base/list.h"

struct loop;
struct store;

/* --- what is asked for -------------------------------------------------------------------------- */

/* Whose data: a type of its own, so that nothing can be asked for without it. */
struct store_tenant {
    str id;
};
/* What belongs to the node and not to a tenant: no tenant's id has a control character. */
#define STORE_NODE ((struct store_tenant){S("\001node")})

/* The numbers are on disk: new ones at the end, none is ever given away twice. */
enum store_space {
    STORE_KV = 1,
    STORE_IDEMPOTENCY = 2,
    STORE_CONSUMER = 3,
    STORE_CAPABILITY = 4,
    STORE_SCHEMA = 5,
    STORE_QUOTA = 6,
    STORE_USAGE = 7,
    STORE_ORG = 8,
    STORE_TENANT = 9,
    STORE_GATEWAY = 10,
    STORE_SESSION = 11,
    STORE_SPACES = 64 /* no space has this number or a higher one */
};
/* "kv"; "space" for one without a name. */
const char *store_space_name(enum store_space space);

struct store_key {
    struct store_tenant tenant;
    enum store_space space;
    str name;
};
static inline struct store_key store_key(struct store_tenant tenant, enum store_space space,
                                         str name)
{
    return (struct store_key){tenant, space, name};
}

struct store_topic {
    struct store_tenant tenant;
    str name;
};
static inline struct store_topic store_topic(struct store_tenant tenant, str name)
{
    return (struct store_topic){tenant, name};
}

struct store_row {
    str name, value;
    uint64_t revision, expires_at_ms; /* wall clock; 0: never */
};

struct store_record {
    uint64_t seq, at_ms;
    str key, event_id, bytes;
};

enum {
    STORE_TENANT_MAX = 256,    /* bytes of a tenant's id                                  */
    STORE_NAME_MAX = 1024,     /* bytes of a name, a topic, an event's key or id          */
    STORE_ROWS_MAX = 10000,    /* rows of one answer                                      */
    STORE_ANSWER_MAX = 1 << 26 /* bytes of one answer, but for a single row that is larger */
};
#define STORE_ANY UINT64_MAX /* expect: whatever revision is there */

struct store_request {
    /* the caller's */
    struct loop *loop;
    void (*done)(struct store_request *r); /* may submit r again, or free what it is part of */

    /* the answer */
    mig_status status;
    const char *reason; /* of a failure, for logs and metrics: "disk_full", "corrupt"; or NULL */
    uint64_t revision;  /* get, put, delete, add */
    uint64_t expires_at_ms;
    str value;             /* get                                                 */
    uint64_t number;       /* add: the sum; read: the damaged record              */
    uint64_t first, last;  /* of the log; last 0: never written; first > last: all trimmed */
    uint64_t count, bytes; /* count; head: of the log; range, read: rows given (count) */
    bool has_more;         /* range, read: a limit ended the answer               */

    /* the store's */
    struct task task;
    struct buf block;
    size_t at;
    bool is_waiting;
    uint8_t op, space;
    struct store_tenant tenant;
    str name, key, event_id, bytes_in;
    uint64_t in, at_ms;
    uint32_t max_records;
    size_t max_bytes;
    struct store_request *with; /* append: the value that goes with it */
};

/* --- values ------------------------------------------------------------------------------------- */

/* MIG_NOT_FOUND: absent or expired. The value is r's until store_read_done(). [any] */
mig_status store_get(struct store *s, struct store_request *r, struct store_key key);
/* expect: the revision that must be there, 0: none may be, STORE_ANY. Revisions grow and never come
 * twice. MIG_VERSION_MISMATCH: r->revision is there (0: absent). MIG_BACKPRESSURE: the space's limit.
 * [any] */
mig_status store_put(struct store *s, struct store_request *r, struct store_key key, str value,
                     uint64_t expect, uint64_t expires_at_ms);
/* Makes r the value of a store_append_with(), which need not follow; it needs neither loop nor done. [any] */
mig_status store_prepare_put(struct store *s, struct store_request *r, struct store_key key,
                             str value, uint64_t expect, uint64_t expires_at_ms);
/* MIG_NOT_FOUND: absent; MIG_VERSION_MISMATCH as above. [any] */
mig_status store_delete(struct store *s, struct store_request *r, struct store_key key,
                        uint64_t expect);
/* A counter: eight bytes, least significant first, made when absent (then with this expiry). It stops
 * at 0 and at UINT64_MAX. MIG_INVALID_REQUEST: the value has another length. [any] */
mig_status store_add(struct store *s, struct store_request *r, struct store_key key, int64_t delta,
                     uint64_t expires_at_ms);
/* The names that start with prefix.name (may be empty) and come behind `after` (empty: all), in byte
 * order. store_next_row() gives them. max_bytes does not hold for the first one. [any] */
mig_status store_range(struct store *s, struct store_request *r, struct store_key prefix, str after,
                       uint32_t max_rows, size_t max_bytes);
/* How many values and bytes (names and values) the tenant has in the space. What has expired counts
 * until it is swept up, about a second later. [any] */
mig_status store_count(struct store *s, struct store_request *r, struct store_tenant tenant,
                       enum store_space space);

/* --- logs --------------------------------------------------------------------------------------- */

/* The caller gives the sequence numbers. MIG_VERSION_MISMATCH: record->seq is not r->last + 1: a
 * repeat, a gap, or one before it in the queue has failed. MIG_BACKPRESSURE: too many topics. [any] */
mig_status store_append(struct store *s, struct store_request *r, struct store_topic topic,
                        const struct store_record *record);
/* The same, and in the same transaction the value of store_prepare_put(): both are there, or neither,
 * also after a crash. What refuses one of them refuses both; r's answer says what it was. `with` is out as
 * long as r is, and its done does not run; when r is answered MIG_OK, with->revision is the value's. */
mig_status store_append_with(struct store *s, struct store_request *r, struct store_topic topic,
                             const struct store_record *record, struct store_request *with);
/* Records with a number above after_seq, in order. store_next_record() gives them; first and last say
 * what there is. max_bytes does not hold for the first one. MIG_NOT_FOUND: no such topic.
 * MIG_INTERNAL: record r->number is damaged or missing; those before it were given by the read before,
 * and a read after it goes on behind it. [any] */
mig_status store_read(struct store *s, struct store_request *r, struct store_topic topic,
                      uint64_t after_seq, uint32_t max_records, size_t max_bytes);
/* Forgets all up to up_to; their numbers do not come again. MIG_NOT_FOUND. A long trim lets other
 * writes pass. first and last as then. [any] */
mig_status store_trim(struct store *s, struct store_request *r, struct store_topic topic,
                      uint64_t up_to);
/* first, last, count and bytes of the log. MIG_NOT_FOUND: never written to. [any] */
mig_status store_head(struct store *s, struct store_request *r, struct store_topic topic);

/* --- answers of get, range and read ------------------------------------------------------------- */

/* The next one of the answer; its slices are r's until store_read_done(). */
bool store_next_row(struct store_request *r, struct store_row *ret);
bool store_next_record(struct store_request *r, struct store_record *ret);
/* Frees the bytes of the answer; so does submitting r again. Harmless when there are none. */
void store_read_done(struct store_request *r);

/* --- the whole ---------------------------------------------------------------------------------- */

enum store_fsync {
    STORE_FSYNC_ALWAYS,   /* answers come after the fsync                                    */
    STORE_FSYNC_INTERVAL, /* fsync each interval_ms: a power cut takes back that much        */
    STORE_FSYNC_NEVER     /* only checkpoints do; a power cut may take back more, never half */
};

struct store_settings {
    const char *dir; /* sqlite: DIR/migd.db; made with mode 0700 when it is not there */
    enum store_fsync fsync;
    uint32_t interval_ms;
    uint32_t readers;           /* sqlite: reading threads, 1 to 4                     */
    uint64_t max_waiting;       /* writes not answered yet; the same for reads          */
    uint64_t max_waiting_bytes; /* their bytes                                          */
    uint64_t max_value_bytes;   /* of one value or record                               */
    uint64_t max_bytes;         /* of everything; 0: none                               */
    uint64_t max_topics;        /* topics are never forgotten: their numbers must not be */
    uint64_t wal_bytes;         /* sqlite: about where the log of changes is restarted  */
    uint32_t check_ms;          /* sqlite: how long the check at the start may take     */
};
#define STORE_DEFAULTS                                                                             \
    ((struct store_settings){                                                                      \
        .fsync = STORE_FSYNC_INTERVAL,                                                             \
        .interval_ms = 100,                                                                        \
        .readers = 2,                                                                              \
        .max_waiting = 16384,                                                                      \
        .max_waiting_bytes = 64 << 20,                                                             \
        .max_value_bytes = 16 << 20,                                                               \
        .max_topics = 100000,                                                                      \
        .wal_bytes = 64 << 20,                                                                     \
        .check_ms = 500,                                                                           \
    })

/* NULL: d says why, in one line for each finding. Blocks. */
struct store *store_open_memory(const struct store_settings *settings, struct diag *d);
struct store *store_open_sqlite(const struct store_settings *settings, struct diag *d);
/* Answers everything that waits, then frees. Blocks. The loops of the requests must still run
 * afterwards, or their answers are lost with them. No other function may run any more. */
void store_close(struct store *s);

/* Before anybody is refused what has expired is swept up. 0: no limit (the default). [any] */
void store_set_limit(struct store *s, enum store_space space, uint64_t max_count,
                     uint64_t max_bytes);
/* All tenants' together, names and values. [any] */
void store_space_stats(const struct store *s, enum store_space space, uint64_t *ret_count,
                       uint64_t *ret_bytes);

struct store_head {
    uint64_t first, last, bytes;
};
/* What is there when the process starts, of all tenants: to fill tables in memory. visit must not call
 * back into the store. false when something stored is damaged: d says what, and nothing further is
 * visited. Block. [start: before the first request] */
bool store_each_topic(struct store *s,
                      void (*visit)(void *arg, struct store_topic topic, struct store_head head),
                      void *arg, struct diag *d);
bool store_each_row(struct store *s, enum store_space space,
                    void (*visit)(void *arg, struct store_tenant tenant,
                                  const struct store_row *row),
                    void *arg, struct diag *d);

struct store_stats {
    const char *driver;
    uint64_t waiting, waiting_bytes; /* writes                                              */
    uint64_t reads_waiting;
    uint64_t commits, records; /* transactions, and the writes in them: records / commits     */
    uint64_t last_commit_us;
    uint64_t failed;      /* writes answered MIG_UNAVAILABLE or MIG_INTERNAL                   */
    uint64_t sync_faults; /* fsyncs of the interval that failed                            */
    uint64_t corrupt;     /* answers "corrupt" since the start                               */
    uint64_t purged;      /* values that expired and were removed                            */
    uint64_t topics;
    uint64_t bytes, wal_bytes; /* of the files; in memory: of what is held                    */
    bool is_failing; /* the last write could not be stored; it is tried again each second */
};
/* [any] */
void store_stats(const struct store *s, struct store_stats *ret);
#endif
