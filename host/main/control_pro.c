/* Verbs behind /pro/v0.1 (MIG v0.1 14.2): quotas and questions about policies. */
#include "base/check.h"
#include "base/clock.h"
#include "core/core.h"
#include "core/names.h"
#include "core/quota.h"
#include "main/verbs.h"
#include "store/store.h"

#include <stdlib.h>

enum { WINDOW_MAX_S = 315360000 };

/* --- quotas ------------------------------------------------------------------------------------- */

struct quota_saving {
    struct store_request request;
    struct verb_later *later;
    char row[QUOTA_ROW];
};

static void quota_saved(struct store_request *r)
{
    struct quota_saving *q = container_of(r, struct quota_saving, request);
    struct verb_later *l = q->later;

    if (r->status == MIG_OK) {
        verb_say(&l->call, &l->json);
    } else {
        buf_deinit(&l->json);
        verb_refuse_store(&l->call);
    }
    free(l);
    free(q);
}

static void quota_save(const struct verb_call *v, struct tenant *t)
{
    struct core *core = v->node->core;
    struct quota_saving *q = calloc(1, sizeof *q);

    must(q);
    q->later = verb_later(v);
    quota_json(core->tenants, t, &q->later->json);
    buf_addc(&q->later->json, '}');
    struct stripe *s = tenant_lock(core->tenants, t);
    quota_row(t, q->row);
    stripe_unlock(s);
    q->request = (struct store_request){.loop = core->control, .done = quota_saved};
    mig_status status =
        store_put(core->store, &q->request,
                  store_key((struct store_tenant){str_of(t->name)}, STORE_QUOTA, QUOTA_NAME),
                  (str){q->row, sizeof q->row}, STORE_ANY, 0);
    if (status == MIG_OK)
        return;
    q->request.status = status;
    quota_saved(&q->request);
}

static const char *quota_fault(const struct verb_call *v, int64_t *ret_max, int64_t *ret_window_s)
{
    const json_value *max = json_have(verb_body(v), S("max_invocations"));
    const json_value *window = json_have(verb_body(v), S("window_seconds"));

    *ret_window_s = 0;
    if (!verb_member(v, S("tenant_id")).len)
        return "tenant_id is required";
    if (!name_is_tenant(verb_member(v, S("tenant_id"))))
        return "tenant_id has the wrong form";
    if (!json_is_integer(max, ret_max) || *ret_max < 1)
        return "max_invocations must be > 0";
    if (window && (!json_is_integer(window, ret_window_s) || *ret_window_s < 1 ||
                   *ret_window_s > WINDOW_MAX_S))
        return "window_seconds must be from 1 to 315360000";
    return NULL;
}

static void verb_quota_put(const struct verb_call *v)
{
    struct core *core = v->node->core;
    int64_t max, window_s;
    const char *fault = quota_fault(v, &max, &window_s);

    if (fault) {
        verb_refuse(v, MIG_INVALID_REQUEST, "invalid_quota", fault);
        return;
    }
    struct tenant *t = tenant_of(core->tenants, verb_member(v, S("tenant_id")));
    if (tenant_is_shared(t)) {
        verb_refuse(v, MIG_BACKPRESSURE, "too_many_tenants", "no room for another tenant");
        return;
    }
    quota_set(core->tenants, t, &(struct quota_spec){(uint64_t)max, (uint64_t)window_s * 1000});
    quota_save(v, t);
}

/* Tenants with a quota, noted under their locks and told of outside. */
struct quota_list {
    str tenant; /* empty: any */
    str own;    /* of a restricted caller; ptr NULL: any */
    struct tenant **list;
    size_t count, cap;
};

static void note_quota(struct tenant *t, void *arg)
{
    struct quota_list *l = arg;

    if (!atomic_load(&t->has_quota) || (l->tenant.len && !str_eq(l->tenant, str_of(t->name))) ||
        (l->own.ptr && !str_eq(l->own, str_of(t->name))))
        return;
    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 64;
        must(l->list = realloc(l->list, l->cap * sizeof *l->list));
    }
    l->list[l->count++] = t;
}

