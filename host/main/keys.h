/* keys.h: the identity of the node, from its settings. */
#ifndef MAIN_KEYS_H
#define MAIN_KEYS_H
#include "config/settings.h"
#include "core/core.h"
#include "core/jwks.h"

/* Control thread, before the loops run. false: it was printed why. Mode none: nothing to do. */
bool keys_open(struct core *core, const struct settings *s);
/* The keys of files and the secret, as they are now, for keys_apply(). NULL: mode none, or d has an
 * error. Blocks. */
struct jwks *keys_read(const struct settings *s, struct diag *d);
/* Control thread: they hold from now on. Takes keys; NULL changes nothing. */
void keys_apply(struct core *core, struct jwks *keys);
/* Control thread, when no request can come any more; done(arg) on it when all is freed. */
void keys_close(struct core *core, void (*done)(void *arg), void *arg);
#endif
