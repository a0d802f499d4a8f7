/* pro: quotas, policy questions, registries and usage over HTTP (MIG v0.1 14.2 and 14.3,
 * docs/reference/admin.md). Each route is one verb of mig.control/1. */
#include <mig/ext/control.h>
#include <mig/ext/http.h>
#include <mig/plugin.h>
#include <mig/sdk/json.h>
#include <mig/sdk/json_write.h>
#include <mig/sdk/query.h>
#include <stdlib.h>
#include <string.h>

struct pro {
    const mig_host *host;
    const mig_ext_http *http;
    const mig_ext_control *control; /* NULL: not granted, so nothing is served */
};

struct route {
    const char *method, *pattern, *verb;
    uint32_t status;
    int is_for_tenants; /* callers with a plain tenant token may read what is theirs */
};

static const struct route routes[] = {
    {"POST", "/pro/v0.1/policies/validate", "policy.validate", 200},
    {"POST", "/pro/v0.1/quotas", "quota.put", 200},
    {"GET", "/pro/v0.1/quotas", "quotas", 200, 1},
    {"POST", "/cloud/v0.1/orgs", "org.put", 201},
    {"GET", "/cloud/v0.1/orgs", "orgs", 200},
    {"POST", "/cloud/v0.1/tenants", "tenant.put", 201},
    {"GET", "/cloud/v0.1/tenants", "tenants", 200},
    {"POST", "/cloud/v0.1/gateways", "gateway.put", 201},
    {"GET", "/cloud/v0.1/gateways", "gateways", 200},
    {"GET", "/cloud/v0.1/usage", "usage", 200, 1},
};

/* One request while its verb runs. */
struct visit {
    struct pro *pro;
    const struct route *route;
    mig_call ex;
};

static void answer_ok(struct visit *v, mig_str json)
{
    struct pro *p = v->pro;
    mig_header h[2] = {{mig_s("Content-Type"), mig_s("application/json")},
                       {mig_s("Cache-Control"), mig_s("no-store")}};

    p->http->respond(p->host, v->ex, v->route->status, h, 2);
    mig_finish_json(p->host, v->ex, json.ptr, json.len);
}

static void answer_error(struct visit *v, const mig_outcome *out)
{
    struct pro *p = v->pro;
    mig_header type = {mig_s("Content-Type"), mig_s("application/json")};
    mig_error e = {sizeof e,     out->status,         out->message,
                   out->details, out->retry_after_ms, out->retry};

    if (mig_json_is(mig_json_member(out->details, "reason"), "conflict"))
        p->http->respond(p->host, v->ex, 409, &type, 1);
    p->host->finish_error(p->host, v->ex, &e);
}

static void on_done(void *self, void *tag, const mig_outcome *out)
{
    struct visit *v = tag;

    (void)self;
    if (out->status == MIG_OK)
        answer_ok(v, out->json);
    else
        answer_error(v, out);
    free(v);
}

/* The verb's arguments as JSON, malloc'ed in *ret_text. */
static mig_str arguments(const mig_http_request *rq, char **ret_text)
{
    mig_str tenant = mig_query_value(rq->query, "tenant_id");
    char room[256];
    size_t cap = rq->body.len + tenant.len * 6 + 64;
    char *text = *ret_text = malloc(cap);
    mig_json_writer w = mig_json_writer_on(text, text ? cap : 0);

    mig_json_open(&w, '{');
    mig_json_key(&w, "restricted");
    mig_json_put_bool(&w, (rq->flags & MIG_REQUEST_RESTRICTED) != 0);
    if (tenant.len) {
        if (tenant.len <= sizeof room)
            mig_query_decode(tenant, '+', room, &tenant);
        mig_json_key(&w, "tenant_id");
        mig_json_put_string(&w, tenant);
    }
    if (rq->body.len) {
        mig_json_key(&w, "body");
        mig_json_put_raw(&w, rq->body);
    }
    mig_json_close(&w, '}');
    return mig_json_written(&w);
}

static int has_good_body(const struct route *r, mig_str body)
{
    return strcmp(r->method, "POST") != 0 ||
           (mig_json_valid(body) && mig_json_kind_of(mig_json_root(body)) == MIG_JSON_OBJECT);
}

static void refuse_tenant(struct pro *p, mig_call ex)
{
    mig_error e = {sizeof e,
                   MIG_FORBIDDEN,
                   mig_s("the scope mig:viewer is required"),
                   mig_s("{\"reason\":\"operators_only\"}"),
                   0,
                   0};

    p->host->finish_error(p->host, ex, &e);
}

static void refuse_body(struct pro *p, mig_call ex, mig_str body)
{
    mig_error e = {
        sizeof e,
        MIG_INVALID_REQUEST,
        mig_s("the body must be a JSON object"),
        mig_s(body.len ? "{\"reason\":\"malformed_json\"}" : "{\"reason\":\"body_required\"}"),
        0,
        0};

    p->host->finish_error(p->host, ex, &e);
}

static void on_request(void *self, void *data, mig_call ex, const mig_http_request *rq)
{
    struct pro *p = self;
    const struct route *r = data;
    char *text = NULL;

    if (rq->flags & MIG_REQUEST_RESTRICTED && !r->is_for_tenants) {
        refuse_tenant(p, ex);
        return;
    }
    if (!has_good_body(r, rq->body)) {
        refuse_body(p, ex, rq->body);
        return;
    }
    struct visit *v = calloc(1, sizeof *v);
    mig_str args = arguments(rq, &text);
    if (v)
        *v = (struct visit){p, r, ex};
    if (!v || !args.len ||
        p->control->request(p->host, ex, mig_s(r->verb), args, on_done, v) != MIG_OK) {
        mig_finish_error(p->host, ex, MIG_UNAVAILABLE, "the request cannot be taken now");
        free(v);
    }
    free(text);
}

static mig_status create(const mig_host *host, mig_str config, void **ret_self)
{
    struct pro *p = calloc(1, sizeof *p);

    (void)config;
    if (!p)
        return MIG_E_NOMEM;
    p->host = host;
    p->http = host->get_extension(host, MIG_EXT_HTTP);
    p->control = host->get_extension(host, MIG_EXT_CONTROL);
    if (!p->control)
        host->log(host, MIG_LOG_WARN,
                  mig_s("mig.control/1 is not granted to dev.migd.pro (setting: control): "
                        "/pro/v0.1 and /cloud/v0.1 are not served"),
                  mig_s(""));
    *ret_self = p;
    return MIG_OK;
}

static mig_status describe(void *self, const mig_registrar *reg)
{
    struct pro *p = self;

    for (size_t i = 0; p->control && p->http && i < sizeof routes / sizeof routes[0]; i++) {
        mig_http_route r = {0};
        r.struct_size = sizeof r;
        r.flags = MIG_ROUTE_ADMIN;
        r.exec = MIG_EXEC_LOOP;
        r.method = routes[i].method;
        r.pattern = routes[i].pattern;
        r.data = (void *)(uintptr_t)&routes[i];
        r.on_request = on_request;
        mig_status status = reg->extend(reg, MIG_EXT_HTTP_ROUTE, &r);
        if (status != MIG_OK)
            return status;
    }
    return MIG_OK;
}

static const mig_plugin pro = {
    sizeof pro,
    MIG_PLUGIN_UNLOADABLE,
    "dev.migd.pro",
    "1.0.0",
    "Quotas, policy questions, registries and usage over HTTP.",
    NULL,
    create,
    describe,
    NULL,
    NULL,
    free,
    NULL,
};
MIG_PLUGIN_ENTRY(pro, &pro);
