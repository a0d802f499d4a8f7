/* metrics.h: counters, gauges and histograms of plugins and host, and their Prometheus text. Series
 * are capped: label values beyond the cap are counted under "other". Any thread; a striped leaf lock
 * per family. */
#ifndef CORE_METRICS_H
#define CORE_METRICS_H
#include "base/buf.h"
#include "mig/ext/observe.h"

struct metrics;

struct metrics *metrics_new(size_t max_series);
void metrics_free(struct metrics *m);
void metrics_set_max_series(struct metrics *m, size_t max_series);
/* *def->ret_id is the same for the same name. MIG_E_ARG: the definition is wrong or contradicts an
 * earlier one of the name; MIG_E_NOMEM: too many families. */
mig_status metrics_register(struct metrics *m, const mig_metric *def);
/* Unknown ids are ignored. */
void metrics_record(struct metrics *m, uint32_t id, const mig_str *label_values, double value);
/* Prometheus text 0.0.4. */
void metrics_text(struct metrics *m, struct buf *out);
#endif
