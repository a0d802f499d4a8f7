/* control_lists.h: what operators are told, as JSON objects. Control thread. */
#ifndef MAIN_CONTROL_LISTS_H
#define MAIN_CONTROL_LISTS_H
#include "main/node.h"

/* Runs fn on every loop that is not held up, and waits for those: control may, briefly; loops never
 * wait for control. fn posts the semaphore. */
void lists_ask_loops(struct node *n, void (*fn)(struct loop *l, uint64_t v), void *arg,
                     uv_sem_t *done);
void list_generations(struct node *n, struct buf *out);
void list_plugins(struct node *n, struct buf *out);
void list_plugin(struct node *n, struct instance *i, struct buf *out);
void list_instances(struct node *n, struct buf *out);
/* The MIG descriptor with its policy, without the closing brace. */
void list_descriptor(const struct capability *c, struct buf *out);
void list_loops(struct node *n, struct buf *out);
void list_health(struct node *n, bool is_detailed, struct buf *out);
/* Prometheus text 0.0.4. */
void list_metrics(struct node *n, struct buf *out);
#endif
