/* What operators look at: metrics, audit, health (sections 14, 15). */
#include "ctl_conformance.h"

#include "base/clock.h"

#include <stdlib.h>

static const char invoke[] = "POST invoke/${C}";

/* Is the last answer there, with rights? Otherwise a skip. */
static bool is_reachable(struct probe *p, const char *what)
{
    unsigned status = p->last->status;

    if (status == 401 || status == 403)
        return skip_check(p, "%s answers %u: an admin key or a token with the right is needed",
                          what, status);
    if (status == 404)
        return skip_check(p, "%s is not there", what);
    return status == 200 || fail_check(p, "200", "%u from %s", status, what);
}

/* ---- metrics ----------------------------------------------------------------------------------
 */

static bool get_metrics(struct probe *p)
{
    return ask(p, "GET /metrics", NULL, NULL, "") && is_reachable(p, "/metrics");
}

/* Behind "name{" or "name ", also of a histogram's parts; the empty text otherwise. */
static str sample_of(str line, str name)
{
    static const str parts[] = {S(""), S("_bucket"), S("_count"), S("_sum")};

    for (size_t i = 0; i < countof(parts); i++) {
        str rest = str_cut(line, name.len);
        if (!str_starts(line, name) || !str_starts(rest, parts[i]))
            continue;
        rest = str_cut(rest, parts[i].len);
        if (rest.len && (*rest.ptr == '{' || *rest.ptr == ' '))
            return rest;
    }
    return (str){0};
}

/* The value of the first sample whose labels contain all the texts; -1: there is none. */
static double sample(const struct probe *p, const char *name, const char *const *labels)
{
    for (str rest = buf_str(&p->last->body); rest.len;) {
        str line = str_split(&rest, '\n'), found = sample_of(line, str_of(name));
        const char *const *l = labels;
        if (!found.len)
            continue;
        while (*l && memmem(found.ptr, found.len, *l, strlen(*l)))
            l++;
        if (!*l) {
            const char *space = memrchr(found.ptr, ' ', found.len);
            return space ? strtod(space, NULL) : -1;
        }
    }
    return -1;
}

static bool has_type(struct probe *p, str type, str name)
{
    char line[160];
    int n = snprintf(line, sizeof line, "# TYPE %.*s %.*s", STR_ARG(name), STR_ARG(type));

    return memmem(p->last->body.ptr, p->last->body.len, line, (size_t)n) ||
           fail_check(p, line, "no such line");
}

/* check->want: "counter NAME LABEL..."; labels are looked for when there is a sample. */
static void family(struct probe *p)
{
    str rest = str_of(p->check->want), type = str_split(&rest, ' '), name = str_split(&rest, ' ');
    static const char *const any[] = {NULL};
    char z[96];

    ask(p, invoke, NULL, "{${I},${P}}", "");
    snprintf(z, sizeof z, "%.*s", STR_ARG(name));
    if (!get_metrics(p) || !has_type(p, type, name) || sample(p, z, any) < 0)
        return;
    while (rest.len) {
        char label[64];
        str word = str_split(&rest, ' ');
        snprintf(label, sizeof label, "%.*s=\"", STR_ARG(word));
        if (sample(p, z, (const char *const[]){label, NULL}) < 0)
            fail_check(p, label, "no sample of %s has this label", z);
    }
}

static void text_format(struct probe *p)
{
    if (get_metrics(p) &&
        !str_contains_nocase(head_find(buf_str(&p->last->head), "Content-Type"), S("text/plain")))
        fail_check(p, "Content-Type text/plain; version=0.0.4", "%.*s",
                   STR_ARG(head_find(buf_str(&p->last->head), "Content-Type")));
}

/* A counter has to grow by what `act` does. */
static void grows(struct probe *p, const char *name, const char *const *labels, const char *request,
                  const char *body)
{
    double before, after;

    if (!get_metrics(p))
        return;
    before = sample(p, name, labels);
    if (!ask(p, request, NULL, body, "") || !get_metrics(p))
        return;
    after = sample(p, name, labels);
    if (after < (before > 0 ? before : 0) + 1)
        fail_check(p, "one more after the request", "%s with %s: %g, then %g", name, labels[0],
                   before, after);
}

