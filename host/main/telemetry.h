/* telemetry.h: what the settings say about metrics, audit and traces, and what operators read of them.
 * Control thread. */
#ifndef MAIN_TELEMETRY_H
#define MAIN_TELEMETRY_H
#include "base/json.h"
#include "main/node.h"

/* Before the loops run. false: an error was printed. */
bool telemetry_start(struct node *n, const struct settings *s);
/* After the loops have ended. */
void telemetry_stop(struct node *n);
/* The settings of a new generation. */
void telemetry_apply(struct core *core, const struct settings *s);
/* Prometheus text of what MIG v0.1 15.1 names, and of the store, the audit and the exporter. */
void telemetry_list(struct node *n, struct buf *out);

/* The verb `audit`. own: the tenant alone whose records may be shown; ptr NULL: all may. NULL, or what is
 * wrong with the arguments. */
const char *telemetry_audit(struct node *n, const json_value *args, str own, struct buf *out);
#endif
