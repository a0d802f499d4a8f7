#include "core/quota.h"
#include "base/check.h"
#include "core/core.h"
#include "store/store.h"

void quota_set(struct tenants *all, struct tenant *t, const struct quota_spec *spec)
{
    struct stripe *s = tenant_lock(all, t);
    struct tenant_quota *q = &t->quota;

    if (!q->max || q->window_ms != spec->window_ms) {
        q->window_ms = spec->window_ms;
        q->used = q->began_ms = q->reserved = 0;
        q->epoch++;
    }
    q->max = spec->max;
    atomic_store(&t->has_quota, true);
    stripe_unlock(s);
}

/* Under the lock: a window that is over makes place for the next one. */
static void roll(struct tenant_quota *q, uint64_t now_ms)
{
    if (!q->window_ms || (now_ms >= q->began_ms && now_ms - q->began_ms < q->window_ms))
        return;
    q->began_ms = now_ms;
    q->used = q->reserved = 0;
    q->epoch++;
    q->is_dirty = true;
}

static uint64_t used(const struct tenant *t)
{
    return t->quota.window_ms ? t->quota.used : atomic_load(&t->done);
}

static bool is_left(const struct tenant *t)
{
    return used(t) + t->quota.reserved < t->quota.max;
}

uint64_t quota_take(struct tenants *all, struct tenant *t, uint64_t now_ms, uint64_t *ret_wait_ms)
{
    struct stripe *s = tenant_lock(all, t);
    struct tenant_quota *q = &t->quota;
    uint64_t epoch = 0;

    roll(q, now_ms);
    if (is_left(t)) {
        q->reserved++;
        epoch = q->epoch;
    } else {
        *ret_wait_ms = q->window_ms ? q->began_ms + q->window_ms - now_ms : 0;
    }
    stripe_unlock(s);
    return epoch;
}

void quota_return(struct tenants *all, struct tenant *t, uint64_t epoch, bool is_used)
{
    struct stripe *s = tenant_lock(all, t);
    struct tenant_quota *q = &t->quota;

    if (is_used)
        atomic_fetch_add(&t->done,
                         1); /* under the lock: neither counted twice nor for a moment not */
    if (q->epoch == epoch) {
        q->reserved--;
        q->used += is_used && q->window_ms;
        q->is_dirty |= is_used && q->window_ms;
    }
    stripe_unlock(s);
}

bool quota_is_used_up(struct tenants *all, struct tenant *t, uint64_t now_ms)
{
    struct stripe *s = tenant_lock(all, t);
    bool is_used_up = false;

    if (t->quota.max) {
        roll(&t->quota, now_ms);
        is_used_up = !is_left(t);
    }
    stripe_unlock(s);
    return is_used_up;
}

/* --- for people --------------------------------------------------------------------------------- */

static void add(const struct tenant *t, struct buf *out)
{
    buf_addz(out, "{\"tenant_id\":");
    buf_add_json(out, str_of(t->name));
    buf_addz(out, ",\"max_invocations\":");
    buf_addu(out, t->quota.max);
    if (!t->quota.window_ms)
        return;
    buf_addz(out, ",\"window_seconds\":");
    buf_addu(out, t->quota.window_ms / 1000);
}

void quota_json(struct tenants *all, struct tenant *t, struct buf *out)
{
    struct stripe *s = tenant_lock(all, t);

    add(t, out);
    stripe_unlock(s);
}

void quota_json_used(struct tenants *all, struct tenant *t, uint64_t now_ms, struct buf *out)
{
    struct stripe *s = tenant_lock(all, t);

    roll(&t->quota, now_ms);
    add(t, out);
    buf_addz(out, ",\"used\":");
    buf_addu(out, used(t));
    stripe_unlock(s);
}

/* --- rows: four numbers, least significant byte first ------------------------------------------- */

void quota_row(const struct tenant *t, char ret_row[QUOTA_ROW])
{
    const struct tenant_quota *q = &t->quota;
    const uint64_t numbers[] = {q->max, q->window_ms, q->began_ms, q->used};

    for (size_t i = 0; i < QUOTA_ROW; i++)
        ret_row[i] = (char)(numbers[i / 8] >> i % 8 * 8);
}

static void load(void *arg, struct store_tenant tenant, const struct store_row *row)
{
    struct core *core = arg;
    uint64_t n[QUOTA_ROW / 8] = {0};

    if (row->value.len != QUOTA_ROW)
        return;
    for (size_t i = 0; i < QUOTA_ROW; i++)
        n[i / 8] |= (uint64_t)(unsigned char)row->value.ptr[i] << i % 8 * 8;
    struct tenant *t = tenant_of(core->tenants, tenant.id);
    if (!n[0] || tenant_is_shared(t))
        return;
    t->quota =
        (struct tenant_quota){.max = n[0], .window_ms = n[1], .began_ms = n[2], .used = n[3]};
    t->quota.epoch = 1;
    atomic_store(&t->has_quota, true);
}

bool quota_open(struct core *core, struct diag *d)
{
    return store_each_row(core->store, STORE_QUOTA, load, core, d);
}
