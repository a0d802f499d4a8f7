/* The counters as Prometheus text. Sums over the loops; what has never been counted is left out. */
#include "base/check.h"
#include "base/prom.h"
#include "core/telemetry_own.h"
#include "mig/sdk/status.h"

#include <stdio.h>
#include <stdlib.h>

enum { LABELS_MAX = 4 };

static void histogram(struct buf *out, const char *name, const struct prom_label *labels, size_t n,
                      const uint64_t *buckets, const uint64_t *bounds, size_t bound_count,
                      uint64_t sum_ns)
{
    struct prom_label all[LABELS_MAX + 1];
    char part[128], le[32];
    uint64_t total = 0;

    must(n <= LABELS_MAX);
    memcpy(all, labels, n * sizeof *labels);
    snprintf(part, sizeof part, "%s_bucket", name);
    for (size_t i = 0; i <= bound_count; i++) {
        int len = i < bound_count ? snprintf(le, sizeof le, "%g", (double)bounds[i] / 1e6)
                                  : snprintf(le, sizeof le, "+Inf");
        all[n] = (struct prom_label){"le", {le, (size_t)len}};
        total += buckets[i];
        prom_sample(out, part, all, n + 1, (int64_t)total);
    }
    buf_addf(out, "%s_sum", name);
    prom_labels(out, labels, n);
    buf_addf(out, " %.9g\n", (double)sum_ns * 1e-9);
    snprintf(part, sizeof part, "%s_count", name);
    prom_sample(out, part, labels, n, (int64_t)total);
}

static str code_name(size_t code)
{
    return str_of(mig_status_row((mig_status)code)->name);
}

/* --- invocations -------------------------------------------------------------------------------- */

/* What is there now: series stay, so they are read without the lock, which loops may want. */
struct shot {
    struct call_series **series;
    struct capability_counts **capabilities;
    struct route_counts **routes;
    size_t series_count, capability_count, route_count;
};

static struct shot take_shot(struct telemetry *t)
{
    struct shot s = {0};
    struct map_entry *e;

    pthread_mutex_lock(&t->lock);
    s.series = calloc(t->series.count + 1, sizeof *s.series);
    s.capabilities = calloc(t->capabilities.count + 1, sizeof *s.capabilities);
    s.routes = calloc(t->routes.count + 1, sizeof *s.routes);
    must(s.series && s.capabilities && s.routes);
    for (size_t i = 0; t->series.slots && i <= t->series.mask; i++)
        if (t->series.slots[i])
            s.series[s.series_count++] = t->series.slots[i];
    for (size_t at = 0; (e = map_each(&t->capabilities, &at));)
        s.capabilities[s.capability_count++] = e->value;
    for (size_t at = 0; (e = map_each(&t->routes, &at));)
        s.routes[s.route_count++] = e->value;
    pthread_mutex_unlock(&t->lock);
    return s;
}

static uint64_t row_sum(const struct telemetry *t, const struct call_series *s, size_t row)
{
    uint64_t sum = 0;

    for (size_t l = 0; l < t->loop_count; l++)
        sum += counted(&s->loops[l].rows[row]);
    return sum;
}

static void text_outcomes(struct telemetry *t, const struct call_series *s, struct buf *out)
{
    for (size_t row = 0; row < ROWS; row++) {
        uint64_t n = row_sum(t, s, row);
        size_t code = row < CODES ? row : row == ROW_CANCELLED ? MIG_TIMEOUT : row - ROW_REPLAYED;
        enum outcome o = row < CODES            ? outcome_of((mig_status)row)
                         : row == ROW_CANCELLED ? OUTCOME_CANCELLED
                                                : OUTCOME_REPLAYED;
        const struct prom_label labels[] = {{"capability", s->capability->id},
                                            {"tenant", s->names.tenant},
                                            {"outcome", str_of(outcome_name(o))},
                                            {"code", code_name(code)}};
        if (n)
            prom_sample(out, "mig_gateway_invocations_total", labels, countof(labels), (int64_t)n);
    }
}