static void counts_by_route(struct probe *p)
{
    grows(p, "mig_gateway_http_requests_total",
          (const char *const[]){"path=\"/mig/v0.1/invoke/{capability}\"", "method=\"POST\"",
                                "status=\"200\"", NULL},
          invoke, "{${I},${P}}");
}

static void counts_other_routes(struct probe *p)
{
    grows(p, "mig_gateway_http_requests_total",
          (const char *const[]){"path=\"other\"", "status=\"404\"", NULL}, "GET /no/such/${N}",
          NULL);
}

static void counts_errors(struct probe *p)
{
    grows(
        p, "mig_gateway_errors_total",
        (const char *const[]){"code=\"MIG_UNSUPPORTED_CAPABILITY\"", "operation=\"invoke\"", NULL},
        "POST invoke/no.such", "{${I},${P}}");
}

static void counts_invocations(struct probe *p)
{
    char capability[256], tenant[96];

    snprintf(capability, sizeof capability, "capability=\"%.200s\"", p->capability);
    snprintf(tenant, sizeof tenant, "tenant=\"%.64s\"", p->tenant);
    grows(p, "mig_gateway_invocations_total",
          (const char *const[]){capability, tenant, "outcome=\"success\"", NULL}, invoke,
          "{${I},${P}}");
}

static void has_the_buckets(struct probe *p)
{
    static const char *const bounds[] = {".005", ".01", ".025", ".05", ".1", ".25",
                                         ".5",   "1",   "2.5",  "5",   "10"};

    if (!get_metrics(p))
        return;
    for (size_t i = 0; i < countof(bounds); i++) {
        char plain[32], whole[32];
        snprintf(plain, sizeof plain, "le=\"0%s\"", bounds[i]);
        snprintf(whole, sizeof whole, "le=\"%s\"", bounds[i]);
        if (sample(p, "mig_gateway_http_request_duration_seconds",
                   (const char *const[]){*bounds[i] == '.' ? plain : whole, NULL}) < 0) {
            fail_check(p, "the eleven buckets", "none of %s", bounds[i]);
            return;
        }
    }
}

static void counts_open_streams(struct probe *p)
{
    TAPE t = {0};

    if (!get_metrics(p) || !tape_open(&t, p, "GET subscribe/${E}", NULL, NULL) || !get_metrics(p))
        return;
    if (sample(p, "mig_gateway_active_streams", (const char *const[]){"type=\"sse\"", NULL}) < 1)
        fail_check(
            p, "mig_gateway_active_streams{type=\"sse\"} of 1 or more", "%g",
            sample(p, "mig_gateway_active_streams", (const char *const[]){"type=\"sse\"", NULL}));
}

/* ---- audit ------------------------------------------------------------------------------------
 */

/* The record of this check's message id in the last answer; the empty token: there is none. */
static mig_str record_of(const struct probe *p)
{
    char id[64];

    snprintf(id, sizeof id, "conf-%s-%u", p->run, p->number);
    for (mig_json_iter i = mig_json_each(last_at(p, "/records")); mig_json_next(&i);)
        if (mig_json_is(mig_json_member(i.value, "message_id"), id))
            return i.value;
    return (mig_str){0};
}

/* Asks for the records of the last minute until that of this check is among them. */
static bool find_record(struct probe *p)
{
    char since[CLOCK_RFC3339], request[128];
    int64_t end = clock_ms() + 1000;

    clock_rfc3339(clock_wall_ms() - 60000, since);
    snprintf(request, sizeof request, "GET /pro/v0.1/audit/export?tenant_id=${T}&since=%.*s",
             (int)sizeof since, since);
    do {
        if (!ask(p, request, NULL, NULL, "") || !is_reachable(p, "/pro/v0.1/audit/export"))
            return false;
        if (record_of(p).len)
            return true;
        pause_ms(p, 100);
    } while (clock_ms() < end);
    return fail_check(p, "a record of the call", "none among %zu",
                      mig_json_count(last_at(p, "/records")));
}

