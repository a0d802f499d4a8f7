#include "base/check.h"
#include "store/sqlite.h"

/* DELETE with RETURNING runs to its end before it gives the first row. */
#define EXPIRED "SELECT space, tenant, name FROM value WHERE expires > 0 AND expires <= ?1 LIMIT ?2"

static const char *const texts[SQL_COUNT] = {
    [SQL_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [SQL_BEGIN_READ] = "BEGIN",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_VALUE_FIND] = "SELECT revision, expires, length(bytes) FROM value"
                       " WHERE space = ?1 AND tenant = ?2 AND name = ?3",
    [SQL_VALUE_GET] = "SELECT revision, expires, sum, bytes FROM value"
                      " WHERE space = ?1 AND tenant = ?2 AND name = ?3",
    [SQL_VALUE_PUT] = "REPLACE INTO value (space, tenant, name, revision, expires, sum, bytes)"
                      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [SQL_VALUE_DELETE] = "DELETE FROM value WHERE space = ?1 AND tenant = ?2 AND name = ?3",
    [SQL_VALUE_RANGE] = "SELECT name, revision, expires, sum, bytes FROM value"
                        " WHERE space = ?1 AND tenant = ?2 AND name >= ?3 ORDER BY name",
    [SQL_VALUE_EACH] = "SELECT tenant, name, revision, expires, sum, bytes FROM value"
                       " WHERE space = ?1 ORDER BY tenant, name",
    [SQL_VALUE_PURGE] = "DELETE FROM value WHERE (space, tenant, name) IN (" EXPIRED
                        ") RETURNING space, tenant, length(name) + length(bytes)",
    [SQL_NEXT_EXPIRY] = "SELECT min(expires) FROM value WHERE expires > 0",
    [SQL_TOTAL_EACH] = "SELECT space, tenant, count, bytes FROM total",
    [SQL_TOTAL_GET] = "SELECT count, bytes FROM total WHERE space = ?1 AND tenant = ?2",
    [SQL_TOTAL_PUT] = "REPLACE INTO total (space, tenant, count, bytes) VALUES (?1, ?2, ?3, ?4)",
    [SQL_TOTAL_DELETE] = "DELETE FROM total WHERE space = ?1 AND tenant = ?2",
    [SQL_TOPIC_EACH] =
        "SELECT id, tenant, name, first, last, bytes, sum,"
        " (SELECT min(row) FROM record WHERE row BETWEEN id << 40 AND (id + 1 << 40) - 1),"
        " (SELECT max(row) FROM record WHERE row BETWEEN id << 40 AND (id + 1 << 40) - 1)"
        " FROM topic",
    [SQL_TOPIC_GET] = "SELECT id, first, last, bytes, sum FROM topic"
                      " WHERE tenant = ?1 AND name = ?2",
    [SQL_TOPIC_PUT] = "INSERT INTO topic (id, tenant, name, first, last, bytes, sum)"
                      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO UPDATE"
                      " SET first = ?4, last = ?5, bytes = ?6, sum = ?7",
    [SQL_RECORD_PUT] = "INSERT INTO record (row, at_ms, sum, key, event_id, bytes)"
                       " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [SQL_RECORD_EACH] = "SELECT row, at_ms, sum, key, event_id, bytes FROM record"
                        " WHERE row BETWEEN ?1 AND ?2 ORDER BY row",
    [SQL_RECORD_SIZE] = "SELECT sum(length(key) + length(event_id) + length(bytes)) FROM record"
                        " WHERE row BETWEEN ?1 AND ?2",
    [SQL_RECORD_DELETE] = "DELETE FROM record WHERE row BETWEEN ?1 AND ?2",
    [SQL_REVISION_GET] = "SELECT value FROM meta WHERE name = 'revision'",
    [SQL_REVISION_PUT] = "UPDATE meta SET value = ?1 WHERE name = 'revision'",
};

