/* control_lists.h: what operators are told, as JSON objects. Control thread. */
#ifndef MAIN_CONTROL_LISTS_H
#define MAIN_CONTROL_LISTS_H
#include "main/node.h"

void list_generations(struct node *n, struct buf *out);
void list_plugins(struct node *n, struct buf *out);
void list_plugin(struct node *n, struct instance *i, struct buf *out);
void list_instances(struct node *n, struct buf *out);
/* The MIG descriptor with its policy, without the closing brace. */
void list_descriptor(const struct capability *c, struct buf *out);
void list_capabilities(struct node *n, struct buf *out);
void list_connections(struct node *n, struct buf *out);
void list_loops(struct node *n, struct buf *out);
void list_health(struct node *n, bool is_detailed, struct buf *out);
/* Prometheus text 0.0.4. */
void list_metrics(struct node *n, struct buf *out);
#endif
