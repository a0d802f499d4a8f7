#include "base/check.h"
#include "base/clock.h"
#include "store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { APPLICATION_ID = 0x6D696764 /* "migd" */, WRITE_CACHE_KIB = 8192, READ_CACHE_KIB = 2048 };
enum { PID_TEXT = 12, BOOT_TEXT = 37 }; /* of the lock file */

/* Step i makes version i + 1 out of version i. Never changed, only added to. */
static const char *const migrations[] = {
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO meta VALUES ('revision', 0);"
    "CREATE TABLE value (space INTEGER NOT NULL, tenant BLOB NOT NULL, name BLOB NOT NULL,"
    " revision INTEGER NOT NULL, expires INTEGER NOT NULL, sum INTEGER NOT NULL,"
    " bytes BLOB NOT NULL, PRIMARY KEY (space, tenant, name)) WITHOUT ROWID;"
    "CREATE INDEX value_expires ON value (expires) WHERE expires > 0;"
    "CREATE TABLE total (space INTEGER NOT NULL, tenant BLOB NOT NULL, count INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL, PRIMARY KEY (space, tenant)) WITHOUT ROWID;"
    "CREATE TABLE topic (id INTEGER PRIMARY KEY, tenant BLOB NOT NULL, name BLOB NOT NULL,"
    " first INTEGER NOT NULL, last INTEGER NOT NULL, bytes INTEGER NOT NULL,"
    " sum INTEGER NOT NULL, UNIQUE (tenant, name));"
    "CREATE TABLE record (row INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, sum INTEGER NOT NULL,"
    " key BLOB NOT NULL, event_id BLOB NOT NULL, bytes BLOB NOT NULL);",
};

/* --- findings ------------------------------------------------------------------------------------- */

static bool refuse(struct diag *d, const char *file, const char *id, const char *text)
{
    diag_error(d, (struct diag_at){file, 0, 0}, id, "%s", text);
    return false;
}

static bool refuse_errno(struct diag *d, const char *file, const char *what)
{
    diag_error(d, (struct diag_at){file, 0, 0}, "store.io", "%s: %s", what, strerror(errno));
    return false;
}

static bool refuse_damaged(struct diag *d, const char *file, const char *what)
{
    diag_error(d, (struct diag_at){file, 0, 0}, "store.corrupt",
               "it is damaged (%s): put a backup in its place, or move it away to begin anew",
               what);
    return false;
}

static bool refuse_fault(struct sqlite_store *s, struct db *db, int fault, struct diag *d)
{
    int kind = fault & 0xFF;

    if (kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB)
        return refuse_damaged(d, s->path, db->conn ? sqlite3_errmsg(db->conn) : "unreadable");
    diag_error(d, (struct diag_at){s->path, 0, 0}, "store.io",
               "it cannot be opened for writing: %s (%s)",
               db->conn ? sqlite3_errmsg(db->conn) : sqlite3_errstr(fault),
               kind == SQLITE_IOERR || kind == SQLITE_CANTOPEN ? strerror(errno) : "SQLite");
    return false;
}

/* --- folder and lock ------------------------------------------------------------------------------ */

static bool open_folder(struct sqlite_store *s, struct diag *d)
{
    struct stat st;

    if (mkdir(s->dir, 0700) && errno != EEXIST)
        return refuse_errno(d, s->dir, "the data directory cannot be made");
    if (stat(s->dir, &st))
        return refuse_errno(d, s->dir, "the data directory cannot be read");
    if (!S_ISDIR(st.st_mode))
        return refuse(d, s->dir, "store.dir", "the data directory is not a directory");
    if (st.st_mode & 077)
        diag_warn(d, ((struct diag_at){s->dir, 0, 0}), "store.mode",
                  "other users may enter the data directory: chmod 700 is meant");
    return true;
}

