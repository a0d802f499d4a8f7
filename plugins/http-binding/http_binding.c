/* http-binding: MIG v0.1 over HTTP (mig-core.md 11). Each route hands its request to the host as one
 * operation and writes the answer that comes back. */
#include "http_binding.h"
#include <mig/sdk/status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A route and its operation. */
struct face {
    const char *pattern;
    uint32_t operation;
    int takes_empty_body;
};

static const struct face faces[] = {
    {"/mig/v0.1/hello", MIG_OP_HELLO, 0},
    {"/mig/v0.1/discover", MIG_OP_DISCOVER, 0},
    {"/mig/v0.1/invoke/{capability}", MIG_OP_INVOKE, 0},
    {"/mig/v0.1/cancel/{message_id}", MIG_OP_CANCEL, 1},
    {"/mig/v0.1/heartbeat", MIG_OP_HEARTBEAT, 1},
    {"/mig/v0.1/publish/{topic}", MIG_OP_PUBLISH, 0},
};

int hb_is(mig_str a, const char *z, size_t n)
{
    return a.len == n && memcmp(a.ptr, z, n) == 0;
}

/* The transport's mirrors of envelope members (mig-core.md 2). Names are in lower case. */
void hb_take_mirror(mig_submit *s, const mig_header *h)
{
    static const struct {
        const char *name;
        size_t len, offset;
    } mirrors[] = {
        {"mig-version", 11, offsetof(mig_submit, mig_version)},
        {"mig-message-id", 14, offsetof(mig_submit, message_id)},
        {"mig-session-id", 14, offsetof(mig_submit, session_id)},
        {"mig-deadline-ms", 15, offsetof(mig_submit, deadline_ms)},
        {"traceparent", 11, offsetof(mig_submit, traceparent)},
        {"idempotency-key", 15, offsetof(mig_submit, idempotency_key)},
        {"tracestate", 10, offsetof(mig_submit, tracestate)},
    };

    for (size_t i = 0; i < sizeof mirrors / sizeof mirrors[0]; i++)
        if (hb_is(h->name, mirrors[i].name, mirrors[i].len))
            memcpy((char *)s + mirrors[i].offset, &h->value, sizeof h->value);
}

mig_str hb_header_of(const mig_http_request *rq, const char *name)
{
    mig_str none = {NULL, 0};

    for (uint32_t i = 0; i < rq->header_count; i++)
        if (hb_is(rq->headers[i].name, name, strlen(name)))
            return rq->headers[i].value;
    return none;
}

static int accepts_events(const mig_http_request *rq)
{
    static const char type[] = "text/event-stream";
    mig_str accept = hb_header_of(rq, "accept");

    for (size_t i = 0; i + sizeof type - 1 <= accept.len; i++)
        if (strncasecmp(accept.ptr + i, type, sizeof type - 1) == 0)
            return 1;
    return 0;
}

mig_header hb_header(const char *name, mig_str value)
{
    mig_header h = {mig_s(name), value};
    return h;
}

/* --- one answer --------------------------------------------------------------------------------- */

void hb_answer(struct binding *b, mig_call ex, const mig_outcome *out)
{
    const mig_status_info *row = mig_status_row(out->status);
    mig_header h[4];
    char seconds[16];
    uint32_t n = 0;

    h[n++] = hb_header("Content-Type", mig_s("application/json"));
    h[n++] = hb_header("MIG-Message-ID", out->message_id);
    if (row->http == 429 || row->http == 503) {
        uint32_t ms = out->retry_after_ms ? out->retry_after_ms : 1000;
        snprintf(seconds, sizeof seconds, "%u", (ms + 999) / 1000);
        h[n++] = hb_header("Retry-After", mig_s(seconds));
    }
    if (row->http == 401)
        h[n++] = hb_header("WWW-Authenticate", mig_s("Bearer"));
    b->http->respond(b->host, ex, row->http, h, n);
    mig_finish_json(b->host, ex, out->envelope.ptr, out->envelope.len);
}

static void refuse_empty(struct binding *b, mig_call ex)
{
    mig_error e = {sizeof e,
                   MIG_INVALID_REQUEST,
                   mig_s("a body is required"),
                   mig_s("{\"reason\":\"body_required\"}"),
                   0,
                   0};
    b->host->finish_error(b->host, ex, &e);
}

static void on_request(void *self, void *data, mig_call ex, const mig_http_request *rq)
{
    struct binding *b = self;
    const struct face *f = data;
    mig_submit s = {0};

    if (!rq->body.len && !f->takes_empty_body) {
        refuse_empty(b, ex);
        return;
    }
    s.struct_size = sizeof s;
    s.operation = f->operation;
    s.binding = mig_s("http");
    s.envelope = rq->body;
    if (strchr(f->pattern, '{'))
        s.target = rq->params[0];
    for (uint32_t i = 0; i < rq->header_count; i++)
        hb_take_mirror(&s, &rq->headers[i]);
    hb_answer_with(&s, f->operation == MIG_OP_INVOKE && accepts_events(rq));
    if (b->mig->submit(b->host, ex, &s) != MIG_OK)
        mig_finish_error(b->host, ex, MIG_UNAVAILABLE, "the client has left");
}

static mig_status create(const mig_host *host, mig_str config, void **ret_self)
{
    struct binding *b = calloc(1, sizeof *b);

    (void)config;
    if (!b)
        return MIG_E_NOMEM;
    b->host = host;
    b->http = host->get_extension(host, MIG_EXT_HTTP);
    b->mig = host->get_extension(host, MIG_EXT_BINDING);
    if (!b->http || !b->mig) {
        free(b);
        return MIG_E_NOSYS;
    }
    *ret_self = b;
    return MIG_OK;
}

static mig_status describe(void *self, const mig_registrar *reg)
{
    (void)self;
    for (size_t i = 0; i < sizeof faces / sizeof faces[0]; i++) {
        mig_http_route r = {0};
        r.struct_size = sizeof r;
        r.exec = MIG_EXEC_LOOP;
        r.method = "POST";
        r.pattern = faces[i].pattern;
        r.data = (void *)(uintptr_t)&faces[i];
        r.on_request = on_request;
        mig_status status = reg->extend(reg, MIG_EXT_HTTP_ROUTE, &r);
        if (status != MIG_OK)
            return status;
    }
    mig_status status = hb_describe_schemas(reg);
    return status == MIG_OK ? hb_describe_subscribe(reg) : status;
}

static const mig_plugin http_binding = {
    sizeof http_binding,
    MIG_PLUGIN_UNLOADABLE,
    "dev.migd.http-binding",
    "1.0.0",
    "MIG v0.1 over HTTP.",
    NULL,
    create,
    describe,
    NULL,
    NULL,
    free,
    NULL,
};
MIG_PLUGIN_ENTRY(http_binding, &http_binding);
