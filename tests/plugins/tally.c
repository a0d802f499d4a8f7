/* tally: counts its runs, and ends them as it is asked to: {"sleep_ms":n, "error":code, "until":n,
 * "retry":0|1|2}: sleeps, then fails with the code as long as the count is not above `until`. */
#define _POSIX_C_SOURCE 200809L
#include "common.h"
#include <stdatomic.h>

#ifndef TALLY_META
#define TALLY_META "{}"
#endif

struct tally {
    const mig_host *host;
    atomic_ulong count;
};

static int sleeps(struct tally *t, mig_call call, uint64_t ms)
{
    for (uint64_t i = 0; i < ms; i++) {
        if (t->host->is_cancelled(t->host, call))
            return 0;
        nap_ms(1);
    }
    return 1;
}

static void run(void *self, void *data, mig_call call, const mig_request *req)
{
    struct tally *t = self;
    unsigned long n = atomic_fetch_add(&t->count, 1) + 1;
    uint64_t error = number(req->payload, "error", 0), until = number(req->payload, "until", 0);
    char text[64];
    (void)data;

    if (!sleeps(t, call, number(req->payload, "sleep_ms", 0))) {
        mig_finish_error(t->host, call, MIG_TIMEOUT, "cancelled");
        return;
    }
    if (req->mode != MIG_MODE_UNARY)
        for (int i = 0; i < 3; i++) {
            mig_payload frame = {mig_s("{\"part\":1}"), NULL, NULL};
            t->host->send(t->host, call, &frame);
        }
    if (error && n <= until) {
        mig_error e = {sizeof e,
                       (mig_status)error,
                       mig_s("as asked"),
                       mig_s("{\"why\":\"asked\"}"),
                       (uint32_t)number(req->payload, "after_ms", 0),
                       (uint32_t)number(req->payload, "retry", 0)};
        t->host->finish_error(t->host, call, &e);
        return;
    }
    snprintf(text, sizeof text, "{\"run\":%lu}", n);
    finish_text(t->host, call, text);
}

static void count(void *self, void *data, mig_call call, const mig_request *req)
{
    struct tally *t = self;
    char text[64];
    (void)data;
    (void)req;

    snprintf(text, sizeof text, "{\"runs\":%lu}", atomic_load(&t->count));
    finish_text(t->host, call, text);
}

static mig_status create(const mig_host *host, mig_str config, void **ret_self)
{
    struct tally *t = calloc(1, sizeof *t);
    (void)config;

    if (!t)
        return MIG_E_NOMEM;
    t->host = host;
    *ret_self = t;
    return MIG_OK;
}

static const struct {
    const char *id, *meta;
    uint32_t modes;
    int is_count;
} offers[] = {
    {"test.tally.run", TALLY_META, MIG_MODE_UNARY | MIG_MODE_SERVER_STREAM, 0},
    {"test.tally.count", NULL, MIG_MODE_UNARY, 1},
    {"test.tally.keyed", "{\"policy\":{\"require_idempotency_key\":true}}", MIG_MODE_UNARY, 0},
    {"test.tally.again",
     "{\"policy\":{\"idempotent\":true,\"retry\":{\"max_attempts\":3,\"backoff_ms\":10}}}",
     MIG_MODE_UNARY | MIG_MODE_SERVER_STREAM, 0},
    {"test.tally.withkey", "{\"policy\":{\"retry\":{\"max_attempts\":3,\"backoff_ms\":10}}}",
     MIG_MODE_UNARY, 0},
    {"test.tally.patient",
     "{\"policy\":{\"idempotent\":true,\"retry\":{\"max_attempts\":2,\"backoff_ms\":5000}}}",
     MIG_MODE_UNARY, 0},
    {"test.tally.rare", "{\"policy\":{\"rate_limit\":{\"rps\":2,\"burst\":2}}}", MIG_MODE_UNARY, 0},
    {"test.tally.single", "{\"policy\":{\"max_concurrency\":1,\"billing_tier\":\"gold\"}}",
     MIG_MODE_UNARY, 0},
};

static mig_status describe(void *self, const mig_registrar *reg)
{
    mig_status status = MIG_OK;
    (void)self;

    for (size_t i = 0; i < sizeof offers / sizeof offers[0] && status == MIG_OK; i++) {
        mig_capability cap = {0};
        cap.struct_size = sizeof cap;
        cap.modes = offers[i].modes;
        cap.exec = offers[i].is_count ? MIG_EXEC_LOOP : MIG_EXEC_POOL;
        cap.id = offers[i].id;
        cap.version = "1.0.0";
        cap.meta = offers[i].meta;
        cap.invoke = offers[i].is_count ? count : run;
        status = reg->capability(reg, &cap);
    }
    return status;
}

static const mig_plugin tally = {
    sizeof tally,
    MIG_PLUGIN_UNLOADABLE,
    "org.test.tally",
    "1.0.0",
    "Counts its runs.",
    NULL,
    create,
    describe,
    NULL,
    NULL,
    free,
    NULL,
};
MIG_PLUGIN_ENTRY(tally, &tally);
