#include "store/driver.h"
#include "base/check.h"
#include "loop/loop.h"

const char *store_space_name(enum store_space space)
{
    static const char *const names[] = {
        [STORE_KV] = "kv",
        [STORE_IDEMPOTENCY] = "idempotency",
        [STORE_CONSUMER] = "consumer",
        [STORE_CAPABILITY] = "capability",
        [STORE_SCHEMA] = "schema",
        [STORE_QUOTA] = "quota",
        [STORE_USAGE] = "usage",
        [STORE_ORG] = "org",
        [STORE_TENANT] = "tenant",
        [STORE_GATEWAY] = "gateway",
        [STORE_SESSION] = "session",
    };
    const char *name = (size_t)space < countof(names) ? names[space] : NULL;

    return name ? name : "space";
}

/* --- asking ------------------------------------------------------------------------------------- */

enum {
    BYTES_MAX = 1 << 29
}; /* of a value or record whatever the settings say: SQLite's limit is near */

static bool fits(str s, size_t min, size_t max)
{
    return s.len >= min && s.len <= max;
}

/* Clears the last answer. NULL: the request is still out, which is a bug of the caller. */
static struct store_request *fill(struct store_request *r, enum store_op op,
                                  struct store_tenant tenant, str name)
{
    if (broken(r->is_waiting))
        return NULL;
    store_read_done(r);
    *r = (struct store_request){.loop = r->loop, .done = r->done};
    r->op = (uint8_t)op;
    r->tenant = tenant;
    r->name = name;
    return r;
}

static struct store_request *begin(struct store_request *r, enum store_op op,
                                   struct store_tenant tenant, str name)
{
    return broken(!r->loop || !r->done) ? NULL : fill(r, op, tenant, name);
}

static bool is_sound(const struct store *s, const struct store_request *r, size_t name_min)
{
    return fits(r->tenant.id, 1, STORE_TENANT_MAX) && fits(r->name, name_min, STORE_NAME_MAX) &&
           fits(r->key, 0, STORE_NAME_MAX) && fits(r->event_id, 0, STORE_NAME_MAX) &&
           fits(r->bytes_in, 0, BYTES_MAX) && r->bytes_in.len <= s->settings.max_value_bytes;
}

static bool is_space(enum store_space space)
{
    return (int)space > 0 && space < STORE_SPACES;
}

static void set_waiting(struct store_request *r, bool is_waiting)
{
    r->is_waiting = is_waiting;
    if (r->with)
        r->with->is_waiting = is_waiting;
}

static mig_status submit(struct store *s, struct store_request *r, size_t name_min)
{
    if (!is_sound(s, r, name_min))
        return MIG_INVALID_REQUEST;
    set_waiting(r, true);
    mig_status status = s->driver->submit(s, r);
    if (status)
        set_waiting(r, false);
    return status;
}

static mig_status submit_key(struct store *s, struct store_request *r, enum store_space space,
                             size_t name_min)
{
    if (!is_space(space))
        return MIG_INVALID_REQUEST;
    r->space = (uint8_t)space;
    return submit(s, r, name_min);
}

mig_status store_get(struct store *s, struct store_request *r, struct store_key key)
{
    if (!begin(r, OP_GET, key.tenant, key.name))
        return MIG_E_ARG;
    return submit_key(s, r, key.space, 1);
}

static void fill_put(struct store_request *r, str value, uint64_t expect, uint64_t expires_at_ms)
{
    r->bytes_in = value;
    r->in = expect;
    r->at_ms = expires_at_ms;
}

mig_status store_put(struct store *s, struct store_request *r, struct store_key key, str value,
                     uint64_t expect, uint64_t expires_at_ms)
{
    if (!begin(r, OP_PUT, key.tenant, key.name))
        return MIG_E_ARG;
    fill_put(r, value, expect, expires_at_ms);
    return submit_key(s, r, key.space, 1);
}

mig_status store_prepare_put(struct store *s, struct store_request *r, struct store_key key,
                             str value, uint64_t expect, uint64_t expires_at_ms)
{
    if (!fill(r, OP_PUT, key.tenant, key.name))
        return MIG_E_ARG;
    fill_put(r, value, expect, expires_at_ms);
    r->space = (uint8_t)key.space;
    return is_space(key.space) && is_sound(s, r, 1) ? MIG_OK : MIG_INVALID_REQUEST;
}

mig_status store_delete(struct store *s, struct store_request *r, struct store_key key,
                        uint64_t expect)
{
    if (!begin(r, OP_DELETE, key.tenant, key.name))
        return MIG_E_ARG;
    r->in = expect;
    return submit_key(s, r, key.space, 1);
}

