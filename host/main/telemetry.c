#include "main/telemetry.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/prom.h"
#include "core/audit.h"
#include "core/events.h"
#include "core/metrics.h"
#include "core/telemetry.h"
#include "core/trace.h"
#include "main/otlp.h"
#include "store/store.h"

#include <stdio.h>

/* --- settings ----------------------------------------------------------------------------------- */

static bool configure_audit(struct core *core, const struct settings *s, char error[256])
{
    return audit_configure(core->audit,
                           &(struct audit_settings){
                               .path = s->audit_log_path,
                               .file_bytes = (uint64_t)s->audit_max_bytes,
                               .keep = (unsigned)s->audit_keep,
                               .is_chained = s->is_audit_chain,
                               .is_required = s->is_audit_required,
                               .tail_records = (uint64_t)s->audit_max,
                               .tail_bytes = (uint64_t)s->audit_memory_bytes,
                           },
                           error);
}

void telemetry_apply(struct core *core, const struct settings *s)
{
    char error[256]; // the path stays, so there is none

    metrics_set_max_series(core->metrics, (size_t)s->metrics_max_series);
    telemetry_set_max_series(core->telemetry, (size_t)s->metrics_max_series);
    tracing_set_ratio(core->tracing, (uint64_t)s->trace_ratio);
    configure_audit(core, s, error);
    audit_reopen(core->audit);
}

bool telemetry_start(struct node *n, const struct settings *s)
{
    char error[256];

    if (!configure_audit(n->core, s, error)) {
        fprintf(stderr, "migd: %s\n", error);
        return false;
    }
    n->otlp = otlp_start(n->core, &(struct otlp_settings){s->otlp_endpoint, s->server_id});
    return true;
}

void telemetry_stop(struct node *n)
{
    otlp_stop(n->otlp);
    n->otlp = NULL;
    audit_flush(n->core->audit);
}

/* --- metrics ------------------------------------------------------------------------------------ */

static void depth(struct buf *out, const char *queue, uint64_t n)
{
    const struct prom_label label = {"queue", str_of(queue)};

    prom_sample(out, "mig_gateway_queue_depth", &label, 1, (int64_t)n);
}

static void list_queues(struct node *n, const struct store_stats *s, struct buf *out)
{
    size_t waiting, busy, threads, inbox = 0;

    pool_stats(n->core->pool, &waiting, &busy, &threads);
    for (size_t i = 0; i < n->loop_count; i++)
        inbox += atomic_load(&n->loops[i]->inbox_depth);
    prom_family(out, "mig_gateway_queue_depth", "gauge", "What waits.");
    depth(out, "workers", waiting);
    depth(out, "loops", inbox);
    depth(out, "store_writes", s->waiting);
    depth(out, "store_reads", s->reads_waiting);
}

static void list_store(const struct store_stats *s, struct buf *out)
{
    prom_one(out, "mig_store_commits_total", "counter", "Transactions of the store.", s->commits);
    prom_one(out, "mig_store_records_total", "counter", "Writes in them.", s->records);
    prom_one(out, "mig_store_failed_total", "counter", "Writes that were refused or failed.",
             s->failed);
    prom_one(out, "mig_store_corrupt_total", "counter", "Damaged values that were met.",
             s->corrupt);
    prom_one(out, "mig_store_bytes", "gauge", "What the store takes.", s->bytes + s->wal_bytes);
    prom_one(out, "mig_store_failing", "gauge", "1: the last write could not be stored.",
             s->is_failing);
}

static void list_audit(struct audit *a, struct buf *out)
{
    struct audit_stats s;

    audit_stats(a, &s);
    prom_one(out, "mig_audit_dropped_total", "counter", "Records lost.", s.dropped);
    prom_one(out, "mig_audit_write_errors_total", "counter", "Writes of the file that failed.",
             s.write_errors);
    prom_one(out, "mig_audit_memory_records", "gauge", "Records kept for the export.",
             s.tail_records);
    prom_one(out, "mig_audit_memory_bytes", "gauge", "Memory for them.", s.tail_bytes);
    prom_one(out, "mig_audit_blocked", "gauge", "1: calls are refused, the file cannot be written.",
             s.is_blocked);
}

static void list_spans(struct node *n, struct buf *out)
{
    struct otlp_stats s;

    otlp_stats(n->otlp, &s);
    prom_one(out, "mig_spans_sent_total", "counter", "Spans that the collector has taken.", s.sent);
    prom_one(out, "mig_spans_dropped_total", "counter", "Spans lost.",
             s.dropped + tracing_dropped(n->core->tracing));
    prom_one(out, "mig_spans_failures_total", "counter", "Batches that were not accepted.",
             s.failures);
}

