/* instance_unit.h: an instance without a module behind it, for tests of core/; instance_free() ends it. */
#ifndef TESTS_INSTANCE_UNIT_H
#define TESTS_INSTANCE_UNIT_H
#include "unit.h"
#include "core/core.h"

static inline struct instance *make_instance(struct core *core, const char *name, void *self)
{
    struct instance *i = calloc(1, sizeof *i);

    i->name = strdup(name);
    i->plugin.id = "org.example.test";
    i->self = self;
    i->core = core;
    i->share.run_limit = 4;
    i->share.queue_limit = 1000;
    i->debt = aligned_alloc(64, 2 * sizeof *i->debt);
    memset(i->debt, 0, 2 * sizeof *i->debt);
    return i;
}
#endif
