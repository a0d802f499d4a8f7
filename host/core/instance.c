#include "core/instance.h"
#include "base/check.h"
#include "core/core.h"
#include "core/gate.h"

#include <stdlib.h>

/* A loop writes its own counter without a lock prefix; all other threads share the last one. */
void instance_debt_add(struct instance *i, int64_t n)
{
    struct loop *l = loop_current();

    if (l && l->index < i->core->loop_count) {
        _Atomic int64_t *mine = &i->debt[l->index].n;
        atomic_store_explicit(mine, atomic_load_explicit(mine, memory_order_relaxed) + n,
                              memory_order_release);
        return;
    }
    atomic_fetch_add(&i->debt[i->core->loop_count].n, n);
}

int64_t instance_debt(const struct instance *i)
{
    int64_t sum = 0;

    for (size_t at = 0; at <= i->core->loop_count; at++)
        sum += atomic_load_explicit(&i->debt[at].n, memory_order_acquire);
    return sum;
}

const char *instance_state_name(int state)
{
    static const char *const names[] = {"created", "serving", "draining", "destroyed", "abandoned"};
    return names[state];
}

void instance_free(struct instance *i)
{
    if (!i)
        return;
    pool_share_close(i->core->pool, &i->share);
    if (i->module_unref)
        i->module_unref(i->module);
    gates_free(i);
    watchdog_wait_look(i->core->watchdog); /* it may have read the name just now */
    free(i->name);
    free(i->identity);
    free(i->source);
    free(i->config);
    free(atomic_load(&i->health_text));
    free(i->debt);
    free(i);
}

const char *instance_enter(struct instance *i)
{
    struct loop *l = loop_current();

    if (!l)
        return NULL;
    const char *before = atomic_load_explicit(&l->running, memory_order_relaxed);
    atomic_store_explicit(&l->running, i->name, memory_order_relaxed);
    return before;
}

void instance_leave(const char *before)
{
    struct loop *l = loop_current();

    if (l)
        atomic_store_explicit(&l->running, before, memory_order_relaxed);
}
