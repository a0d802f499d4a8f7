/* pool_sleep: handlers that block a worker, as careless providers do, and tell how they ended. */
#define _POSIX_C_SOURCE 200809L
#include "common.h"
#include <mig/ext/invoke.h>
#include <mig/ext/kv.h>
#include <mig/ext/task.h>
#include <stdatomic.h>

struct sleeper {
    const mig_host *host;
    const mig_ext_invoke *invoke;
    atomic_ulong started, slept, cancelled, told;
};

/* {"ms":N,"deaf":1}: deaf does not look whether anybody still wants the answer. */
static void sleep_ms(void *self, void *data, mig_call call, const mig_request *req)
{
    struct sleeper *s = self;
    const mig_host *h = s->host;
    uint64_t until = h->now_ns(h) + number(req->payload, "ms", 0) * 1000000u;
    uint64_t deaf = number(req->payload, "deaf", 0);
    (void)data;

    atomic_fetch_add(&s->started, 1);
    while (h->now_ns(h) < until) {
        if (!deaf && h->is_cancelled(h, call)) {
            atomic_fetch_add(&s->cancelled, 1);
            mig_finish_error(h, call, MIG_TIMEOUT, "cancelled");
            return;
        }
        nap_ms(2);
    }
    atomic_fetch_add(&s->slept, 1);
    finish_text(h, call, "{\"slept\":true}");
}

static void on_cancel(void *self, void *data, mig_call call)
{
    struct sleeper *s = self;
    (void)data;
    (void)call;
    atomic_fetch_add(&s->told, 1);
}

static void status(void *self, void *data, mig_call call, const mig_request *req)
{
    struct sleeper *s = self;
    char out[160];
    (void)data;
    (void)req;

    snprintf(out, sizeof out, "{\"started\":%lu,\"slept\":%lu,\"cancelled\":%lu,\"told\":%lu}",
             atomic_load(&s->started), atomic_load(&s->slept), atomic_load(&s->cancelled),
             atomic_load(&s->told));
    finish_text(s->host, call, out);
}

/* What the host hands over, as JSON. */
static void mirror(void *self, void *data, mig_call call, const mig_request *req)
{
    struct sleeper *s = self;
    uint64_t now = s->host->now_ns(s->host);
    char out[4096];
    (void)data;

    int n = snprintf(out, sizeof out,
                     "{\"message_id\":\"%.*s\",\"tenant\":\"%.*s\",\"session\":\"%.*s\","
                     "\"subject\":\"%.*s\",\"traceparent\":\"%.*s\",\"tracestate\":\"%.*s\","
                     "\"key\":\"%.*s\","
                     "\"left_ms\":%llu,\"hops\":%u,\"meta\":%.*s}",
                     (int)req->message_id.len, req->message_id.ptr, (int)req->tenant_id.len,
                     req->tenant_id.ptr, (int)req->session_id.len, req->session_id.ptr,
                     (int)req->subject.len, req->subject.ptr, (int)req->traceparent.len,
                     req->traceparent.ptr, (int)req->tracestate.len, req->tracestate.ptr,
                     (int)req->idempotency_key.len, req->idempotency_key.ptr,
                     (unsigned long long)((req->deadline_ns - now) / 1000000u), req->hops,
                     (int)req->meta.len, req->meta.ptr);
    mig_finish_json(s->host, call, out, (size_t)n);
}

