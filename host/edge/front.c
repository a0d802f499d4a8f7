#include "edge/front.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "core/op.h"
#include "edge/socket.h"
#include "edge/visit.h"
#include "mig/sdk/status.h"

enum { DEADLINE_SLACK_MS = 10000, MESSAGE_ID_MAX = 128 };
enum { CREDIT_BYTES = 262144, CREDIT_FRAMES = 64 }; /* behind the queues of the calls within */

static const struct front_config *config_of(const struct gen *g)
{
    return g->edge;
}

static struct core *core_of(struct loop *l)
{
    return l->local[LOOP_CORE];
}

void front_init(struct core *core)
{
    for (size_t i = 0; i < core->loop_count; i++)
        core->loops[i]->local[LOOP_CORE] = core;
}

const struct http_limits *front_limits(struct loop *l)
{
    return &config_of(gen_current(core_of(l), l))->http;
}

static void over(struct visit *v)
{
    tally_over(&v->tally, v->x, v->principal, v->manners.message_id);
}

/* --- answers of our own ------------------------------------------------------------------------- */

static str new_id(struct arena *a)
{
    char *id = arena_alloc(a, ID_UUID);

    if (id)
        id_uuid7(id);
    return (str){id, id ? ID_UUID : 0};
}

/* What the client calls its message, or a new id (MIG v0.1 2). */
static str request_id(const struct exchange *x)
{
    str sent = exchange_header(x, S("mig-message-id"));

    return sent.len && str_is_visible(sent, MESSAGE_ID_MAX) ? sent : new_id(x->arena);
}

/* An error envelope on a connection that goes on. The exchange is over. */
static void answer_error(struct visit *v)
{
    struct arena *a = v->x->arena;
    unsigned http = v->in->refusal_http;
    str id = request_id(v->x);
    str body = envelope_bare(
        a,
        &(struct call_result){.status = v->in->refusal,
                              .message = str_of(v->in->refusal_message),
                              .details = envelope_reason(a, str_of(v->in->refusal_reason))},
        id);
    mig_header h[4] = {{S("Content-Type"), S("application/json")}, {S("MIG-Message-ID"), id}};
    uint32_t n = 2;

    if (v->in->allow.len)
        h[n++] = (mig_header){S("Allow"), v->in->allow};
    if (http == 401)
        h[n++] = (mig_header){S("WWW-Authenticate"), S("Bearer")};
    if (http == 429 || http == 503)
        h[n++] = (mig_header){S("Retry-After"), S("1")};
    v->manners.message_id = id;
    manners_head(&v->manners, http, h, n);
    manners_end(&v->manners, body);
}

/* OPTIONS of a path that has none of its own: what it has, and what pages elsewhere may do with it. */
static void answer_options(struct visit *v)
{
    mig_header h[2 + CORS_PREFLIGHT_HEADERS];
    uint32_t n = 0;

    v->manners.message_id = request_id(v->x);
    h[n++] = (mig_header){S("MIG-Message-ID"), v->manners.message_id};
    h[n++] = (mig_header){S("Allow"), v->in->allow};
    if (v->manners.allow_origin.len && cors_is_preflight(v->x))
        n += cors_preflight(v->x, v->in->allow, h + n);
    manners_head(&v->manners, 204, h, n);
    manners_end(&v->manners, S(""));
}

static str error_body(struct arena *a, unsigned status, str reason, str *ret_message_id)
{
    mig_status code = status == 408   ? MIG_TIMEOUT
                      : status == 503 ? MIG_UNAVAILABLE
                                      : MIG_INVALID_REQUEST;

    tally_malformed(loop_current(), status);
    *ret_message_id = new_id(a);
    return envelope_bare(a,
                         &(struct call_result){.status = code,
                                               .message = S("the request is not acceptable HTTP"),
                                               .details = envelope_reason(a, reason)},
                         *ret_message_id);
}

/* --- an exchange as a call ---------------------------------------------------------------------- */

static void start(struct call *c)
{
    struct visit *v = c->owner;

    v->in->on_request(v->in->instance->self, c->handler.data, call_handle(c), &v->in->request);
}

static mig_status frame(struct call *c, str bytes)
{
    struct visit *v = c->owner;

    visit_sent(v);
    return manners_write(&v->manners, bytes);
}

/* --- heads of answers --------------------------------------------------------------------------- */

static bool is_event_stream(const mig_header *h, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (str_starts(h[i].value, S("text/event-stream")) &&
            str_eq_nocase(h[i].name, S("content-type")))
            return true;
    return false;
}

