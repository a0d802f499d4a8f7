#include "base/check.h"
#include "base/clock.h"
#include "store/sqlite.h"

enum { TAKE = 16 }; /* few, so that the other reading thread gets some */

/* --- values --------------------------------------------------------------------------------------- */

static int get(struct db *db, struct store_request *r)
{
    sqlite3_stmt *q = db_use(db, SQL_VALUE_GET);

    db_bind_key(q, sqlite_key(r));
    r->status = MIG_NOT_FOUND;
    int got = db_next(q);
    if (got != SQLITE_ROW)
        return got;
    const struct store_row row = {r->name, db_str(q, 3), db_u64(q, 0), db_u64(q, 1)};
    if (!sqlite_value_is_sound(sqlite_key(r), &row, db_u64(q, 2))) {
        sqlite3_reset(q);
        return SQLITE_CORRUPT;
    }
    if (!store_has_expired(row.expires_at_ms, clock_wall_ms())) {
        r->status = MIG_OK;
        r->revision = row.revision;
        r->expires_at_ms = row.expires_at_ms;
        store_pack_value(r, row.value);
    }
    return sqlite3_reset(q);
}

/* Damage ends an answer before it; the read that begins with it is told. */
static int damaged(struct store_request *r)
{
    r->has_more = r->count > 0;
    return r->count ? SQLITE_OK : SQLITE_CORRUPT;
}

static int range(struct db *db, struct store_request *r)
{
    sqlite3_stmt *q = db_use(db, SQL_VALUE_RANGE);
    bool goes_on = r->key.len && str_cmp(r->key, r->name) >= 0;
    uint64_t now_ms = clock_wall_ms();
    int got;

    db_bind_key(q, store_key(r->tenant, (enum store_space)r->space, goes_on ? r->key : r->name));
    while ((got = db_next(q)) == SQLITE_ROW) {
        const struct store_row row = {db_str(q, 0), db_str(q, 4), db_u64(q, 1), db_u64(q, 2)};
        if (!str_starts(row.name, r->name)) {
            if (!goes_on || !str_eq(row.name, r->key))
                break;
            continue;
        }
        if ((goes_on && str_eq(row.name, r->key)) || store_has_expired(row.expires_at_ms, now_ms))
            continue;
        struct store_key key = store_key(r->tenant, (enum store_space)r->space, row.name);
        if (!sqlite_value_is_sound(key, &row, db_u64(q, 3))) {
            sqlite3_reset(q);
            return damaged(r);
        }
        if (!store_pack(r, (uint64_t[]){row.revision, row.expires_at_ms},
                        (str[]){row.name, row.value, {0}}))
            break;
    }
    if ((got & 0xFF) == SQLITE_CORRUPT)
        return damaged(r);
    int fault = sqlite3_reset(q);
    return got == SQLITE_ROW ? fault : got;
}

static int count(struct db *db, struct store_request *r)
{
    sqlite3_stmt *q = db_use(db, SQL_TOTAL_GET);

    db_bind_u64(q, 1, r->space);
    db_bind_str(q, 2, r->tenant.id);
    int got = db_next(q);
    if (got != SQLITE_ROW)
        return got;
    r->count = db_u64(q, 0);
    r->bytes = db_u64(q, 1);
    return sqlite3_reset(q);
}

/* --- logs ----------------------------------------------------------------------------------------- */

/* *ret_id 0: there is no such topic. */
static int find_topic(struct db *db, struct store_request *r, uint64_t *ret_id)
{
    sqlite3_stmt *q = db_use(db, SQL_TOPIC_GET);

    *ret_id = 0;
    r->status = MIG_NOT_FOUND;
    r->first = 1;
    db_bind_str(q, 1, r->tenant.id);
    db_bind_str(q, 2, r->name);
    int got = db_next(q);
    if (got != SQLITE_ROW)
        return got;
    uint64_t id = db_u64(q, 0);
    const struct numbers n = {.first = db_u64(q, 1), .last = db_u64(q, 2), .bytes = db_u64(q, 3)};
    bool is_sound = topic_sum(id, r->tenant, r->name, &n) == db_u64(q, 4);
    int fault = sqlite3_reset(q);
    if (!is_sound)
        return SQLITE_CORRUPT;
    *ret_id = id;
    r->status = MIG_OK;
    r->first = n.first;
    r->last = n.last;
    r->bytes = n.bytes;
    return fault;
}

