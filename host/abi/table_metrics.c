/* mig.metrics/1 */
#include "abi/pending.h"
#include "abi/tables.h"
#include "core/metrics.h"

static void record(const mig_host *h, uint32_t id, const mig_str *label_values, double value)
{
    metrics_record(instance_of(h)->core->metrics, id, label_values, value);
}

const void *table_metrics(struct instance *i)
{
    static const mig_ext_metrics table = {sizeof table, 0, record};
    (void)i;
    return &table;
}
