/* mig/sdk/mock.h: a host for tests of plugins. Header-only, deterministic, one thread, own clock.
 *
 *     mock_host *m = mock_host_new();
 *     mock_load(m, &mig_plugin_entry, NULL);               -- or mock_load_plugin(m, &hello)
 *     mock_create(m, "{}"); mock_describe(m); mock_start(m);
 *     mig_call c = mock_invoke(m, "example.hello.greet", "{\"name\":\"Ada\"}", MIG_MODE_UNARY);
 *     mock_await(m, c);
 *     -- mock_status(m, c) is MIG_OK, mock_result(m, c) is {"greeting":"Ada"}
 *     mock_quiesce(m); mock_destroy(m);
 *     -- mock_debt(m) is 0, mock_fault_count(m) is 0
 *     mock_host_free(m);
 *
 * Nothing runs by itself: mock_invoke() and friends put work into a queue, and mock_run(),
 * mock_advance() and mock_await() carry it out, each callback where a host would run it: never from
 * inside a host function, one at a time per call. Broken laws (a second end, a stale handle, text
 * that is no JSON, a wrong struct_size, ...) are answered as a host answers them and kept as
 * faults. Memory of a request is freed at the plugin's end of the call and callback arguments after
 * the callback, so a sanitizer sees whoever keeps them.
 *
 * What is simpler than in a host: one tenant at a time (m->caller), no schemas, no jitter, guards
 * of mig.loop/1 never fire, mig.control/1 is absent (mock_offer_table() can bring it). Only C and
 * libc. */
