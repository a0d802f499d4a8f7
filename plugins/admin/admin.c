/* admin: the operator's HTTP API (docs/reference/admin.md). Each route is one verb of mig.control/1:
 * what a route does is in the host, what it looks like on the wire is here. */
#include "admin.h"
#include <mig/sdk/json.h>
#include <mig/sdk/json_write.h>
#include <mig/sdk/query.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum shape {
    PLAIN, /* the verb's JSON                                       */
    TEXT,  /* its member "text", as text/plain (metrics)            */
    FILES, /* its member "text" as its member "type", else JSON      */
    EMPTY, /* 204                                                   */
    LIVE,  /* {"status":"alive"} whatever the verb says             */
    READY  /* 503 unless its member "ready" is true                 */
};

struct route {
    const char *method, *pattern, *verb;
    const char *param; /* name of {x} in the arguments; NULL: none    */
    uint32_t status;
    uint32_t flags;
    enum shape shape;
    int wants_body; /* 1: JSON body as "body"; 2: raw body as "text" */
    int is_detailed;
    int is_for_tenants;       /* callers with a plain tenant token may read what is theirs */
    const char *const *query; /* parameters that become arguments of the same name; NULL: none */
};

static const char *const audit_query[] = {"tenant_id", "since",  "until", "outcome",
                                          "limit",     "format", NULL};

static const char *const schema_query[] = {"uri", NULL};
static const char *const connection_query[] = {"tenant_id", "protocol", "kind", NULL};

#define A "/admin/v0.1"
static const struct route routes[] = {
    {"POST", A "/reload", "reload", NULL, 200, MIG_ROUTE_ADMIN, PLAIN, 0, 0},
    {"POST", A "/manifests", "manifest", NULL, 200, MIG_ROUTE_ADMIN, PLAIN, 2, 0},
    {"GET", A "/generations", "generations", NULL, 200, MIG_ROUTE_ADMIN, PLAIN, 0, 0},
    {"GET", A "/plugins", "plugins", NULL, 200, MIG_ROUTE_ADMIN, PLAIN, 0, 0},
    {"GET", A "/plugins/{name}", "plugin", "name", 200, MIG_ROUTE_ADMIN, PLAIN, 0, 0},
    {"POST", A "/plugins/reload", "plugin.reload", NULL, 200, MIG_ROUTE_ADMIN, PLAIN, 1, 0},
    {"GET", A "/instances", "instances", NULL, 200, MIG_ROUTE_ADMIN, PLAIN, 0, 0},
    {"GET", A "/capabilities", "capabilities", NULL, 200, MIG_ROUTE_ADMIN, PLAIN, 0, 0, 1},
    {"POST", A "/capabilities", "capability.put", NULL, 201, MIG_ROUTE_ADMIN, PLAIN, 1, 0},
    {"GET", A "/capabilities/{id}", "capability", "id", 200, MIG_ROUTE_ADMIN, PLAIN, 0, 0, 1},
    {"DELETE", A "/capabilities/{id}", "capability.delete", "id", 204, MIG_ROUTE_ADMIN, EMPTY, 0,
     0},
    {"GET", A "/schemas", "schemas", NULL, 200, MIG_ROUTE_ADMIN, PLAIN, 0, 0, 0, schema_query},
    {"POST", A "/schemas", "schema.put", NULL, 201, MIG_ROUTE_ADMIN, PLAIN, 1, 0},
    {"GET", A "/connections", "connections", NULL, 200, MIG_ROUTE_ADMIN, PLAIN, 0, 0, 1,
     connection_query},
    {"DELETE", A "/connections/{id}", "connection.close", "id", 202, MIG_ROUTE_ADMIN, PLAIN, 0, 0},
    {"GET", A "/loops", "loops", NULL, 200, MIG_ROUTE_ADMIN, PLAIN, 0, 0},
    {"GET", A "/config", "config", NULL, 200, MIG_ROUTE_ADMIN, PLAIN, 0, 0},
    {"GET", A "/health/live", "health", NULL, 200, MIG_ROUTE_PUBLIC, LIVE, 0, 0},
    {"GET", A "/health/ready", "health", NULL, 200, MIG_ROUTE_PUBLIC, READY, 0, 0},
    {"GET", A "/health/detailed", "health", NULL, 200, MIG_ROUTE_ADMIN, PLAIN, 0, 1, 1},
    {"GET", A "/health/conformance", "conformance", NULL, 200, MIG_ROUTE_ADMIN, PLAIN, 0, 0, 1},
    {"GET", "/health", "health", NULL, 200, MIG_ROUTE_PUBLIC, READY, 0, 0},
    {"GET", "/metrics", "metrics", NULL, 200, MIG_ROUTE_ADMIN, TEXT, 0, 0},
    {"GET", "/pro/v0.1/audit/export", "audit", NULL, 200, MIG_ROUTE_ADMIN, FILES, 0, 0, 1,
     audit_query},
};