mig_status store_add(struct store *s, struct store_request *r, struct store_key key, int64_t delta,
                     uint64_t expires_at_ms)
{
    if (!begin(r, OP_ADD, key.tenant, key.name))
        return MIG_E_ARG;
    r->in = (uint64_t)delta;
    r->at_ms = expires_at_ms;
    return submit_key(s, r, key.space, 1);
}

static void limit(struct store_request *r, uint32_t max_records, size_t max_bytes)
{
    r->max_records = max_records > STORE_ROWS_MAX ? STORE_ROWS_MAX : max_records;
    r->max_bytes = max_bytes > STORE_ANSWER_MAX ? STORE_ANSWER_MAX : max_bytes;
}

mig_status store_range(struct store *s, struct store_request *r, struct store_key prefix, str after,
                       uint32_t max_rows, size_t max_bytes)
{
    if (!begin(r, OP_RANGE, prefix.tenant, prefix.name))
        return MIG_E_ARG;
    r->key = after;
    limit(r, max_rows, max_bytes);
    return submit_key(s, r, prefix.space, 0);
}

mig_status store_count(struct store *s, struct store_request *r, struct store_tenant tenant,
                       enum store_space space)
{
    if (!begin(r, OP_COUNT, tenant, (str){0}))
        return MIG_E_ARG;
    return submit_key(s, r, space, 0);
}

mig_status store_append(struct store *s, struct store_request *r, struct store_topic topic,
                        const struct store_record *record)
{
    return store_append_with(s, r, topic, record, NULL);
}

mig_status store_append_with(struct store *s, struct store_request *r, struct store_topic topic,
                             const struct store_record *record, struct store_request *with)
{
    bool is_put = !with || (with->op == OP_PUT && !with->is_waiting);

    if (broken(!is_put) || !begin(r, OP_APPEND, topic.tenant, topic.name))
        return MIG_E_ARG;
    r->with = with;
    r->in = record->seq;
    r->at_ms = record->at_ms;
    r->key = record->key;
    r->event_id = record->event_id;
    r->bytes_in = record->bytes;
    return submit(s, r, 1);
}

mig_status store_read(struct store *s, struct store_request *r, struct store_topic topic,
                      uint64_t after_seq, uint32_t max_records, size_t max_bytes)
{
    if (!begin(r, OP_READ, topic.tenant, topic.name))
        return MIG_E_ARG;
    r->in = after_seq;
    limit(r, max_records, max_bytes);
    return submit(s, r, 1);
}

mig_status store_trim(struct store *s, struct store_request *r, struct store_topic topic,
                      uint64_t up_to)
{
    if (!begin(r, OP_TRIM, topic.tenant, topic.name))
        return MIG_E_ARG;
    r->in = up_to;
    return submit(s, r, 1);
}

mig_status store_head(struct store *s, struct store_request *r, struct store_topic topic)
{
    if (!begin(r, OP_HEAD, topic.tenant, topic.name))
        return MIG_E_ARG;
    return submit(s, r, 1);
}

/* --- answering ---------------------------------------------------------------------------------- */

static void deliver(struct task *t)
{
    struct store_request *r = container_of(t, struct store_request, task);

    set_waiting(r, false);
    r->done(r);
}

void store_answer(struct store_request *r)
{
    r->task.run = deliver;
    if (loop_is_current(r->loop))
        loop_defer(r->loop, &r->task);
    else
        loop_post(r->loop, &r->task);
}

void store_fail(struct store_request *r, mig_status status, const char *reason)
{
    store_read_done(r);
    r->status = status;
    r->reason = reason;
}

size_t store_request_size(const struct store_request *r)
{
    size_t with = r->with ? store_request_size(r->with) : 0;

    return sizeof *r + r->bytes_in.len + r->key.len + r->event_id.len + r->name.len + with;
}

/* What lies in the block before each row's texts. */
struct packed {
    uint64_t numbers[2];
    uint32_t lengths[3];
    uint32_t unused;
};

bool store_pack(struct store_request *r, const uint64_t numbers[2], const str texts[3])
{
    struct packed p = {.numbers = {numbers[0], numbers[1]}};
    size_t size = sizeof p;

    for (int i = 0; i < 3; i++) {
        p.lengths[i] = (uint32_t)texts[i].len;
        size += texts[i].len;
    }
    if (r->count && (r->count >= r->max_records || r->block.len + size > r->max_bytes)) {
        r->has_more = true;
        return false;
    }
    if (!r->block.ptr)
        buf_init(&r->block, BUF_MAX);
    if (!buf_reserve(&r->block, size)) {
        store_fail(r, MIG_UNAVAILABLE, "memory");
        return false;
    }
    buf_add(&r->block, (str){(const char *)&p, sizeof p});
    for (int i = 0; i < 3; i++)
        buf_add(&r->block, texts[i]);
    r->count++;
    return true;
}

