/* sqlite.h: the parts of the SQLite driver.
 *
 *   any thread --> queue `writes` --> writing thread: one transaction for all that waits --> answers
 *              --> queue `reads`  --> reading threads, a connection each               --> answers
 *                                     keeper: fsync each interval, checkpoints
 *
 * DIR/migd.lock keeps a second daemon out, DIR/migd.db is the database, DIR/migd.db-wal its log of
 * changes, DIR/migd.db-shm what SQLite shares between connections. */
#ifndef STORE_SQLITE_H
#define STORE_SQLITE_H
#include "base/map.h"
#include "store/driver.h"
#include "store/sqlite_lib.h"

#include <pthread.h>

/* --- sqlite_db.c: a connection and its statements ------------------------------------------------ */

enum db_sql {
    SQL_BEGIN_WRITE,
    SQL_BEGIN_READ,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_VALUE_FIND, /* without the value's bytes */
    SQL_VALUE_GET,
    SQL_VALUE_PUT,
    SQL_VALUE_DELETE,
    SQL_VALUE_RANGE,
    SQL_VALUE_EACH,
    SQL_VALUE_PURGE,
    SQL_NEXT_EXPIRY,
    SQL_TOTAL_EACH,
    SQL_TOTAL_GET,
    SQL_TOTAL_PUT,
    SQL_TOTAL_DELETE,
    SQL_TOPIC_EACH,
    SQL_TOPIC_GET,
    SQL_TOPIC_PUT,
    SQL_RECORD_PUT,
    SQL_RECORD_EACH,
    SQL_RECORD_SIZE,
    SQL_RECORD_DELETE,
    SQL_REVISION_GET,
    SQL_REVISION_PUT,
    SQL_COUNT
};

enum { PAGE_SIZE = 4096, DB_BUSY_MS = 5000 /* an operator's sqlite3, or the keeper */ };

/* Owner: its thread. */
struct db {
    sqlite3 *conn;
    sqlite3_stmt *statements[SQL_COUNT];
};

/* An SQLite result code; *db may be closed in any case. */
int db_open(struct db *db, const char *path);
/* After the tables are there. */
int db_prepare(struct db *db);
void db_close(struct db *db);
/* The statement, ready for its parameters. */
sqlite3_stmt *db_use(struct db *db, enum db_sql sql);
void db_bind_u64(sqlite3_stmt *q, int at, uint64_t v); /* above INT64_MAX: INT64_MAX */
void db_bind_str(sqlite3_stmt *q, int at, str v); /* as a blob; borrowed until the next reset */
void db_bind_key(sqlite3_stmt *q, struct store_key key); /* parameters 1 to 3 */
str db_str(sqlite3_stmt *q, int column);
static inline uint64_t db_u64(sqlite3_stmt *q, int column)
{
    return (uint64_t)sqlite3_column_int64(q, column);
}
/* Runs a statement that gives no rows that matter; resets it. SQLITE_OK or the fault. */
int db_run(sqlite3_stmt *q);
/* SQLITE_ROW, or the statement is reset: SQLITE_OK at its end, or the fault. */
int db_next(sqlite3_stmt *q);
/* What a fault means for those who wait. */
mig_status db_status(int fault, const char **ret_reason);
/* CRC-32C of the numbers, the lengths and the texts. */
uint32_t db_sum(const uint64_t *numbers, size_t n, const str *texts, size_t m);

/* A record's row is its topic's id and its number. */
enum { RECORD_BITS = 40 };
#define RECORD_MAX ((UINT64_C(1) << RECORD_BITS) - 1)
#define TOPIC_ID_MAX                                                                               \
    ((UINT64_C(1) << (63 - RECORD_BITS)) - 2) /* the row behind it is a number, too */
static inline uint64_t record_row(uint64_t topic_id, uint64_t seq)
{
    return topic_id << RECORD_BITS | seq;
}

/* --- sqlite_open.c ------------------------------------------------------------------------------ */

struct sqlite_store;
/* Folder, lock, file, connection, check, tables. false: d says why. */
bool sqlite_open_files(struct sqlite_store *s, struct diag *d);
/* For the threads that do not write. false: d says why. */
bool sqlite_open_more(struct sqlite_store *s, struct db *db, struct diag *d);

/* --- sqlite_wal.c ------------------------------------------------------------------------------- */

/* How many committed pages are not in the log of changes any more, by what the last process left in the
 * index. Before the first connection, which makes the index anew. Reads the log, when there is an index. */
uint32_t sqlite_wal_missing(const char *index_path, const char *log_path);

/* --- sqlite_queue.c: requests that wait for a thread ------------------------------------------------ */

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct task_queue list;
    uint64_t waiting, bytes; /* taken ones too, until they are answered */
    uint64_t max_waiting, max_bytes;
    uint64_t listed, wake_at; /* in the list; how many of them wake who sleeps */
    unsigned sleepers;
    bool is_closing;
};

void queue_init(struct queue *q, uint64_t max_waiting, uint64_t max_bytes);
void queue_deinit(struct queue *q);
mig_status queue_put(struct queue *q, struct store_request *r);
struct queue_wish {
    size_t max,
        max_bytes;     /* at most that many; at least one whatever its size                    */
    uint64_t until_ns; /* monotonic: how long to wait for the first one; 0: not                */
    uint64_t company;  /* when there are some but fewer: how long to wait for the others       */
    uint64_t company_ns;
};
/* Moves requests to the end of to. How many; *ret_is_over: closed, and nothing is left. */
size_t queue_take(struct queue *q, struct task_queue *to, const struct queue_wish *wish,
                  bool *ret_is_over);