/* One request while its verb runs. */
struct visit {
    struct admin *admin;
    const struct route *route;
    mig_call ex;
};

static void answer(struct visit *v, uint32_t status, const char *type, mig_str body)
{
    struct admin *a = v->admin;
    mig_header h[2] = {{mig_s("Content-Type"), mig_s(type)},
                       {mig_s("Cache-Control"), mig_s("no-store")}};

    a->http->respond(a->host, v->ex, status, h, 2);
    mig_finish_json(a->host, v->ex, body.ptr, body.len);
}

/* Statuses of HTTP that no MIG code has. A refused configuration is 422: the request was fine, what it
 * asked for was not. */
static uint32_t special_status(const mig_outcome *out)
{
    static const struct {
        const char *reason;
        uint32_t status;
    } rows[] = {
        {"invalid_configuration", 422}, {"schema_immutable", 409}, {"schema_provided", 409}};
    mig_str reason = mig_json_member(out->details, "reason");

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (mig_json_is(reason, rows[i].reason))
            return rows[i].status;
    return 0;
}

static void answer_error(struct visit *v, const mig_outcome *out)
{
    struct admin *a = v->admin;
    mig_header type = {mig_s("Content-Type"), mig_s("application/json")};
    mig_error e = {sizeof e,     out->status,         out->message,
                   out->details, out->retry_after_ms, out->retry};

    uint32_t status = special_status(out);
    if (status)
        a->http->respond(a->host, v->ex, status, &type, 1);
    a->host->finish_error(a->host, v->ex, &e);
}

static void answer_text(struct visit *v, mig_str json)
{
    mig_str token = mig_json_member(json, "text");
    char *text = malloc(token.len + 1);
    mig_str body = {text, text ? mig_json_unescape(token, text, token.len) : 0};
    char type[64] = "text/plain; version=0.0.4; charset=utf-8";

    if (v->route->shape == FILES)
        type[mig_json_unescape(mig_json_member(json, "type"), type, sizeof type - 1)] = 0;
    answer(v, 200, type, body);
    free(text);
}