static int by_tenant(const void *a, const void *b)
{
    return strcmp((*(struct tenant *const *)a)->name, (*(struct tenant *const *)b)->name);
}

static void verb_quotas(const struct verb_call *v)
{
    struct core *core = v->node->core;
    struct quota_list l = {.tenant = verb_text(v, S("tenant_id")), .own = verb_tenant(v)};
    struct buf out;

    tenants_each(core->tenants, note_quota, &l);
    if (l.count)
        qsort(l.list, l.count, sizeof *l.list, by_tenant);
    buf_init(&out, BUF_MAX);
    buf_addz(&out, "{\"quotas\":[");
    for (size_t i = 0; i < l.count; i++) {
        buf_addz(&out, i ? "," : "");
        quota_json_used(core->tenants, l.list[i], clock_wall_ms(), &out);
        buf_addc(&out, '}');
    }
    buf_addz(&out, "]}");
    free(l.list);
    verb_say(v, &out);
}

/* --- policies ----------------------------------------------------------------------------------- */

/* What would become of an action. */
struct decision {
    bool is_allowed;
    const char *reason; /* when it is not */
};

static struct decision denied(const char *reason)
{
    return (struct decision){false, reason};
}

static bool has_one_of(const json_value *scopes, const struct capability *c)
{
    for (struct json_iter i = json_iter(scopes); json_next(&i);)
        for (size_t n = 0; n < c->scope_count; n++)
            if (str_eq(json_string(i.value), c->auth_scopes[n]))
                return true;
    return c->scope_count == 0;
}

static struct decision tenant_decision(struct core *core, str name, bool is_invoke)
{
    struct tenant *t = tenant_find(core->tenants, name);

    if (is_invoke && t && quota_is_used_up(core->tenants, t, clock_wall_ms()))
        return denied("tenant quota exceeded");
    if (core->current->policy.is_tenant_registered && !(t && atomic_load(&t->is_registered)))
        return denied("tenant is not registered");
    return (struct decision){true, NULL};
}

static struct decision decide(const struct verb_call *v)
{
    struct core *core = v->node->core;
    str action = verb_member(v, S("action"));
    bool is_invoke = str_eq(action, S("invoke"));

    if (!is_invoke && !str_eq(action, S("discover")))
        return denied("unsupported action");
    struct capability_family *f =
        map_get(&core->current->families, verb_member(v, S("capability")));
    if (!f)
        return denied("capability does not exist");
    if (!has_one_of(json_have(verb_body(v), S("scopes")), f->versions[0]))
        return denied("insufficient capability scope");
    return tenant_decision(core, verb_member(v, S("tenant_id")), is_invoke);
}

static const char *question_fault(const struct verb_call *v)
{
    const json_value *scopes = json_have(verb_body(v), S("scopes"));

    if (!verb_member(v, S("tenant_id")).len)
        return "tenant_id is required";
    if (!verb_member(v, S("capability")).len)
        return "capability is required";
    if (!verb_member(v, S("action")).len)
        return "action is required";
    if (scopes && !json_is_array(scopes))
        return "scopes must be a list of strings";
    return NULL;
}

static void verb_policy_validate(const struct verb_call *v)
{
    const char *fault = question_fault(v);
    struct buf out;

    if (fault) {
        verb_refuse(v, MIG_INVALID_REQUEST, "invalid_question", fault);
        return;
    }
    struct decision d = decide(v);
    buf_init(&out, BUF_MAX);
    buf_addz(&out, d.is_allowed ? "{\"allowed\":true" : "{\"allowed\":false,\"reason\":");
    if (!d.is_allowed)
        buf_add_json(&out, str_of(d.reason));
    buf_addc(&out, '}');
    verb_say(v, &out);
}

const struct verb control_pro_verbs[] = {
    {"quota.put", verb_quota_put},
    {"quotas", verb_quotas},
    {"policy.validate", verb_policy_validate},
    {NULL, NULL},
};
