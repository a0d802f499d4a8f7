#include "main/otlp.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/wait.h"
#include "core/trace.h"
#include "mig/sdk/status.h"
#include "net/post.h"

#include <stdio.h>
#include <stdlib.h>

enum { LOOK_MS = 200, BATCH = 512, BATCH_BYTES = 4 << 20, TIMEOUT_MS = 10000, STOP_MS = 2000 };
enum { RETRY_MS = 1000, RETRY_MAX_MS = 30000, TRIES = 10, HEADERS_MAX = 16 };

struct otlp {
    struct core *core;
    char *url, *service, *instance_id;
    char *headers[HEADERS_MAX + 2];
    struct post *post;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool is_stopping;            /* under the lock                      */
    _Atomic uint64_t give_up_ns; /* 0: no end in sight                  */
    _Atomic uint64_t sent, dropped, failures;
    struct buf body; /* the thread's: the batch on its way  */
    size_t body_spans;
    unsigned tries;
};

/* --- the document ------------------------------------------------------------------------------- */

static void attribute(struct buf *out, const char *key, str value, bool *is_first)
{
    if (!value.len)
        return;
    buf_addf(out, "%s{\"key\":\"%s\",\"value\":{\"stringValue\":", *is_first ? "" : ",", key);
    buf_add_json(out, value);
    buf_addz(out, "}}");
    *is_first = false;
}

