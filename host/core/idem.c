#include "core/idem.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/idem_own.h"

#include <stdlib.h>

static bool equal(const struct stripe_item *item, const void *k)
{
    const struct idem_entry *e = container_of(item, struct idem_entry, item);
    const struct idem_key *key = k;

    return e->key.kind == key->kind && str_eq(e->key.key, key->key) &&
           str_eq(e->key.name, key->name) && str_eq(e->key.tenant, key->tenant);
}

static uint64_t hash_of(const struct idem_key *k)
{
    return ((str_hash(k->tenant) * 31 + str_hash(k->name)) * 31 + str_hash(k->key)) * 31 +
           (uint64_t)k->kind;
}

static str put(char **at, str s)
{
    char *to = *at;

    if (s.len)
        memcpy(to, s.ptr, s.len);
    *at += s.len;
    return (str){to, s.len};
}

static struct idem_entry *entry_new(const struct idem_key *k, const char *fingerprint)
{
    size_t texts = k->tenant.len + k->name.len + k->key.len;
    struct idem_entry *e = calloc(1, sizeof *e + texts);
    char *at = e ? e->text : NULL;

    if (!e)
        return NULL;
    e->key = (struct idem_key){put(&at, k->tenant), k->kind, put(&at, k->name), put(&at, k->key)};
    memcpy(e->fingerprint, fingerprint, DIGEST_HEX);
    e->bytes = sizeof *e + texts;
    list_init(&e->waiting);
    list_init(&e->in_order);
    return e;
}

/* --- results ------------------------------------------------------------------------------------ */

static struct idem_result *result_of(const struct call_result *r)
{
    struct idem_result *o = malloc(sizeof *o + r->json.len + r->message.len + r->details.len);
    char *at = o ? o->bytes : NULL;

    if (!o)
        return NULL;
    atomic_init(&o->refs, 1);
    o->result = (struct call_result){
        .status = r->status,
        .json = put(&at, r->json),
        .message = put(&at, r->message),
        .details = put(&at, r->details),
        .retry_after_ms = r->retry_after_ms,
        .retry = r->retry,
    };
    return o;
}

