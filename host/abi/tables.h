/* tables.h: the functions a plugin sees. One file per extension; all state is in host->ctx, the
 * instance. */
#ifndef ABI_TABLES_H
#define ABI_TABLES_H
#include "core/instance.h"

/* Fills i->host. */
void host_table_init(struct instance *i);

const void *table_stream(struct instance *i);
const void *table_invoke(struct instance *i);
const void *table_kv(struct instance *i);
const void *table_task(struct instance *i);
const void *table_metrics(struct instance *i);
const void *table_http(struct instance *i);
const void *table_binding(struct instance *i);
const void *table_loop(struct instance *i);
const void *table_control(struct instance *i); /* NULL: not granted */
#endif
