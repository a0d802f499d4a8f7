/* counter: says which build it is and how often it was asked. For reloads: -DCOUNTER_VERSION="\"2\""
 * makes another module, state that survives proves that the instance was carried over. */
#define _POSIX_C_SOURCE 200809L
#include "common.h"
#include <stdatomic.h>

#ifndef COUNTER_VERSION
#define COUNTER_VERSION "1"
#endif
#ifndef COUNTER_ID
#define COUNTER_ID "test.counter"
#endif

/* tests/soak writes other digits over these ten, which makes new modules without a compiler. */
static const volatile char stamp[] = "STAMP:0000000000";

struct counter {
    const mig_host *host;
    char *config;
    atomic_ulong count, extras;
};

static void get(void *self, void *data, mig_call call, const mig_request *req)
{
    struct counter *c = self;
    size_t cap = strlen(c->config) + 160;
    char *out = malloc(cap), mark[sizeof stamp];
    (void)data;
    (void)req;

    for (size_t i = 0; i < sizeof stamp; i++)
        mark[i] = stamp[i];
    int n = snprintf(out, cap, "{\"version\":\"%s\",\"count\":%lu,\"stamp\":\"%s\",\"config\":%s}",
                     COUNTER_VERSION, atomic_fetch_add(&c->count, 1) + 1, mark + 6, c->config);
    mig_payload p = {{out, (size_t)n}, free, out};
    c->host->finish(c->host, call, &p);
}

/* One capability more from the next generation on. */
static void more(void *self, void *data, mig_call call, const mig_request *req)
{
    struct counter *c = self;
    (void)data;
    (void)req;

    atomic_fetch_add(&c->extras, 1);
    c->host->request_redescribe(c->host);
    finish_text(c->host, call, "{\"asked\":true}");
}

static mig_status create(const mig_host *host, mig_str config, void **ret_self)
{
    struct counter *c = calloc(1, sizeof *c);

    if (!c || !(c->config = malloc(config.len + 1)))
        return MIG_E_NOMEM;
    memcpy(c->config, config.ptr, config.len);
    c->config[config.len] = 0;
    c->host = host;
    *ret_self = c;
    return MIG_OK;
}

static mig_status offer(const mig_registrar *reg, const char *id,
                        void (*invoke)(void *, void *, mig_call, const mig_request *))
{
    mig_capability cap = {0};

    cap.struct_size = sizeof cap;
    cap.modes = MIG_MODE_UNARY;
    cap.exec = MIG_EXEC_LOOP;
    cap.id = id;
    cap.version = "1.0.0";
    cap.summary = "Counts.";
    cap.invoke = invoke;
    return reg->capability(reg, &cap);
}

static mig_status describe(void *self, const mig_registrar *reg)
{
    struct counter *c = self;
    mig_status status = offer(reg, COUNTER_ID ".get", get);
    char id[128];

    if (status == MIG_OK)
        status = offer(reg, COUNTER_ID ".more", more);
    for (unsigned long i = 0; i < atomic_load(&c->extras) && status == MIG_OK; i++) {
        snprintf(id, sizeof id, COUNTER_ID ".extra%lu", i + 1);
        status = offer(reg, id, get);
    }
    return status;
}

static void destroy(void *self)
{
    struct counter *c = self;

    free(c->config);
    free(c);
}

static const mig_plugin counter = {
    sizeof counter,
    MIG_PLUGIN_UNLOADABLE,
    "org.test.counter",
    COUNTER_VERSION ".0.0",
    "Counts.",
    NULL,
    create,
    describe,
    NULL,
    NULL,
    destroy,
    NULL,
};
MIG_PLUGIN_ENTRY(counter, &counter);
