#include "core/connections.h"
#include "base/check.h"
#include "core/subscription.h"

static const char http[] = "http", websocket[] = "websocket"; /* names of the kinds of edge/ */

static bool is_kind(const struct call *c, const char *name)
{
    return c && !strcmp(c->kind->name, name);
}

/* Handles are unique among what is open; spread, the upper bits of a product are so in practice. */
static uint64_t id_of(const struct call *c)
{
    return call_handle(c).v * 0x9E3779B97F4A7C15u >> 16;
}

static void take_principal(struct connection *ret, const struct call *exchange)
{
    const struct principal *p = exchange->principal;

    ret->actor = p ? p->actor : S("");
    ret->remote = p ? p->remote : S("");
}

static void take_stream(struct connection *ret, const struct op_header *header,
                        const struct call *exchange, const char *kind)
{
    ret->kind = kind;
    ret->protocol = http;
    ret->tenant = header->tenant_id;
    take_principal(ret, exchange);
}

/* false: the call is no connection of its own. */
static bool describe(struct call *c, struct connection *ret)
{
    struct subscription *s = subscription_of(c);
    struct op *op = op_of_call(c);

    *ret = (struct connection){.id = id_of(c), .opened_ms = c->opened_ms};
    if (s && is_kind(s->rest.parent, http)) {
        take_stream(ret, &s->rest.header, s->rest.parent, "sse_subscribe");
        ret->topic = topic_name(s->topic);
        ret->cursor = s->asked;
    } else if (op && op->is_open && !op->done && is_kind(op->parent, http) &&
               op->frames.style != STYLE_GATHER) {
        take_stream(ret, &op->header, op->parent, "invoke_sse");
    } else if (is_kind(c, websocket)) {
        ret->kind = "ws_stream";
        ret->protocol = websocket;
        ret->tenant =
            c->principal && c->principal->tenant.len ? c->principal->tenant : S("unknown");
        ret->path = c->kind->path ? c->kind->path(c) : S("");
        take_principal(ret, c);
    } else {
        return false;
    }
    return !c->is_answered;
}

void connections_each(struct core *core, struct loop *l,
                      void (*visit)(void *arg, const struct connection *c), void *arg)
{
    struct list *open = call_table_open(core_loop_of(core, l)->calls);
    struct connection c;

    for (struct list *at = open->next; at != open; at = at->next)
        if (describe(container_of(at, struct call, in_table), &c))
            visit(arg, &c);
}

struct search {
    uint64_t id;
    bool is_found;
};

static bool is_searched(struct call *c, void *arg)
{
    struct search *s = arg;
    struct connection found;
    bool is = id_of(c) == s->id && describe(c, &found);

    s->is_found |= is;
    return is;
}

bool connection_close(struct core *core, struct loop *l, uint64_t id)
{
    struct search s = {.id = id};

    call_table_abort(core_loop_of(core, l)->calls, is_searched, &s,
                     &(struct call_result){.status = MIG_UNAVAILABLE,
                                           .message = S("an operator has closed the connection"),
                                           .details = S("{\"reason\":\"closed_by_operator\"}")});
    return s.is_found;
}

struct session {
    str tenant, id;
};

static bool is_stream_of(struct call *c, void *arg)
{
    const struct session *s = arg;
    const struct op *op = op_of_call(c);
    const struct op_header *header = op_header_of(c);

    return header && (!op || (op->is_open && !op->done)) && str_eq(header->session_id, s->id) &&
           str_eq(header->tenant_id, s->tenant);
}

void connections_end_session(struct core *core, struct loop *l, str tenant, str session)
{
    call_table_abort(core_loop_of(core, l)->calls, is_stream_of, &(struct session){tenant, session},
                     &(struct call_result){.status = MIG_TIMEOUT,
                                           .retry = 2,
                                           .message = S("the session has missed its heartbeats"),
                                           .details = S("{\"reason\":\"heartbeat_missed\"}")});
}
