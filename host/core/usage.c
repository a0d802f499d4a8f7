#include "core/usage.h"
#include "base/check.h"
#include "base/list.h"
#include "core/core.h"
#include "core/quota.h"
#include "store/store.h"

#include <stdlib.h>

enum { FLUSH_MS = 1000 };

struct usage_name {
    struct stripe_item item;
    unsigned place;      /* which of the lists of a tenant */
    uint64_t sum;        /* usage_json(): control thread    */
    struct list in_sums; /* the same                        */
    str id;              /* behind it; empty: those that share */
};

struct usage {
    struct stripe_map names;
    _Atomic unsigned name_count;
    _Atomic size_t cell_count;
    struct usage_name shared_name;
    struct usage_cell shared;
    struct list writes; /* control thread: what the store has not answered */
    struct timer tick;
    struct core *core;
};

static bool equal(const struct stripe_item *item, const void *key)
{
    return str_eq(container_of(item, struct usage_name, item)->id, *(const str *)key);
}

struct usage *usage_new(void)
{
    struct usage *u = stripe_alloc(sizeof *u);

    stripe_init(&u->names, equal);
    list_init(&u->writes);
    list_init(&u->shared_name.in_sums);
    u->shared.name = &u->shared_name;
    return u;
}

const struct usage_name *usage_name_of(struct usage *u, str id)
{
    uint64_t hash = str_hash(id);
    struct stripe *s = stripe_lock(&u->names, hash);
    struct stripe_item *item = stripe_find(&u->names, s, hash, &id);
    struct usage_name *n = item ? container_of(item, struct usage_name, item) : NULL;

    if (!n && atomic_load(&u->name_count) < USAGE_NAMES_MAX &&
        (n = calloc(1, sizeof *n + id.len))) {
        n->place = atomic_fetch_add(&u->name_count, 1) % TENANT_CELLS;
        n->id = (str){memcpy(n + 1, id.ptr, id.len), id.len};
        list_init(&n->in_sums);
        if (!stripe_add(s, &n->item, hash)) {
            free(n);
            n = NULL;
        }
    }
    stripe_unlock(s);
    return n ? n : &u->shared_name;
}

/* Lists only grow at their front, so that a reader needs no lock. */
static struct usage_cell *find(struct usage_cell *c, const struct usage_name *name)
{
    while (c && c->name != name)
        c = c->next;
    return c;
}

struct usage_cell *usage_cell_of(struct usage *u, struct tenant *t, const struct usage_name *name)
{
    _Atomic(struct usage_cell *) *list = &t->cells[name->place];
    struct usage_cell *first = atomic_load(list), *c = find(first, name), *fresh = NULL;

    if (c)
        return c;
    if (atomic_fetch_add(&u->cell_count, 1) < USAGE_CELLS_MAX)
        fresh = calloc(1, sizeof *fresh);
    if (!fresh) {
        atomic_fetch_sub(&u->cell_count, 1);
        return &u->shared;
    }
    fresh->name = name;
    fresh->next = first;
    while (!atomic_compare_exchange_weak(list, &first, fresh)) {
        if ((c = find(first, name))) { /* another loop was first */
            atomic_fetch_sub(&u->cell_count, 1);
            free(fresh);
            return c;
        }
        fresh->next = first;
    }
    return fresh;
}

/* --- storing ------------------------------------------------------------------------------------ */

/* One row on its way to the store. */
struct write {
    struct store_request request;
    struct list link;
    struct usage *usage;
    struct usage_cell *cell; /* NULL: a quota */
    struct tenant *tenant;
    uint64_t count;
    char bytes[QUOTA_ROW];
};

static struct store_tenant whose(const struct tenant *t)
{
    return tenant_is_shared(t) ? STORE_NODE : (struct store_tenant){str_of(t->name)};
}

static struct write *write_new(struct usage *u, struct tenant *t)
{
    struct write *w = calloc(1, sizeof *w);

    must(w);
    w->usage = u;
    w->tenant = t;
    list_push(&u->writes, &w->link);
    return w;
}

static void written(struct store_request *r)
{
    struct write *w = container_of(r, struct write, request);

    if (w->cell) {
        w->cell->is_saving = false;
        w->cell->saved = r->status == MIG_OK ? w->count : w->cell->saved;
    } else if (r->status != MIG_OK) {
        struct stripe *s = tenant_lock(w->usage->core->tenants, w->tenant);
        w->tenant->quota.is_dirty = true;
        stripe_unlock(s);
    }
    list_remove(&w->link);
    free(w);
}

static void note_cell(struct usage *u, struct tenant *t, struct usage_cell *c)
{
    uint64_t count = atomic_load(&c->count);

    if (count == c->saved || c->is_saving)
        return;
    struct write *w = write_new(u, t);
    w->cell = c;
    w->count = count;
    c->is_saving = true;
    for (int i = 0; i < 8; i++)
        w->bytes[i] = (char)(count >> 8 * i);
}

/* Under the lock of t. */
static void note_changes(struct tenant *t, void *arg)
{
    struct usage *u = arg;

    for (size_t i = 0; i < TENANT_CELLS; i++)
        for (struct usage_cell *c = atomic_load(&t->cells[i]); c; c = c->next)
            note_cell(u, t, c);
    if (t->quota.is_dirty) {
        quota_row(t, write_new(u, t)->bytes);
        t->quota.is_dirty = false;
    }
}

