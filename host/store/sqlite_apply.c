#include "base/check.h"
#include "base/clock.h"
#include "store/sqlite.h"

enum { PURGE_ROWS = 200, TRIM_ROWS = 1000 };

/* --- values --------------------------------------------------------------------------------------- */

uint32_t sqlite_value_sum(struct store_key key, const struct store_row *row)
{
    const uint64_t numbers[] = {key.space, row->revision, row->expires_at_ms};

    return db_sum(numbers, countof(numbers), (str[]){key.tenant.id, row->name, row->value}, 3);
}

bool sqlite_value_is_sound(struct store_key key, const struct store_row *row, uint64_t sum)
{
    return sqlite_value_sum(key, row) == sum;
}

/* What is there now. */
struct old {
    bool is_there, is_live;
    uint64_t revision, expires_at_ms, size; /* size: of name and value; 0: nothing is there */
};

static int find(struct db *db, struct store_key key, uint64_t now_ms, struct old *ret)
{
    sqlite3_stmt *q = db_use(db, SQL_VALUE_FIND);

    *ret = (struct old){0};
    db_bind_key(q, key);
    int got = db_next(q);
    if (got != SQLITE_ROW)
        return got;
    ret->is_there = true;
    ret->expires_at_ms = db_u64(q, 1);
    ret->is_live = !store_has_expired(ret->expires_at_ms, now_ms);
    ret->revision = ret->is_live ? db_u64(q, 0) : 0;
    ret->size = key.name.len + db_u64(q, 2);
    return sqlite3_reset(q);
}

int sqlite_reserve(struct writer *w, uint64_t revisions)
{
    sqlite3_stmt *q = db_use(&w->db, SQL_REVISION_PUT);

    db_bind_u64(q, 1, w->reserved + revisions);
    int fault = db_run(q);
    if (!fault)
        w->reserved += revisions;
    return fault;
}

static int next_revision(struct writer *w, uint64_t *ret)
{
    int fault = w->revision < w->reserved ? SQLITE_OK : sqlite_reserve(w, REVISIONS);

    if (!fault)
        *ret = ++w->revision;
    return fault;
}

static int change_total(struct sqlite_store *s, struct store_tenant tenant, unsigned space,
                        int64_t count, int64_t bytes)
{
    struct tally *y = tally_total(&s->writer.tallies, tenant, space);

    if (!y)
        return SQLITE_NOMEM;
    y->now.count += (uint64_t)count;
    y->now.bytes += (uint64_t)bytes;
    store_gauge_add(&s->base, space, count, bytes);
    tally_change(&s->writer.tallies, y);
    return SQLITE_OK;
}

/* Room for the value, if need be after a sweep. */
static int make_room(struct sqlite_store *s, struct store_key key, uint64_t size, uint64_t now_ms,
                     struct old *old, bool *ret_has_room)
{
    for (;;) {
        uint64_t more = size > old->size ? size - old->size : 0;
        size_t purged = 0;
        *ret_has_room = store_has_room(&s->base, key.space, !old->is_there, more);
        if (*ret_has_room || s->writer.next_expiry_ms > now_ms)
            return SQLITE_OK;
        int fault = sqlite_purge(s, now_ms, &purged);
        if (!fault)
            fault = find(&s->writer.db, key, now_ms, old);
        if (fault || !purged)
            return fault;
    }
}

static int write_value(struct sqlite_store *s, struct store_request *r, str value,
                       uint64_t expires_at_ms)
{
    struct writer *w = &s->writer;
    struct store_row row = {r->name, value, 0, expires_at_ms > INT64_MAX ? 0 : expires_at_ms};
    int fault = next_revision(w, &row.revision);

    if (fault)
        return fault;
    sqlite3_stmt *q = db_use(&w->db, SQL_VALUE_PUT);
    db_bind_key(q, sqlite_key(r));
    db_bind_u64(q, 4, row.revision);
    db_bind_u64(q, 5, row.expires_at_ms);
    db_bind_u64(q, 6, sqlite_value_sum(sqlite_key(r), &row));
    db_bind_str(q, 7, value);
    r->revision = row.revision;
    r->expires_at_ms = row.expires_at_ms;
    if (row.expires_at_ms && row.expires_at_ms < w->next_expiry_ms)
        w->next_expiry_ms = row.expires_at_ms;
    return db_run(q);
}

static int set(struct sqlite_store *s, struct store_request *r, struct old *old, str value,
               uint64_t expires_at_ms, uint64_t now_ms)
{
    uint64_t size = r->name.len + value.len;
    bool has_room;
    int fault = make_room(s, sqlite_key(r), size, now_ms, old, &has_room);

    if (fault)
        return fault;
    if (!has_room) {
        store_fail(r, MIG_BACKPRESSURE, "space_full");
        return SQLITE_OK;
    }
    fault = write_value(s, r, value, expires_at_ms);
    return fault ? fault
                 : change_total(s, r->tenant, r->space, !old->is_there,
                                (int64_t)size - (int64_t)old->size);
}