#ifndef MIG_SDK_MOCK_H
#define MIG_SDK_MOCK_H
#include "mig/sdk/mock_life.h"
#ifdef __cplusplus
extern "C" {
#endif

/* ---- work and time ----------------------------------------------------------------------------
 */

/* Does what is due now, and what that brings; returns how many callbacks ran. */
static inline size_t mock_run(mock_host *m)
{
    size_t n = 0;
    mock_job *j;

    mock_in_(m);
    for (; n < 1000000 && (j = mock_next_(m, m->now_ns)) != NULL; n++)
        mock_run_job_(m, j);
    mock_out_(m);
    return n;
}

/* The clock moves on by ms, and everything that falls due on the way is done in order. */
static inline size_t mock_advance(mock_host *m, uint64_t ms)
{
    uint64_t until = m->now_ns + ms * MOCK_MS;
    size_t n = 0;
    mock_job *j;

    mock_in_(m);
    for (; n < 1000000 && (j = mock_next_(m, until)) != NULL; n++)
        mock_run_job_(m, j);
    if (m->now_ns < until)
        m->now_ns = until;
    mock_out_(m);
    return n;
}

/* Runs until the caller has its answer (at the deadline at the latest) and returns the status. */
static inline mig_status mock_await(mock_host *m, mig_call call)
{
    mock_call *c = mock_find_call_(m, call);
    mock_job *j;

    if (!c)
        return MIG_E_GONE;
    mock_in_(m);
    while (c->state == MOCK_OPEN && (j = mock_next_(m, c->deadline_ns)) != NULL)
        mock_run_job_(m, j);
    while ((j = mock_next_(m, m->now_ns)) != NULL) /* releases, on_cancel */
        mock_run_job_(m, j);
    mock_out_(m);
    return c->state == MOCK_OPEN ? MIG_E_AGAIN : c->status;
}

/* ---- the caller's side ------------------------------------------------------------------------
 */

/* mode: one MIG_MODE_* bit. Tenant, deadline and so on come from m->caller. */
static inline mig_call mock_invoke(mock_host *m, const char *capability, const char *payload,
                                   uint32_t mode)
{
    mig_call call;

    mock_in_(m);
    call = mock_handle_(mock_begin_(m, mig_s(capability), mig_s(payload), mode, NULL));
    mock_out_(m);
    return call;
}

/* A request to one of the plugin's routes; target may have a query. Call 0: no route fits. */
static inline mig_call mock_http(mock_host *m, const char *method, const char *target,
                                 const char *body)
{
    mig_str path = mig_s(target), query = {NULL, 0}, params[16];
    const char *mark = strchr(target, '?');
    mock_call *c = NULL;

    if (mark) {
        query = mig_s(mark + 1);
        path.len = (size_t)(mark - target);
    }
    mock_in_(m);
    for (size_t i = 0; !c && m->catalogue && i < m->catalogue->routes.count; i++) {
        mock_route *r = (mock_route *)m->catalogue->routes.items[i];
        if (!strcmp(r->def.method, method) && mock_route_fits_(r->def.pattern, path, params))
            c = mock_begin_exchange_(m, r, mig_s(method), path, query, mig_s(body));
    }
    mock_out_(m);
    return mock_handle_(c);
}

/* Run the index-th health check; call 0: there is none. */
static inline mig_call mock_probe(mock_host *m, size_t index)
{
    const mig_health *x;
    mig_call call;

    if (!m->catalogue || index >= m->catalogue->healths.count)
        return mock_handle_(NULL);
    x = (const mig_health *)m->catalogue->healths.items[index];
    mock_in_(m);
    call = mock_handle_(mock_begin_own_(m, MOCK_PROBE, x->exec, x->check, x->data, 0));
    mock_out_(m);
    return call;
}

static inline void mock_cancel(mock_host *m, mig_call call)
{
    mock_call *c = mock_find_call_(m, call);

    mock_in_(m);
    if (c)
        mock_abort_(m, c, "invocation cancelled: by the test");
    mock_out_(m);
}

static inline void mock_run_message_(mock_host *m, mock_job *j)
{
    mock_call *c = j->call;

    if (c->state == MOCK_ENDED)
        return;
    mock_out_(m);
    c->cap->def.on_message(m->self, c->data, mock_handle_(c), j->text);
    mock_in_(m);
    if (!(c->cap->def.flags & MIG_CAP_MANUAL_GRANT))
        c->inbound++;
}

/* The caller's next message. MIG_E_AGAIN: the plugin has granted no more. */
static inline mig_status mock_message(mock_host *m, mig_call call, const char *json)
{
    mock_call *c = mock_find_call_(m, call);
    mig_str *text;

    if (!c || !c->cap || c->state != MOCK_OPEN || c->is_half_closed ||
        !(c->mode & (MIG_MODE_CLIENT_STREAM | MIG_MODE_BIDI)))
        return MIG_E_GONE;
    if (!c->inbound)
        return MIG_E_AGAIN;
    mock_in_(m);
    c->inbound--;
    if (c->cap->def.on_message) {
        mock_post_(m, c, 0, mock_run_message_)->text = mock_lend_(mig_s(json));
    } else {
        text = (mig_str *)mock_alloc_(&c->mem, sizeof *text);
        *text = mock_copy_(&c->mem, mig_s(json));
        mock_push_(&c->inbox, text);
    }
    return mock_leave_(m, MIG_OK);
}

static inline void mock_run_half_close_(mock_host *m, mock_job *j)
{
    mock_call *c = j->call;

    if (c->state == MOCK_ENDED || !c->cap->def.on_half_close)
        return;
    mock_out_(m);
    c->cap->def.on_half_close(m->self, c->data, mock_handle_(c));
    mock_in_(m);
}

static inline void mock_half_close(mock_host *m, mig_call call)
{
    mock_call *c = mock_find_call_(m, call);

    if (!c || !c->cap || c->is_half_closed)
        return;
    mock_in_(m);
    c->is_half_closed = 1;
    mock_post_(m, c, 0, mock_run_half_close_);
    mock_out_(m);
}

/* The caller reads up to n frames of a stream (needed only when m->caller.reads_slowly). */
static inline void mock_read(mock_host *m, mig_call call, size_t n)
{
    mock_call *c = mock_find_call_(m, call);

    mock_in_(m);
    if (c)
        mock_do_read_(m, c, n);
    mock_out_(m);
}

/* How a capability outside of the plugin answers mig.invoke/1 and mig.binding/1: with JSON, or for
 * a status > 0 with that error and the text as its message. For submissions the names "hello",
 * "discover", "cancel" and "heartbeat" give the whole answer of these operations. */
static inline void mock_answer(mock_host *m, const char *capability, mig_status status,
                               const char *json, uint32_t delay_ms)
{
    mock_stub *s = (mock_stub *)mock_alloc_(&m->mem, sizeof *s);

    s->name = mock_copy_(&m->mem, mig_s(capability));
    s->json = mock_copy_(&m->mem, mig_s(json));
    s->status = status;
    s->delay_ms = delay_ms;
    mock_push_(&m->stubs, s);
}

/* The newest submission of the plugin, as `op` of mock_frame(); 0: there was none. */
static inline mig_call mock_submission(const mock_host *m)
{
    for (size_t i = m->calls.count; i-- > 0;)
        if (((mock_call *)m->calls.items[i])->kind == MOCK_SUBMIT)
            return mock_handle_((mock_call *)m->calls.items[i]);
    return mock_handle_(NULL);
}

/* A frame of the provider for the plugin's submission. */
static inline void mock_frame(mock_host *m, mig_call op, const char *json)
{
    mock_call *c = mock_find_call_(m, op);
    mig_str *text;

    if (!c || c->kind != MOCK_SUBMIT || c->state != MOCK_OPEN || !c->submit.on_frame)
        return;
    mock_in_(m);
    text = (mig_str *)mock_alloc_(&m->mem, sizeof *text);
    *text = mock_copy_(&m->mem, mig_s(json));
    mock_push_(&c->frames, text);
    c->unread_frames++;
    mock_post_(m, c->parent, 0, mock_run_frames_)->tag = c;
    mock_out_(m);
}

/* ---- what came of it --------------------------------------------------------------------------
 */

/* Everything about a call, see mock_core.h; NULL: there is none. */
static inline const mock_call *mock_look(const mock_host *m, mig_call call)
{
    return mock_find_call_(m, call);
}

/* What the caller was told; MIG_E_AGAIN: nothing so far. */
static inline mig_status mock_status(const mock_host *m, mig_call call)
{
    const mock_call *c = mock_find_call_(m, call);

    return !c ? MIG_E_GONE : c->state == MOCK_OPEN ? MIG_E_AGAIN : c->status;
}

/* Result (or body of an exchange) and message; NUL-terminated, "" when there is none. */
static inline const char *mock_result(const mock_host *m, mig_call call)
{
    const mock_call *c = mock_find_call_(m, call);

    return c && c->result.ptr ? c->result.ptr : "";
}

static inline const char *mock_error_message(const mock_host *m, mig_call call)
{
    const mock_call *c = mock_find_call_(m, call);

    return c && c->message.ptr ? c->message.ptr : "";
}

/* Has the plugin ended the call (not only the caller been answered)? */
static inline int mock_is_ended(const mock_host *m, mig_call call)
{
    const mock_call *c = mock_find_call_(m, call);

    return c && c->state == MOCK_ENDED;
}

static inline size_t mock_frame_count(const mock_host *m, mig_call call)
{
    const mock_call *c = mock_find_call_(m, call);

    return c ? c->frames.count : 0;
}

static inline const char *mock_frame_text(const mock_host *m, mig_call call, size_t index)
{
    const mock_call *c = mock_find_call_(m, call);

    return c && index < c->frames.count ? ((const mig_str *)c->frames.items[index])->ptr : "";
}

/* A header of the plugin's respond(); "" when it set none of that name. */
static inline const char *mock_header(const mock_host *m, mig_call ex, const char *name)
{
    const mock_call *c = mock_find_call_(m, ex);

    for (size_t i = 0; c && i < c->headers.count; i++)
        if (mock_same_name_(((const mig_header *)c->headers.items[i])->name, mig_s(name)))
            return ((const mig_header *)c->headers.items[i])->value.ptr;
    return "";
}

/* Counter: sum; gauge: last value; histogram: number of observations. All labels together. */
static inline double mock_metric_value(const mock_host *m, const char *name)
{
    const mock_metric *x = mock_metric_of_(m, name);

    return x ? x->value : 0;
}

/* Value of a key of the tenant in m->caller; NULL: absent. */
static inline const char *mock_kv_value(mock_host *m, const char *key)
{
    const mock_pair *p = mock_pair_of_(m, mig_s(key));

    return p && p->revision ? p->value.ptr : NULL;
}

static inline size_t mock_fault_count(const mock_host *m)
{
    return m->faults.count;
}

static inline const char *mock_fault(const mock_host *m, size_t index)
{
    mock_host *own = (mock_host *)(uintptr_t)m;
    const char *text;

    mock_in_(own);
    text = index < m->faults.count ? (const char *)m->faults.items[index] : "";
    mock_out_(own);
    return text;
}

/* Log lines as "LEVEL text". */
static inline size_t mock_log_count(const mock_host *m)
{
    return m->logs.count;
}

static inline const char *mock_log(const mock_host *m, size_t index)
{
    return index < m->logs.count ? (const char *)m->logs.items[index] : "";
}

#ifdef __cplusplus
}
#endif
#endif
