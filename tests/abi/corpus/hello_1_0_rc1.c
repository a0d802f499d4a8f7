/* A plugin as an author wrote it for 1.0-rc1, built against the frozen headers of that release. It must
 * load in every later host. Do not change it; add a new file for a new release. */
#include "mig/plugin.h"
#include "mig/sdk/json.h"

#include <stdlib.h>

struct hello {
    const mig_host *host;
};

static void greet(void *self, void *data, mig_call call, const mig_request *req)
{
    struct hello *h = self;
    mig_str name = mig_json_member(mig_json_root(req->payload), "name");

    (void)data;
    (void)name;
    mig_finish_json(h->host, call, "{\"greeting\":\"hello\"}", 20);
}

static mig_status create(const mig_host *host, mig_str config, void **ret_self)
{
    struct hello *h = calloc(1, sizeof *h);

    (void)config;
    if (!h)
        return MIG_E_NOMEM;
    h->host = host;
    *ret_self = h;
    return MIG_OK;
}

static mig_status describe(void *self, const mig_registrar *reg)
{
    static const mig_capability cap = {
        .struct_size = sizeof(mig_capability),
        .modes = MIG_MODE_UNARY,
        .exec = MIG_EXEC_LOOP,
        .id = "example.hello.greet",
        .version = "1.0.0",
        .summary = "Greets.",
        .input_schema = "{\"type\":\"object\"}",
        .invoke = greet,
    };

    (void)self;
    return reg->capability(reg, &cap);
}

static void destroy(void *self)
{
    free(self);
}

static const mig_plugin hello = {
    .struct_size = sizeof(mig_plugin),
    .id = "org.example.hello",
    .version = "1.0.0",
    .summary = "The plugin of the ABI corpus.",
    .create = create,
    .describe = describe,
    .destroy = destroy,
};

MIG_PLUGIN_ENTRY(hello, &hello);