static bool is_expected(struct store_request *r, const struct old *old)
{
    r->revision = old->revision;
    if (r->in == STORE_ANY || r->in == old->revision)
        return true;
    r->status = MIG_VERSION_MISMATCH;
    return false;
}

static int put(struct sqlite_store *s, struct store_request *r)
{
    uint64_t now_ms = clock_wall_ms();
    struct old old;
    int fault = find(&s->writer.db, sqlite_key(r), now_ms, &old);

    if (fault || !is_expected(r, &old))
        return fault;
    return set(s, r, &old, r->bytes_in, r->at_ms, now_ms);
}

static int drop(struct sqlite_store *s, struct store_request *r)
{
    struct old old;
    int fault = find(&s->writer.db, sqlite_key(r), clock_wall_ms(), &old);

    if (fault)
        return fault;
    if (!old.is_live) {
        r->status = MIG_NOT_FOUND;
        return SQLITE_OK;
    }
    if (!is_expected(r, &old))
        return SQLITE_OK;
    sqlite3_stmt *q = db_use(&s->writer.db, SQL_VALUE_DELETE);
    db_bind_key(q, sqlite_key(r));
    fault = db_run(q);
    r->revision = 0;
    return fault ? fault : change_total(s, r->tenant, r->space, -1, -(int64_t)old.size);
}

/* The counter that is there; *ret_is_one: no other value is. */
static int read_counter(struct db *db, struct store_key key, uint64_t *ret, bool *ret_is_one)
{
    sqlite3_stmt *q = db_use(db, SQL_VALUE_GET);

    db_bind_key(q, key);
    int got = db_next(q);
    if (got != SQLITE_ROW)
        return got;
    const struct store_row row = {key.name, db_str(q, 3), db_u64(q, 0), db_u64(q, 1)};
    bool is_sound = sqlite_value_is_sound(key, &row, db_u64(q, 2));
    *ret_is_one = row.value.len == 8;
    *ret = *ret_is_one ? store_counter(row.value.ptr) : 0;
    int fault = sqlite3_reset(q);
    return is_sound ? fault : SQLITE_CORRUPT;
}

static int add(struct sqlite_store *s, struct store_request *r)
{
    uint64_t now_ms = clock_wall_ms(), was = 0;
    bool is_one = true;
    char bytes[8];
    struct old old;
    int fault = find(&s->writer.db, sqlite_key(r), now_ms, &old);

    if (!fault && old.is_live)
        fault = read_counter(&s->writer.db, sqlite_key(r), &was, &is_one);
    if (fault)
        return fault;
    if (!is_one) {
        r->status = MIG_INVALID_REQUEST;
        return SQLITE_OK;
    }
    uint64_t now = store_counter_add(was, (int64_t)r->in, bytes);
    fault = set(s, r, &old, (str){bytes, sizeof bytes}, old.is_live ? old.expires_at_ms : r->at_ms,
                now_ms);
    r->number = r->status ? was : now;
    return fault;
}

static int find_next_expiry(struct writer *w)
{
    sqlite3_stmt *q = db_use(&w->db, SQL_NEXT_EXPIRY);
    int got = db_next(q);

    w->next_expiry_ms = UINT64_MAX;
    if (got != SQLITE_ROW)
        return got;
    if (sqlite3_column_type(q, 0) != SQLITE_NULL)
        w->next_expiry_ms = db_u64(q, 0);
    return sqlite3_reset(q);
}

int sqlite_purge(struct sqlite_store *s, uint64_t now_ms, size_t *ret_count)
{
    sqlite3_stmt *q = db_use(&s->writer.db, SQL_VALUE_PURGE);
    int got, fault = SQLITE_OK;

    db_bind_u64(q, 1, now_ms);
    db_bind_u64(q, 2, PURGE_ROWS);
    for (*ret_count = 0; !fault && (got = db_next(q)) == SQLITE_ROW; ++*ret_count)
        fault = change_total(s, (struct store_tenant){db_str(q, 1)}, (unsigned)db_u64(q, 0), -1,
                             -(int64_t)db_u64(q, 2));
    if (fault) {
        sqlite3_reset(q);
        return fault;
    }
    return got ? got : find_next_expiry(&s->writer);
}

/* --- logs ------------------------------------------------------------------------------------------- */

