/* selfcheck.h: does this node do what it declares (MIG v0.1 18.1)? A few operations of a tenant of its
 * own go through the pipeline as those of a client would. They invoke only what the echo provider
 * serves, so nothing of a provider's changes; the one event they publish is the own tenant's. */
#ifndef CORE_SELFCHECK_H
#define CORE_SELFCHECK_H
#include "core/core.h"

enum selfcheck_profile {
    SELFCHECK_CORE = 1,
    SELFCHECK_STREAMING = 2,
    SELFCHECK_EVENTED = 4,
    SELFCHECK_FULL = 8
};
enum { SELFCHECKS_MAX = 16 };

struct selfcheck_result {
    const char *name; /* static */
    enum selfcheck_profile profile;
    bool is_ok;
    char note[160]; /* why not, or why it was left out; may be empty */
};
struct selfcheck_report {
    struct selfcheck_result list[SELFCHECKS_MAX];
    size_t count;
};

/* Adds one that was found elsewhere. */
void selfcheck_add(struct selfcheck_report *r, const char *name, enum selfcheck_profile profile,
                   bool is_ok, const char *note);
/* Are all checks of this profile good? Those of the profiles it contains are not looked at. */
bool selfcheck_has(const struct selfcheck_report *r, enum selfcheck_profile profile);

/* Loop thread. done runs there, once, within about five seconds. false: no memory, it will not. */
bool selfcheck_run(struct core *core, struct loop *l,
                   void (*done)(void *arg, const struct selfcheck_report *r), void *arg);
#endif
