/* factory.h: from a wish of the configuration to a running instance. [life] job thread. */
#ifndef ABI_FACTORY_H
#define ABI_FACTORY_H
#include "abi/module.h"
#include "core/core.h"

struct instance_spec {
    const char *name;   /* provider name                               */
    const char *source; /* for lists: "hello.so"                       */
    const char *config; /* JSON object text                            */
    const char *plugin; /* id; NULL: the only one of the module        */
    struct diag_at at;
    uint64_t max_concurrency, queue;
    uint64_t drain_grace_ms;
    bool may_control;
};

/* A text of everything that makes an instance what it is, but the files it read by itself.
 * malloc'ed. */
char *factory_identity(const struct instance_spec *s, struct module *m);
/* Are the files that the instance read (mig.sources/1) still what they were? */
bool factory_is_fresh(const struct instance *i);
/* Nothing of the plugin runs yet. Takes the reference on m, also on failure. NULL: findings say why. */
struct instance *factory_new(struct core *core, const struct instance_spec *s, struct module *m,
                             struct diag *d);
/* Each of these calls one function of each instance, in order, life_ms for each.
 *   create: and notes its sources; those that fail become NULL
 *   describe: ret has NULL for those that fail
 *   start: none behind one that fails */
void factory_create(struct instance **list, size_t count, unsigned life_ms, struct diag *d);
void factory_describe(struct instance *const *list, size_t count, unsigned life_ms,
                      struct catalogue **ret, struct diag *d);
void factory_start(struct instance *const *list, size_t count, unsigned life_ms, struct diag *d);
/* One that never served. */
void factory_discard(struct instance *i);
#endif
