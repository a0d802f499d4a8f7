/* policy.h: what core/, edge/ and net/ have to know of the settings, put into a generation. */
#ifndef MAIN_POLICY_H
#define MAIN_POLICY_H
#include "config/manifest.h"
#include "core/gen.h"

struct tls_context;

/* Fills g->policy and g->edge; texts are copied into g->arena. Takes tls (NULL: none): it is let go of
 * with g. */
void policy_fill(struct gen *g, const struct settings *s, struct tls_context *tls);
/* [life] The manifest's policies of capabilities, in place of what their plugins said. */
void policy_apply(struct gen *g, const struct manifest *m, struct diag *d);
#endif
