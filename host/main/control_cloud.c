/* Verbs behind /cloud/v0.1 (MIG v0.1 14.3): registries and usage. */
#include "base/check.h"
#include "core/accounts.h"
#include "core/core.h"
#include "core/names.h"
#include "core/usage.h"
#include "main/verbs.h"

#include <stdlib.h>

enum { NAME_MAX_BYTES = 255 };

/* A member of a row, besides its id. */
struct row_member {
    const char *name;
    const char *fault; /* when it is missing or wrong */
    bool (*is_good)(str text);
    enum account_kind of; /* it names one of these; ACCOUNT_KINDS: it does not */
    const char *missing;  /* when there is no such one */
};

static bool is_some_text(str s)
{
    return s.len && s.len <= NAME_MAX_BYTES;
}

static bool is_binding(str s)
{
    return str_eq(s, S("http")) || str_eq(s, S("grpc")) || str_eq(s, S("nats"));
}

static const struct row_member org_members[] = {
    {"name", "name is required", is_some_text, ACCOUNT_KINDS, NULL},
    {NULL},
};
static const struct row_member tenant_members[] = {
    {"org_id", "org_id is required", is_some_text, ACCOUNT_ORG, "org not found"},
    {"name", "name is required", is_some_text, ACCOUNT_KINDS, NULL},
    {NULL},
};
static const struct row_member gateway_members[] = {
    {"tenant_id", "tenant_id is required", is_some_text, ACCOUNT_TENANT, "tenant not found"},
    {"region", "region is required", is_some_text, ACCOUNT_KINDS, NULL},
    {"binding", "binding must be http, grpc or nats", is_binding, ACCOUNT_KINDS, NULL},
    {NULL},
};
static const struct {
    const struct row_member *members;
    const char *plural;
} registries[] = {
    [ACCOUNT_ORG] = {org_members, "orgs"},
    [ACCOUNT_TENANT] = {tenant_members, "tenants"},
    [ACCOUNT_GATEWAY] = {gateway_members, "gateways"},
};

/* false: refused already. Forms first, then what the row refers to. */
static bool check_row(const struct verb_call *v, const struct row_member *members)
{
    const json_value *id = json_have(verb_body(v), S("id"));

    for (const struct row_member *m = members; m->name; m++)
        if (!m->is_good(verb_member(v, str_of(m->name)))) {
            verb_refuse(v, MIG_INVALID_REQUEST, "invalid_row", m->fault);
            return false;
        }
    if (id && !name_is_tenant(json_string(id))) {
        verb_refuse(v, MIG_INVALID_REQUEST, "invalid_row",
                    "id must be 1 to 64 of A-Z a-z 0-9 _ -, and not begin with -");
        return false;
    }
    for (const struct row_member *m = members; m->name; m++)
        if (m->missing && !account_is(v->node->core, m->of, verb_member(v, str_of(m->name)))) {
            verb_refuse(v, MIG_NOT_FOUND, "not_found", m->missing);
            return false;
        }
    return true;
}

static void row_is_put(void *arg, mig_status status)
{
    struct verb_later *l = arg;

    if (status == MIG_OK) {
        verb_say(&l->call, &l->json);
        free(l);
        return;
    }
    buf_deinit(&l->json);
    if (status == MIG_INVALID_REQUEST)
        verb_refuse(&l->call, status, "conflict", "the id is taken by another row");
    else if (status == MIG_BACKPRESSURE)
        verb_refuse(&l->call, status, "too_many_rows", "no room for another row");
    else
        verb_refuse_store(&l->call);
    free(l);
}

static void put_row(const struct verb_call *v, enum account_kind kind)
{
    const struct row_member *members = registries[kind].members;
    struct core *core = v->node->core;
    char made[ACCOUNT_ID];

    if (!check_row(v, members))
        return;
    str id = verb_member(v, S("id"));
    if (!id.len) {
        account_new_id(core, kind, made);
        id = str_of(made);
    }
    struct verb_later *l = verb_later(v);
    buf_addz(&l->json, "{\"id\":");
    buf_add_json(&l->json, id);
    for (const struct row_member *m = members; m->name; m++) {
        buf_addf(&l->json, ",\"%s\":", m->name);
        buf_add_json(&l->json, verb_member(v, str_of(m->name)));
    }
    buf_addc(&l->json, '}');
    account_put(core, kind, id, buf_str(&l->json), row_is_put, l);
}

static void tell_rows(const struct verb_call *v, enum account_kind kind)
{
    struct buf out;

    buf_init(&out, BUF_MAX);
    buf_addf(&out, "{\"%s\":", registries[kind].plural);
    accounts_json(v->node->core, kind, &out);
    buf_addc(&out, '}');
    verb_say(v, &out);
}

static void verb_org_put(const struct verb_call *v)
{
    put_row(v, ACCOUNT_ORG);
}

static void verb_tenant_put(const struct verb_call *v)
{
    put_row(v, ACCOUNT_TENANT);
}

static void verb_gateway_put(const struct verb_call *v)
{
    put_row(v, ACCOUNT_GATEWAY);
}

static void verb_orgs(const struct verb_call *v)
{
    tell_rows(v, ACCOUNT_ORG);
}

static void verb_tenants(const struct verb_call *v)
{
    tell_rows(v, ACCOUNT_TENANT);
}

static void verb_gateways(const struct verb_call *v)
{
    tell_rows(v, ACCOUNT_GATEWAY);
}

/* Somebody else's, asked by a restricted caller, is as that of a tenant that never was. */
static str usage_tenant(const struct verb_call *v)
{
    str asked = verb_text(v, S("tenant_id")), own = verb_tenant(v);

    if (!own.ptr || (asked.len && str_eq(asked, own)))
        return asked;
    return asked.len || !own.len ? S("unknown") : own;
}

static void verb_usage(const struct verb_call *v)
{
    struct buf out;

    buf_init(&out, BUF_MAX);
    usage_json(v->node->core, usage_tenant(v), &out);
    verb_say(v, &out);
}

const struct verb control_cloud_verbs[] = {
    {"org.put", verb_org_put},
    {"orgs", verb_orgs},
    {"tenant.put", verb_tenant_put},
    {"tenants", verb_tenants},
    {"gateway.put", verb_gateway_put},
    {"gateways", verb_gateways},
    {"usage", verb_usage},
    {NULL, NULL},
};
