#include "store/sqlite.h"
#include "base/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct sqlite_store *sqlite_of(struct store *s)
{
    return container_of(s, struct sqlite_store, base);
}

static mig_status submit(struct store *base, struct store_request *r)
{
    struct sqlite_store *s = sqlite_of(base);

    return queue_put(store_op_writes(r->op) ? &s->writes : &s->reads, r);
}

static uint64_t file_size(const char *path)
{
    struct stat st;

    return stat(path, &st) ? 0 : (uint64_t)st.st_size;
}

static void stats(const struct store *base, struct store_stats *ret)
{
    const struct sqlite_store *s = (const struct sqlite_store *)base;
    uint64_t unused;

    *ret = (struct store_stats){
        .driver = "sqlite",
        .commits = atomic_load(&s->commits),
        .records = atomic_load(&s->records),
        .last_commit_us = atomic_load(&s->last_commit_us),
        .failed = atomic_load(&s->failed),
        .sync_faults = atomic_load(&s->sync_faults),
        .corrupt = atomic_load(&s->corrupt),
        .purged = atomic_load(&s->purged),
        .topics = atomic_load(&s->topics),
        .bytes = file_size(s->path),
        .wal_bytes = file_size(s->wal_path),
        .is_failing = atomic_load(&s->is_failing),
    };
    queue_stats(&s->writes, &ret->waiting, &ret->waiting_bytes);
    queue_stats(&s->reads, &ret->reads_waiting, &unused);
}

/* --- everything of a kind --------------------------------------------------------------------------- */

static bool finish(struct sqlite_store *s, int fault, struct diag *d)
{
    const char *reason;

    if (fault)
        diag_error(d, ((struct diag_at){s->path, 0, 0}), "store.read",
                   "it cannot be read (%s): put a backup in its place, or move it away",
                   db_status(fault, &reason) ? reason : "");
    return !fault;
}

bool sqlite_each_topic(struct store *base, store_visit_topic *visit, void *arg, struct diag *d)
{
    struct sqlite_store *s = sqlite_of(base);
    CLEANUP(db_close) struct db db = {0};
    int got;

    if (!sqlite_open_more(s, &db, d))
        return false;
    sqlite3_stmt *q = db_use(&db, SQL_TOPIC_EACH);
    while ((got = db_next(q)) == SQLITE_ROW)
        visit(arg, store_topic((struct store_tenant){db_str(q, 1)}, db_str(q, 2)),
              (struct store_head){db_u64(q, 3), db_u64(q, 4), db_u64(q, 5)});
    return finish(s, got, d);
}

bool sqlite_each_row(struct store *base, enum store_space space, store_visit_row *visit, void *arg,
                     struct diag *d)
{
    struct sqlite_store *s = sqlite_of(base);
    CLEANUP(db_close) struct db db = {0};
    int got;

    if (!sqlite_open_more(s, &db, d))
        return false;
    sqlite3_stmt *q = db_use(&db, SQL_VALUE_EACH);
    db_bind_u64(q, 1, space);
    while ((got = db_next(q)) == SQLITE_ROW) {
        struct store_tenant tenant = {db_str(q, 0)};
        const struct store_row row = {db_str(q, 1), db_str(q, 5), db_u64(q, 2), db_u64(q, 3)};
        if (!sqlite_value_is_sound(store_key(tenant, space, row.name), &row, db_u64(q, 4)))
            return finish(s, SQLITE_CORRUPT, d);
        visit(arg, tenant, &row);
    }
    return finish(s, got, d);
}

/* --- opening and closing ------------------------------------------------------------------------------ */

static void free_store(struct sqlite_store *s)
{
    db_close(&s->keeper.db);
    for (size_t i = 0; i < READERS_MAX; i++)
        db_close(&s->readers[i].db);
    db_close(&s->writer.db); // the last one empties the log of changes
    tally_deinit(&s->writer.tallies);
    queue_deinit(&s->writes);
    queue_deinit(&s->reads);
    pthread_mutex_destroy(&s->keeper.lock);
    pthread_cond_destroy(&s->keeper.more);
    if (s->keeper.wal_fd >= 0)
        close(s->keeper.wal_fd);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    free(s->dir);
    free(s->path);
    free(s->wal_path);
    free(s->lock_path);
    free(s);
}

