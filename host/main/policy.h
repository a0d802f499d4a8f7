/* policy.h: what core/, edge/ and net/ have to know of the settings, put into a generation. */
#ifndef MAIN_POLICY_H
#define MAIN_POLICY_H
#include "config/settings.h"
#include "core/gen.h"

/* Fills g->policy and g->edge; texts are copied into g->arena. */
void policy_fill(struct gen *g, const struct settings *s);
#endif