/* {"capability":ID,"payload":{...}}: calls another one and waits. */
static void relay(void *self, void *data, mig_call call, const mig_request *req)
{
    struct sleeper *s = self;
    mig_str token = mig_json_member(req->payload, "capability");
    mig_payload p = {mig_json_member(req->payload, "payload"), NULL, NULL};
    const mig_outcome *out = NULL;
    char id[256];
    (void)data;

    mig_str target = {id, mig_json_unescape(token, id, sizeof id)};
    mig_status code = s->invoke->invoke_wait(s->host, call, target, &p, &out);
    if (code == MIG_OK && out && out->status == MIG_OK) {
        mig_finish_json(s->host, call, out->json.ptr, out->json.len);
        return;
    }
    mig_error e = {sizeof e, MIG_UNAVAILABLE, mig_s("relay"), {NULL, 0}, 0, 0};
    if (code == MIG_OK && out)
        e = (mig_error){sizeof e,     out->status,         out->message,
                        out->details, out->retry_after_ms, out->retry};
    s->host->finish_error(s->host, call, &e);
}

/* {"code":N,"retry_after_ms":N} */
static void fail_with(void *self, void *data, mig_call call, const mig_request *req)
{
    struct sleeper *s = self;
    mig_error e = {sizeof e,
                   (mig_status)number(req->payload, "code", MIG_INTERNAL),
                   mig_s("as you wished"),
                   mig_s("{\"why\":\"test\"}"),
                   (uint32_t)number(req->payload, "retry_after_ms", 0),
                   0};
    (void)data;
    s->host->finish_error(s->host, call, &e);
}

static mig_status create(const mig_host *host, mig_str config, void **ret_self)
{
    struct sleeper *s = calloc(1, sizeof *s);
    (void)config;

    if (!s)
        return MIG_E_NOMEM;
    s->host = host;
    s->invoke = host->get_extension(host, MIG_EXT_INVOKE);
    *ret_self = s;
    return s->invoke ? MIG_OK : MIG_E_NOSYS;
}

static const char strict[] =
    "{\"type\":\"object\",\"required\":[\"ms\"],\"properties\":{\"ms\":{\"type\":\"integer\"}}}";

static mig_status describe(void *self, const mig_registrar *reg)
{
    static const struct {
        const char *id;
        void (*invoke)(void *, void *, mig_call, const mig_request *);
        uint32_t exec, max_concurrency, timeout_ms;
        const char *schema;
    } list[] = {
        {"test.pool.sleep", sleep_ms, MIG_EXEC_POOL, 0, 0, NULL},
        {"test.pool.two", sleep_ms, MIG_EXEC_POOL, 2, 0, NULL},
        {"test.pool.serial", sleep_ms, MIG_EXEC_POOL, 1, 0, NULL},
        {"test.pool.hasty", sleep_ms, MIG_EXEC_POOL, 0, 150, NULL},
        {"test.pool.strict", sleep_ms, MIG_EXEC_POOL, 0, 0, strict},
        {"test.pool.status", status, MIG_EXEC_LOOP, 0, 0, NULL},
        {"test.pool.mirror", mirror, MIG_EXEC_LOOP, 0, 0, NULL},
        {"test.pool.relay", relay, MIG_EXEC_POOL, 0, 0, NULL},
        {"test.pool.fail", fail_with, MIG_EXEC_LOOP, 0, 0, NULL},
    };
    (void)self;

    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        mig_capability c = {0};
        c.struct_size = sizeof c;
        c.modes = MIG_MODE_UNARY;
        c.id = list[i].id;
        c.version = "1.0.0";
        c.summary = "For tests.";
        c.exec = list[i].exec;
        c.max_concurrency = list[i].max_concurrency;
        c.timeout_ms = list[i].timeout_ms;
        c.input_schema = list[i].schema;
        c.invoke = list[i].invoke;
        c.on_cancel = on_cancel;
        mig_status status = reg->capability(reg, &c);
        if (status != MIG_OK)
            return status;
    }
    return MIG_OK;
}

static const mig_plugin pool_sleep = {
    sizeof pool_sleep,
    MIG_PLUGIN_UNLOADABLE,
    "org.test.pool-sleep",
    "1.0.0",
    "Sleeps.",
    NULL,
    create,
    describe,
    NULL,
    NULL,
    free,
    NULL,
};
MIG_PLUGIN_ENTRY(pool_sleep, &pool_sleep);