static void answer_ok(struct visit *v, mig_str json)
{
    const struct route *r = v->route;
    mig_str none = {NULL, 0};
    int is_ready = 0;

    switch (r->shape) {
    case PLAIN: answer(v, r->status, "application/json", json); break;
    case TEXT: answer_text(v, json); break;
    case FILES:
        if (mig_json_member(json, "text").len)
            answer_text(v, json);
        else
            answer(v, 200, "application/json", json);
        break;
    case EMPTY: answer(v, r->status, "application/json", none); break;
    case LIVE: answer(v, 200, "application/json", mig_s("{\"status\":\"alive\"}")); break;
    case READY:
        mig_json_bool(mig_json_member(json, "ready"), &is_ready);
        answer(v, is_ready ? 200 : 503, "application/json", json);
        break;
    }
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

static void put_query(mig_json_writer *w, const struct route *r, mig_str query)
{
    char *room = r->query ? (char *)malloc(query.len + 1) : NULL;

    for (size_t i = 0; room && r->query[i]; i++) {
        mig_str value = mig_query_value(query, r->query[i]);
        if (!value.len)
            continue;
        /* What cannot be decoded the verb sees as it is, and says so. */
        mig_query_decode(value, '+', room, &value);
        mig_json_key(w, r->query[i]);
        mig_json_put_string(w, value);
    }
    free(room);
}

static int is_true(mig_str value)
{
    return (value.len == 4 && memcmp(value.ptr, "true", 4) == 0) ||
           (value.len == 1 && value.ptr[0] == '1');
}

/* The verb's arguments as JSON, malloc'ed in *ret_text. */
static mig_str arguments(const struct route *r, const mig_http_request *rq, char **ret_text)
{
    size_t cap =
        rq->body.len * 6 + rq->query.len * 6 + (r->param ? rq->params[0].len * 6 : 0) + 256;
    char *text = *ret_text = malloc(cap);
    mig_json_writer w = mig_json_writer_on(text, text ? cap : 0);

    mig_json_open(&w, '{');
    mig_json_key(&w, "dry_run");
    mig_json_put_bool(&w, is_true(mig_query_value(rq->query, "dry_run")));
    mig_json_key(&w, "detailed");
    mig_json_put_bool(&w, r->is_detailed);
    mig_json_key(&w, "restricted");
    mig_json_put_bool(&w, (rq->flags & MIG_REQUEST_RESTRICTED) != 0);
    put_query(&w, r, rq->query);
    if (r->param) {
        mig_json_key(&w, r->param);
        mig_json_put_string(&w, rq->params[0]);
    }
    if (r->wants_body == 1) {
        mig_json_key(&w, "body");
        mig_json_put_raw(&w, rq->body);
        mig_str name = mig_json_member(rq->body, "plugin_name");
        if (name.len) {
            mig_json_key(&w, "name");
            mig_json_put_raw(&w, name);
        }
    }
    if (r->wants_body == 2) {
        mig_json_key(&w, "text");
        mig_json_put_string(&w, rq->body);
    }
    mig_json_close(&w, '}');
    return mig_json_written(&w);
}

static void refuse(struct admin *a, mig_call ex, mig_status status, const char *reason,
                   const char *message)
{
    char details[128];
    snprintf(details, sizeof details, "{\"reason\":\"%s\"}", reason);
    mig_error e = {sizeof e, status, mig_s(message), mig_s(details), 0, 0};

    a->host->finish_error(a->host, ex, &e);
}

static const char *body_fault(const struct route *r, mig_str body)
{
    if (r->wants_body && !body.len)
        return "body_required";
    if (r->wants_body == 1 &&
        (!mig_json_valid(body) || mig_json_kind_of(mig_json_root(body)) != MIG_JSON_OBJECT))
        return "malformed_json";
    return NULL;
}

static void on_request(void *self, void *data, mig_call ex, const mig_http_request *rq)
{
    struct admin *a = self;
    const struct route *r = data;
    const char *fault = body_fault(r, rq->body);
    char *text = NULL;

    if (rq->flags & MIG_REQUEST_RESTRICTED && !r->is_for_tenants) {
        refuse(a, ex, MIG_FORBIDDEN, "operators_only", "the scope mig:viewer is required");
        return;
    }
    if (fault) {
        refuse(a, ex, MIG_INVALID_REQUEST, fault, "the body is not acceptable");
        return;
    }
    struct visit *v = calloc(1, sizeof *v);
    mig_str args = arguments(r, rq, &text);
    if (v)
        *v = (struct visit){a, r, ex};
    if (!v || !args.len ||
        a->control->request(a->host, ex, mig_s(r->verb), args, on_done, v) != MIG_OK) {
        mig_finish_error(a->host, ex, MIG_UNAVAILABLE, "the request cannot be taken now");
        free(v);
    }
    free(text);
}

static mig_status create(const mig_host *host, mig_str config, void **ret_self)
{
    struct admin *a = calloc(1, sizeof *a);

    (void)config;
    if (!a)
        return MIG_E_NOMEM;
    a->host = host;
    a->http = host->get_extension(host, MIG_EXT_HTTP);
    a->control = host->get_extension(host, MIG_EXT_CONTROL);
    if (!a->http || !a->control) {
        host->log(host, MIG_LOG_ERROR,
                  mig_s("mig.control/1 is not granted to dev.migd.admin (setting: control)"),
                  mig_s(""));
        free(a);
        return MIG_FORBIDDEN;
    }
    *ret_self = a;
    return MIG_OK;
}

static mig_status describe(void *self, const mig_registrar *reg)
{
    (void)self;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        mig_http_route r = {0};
        r.struct_size = sizeof r;
        r.flags = routes[i].flags;
        r.exec = MIG_EXEC_LOOP;
        r.method = routes[i].method;
        r.pattern = routes[i].pattern;
        r.data = (void *)(uintptr_t)&routes[i];
        r.on_request = on_request;
        mig_status status = reg->extend(reg, MIG_EXT_HTTP_ROUTE, &r);
        if (status != MIG_OK)
            return status;
    }
    return admin_describe_openapi(reg);
}

static const mig_plugin admin = {
    sizeof admin,
    MIG_PLUGIN_UNLOADABLE,
    "dev.migd.admin",
    "1.0.0",
    "The operator's HTTP API.",
    NULL,
    create,
    describe,
    NULL,
    NULL,
    free,
    NULL,
};
MIG_PLUGIN_ENTRY(admin, &admin);