static struct idem_result *result_ref(struct idem_result *r)
{
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void idem_result_unref(void *result)
{
    struct idem_result *r = result;

    if (r && atomic_fetch_sub(&r->refs, 1) == 1)
        free(r);
}

/* --- start -------------------------------------------------------------------------------------- */

static bool is_same(const struct idem_entry *e, const char *fingerprint)
{
    return memcmp(e->fingerprint, fingerprint, DIGEST_HEX) == 0;
}

/* Under the lock. */
static enum idem_answer join(struct idem *i, struct idem_entry *e, const char *fingerprint,
                             struct idem_ticket *t)
{
    if (!is_same(e, fingerprint))
        return IDEM_REUSED;
    if (e->result) {
        t->result = result_ref(e->result);
        atomic_fetch_add_explicit(&i->replays, 1, memory_order_relaxed);
        return IDEM_REPLAY;
    }
    t->entry = e;
    list_push(&e->waiting, &t->link);
    return IDEM_WAITS;
}

enum idem_answer idem_start(struct idem *i, const struct idem_key *key,
                            const char fingerprint[DIGEST_HEX], struct idem_ticket *t,
                            uint64_t now_ms)
{
    uint64_t hash = hash_of(key);
    struct idem_entry *old = NULL;
    enum idem_answer answer = IDEM_FIRST;

    t->idem = i;
    t->hash = hash;
    list_init(&t->link);
    struct stripe *s = stripe_lock(&i->map, hash);
    struct stripe_item *item = stripe_find(&i->map, s, hash, key);
    struct idem_entry *e = item ? container_of(item, struct idem_entry, item) : NULL;
    if (e && e->result && e->expires_ms <= now_ms) {
        idem_take_out(i, s, e);
        old = e;
        e = NULL;
    }
    if (e) {
        answer = join(i, e, fingerprint, t);
    } else if (!(e = entry_new(key, fingerprint)) || !stripe_add(s, &e->item, hash)) {
        free(e);
        answer = IDEM_NO_MEMORY;
    } else {
        t->entry = e;
    }
    stripe_unlock(s);
    if (old)
        idem_entry_free(old);
    return answer;
}

bool idem_leave(struct idem_ticket *t)
{
    struct stripe *s = stripe_lock(&t->idem->map, t->hash); /* the entry may be gone */
    bool waits = !list_is_empty(&t->link); /* whoever tells it has taken it out of the list */
    list_remove(&t->link);
    stripe_unlock(s);
    if (waits)
        t->entry = NULL;
    return waits;
}

/* --- the end ------------------------------------------------------------------------------------ */

static void run_told(struct task *task)
{
    struct idem_ticket *t = container_of(task, struct idem_ticket, task);

    if (t->result)
        t->entry = NULL;
    t->told(t);
}

static void tell(struct idem_ticket *t)
{
    t->task.run = run_told;
    loop_post(t->home, &t->task);
}

static void forget_row(struct idem_ticket *t)
{
    free(t->row);
    t->row = NULL;
}

static void forget_result(struct idem_ticket *t)
{
    forget_row(t);
    idem_result_unref(t->result);
    t->result = NULL;
}

void idem_abandon(struct idem_ticket *t)
{
    struct idem_entry *e = t->entry;
    struct idem_ticket *next = NULL;

    forget_result(t);
    struct stripe *s = stripe_lock(&t->idem->map, e->item.hash);

    t->entry = NULL;
    if (!list_is_empty(&e->waiting)) {
        next = container_of(e->waiting.next, struct idem_ticket, link);
        list_remove(&next->link);
    } else {
        stripe_remove(s, &e->item);
    }
    stripe_unlock(s);
    if (next)
        tell(next);
    else
        idem_entry_free(e);
}

/* Everybody may know. */
static void publish(struct idem_ticket *t, uint64_t now_ms, uint64_t revision)
{
    struct idem *i = t->idem;
    struct idem_entry *e = t->entry;
    struct list waiting;

    struct stripe *s = stripe_lock(&i->map, e->item.hash);
    e->result = result_ref(t->result);
    e->expires_ms = t->expires_ms;
    e->revision = revision;
    list_take(&waiting, &e->waiting);
    for (struct list *l = waiting.next; l != &waiting; l = l->next)
        container_of(l, struct idem_ticket, link)->result = result_ref(t->result);
    idem_line_up(i, e);
    /* Their links are emptied under the lock: from here on none of them can leave. */
    struct task_queue told = {0};
    while (!list_is_empty(&waiting)) {
        struct idem_ticket *w = container_of(waiting.next, struct idem_ticket, link);
        list_remove(&w->link);
        task_push(&told, &w->task);
    }
    stripe_unlock(s);
    t->entry = NULL;
    for (struct task *task; (task = task_pop(&told));) {
        atomic_fetch_add_explicit(&i->replays, 1, memory_order_relaxed);
        tell(container_of(task, struct idem_ticket, task));
    }
    idem_trim(i, now_ms);
}

static void settle(struct idem_ticket *t, uint64_t now_ms, uint64_t revision)
{
    forget_row(t);
    publish(t, now_ms, revision);
    t->stored(t);
}

static void note_unstored(struct idem *i, const char *why)
{
    atomic_fetch_add_explicit(&i->unstored, 1, memory_order_relaxed);
    log_warn("idempotency.unstored", F_Z("why", why ? why : "refused"));
}

static void row_stored(struct store_request *r)
{
    struct idem_ticket *t = container_of(r, struct idem_ticket, request);

    if (r->status != MIG_OK)
        note_unstored(t->idem, r->reason);
    settle(t, clock_wall_ms(), r->status == MIG_OK ? r->revision : 0);
}

/* The result and, with a store, its row. */
static bool make_result(struct idem_ticket *t, const struct call_result *r, uint64_t now_ms,
                        uint64_t expires_ms, struct idem_row *ret_row)
{
    const struct idem_entry *e = t->entry;

    t->expires_ms = expires_ms;
    t->result = result_of(r);
    if (t->result && t->idem->store)
        t->row = idem_row_write(ret_row, &e->key, e->fingerprint, &t->result->result, now_ms);
    if (t->result && (t->row || !t->idem->store))
        return true;
    forget_result(t);
    return false;
}

bool idem_finish(struct idem_ticket *t, const struct call_result *r, uint64_t now_ms,
                 uint64_t expires_ms)
{
    struct store *store = t->idem->store;
    struct idem_row row;

    if (!make_result(t, r, now_ms, expires_ms, &row))
        return false;
    if (!store) {
        settle(t, now_ms, 0);
        return true;
    }
    t->request = (struct store_request){.loop = t->home, .done = row_stored};
    mig_status status = store_put(store, &t->request, row.key, row.value, STORE_ANY, expires_ms);
    if (status != MIG_OK) {
        t->request.status = status;
        row_stored(&t->request);
    }
    return true;
}

bool idem_prepare(struct idem_ticket *t, const struct call_result *r, uint64_t now_ms,
                  uint64_t expires_ms, struct store_request **ret_row)
{
    struct store *store = t->idem->store;
    struct idem_row row;

    if (!make_result(t, r, now_ms, expires_ms, &row))
        return false;
    bool is_row = store && store_prepare_put(store, &t->request, row.key, row.value, STORE_ANY,
                                             expires_ms) == MIG_OK;
    if (store && !is_row)
        note_unstored(t->idem, NULL);
    *ret_row = is_row ? &t->request : NULL;
    return true;
}

void idem_settle(struct idem_ticket *t, uint64_t now_ms)
{
    settle(t, now_ms, t->request.revision);
}

/* --- the whole ---------------------------------------------------------------------------------- */

struct loading {
    struct idem *idem;
    uint64_t now_ms;
    struct loaded {
        struct idem_entry *entry;
        uint64_t at_ms;
    } * list;
    size_t count, cap;
};

static void load(void *arg, struct store_tenant tenant, const struct store_row *stored)
{
    struct loading *l = arg;
    struct idem_row_read row;

    if (stored->expires_at_ms <= l->now_ms || !idem_row_read(&row, tenant, stored))
        return;
    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 64;
        must(l->list = realloc(l->list, l->cap * sizeof *l->list));
    }
    struct idem_entry *e = entry_new(&row.key, row.fingerprint);
    must(e && (e->result = result_of(&row.result)));
    e->expires_ms = stored->expires_at_ms;
    e->revision = stored->revision;
    l->list[l->count++] = (struct loaded){e, row.at_ms};
}