static void record_wants(struct probe *p, const char *want)
{
    CLEANUP(buf_deinit) struct buf clauses = {0};
    CLEANUP(buf_deinit) struct buf expected = {0};
    CLEANUP(buf_deinit) struct buf came = {0};

    buf_init(&clauses, 4096);
    buf_init(&expected, 4096);
    buf_init(&came, 65536);
    if (!find_record(p))
        return;
    expand(p, &clauses, want, true);
    if (want_check(&(struct answer){.body = record_of(p)}, buf_str(&clauses), &expected, &came))
        return;
    buf_addc(&expected, 0);
    fail_check(p, expected.ptr, "%.*s", STR_ARG(buf_str(&came)));
}

static void audits_success(struct probe *p)
{
    if (ask(p, invoke, NULL, "{${I},${P}}", "200"))
        record_wants(p, "/outcome = 'success'; /tenant_id = '${T}'; /capability = '${C}'; "
                        "/actor : text; /timestamp : time");
}

static void audits_the_actor(struct probe *p)
{
    if (ask(p, invoke, "X-Actor: ${N}-actor", "{${I},${P}}", "200"))
        record_wants(p, "/actor = '${N}-actor'");
}

static void audits_errors(struct probe *p)
{
    if (ask(p, "POST invoke/no.such", NULL, "{${I},${P}}", "404"))
        record_wants(p, "/outcome = 'error'; /tenant_id = '${T}'");
}

static void audits_timeouts(struct probe *p)
{
    if (ask(p, invoke, NULL,
            "{'header':{'tenant_id':'${T}','message_id':'${N}','deadline_ms':50},"
            "'payload':{'input':'x','delay_ms':2000}}",
            "504"))
        record_wants(p, "/outcome = 'timeout'");
}

static void audits_cancels(struct probe *p)
{
    struct http_job *j = begin(p, invoke, NULL, "{${I},'payload':{'input':'x','delay_ms':3000}}");

    pause_ms(p, 100);
    ask(p, "POST cancel/${N}", NULL, NULL, "200");
    if (finish(p, j, 2000, "504"))
        record_wants(p, "/outcome = 'cancelled'");
}

static void audits_in_order_and_apart(struct probe *p)
{
    mig_str before = {0};

    if (!ask(p, invoke, NULL, "{${I},${P}}", "200") || !find_record(p))
        return;
    for (mig_json_iter i = mig_json_each(last_at(p, "/records")); mig_json_next(&i);) {
        mig_str at = mig_json_member(i.value, "timestamp");
        if (!mig_json_is(mig_json_member(i.value, "tenant_id"), p->tenant))
            fail_check(p, "records of the tenant alone", "%.300s", i.value.ptr);
        if (before.len && at.len == before.len && str_cmp(at, before) < 0)
            fail_check(p, "oldest first", "%.*s behind %.*s", STR_ARG(at), STR_ARG(before));
        before = at;
    }
}

/* ---- health, connections, traces --------------------------------------------------------------
 */

static void tells_its_profiles(struct probe *p)
{
    if (!ask(p, "GET /admin/v0.1/health/conformance", NULL, NULL, "") ||
        !is_reachable(p, "/admin/v0.1/health/conformance"))
        return;
    ask(p, "GET /admin/v0.1/health/conformance", NULL, NULL,
        "200; /core = true; /streaming = true; /evented = true; /full = true");
}

static void shows_subscriptions(struct probe *p)
{
    static const char request[] = "GET /admin/v0.1/connections?tenant_id=${T}&kind=sse_subscribe";
    TAPE t = {0};

    if (!ask(p, request, NULL, NULL, "") || !is_reachable(p, "/admin/v0.1/connections") ||
        !tape_open(&t, p, "GET subscribe/${E}", NULL, NULL))
        return;
    ask(p, request, NULL, NULL,
        "200; /connections/0/id ~ conn-; /connections/0/kind = 'sse_subscribe'; "
        "/connections/0/tenant_id = '${T}'; /connections/0/meta/topic : text; /filter_tenant = "
        "'${T}'; "
        "/summary/total > 0");
}