uint32_t sqlite_record_sum(uint64_t topic_id, const struct store_record *record)
{
    return db_sum((uint64_t[]){topic_id, record->seq, record->at_ms}, 3,
                  (str[]){record->key, record->event_id, record->bytes}, 3);
}

static int write_record(struct db *db, const struct store_request *r, uint64_t topic_id)
{
    const struct store_record record = {r->in, r->at_ms > INT64_MAX ? INT64_MAX : r->at_ms, r->key,
                                        r->event_id, r->bytes_in};
    sqlite3_stmt *q = db_use(db, SQL_RECORD_PUT);

    db_bind_u64(q, 1, record_row(topic_id, record.seq));
    db_bind_u64(q, 2, record.at_ms);
    db_bind_u64(q, 3, sqlite_record_sum(topic_id, &record));
    db_bind_str(q, 4, record.key);
    db_bind_str(q, 5, record.event_id);
    db_bind_str(q, 6, record.bytes);
    return db_run(q);
}

static void answer_head(struct store_request *r, const struct tally *y)
{
    r->first = y ? y->now.first : 1;
    r->last = y ? y->now.last : 0;
}

/* The value that goes with a record. What refuses it refuses both. */
static int put_with(struct sqlite_store *s, struct store_request *r)
{
    struct store_request *with = r->with;

    if (!with)
        return SQLITE_OK;
    with->status = MIG_OK;
    with->reason = NULL;
    int fault = put(s, with);
    if (!fault && with->status)
        store_fail(r, with->status, with->reason);
    return fault;
}

static int append(struct sqlite_store *s, struct store_request *r)
{
    struct tallies *t = &s->writer.tallies;
    struct tally *y = tally_find_topic(t, r->tenant, r->name);
    bool is_full = false;

    answer_head(r, y);
    if (r->in != r->last + 1) {
        r->status = MIG_VERSION_MISMATCH;
        return SQLITE_OK;
    }
    if (!y)
        y = tally_topic(t, r->tenant, r->name, &is_full);
    if (is_full || r->in > RECORD_MAX) {
        store_fail(r, MIG_BACKPRESSURE, is_full ? "topics" : "records");
        return SQLITE_OK;
    }
    if (!y)
        return SQLITE_NOMEM;
    tally_change(t, y);
    int fault = put_with(s, r);
    if (fault || r->status)
        return fault;
    fault = write_record(&s->writer.db, r, y->id);
    y->now.last = r->in;
    y->now.bytes += r->key.len + r->event_id.len + r->bytes_in.len;
    answer_head(r, y);
    return fault;
}

static int record_bytes(struct db *db, uint64_t from, uint64_t to, uint64_t *ret)
{
    sqlite3_stmt *q = db_use(db, SQL_RECORD_SIZE);

    db_bind_u64(q, 1, from);
    db_bind_u64(q, 2, to);
    int got = db_next(q);
    if (got != SQLITE_ROW)
        return got;
    *ret = db_u64(q, 0);
    return sqlite3_reset(q);
}

static int trim_some(struct sqlite_store *s, struct tally *y, uint64_t up_to)
{
    struct db *db = &s->writer.db;
    uint64_t from = record_row(y->id, y->now.first), to = record_row(y->id, up_to), bytes = 0;
    int fault = record_bytes(db, from, to, &bytes);

    if (fault)
        return fault;
    sqlite3_stmt *q = db_use(db, SQL_RECORD_DELETE);
    db_bind_u64(q, 1, from);
    db_bind_u64(q, 2, to);
    tally_change(&s->writer.tallies, y);
    y->now.first = up_to + 1;
    y->now.bytes -= bytes < y->now.bytes ? bytes : y->now.bytes;
    return db_run(q);
}

static int trim(struct sqlite_store *s, struct store_request *r)
{
    struct tally *y = tally_find_topic(&s->writer.tallies, r->tenant, r->name);
    int fault = SQLITE_OK;

    r->status = y ? MIG_OK : MIG_NOT_FOUND;
    if (y) {
        uint64_t goal = r->in < y->now.last ? r->in : y->now.last;
        uint64_t end = y->now.first + TRIM_ROWS - 1;
        if (goal >= y->now.first)
            fault = trim_some(s, y, goal < end ? goal : end);
        if (goal > end)
            r->status = MIG_E_AGAIN;
    }
    answer_head(r, y);
    return fault;
}

int sqlite_apply(struct sqlite_store *s, struct store_request *r)
{
    static int (*const act[])(struct sqlite_store *, struct store_request *) = {
        [OP_PUT] = put, [OP_DELETE] = drop, [OP_ADD] = add, [OP_APPEND] = append, [OP_TRIM] = trim,
    };

    r->status = MIG_OK;
    r->reason = NULL;
    return act[r->op](s, r);
}