/* They are about to be answered. */
void queue_release(struct queue *q, uint64_t count, uint64_t bytes);
void queue_close(struct queue *q);
void queue_stats(const struct queue *q, uint64_t *ret_waiting, uint64_t *ret_bytes);

/* --- sqlite_tally.c: numbers that the writing thread keeps in memory -------------------------------- */

/* Of a topic (first, last, bytes) or of a tenant in a space (count, bytes). Changed in memory, written
 * once for each transaction, taken back when it fails. */
struct numbers {
    uint64_t first, last, count, bytes;
};
struct tally {
    struct numbers now, saved;
    struct tally *next_changed;
    bool is_changed;
    uint64_t id;    /* of a topic; 0: a total          */
    unsigned space; /* of a total                      */
    size_t tenant_len, key_len;
    char key[]; /* tenant, then the topic or the space's number as a byte */
};

struct tallies {
    struct map map; /* owns its tallies; a key's first byte tells topics from totals */
    struct tally *changed;
    uint64_t topics, max_topics, next_topic;
};

/* NULL: out of memory. */
struct tally *tally_total(struct tallies *t, struct store_tenant tenant, unsigned space);
/* NULL: out of memory, or (*ret_is_full) too many topics. */
struct tally *tally_topic(struct tallies *t, struct store_tenant tenant, str name,
                          bool *ret_is_full);
/* NULL: there is none. */
struct tally *tally_find_topic(struct tallies *t, struct store_tenant tenant, str name);
void tally_change(struct tallies *t, struct tally *y);
int tally_load(struct sqlite_store *s, struct db *db);
int tally_write(struct sqlite_store *s, struct db *db);
void tally_commit(struct tallies *t);
void tally_rollback(struct sqlite_store *s);
void tally_deinit(struct tallies *t);
uint32_t topic_sum(uint64_t id, struct store_tenant tenant, str name, const struct numbers *n);

/* --- the driver --------------------------------------------------------------------------------------- */

/* Owner: the writing thread. */
struct writer {
    struct db db;
    struct tallies tallies;
    uint64_t revision,
        revision_saved;      /* the last one given; up to where they are reserved on disk */
    uint64_t reserved;       /* as revision_saved, in this transaction                    */
    uint64_t next_expiry_ms; /* wall clock; UINT64_MAX: nothing expires */
    uint64_t purged_at_ns;
    sqlite3_int64 changes;        /* rows changed before this transaction */
    uint64_t restart_pages;       /* of the log of changes: when it is begun anew */
    size_t last_count;            /* of the last transaction */
    struct task_queue unfinished; /* trims that go on in the next transaction */
    size_t unfinished_count;
};

enum { READERS_MAX = 4 };

struct reader {
    struct sqlite_store *store;
    struct db db;
    pthread_t thread;
};

struct keeper {
    struct db db;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    bool is_closing;
    _Atomic bool has_work; /* commits it does not know of */
    int wal_fd;
};

struct sqlite_store {
    struct store base;
    char *dir, *path, *wal_path, *lock_path;
    int lock_fd;
    bool is_same_boot; /* as when the directory was last used */
    struct queue writes, reads;
    struct writer writer;
    pthread_t writing;
    struct reader readers[READERS_MAX];
    struct keeper keeper;
    unsigned reader_count;
    _Atomic uint64_t commits, records, last_commit_us, failed, corrupt, purged, topics;
    _Atomic uint64_t sync_faults;
    _Atomic uint64_t wal_pages; /* since it was restarted */
    _Atomic bool is_failing;
};

void *sqlite_write(void *store);               /* sqlite_write.c: the writing thread  */
void *sqlite_read(void *reader);               /* sqlite_read.c: a reading thread     */
void *sqlite_keep(void *store);                /* sqlite_keep.c: the keeper           */
void sqlite_keep_wake(struct sqlite_store *s); /* [any] there was a commit */

/* sqlite_apply.c: carries r out within the transaction that runs. A fault: all of it is to be rolled
 * back, and what r's answer says does not count. r->status MIG_E_AGAIN: to be called again in the next
 * one. */
int sqlite_apply(struct sqlite_store *s, struct store_request *r);
/* Makes sure that this many revisions more are not given again after a crash. */
enum { REVISIONS = 1 << 20 };
int sqlite_reserve(struct writer *w, uint64_t revisions);
/* Removes some of what has expired, in the transaction that runs. */
int sqlite_purge(struct sqlite_store *s, uint64_t now_ms, size_t *ret_count);

bool sqlite_each_topic(struct store *s, store_visit_topic *visit, void *arg, struct diag *d);
bool sqlite_each_row(struct store *s, enum store_space space, store_visit_row *visit, void *arg,
                     struct diag *d);
static inline struct store_key sqlite_key(const struct store_request *r)
{
    return store_key(r->tenant, (enum store_space)r->space, r->name);
}
/* The row's checksum is right? */
bool sqlite_value_is_sound(struct store_key key, const struct store_row *row, uint64_t sum);
uint32_t sqlite_value_sum(struct store_key key, const struct store_row *row);
uint32_t sqlite_record_sum(uint64_t topic_id, const struct store_record *record);
#endif
