#include "base/check.h"
#include "base/clock.h"
#include "store/sqlite.h"

enum {
    BATCH_MAX = 1024,
    BATCH_BYTES = 4 << 20,
    SINGLE_FAULTS = 8, /* in a row, then the rest of a failed batch fails as well */
    COMPANY_NS = 200000,
    RESTART_MS = 20,
    SECOND_MS = 1000
};
#define SECOND_NS UINT64_C(1000000000)

struct batch {
    struct store_request *list[2 * BATCH_MAX];
    size_t count;
};

/* --- transactions --------------------------------------------------------------------------------- */

static int roll_back(struct sqlite_store *s, int fault)
{
    struct writer *w = &s->writer;

    if (!sqlite3_get_autocommit(w->db.conn)) // SQLite has done it itself after some faults
        db_run(db_use(&w->db, SQL_ROLLBACK));
    tally_rollback(s);
    w->reserved = w->revision_saved;
    if (w->revision > w->reserved) // from a reservation that is void
        w->revision = w->reserved;
    w->next_expiry_ms = 0; // unknown: look again
    return fault;
}

static int begin(struct sqlite_store *s)
{
    struct writer *w = &s->writer;

    w->changes = sqlite3_total_changes64(w->db.conn);
    return db_run(db_use(&w->db, SQL_BEGIN_WRITE));
}

static int commit(struct sqlite_store *s, uint64_t began_ns)
{
    struct writer *w = &s->writer;
    int fault = tally_write(s, &w->db);

    if (!fault)
        fault = db_run(db_use(&w->db, SQL_COMMIT));
    if (fault)
        return roll_back(s, fault);
    tally_commit(&w->tallies);
    w->revision_saved = w->reserved;
    atomic_store(&s->topics, w->tallies.topics);
    if (sqlite3_total_changes64(w->db.conn) == w->changes)
        return SQLITE_OK; // refusals alone: nothing was written, nothing is known of the disk
    atomic_store(&s->last_commit_us, (clock_now_ns() - began_ns) / 1000);
    atomic_fetch_add(&s->commits, 1);
    atomic_store(&s->is_failing, false);
    sqlite_keep_wake(s);
    return SQLITE_OK;
}

static int run(struct sqlite_store *s, struct store_request **list, size_t count)
{
    uint64_t began_ns = clock_now_ns();
    int fault = begin(s);

    if (fault)
        return fault;
    for (size_t i = 0; i < count && !fault; i++)
        fault = sqlite_apply(s, list[i]);
    if (fault)
        return roll_back(s, fault);
    fault = commit(s, began_ns);
    if (!fault)
        atomic_fetch_add(&s->records, count);
    return fault;
}

static void fail(struct sqlite_store *s, struct store_request *r, int fault)
{
    const char *reason;
    mig_status status = db_status(fault, &reason);

    store_fail(r, status, reason);
    atomic_fetch_add(&s->failed, 1);
    if (status == MIG_INTERNAL)
        atomic_fetch_add(&s->corrupt, 1);
    else
        atomic_store(&s->is_failing, true);
}

/* One bad request, or one that would free space, must not fail with its neighbours. */
static void run_singly(struct sqlite_store *s, struct batch *b, int fault)
{
    int faults = 0;

    for (size_t i = 0; i < b->count; i++) {
        if (faults < SINGLE_FAULTS) {
            fault = run(s, &b->list[i], 1);
            faults = fault ? faults + 1 : 0;
        }
        if (fault)
            fail(s, b->list[i], fault);
    }
}

/* --- batches ---------------------------------------------------------------------------------------- */

static void answer(struct sqlite_store *s, struct batch *b)
{
    struct writer *w = &s->writer;
    uint64_t bytes = 0;
    size_t count = 0;

    for (size_t i = 0; i < b->count; i++) {
        struct store_request *r = b->list[i];
        if (r->status == MIG_E_AGAIN) {
            task_push(&w->unfinished, &r->task);
            w->unfinished_count++;
            continue;
        }
        bytes += store_request_size(r);
        b->list[count++] = r;
    }
    queue_release(&s->writes, count, bytes);
    for (size_t i = 0; i < count; i++)
        store_answer(b->list[i]);
}

static void run_batch(struct sqlite_store *s, struct batch *b)
{
    if (!b->count)
        return;
    int fault = run(s, b->list, b->count);
    if (fault && b->count == 1)
        fail(s, b->list[0], fault);
    else if (fault)
        run_singly(s, b, fault);
    answer(s, b);
}

