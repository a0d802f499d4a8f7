#include "verb_routes.h"
#include <mig/sdk/json.h>
#include <mig/sdk/json_write.h>
#include <mig/sdk/query.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One request while its verb runs. */
struct visit {
    const struct verb_site *site;
    const struct verb_route *route;
    mig_call ex;
};

static void answer(struct visit *v, uint32_t status, const char *type, mig_str body)
{
    const struct verb_site *s = v->site;
    mig_header h[2] = {{mig_s("Content-Type"), mig_s(type)},
                       {mig_s("Cache-Control"), mig_s("no-store")}};

    s->http->respond(s->host, v->ex, status, h, 2);
    mig_finish_json(s->host, v->ex, body.ptr, body.len);
}

/* Statuses of HTTP that no MIG code has. A refused configuration is 422: the request was fine, what it
 * asked for was not. */
static uint32_t special_status(const mig_outcome *out)
{
    static const struct {
        const char *reason;
        uint32_t status;
    } rows[] = {
        {"invalid_configuration", 422},
        {"schema_immutable", 409},
        {"schema_provided", 409},
        {"conflict", 409},
    };
    mig_str reason = mig_json_member(out->details, "reason");

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (mig_json_is(reason, rows[i].reason))
            return rows[i].status;
    return 0;
}

static void answer_error(struct visit *v, const mig_outcome *out)
{
    const struct verb_site *s = v->site;
    mig_header type = {mig_s("Content-Type"), mig_s("application/json")};
    mig_error e = {sizeof e,     out->status,         out->message,
                   out->details, out->retry_after_ms, out->retry};

    uint32_t status = special_status(out);
    if (status)
        s->http->respond(s->host, v->ex, status, &type, 1);
    s->host->finish_error(s->host, v->ex, &e);
}

static void answer_text(struct visit *v, mig_str json)
{
    mig_str token = mig_json_member(json, "text");
    char *text = malloc(token.len + 1);
    mig_str body = {text, text ? mig_json_unescape(token, text, token.len) : 0};
    char type[64] = "text/plain; version=0.0.4; charset=utf-8";

    if (v->route->shape == VERB_FILES)
        type[mig_json_unescape(mig_json_member(json, "type"), type, sizeof type - 1)] = 0;
    answer(v, 200, type, body);
    free(text);
}

static void answer_ok(struct visit *v, mig_str json)
{
    const struct verb_route *r = v->route;
    mig_str none = {NULL, 0};
    int is_ready = 0;

    switch (r->shape) {
    case VERB_PLAIN: answer(v, r->status, "application/json", json); break;
    case VERB_TEXT: answer_text(v, json); break;
    case VERB_FILES:
        if (mig_json_member(json, "text").len)
            answer_text(v, json);
        else
            answer(v, 200, "application/json", json);
        break;
    case VERB_EMPTY: answer(v, r->status, "application/json", none); break;
    case VERB_LIVE: answer(v, 200, "application/json", mig_s("{\"status\":\"alive\"}")); break;
    case VERB_READY:
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

static void put_query(mig_json_writer *w, const struct verb_route *r, mig_str query)
{
    char *room = r->query ? malloc(query.len + 1) : NULL;

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
static mig_str arguments(const struct verb_route *r, const mig_http_request *rq, char **ret_text)
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
    if (r->body == VERB_JSON_BODY) {
        mig_json_key(&w, "body");
        mig_json_put_raw(&w, rq->body);
    }
    mig_str name = r->named ? mig_json_member(rq->body, r->named) : (mig_str){NULL, 0};
    if (name.len) {
        mig_json_key(&w, "name");
        mig_json_put_raw(&w, name);
    }
    if (r->body == VERB_RAW_BODY) {
        mig_json_key(&w, "text");
        mig_json_put_string(&w, rq->body);
    }
    mig_json_close(&w, '}');
    return mig_json_written(&w);
}

static void refuse(const struct verb_site *s, mig_call ex, mig_status status, const char *reason,
                   const char *message)
{
    char details[128];
    snprintf(details, sizeof details, "{\"reason\":\"%s\"}", reason);
    mig_error e = {sizeof e, status, mig_s(message), mig_s(details), 0, 0};

    s->host->finish_error(s->host, ex, &e);
}

static const char *body_fault(const struct verb_route *r, mig_str body)
{
    if (r->body && !body.len)
        return "body_required";
    if (r->body == VERB_JSON_BODY &&
        (!mig_json_valid(body) || mig_json_kind_of(mig_json_root(body)) != MIG_JSON_OBJECT))
        return "malformed_json";
    return NULL;
}

static void on_request(void *self, void *data, mig_call ex, const mig_http_request *rq)
{
    const struct verb_site *s = self;
    const struct verb_route *r = data;
    const char *fault = body_fault(r, rq->body);
    char *text = NULL;

    if (rq->flags & MIG_REQUEST_RESTRICTED && !r->is_for_tenants) {
        refuse(s, ex, MIG_FORBIDDEN, "operators_only", "the scope mig:viewer is required");
        return;
    }
    if (fault) {
        refuse(s, ex, MIG_INVALID_REQUEST, fault,
               r->body == VERB_JSON_BODY ? "the body must be a JSON object" : "a body is required");
        return;
    }
    struct visit *v = calloc(1, sizeof *v);
    mig_str args = arguments(r, rq, &text);
    if (v)
        *v = (struct visit){s, r, ex};
    if (!v || !args.len ||
        s->control->request(s->host, ex, mig_s(r->verb), args, on_done, v) != MIG_OK) {
        mig_finish_error(s->host, ex, MIG_UNAVAILABLE, "the request cannot be taken now");
        free(v);
    }
    free(text);
}

struct verb_site *verb_site_new(const mig_host *host)
{
    struct verb_site *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->host = host;
    s->http = host->get_extension(host, MIG_EXT_HTTP);
    s->control = host->get_extension(host, MIG_EXT_CONTROL);
    return s;
}

mig_status verb_routes_describe(const mig_registrar *reg, const struct verb_route *routes,
                                size_t count)
{
    mig_status status = MIG_OK;

    for (size_t i = 0; i < count && status == MIG_OK; i++) {
        mig_http_route r = {0};
        r.struct_size = sizeof r;
        r.flags = routes[i].flags;
        r.exec = MIG_EXEC_LOOP;
        r.method = routes[i].method;
        r.pattern = routes[i].pattern;
        r.data = (void *)(uintptr_t)&routes[i];
        r.on_request = on_request;
        status = reg->extend(reg, MIG_EXT_HTTP_ROUTE, &r);
    }
    return status;
}
