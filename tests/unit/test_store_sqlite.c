/* What only the SQLite driver has: files, and what may happen to them. */
#include "test_store.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int set_up(void **state)
{
    (void)state;
    world_up(SQLITE);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_down();
    return 0;
}

static const char *path(const char *name)
{
    static char out[4][300];
    static unsigned turn;
    char *p = out[turn++ % 4];

    snprintf(p, 300, "%s/%s", world.dir, name);
    return p;
}

static struct store_stats stats(void)
{
    struct store_stats st;

    store_stats(world.s, &st);
    return st;
}

/* The id of the only finding; the store must not open. */
static const char *refusal(void)
{
    static char id[64];
    struct diag d;

    diag_init(&d);
    struct store *s = world_try(&d);
    snprintf(id, sizeof id, "%s", s ? "opened" : "nothing was said");
    if (!s) {
        assert_int_equal(d.errors, 1);
        const struct diag_finding *f = &d.list[d.count - 1];
        assert_non_null(f->file);
        assert_null(strchr(f->text, '\n'));
        snprintf(id, sizeof id, "%s", f->id);
    }
    diag_deinit(&d);
    store_close(s);
    return id;
}

static size_t size_of(const char *name)
{
    struct stat st;

    return stat(path(name), &st) ? 0 : (size_t)st.st_size;
}

static char *load(const char *name, size_t *ret_size)
{
    FILE *f = fopen(path(name), "rb");
    *ret_size = size_of(name);
    char *bytes = malloc(*ret_size + 1);

    assert_non_null(f);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *ret_size, f), *ret_size);
    fclose(f);
    return bytes;
}

