#include "core/accounts.h"
#include "base/check.h"
#include "base/hex.h"
#include "base/map.h"
#include "core/core.h"
#include "core/tenants.h"
#include "store/store.h"

#include <stdlib.h>
#include <sys/random.h>

struct account {
    str id, json;
    char text[];
};

/* A row on its way to the store. */
struct saving {
    struct store_request request;
    struct list link;
    struct core *core;
    enum account_kind kind;
    struct account *account;
    void (*done)(void *arg, mig_status status);
    void *arg;
};

struct accounts {
    struct map kinds[ACCOUNT_KINDS];
    struct list savings;
};

static const struct {
    enum store_space space;
    const char *prefix;
} kinds[] = {
    [ACCOUNT_ORG] = {STORE_ORG, "org-"},
    [ACCOUNT_TENANT] = {STORE_TENANT, "tenant-"},
    [ACCOUNT_GATEWAY] = {STORE_GATEWAY, "gw-"},
};

static struct account *find(struct core *core, enum account_kind kind, str id)
{
    return map_get(&core->accounts->kinds[kind], id);
}

bool account_is(struct core *core, enum account_kind kind, str id)
{
    return find(core, kind, id) != NULL;
}

void account_new_id(struct core *core, enum account_kind kind, char ret_id[ACCOUNT_ID])
{
    size_t prefix = strlen(kinds[kind].prefix);
    unsigned char random[6];

    memcpy(ret_id, kinds[kind].prefix, prefix);
    do {
        must(getrandom(random, sizeof random, 0) == sizeof random);
        hex_write(ret_id + prefix, random, sizeof random);
        ret_id[prefix + 2 * sizeof random] = 0;
    } while (account_is(core, kind, str_of(ret_id)));
}

/* NULL: no room. */
static struct account *add(struct core *core, enum account_kind kind, str id, str json)
{
    struct map *m = &core->accounts->kinds[kind];
    struct account *a = m->count < ACCOUNTS_MAX ? malloc(sizeof *a + id.len + json.len) : NULL;
    struct tenant *t = a && kind == ACCOUNT_TENANT ? tenant_of(core->tenants, id) : NULL;

    if (!a)
        return NULL;
    a->id = (str){memcpy(a->text, id.ptr, id.len), id.len};
    a->json = (str){memcpy(a->text + id.len, json.ptr, json.len), json.len};
    if ((t && tenant_is_shared(t)) || !map_put(m, a->id, a)) {
        free(a);
        return NULL;
    }
    if (t)
        atomic_store(&t->is_registered, true);
    return a;
}

static void take_back(struct core *core, enum account_kind kind, struct account *a)
{
    map_remove(&core->accounts->kinds[kind], a->id);
    if (kind == ACCOUNT_TENANT)
        atomic_store(&tenant_of(core->tenants, a->id)->is_registered, false);
    free(a);
}

static void saved(struct store_request *r)
{
    struct saving *s = container_of(r, struct saving, request);
    bool ok = r->status == MIG_OK;

    if (!ok)
        take_back(s->core, s->kind, s->account);
    list_remove(&s->link);
    s->done(s->arg, ok ? MIG_OK : MIG_UNAVAILABLE);
    free(s);
}

void account_put(struct core *core, enum account_kind kind, str id, str json,
                 void (*done)(void *arg, mig_status status), void *arg)
{
    struct account *have = find(core, kind, id);

    if (have) {
        done(arg, str_eq(have->json, json) ? MIG_OK : MIG_INVALID_REQUEST);
        return;
    }
    struct account *a = add(core, kind, id, json);
    if (!a) {
        done(arg, MIG_BACKPRESSURE);
        return;
    }
    struct saving *s = malloc(sizeof *s);
    must(s);
    *s = (struct saving){{.loop = core->control, .done = saved}, {0}, core, kind, a, done, arg};
    list_push(&core->accounts->savings, &s->link);
    mig_status status =
        store_put(core->store, &s->request, store_key(STORE_NODE, kinds[kind].space, a->id),
                  a->json, STORE_ANY, 0);
    if (status == MIG_OK)
        return;
    s->request.status = status;
    saved(&s->request);
}

static int by_id(const void *a, const void *b)
{
    return str_cmp((*(struct account *const *)a)->id, (*(struct account *const *)b)->id);
}

void accounts_json(struct core *core, enum account_kind kind, struct buf *out)
{
    struct map *m = &core->accounts->kinds[kind];
    struct account **list = calloc(m->count + 1, sizeof(struct account *));
    struct map_entry *e;
    size_t n = 0;

    must(list);
    for (size_t at = 0; (e = map_each(m, &at));)
        list[n++] = e->value;
    if (n)
        qsort(list, n, sizeof *list, by_id);
    buf_addc(out, '[');
    for (size_t i = 0; i < n; i++) {
        buf_addz(out, i ? "," : "");
        buf_add(out, list[i]->json);
    }
    buf_addc(out, ']');
    free(list);
}

/* --- start and end ------------------------------------------------------------------------------ */

struct loading {
    struct core *core;
    enum account_kind kind;
};

static void load(void *arg, struct store_tenant tenant, const struct store_row *row)
{
    const struct loading *l = arg;

    (void)tenant;
    add(l->core, l->kind, row->name, row->value);
}

bool accounts_open(struct core *core, struct diag *d)
{
    bool ok = true;

    must(core->accounts = calloc(1, sizeof *core->accounts));
    list_init(&core->accounts->savings);
    for (int k = 0; k < ACCOUNT_KINDS; k++) {
        struct loading l = {core, (enum account_kind)k};
        ok = store_each_row(core->store, kinds[k].space, load, &l, d) && ok;
    }
    return ok;
}

void accounts_close(struct core *core)
{
    struct accounts *all = core->accounts;
    struct map_entry *e;

    if (!all)
        return;
    for (int k = 0; k < ACCOUNT_KINDS; k++) {
        for (size_t at = 0; (e = map_each(&all->kinds[k], &at));)
            free(e->value);
        map_deinit(&all->kinds[k]);
    }
    for (struct list *at = all->savings.next, *next; at != &all->savings; at = next) {
        next = at->next;
        free(container_of(at, struct saving, link));
    }
    free(all);
    core->accounts = NULL;
}