static mig_status give_head(struct visit *v, uint32_t status, const mig_header *h, uint32_t count)
{
    mig_status answer = manners_head(&v->manners, status, h, count);

    if (answer == MIG_OK && is_event_stream(h, count))
        visit_streams(v);
    return answer;
}

static mig_status upgrade(struct call *c, const void *ws)
{
    struct visit *v = c->owner;
    return socket_open(c, v->x, ws, &config_of(v->in->gen)->manners.cors);
}

/* Every answer carries MIG-Message-ID (MIG v0.1 2): the plugin's, the client's, or a new one. */
static mig_status respond(struct call *c, uint32_t status, const void *headers, uint32_t count)
{
    struct visit *v = c->owner;
    const mig_header *given = headers;

    for (uint32_t i = 0; i < count; i++)
        if (str_eq_nocase(given[i].name, S("MIG-Message-ID"))) {
            v->manners.message_id = arena_copy(c->arena, given[i].value);
            return give_head(v, status, given, count);
        }
    mig_header *all = arena_alloc(c->arena, (count + 1) * sizeof *all);
    if (!all)
        return MIG_E_NOMEM;
    if (count)
        memcpy(all, given, count * sizeof *all);
    v->manners.message_id = request_id(v->x);
    all[count] = (mig_header){S("MIG-Message-ID"), v->manners.message_id};
    return give_head(v, status, all, count + 1);
}

/* What callers may see of an error that no binding has put into words. */
static struct call_result shown(struct arena *a, const struct call_result *r)
{
    struct call_result s = *r;

    if (r->status == MIG_OK || r->status == MIG_INTERNAL)
        return (struct call_result){.status = MIG_INTERNAL, .message = S("the provider failed")};
    if (!str_is_utf8(s.message))
        s.message = S("");
    str details = str_trim(s.details);
    if (!details.len || details.ptr[0] != '{' || !json_check(a, details, NULL))
        s.details = S("{}");
    return s;
}

/* With the plugin's head when it gave one. */
static void answer_with_envelope(struct visit *v, const struct call_result *r)
{
    struct exchange *x = v->x;
    const struct call_result s = shown(x->arena, r);
    str id = v->manners.message_id.len ? v->manners.message_id : request_id(x);
    const mig_header h[] = {{S("Content-Type"), S("application/json")}, {S("MIG-Message-ID"), id}};

    v->manners.message_id = id;
    tally_error(&v->tally, x, s.status);
    if (!manners_has_head(&v->manners))
        manners_head(&v->manners, mig_status_row(s.status)->http, h, 2);
    manners_end(&v->manners, envelope_bare(x->arena, &s, id));
}

static void answer(struct call *c, const struct call_result *r)
{
    struct visit *v = c->owner;
    struct exchange *x = v->x;

    if (!x->carrier)
        return;
    if (r->status == MIG_OK && (manners_has_head(&v->manners) || !r->json.len))
        manners_end(&v->manners, r->json);
    else if (x->is_head_sent)
        exchange_break(x); /* too late for an error: the client must see that it is cut */
    else
        answer_with_envelope(v, r);
    over(v);
}

static const struct call_kind kind = {
    .name = "http",
    .start = start,
    .answer = answer,
    .frame = frame,
    .respond = respond,
    .upgrade = upgrade,
    .release = visit_release,
    .free = visit_forget,
};

static void gone(struct exchange *x)
{
    struct visit *v = x->owner;

    over(v);
    if (v->call)
        call_abort(v->call, CALL_DISCONNECT, &(struct call_result){.status = MIG_TIMEOUT});
}

static void writable(struct exchange *x)
{
    struct visit *v = x->owner;

    if (v->call)
        call_flow_resume(v->call);
}

/* --- head and request --------------------------------------------------------------------------- */

static void refuse(struct visit *v, mig_status status, unsigned http, const char *reason,
                   const char *message)
{
    v->in->is_refused = true;
    v->in->refusal = status;
    v->in->refusal_http = http;
    v->in->refusal_reason = reason;
    v->in->refusal_message = message;
}