static bool refuse_second(struct sqlite_store *s, struct diag *d)
{
    char pid[24] = "";
    ssize_t n = pread(s->lock_fd, pid, sizeof pid - 1, 0);
    size_t digits = strspn(pid, "0123456789");

    pid[n > 0 ? digits : 0] = 0;
    diag_error(d, (struct diag_at){s->lock_path, 0, 0}, "store.locked",
               "another migd%s%s uses this data directory: stop it, or set another data directory",
               *pid ? ", process " : "", pid);
    return false;
}

/* Which start of the system this is; spaces when nobody says. */
static void boot_text(char ret[BOOT_TEXT + 1])
{
    char id[BOOT_TEXT] = "";
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

    if (f && !fgets(id, sizeof id, f))
        id[0] = 0;
    if (f)
        fclose(f);
    snprintf(ret, BOOT_TEXT + 1, "%-36s\n", id);
}

/* The kernel gives the lock back when the process ends, however it ends. */
static bool lock_folder(struct sqlite_store *s, struct diag *d)
{
    char was[BOOT_TEXT] = "", now[BOOT_TEXT + 1];

    s->lock_fd = open(s->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock_fd < 0)
        return refuse_errno(d, s->lock_path, "the data directory cannot be written to");
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB))
        return errno == EWOULDBLOCK ? refuse_second(s, d)
                                    : refuse_errno(d, s->lock_path, "it cannot be locked");
    boot_text(now);
    s->is_same_boot = now[0] != ' ' && pread(s->lock_fd, was, BOOT_TEXT, PID_TEXT) == BOOT_TEXT &&
                      memcmp(was, now, BOOT_TEXT) == 0;
    char pid[PID_TEXT + 1]; // always as long, so that there is nothing to cut off
    snprintf(pid, sizeof pid, "%-12d", (int)getpid());
    if (pwrite(s->lock_fd, pid, PID_TEXT, 0) != PID_TEXT)
        return refuse_errno(d, s->lock_path, "it cannot be written");
    return true;
}

/* A start that was refused has not used the directory. */
static bool note_boot(struct sqlite_store *s, struct diag *d)
{
    char now[BOOT_TEXT + 1];

    boot_text(now);
    if (pwrite(s->lock_fd, now, BOOT_TEXT, PID_TEXT) != BOOT_TEXT)
        return refuse_errno(d, s->lock_path, "it cannot be written");
    return true;
}

/* --- file ----------------------------------------------------------------------------------------- */