static void close_keeper(struct keeper *k)
{
    pthread_mutex_lock(&k->lock);
    k->is_closing = true;
    pthread_mutex_unlock(&k->lock);
    pthread_cond_broadcast(&k->more);
    pthread_join(k->thread, NULL);
}

static void close_sqlite(struct store *base)
{
    struct sqlite_store *s = sqlite_of(base);

    queue_close(&s->writes);
    queue_close(&s->reads);
    pthread_join(s->writing, NULL);
    for (unsigned i = 0; i < s->reader_count; i++)
        pthread_join(s->readers[i].thread, NULL);
    close_keeper(&s->keeper);
    free_store(s);
}

static char *path_of(const char *dir, const char *name)
{
    char *path;

    must(asprintf(&path, "%s/%s", dir, name) > 0);
    return path;
}

static struct sqlite_store *store_new(const struct store_settings *settings)
{
    static const struct store_driver driver = {submit, stats, sqlite_each_topic, sqlite_each_row,
                                               close_sqlite};
    struct sqlite_store *s = calloc(1, sizeof *s);

    must(s);
    s->base.driver = &driver;
    s->base.settings = *settings;
    s->dir = str_dup(str_of(settings->dir));
    s->path = path_of(settings->dir, "migd.db");
    s->wal_path = path_of(settings->dir, "migd.db-wal");
    s->lock_path = path_of(settings->dir, "migd.lock");
    s->base.settings.dir = s->dir;
    s->lock_fd = s->keeper.wal_fd = -1;
    s->reader_count = settings->readers < 1 ? 1 : settings->readers;
    s->reader_count = s->reader_count > READERS_MAX ? READERS_MAX : s->reader_count;
    s->writer.tallies.max_topics = settings->max_topics;
    s->writer.restart_pages = settings->wal_bytes / PAGE_SIZE;
    queue_init(&s->writes, settings->max_waiting, settings->max_waiting_bytes);
    queue_init(&s->reads, settings->max_waiting, settings->max_waiting_bytes);
    must(pthread_mutex_init(&s->keeper.lock, NULL) == 0);
    must(pthread_cond_init(&s->keeper.more, NULL) == 0);
    return s;
}

static bool open_all(struct sqlite_store *s, struct diag *d)
{
    if (!sqlite_open_files(s, d) || !sqlite_open_more(s, &s->keeper.db, d))
        return false;
    for (unsigned i = 0; i < s->reader_count; i++) {
        s->readers[i].store = s;
        if (!sqlite_open_more(s, &s->readers[i].db, d))
            return false;
    }
    s->keeper.wal_fd = open(s->wal_path, O_RDONLY | O_CLOEXEC);
    if (s->keeper.wal_fd < 0)
        diag_error(d, ((struct diag_at){s->wal_path, 0, 0}), "store.io", "it cannot be opened: %m");
    return s->keeper.wal_fd >= 0;
}

/* Before the first connection: a lock less for each allocation. The figures are not used. */
static void configure(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

struct store *store_open_sqlite(const struct store_settings *settings, struct diag *d)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const char *why;

    if (!sqlite_load(&why)) {
        diag_error(d, ((struct diag_at){settings->dir, 0, 0}), "store.sqlite",
                   "it needs SQLite: %s", why);
        return NULL;
    }
    pthread_once(&once, configure);
    struct sqlite_store *s = store_new(settings);
    if (!open_all(s, d)) {
        free_store(s);
        return NULL;
    }
    must(pthread_create(&s->writing, NULL, sqlite_write, s) == 0);
    must(pthread_create(&s->keeper.thread, NULL, sqlite_keep, s) == 0);
    for (unsigned i = 0; i < s->reader_count; i++)
        must(pthread_create(&s->readers[i].thread, NULL, sqlite_read, &s->readers[i]) == 0);
    return &s->base;
}