static void check_route(struct visit *v)
{
    struct exchange *x = v->x;
    struct route_match m;

    if (!cors_is_our_host(&config_of(v->in->gen)->manners.cors, x->authority)) {
        v->in->route = NULL;
        v->tally.counts = telemetry_no_route(v->in->gen->core->telemetry);
        v->in->allow = S("");
        refuse(v, MIG_INVALID_REQUEST, 421, "misdirected", "this gateway has another name");
        return;
    }
    route_find(v->in->gen, x->method, x->path, x->arena, &m);
    v->in->route = m.route;
    v->tally.counts = m.route ? m.route->counts : telemetry_no_route(v->in->gen->core->telemetry);
    v->in->allow = m.allow;
    for (size_t i = 0; i < m.param_count; i++)
        v->in->params[i] = m.params[i];
    if (m.route && v->manners.is_logged)
        v->manners.route = arena_copy(x->arena, str_of(m.route->def->pattern));
    if (!m.route && m.allow.len && str_eq(x->method, S("OPTIONS")))
        refuse(v, MIG_OK, 204, NULL, NULL);
    else if (!m.route && m.allow.len)
        refuse(v, MIG_INVALID_REQUEST, 405, "method_not_allowed", "the path has other methods");
    else if (!m.route)
        refuse(v, MIG_NOT_FOUND, 404, "no_route", "no such path");
}

static bool is_metrics(const struct route *r)
{
    return !strcmp(r->def->pattern, "/metrics");
}

static bool is_operators(const struct visit *v)
{
    const struct edge_policy *p = &config_of(v->in->gen)->policy;

    return v->in->route->def->flags & MIG_ROUTE_ADMIN &&
           !(v->in->route->def->flags & MIG_ROUTE_PUBLIC) &&
           !(p->is_metrics_open && is_metrics(v->in->route));
}

static void refuse_with(struct visit *v, const struct refusal *r)
{
    refuse(v, r->status, mig_status_row(r->status)->http, r->reason, r->message);
}

/* Before the body is taken: what can be said without a token. */
static void check_access(struct visit *v)
{
    const struct edge_policy *p = &config_of(v->in->gen)->policy;
    struct refusal why;

    v->in->is_operator = false;
    if (!v->in->is_refused && !p->has_metrics && is_metrics(v->in->route)) {
        refuse(v, MIG_NOT_FOUND, 404, "no_route", "no such path");
        return;
    }
    v->tally.is_admin = !v->in->is_refused && is_operators(v);
    if (v->tally.is_admin &&
        authn_operator(p, v->x, manners_remote(&v->manners), &v->in->is_operator, &why) != MIG_OK)
        refuse_with(v, &why);
}

static bool head(struct exchange *x)
{
    struct {
        struct visit visit;
        struct arrival arrival;
    } *both = arena_zero(x->arena, sizeof *both);
    struct core *core = core_of(x->loop);

    if (!both) {
        exchange_refuse(x, 503, "memory");
        return false;
    }
    struct visit *v = x->owner = &both->visit;
    v->in = &both->arrival;
    v->x = x;
    v->in->gen = gen_current(core, x->loop);
    v->in->gen_number = v->in->gen->number;
    manners_begin(&v->manners, x, &config_of(v->in->gen)->manners);
    if (atomic_load_explicit(&core->is_stopping, memory_order_relaxed))
        refuse(v, MIG_UNAVAILABLE, 503, "stopping", "the gateway is stopping");
    check_route(v);
    check_access(v);
    if (v->in->route && v->in->route->def->max_body && v->in->route->def->max_body < x->max_body)
        x->max_body = v->in->route->def->max_body;
    return true;
}

static void fill(struct visit *v)
{
    struct exchange *x = v->x;

    v->in->on_request = v->in->route->def->on_request;
    v->in->instance = v->in->route->instance;
    v->in->request = (mig_http_request){
        .struct_size = sizeof v->in->request,
        .header_count = x->header_count,
        .headers = x->headers,
        .method = x->method,
        .path = x->path,
        .query = x->query,
        .authority = x->authority,
        .subject = v->principal->subject,
        .tenant_id = v->principal->tenant,
        .params = v->in->params,
        .body = x->body,
        .remote = manners_remote(&v->manners),
        .flags = v->in->is_restricted ? MIG_REQUEST_RESTRICTED : 0,
    };
    v->principal->remote = v->in->request.remote;
}

/* Behind every deadline that an operation in it can have. */
static uint64_t deadline_of(const struct visit *v)
{
    return v->tally.began_ns + (v->in->gen->policy.max_deadline_ms + DEADLINE_SLACK_MS) * 1000000u;
}