void telemetry_list(struct node *n, struct buf *out)
{
    const struct settings *set = reload_settings(n->reloader);
    struct store_stats s = {0};

    telemetry_text(n->core->telemetry, out);
    events_text(n->core, (size_t)set->metrics_max_series, out);
    if (n->core->store)
        store_stats(n->core->store, &s);
    list_queues(n, &s, out);
    list_store(&s, out);
    list_audit(n->core->audit, out);
    list_spans(n, out);
}

/* --- the verb audit ----------------------------------------------------------------------------- */

enum format { FORMAT_JSON, FORMAT_NDJSON, FORMAT_CSV };

struct export
{
    str tenant;           /* empty: any */
    str own;              /* of a restricted caller; ptr NULL: any */
    enum outcome outcome; /* OUTCOMES: all */
    uint64_t since_us, until_us, left;
    enum format format;
    bool is_first;
    struct buf *out;
};

static bool add_record(void *arg, const struct record *r)
{
    struct export *e = arg;

    if (!e->left || e->out->has_failed)
        return false;
    if (r->at_us < e->since_us || r->at_us >= e->until_us ||
        (e->outcome != OUTCOMES && r->outcome != e->outcome) ||
        (e->tenant.len && !str_eq(r->tenant, e->tenant)) ||
        (e->own.ptr && !str_eq(r->tenant, e->own)))
        return true;
    if (e->format == FORMAT_CSV) {
        record_csv(r, e->out);
    } else {
        buf_addz(e->out, e->format == FORMAT_JSON && !e->is_first ? "," : "");
        record_json(r, (str){NULL, 0}, e->out);
        buf_addz(e->out, e->format == FORMAT_NDJSON ? "\n" : "");
    }
    e->is_first = false;
    e->left--;
    return true;
}

static bool take_time(str text, uint64_t otherwise, uint64_t *ret_us)
{
    uint64_t ms;

    *ret_us = otherwise;
    if (!text.len)
        return true;
    if (!clock_parse_rfc3339(text.ptr, text.len, &ms))
        return false;
    *ret_us = ms * 1000;
    return true;
}

static const char *take_args(struct export *e, const json_value *args)
{
    static const str formats[] = {S("json"), S("ndjson"), S("csv")};
    str format = json_string(json_get(args, S("format")));
    str outcome = json_string(json_get(args, S("outcome")));
    str limit = json_string(json_get(args, S("limit")));

    e->tenant = json_string(json_get(args, S("tenant_id")));
    e->outcome = outcome.len ? outcome_named(outcome) : OUTCOMES;
    if (outcome.len && e->outcome == OUTCOMES)
        return "outcome";
    if (!take_time(json_string(json_get(args, S("since"))), 0, &e->since_us))
        return "since";
    if (!take_time(json_string(json_get(args, S("until"))), UINT64_MAX, &e->until_us))
        return "until";
    e->left = UINT64_MAX;
    if (limit.len && (!str_to_u64(limit, &e->left) || !e->left))
        return "limit";
    while (format.len && e->format < countof(formats) && !str_eq(format, formats[e->format]))
        e->format++;
    return e->format < countof(formats) ? NULL : "format";
}

/* {"records": [...]}, or {"text": ..., "type": ...}. */
const char *telemetry_audit(struct node *n, const json_value *args, str own, struct buf *out)
{
    struct export e = {.own = own, .is_first = true};
    struct buf text;
    const char *wrong = take_args(&e, args);

    if (wrong)
        return wrong;
    buf_init(&text, BUF_MAX);
    e.out = e.format == FORMAT_JSON ? out : &text;
    buf_addz(out, e.format == FORMAT_JSON ? "{\"records\":[" : "{\"text\":");
    if (e.format == FORMAT_CSV)
        record_csv_head(&text);
    audit_each(n->core->audit, add_record, &e);
    if (e.format == FORMAT_JSON) {
        buf_addz(out, "]}");
    } else {
        buf_add_json(out, buf_str(&text));
        buf_addf(out, ",\"type\":\"%s\"}",
                 e.format == FORMAT_CSV ? "text/csv; charset=utf-8; header=present"
                                        : "application/x-ndjson");
    }
    buf_deinit(&text);
    return NULL;
}