static bool unpack(struct store_request *r, struct packed *ret, str texts[3])
{
    if (r->block.len - r->at < sizeof *ret)
        return false;
    memcpy(ret, r->block.ptr + r->at, sizeof *ret);
    r->at += sizeof *ret;
    for (int i = 0; i < 3; i++) {
        texts[i] = (str){r->block.ptr + r->at, ret->lengths[i]};
        r->at += ret->lengths[i];
    }
    return true;
}

bool store_next_row(struct store_request *r, struct store_row *ret)
{
    struct packed p;
    str texts[3];

    if (!unpack(r, &p, texts))
        return false;
    *ret = (struct store_row){texts[0], texts[1], p.numbers[0], p.numbers[1]};
    return true;
}

bool store_next_record(struct store_request *r, struct store_record *ret)
{
    struct packed p;
    str texts[3];

    if (!unpack(r, &p, texts))
        return false;
    *ret = (struct store_record){p.numbers[0], p.numbers[1], texts[0], texts[1], texts[2]};
    return true;
}

bool store_pack_value(struct store_request *r, str value)
{
    buf_init(&r->block, BUF_MAX);
    if (!buf_reserve(&r->block, value.len + 1)) {
        store_fail(r, MIG_UNAVAILABLE, "memory");
        return false;
    }
    buf_add(&r->block, value);
    r->value = buf_str(&r->block);
    return true;
}

void store_read_done(struct store_request *r)
{
    buf_deinit(&r->block);
    r->value = (str){0};
    r->at = 0;
}

/* --- limits, counters --------------------------------------------------------------------------- */

static bool is_within(uint64_t have, uint64_t more, uint64_t max)
{
    return !more || !max || (have <= max && more <= max - have);
}

bool store_has_room(const struct store *s, unsigned space, uint64_t count, uint64_t bytes)
{
    const struct store_gauge *g = &s->spaces[space];

    return is_within(atomic_load(&g->count), count, atomic_load(&g->max_count)) &&
           is_within(atomic_load(&g->bytes), bytes, atomic_load(&g->max_bytes));
}

void store_gauge_add(struct store *s, unsigned space, int64_t count, int64_t bytes)
{
    atomic_fetch_add(&s->spaces[space].count, (uint64_t)count);
    atomic_fetch_add(&s->spaces[space].bytes, (uint64_t)bytes);
}

void store_set_limit(struct store *s, enum store_space space, uint64_t max_count,
                     uint64_t max_bytes)
{
    if (broken((int)space <= 0 || space >= STORE_SPACES))
        return;
    atomic_store(&s->spaces[space].max_count, max_count);
    atomic_store(&s->spaces[space].max_bytes, max_bytes);
}

void store_space_stats(const struct store *s, enum store_space space, uint64_t *ret_count,
                       uint64_t *ret_bytes)
{
    *ret_count = atomic_load(&s->spaces[space].count);
    *ret_bytes = atomic_load(&s->spaces[space].bytes);
}

uint64_t store_counter(const char bytes[8])
{
    uint64_t n = 0;

    for (int i = 7; i >= 0; i--)
        n = n << 8 | (unsigned char)bytes[i];
    return n;
}

uint64_t store_counter_add(uint64_t was, int64_t delta, char out[8])
{
    uint64_t size = delta < 0 ? 0 - (uint64_t)delta : (uint64_t)delta, now;

    if (delta < 0)
        now = size > was ? 0 : was - size;
    else
        now = size > UINT64_MAX - was ? UINT64_MAX : was + size;
    for (int i = 0; i < 8; i++)
        out[i] = (char)(now >> 8 * i);
    return now;
}

/* --- the whole ---------------------------------------------------------------------------------- */

bool store_each_topic(struct store *s, store_visit_topic *visit, void *arg, struct diag *d)
{
    return s->driver->each_topic(s, visit, arg, d);
}

bool store_each_row(struct store *s, enum store_space space, store_visit_row *visit, void *arg,
                    struct diag *d)
{
    return s->driver->each_row(s, space, visit, arg, d);
}

void store_stats(const struct store *s, struct store_stats *ret)
{
    *ret = (struct store_stats){0};
    s->driver->stats(s, ret);
}

void store_close(struct store *s)
{
    if (s)
        s->driver->close(s);
}
