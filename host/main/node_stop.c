/* How the daemon ends: nobody new, streams are told, calls end or are ended, then plugins. Control thread. */
#include "base/check.h"
#include "base/log.h"
#include "core/subscription.h"
#include "edge/front.h"
#include "main/daemon.h"
#include "main/keys.h"
#include "main/node.h"
#include "main/watch.h"

enum { STOP_LOOK_MS = 10, RETIRE_MS = 3000 };

static const struct call_result stopping = {.status = MIG_UNAVAILABLE,
                                            .message = S("the gateway is stopping"),
                                            .details = S("{\"reason\":\"stopping\"}")};

static bool is_subscription(struct call *c, void *arg)
{
    (void)arg;
    return subscription_of(c) != NULL;
}

static bool is_operation(struct call *c, void *arg)
{
    (void)arg;
    return op_header_of(c) != NULL;
}

static void drain_here(struct loop *l, uint64_t v)
{
    struct node *n = (struct node *)(uintptr_t)v;
    struct node_loop *nl = &n->per_loop[l->index];

    for (size_t i = 0; i < LISTENERS; i++) {
        if (nl->listeners[i])
            listener_stop(nl->listeners[i]);
        nl->listeners[i] = NULL;
    }
    net_drain(nl->net);
    call_table_abort(n->core->per_loop[l->index].calls, is_subscription, NULL, &stopping);
    loop_drain(l);
}

static void abort_here(struct loop *l, uint64_t v)
{
    struct node *n = (struct node *)(uintptr_t)v;

    struct call_table *calls = n->core->per_loop[l->index].calls;

    call_table_abort(calls, is_operation, NULL, &stopping); /* then streams get terminal frames */
    loop_drain(l);
    call_table_abort(calls, NULL, NULL, &stopping);
    loop_drain(l);
    net_close_all(n->nets[l->index]);
}

static size_t connections(const struct node *n)
{
    size_t sum = 0;

    for (size_t i = 0; i < n->loop_count; i++)
        sum += net_connections(n->nets[i]);
    return sum;
}

static void on_all(struct node *n, void (*fn)(struct loop *l, uint64_t v))
{
    for (size_t i = 0; i < n->loop_count; i++)
        loop_post_fn(n->loops[i], fn, (uintptr_t)n);
}

static void look(struct node *n, void (*fn)(struct timer *t))
{
    loop_timer(n->control, &n->stop_timer, STOP_LOOK_MS, fn);
}

static void stop_loops(void *arg)
{
    struct node *n = arg;

    for (size_t i = 0; i < n->loop_count; i++)
        loop_stop(n->loops[i]);
    node_signals_close(n);
    loop_stop(n->control);
}

static void wait_retired(struct timer *t)
{
    struct node *n = container_of(t, struct node, stop_timer);
    bool is_over = loop_now_ms(n->control) >= n->stop_ms;

    if (!is_over && (core_draining(n->core) || !list_is_empty(&n->core->gens))) {
        look(n, wait_retired);
        return;
    }
    n->is_forced = is_over || n->core->abandoned;
    if (n->is_forced)
        log_warn("stop.forced", F_U64("draining", core_draining(n->core)),
                 F_U64("abandoned", n->core->abandoned));
    if (n->is_forced)
        stop_loops(n); /* a fetch of keys may hang too */
    else
        keys_close(n->core, stop_loops, n);
}

static void wait_connections(struct timer *t)
{
    struct node *n = container_of(t, struct node, stop_timer);
    bool is_over = loop_now_ms(n->control) >= n->stop_ms;

    if (!is_over && (connections(n) || reload_is_busy(n->reloader))) {
        look(n, wait_connections);
        return;
    }
    on_all(n, abort_here);
    gen_retire_last(n->core);
    n->stop_ms = loop_now_ms(n->control) + RETIRE_MS;
    look(n, wait_retired);
}

void node_stop(struct node *n, int exit_code)
{
    if (atomic_exchange(&n->core->is_stopping, true))
        return;
    const struct settings *s = reload_settings(n->reloader);
    n->exit_code = exit_code;
    log_info("migd.stopping", F_U64("connections", connections(n)));
    daemon_stopping();
    watch_free(n->watch);
    n->watch = NULL;
    timer_stop(&n->control->timers, &n->redescribe);
    timer_stop(&n->control->timers, &n->session_look);
    n->stop_ms = loop_now_ms(n->control) + (uint64_t)(s ? s->stop_timeout_ms : 0);
    on_all(n, drain_here);
    look(n, wait_connections);
}