static void sum_histogram(const struct histogram *h, uint64_t sums[BUCKETS], uint64_t *sum_ns)
{
    for (size_t i = 0; i < BUCKETS; i++)
        sums[i] += counted(&h->buckets[i]);
    *sum_ns += counted(&h->sum_ns);
}

static void text_durations(struct telemetry *t, const struct call_series *s, struct buf *out)
{
    const struct prom_label labels[] = {{"capability", s->capability->id},
                                        {"tenant", s->names.tenant}};
    uint64_t sums[BUCKETS] = {0}, sum_ns = 0;

    for (size_t l = 0; l < t->loop_count; l++)
        sum_histogram(&s->loops[l].took, sums, &sum_ns);
    histogram(out, "mig_gateway_invocation_duration_seconds", labels, countof(labels), sums,
              call_bounds, CALL_BUCKETS, sum_ns);
}

enum capability_value { INFLIGHT, DEADLINES, REPLAYS };

static void text_capabilities(struct telemetry *t, const struct shot *s, const char *name,
                              enum capability_value what, struct buf *out)
{
    for (size_t i = 0; i < s->capability_count; i++) {
        const struct capability_counts *c = s->capabilities[i];
        const struct prom_label label = {"capability", c->id};
        int64_t sum = 0;
        for (size_t l = 0; l < t->loop_count; l++) {
            struct capability_loop *n = &c->loops[l];
            sum += what == INFLIGHT
                       ? atomic_load_explicit(&n->inflight, memory_order_relaxed)
                       : (int64_t)counted(what == DEADLINES ? &n->deadlines : &n->replays);
        }
        bool is_name = c != t->no_capability && c != t->other_capability;
        if (sum || (what == INFLIGHT && is_name))
            prom_sample(out, name, &label, 1, sum);
    }
}

static void text_invocations(struct telemetry *t, const struct shot *s, struct buf *out)
{
    prom_family(out, "mig_gateway_invocations_total", "counter", "Invocations that are over.");
    for (size_t i = 0; i < s->series_count; i++)
        text_outcomes(t, s->series[i], out);
    prom_family(out, "mig_gateway_invocation_duration_seconds", "histogram",
                "From admission to the answer.");
    for (size_t i = 0; i < s->series_count; i++)
        text_durations(t, s->series[i], out);
    prom_family(out, "mig_gateway_inflight_invocations", "gauge",
                "Invocations that a provider works on.");
    text_capabilities(t, s, "mig_gateway_inflight_invocations", INFLIGHT, out);
    prom_family(out, "mig_gateway_deadline_exceeded_total", "counter",
                "Invocations that their deadline ended.");
    text_capabilities(t, s, "mig_gateway_deadline_exceeded_total", DEADLINES, out);
    prom_family(out, "mig_gateway_idempotent_replays_total", "counter",
                "Answers given again for a key.");
    text_capabilities(t, s, "mig_gateway_idempotent_replays_total", REPLAYS, out);
}

/* --- HTTP --------------------------------------------------------------------------------------- */

/* One route and method, summed: its statuses are few, and the same on all loops or nearly so. */
struct request_sums {
    struct {
        unsigned code;
        uint64_t n;
    } statuses[STATUSES * 4];
    size_t count;
    uint64_t buckets[BUCKETS], sum_ns;
};

static void add_status(struct request_sums *r, unsigned code, uint64_t n)
{
    size_t i = 0;

    while (i < r->count && r->statuses[i].code != code)
        i++;
    if (i == countof(r->statuses))
        return;
    r->count += i == r->count;
    r->statuses[i].code = code;
    r->statuses[i].n += n;
}

static bool sum_requests(struct telemetry *t, const struct route_counts *route, size_t method,
                         struct request_sums *ret)
{
    bool is_there = false;