static int by_age(const void *a, const void *b)
{
    uint64_t x = ((const struct loaded *)a)->at_ms, y = ((const struct loaded *)b)->at_ms;

    return (x > y) - (x < y);
}

static void take_loaded(struct loading *l)
{
    if (l->count)
        qsort(l->list, l->count, sizeof *l->list, by_age);
    for (size_t n = 0; n < l->count; n++) {
        struct idem_entry *e = l->list[n].entry;
        uint64_t hash = hash_of(&e->key);
        struct stripe *s = stripe_lock(&l->idem->map, hash);
        must(stripe_add(s, &e->item, hash));
        idem_line_up(l->idem, e);
        stripe_unlock(s);
    }
    free(l->list);
}

bool idem_open(struct idem **ret, struct store *s, uint64_t now_ms, struct diag *d)
{
    struct idem *i = stripe_alloc(sizeof *i);
    struct loading l = {.idem = i, .now_ms = now_ms};

    stripe_init(&i->map, equal);
    for (size_t n = 0; n < STRIPES; n++) {
        list_init(&i->queues[n].finished);
        list_init(&i->queues[n].drops);
        atomic_init(&i->queues[n].oldest, IDEM_NONE);
    }
    i->store = s;
    idem_set_limits(i, UINT64_MAX, UINT64_MAX);
    bool ok = !s || store_each_row(s, STORE_IDEMPOTENCY, load, &l, d);
    take_loaded(&l);
    *ret = i;
    return ok;
}

static void free_entry(void *arg, struct stripe *s, struct stripe_item *item)
{
    (void)arg;
    (void)s;
    idem_entry_free(container_of(item, struct idem_entry, item));
}

void idem_close(struct idem *i)
{
    if (!i)
        return;
    stripe_each(&i->map, free_entry, NULL);
    for (size_t n = 0; n < STRIPES; n++) {
        struct list *drops = &i->queues[n].drops;
        for (struct list *at = drops->next, *next; at != drops; at = next) {
            next = at->next;
            idem_drop_free(container_of(at, struct idem_drop, link));
        }
    }
    stripe_deinit(&i->map);
    free(i);
}

void idem_set_limits(struct idem *i, uint64_t max_entries, uint64_t max_bytes)
{
    atomic_store(&i->max_entries, max_entries);
    atomic_store(&i->max_bytes, max_bytes);
}

void idem_stats(const struct idem *from, struct idem_stats *ret)
{
    struct idem *i = (struct idem *)(uintptr_t)from;

    *ret = (struct idem_stats){atomic_load(&i->entries), atomic_load(&i->bytes),
                               atomic_load(&i->replays), atomic_load(&i->evicted),
                               atomic_load(&i->unstored)};
}