void otlp_begin(struct buf *out, const char *service, const char *instance_id)
{
    bool is_first = true;

    buf_addz(out, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
    attribute(out, "service.name", str_of(service), &is_first);
    attribute(out, "service.version", S(MIGD_VERSION), &is_first);
    attribute(out, "service.instance.id", str_of(instance_id), &is_first);
    buf_addz(out, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"migd\",\"version\":\"" MIGD_VERSION
                  "\"},\"spans\":[");
}

void otlp_end(struct buf *out)
{
    buf_addz(out, "]}]}]}");
}

static void add_hex(struct buf *out, const char *key, const unsigned char *bytes, size_t n)
{
    char text[2 * TRACE_ID];

    hex_write(text, bytes, n);
    buf_addf(out, "\"%s\":\"%.*s\",", key, (int)(2 * n), text);
}

static void add_attributes(struct buf *out, const struct record *r)
{
    bool is_first = true;

    buf_addz(out, ",\"attributes\":[");
    attribute(out, "mig.operation", str_of(operation_name(r->operation)), &is_first);
    attribute(out, "mig.capability", r->capability, &is_first);
    attribute(out, "mig.target", r->target, &is_first);
    attribute(out, "mig.tenant_id", r->tenant, &is_first);
    attribute(out, "mig.outcome", str_of(outcome_name(r->outcome)), &is_first);
    attribute(out, "mig.code", str_of(mig_status_row(r->code)->name), &is_first);
    attribute(out, "mig.binding", r->binding, &is_first);
    attribute(out, "mig.message_id", r->message_id, &is_first);
    attribute(out, "client.address", r->remote, &is_first);
    buf_addz(out, "]");
}

/* opentelemetry/proto/trace/v1: kind 2 is a server's, status 2 an error; 64-bit numbers are strings. */
void otlp_span(struct buf *out, const struct record *r, bool is_first)
{
    uint64_t end_us = r->at_us, start_us = end_us > r->took_us ? end_us - r->took_us : 0;

    buf_addz(out, is_first ? "{" : ",{");
    add_hex(out, "traceId", r->trace.trace_id, TRACE_ID);
    add_hex(out, "spanId", r->trace.span_id, SPAN_ID);
    if (r->has_parent)
        add_hex(out, "parentSpanId", r->parent_span, SPAN_ID);
    if (r->rest.len) {
        buf_addz(out, "\"traceState\":");
        buf_add_json(out, r->rest);
        buf_addc(out, ',');
    }
    buf_addf(out, "\"flags\":%u,\"name\":", r->trace.flags);
    char name[300];
    int n = snprintf(name, sizeof name, "%s%s%.*s", operation_name(r->operation),
                     r->capability.len ? " " : "", STR_ARG(r->capability));
    buf_add_json(out, (str){name, (size_t)n});
    buf_addf(out, ",\"kind\":2,\"startTimeUnixNano\":\"%llu000\",\"endTimeUnixNano\":\"%llu000\"",
             (unsigned long long)start_us, (unsigned long long)end_us);
    add_attributes(out, r);
    if (r->code)
        buf_addf(out, ",\"status\":{\"code\":2,\"message\":\"%s\"}", mig_status_row(r->code)->name);
    buf_addc(out, '}');
}

/* --- the thread --------------------------------------------------------------------------------- */

static bool is_over(void *arg)
{
    const struct otlp *o = arg;
    uint64_t at = atomic_load(&((struct otlp *)(uintptr_t)o)->give_up_ns);

    return at && clock_now_ns() >= at;
}

/* A batch from what waits on the loops. */
static void collect(struct otlp *o)
{
    otlp_begin(&o->body, o->service, o->instance_id);
    for (size_t i = 0; i < o->core->loop_count; i++) {
        struct lane *lane = tracing_lane(o->core->tracing, i);
        for (str packed; lane && o->body_spans < BATCH && (packed = lane_peek(lane)).ptr;) {
            struct record r;
            record_unpack(packed, &r);
            otlp_span(&o->body, &r, o->body_spans++ == 0);
            lane_next(lane);
        }
    }
    otlp_end(&o->body);
}

static void forget(struct otlp *o)
{
    buf_clear(&o->body);
    o->body_spans = 0;
    o->tries = 0;
}

static void drop(struct otlp *o, const char *why, const struct post_answer *a)
{
    atomic_fetch_add(&o->dropped, o->body_spans);
    log_warn("otlp.dropped", F_Z("url", o->url), F_U64("spans", o->body_spans), F_Z("why", why),
             F_U64("status", a->status), F_Z("error", a->detail));
    forget(o);
}

/* OTLP 1.3, failures: these may be repeated. */
static bool may_repeat(unsigned status)
{
    return status == 0 || status == 429 || status == 502 || status == 503 || status == 504;
}

/* How long to wait before the next look. */
static unsigned send_batch(struct otlp *o, bool is_last)
{
    struct post_answer a;

    post_send(o->post, buf_str(&o->body), is_last ? STOP_MS : TIMEOUT_MS, &a);
    if (a.status >= 200 && a.status < 300) {
        bool is_full = o->body_spans == BATCH;
        atomic_fetch_add(&o->sent, o->body_spans);
        forget(o);
        return is_full ? 0 : LOOK_MS;
    }
    atomic_fetch_add(&o->failures, 1);
    if (!may_repeat(a.status) || ++o->tries == TRIES) {
        drop(o, may_repeat(a.status) ? "tried too often" : "refused", &a);
        return LOOK_MS;
    }
    if (o->tries == 1)
        log_warn("otlp.failed", F_Z("url", o->url), F_U64("status", a.status),
                 F_Z("error", a.detail), F_Z("hint", "it is tried again"));
    unsigned wait = (unsigned)RETRY_MS << (o->tries - 1 < 5 ? o->tries - 1 : 5);
    return wait < RETRY_MAX_MS ? wait : RETRY_MAX_MS;
}

static unsigned turn(struct otlp *o, bool is_last)
{
    if (!o->body_spans) {
        buf_clear(&o->body);
        collect(o);
    }
    if (o->body.has_failed) {
        drop(o, "too large", &(struct post_answer){0});
        o->body.has_failed = false;
    }
    return o->body_spans ? send_batch(o, is_last) : LOOK_MS;
}

static bool has_more(struct otlp *o)
{
    for (size_t i = 0; i < o->core->loop_count; i++) {
        struct lane *lane = tracing_lane(o->core->tracing, i);
        if (lane && lane_used(lane))
            return true;
    }
    return o->body_spans > 0;
}

/* Under the lock. */
static void sleep_for(struct otlp *o, unsigned ms)
{
    uint64_t at = clock_now_ns() + (uint64_t)ms * 1000000u;

    while (!o->is_stopping && wait_until(&o->wake, &o->lock, at))
        ;
}

static void *run(void *arg)
{
    struct otlp *o = arg;
    unsigned ms = LOOK_MS;

    pthread_mutex_lock(&o->lock);
    while (!o->is_stopping) {
        if (ms)
            sleep_for(o, ms);
        pthread_mutex_unlock(&o->lock);
        ms = turn(o, false);
        pthread_mutex_lock(&o->lock);
    }
    pthread_mutex_unlock(&o->lock);
    while (has_more(o) && !is_over(o))
        if (turn(o, true))
            break; // not accepted, and there is no time to wait; or there was no more
    if (o->body_spans)
        drop(o, "stopping", &(struct post_answer){0});
    return NULL;
}

/* --- start and end ------------------------------------------------------------------------------ */

/* OTEL_EXPORTER_OTLP_HEADERS: key=value,key=value */
static void take_headers(struct otlp *o)
{
    const char *given = getenv("OTEL_EXPORTER_OTLP_HEADERS");
    size_t n = 0;

    must(o->headers[n++] = strdup("Content-Type: application/json"));
    for (str rest = str_of(given ? given : ""); rest.len && n <= HEADERS_MAX;) {
        str value = str_trim(str_split(&rest, ','));
        str name = str_trim(str_split(&value, '='));
        if (name.len && value.ptr)
            must(asprintf(&o->headers[n++], "%.*s: %.*s", STR_ARG(name), STR_ARG(value)) >= 0);
    }
}

static const char *first_of(const char *a, const char *b)
{
    return a && *a ? a : b && *b ? b : NULL;
}

/* A base URL gets the path of traces; OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is taken as it is. */
static char *url_of(const struct otlp_settings *s)
{
    const char *whole = getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    const char *base = first_of(s->endpoint, getenv("OTEL_EXPORTER_OTLP_ENDPOINT"));
    char *url = NULL;

    if (first_of(whole, NULL) && !first_of(s->endpoint, NULL))
        return strdup(whole);
    if (base)
        must(asprintf(&url, "%s%s", base,
                      str_ends(str_of(base), S("/")) ? "v1/traces" : "/v1/traces") >= 0);
    return url;
}

static void free_all(struct otlp *o)
{
    post_free(o->post);
    for (size_t i = 0; o->headers[i]; i++)
        free(o->headers[i]);
    buf_deinit(&o->body);
    free(o->url);
    free(o->service);
    free(o->instance_id);
    free(o);
}

struct otlp *otlp_start(struct core *core, const struct otlp_settings *s)
{
    char *url = url_of(s);

    if (!url)
        return NULL;
    struct otlp *o = calloc(1, sizeof *o);
    must(o);
    o->core = core;
    o->url = url;
    must(o->service = strdup(first_of(getenv("OTEL_SERVICE_NAME"), "migd")));
    must(o->instance_id = strdup(s->instance_id));
    take_headers(o);
    buf_init(&o->body, BATCH_BYTES);
    o->post = post_new(url, (const char *const *)o->headers, is_over, o);
    if (!o->post) {
        log_error("otlp.library", F_Z("hint", "libcurl.so.4 is needed to send spans"));
        free_all(o);
        return NULL;
    }
    must(pthread_mutex_init(&o->lock, NULL) == 0 && pthread_cond_init(&o->wake, NULL) == 0);
    tracing_export(core->tracing);
    must(pthread_create(&o->thread, NULL, run, o) == 0);
    return o;
}

void otlp_stop(struct otlp *o)
{
    if (!o)
        return;
    atomic_store(&o->give_up_ns, clock_now_ns() + (uint64_t)STOP_MS * 1000000u);
    pthread_mutex_lock(&o->lock);
    o->is_stopping = true;
    pthread_cond_signal(&o->wake);
    pthread_mutex_unlock(&o->lock);
    pthread_join(o->thread, NULL);
    pthread_mutex_destroy(&o->lock);
    pthread_cond_destroy(&o->wake);
    free_all(o);
}

void otlp_stats(const struct otlp *o, struct otlp_stats *ret)
{
    struct otlp *w = (struct otlp *)(uintptr_t)o;

    *ret = (struct otlp_stats){0};
    if (w)
        *ret = (struct otlp_stats){atomic_load(&w->sent), atomic_load(&w->dropped),
                                   atomic_load(&w->failures)};
}