static int head(struct db *db, struct store_request *r)
{
    uint64_t id;
    int fault = find_topic(db, r, &id);

    r->count = id ? r->last + 1 - r->first : 0;
    return fault;
}

/* Every number from seq on must be there, up to the last. */
static int read_records(struct db *db, struct store_request *r, uint64_t id, uint64_t seq)
{
    sqlite3_stmt *q = db_use(db, SQL_RECORD_EACH);
    int got = SQLITE_OK;

    db_bind_u64(q, 1, record_row(id, seq));
    db_bind_u64(q, 2, record_row(id, r->last));
    for (; seq <= r->last && (got = db_next(q)) == SQLITE_ROW; seq++) {
        const struct store_record record = {db_u64(q, 0) & RECORD_MAX, db_u64(q, 1), db_str(q, 3),
                                            db_str(q, 4), db_str(q, 5)};
        if (record.seq != seq || sqlite_record_sum(id, &record) != db_u64(q, 2))
            break;
        if (!store_pack(r, (uint64_t[]){record.seq, record.at_ms},
                        (str[]){record.key, record.event_id, record.bytes}))
            return sqlite3_reset(q);
    }
    if (got == SQLITE_ROW || got == SQLITE_OK)
        got = sqlite3_reset(q);
    r->number = seq;
    if ((got & 0xFF) == SQLITE_CORRUPT || (!got && seq <= r->last))
        return damaged(r);
    return got;
}

static int read_log(struct db *db, struct store_request *r)
{
    uint64_t id, seq;
    int fault = find_topic(db, r, &id);

    r->bytes = 0;
    if (fault || !id || r->in >= r->last)
        return fault;
    seq = r->in < r->first ? r->first : r->in + 1;
    return seq <= r->last ? read_records(db, r, id, seq) : SQLITE_OK;
}

/* --- the thread ------------------------------------------------------------------------------------- */

static int act(struct db *db, struct store_request *r)
{
    static int (*const acts[])(struct db *, struct store_request *) = {
        [OP_GET] = get,       [OP_RANGE] = range, [OP_COUNT] = count,
        [OP_READ] = read_log, [OP_HEAD] = head,
    };

    if (r->op != OP_READ) // the only one with two statements
        return acts[r->op](db, r);
    int fault = db_run(db_use(db, SQL_BEGIN_READ));
    if (!fault)
        fault = acts[r->op](db, r);
    int end = db_run(db_use(db, SQL_COMMIT));
    return fault ? fault : end;
}

static void carry_out(struct sqlite_store *s, struct db *db, struct store_request *r)
{
    size_t size = store_request_size(r);
    int fault = act(db, r);

    if (fault) {
        const char *reason;
        mig_status status = db_status(fault, &reason);
        store_fail(r, status, reason);
        if (status == MIG_INTERNAL)
            atomic_fetch_add(&s->corrupt, 1);
    }
    queue_release(&s->reads, 1, size);
    store_answer(r);
}

void *sqlite_read(void *reader)
{
    const struct queue_wish wish = {.max = TAKE, .max_bytes = SIZE_MAX, .until_ns = UINT64_MAX};
    struct reader *me = reader;
    bool is_over = false;

    pthread_setname_np(pthread_self(), "store-reader");
    while (!is_over) {
        struct task_queue taken = {0};
        queue_take(&me->store->reads, &taken, &wish, &is_over);
        for (struct task *t; (t = task_pop(&taken));)
            carry_out(me->store, &me->db, container_of(t, struct store_request, task));
    }
    return NULL;
}