static void save(const char *name, const char *bytes, size_t size)
{
    FILE *f = fopen(path(name), "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    fclose(f);
}

static void sql(const char *text)
{
    sqlite3 *conn;

    assert_int_equal(sqlite3_open(path("migd.db"), &conn), SQLITE_OK);
    assert_int_equal(sqlite3_exec(conn, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(conn);
}

static void fill(uint64_t from, uint64_t to)
{
    char text[200];

    memset(text, 'x', sizeof text);
    for (uint64_t i = from; i <= to; i++) {
        snprintf(text + 150, 50, "record-%llu", (unsigned long long)i);
        assert_int_equal(append(topic(ACME, "t"), i, text, NULL), MIG_OK);
    }
}

/* --- what is refused at the start ----------------------------------------------------------------- */

static void files_are_for_their_owner_alone(void **state)
{
    struct stat st;
    const char *names[] = {"migd.db", "migd.db-wal", "migd.db-shm", "migd.lock"};

    (void)state;
    world_close();
    char *outer = world.dir, inner_dir[300];
    snprintf(inner_dir, sizeof inner_dir, "%s/data", outer);
    world.dir = inner_dir;
    mode_t before = umask(0);
    world_open();
    umask(before);
    fill(1, 3);
    assert_int_equal(stat(inner_dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    for (size_t i = 0; i < countof(names); i++) {
        assert_int_equal(stat(path(names[i]), &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    world_close();
    assert_int_equal(size_of("migd.db-wal"), 0); /* a clean end leaves one file */
    world.dir = outer;
    world_open();
}

static void what_is_no_database_is_refused_and_left_alone(void **state)
{
    static const char *const contents[] = {"x", "not a database, but a text that is long enough",
                                           "SQLite format 3"};
    char *bytes;
    size_t size;

    (void)state;
    world_close();
    for (size_t i = 0; i < countof(contents); i++) {
        save("migd.db", contents[i], strlen(contents[i]));
        assert_string_equal(refusal(), "store.corrupt");
        bytes = load("migd.db", &size);
        assert_int_equal(size, strlen(contents[i]));
        assert_memory_equal(bytes, contents[i], size);
        free(bytes);
    }
    char garbage[20000] = "SQLite format 3";
    for (size_t i = 16; i < sizeof garbage; i++)
        garbage[i] = (char)(i * 131);
    save("migd.db", garbage, sizeof garbage);
    assert_string_equal(refusal(), "store.corrupt");
    unlink(path("migd.db"));
    mkdir(path("migd.db"), 0700);
    assert_string_equal(refusal(), "store.io");
    rmdir(path("migd.db"));
    assert_int_equal(symlink("/etc/passwd", path("migd.db")), 0);
    assert_string_equal(refusal(), "store.io");
    unlink(path("migd.db"));
    save("migd.db", "", 0);
    world_open(); /* an empty file is a new database */
}

static void strange_and_newer_databases_are_refused(void **state)
{
    (void)state;
    world_close();
    sql("PRAGMA user_version = 99");
    assert_string_equal(refusal(), "store.newer");
    sql("PRAGMA user_version = -1");
    assert_string_equal(refusal(), "store.newer");
    sql("PRAGMA user_version = 1; PRAGMA application_id = 1");
    assert_string_equal(refusal(), "store.foreign");
    unlink(path("migd.db"));
    sql("CREATE TABLE contacts (name)");
    assert_string_equal(refusal(), "store.foreign");
    unlink(path("migd.db"));
    world_open();
}

static void numbers_that_do_not_add_up_are_refused(void **state)
{
    static const char *const tampering[] = {
        "UPDATE topic SET last = last - 1",
        "UPDATE topic SET last = last + 1",
        "UPDATE topic SET name = 'u'",
        "DELETE FROM record WHERE row & 0xff = 9",
        "DELETE FROM record",
        "DELETE FROM meta",
        "UPDATE total SET space = 77",
    };
    size_t size;

    (void)state;
    fill(1, 9);
    put(key(ACME, "k"), "v", 0, 0, NULL);
    world_close();
    char *good = load("migd.db", &size);
    for (size_t i = 0; i < countof(tampering); i++) {
        sql(tampering[i]);
        assert_string_equal(refusal(), "store.corrupt");
        save("migd.db", good, size);
    }
    free(good);
    world_open();
}

static void a_second_one_is_kept_out(void **state)
{
    struct diag d;
    int status;

    (void)state;
    assert_string_equal(refusal(), "store.locked");
    diag_init(&d);
    assert_null(world_try(&d));
    char pid_text[24];
    snprintf(pid_text, sizeof pid_text, "process %d", (int)getpid());
    assert_non_null(strstr(d.list[0].text, pid_text));
    diag_deinit(&d);
    pid_t pid = fork();
    if (!pid) {
        diag_init(&d);
        _exit(world_try(&d) ? 1 : strcmp(d.list[0].id, "store.locked") == 0 ? 0 : 2);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    assert_int_equal(put(key(ACME, "k"), "v", 0, 0, NULL), MIG_OK);
}

/* As a user who may not write there; root may everywhere. */
static void a_directory_that_cannot_be_written_is_refused(void **state)
{
    struct diag d;
    int status;

    (void)state;
    if (getuid())
        skip();
    world_close();
    assert_int_equal(chmod(world.dir, 0755), 0);
    pid_t pid = fork();
    if (!pid) {
        if (setgroups(0, NULL) || setgid(65534) || setuid(65534))
            _exit(3);
        diag_init(&d);
        _exit(world_try(&d) ? 1 : strcmp(d.list[d.count - 1].id, "store.io") == 0 ? 0 : 2);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    assert_int_equal(chmod(world.dir, 0700), 0);
    char *dir = world.dir, nowhere[] = "/proc/none/migd";
    world.dir = nowhere;
    assert_string_equal(refusal(), "store.io");
    world.dir = dir;
    world_open();
}

/* --- damage ----------------------------------------------------------------------------------------- */

/* Copies the database as kill -9 would leave it, with its log of changes, into a store of its own. */
static void take_snapshot(char **ret_db, size_t *ret_db_size, char **ret_wal, size_t *ret_wal_size)
{
    *ret_db = load("migd.db", ret_db_size);
    *ret_wal = load("migd.db-wal", ret_wal_size);
    world_close();
    unlink(path("migd.db-shm"));
}

static void restore(const char *db, size_t db_size, const char *wal, size_t wal_size)
{
    save("migd.db", db, db_size);
    save("migd.db-wal", wal, wal_size);
    unlink(path("migd.db-shm"));
}

static void a_torn_log_of_changes_loses_only_its_end(void **state)
{
    char *db, *wal;
    enum { STEP = 9001 };
    size_t db_size, wal_size;
    uint64_t before = UINT64_MAX;
    struct store_head h;

    (void)state;
    fill(1, 40);
    take_snapshot(&db, &db_size, &wal, &wal_size);
    for (size_t keep = wal_size;; keep -= keep < STEP ? keep : STEP) {
        restore(db, db_size, wal, keep);
        world_open();
        uint64_t last = head(topic(ACME, "t"), &h) == MIG_OK ? h.last : 0;
        assert_true(last <= before);
        if (keep == wal_size)
            assert_int_equal(last, 40);
        before = last;
        assert_int_equal(append(topic(ACME, "t"), last + 1, "on", NULL), MIG_OK);
        world_close();
        if (!keep)
            break;
    }
    assert_int_equal(before, 0);
    free(db);
    free(wal);
    world_open();
}

/* As kill -9 leaves them, with the index that says how long the log was. */
static void log_as_left(char *bytes[3], const size_t sizes[3], size_t log_size)
{
    static const char *const names[] = {"migd.db", "migd.db-wal", "migd.db-shm"};

    for (int i = 0; i < 3; i++)
        save(names[i], bytes[i], i == 1 ? log_size : sizes[i]);
}

static int opens(void)
{
    int warnings;
    struct diag d;

    diag_init(&d);
    world.s = world_try(&d);
    warnings = (int)d.count;
    diag_deinit(&d);
    if (!world.s)
        return -1;
    world_close();
    return warnings;
}

static void what_is_missing_at_the_end_of_the_log_is_told(void **state)
{
    char *bytes[3];
    size_t sizes[3];

    (void)state;
    fill(1, 40);
    bytes[2] = load("migd.db-shm", &sizes[2]);
    take_snapshot(&bytes[0], &sizes[0], &bytes[1], &sizes[1]);
    assert_true(sizes[1] > 40000);
    for (int policy = 0; policy < 3; policy++) {
        world.settings.fsync = (enum store_fsync)policy;
        log_as_left(bytes, sizes, sizes[1]);
        assert_int_equal(opens(), 0);
        for (size_t k = 0; k < 8; k++) {
            log_as_left(bytes, sizes, sizes[1] * k / 8);
            assert_string_equal(refusal(), "store.corrupt");
            assert_string_equal(refusal(), "store.corrupt"); /* again: nothing was changed */
        }
        for (size_t at = 0; at < sizes[1]; at += 7001) { /* one wrong bit */
            bytes[1][at] ^= 8;
            log_as_left(bytes, sizes, sizes[1]);
            assert_string_equal(refusal(), "store.corrupt");
            bytes[1][at] ^= 8;
        }
        log_as_left(bytes, sizes, sizes[1] / 2); /* after a power cut */
        save("migd.lock", "1           another start of the system         \n", 49);
        save("migd.db", "nonsense, which is refused without a look at the log", 50);
        assert_string_equal(refusal(), "store.corrupt");
        save("migd.db", bytes[0], sizes[0]);
        if (world.settings.fsync == STORE_FSYNC_ALWAYS)
            assert_string_equal(refusal(), "store.corrupt");
        else
            assert_int_equal(opens(), 1);
    }
    log_as_left(bytes, sizes, sizes[1] / 2);
    unlink(path("migd.db-shm")); /* as the text says */
    assert_int_equal(opens(), 0);
    for (int i = 0; i < 3; i++)
        free(bytes[i]);
    world_open();
}

static void an_index_that_says_nothing_is_passed_over(void **state)
{
    char *bytes[3];
    size_t sizes[3];

    (void)state;
    fill(1, 10);
    bytes[2] = load("migd.db-shm", &sizes[2]);
    take_snapshot(&bytes[0], &sizes[0], &bytes[1], &sizes[1]);
    for (size_t keep = 0; keep < 100; keep += 33) {
        log_as_left(bytes, sizes, 0);
        save("migd.db-shm", bytes[2], keep);
        assert_int_equal(opens(), 0);
    }
    bytes[2][16] ^= 1; /* the copies differ: it died while it wrote them */
    log_as_left(bytes, sizes, 0);
    assert_int_equal(opens(), 0);
    for (int i = 0; i < 3; i++)
        free(bytes[i]);
    world_open();
}

static void a_log_that_was_copied_is_not_needed(void **state)
{
    char *index;
    size_t size;

    (void)state;
    fill(1, 10);
    sql("PRAGMA wal_checkpoint(PASSIVE)");
    index = load("migd.db-shm", &size);
    assert_true(size_of("migd.db-wal") > 0);
    world_close();
    save("migd.db-shm", index, size);
    free(index);
    assert_int_equal(opens(), 0);
    world_open();
}

static void count_topic(void *arg, struct store_topic t, struct store_head head)
{
    (void)t, (void)head;
    ++*(int *)arg;
}

/* Everything that can be asked; nothing may be wrong without being said. How many answers said so. */
static int look_at_everything(void)
{
    char text[512], name[24], want[64];
    struct asked a;
    struct store_record rec;
    struct store_head h;
    struct diag d;
    int bad = 0, topics = 0;

    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "name-%d", i);
        snprintf(want, sizeof want, "value-%d", i);
        mig_status st = get(key(ACME, name), text, NULL);
        bad += st != MIG_OK;
        assert_true(st == MIG_INTERNAL || st == MIG_NOT_FOUND || strcmp(text, want) == 0);
    }
    mig_status st = head(topic(ACME, "t"), &h);
    bad += st != MIG_OK;
    for (uint64_t seq = 0; st == MIG_OK && seq < h.last;) {
        st = asked_wait(&a,
                        store_read(world.s, &asked_init(&a)->r, topic(ACME, "t"), seq, 7, 100000));
        bad += st != MIG_OK;
        if (st == MIG_INTERNAL) {
            assert_string_equal(a.r.reason, "corrupt");
            assert_int_equal(a.r.number, seq + 1);
            seq++;
            st = MIG_OK;
        }
        while (store_next_record(&a.r, &rec)) {
            char record[64];
            snprintf(record, sizeof record, "record-%d", (int)++seq);
            assert_int_equal(rec.seq, seq);
            assert_true(rec.bytes.len > 150);
            assert_str(str_cut(rec.bytes, 150), record);
        }
        asked_deinit(&a);
    }
    diag_init(&d);
    bad += !store_each_topic(world.s, count_topic, &topics, &d);
    diag_deinit(&d);
    return bad;
}

static void flipped_bits_are_found_or_do_no_harm(void **state)
{
    char name[24], value[24];
    size_t size;
    unsigned seed = 3;
    int refused = 0, told = 0, harmless = 0;

    (void)state;
    fill(1, 30);
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "name-%d", i);
        snprintf(value, sizeof value, "value-%d", i);
        put(key(ACME, name), value, 0, 0, NULL);
    }
    world_close();
    char *good = load("migd.db", &size);
    for (int round = 0; round < 120; round++) {
        size_t at = (size_t)rand_r(&seed) % size;
        good[at] ^= (char)(1 << round % 8);
        save("migd.db", good, size);
        good[at] ^= (char)(1 << round % 8);
        struct diag d;
        diag_init(&d);
        world.s = world_try(&d);
        diag_deinit(&d);
        if (!world.s)
            refused++;
        else if (look_at_everything())
            told++;
        else
            harmless++; /* unused bytes of a page, mostly */
        store_close(world.s);
        world.s = NULL;
    }
    print_message("# flipped bits: %d refused, %d told, %d harmless\n", refused, told, harmless);
    assert_true(refused && told);
    for (int k = 1; k < 8; k++) { /* and files that end early */
        save("migd.db", good, size * (size_t)k / 8 + (size_t)k);
        assert_string_equal(refusal(), "store.corrupt");
    }
    save("migd.db", good, size);
    world_open();
    assert_int_equal(look_at_everything(), 0);
    free(good);
}

static void a_damaged_record_is_named_and_can_be_passed(void **state)
{
    struct asked a;
    size_t size;
    char text[512];

    (void)state;
    for (uint64_t i = 1; i <= 5; i++)
        append(topic(ACME, "s"), i, i == 3 ? "find-me" : "e", NULL);
    put(key(ACME, "k"), "find-me-too", 0, 0, NULL);
    world_close();
    char *bytes = load("migd.db", &size);
    for (size_t i = 0; i + 7 < size; i++)
        if (memcmp(bytes + i, "find-me", 7) == 0)
            bytes[i] = 'F';
    save("migd.db", bytes, size);
    free(bytes);
    world_open();
    assert_int_equal(read_text(topic(ACME, "s"), 0, 9, 999, text), MIG_OK);
    assert_string_equal(text, "1 e,2 e+");
    assert_int_equal(
        asked_wait(&a, store_read(world.s, &asked_init(&a)->r, topic(ACME, "s"), 2, 9, 999)),
        MIG_INTERNAL);
    assert_string_equal(a.r.reason, "corrupt");
    assert_int_equal(a.r.number, 3);
    asked_deinit(&a);
    assert_int_equal(read_text(topic(ACME, "s"), 3, 9, 999, text), MIG_OK);
    assert_string_equal(text, "4 e,5 e");
    assert_int_equal(get(key(ACME, "k"), NULL, NULL), MIG_INTERNAL);
    assert_int_equal(stats().corrupt, 2);
    assert_int_equal(put(key(ACME, "k"), "new", STORE_ANY, 0, NULL), MIG_OK);
    assert_int_equal(get(key(ACME, "k"), text, NULL), MIG_OK);
}

/* --- a disk that is full ------------------------------------------------------------------------------ */

/* Fills the disk; returns the last number that was acknowledged. */
static uint64_t fill_up(void)
{
    static char big[20001];
    uint64_t n = 0;

    memset(big, 'x', sizeof big - 1);
    while (n < 2000 && append(topic(ACME, "t"), n + 1, big, NULL) == MIG_OK)
        n++;
    return n;
}

static void check_failing(uint64_t last)
{
    struct store_head h;
    uint64_t said;

    assert_in_range(last, 3, 1999);
    assert_true(stats().is_failing);
    assert_true(stats().failed >= 1);
    assert_int_equal(head(topic(ACME, "t"), &h), MIG_OK); /* reading goes on */
    assert_int_equal(h.last, last);
    assert_int_equal(append(topic(ACME, "t"), last + 2, "e", &said), MIG_VERSION_MISMATCH);
    assert_int_equal(said, last);
    assert_true(stats().is_failing); /* a refusal says nothing about the disk */
}

static void check_recovered(uint64_t last)
{
    struct store_head h;

    for (int i = 0; i < 300 && stats().is_failing; i++) /* by itself */
        usleep(10000);
    assert_false(stats().is_failing);
    assert_int_equal(append(topic(ACME, "t"), last + 1, "e", NULL), MIG_OK);
    world_close();
    world_open();
    assert_int_equal(head(topic(ACME, "t"), &h), MIG_OK);
    assert_int_equal(h.last, last + 1);
}

static void a_full_disk_is_told_and_survived(void **state)
{
    (void)state;
    if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
        skip(); /* not root; the mount is seen by this program alone and ends with it */
    world_close();
    assert_int_equal(mount("migd-test", world.dir, "tmpfs", 0, "size=2m,mode=700"), 0);
    world_open();
    uint64_t last = fill_up();
    check_failing(last);
    assert_int_equal(mount(NULL, world.dir, NULL, MS_REMOUNT, "size=16m"), 0);
    check_recovered(last);
    world_close();
    assert_int_equal(umount(world.dir), 0);
    world_open();
}

static void a_file_size_limit_is_told_and_survived(void **state)
{
    struct rlimit old, small;

    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){1 << 20, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    uint64_t last = fill_up();
    check_failing(last);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    check_recovered(last);
    signal(SIGXFSZ, SIG_DFL);
}

/* --- queues and the log of changes ------------------------------------------------------------------ */

static void a_full_queue_refuses_at_once(void **state)
{
    enum { MANY = 50, LIMIT = 10 };
    static struct asked many[MANY];
    static char value[2000];
    sqlite3 *other;
    int taken = 0;

    (void)state;
    world_close();
    world.settings.max_waiting = LIMIT;
    world_open();
    assert_int_equal(sqlite3_open(path("migd.db"), &other), SQLITE_OK);
    sqlite3_busy_timeout(other, 5000);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    for (int i = 0; i < MANY; i++) {
        mig_status st =
            store_put(world.s, &asked_init(&many[i])->r, key(ACME, "k"), S("v"), STORE_ANY, 0);
        assert_int_equal(st, i < LIMIT ? MIG_OK : MIG_BACKPRESSURE);
        taken += st == MIG_OK;
    }
    assert_int_equal(stats().waiting, LIMIT);
    assert_int_equal(get(key(ACME, "k"), NULL, NULL), MIG_NOT_FOUND); /* reads do not wait */
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    for (int i = 0; i < taken; i++)
        assert_int_equal(asked_wait(&many[i], MIG_OK), MIG_OK);
    assert_int_equal(stats().waiting, 0);
    world_close();
    world.settings.max_waiting_bytes = 3 * sizeof value;
    world_open();
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    taken = 0;
    for (int i = 0; i < 5; i++)
        taken += store_put(world.s, &asked_init(&many[i])->r, key(ACME, "k"),
                           (str){value, sizeof value}, STORE_ANY, 0) == MIG_OK;
    assert_int_equal(taken, 2);
    assert_true(stats().waiting_bytes > 2 * sizeof value);
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    for (int i = 0; i < taken; i++)
        assert_int_equal(asked_wait(&many[i], MIG_OK), MIG_OK);
    sqlite3_close(other);
}

static void a_write_that_fails_fails_alone(void **state)
{
    enum { MANY = 7, HUGE = 300000 };
    static struct asked many[MANY];
    static char huge[HUGE];
    uint64_t count, bytes;
    sqlite3 *other;

    (void)state;
    world_close();
    world.settings.max_bytes = 1 << 19;
    world_open();
    huge[HUGE - 1] = 0;
    memset(huge, 'x', HUGE - 1);
    assert_int_equal(put(key(ACME, "huge"), huge, 0, 0, NULL), MIG_OK);
    assert_int_equal(sqlite3_open(path("migd.db"), &other), SQLITE_OK);
    sqlite3_busy_timeout(other, 5000);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    for (uint64_t i = 0; i < MANY; i++) { /* the first one waits for us, the others for it */
        struct store_request *r = &asked_init(&many[i])->r;
        const struct store_record record = {i + 1, 0, {0}, {0}, S("e")};
        assert_int_equal(i == MANY - 3 ? store_put(world.s, r, key(ACME, "small"), S("v"), 0, 0)
                         : i == MANY - 2
                             ? store_put(world.s, r, key(ACME, "more"), (str){huge, HUGE}, 0, 0)
                         : i == MANY - 1 ? store_delete(world.s, r, key(ACME, "huge"), STORE_ANY)
                                         : store_append(world.s, r, topic(ACME, "t"), &record),
                         MIG_OK);
    }
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    for (int i = 0; i < MANY; i++) {
        bool fails = i == MANY - 2;
        assert_int_equal(asked_wait(&many[i], MIG_OK), fails ? MIG_UNAVAILABLE : MIG_OK);
        if (fails)
            assert_string_equal(many[i].r.reason, "disk_full");
        asked_deinit(&many[i]);
    }
    store_space_stats(world.s, STORE_KV, &count, &bytes);
    assert_int_equal(count, 1);
    assert_int_equal(bytes, strlen("small") + 1);
    assert_int_equal(stats().failed, 1);
    assert_int_equal(put(key(ACME, "more"), huge, 0, 0, NULL), MIG_OK); /* there is room now */
    sqlite3_close(other);
}

static void the_log_of_changes_stays_small(void **state)
{
    enum { MANY = 64 };
    static struct asked many[MANY];
    static char value[20000];
    uint64_t seq = 0, most = 0;

    (void)state;
    world_close();
    world.settings.wal_bytes = 1 << 20;
    world_open();
    for (int round = 0; round < 30; round++) { /* 38 MB */
        for (int i = 0; i < MANY; i++) {
            const struct store_record record = {++seq, 0, {0}, {0}, {value, sizeof value}};
            assert_int_equal(
                store_append(world.s, &asked_init(&many[i])->r, topic(ACME, "t"), &record), MIG_OK);
        }
        for (int i = 0; i < MANY; i++) {
            assert_int_equal(asked_wait(&many[i], MIG_OK), MIG_OK);
            asked_deinit(&many[i]);
        }
        most = stats().wal_bytes > most ? stats().wal_bytes : most;
    }
    assert_in_range(most, 1 << 16, 8 << 20);
    for (int i = 0; i < 500 && stats().wal_bytes; i++)
        usleep(10000);
    assert_int_equal(stats().wal_bytes, 0); /* idle */
    world_close();
    world.settings.check_ms =
        1; /* far too little for this file: what is not looked at stays open */
    world_open();
    assert_int_equal(append(topic(ACME, "t"), seq + 1, "e", NULL), MIG_OK);
}

static void each_policy_keeps_what_it_acknowledged(void **state)
{
    uint64_t seq = 0;
    char text[512];

    (void)state;
    for (int policy = 0; policy < 3; policy++) {
        world_close();
        world.settings.fsync = (enum store_fsync)policy;
        world_open();
        for (int i = 0; i < 3; i++)
            assert_int_equal(append(topic(ACME, "t"), ++seq, "e", NULL), MIG_OK);
        assert_true(stats().commits >= 3);
        assert_true(stats().last_commit_us < 5000000);
    }
    world_close();
    world_open();
    assert_int_equal(read_text(topic(ACME, "t"), 0, 99, 9999, text), MIG_OK);
    assert_string_equal(text, "1 e,2 e,3 e,4 e,5 e,6 e,7 e,8 e,9 e");
}

int main(void)
{
#define TS(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TS(files_are_for_their_owner_alone),
        TS(what_is_no_database_is_refused_and_left_alone),
        TS(strange_and_newer_databases_are_refused),
        TS(numbers_that_do_not_add_up_are_refused),
        TS(a_second_one_is_kept_out),
        TS(a_directory_that_cannot_be_written_is_refused),
        TS(a_torn_log_of_changes_loses_only_its_end),
        TS(what_is_missing_at_the_end_of_the_log_is_told),
        TS(an_index_that_says_nothing_is_passed_over),
        TS(a_log_that_was_copied_is_not_needed),
        TS(flipped_bits_are_found_or_do_no_harm),
        TS(a_damaged_record_is_named_and_can_be_passed),
        TS(a_full_disk_is_told_and_survived),
        TS(a_file_size_limit_is_told_and_survived),
        TS(a_full_queue_refuses_at_once),
        TS(a_write_that_fails_fails_alone),
        TS(the_log_of_changes_stays_small),
        TS(each_policy_keeps_what_it_acknowledged),
    };
    return RUN(tests);
}
