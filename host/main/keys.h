/* keys.h: the identity of the node, from its settings. */
#ifndef MAIN_KEYS_H
#define MAIN_KEYS_H
#include "config/settings.h"
#include "core/core.h"

/* Control thread, before the loops run. false: it was printed why. Mode none: nothing to do. */
bool keys_open(struct core *core, const struct settings *s);
/* Control thread, when no request can come any more; done(arg) on it when all is freed. */
void keys_close(struct core *core, void (*done)(void *arg), void *arg);
#endif