static void gather(struct batch *b, struct task_queue *from, size_t max)
{
    for (struct task *t; max && (t = task_pop(from)); max--)
        b->list[b->count++] = container_of(t, struct store_request, task);
}

/* --- what is done besides ------------------------------------------------------------------------- */

/* Also finds out whether the disk takes writes again when nobody else asks. */
static void purge(struct sqlite_store *s)
{
    struct writer *w = &s->writer;
    uint64_t now_ms = clock_wall_ms(), began_ns = clock_now_ns();
    size_t count = 0;
    int fault = begin(s);

    w->purged_at_ns = began_ns;
    if (fault)
        return;
    fault = sqlite_purge(s, now_ms, &count);
    if (!fault && atomic_load(&s->is_failing))
        fault = sqlite_reserve(w, 1); // any write that changes the file
    if (fault) {
        roll_back(s, fault);
    } else if (!commit(s, began_ns)) {
        atomic_fetch_add(&s->purged, count);
        if (w->next_expiry_ms <= now_ms) // more than fits one transaction: go on at once
            w->purged_at_ns = 0;
    }
}

/* The keeper has copied most of it; here nobody else writes, so that SQLite can begin it anew. A reader
 * that is still in it stops that: then it may grow by an eighth before the next try. */
static void restart_wal(struct sqlite_store *s)
{
    struct writer *w = &s->writer;
    uint64_t limit = s->base.settings.wal_bytes, pages = atomic_load(&s->wal_pages);

    if (pages < w->restart_pages)
        return;
    sqlite3_busy_timeout(w->db.conn, RESTART_MS);
    if (!sqlite3_wal_checkpoint_v2(w->db.conn, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL))
        atomic_store(&s->wal_pages, pages = 0);
    sqlite3_busy_timeout(w->db.conn, DB_BUSY_MS);
    w->restart_pages = (pages ? pages * PAGE_SIZE + limit / 8 : limit) / PAGE_SIZE;
}

static bool is_purge_due(const struct sqlite_store *s, uint64_t now_ns)
{
    const struct writer *w = &s->writer;

    return now_ns - w->purged_at_ns >= SECOND_NS &&
           (w->next_expiry_ms <= clock_wall_ms() || atomic_load(&s->is_failing));
}

/* How long the queue may be waited for. */
static uint64_t wake_at(const struct sqlite_store *s)
{
    const struct writer *w = &s->writer;
    uint64_t now_ms = clock_wall_ms(), now_ns = clock_now_ns();
    uint64_t in_ms = w->next_expiry_ms > now_ms ? w->next_expiry_ms - now_ms : 0;

    if (w->unfinished_count || is_purge_due(s, now_ns))
        return 0;
    if (atomic_load(&s->is_failing) || in_ms < SECOND_MS)
        in_ms = SECOND_MS;
    if (w->next_expiry_ms == UINT64_MAX && !atomic_load(&s->is_failing))
        return UINT64_MAX;
    if (in_ms > 3600 * SECOND_MS) // the wall clock may be set
        in_ms = 3600 * SECOND_MS;
    return now_ns + in_ms * 1000000;
}

/* Those who were answered last are likely to come again at once: a transaction that waits for them for a
 * moment costs little more than one for the first of them alone. */
static void take(struct sqlite_store *s, struct batch *b, bool *ret_is_over)
{
    struct writer *w = &s->writer;
    struct task_queue taken = {0};

    b->count = 0;
    gather(b, &w->unfinished, BATCH_MAX);
    w->unfinished_count -= b->count;
    const struct queue_wish wish = {.max = BATCH_MAX,
                                    .max_bytes = BATCH_BYTES,
                                    .until_ns = b->count ? 0 : wake_at(s),
                                    .company = w->last_count,
                                    .company_ns = COMPANY_NS};
    w->last_count = queue_take(&s->writes, &taken, &wish, ret_is_over);
    gather(b, &taken, BATCH_MAX);
}

void *sqlite_write(void *store)
{
    struct sqlite_store *s = store;
    struct batch batch;
    bool is_over = false;

    pthread_setname_np(pthread_self(), "store-writer");
    while (!is_over || s->writer.unfinished_count) {
        take(s, &batch, &is_over);
        run_batch(s, &batch);
        restart_wal(s);
        if (is_purge_due(s, clock_now_ns()))
            purge(s);
    }
    return NULL;
}
