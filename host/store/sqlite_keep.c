#include "base/check.h"
#include "base/clock.h"
#include "base/wait.h"
#include "store/sqlite.h"

#include <unistd.h>

/* The keeper sleeps until there is a commit, then looks around each interval until the log of changes
 * is empty again. */
enum {
    COPY_PAGES = 1024, /* of the log, before they are copied into the database in passing */
    IDLE_NS = 1000000000,
    OTHER_TICK_MS = 250
};

void sqlite_keep_wake(struct sqlite_store *s)
{
    struct keeper *k = &s->keeper;

    if (atomic_exchange(&k->has_work, true))
        return;
    pthread_mutex_lock(&k->lock);
    pthread_mutex_unlock(&k->lock);
    pthread_cond_signal(&k->more);
}

/* Sleeps until there is work, then for the interval, so that several commits share an fsync. false: the
 * store closes. */
static bool rest(struct keeper *k, uint64_t tick_ns)
{
    pthread_mutex_lock(&k->lock);
    while (!k->is_closing && !atomic_load(&k->has_work))
        wait_until(&k->more, &k->lock, UINT64_MAX);
    uint64_t until_ns = clock_now_ns() + tick_ns;
    while (!k->is_closing && clock_now_ns() < until_ns)
        wait_until(&k->more, &k->lock, until_ns);
    bool goes_on = !k->is_closing;
    pthread_mutex_unlock(&k->lock);
    return goes_on;
}

/* Is the log of changes empty now? */
static bool truncate_wal(struct sqlite_store *s)
{
    if (sqlite3_wal_checkpoint_v2(s->keeper.db.conn, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL))
        return false;
    atomic_store(&s->wal_pages, 0);
    return true;
}

static void copy_wal(struct sqlite_store *s)
{
    if (atomic_load(&s->wal_pages) > COPY_PAGES)
        sqlite3_wal_checkpoint_v2(s->keeper.db.conn, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

void *sqlite_keep(void *store)
{
    struct sqlite_store *s = store;
    struct keeper *k = &s->keeper;
    bool syncs = s->base.settings.fsync == STORE_FSYNC_INTERVAL;
    uint64_t tick_ns = (syncs ? s->base.settings.interval_ms : OTHER_TICK_MS) * UINT64_C(1000000);
    uint64_t seen = 0, changed_ns = 0;

    pthread_setname_np(pthread_self(), "store-keeper");
    while (rest(k, tick_ns)) {
        uint64_t commits = atomic_load(&s->commits), now_ns = clock_now_ns();
        if (commits != seen) {
            if (syncs && fdatasync(k->wal_fd))
                atomic_fetch_add(&s->sync_faults, 1);
            copy_wal(s);
            seen = commits;
            changed_ns = now_ns;
        } else if (now_ns - changed_ns > IDLE_NS && truncate_wal(s)) {
            atomic_store(&k->has_work, false);
            if (atomic_load(&s->commits) != seen)
                atomic_store(&k->has_work, true);
        }
    }
    return NULL;
}
