#include "base/check.h"
#include "store/sqlite.h"

#include <stdlib.h>

enum { KEY_MAX = 4 + STORE_TENANT_MAX + STORE_NAME_MAX };

/* The key in the map: tenant's length and text, then the topic's name or, for a total, the space. A
 * total's length has the high bit. */
struct key {
    char bytes[KEY_MAX];
    size_t len;
};

static str key_of(struct key *k, struct store_tenant tenant, str name, unsigned space)
{
    size_t tenant_len = tenant.id.len | (space ? 0x8000u : 0);

    k->bytes[0] = (char)(tenant_len >> 8);
    k->bytes[1] = (char)tenant_len;
    memcpy(k->bytes + 2, tenant.id.ptr, tenant.id.len);
    k->len = 2 + tenant.id.len;
    if (space)
        k->bytes[k->len++] = (char)space;
    else
        memcpy(k->bytes + k->len, name.ptr, name.len), k->len += name.len;
    return (str){k->bytes, k->len};
}

static str tenant_of(const struct tally *y)
{
    return (str){y->key + 2, y->tenant_len};
}

static str topic_of(const struct tally *y)
{
    return (str){y->key + 2 + y->tenant_len, y->key_len - 2 - y->tenant_len};
}

static struct tally *add(struct tallies *t, struct store_tenant tenant, str key)
{
    struct tally *y = calloc(1, sizeof *y + key.len);

    if (!y)
        return NULL;
    memcpy(y->key, key.ptr, key.len);
    y->key_len = key.len;
    y->tenant_len = tenant.id.len;
    y->now.first = y->saved.first = 1;
    if (!map_put(&t->map, (str){y->key, key.len}, y)) {
        free(y);
        return NULL;
    }
    return y;
}

struct tally *tally_total(struct tallies *t, struct store_tenant tenant, unsigned space)
{
    struct key k;
    str key = key_of(&k, tenant, (str){0}, space);
    struct tally *y = map_get(&t->map, key);

    if (!y && (y = add(t, tenant, key)))
        y->space = space;
    return y;
}

struct tally *tally_find_topic(struct tallies *t, struct store_tenant tenant, str name)
{
    struct key k;

    return map_get(&t->map, key_of(&k, tenant, name, 0));
}

struct tally *tally_topic(struct tallies *t, struct store_tenant tenant, str name,
                          bool *ret_is_full)
{
    struct key k;
    str key = key_of(&k, tenant, name, 0);
    struct tally *y = map_get(&t->map, key);

    *ret_is_full = !y && (t->topics >= t->max_topics || t->next_topic > TOPIC_ID_MAX);
    if (!y && !*ret_is_full && (y = add(t, tenant, key))) {
        y->id = t->next_topic++;
        t->topics++;
    }
    return y;
}

void tally_change(struct tallies *t, struct tally *y)
{
    if (y->is_changed)
        return;
    y->is_changed = true;
    y->next_changed = t->changed;
    t->changed = y;
}

uint32_t topic_sum(uint64_t id, struct store_tenant tenant, str name, const struct numbers *n)
{
    return db_sum((uint64_t[]){id, n->first, n->last, n->bytes}, 4, (str[]){tenant.id, name}, 2);
}

/* --- to and from the disk ------------------------------------------------------------------------------ */

static int load_totals(struct sqlite_store *s, struct db *db)
{
    sqlite3_stmt *q = db_use(db, SQL_TOTAL_EACH);
    int got;

    while ((got = db_next(q)) == SQLITE_ROW) {
        unsigned space = (unsigned)db_u64(q, 0);
        struct store_tenant tenant = {db_str(q, 1)};
        if (space == 0 || space >= STORE_SPACES || tenant.id.len > STORE_TENANT_MAX) {
            sqlite3_reset(q);
            return SQLITE_CORRUPT;
        }
        struct tally *y = tally_total(&s->writer.tallies, tenant, space);
        must(y); // at the start
        y->now.count = db_u64(q, 2);
        y->now.bytes = db_u64(q, 3);
        y->saved = y->now;
        store_gauge_add(&s->base, space, (int64_t)y->now.count, (int64_t)y->now.bytes);
    }
    return got;
}

