#include "edge/socket.h"
#include "base/check.h"
#include "base/log.h"
#include "core/principal.h"
#include "net/raw.h"
#include "net/ws.h"
#include "net/ws_handshake.h"

#include <stdlib.h>

enum {
    MESSAGE_MAX = 4 << 20,
    PING_MS = 30000,
    DRAIN_LOOK_MS = 20,
    PINGS_MAX = 2,
    DEFLATE_MIN = 256,
    PROTOCOLS_MAX = 8
};
enum { SLACK = 64, ARENA_LIMIT = 64 << 10 }; /* SLACK: alignment */
enum { CLOSE_NORMAL = 1000, CLOSE_GOING = 1001, CLOSE_POLICY = 1008, CLOSE_INTERNAL = 1011 };

struct socket {
    struct call *call;
    str path;        /* in the call's arena */
    struct raw *raw; /* NULL: gone */
    struct ws *ws;
    unsigned pings; /* without an answer */
    bool is_draining;
    struct task task;
};

/* --- to the client ------------------------------------------------------------------------------ */

static mig_status send_pieces(void *owner, const str *pieces, unsigned count, void *hold)
{
    struct socket *s = owner;
    uv_buf_t bufs[4];

    (void)hold;
    if (!s->raw)
        return MIG_E_GONE;
    must(count <= countof(bufs));
    for (unsigned i = 0; i < count; i++)
        bufs[i] = uv_buf_init((char *)(uintptr_t)pieces[i].ptr, (unsigned)pieces[i].len);
    return raw_write(s->raw, bufs, count);
}

static mig_status frame(struct call *c, str bytes)
{
    struct socket *s = c->owner;

    return s->raw ? ws_send(s->ws, &(struct ws_message){.bytes = bytes}) : MIG_E_GONE;
}

static void hang_up(struct socket *s)
{
    struct raw *raw = s->raw;

    s->raw = NULL;
    if (raw)
        raw_close(raw, /*linger=*/true);
}

static unsigned close_code(mig_status status)
{
    switch (status) {
    case MIG_OK: return CLOSE_NORMAL;
    case MIG_UNAVAILABLE: return CLOSE_GOING;
    case MIG_INTERNAL: return CLOSE_INTERNAL;
    default: return CLOSE_POLICY;
    }
}

/* The plugin has ended it, or the host. */
static void answer(struct call *c, const struct call_result *r)
{
    struct socket *s = c->owner;

    if (!s->raw)
        return;
    ws_close(s->ws, close_code(r->status), r->status == MIG_INTERNAL ? S("") : r->message);
    hang_up(s);
}

static void free_socket(struct call *c)
{
    struct socket *s = c->owner;

    ws_free(s->ws);
    free(s);
}

static str path(const struct call *c)
{
    const struct socket *s = c->owner;
    return s->path;
}

static const struct call_kind kind = {
    .name = "websocket", .answer = answer, .frame = frame, .free = free_socket, .path = path};

/* --- from the client ---------------------------------------------------------------------------- */

static void gone(struct socket *s)
{
    call_abort(s->call, CALL_DISCONNECT, &(struct call_result){.status = MIG_TIMEOUT});
}

static void on_message(void *owner, str bytes, bool is_binary)
{
    struct socket *s = owner;

    (void)is_binary; /* both carry the same JSON (MIG v0.1 11.4) */
    s->pings = 0;
    if (call_message(s->call, bytes) == MIG_E_NOMEM) {
        ws_close(s->ws, CLOSE_INTERNAL, S("out of memory"));
        hang_up(s);
        gone(s);
    }
}

static void on_pong(void *owner, str payload)
{
    struct socket *s = owner;

    (void)payload;
    s->pings = 0;
}

static void on_close(void *owner, unsigned code, str reason)
{
    struct socket *s = owner;

    (void)code;
    (void)reason;
    hang_up(s);
    gone(s);
}

static void on_fail(void *owner, unsigned code, const char *reason)
{
    log_info("websocket.refused", F_U64("code", code), F_Z("reason", reason));
    on_close(owner, code, str_of(reason));
}

static const struct ws_ops ws_ops = {send_pieces, on_message, on_pong, on_close, on_fail};

static void bytes(void *owner, str data)
{
    struct socket *s = owner;

    atomic_fetch_add(&s->call->holds, 1); /* a callback may end it */
    ws_feed(s->ws, data.ptr, data.len);
    struct loop *home = s->call->home;
    call_drop(s->call);
    loop_drain(home);
}

static void writable(void *owner)
{
    struct socket *s = owner;
    struct loop *home = s->call->home;

    call_flow_resume(s->call);
    loop_drain(home);
}

/* Nothing runs for it any more. */
static void end_drained(struct socket *s)
{
    if (!atomic_load(&s->call->holds))
        call_abort(s->call, CALL_STOP,
                   &(struct call_result){.status = MIG_UNAVAILABLE,
                                         .message = S("the gateway is stopping"),
                                         .details = S("{\"reason\":\"stopping\"}")});
}

