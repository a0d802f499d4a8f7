/* registries.h: what operators register and a restart must not lose: capabilities and schemas, as rows
 * of the store. Control thread. */
#ifndef MAIN_REGISTRIES_H
#define MAIN_REGISTRIES_H
#include "main/node.h"
#include "store/store.h"

typedef void (*registry_saved)(void *arg, bool is_ok);

/* Stores a row of the node's, or removes it (value.ptr NULL; one that is not there is fine). Copies.
 * done may be NULL. */
void registry_save(struct node *n, enum store_space space, str name, str value, registry_saved done,
                   void *arg);
/* Gives the reloader what was stored; at the very first start the default capability too (MIG v0.1
 * 9.2), if the settings want it. Before the loops run. false: d says why. */
bool registries_load(struct node *n, const struct settings *s, struct diag *d);
#endif