/* The row's own sum, and that the records begin and end where it says. */
static bool is_sound(sqlite3_stmt *q, uint64_t id, struct store_tenant tenant, str name,
                     const struct numbers *n)
{
    if (tenant.id.len > STORE_TENANT_MAX || name.len > STORE_NAME_MAX || id > TOPIC_ID_MAX ||
        topic_sum(id, tenant, name, n) != db_u64(q, 6))
        return false;
    if (n->first > n->last)
        return sqlite3_column_type(q, 8) == SQLITE_NULL;
    return db_u64(q, 7) == record_row(id, n->first) && db_u64(q, 8) == record_row(id, n->last);
}

static int load_topics(struct tallies *t, struct db *db)
{
    sqlite3_stmt *q = db_use(db, SQL_TOPIC_EACH);
    uint64_t max_topics = t->max_topics;
    int got;

    t->next_topic = 1;
    t->max_topics = UINT64_MAX; // those that are there stay, also when the limit has become lower
    while ((got = db_next(q)) == SQLITE_ROW) {
        uint64_t id = db_u64(q, 0);
        struct store_tenant tenant = {db_str(q, 1)};
        str name = db_str(q, 2);
        struct numbers n = {.first = db_u64(q, 3), .last = db_u64(q, 4), .bytes = db_u64(q, 5)};
        if (!is_sound(q, id, tenant, name, &n)) {
            sqlite3_reset(q);
            return SQLITE_CORRUPT;
        }
        uint64_t next = t->next_topic > id ? t->next_topic : id + 1;
        bool is_full;
        struct tally *y = tally_topic(t, tenant, name, &is_full);
        must(y); // at the start
        y->id = id;
        y->now = y->saved = n;
        t->next_topic = next;
    }
    t->max_topics = max_topics;
    return got;
}

int tally_load(struct sqlite_store *s, struct db *db)
{
    int fault = load_totals(s, db);

    return fault ? fault : load_topics(&s->writer.tallies, db);
}

static int write_topic(struct db *db, const struct tally *y)
{
    if (!y->now.last) // its first record was refused
        return SQLITE_OK;
    sqlite3_stmt *q = db_use(db, SQL_TOPIC_PUT);
    struct store_tenant tenant = {tenant_of(y)};

    db_bind_u64(q, 1, y->id);
    db_bind_str(q, 2, tenant.id);
    db_bind_str(q, 3, topic_of(y));
    db_bind_u64(q, 4, y->now.first);
    db_bind_u64(q, 5, y->now.last);
    db_bind_u64(q, 6, y->now.bytes);
    db_bind_u64(q, 7, topic_sum(y->id, tenant, topic_of(y), &y->now));
    return db_run(q);
}

static int write_total(struct db *db, const struct tally *y)
{
    sqlite3_stmt *q = db_use(db, y->now.count ? SQL_TOTAL_PUT : SQL_TOTAL_DELETE);

    db_bind_u64(q, 1, y->space);
    db_bind_str(q, 2, tenant_of(y));
    if (y->now.count) {
        db_bind_u64(q, 3, y->now.count);
        db_bind_u64(q, 4, y->now.bytes);
    }
    return db_run(q);
}

int tally_write(struct sqlite_store *s, struct db *db)
{
    int fault = SQLITE_OK;

    for (struct tally *y = s->writer.tallies.changed; y && !fault; y = y->next_changed)
        fault = y->id ? write_topic(db, y) : write_total(db, y);
    return fault;
}

/* A tenant that has nothing in a space any more, or a topic that never came into being. */
static void forget_if_empty(struct tallies *t, struct tally *y)
{
    if (y->id ? y->now.last : y->now.count)
        return;
    map_remove(&t->map, (str){y->key, y->key_len});
    t->topics -= y->id != 0;
    free(y);
}

static struct tally *take_changed(struct tallies *t)
{
    struct tally *y = t->changed;

    if (y) {
        t->changed = y->next_changed;
        y->is_changed = false;
    }
    return y;
}

void tally_commit(struct tallies *t)
{
    for (struct tally *y; (y = take_changed(t));) {
        y->saved = y->now;
        forget_if_empty(t, y);
    }
}

void tally_rollback(struct sqlite_store *s)
{
    struct tallies *t = &s->writer.tallies;

    for (struct tally *y; (y = take_changed(t));) {
        if (!y->id)
            store_gauge_add(&s->base, y->space, (int64_t)(y->saved.count - y->now.count),
                            (int64_t)(y->saved.bytes - y->now.bytes));
        y->now = y->saved;
        forget_if_empty(t, y);
    }
}

void tally_deinit(struct tallies *t)
{
    struct map_entry *e;

    for (size_t at = 0; (e = map_each(&t->map, &at));)
        free(e->value);
    map_deinit(&t->map);
}
