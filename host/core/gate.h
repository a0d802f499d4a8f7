/* gate.h: how many calls of one capability may run at a time. What comes beyond waits in order, up to
 * a limit. Outlives generations: it belongs to (instance, capability). Any thread; leaf lock. */
#ifndef CORE_GATE_H
#define CORE_GATE_H
#include "base/list.h"
#include "core/instance.h"

struct gate;

/* The gate of the instance for this capability, made when new; the limit is the newest one. */
struct gate *gate_of(struct instance *i, const char *capability, size_t limit, size_t queue);
void gates_free(struct instance *i);

enum gate_answer { GATE_PASS, GATE_WAIT, GATE_FULL };
/* GATE_WAIT: t will be posted to home when it may pass. */
enum gate_answer gate_enter(struct gate *g, struct loop *home, struct task *t);
/* One that had passed is done. */
void gate_leave(struct gate *g);
/* One that waits has given up. false: it has been let through already. */
bool gate_give_up(struct gate *g, struct task *t);
#endif
