/* mig.loop/1 */
#include "abi/pending.h"
#include "abi/tables.h"
#include "mig/ext/loop.h"

static uint32_t count(const mig_host *h)
{
    return (uint32_t)instance_of(h)->core->loop_count;
}

static uint32_t index_of_loop(const mig_host *h)
{
    struct loop *l = loop_current();
    return l && l->index < instance_of(h)->core->loop_count ? l->index : UINT32_MAX;
}

static void slice_begin(const mig_host *h, uint32_t limit_us, void (*fire)(void *arg), void *arg)
{
    if (index_of_loop(h) != UINT32_MAX)
        watchdog_slice_begin(instance_of(h)->core->watchdog, loop_current(), limit_us, fire, arg);
}

static void slice_end(const mig_host *h)
{
    if (index_of_loop(h) != UINT32_MAX)
        watchdog_slice_end(instance_of(h)->core->watchdog, loop_current());
}

const void *table_loop(struct instance *i)
{
    static const mig_ext_loop table = {sizeof table,  0,           count,
                                       index_of_loop, slice_begin, slice_end};
    (void)i;
    return &table;
}
