/* @NAME@: a provider for migd. One capability, unary and server-streaming.
 *
 * The rules in one breath: every call handed to invoke() is ended exactly once, by mig_finish_json()
 * or mig_finish_error(), from any thread; the request stays valid until then. What has state of its
 * own lives in struct @IDENT@_plugin, not in globals. */
#include <mig/plugin.h>
#include <mig/sdk/json.h>
#include <stdlib.h>

struct @IDENT@_plugin {
    const mig_host *host;
};

/* {"greeting":"Hello, NAME!"} */
static mig_str greeting(mig_str payload, mig_json_writer *w)
{
    char name[512] = "", text[600];

    mig_json_unescape(mig_json_member(payload, "name"), name, sizeof name);
    snprintf(text, sizeof text, "Hello, %s!", name);
    mig_json_open(w, '{');
    mig_json_key(w, "greeting");
    mig_json_put_string(w, mig_s(text));
    mig_json_close(w, '}');
    return mig_json_written(w);
}

/* Runs on a worker thread and may block until the deadline (exec is MIG_EXEC_POOL). */
static void greet(void *self, void *data, mig_call call, const mig_request *req)
{
    const mig_host *h = ((struct @IDENT@_plugin *)self)->host;
    char out[4096];
    mig_json_writer w = mig_json_writer_on(out, sizeof out);
    mig_str json = greeting(req->payload, &w);
    (void)data;

    if (!json.len) {
        mig_finish_error(h, call, MIG_INVALID_REQUEST, "name is too long");
        return;
    }
    for (int i = 0; req->mode == MIG_MODE_SERVER_STREAM && i < 3; i++) {
        mig_payload frame = {json, NULL, NULL}; /* three frames fit every stream's first credit */
        if (h->send(h, call, &frame) != MIG_OK) {
            mig_finish_error(h, call, MIG_TIMEOUT, "the caller has gone");
            return;
        }
    }
    mig_finish_json(h, call, json.ptr, json.len);
}

static mig_status create(const mig_host *host, mig_str config, void **ret_self)
{
    struct @IDENT@_plugin *self = (struct @IDENT@_plugin *)calloc(1, sizeof *self);
    (void)config;

    if (!self)
        return MIG_E_NOMEM;
    self->host = host;
    *ret_self = self;
    return MIG_OK;
}

static mig_status describe(void *self, const mig_registrar *reg)
{
    mig_capability cap = {0};
    (void)self;

    cap.struct_size = sizeof cap;
    cap.modes = MIG_MODE_UNARY | MIG_MODE_SERVER_STREAM;
    cap.id = "example.@NAME@.greet";
    cap.version = "1.0.0";
    cap.summary = "Greets whoever is named.";
    cap.input_schema = "{\"type\":\"object\",\"required\":[\"name\"],\"properties\":{"
                       "\"name\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":80}}}";
    cap.output_schema = "{\"type\":\"object\",\"required\":[\"greeting\"],\"properties\":{"
                        "\"greeting\":{\"type\":\"string\"}}}";
    cap.invoke = greet;
    return reg->capability(reg, &cap);
}

static void destroy(void *self)
{
    free(self);
}

static const mig_plugin @IDENT@_kind = {
    sizeof(mig_plugin),
    0,
    "org.example.@NAME@",
    "1.0.0",
    "Says hello.",
    NULL, /* takes no configuration */
    create,
    describe,
    NULL, /* start: nothing to open */
    NULL, /* quiesce: nothing runs by itself */
    destroy,
    NULL,
};
MIG_PLUGIN_ENTRY(@IDENT@, &@IDENT@_kind);