static void events_carry_the_traceparent(struct probe *p)
{
    TAPE t = {0};

    if (ask(p, "POST publish/${E}", NULL,
            "{'header':{'tenant_id':'${T}','traceparent':"
            "'00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'},'payload':{}}",
            "200") &&
        tape_open(&t, p, "GET subscribe/${E}?resume_cursor=0", NULL, NULL) &&
        tape_find(&t, 0, NULL, NULL, 2000) != SIZE_MAX)
        tape_wants(
            &t, 0,
            "/header/traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'");
}

#define FAMILY(id, what)                                                                           \
    {                                                                                              \
        "metrics." id, FULL, "15.1", "metric: " what, 0, NULL, NULL, NULL, what, family            \
    }

static const struct check full_rows[] = {
    {"trace.invoke", FULL, "15.2", "INVOKE gives the traceparent back", 0, invoke,
     "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "{${I},${P}}",
     "200; /header/traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'"},
    {"trace.event", FULL, "15.2", "an event has its publisher's traceparent",
     .run = events_carry_the_traceparent},
    {"metrics.format", FULL, "11.1", "/metrics is Prometheus text", .run = text_format},
    FAMILY("requests", "counter mig_gateway_http_requests_total method path status"),
    FAMILY("duration", "histogram mig_gateway_http_request_duration_seconds method path"),
    FAMILY("errors", "counter mig_gateway_errors_total code operation"),
    FAMILY("streams", "gauge mig_gateway_active_streams type"),
    FAMILY("invocations", "counter mig_gateway_invocations_total capability tenant outcome code"),
    FAMILY("invocation_duration",
           "histogram mig_gateway_invocation_duration_seconds capability tenant"),
    FAMILY("inflight", "gauge mig_gateway_inflight_invocations capability"),
    FAMILY("cancellations", "counter mig_gateway_cancellations_total binding status"),
    FAMILY("deadlines", "counter mig_gateway_deadline_exceeded_total capability"),
    FAMILY("replays", "counter mig_gateway_idempotent_replays_total capability"),
    FAMILY("published", "counter mig_gateway_events_published_total tenant topic"),
    FAMILY("delivered", "counter mig_gateway_events_delivered_total tenant topic"),
    FAMILY("replayed", "counter mig_gateway_events_replayed_total tenant topic"),
    FAMILY("lag", "gauge mig_gateway_event_lag tenant topic consumer"),
    FAMILY("backpressure", "counter mig_gateway_backpressure_total channel"),
    FAMILY("queue_depth", "gauge mig_gateway_queue_depth queue"),
    FAMILY("pending_acks", "gauge mig_gateway_pending_acks queue"),
    FAMILY("auth", "counter mig_gateway_auth_decisions_total decision reason"),
    {"metrics.buckets", FULL, "15.1", "the histogram of requests has its eleven buckets",
     .run = has_the_buckets},
    {"metrics.by_route", FULL, "15.1", "requests are counted by route template",
     .run = counts_by_route},
    {"metrics.other_route", FULL, "15.1", "unrouted requests count as `other`",
     .run = counts_other_routes},
    {"metrics.by_code", FULL, "15.1", "errors are counted by code and operation",
     .run = counts_errors},
    {"metrics.by_capability", FULL, "15.1", "invocations are counted by capability and tenant",
     .run = counts_invocations},
    {"metrics.open_streams", FULL, "15.1", "an open subscription shows as a stream",
     .run = counts_open_streams},
    {"audit.success", FULL, "15.3", "a success has a record with its fields",
     .run = audits_success},
    {"audit.actor", FULL, "3", "X-Actor is who did it", NEED_NO_TOKEN, .run = audits_the_actor},
    {"audit.error", FULL, "15.3", "a failure has a record", .run = audits_errors},
    {"audit.timeout", FULL, "15.3", "a timeout has a record", NEED_DELAY, .run = audits_timeouts},
    {"audit.cancelled", FULL, "15.3", "a cancelled call has a record", NEED_DELAY,
     .run = audits_cancels},
    {"audit.export", FULL, "14.2", "the export is oldest first, of one tenant",
     .run = audits_in_order_and_apart},
    {"health.conformance", FULL, "14.1", "the gateway declares its profiles",
     .run = tells_its_profiles},
    {"connections.subscribe", FULL, "14.1", "a subscription shows among the connections",
     .run = shows_subscriptions},
};
const struct check_table full_checks = {full_rows, countof(full_rows)};
