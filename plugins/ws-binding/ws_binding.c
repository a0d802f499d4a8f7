/* ws-binding: MIG v0.1 over WebSocket (mig-core.md 6 and 11.4): StreamFrames, many streams side by side
 * on one connection. */
#include "ws_binding.h"

static void conn_drop(struct conn *c)
{
    if (c->is_gone && !c->count)
        free(c);
}

static void on_message(void *self, void *tag, mig_call ex, mig_str text)
{
    struct conn *c = tag;
    struct frame f;
    mig_str kind;

    (void)self;
    (void)ex;
    if (!frame_read(text, &f, &kind)) {
        stream_refuse(c, &f, MIG_INVALID_REQUEST, "malformed_frame",
                      "the frame is not a JSON object");
        if (++c->malformed >= MALFORMED_MAX &&
            mig_finish_error(c->b->host, c->ex, MIG_INVALID_REQUEST, "too many malformed frames") ==
                MIG_OK) {
            c->is_gone = 1; /* nobody cancels what has ended */
            conn_drop(c);
        }
        return;
    }
    c->malformed = 0;
    if (mig_json_is(kind, "request"))
        stream_invoke(c, &f);
    else if (mig_json_is(kind, "control"))
        stream_control(c, &f);
    else
        stream_refuse(c, &f, MIG_INVALID_REQUEST, "frame_kind",
                      "frame.kind must be request or control");
}

static void on_writable(void *self, void *tag, mig_call ex)
{
    (void)self;
    (void)ex;
    stream_flush(tag);
}

/* The client is gone, or the host closes: what runs for it is cancelled by the host. */
static void on_cancel(void *self, void *tag, mig_call ex)
{
    struct conn *c = tag;

    (void)self;
    c->is_gone = 1;
    mig_finish_json(c->b->host, ex, NULL, 0);
    conn_drop(c);
}

static void refuse_handshake(struct binding *b, mig_call ex, mig_status status)
{
    int is_foreign = status == MIG_FORBIDDEN;
    mig_error e = {
        sizeof e,
        status,
        mig_s(is_foreign ? "the origin is not this gateway's"
                         : "a WebSocket handshake is required"),
        mig_s(is_foreign ? "{\"reason\":\"origin\"}" : "{\"reason\":\"websocket_handshake\"}"),
        0,
        0};

    b->host->finish_error(b->host, ex, &e);
}

static void on_request(void *self, void *data, mig_call ex, const mig_http_request *rq)
{
    static const char *const protocols[] = {"mig.v0.1", NULL};
    struct binding *b = self;
    struct conn *c = calloc(1, sizeof *c);
    mig_websocket ws = {0};

    (void)data;
    (void)rq;
    if (!c) {
        mig_finish_error(b->host, ex, MIG_BACKPRESSURE, "out of memory");
        return;
    }
    c->b = b;
    c->ex = ex;
    ws.struct_size = sizeof ws;
    ws.protocols = protocols;
    ws.tag = c;
    ws.on_message = on_message;
    ws.on_writable = on_writable;
    ws.on_cancel = on_cancel;
    mig_status status = b->http->upgrade(b->host, ex, &ws);
    if (status == MIG_OK)
        return;
    free(c);
    refuse_handshake(b, ex, status > MIG_OK ? status : MIG_INTERNAL);
}

static mig_status create(const mig_host *host, mig_str config, void **ret_self)
{
    struct binding *b = calloc(1, sizeof *b);
    uint64_t max = STREAMS_MAX;

    if (!b)
        return MIG_E_NOMEM;
    b->host = host;
    b->http = host->get_extension(host, MIG_EXT_HTTP);
    b->mig = host->get_extension(host, MIG_EXT_BINDING);
    mig_json_u64(mig_json_member(config, "max_streams"), &max);
    b->max_streams = (uint32_t)max;
    if (!b->http || !b->mig) {
        free(b);
        return MIG_E_NOSYS;
    }
    *ret_self = b;
    return MIG_OK;
}

static mig_status describe(void *self, const mig_registrar *reg)
{
    mig_http_route r = {0};

    (void)self;
    r.struct_size = sizeof r;
    r.exec = MIG_EXEC_LOOP;
    r.method = "GET";
    r.pattern = "/mig/v0.1/stream";
    r.on_request = on_request;
    return reg->extend(reg, MIG_EXT_HTTP_ROUTE, &r);
}

static const mig_plugin ws_binding = {
    sizeof ws_binding,
    MIG_PLUGIN_UNLOADABLE,
    "dev.migd.ws-binding",
    "1.0.0",
    "MIG v0.1 over WebSocket.",
    "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"max_streams\":"
    "{\"type\":\"integer\",\"minimum\":1,\"maximum\":65536}}}",
    create,
    describe,
    NULL,
    NULL,
    free,
    NULL,
};
MIG_PLUGIN_ENTRY(ws_binding, &ws_binding);