static void submit(struct usage *u, struct write *w)
{
    const struct store_key key =
        w->cell ? store_key(whose(w->tenant), STORE_USAGE,
                            w->cell->name->id.len ? w->cell->name->id : S("\001"))
                : store_key(whose(w->tenant), STORE_QUOTA, QUOTA_NAME);

    w->request = (struct store_request){.loop = u->core->control, .done = written};
    mig_status status = store_put(u->core->store, &w->request, key,
                                  (str){w->bytes, w->cell ? 8 : QUOTA_ROW}, STORE_ANY, 0);
    if (status == MIG_OK)
        return;
    w->request.status = status; /* the next flush tries again */
    written(&w->request);
}

void usage_flush(struct core *core)
{
    struct usage *u = core->usage;
    struct list *before = u->writes.prev;

    if (!core->store)
        return;
    tenants_each(core->tenants, note_changes, u);
    note_cell(u, tenant_shared(core->tenants), &u->shared);
    for (struct list *at = before->next, *next; at != &u->writes; at = next) {
        next = at->next;
        submit(u, container_of(at, struct write, link));
    }
}

static void tick(struct timer *timer)
{
    struct usage *u = container_of(timer, struct usage, tick);

    usage_flush(u->core);
    loop_timer(u->core->control, timer, FLUSH_MS, tick);
}

static void load(void *arg, struct store_tenant tenant, const struct store_row *row)
{
    struct core *core = arg;
    struct usage *u = core->usage;
    bool is_node = str_eq(tenant.id, STORE_NODE.id);
    struct tenant *t = is_node ? tenant_shared(core->tenants) : tenant_of(core->tenants, tenant.id);
    uint64_t count = 0;

    if (row->value.len != 8)
        return;
    for (int i = 0; i < 8; i++)
        count |= (uint64_t)(unsigned char)row->value.ptr[i] << 8 * i;
    struct usage_cell *c = str_eq(row->name, S("\001"))
                               ? &u->shared
                               : usage_cell_of(u, t, usage_name_of(u, row->name));
    atomic_fetch_add(&c->count, count);
    c->saved = atomic_load(&c->count);
    atomic_fetch_add(&t->done, count);
}

bool usage_open(struct core *core, struct diag *d)
{
    core->usage->core = core;
    loop_timer(core->control, &core->usage->tick, FLUSH_MS, tick);
    return store_each_row(core->store, STORE_USAGE, load, core, d);
}

static void free_name(void *arg, struct stripe *s, struct stripe_item *item)
{
    (void)arg;
    (void)s;
    free(container_of(item, struct usage_name, item));
}

static void free_cells(struct tenant *t, void *arg)
{
    (void)arg;
    for (size_t i = 0; i < TENANT_CELLS; i++)
        for (struct usage_cell *c = atomic_load(&t->cells[i]), *next; c; c = next) {
            next = c->next;
            free(c);
        }
}

void usage_free(struct usage *u, struct tenants *all)
{
    tenants_each(all, free_cells, NULL);
    for (struct list *at = u->writes.next, *next; at != &u->writes; at = next) {
        next = at->next;
        free(container_of(at, struct write, link));
    }
    stripe_each(&u->names, free_name, NULL);
    stripe_deinit(&u->names);
    free(u);
}

/* --- for people --------------------------------------------------------------------------------- */

struct sums {
    str tenant;
    struct buf *out;
    struct list names;
    uint64_t total;
    bool has_tenant;
};

static void add_pair(struct buf *out, str name, uint64_t n)
{
    if (name.len)
        buf_add_json(out, name);
    else
        buf_addz(out, "\"(other)\""); /* no tenant or capability is called so */
    buf_addc(out, ':');
    buf_addu(out, n);
}

static uint64_t sum_up(struct sums *s, struct usage_cell *c)
{
    struct usage_name *name = (struct usage_name *)(uintptr_t)c->name;
    uint64_t n = atomic_load(&c->count);

    if (n && list_is_empty(&name->in_sums)) {
        list_push(&s->names, &name->in_sums);
        name->sum = 0;
    }
    name->sum += n;
    return n;
}

static void add_tenant(struct tenant *t, void *arg)
{
    struct sums *s = arg;
    uint64_t sum = 0;

    if (s->tenant.len && !str_eq(s->tenant, str_of(t->name)))
        return;
    for (size_t i = 0; i < TENANT_CELLS; i++)
        for (struct usage_cell *c = atomic_load(&t->cells[i]); c; c = c->next)
            sum += sum_up(s, c);
    if (!sum)
        return;
    buf_addz(s->out, s->has_tenant ? "," : "");
    add_pair(s->out, str_of(t->name), sum);
    s->has_tenant = true;
    s->total += sum;
}

void usage_json(struct core *core, str tenant, struct buf *out)
{
    struct sums s = {.tenant = tenant, .out = out};

    list_init(&s.names);
    buf_addz(out, "{\"tenant_invocations\":{");
    tenants_each(core->tenants, add_tenant, &s);
    if (!tenant.len)
        s.total += sum_up(&s, &core->usage->shared);
    buf_addz(out, "},\"capability_invocations\":{");
    for (bool first = true; !list_is_empty(&s.names); first = false) {
        struct usage_name *n = container_of(s.names.next, struct usage_name, in_sums);
        buf_addz(out, first ? "" : ",");
        add_pair(out, n->id, n->sum);
        list_remove(&n->in_sums);
    }
    buf_addz(out, "},\"total_invocations\":");
    buf_addu(out, s.total);
    buf_addc(out, '}');
}