    *ret = (struct request_sums){0};
    for (size_t l = 0; l < t->loop_count; l++) {
        struct http_series *s =
            atomic_load_explicit(&route->loops[l].by_method[method], memory_order_acquire);
        for (size_t i = 0; s && i < STATUSES; i++) {
            uint64_t n = counted(&s->statuses[i]);
            if (n)
                add_status(ret, atomic_load_explicit(&s->codes[i], memory_order_acquire), n);
        }
        if (s)
            sum_histogram(&s->took, ret->buckets, &ret->sum_ns);
        is_there |= s != NULL;
    }
    return is_there;
}

static void text_statuses(const struct request_sums *r, str method, str path, struct buf *out)
{
    char status[12];

    for (size_t i = 0; i < r->count; i++) {
        int n = snprintf(status, sizeof status, "%u", r->statuses[i].code);
        str code = r->statuses[i].code ? (str){status, (size_t)n} : S("other");
        const struct prom_label labels[] = {{"method", method}, {"path", path}, {"status", code}};
        prom_sample(out, "mig_gateway_http_requests_total", labels, countof(labels),
                    (int64_t)r->statuses[i].n);
    }
}

static void text_route(struct telemetry *t, const struct route_counts *route, bool is_duration,
                       struct buf *out)
{
    struct request_sums r;

    for (size_t m = 0; m < METHODS; m++) {
        str method = str_of(method_names[m]);
        if (!sum_requests(t, route, m, &r))
            continue;
        const struct prom_label labels[] = {{"method", method}, {"path", route->pattern}};
        if (is_duration)
            histogram(out, "mig_gateway_http_request_duration_seconds", labels, countof(labels),
                      r.buckets, http_bounds, HTTP_BUCKETS, r.sum_ns);
        else
            text_statuses(&r, method, route->pattern, out);
    }
}

static void text_http(struct telemetry *t, const struct shot *s, struct buf *out)
{
    prom_family(out, "mig_gateway_http_requests_total", "counter", "Requests answered.");
    for (size_t i = 0; i < s->route_count; i++)
        text_route(t, s->routes[i], false, out);
    prom_family(out, "mig_gateway_http_request_duration_seconds", "histogram",
                "From the complete request to the end of its answer.");
    for (size_t i = 0; i < s->route_count; i++)
        text_route(t, s->routes[i], true, out);
}

/* --- small tables ------------------------------------------------------------------------------- */

static void text_errors(struct telemetry *t, struct buf *out)
{
    prom_family(out, "mig_gateway_errors_total", "counter", "Operations that failed.");
    for (size_t o = 0; o < OPERATIONS; o++)
        for (size_t c = 1; c < CODES; c++) {
            uint64_t sum = 0;
            for (size_t l = 0; l < t->loop_count; l++)
                sum += counted(&t->loops[l].errors[o][c]);
            const struct prom_label labels[] = {
                {"code", code_name(c)}, {"operation", str_of(operation_name((enum operation)o))}};
            if (sum)
                prom_sample(out, "mig_gateway_errors_total", labels, countof(labels), (int64_t)sum);
        }
}

static void text_cancels(struct telemetry *t, struct buf *out)
{
    static const char *const statuses[] = {"cancelled", "completed", "pending"};

    prom_family(out, "mig_gateway_cancellations_total", "counter", "CANCEL operations.");
    for (size_t b = 0; b < BINDINGS; b++)
        for (size_t s = 0; s < CANCEL_STATUSES; s++) {
            uint64_t sum = 0;
            for (size_t l = 0; l < t->loop_count; l++)
                sum += counted(&t->loops[l].cancels[b][s]);
            const struct prom_label labels[] = {
                {"binding", b < BINDINGS_KNOWN ? binding_names[b] : S("other")},
                {"status", str_of(statuses[s])}};
            if (sum)
                prom_sample(out, "mig_gateway_cancellations_total", labels, countof(labels),
                            (int64_t)sum);
        }
}

static const char *const stream_names[STREAM_TYPES] = {
    "", "sse", "websocket", "grpc_bidi", "grpc_events", "nats", "mcp", "invoke_sse", "other"};