static void tick(void *owner)
{
    struct socket *s = owner;

    if (s->is_draining) {
        end_drained(s);
        return;
    }
    if (s->pings++ < PINGS_MAX) {
        ws_ping(s->ws, S(""));
        return;
    }
    ws_close(s->ws, CLOSE_GOING, S("no answer to pings"));
    hang_up(s);
    gone(s);
}

/* What runs is finished first (MIG v0.1 11.1). When the time of the stop is over the host ends it all. */
static void drain(void *owner)
{
    struct socket *s = owner;

    s->is_draining = true;
    raw_tick(s->raw, DRAIN_LOOK_MS);
    end_drained(s);
}

static void closed(void *owner, enum net_end why)
{
    struct socket *s = owner;
    struct loop *home = s->call->home;

    (void)why;
    s->raw = NULL;
    gone(s);
    loop_drain(home);
}

static const struct raw_ops raw_ops = {bytes, writable, tick, drain, closed};

/* --- the handshake ------------------------------------------------------------------------------ */

static struct ws_pool *pool_of(struct loop *l)
{
    if (!l->local[LOOP_SOCKETS])
        l->local[LOOP_SOCKETS] = ws_pool_new();
    return l->local[LOOP_SOCKETS];
}

void socket_loop_free(struct loop *l)
{
    if (l->local[LOOP_SOCKETS])
        ws_pool_free(l->local[LOOP_SOCKETS]);
    l->local[LOOP_SOCKETS] = NULL;
}

/* The head, with all that answers of the front have; the plugin ends it with an error. */
static mig_status refuse(struct call *c, unsigned status, const mig_header *h, uint32_t count,
                         mig_status answer)
{
    mig_header all[8] = {{S("Content-Type"), S("application/json")}};
    uint32_t n = 1;

    for (uint32_t i = 0; i < count && n < countof(all); i++)
        all[n++] = h[i];
    c->kind->respond(c, status, all, n);
    return answer;
}

static bool agree(struct exchange *x, const mig_websocket *def, struct ws_agreement *ret)
{
    str protocols[PROTOCOLS_MAX];
    uint32_t n = 0;

    for (const char *const *p = def->protocols; p && *p && n < PROTOCOLS_MAX; p++)
        protocols[n++] = str_of(*p);
    return ws_accept(x->headers, x->header_count, protocols, n, /*allow_deflate=*/true, x->arena,
                     ret);
}

/* The request is over, and with it its memory: what a socket needs of it fits a few hundred bytes. */
static void settle(struct task *t)
{
    struct socket *s = container_of(t, struct socket, task);
    struct call *c = s->call;
    size_t size = principal_bytes(c->principal) + s->path.len + SLACK;
    struct arena *a = arena_new_small(&c->home->chunks, size, ARENA_LIMIT);
    struct principal *p = a ? principal_copy(a, c->principal) : NULL;

    str path = p ? arena_copy(a, s->path) : (str){NULL, 0};

    if (path.ptr) {
        s->path = path;
        call_move(c, a, p, s);
    } else if (a) {
        arena_unref(a);
    }
    call_drop(c);
}

/* From now on the call is the socket's. */
static void take_over(struct call *c, struct socket *s, const mig_websocket *def)
{
    c->kind = &kind;
    c->owner = s;
    c->handler.data = def->tag;
    c->handler.on_message = def->on_message;
    c->handler.on_writable = def->on_writable;
    c->handler.on_cancel = def->on_cancel;
    c->handler.flags |= MIG_CAP_MANUAL_GRANT;
    c->grants = INT64_MAX; /* messages run within the turn that brings them */
    call_lasts(c);
    atomic_fetch_add(&c->holds, 1);
    s->task.run = settle; /* the plugin still looks at the request */
    loop_defer(c->home, &s->task);
    raw_tick(s->raw, def->ping_ms ? def->ping_ms : PING_MS);
}

mig_status socket_open(struct call *c, struct exchange *x, const mig_websocket *def,
                       const struct cors_policy *cors)
{
    struct ws_agreement a = {0};
    struct ws_pool *pool = pool_of(x->loop);

    if (!cors_allows_socket(cors, x))
        return refuse(c, 403, NULL, 0, MIG_FORBIDDEN);
    if (!agree(x, def, &a))
        return refuse(c, a.status, a.headers, a.header_count,
                      a.status == 503 ? MIG_UNAVAILABLE : MIG_INVALID_REQUEST);
    const struct ws_config config = {.max_message =
                                         def->max_message ? def->max_message : MESSAGE_MAX,
                                     .deflate_min = DEFLATE_MIN,
                                     .window_bits = a.window_bits};
    struct socket *s = calloc(1, sizeof *s);
    if (s && pool)
        s->ws = ws_new(pool, &config, &ws_ops, s);
    if (!s || !s->ws) {
        free(s);
        return refuse(c, 503, NULL, 0, MIG_UNAVAILABLE);
    }
    s->call = c;
    s->path = arena_copy(c->arena, x->path);
    s->raw = exchange_switch(x, a.head, &raw_ops, s);
    if (!s->raw) {
        ws_free(s->ws);
        free(s);
        return refuse(c, 400, NULL, 0, MIG_INVALID_REQUEST);
    }
    take_over(c, s, def);
    return MIG_OK;
}
