/* Sessions that miss their heartbeats: control thread, once in a while. */
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/connections.h"
#include "core/sessions.h"
#include "main/node.h"

#include <stdlib.h>

enum { SESSION_LOOK_MS = 500 };

struct silence {
    struct task task;
    struct node *node;
    str tenant, session;
    char text[];
};

static void end_session_here(struct task *t)
{
    struct silence *s = container_of(t, struct silence, task);

    connections_end_session(s->node->core, loop_current(), s->tenant, s->session);
    free(s);
}

static void session_missing(void *arg, str tenant, str id)
{
    struct node *n = arg;

    log_info("session.missing", F_STR("tenant", tenant), F_STR("session", id));
    if (!reload_settings(n->reloader) || !n->core->current->policy.closes_missed)
        return;
    for (size_t i = 0; i < n->loop_count; i++) {
        struct silence *s = malloc(sizeof *s + tenant.len + id.len);
        must(s);
        *s = (struct silence){.task.run = end_session_here, .node = n};
        s->tenant = (str){memcpy(s->text, tenant.ptr, tenant.len), tenant.len};
        s->session = (str){memcpy(s->text + tenant.len, id.ptr, id.len), id.len};
        loop_post(n->loops[i], &s->task);
    }
}

static void look_at_sessions(struct timer *t)
{
    struct node *n = container_of(t, struct node, session_look);

    if (n->core->current)
        sessions_sweep(n->core->sessions, n->core->current->policy.missed_limit,
                       clock_now_ns() / 1000000, session_missing, n);
    node_watch_sessions(n);
}

void node_watch_sessions(struct node *n)
{
    loop_timer(n->control, &n->session_look, SESSION_LOOK_MS, look_at_sessions);
}