int db_open(struct db *db, const char *path)
{
    int fault = sqlite3_open_v2(path, &db->conn, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

    if (fault)
        return fault;
    sqlite3_extended_result_codes(db->conn, 1);
    sqlite3_busy_timeout(db->conn, DB_BUSY_MS);
    return SQLITE_OK;
}

int db_prepare(struct db *db)
{
    for (size_t i = 0; i < SQL_COUNT; i++) {
        int fault = sqlite3_prepare_v3(db->conn, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                                       &db->statements[i], NULL);
        if (fault)
            return fault;
    }
    return SQLITE_OK;
}

void db_close(struct db *db)
{
    for (size_t i = 0; i < SQL_COUNT; i++)
        sqlite3_finalize(db->statements[i]);
    sqlite3_close(db->conn);
    *db = (struct db){0};
}

sqlite3_stmt *db_use(struct db *db, enum db_sql sql)
{
    return db->statements[sql];
}

void db_bind_u64(sqlite3_stmt *q, int at, uint64_t v)
{
    sqlite3_bind_int64(q, at, v > INT64_MAX ? INT64_MAX : (sqlite3_int64)v);
}

void db_bind_str(sqlite3_stmt *q, int at, str v)
{
    sqlite3_bind_blob64(q, at, v.len ? v.ptr : "", v.len, SQLITE_STATIC);
}

void db_bind_key(sqlite3_stmt *q, struct store_key key)
{
    db_bind_u64(q, 1, key.space);
    db_bind_str(q, 2, key.tenant.id);
    db_bind_str(q, 3, key.name);
}

str db_str(sqlite3_stmt *q, int column)
{
    const void *p = sqlite3_column_blob(q, column);
    return (str){p, p ? (size_t)sqlite3_column_bytes(q, column) : 0};
}

int db_next(sqlite3_stmt *q)
{
    int got = sqlite3_step(q);

    return got == SQLITE_ROW ? got : sqlite3_reset(q);
}

int db_run(sqlite3_stmt *q)
{
    while (sqlite3_step(q) == SQLITE_ROW)
        ;
    return sqlite3_reset(q);
}

mig_status db_status(int fault, const char **ret_reason)
{
    static const struct {
        int fault;
        mig_status status;
        const char *reason;
    } meanings[] = {
        {SQLITE_OK, MIG_OK, NULL},
        {SQLITE_FULL, MIG_UNAVAILABLE, "disk_full"},
        {SQLITE_IOERR, MIG_UNAVAILABLE, "io"},
        {SQLITE_CANTOPEN, MIG_UNAVAILABLE, "io"},
        {SQLITE_READONLY, MIG_UNAVAILABLE, "io"},
        {SQLITE_PERM, MIG_UNAVAILABLE, "io"},
        {SQLITE_BUSY, MIG_UNAVAILABLE, "busy"},
        {SQLITE_LOCKED, MIG_UNAVAILABLE, "busy"},
        {SQLITE_NOMEM, MIG_UNAVAILABLE, "memory"},
        {SQLITE_CORRUPT, MIG_INTERNAL, "corrupt"},
        {SQLITE_NOTADB, MIG_INTERNAL, "corrupt"},
    };

    for (size_t i = 0; i < countof(meanings); i++)
        if (meanings[i].fault == (fault & 0xFF)) {
            *ret_reason = meanings[i].reason;
            return meanings[i].status;
        }
    *ret_reason = "store";
    return MIG_INTERNAL;
}

/* --- checksums ---------------------------------------------------------------------------------------- */

static uint32_t crc_tables[8][256];

/* CRC-32C (RFC 3720 B.4), eight bytes at a time: table k is for a byte with k more behind it. */
static void crc_init(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c >> 1 ^ (c & 1 ? 0x82F63B78u : 0);
        crc_tables[0][i] = c;
    }
    for (int k = 1; k < 8; k++)
        for (int i = 0; i < 256; i++)
            crc_tables[k][i] =
                crc_tables[k - 1][i] >> 8 ^ crc_tables[0][crc_tables[k - 1][i] & 0xFF];
}

static uint32_t crc_add(uint32_t c, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;

    for (; n >= 8; n -= 8, p += 8) {
        uint32_t now = 0;
        for (int i = 0; i < 8; i++)
            now ^= crc_tables[7 - i][p[i] ^ (i < 4 ? c >> 8 * i & 0xFF : 0)];
        c = now;
    }
    for (; n; n--)
        c = c >> 8 ^ crc_tables[0][(c ^ *p++) & 0xFF];
    return c;
}

static uint32_t crc_number(uint32_t c, uint64_t n)
{
    unsigned char bytes[8];

    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(n >> 8 * i);
    return crc_add(c, bytes, sizeof bytes);
}

uint32_t db_sum(const uint64_t *numbers, size_t n, const str *parts, size_t m)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    uint32_t c = UINT32_MAX;

    pthread_once(&once, crc_init);
    for (size_t i = 0; i < n; i++)
        c = crc_number(c, numbers[i]);
    for (size_t i = 0; i < m; i++)
        c = crc_number(c, parts[i].len);
    for (size_t i = 0; i < m; i++)
        c = crc_add(c, parts[i].ptr, parts[i].len);
    return ~c;
}