static void text_streams(struct telemetry *t, struct buf *out)
{
    prom_family(out, "mig_gateway_active_streams", "gauge", "Streams that are open.");
    for (size_t s = 1; s < STREAM_TYPES; s++) {
        const struct prom_label label = {"type", str_of(stream_names[s])};
        int64_t sum = 0;
        for (size_t l = 0; l < t->loop_count; l++)
            sum += atomic_load_explicit(&t->loops[l].streams[s], memory_order_relaxed);
        prom_sample(out, "mig_gateway_active_streams", &label, 1, sum);
    }
}

static void text_backpressure(struct telemetry *t, struct buf *out)
{
    prom_family(out, "mig_gateway_backpressure_total", "counter",
                "Operations refused for want of room, and streams whose reader fell behind.");
    for (size_t i = 0; i < OPERATIONS + STREAM_TYPES; i++) {
        bool is_stream = i >= OPERATIONS;
        const char *name =
            is_stream ? stream_names[i - OPERATIONS] : operation_name((enum operation)i);
        const struct prom_label label = {"channel", str_of(name)};
        uint64_t sum = 0;
        for (size_t l = 0; l < t->loop_count; l++)
            sum += counted(is_stream ? &t->loops[l].slow[i - OPERATIONS] : &t->loops[l].refused[i]);
        if (sum)
            prom_sample(out, "mig_gateway_backpressure_total", &label, 1, (int64_t)sum);
    }
}

/* The same reason on another loop is added to its first place. */
static uint64_t auth_sum(struct telemetry *t, size_t from, const struct auth_count *a,
                         bool *is_first)
{
    uint64_t sum = 0;

    *is_first = true;
    for (size_t l = 0; l < t->loop_count; l++) {
        struct telemetry_loop *here = &t->loops[l];
        size_t n = atomic_load_explicit(&here->auth_count, memory_order_acquire);
        for (size_t i = 0; i < n; i++) {
            struct auth_count *b = &here->auth[i];
            bool is_same = a->decision == b->decision && a->len == b->len &&
                           !memcmp(a->reason, b->reason, a->len);
            if (is_same && l < from)
                *is_first = false;
            sum += is_same ? counted(&b->n) : 0;
        }
    }
    return sum;
}

static void text_callers(struct telemetry *t, struct buf *out)
{
    static const str reasons[] = {S("anonymous"), S("authenticated")};

    for (size_t i = 0; i < countof(reasons); i++) {
        const struct prom_label labels[] = {{"decision", S("allow")}, {"reason", reasons[i]}};
        uint64_t sum = 0;
        for (size_t l = 0; l < t->loop_count; l++)
            sum += counted(&t->loops[l].callers[i]);
        if (sum)
            prom_sample(out, "mig_gateway_auth_decisions_total", labels, countof(labels),
                        (int64_t)sum);
    }
}

static void text_auth(struct telemetry *t, struct buf *out)
{
    prom_family(out, "mig_gateway_auth_decisions_total", "counter",
                "Who was let in, and who was not.");
    text_callers(t, out);
    for (size_t l = 0; l < t->loop_count; l++) {
        struct telemetry_loop *here = &t->loops[l];
        size_t n = atomic_load_explicit(&here->auth_count, memory_order_acquire);
        for (size_t i = 0; i < n; i++) {
            const struct auth_count *a = &here->auth[i];
            const struct prom_label labels[] = {
                {"decision", a->decision == DECISION_DENY ? S("deny") : S("allow")},
                {"reason", {a->reason, a->len}}};
            bool is_first;
            uint64_t sum = auth_sum(t, l, a, &is_first);
            if (is_first)
                prom_sample(out, "mig_gateway_auth_decisions_total", labels, countof(labels),
                            (int64_t)sum);
        }
    }
}

void telemetry_text(struct telemetry *t, struct buf *out)
{
    struct shot s = take_shot(t);

    text_http(t, &s, out);
    text_invocations(t, &s, out);
    text_errors(t, out);
    text_cancels(t, out);
    text_streams(t, out);
    text_backpressure(t, out);
    text_auth(t, out);
    free(s.series);
    free(s.capabilities);
    free(s.routes);
}