/* A power cut must not take away the name of a file whose bytes are safe. */
static void sync_folder(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

/* Made here for its mode, which SQLite gives to the other files as well. No SQLite connection is open
 * yet: closing a descriptor takes away the locks that the process has on the file. */
static bool open_file(struct sqlite_store *s, struct diag *d)
{
    static const char magic[16] = "SQLite format 3";
    char head[16];
    int fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return refuse_errno(d, s->path, "it cannot be opened for writing");
    ssize_t n = pread(fd, head, sizeof head, 0);
    bool is_ours = n == 0 || (n == sizeof head && memcmp(head, magic, sizeof magic) == 0);
    bool has_failed = n < 0 || fchmod(fd, 0600);
    close(fd);
    if (has_failed)
        return refuse_errno(d, s->path, "it cannot be read");
    if (n == 0)
        sync_folder(s->dir);
    return is_ours || refuse_damaged(d, s->path, "it is not a database");
}

/* After a power cut what nobody had asked to be safe may be missing; after anything else nothing may. */
static bool check_log(struct sqlite_store *s, struct diag *d)
{
    CLEANUP(str_freep) char *index = NULL;
    const struct diag_at at = {s->wal_path, 0, 0};

    must(asprintf(&index, "%s-shm", s->path) > 0);
    uint32_t missing = sqlite_wal_missing(index, s->wal_path);
    if (!missing)
        return true;
    if (s->base.settings.fsync != STORE_FSYNC_ALWAYS && !s->is_same_boot) {
        diag_warn(d, at, "store.lost",
                  "the power cut has taken its last %u pages, and what was acknowledged in them",
                  missing);
        return true;
    }
    diag_error(
        d, at, "store.corrupt",
        "it is damaged (%u pages at its end are missing): put a backup of the directory in its "
        "place, or remove %s to go on with what is left",
        missing, index);
    return false;
}

static int64_t ask(struct db *db, const char *sql, int *ret_fault)
{
    sqlite3_stmt *q = NULL;
    int64_t answer = 0;

    *ret_fault = sqlite3_prepare_v2(db->conn, sql, -1, &q, NULL);
    if (!*ret_fault && sqlite3_step(q) == SQLITE_ROW)
        answer = sqlite3_column_int64(q, 0);
    int fault = sqlite3_finalize(q);
    if (!*ret_fault)
        *ret_fault = fault;
    return answer;
}

static int run(struct db *db, const char *sql)
{
    return sqlite3_exec(db->conn, sql, NULL, NULL, NULL);
}

/* Whose database is it, and how old? */
static bool check_owner(struct sqlite_store *s, struct db *db, int64_t *ret_version, struct diag *d)
{
    int fault;
    int64_t id = ask(db, "PRAGMA application_id", &fault);
    if (!fault)
        *ret_version = ask(db, "PRAGMA user_version", &fault);
    int64_t tables = fault ? 0 : ask(db, "SELECT count(*) FROM sqlite_master", &fault);

    if (fault)
        return refuse_fault(s, db, fault, d);
    if (id != APPLICATION_ID && (tables || *ret_version))
        return refuse(d, s->path, "store.foreign",
                      "it is the database of another program: set another data directory");
    if (*ret_version < 0 || *ret_version > (int64_t)countof(migrations)) {
        diag_error(
            d, (struct diag_at){s->path, 0, 0}, "store.newer",
            "its version is %lld and this migd knows up to %zu: start the newer migd, or set "
            "another data directory",
            (long long)*ret_version, countof(migrations));
        return false;
    }
    return true;
}

static bool is_wal(struct db *db)
{
    sqlite3_stmt *q = NULL;
    bool is = sqlite3_prepare_v2(db->conn, "PRAGMA journal_mode = WAL", -1, &q, NULL) == 0 &&
              sqlite3_step(q) == SQLITE_ROW &&
              str_eq(str_of((const char *)sqlite3_column_text(q, 0)), S("wal"));

    return sqlite3_finalize(q) == SQLITE_OK && is;
}

static int set_up(struct sqlite_store *s, struct db *db, int cache_kib)
{
    char sql[400];
    uint64_t pages = s->base.settings.max_bytes / PAGE_SIZE;

    snprintf(sql, sizeof sql,
             "PRAGMA synchronous = %s; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -%d;"
             "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
             "PRAGMA mmap_size = 0; PRAGMA max_page_count = %llu",
             s->base.settings.fsync == STORE_FSYNC_ALWAYS ? "FULL" : "NORMAL", cache_kib,
             (unsigned long long)(pages && pages < 4294967294 ? pages : 4294967294));
    return run(db, sql);
}

/* --- check ---------------------------------------------------------------------------------------- */

static int is_late(void *until_ns)
{
    return clock_now_ns() > *(const uint64_t *)until_ns;
}

/* The structure of the file, as far as the time goes; what is read later has sums of its own. */
static bool check(struct sqlite_store *s, struct db *db, struct diag *d)
{
    uint64_t until_ns = clock_now_ns() + s->base.settings.check_ms * UINT64_C(1000000);
    CLEANUP(str_freep) char *found = NULL;
    sqlite3_stmt *q = NULL;

    if (!s->base.settings.check_ms)
        return true;
    sqlite3_progress_handler(db->conn, 10000, is_late, &until_ns);
    int fault = sqlite3_prepare_v2(db->conn, "PRAGMA quick_check(1)", -1, &q, NULL);
    if (!fault && sqlite3_step(q) == SQLITE_ROW)
        found = str_dup(str_of((const char *)sqlite3_column_text(q, 0)));
    int end = sqlite3_finalize(q);
    sqlite3_progress_handler(db->conn, 0, NULL, NULL);
    fault = fault ? fault : end;
    if (fault == SQLITE_INTERRUPT)
        return true;
    if (fault)
        return refuse_fault(s, db, fault, d);
    if (found && strcmp(found, "ok") == 0)
        return true;
    for (char *c = found; c && *c; c++) // one line
        *c = *c == '\n' ? ' ' : *c;
    return refuse_damaged(d, s->path, found ? found : "the check gave nothing");
}

/* --- tables --------------------------------------------------------------------------------------- */

static int migrate_one(struct db *db, size_t version)
{
    char end[120];
    int fault = run(db, "BEGIN IMMEDIATE");

    if (fault)
        return fault;
    snprintf(end, sizeof end, "PRAGMA application_id = %d; PRAGMA user_version = %zu; COMMIT",
             APPLICATION_ID, version + 1);
    fault = run(db, migrations[version]);
    fault = fault ? fault : run(db, end);
    if (fault)
        run(db, "ROLLBACK");
    return fault;
}

static bool migrate(struct sqlite_store *s, struct db *db, int64_t version, struct diag *d)
{
    for (size_t v = (size_t)version; v < countof(migrations); v++) {
        int fault = migrate_one(db, v);
        if (fault)
            return refuse_fault(s, db, fault, d);
    }
    return true;
}

static int on_commit(void *store, sqlite3 *conn, const char *name, int pages)
{
    struct sqlite_store *s = store;

    (void)conn, (void)name;
    atomic_store(&s->wal_pages, (uint64_t)pages);
    return SQLITE_OK;
}

/* Where the numbers stand. Reserving revisions also shows that the disk takes writes. */
static int load(struct sqlite_store *s)
{
    struct writer *w = &s->writer;
    sqlite3_stmt *q = db_use(&w->db, SQL_REVISION_GET);
    int got = db_next(q);

    if (got != SQLITE_ROW)
        return got ? got : SQLITE_CORRUPT;
    w->revision = w->reserved = db_u64(q, 0);
    int fault = sqlite3_reset(q);
    if (fault)
        return fault;
    fault = sqlite_reserve(w, REVISIONS);
    w->revision_saved = w->reserved;
    fault = fault ? fault : tally_load(s, &w->db);
    atomic_store(&s->topics, w->tallies.topics);
    return fault;
}

bool sqlite_open_more(struct sqlite_store *s, struct db *db, struct diag *d)
{
    int fault = db_open(db, s->path);

    fault = fault ? fault : set_up(s, db, READ_CACHE_KIB);
    fault = fault ? fault : db_prepare(db);
    return !fault || refuse_fault(s, db, fault, d);
}

static bool open_database(struct sqlite_store *s, struct diag *d)
{
    struct db *db = &s->writer.db;
    int64_t version = 0;
    int fault = db_open(db, s->path);

    fault = fault ? fault : set_up(s, db, WRITE_CACHE_KIB);
    if (fault)
        return refuse_fault(s, db, fault, d);
    if (!check_owner(s, db, &version, d))
        return false;
    if (!is_wal(db) || sqlite3_db_readonly(db->conn, "main"))
        return refuse_fault(s, db, sqlite3_errcode(db->conn), d);
    if (!check(s, db, d) || !migrate(s, db, version, d))
        return false;
    sqlite3_wal_hook(db->conn, on_commit, s);
    fault = db_prepare(db);
    fault = fault ? fault : load(s);
    if ((fault & 0xFF) == SQLITE_CORRUPT)
        return refuse_damaged(d, s->path, "a table of numbers does not add up");
    return !fault || refuse_fault(s, db, fault, d);
}

bool sqlite_open_files(struct sqlite_store *s, struct diag *d)
{
    return open_folder(s, d) && lock_folder(s, d) && open_file(s, d) && check_log(s, d) &&
           open_database(s, d) && note_boot(s, d);
}