/* The generation may have changed while the body came: then the route is looked up again. */
static void refresh(struct visit *v)
{
    struct gen *now = gen_current(core_of(v->x->loop), v->x->loop);

    if (now->number == v->in->gen_number)
        return;
    v->in->gen = now;
    v->in->gen_number = now->number;
    v->in->is_refused = false;
    check_route(v);
    check_access(v);
}

static void open_call(struct visit *v)
{
    struct exchange *x = v->x;
    struct core *core = core_of(x->loop);

    fill(v);
    if (v->manners.tells_timing)
        v->manners.opened_ns = clock_now_ns();
    v->call = call_open(core_loop_of(core, x->loop)->calls, &(struct call_spec){
                                                                .kind = &kind,
                                                                .instance = v->in->route->instance,
                                                                .gen = v->in->gen,
                                                                .arena = x->arena,
                                                                .principal = v->principal,
                                                                .handler = &v->in->route->handler,
                                                                .owner = v,
                                                                .deadline_ns = deadline_of(v),
                                                                .credit_bytes = CREDIT_BYTES,
                                                                .credit_frames = CREDIT_FRAMES,
                                                            });
    if (v->call && call_start(v->call))
        return;
    v->call = NULL;
    refuse(v, MIG_BACKPRESSURE, 429, "instance_queue", "too many requests are waiting");
}

/* Not before it is known that somebody may ask: to unpack is work. */
static void unpack(struct visit *v)
{
    const char *reason;
    unsigned http;
    mig_status status = manners_unpack(&v->manners, &http, &reason);

    if (status != MIG_OK)
        refuse(v, status, http, reason, "the content coding of the body is not acceptable");
}

/* The principal is known, or why there is none. */
static void admit(struct visit *v, struct principal *principal, const struct refusal *refusal)
{
    struct exchange *x = v->x;
    struct arena *a = x->arena;
    struct refusal why;

    if (!v->in->is_refused && refusal->status != MIG_OK)
        refuse_with(v, refusal);
    v->manners.who = v->principal = principal;
    if (!v->in->is_refused && is_operators(v) && !v->in->is_operator &&
        authn_scoped_operator(v->principal, str_eq(x->method, S("GET")) || x->is_head,
                              &v->in->is_restricted, &why) != MIG_OK)
        refuse_with(v, &why);
    tally_access(&v->tally, x, v->in->is_refused ? v->in->refusal : MIG_OK, v->in->refusal_reason,
                 config_of(v->in->gen)->policy.admin_key.len > 0);
    if (!v->in->is_refused && v->manners.body_coding.len)
        unpack(v);
    if (!v->in->is_refused)
        open_call(v);
    x->must_close |= v->in->is_refused && v->in->refusal == MIG_UNAVAILABLE; /* stopping */
    if (v->in->is_refused && v->in->refusal_http == 204)
        answer_options(v);
    else if (v->in->is_refused)
        answer_error(v);
    if (v->in->is_refused)
        over(v);
    arena_unref(a); /* the call's from here on */
}

/* A worker has looked at the token; the client may have left meanwhile. */
static void identified(struct identity_ask *ask)
{
    struct authn *a = container_of(ask, struct authn, ask);
    struct visit *v = a->x->owner;

    if (!a->x->carrier) {
        arena_unref(a->x->arena);
        return;
    }
    authn_decide(a);
    refresh(v);
    admit(v, a->principal, &a->refusal);
}

static void request(struct exchange *x)
{
    struct visit *v = x->owner;

    refresh(v);
    tally_begin(&v->tally, x);
    const struct edge_policy *policy = &config_of(v->in->gen)->policy;
    bool is_public =
        v->in->is_refused || v->in->is_operator || v->in->route->def->flags & MIG_ROUTE_PUBLIC;
    if (!policy->is_jwt || is_public) {
        struct refusal why = {0};
        struct principal *p = authn_anonymous(x, &why);
        if (p && !is_public)
            authn_certified_tenant(p, x, &why);
        admit(v, p, &why);
        return;
    }
    struct authn *a = arena_zero(x->arena, sizeof *a);
    if (!a) {
        admit(v, NULL, &(struct refusal){MIG_BACKPRESSURE, "memory", "no memory for the request"});
        return;
    }
    a->ask.identity = core_of(x->loop)->identity;
    a->ask.done = identified;
    if (authn_begin(a, policy, x))
        admit(v, a->principal, &a->refusal);
}

const struct exchange_ops *front_ops(void)
{
    static const struct exchange_ops ops = {head, request, writable, gone, error_body};
    return &ops;
}
