#include "main/registries.h"
#include "base/check.h"
#include "base/json.h"
#include "base/log.h"
#include "config/plan.h"
#include "core/schemas.h"
#include "main/upsert.h"

#include <stdlib.h>

enum { ARENA_LIMIT = 64 << 20 };

/* Names of rows of STORE_CAPABILITY are capability ids; this is none. */
static const str first_start = S(":bootstrapped");
static const str default_id = S("observatory.models.infer");

/* --- storing ------------------------------------------------------------------------------------ */

struct save {
    struct store_request request;
    registry_saved done;
    void *arg;
    str name, value;
    char bytes[];
};

static void over(struct save *s, bool is_ok)
{
    if (s->done)
        s->done(s->arg, is_ok);
    free(s);
}

static void saved(struct store_request *r)
{
    struct save *s = container_of(r, struct save, request);
    bool is_ok = r->status == MIG_OK || (!s->value.ptr && r->status == MIG_NOT_FOUND);

    if (!is_ok)
        log_error("registry.store", F_STR("name", s->name), F_Z("why", r->reason ? r->reason : ""));
    over(s, is_ok);
}

void registry_save(struct node *n, enum store_space space, str name, str value, registry_saved done,
                   void *arg)
{
    struct save *s = malloc(sizeof *s + name.len + value.len);
    const struct store_key key = {STORE_NODE, space, {s ? s->bytes : NULL, name.len}};

    must(s);
    *s = (struct save){.request = {.loop = n->control, .done = saved}, .done = done, .arg = arg};
    s->name = (str){memcpy(s->bytes, name.ptr, name.len), name.len};
    if (value.ptr)
        s->value = (str){memcpy(s->bytes + name.len, value.ptr, value.len), value.len};
    mig_status status = value.ptr ? store_put(n->store, &s->request, key, s->value, STORE_ANY, 0)
                                  : store_delete(n->store, &s->request, key, STORE_ANY);
    if (status != MIG_OK)
        over(s, false);
}

/* --- loading ------------------------------------------------------------------------------------ */

struct loading {
    struct buf capabilities; /* an open array */
    struct schemas *schemas;
    bool has_started_before;
};

static bool is_nodes(struct store_tenant tenant)
{
    return str_eq(tenant.id, STORE_NODE.id);
}

static bool are_upserts(str value)
{
    struct arena_pool pool = {0};
    struct arena *a = arena_new(&pool, ARENA_LIMIT);
    struct json doc;
    bool is =
        a && json_parse(&doc, a, value, NULL) && json_is_array(doc.root) && json_size(doc.root) > 0;

    if (is)
        for (struct json_iter i = json_iter(doc.root); json_next(&i);)
            is &= !upsert_fault(i.value);
    if (a)
        arena_unref(a);
    arena_pool_deinit(&pool);
    return is;
}

static void add_upserts(struct loading *l, str array)
{
    buf_addz(&l->capabilities, l->capabilities.len > 1 ? "," : "");
    buf_add(&l->capabilities, (str){array.ptr + 1, array.len - 2});
}

static void load_capability(void *arg, struct store_tenant tenant, const struct store_row *row)
{
    struct loading *l = arg;

    if (!is_nodes(tenant))
        return;
    if (str_eq(row->name, first_start))
        l->has_started_before = true;
    else if (are_upserts(row->value))
        add_upserts(l, row->value);
    else
        log_warn("registry.capability", F_STR("id", row->name),
                 F_Z("why", "what is stored is no capability that this version can serve"));
}

static void load_schema(void *arg, struct store_tenant tenant, const struct store_row *row)
{
    struct loading *l = arg;
    struct schemas *more =
        is_nodes(tenant) ? schemas_with(l->schemas, row->name, row->value) : NULL;

    if (!more)
        return;
    schemas_unref(l->schemas);
    l->schemas = more;
}

static void bootstrap(struct node *n, struct loading *l)
{
    struct buf row;

    buf_init(&row, 1 << 16);
    buf_addf(&row, "[%s]", plan_bootstrap);
    add_upserts(l, buf_str(&row));
    registry_save(n, STORE_CAPABILITY, default_id, buf_str(&row), NULL, NULL);
    registry_save(n, STORE_CAPABILITY, first_start, S("1"), NULL, NULL);
    buf_deinit(&row);
}

bool registries_load(struct node *n, const struct settings *s, struct diag *d)
{
    struct loading l = {.schemas = schemas_new()};

    buf_init(&l.capabilities, BUF_MAX);
    buf_addc(&l.capabilities, '[');
    bool is_ok = store_each_row(n->store, STORE_CAPABILITY, load_capability, &l, d) &&
                 store_each_row(n->store, STORE_SCHEMA, load_schema, &l, d);
    if (is_ok && s->is_bootstrap && !l.has_started_before)
        bootstrap(n, &l);
    buf_addc(&l.capabilities, ']');
    char *text = buf_take_z(&l.capabilities);
    must(text);
    reload_restore(n->reloader, text, l.schemas);
    return is_ok;
}
