/* mig/ext/observe.h: metrics and health of an instance. */
#ifndef MIG_EXT_OBSERVE_H
#define MIG_EXT_OBSERVE_H
#include "mig/plugin.h"
#ifdef __cplusplus
extern "C" {
#endif

#define MIG_EXT_METRIC "mig.metric/1"   /* registrar: mig_metric  */
#define MIG_EXT_METRICS "mig.metrics/1" /* host: mig_ext_metrics  */
#define MIG_EXT_HEALTH "mig.health/1"   /* registrar: mig_health  */
enum mig_metric_kind { MIG_COUNTER = 1, MIG_GAUGE = 2, MIG_HISTOGRAM = 3 };

typedef struct mig_metric {
    uint32_t struct_size, flags;
    uint32_t kind, bucket_count;
    const char *name, *help;        /* exposed as mig_plugin_<name>                   */
    const char *const *label_names; /* NULL-terminated, at most 4; values are capped by the host */
    const double *buckets;          /* histogram: ascending upper bounds              */
    uint32_t *ret_id;               /* same id whenever the instance describes itself */
} mig_metric;

typedef struct mig_ext_metrics {
    uint32_t struct_size, flags;
    /* [any] Counter: add; gauge: set; histogram: observe. One value per label name. */
    void (*record)(const mig_host *h, uint32_t id, const mig_str *label_values, double value);
} mig_ext_metrics;

/* A probe is a call: finish() means healthy, finish_error() unhealthy with its message. */
typedef struct mig_health {
    uint32_t struct_size, flags;
    uint32_t exec, every_ms; /* every_ms 0: 30 000                                    */
    void *data;
    void (*check)(void *self, void *data, mig_call probe);
} mig_health;

#ifdef __cplusplus
}
#endif
#endif
