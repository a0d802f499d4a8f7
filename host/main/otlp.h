/* otlp.h: spans on their way to a collector (OTLP/HTTP 1.x, JSON encoding). A thread of its own takes them
 * from the loops, sends them in batches, and repeats what was not accepted. What does not fit meanwhile is
 * dropped and counted. */
#ifndef MAIN_OTLP_H
#define MAIN_OTLP_H
#include "core/core.h"
#include "core/record.h"

struct otlp;

struct otlp_settings {
    const char *endpoint;    /* base URL; NULL: OTEL_EXPORTER_OTLP_ENDPOINT; neither: no export */
    const char *instance_id; /* service.instance.id                                             */
};

/* Before the loops run. NULL: not wanted, or libcurl is missing (logged). */
struct otlp *otlp_start(struct core *core, const struct otlp_settings *s);
/* After the loops have ended: what is left is sent, for up to two seconds. */
void otlp_stop(struct otlp *o);

struct otlp_stats {
    uint64_t sent, dropped, failures;
};
/* Any thread; o may be NULL. */
void otlp_stats(const struct otlp *o, struct otlp_stats *ret);

/* ExportTraceServiceRequest: its beginning, a span (with a comma unless it is the first), its end. */
void otlp_begin(struct buf *out, const char *service, const char *instance_id);
void otlp_span(struct buf *out, const struct record *r, bool is_first);
void otlp_end(struct buf *out);
#endif
