/* mig/sdk/mock_ext.h: the extension tables of the mock host. Part of mock.h. */
#ifndef MIG_SDK_MOCK_EXT_H
#define MIG_SDK_MOCK_EXT_H
#include "mig/sdk/mock_call.h"
#ifdef __cplusplus
extern "C" {
#endif

/* Run other work, the clock moving on, until the call has something to say or is over. */
#define MOCK_WAIT_(m, c, condition)                                                                \
    do {                                                                                           \
        mock_job *next_;                                                                           \
        while (!(condition) && (c)->state == MOCK_OPEN &&                                          \
               (next_ = mock_next_((m), (c)->deadline_ns)) != NULL)                                \
            mock_run_job_((m), next_);                                                             \
    } while (0)

/* ---- mig.stream/1 -----------------------------------------------------------------------------
 */

static inline mig_status mock_h_send_wait_(const mig_host *h, mig_call call, const mig_payload *f)
{
    mock_host *m = mock_enter_(h);
    mock_call *c = mock_find_(m, call);
    mig_status answer = mock_do_send_(m, call, f->bytes);

    if (answer == MIG_E_AGAIN) {
        MOCK_WAIT_(m, c, mock_has_room_(c, f->bytes.len));
        answer = c->state == MOCK_OPEN && mock_has_room_(c, f->bytes.len)
                     ? mock_do_send_(m, call, f->bytes)
                 : m->now_ns >= c->deadline_ns ? MIG_TIMEOUT
                                               : MIG_E_GONE;
        c->wants_writable = 0;
    }
    mock_taken_(m, f);
    return mock_leave_(m, answer);
}

static inline mig_status mock_h_recv_wait_(const mig_host *h, mig_call call, mig_str *ret_json)
{
    mock_host *m = mock_enter_(h);
    mock_call *c = mock_claim_(m, call, "recv_wait");

    if (!c)
        return mock_leave_(m, MIG_E_GONE);
    MOCK_WAIT_(m, c, c->inbox_read < c->inbox.count || c->is_half_closed);
    if (c->state != MOCK_OPEN)
        return mock_leave_(m, MIG_E_GONE);
    if (c->inbox_read == c->inbox.count)
        return mock_leave_(m, c->is_half_closed ? MIG_NOT_FOUND : MIG_E_GONE);
    *ret_json = *(mig_str *)c->inbox.items[c->inbox_read++];
    c->inbound += !c->cap || !(c->cap->def.flags & MIG_CAP_MANUAL_GRANT);
    return mock_leave_(m, MIG_OK);
}

static inline mig_status mock_h_grant_(const mig_host *h, mig_call call, uint32_t n)
{
    mock_host *m = mock_enter_(h);
    mock_call *c = mock_claim_(m, call, "grant");

    if (!c || c->state != MOCK_OPEN)
        return mock_leave_(m, MIG_E_GONE);
    if (!(c->mode & (MIG_MODE_CLIENT_STREAM | MIG_MODE_BIDI)))
        return mock_leave_(m, mock_fault_(m, MIG_E_ARG, "grant: the caller streams nothing"));
    c->inbound = n > UINT32_MAX - c->inbound ? UINT32_MAX : c->inbound + n;
    return mock_leave_(m, MIG_OK);
}

/* ---- mig.invoke/1 -----------------------------------------------------------------------------
 */

static inline const mock_stub *mock_stub_of_(const mock_host *m, mig_str name)
{
    for (size_t i = m->stubs.count; i-- > 0;) { /* the newest wins */
        const mock_stub *s = (const mock_stub *)m->stubs.items[i];
        if (mock_same_(s->name, name))
            return s;
    }
    return NULL;
}

static inline void mock_run_stub_(mock_host *m, mock_job *j)
{
    mock_call *c = (mock_call *)j->tag;
    mig_str none = {NULL, 0};

    if (c->state == MOCK_OPEN && c->kind != MOCK_SUBMIT && j->status != MIG_OK)
        mock_answer_call_(m, c, j->status, none, j->text);
    else
        mock_answer_call_(m, c, j->status, j->text, none);
    c->state = MOCK_ENDED;
}

/* A call to something outside of the plugin, answered as mock_answer() said. */
static inline mock_call *mock_begin_stub_(mock_host *m, const mock_stub *s, enum mock_kind kind)
{
    mock_call *c = mock_new_call_(m, kind, MIG_EXEC_POOL);
    mock_job *j = mock_post_(m, NULL, s->delay_ms, mock_run_stub_);

    j->tag = c;
    j->status = s->status;
    j->text = mock_lend_(s->json);
    return c;
}

static inline mock_call *mock_begin_child_(mock_host *m, mock_call *parent, mig_str capability,
                                           mig_str payload)
{
    const mock_stub *stub = mock_stub_of_(m, capability);
    mig_str none = {NULL, 0};
    mock_call *c;

    if (parent->hops + 1 > MOCK_HOPS_MAX) {
        c = mock_new_call_(m, MOCK_INVOKE, MIG_EXEC_POOL);
        c->details = mig_s("{\"reason\":\"hop_limit\"}");
        mock_answer_call_(m, c, MIG_INVALID_REQUEST, none, mig_s("too many hops"));
        c->state = MOCK_ENDED;
        return c;
    }
    if (!stub)
        return mock_begin_(m, capability, payload, MIG_MODE_UNARY, parent);
    c = mock_begin_stub_(m, stub, MOCK_INVOKE);
    c->parent = parent;
    return c;
}

/* The checks that both forms share; NULL: *ret says why not. */
static inline mock_call *mock_invoker_(mock_host *m, mig_call call, const mig_payload *p,
                                       mig_status *ret)
{
    mock_call *c = mock_claim_(m, call, "invoke");

    *ret = !c || c->state != MOCK_OPEN ? MIG_E_GONE
           : mig_json_valid(p->bytes)
               ? MIG_OK
               : mock_fault_(m, MIG_E_ARG, "invoke: the payload is not JSON");
    return *ret == MIG_OK ? c : NULL;
}

static inline mig_status mock_h_invoke_(const mig_host *h, mig_call call, mig_str capability,
                                        const mig_payload *p, mig_done done, void *tag)
{
    mock_host *m = mock_enter_(h);
    mig_status answer;
    mock_call *parent = mock_invoker_(m, call, p, &answer), *c;

    mock_taken_(m, p);
    if (!parent)
        return mock_leave_(m, answer);
    m->operations++;
    c = mock_begin_child_(m, parent, capability, p->bytes);
    c->parent = parent;
    c->done = done;
    c->tag = tag;
    if (c->state != MOCK_OPEN)
        mock_tell_parent_(m, c);
    return mock_leave_(m, MIG_OK);
}

static inline mig_status mock_h_invoke_wait_(const mig_host *h, mig_call call, mig_str capability,
                                             const mig_payload *p, const mig_outcome **ret_out)
{
    mock_host *m = mock_enter_(h);
    mig_status answer;
    mock_call *parent = mock_invoker_(m, call, p, &answer), *c;
    mig_outcome *o;

    mock_taken_(m, p);
    if (!parent)
        return mock_leave_(m, answer);
    c = mock_begin_child_(m, parent, capability, p->bytes);
    MOCK_WAIT_(m, parent, c->state != MOCK_OPEN);
    if (c->state == MOCK_OPEN || parent->state != MOCK_OPEN)
        return mock_leave_(m, MIG_E_GONE);
    o = (mig_outcome *)mock_alloc_(&parent->mem, sizeof *o);
    o->struct_size = (uint32_t)sizeof *o;
    o->status = c->status;
    o->json = mock_copy_(&parent->mem, c->result);
    o->message = mock_copy_(&parent->mem, c->message);
    o->details = mock_copy_(&parent->mem, c->details);
    *ret_out = o;
    return mock_leave_(m, MIG_OK);
}

/* ---- mig.kv/1 ---------------------------------------------------------------------------------
 */

static inline mock_pair *mock_pair_of_(mock_host *m, mig_str key)
{
    mig_str tenant = mig_s(m->caller.tenant_id);

    for (size_t i = 0; i < m->pairs.count; i++) {
        mock_pair *p = (mock_pair *)m->pairs.items[i];
        if (p->revision && p->expires_ns <= m->now_ns)
            p->revision = 0;
        if (mock_same_(p->key, key) && mock_same_(p->tenant, tenant))
            return p;
    }
    return NULL;
}

static inline void mock_run_kv_(mock_host *m, mock_job *j)
{
    mig_kv_result r = {(uint32_t)sizeof r, j->status, j->text, j->revision};

    mock_out_(m);
    j->kv_done(m->self, j->tag, &r);
    mock_in_(m);
}

/* The store changes at once, in the order of the calls; done comes later. */
static inline mig_status mock_kv_reply_(mock_host *m, mig_call call, mig_status status,
                                        const mock_pair *p, mig_str value, mig_kv_done done,
                                        void *tag)
{
    mock_job *j = mock_post_(m, mock_find_(m, call), 0, mock_run_kv_);

    j->status = status;
    j->text = mock_lend_(value);
    j->revision = p ? p->revision : 0;
    j->kv_done = done;
    j->tag = tag;
    j->is_operation = 1;
    m->operations++;
    return MIG_OK;
}

static inline mig_status mock_kv_may_(mock_host *m, mig_call call, mig_str key)
{
    if (call.v && !mock_claim_(m, call, "kv"))
        return MIG_E_GONE;
    if (!key.len || key.len > 512)
        return mock_fault_(m, MIG_E_ARG, "kv: a key has 1 to 512 bytes");
    return MIG_OK;
}

static inline mig_status mock_h_kv_get_(const mig_host *h, mig_call call, mig_str key,
                                        mig_kv_done done, void *tag)
{
    mock_host *m = mock_enter_(h);
    mig_status answer = mock_kv_may_(m, call, key);
    const mock_pair *p = mock_pair_of_(m, key);
    mig_str none = {NULL, 0};
    int is_there = p && p->revision;

    if (answer == MIG_OK)
        answer = mock_kv_reply_(m, call, is_there ? MIG_OK : MIG_NOT_FOUND, p,
                                is_there ? p->value : none, done, tag);
    return mock_leave_(m, answer);
}

static inline mig_status mock_h_kv_put_(const mig_host *h, mig_call call, mig_str key,
                                        mig_str value, uint64_t expect, uint64_t ttl_ms,
                                        mig_kv_done done, void *tag)
{
    mock_host *m = mock_enter_(h);
    mig_status answer = mock_kv_may_(m, call, key), status = MIG_VERSION_MISMATCH;
    mock_pair *p = mock_pair_of_(m, key);
    mig_str none = {NULL, 0};

    if (answer != MIG_OK)
        return mock_leave_(m, answer);
    if (value.len > 1048576)
        return mock_leave_(m, MIG_E_NOMEM);
    if (expect == MIG_KV_ANY || expect == (p ? p->revision : 0)) {
        if (!p) {
            p = (mock_pair *)mock_alloc_(&m->mem, sizeof *p);
            p->tenant = mock_copy_(&m->mem, mig_s(m->caller.tenant_id));
            p->key = mock_copy_(&m->mem, key);
            mock_push_(&m->pairs, p);
        }
        p->value = mock_copy_(&m->mem, value);
        p->revision = ++m->kv_revision;
        p->expires_ns = ttl_ms ? m->now_ns + ttl_ms * MOCK_MS : MOCK_NEVER;
        status = MIG_OK;
    }
    return mock_leave_(m, mock_kv_reply_(m, call, status, p, none, done, tag));
}

static inline mig_status mock_h_kv_del_(const mig_host *h, mig_call call, mig_str key,
                                        uint64_t expect, mig_kv_done done, void *tag)
{
    mock_host *m = mock_enter_(h);
    mig_status answer = mock_kv_may_(m, call, key), status = MIG_NOT_FOUND;
    mock_pair *p = mock_pair_of_(m, key);
    mig_str none = {NULL, 0};

    if (p && p->revision) {
        status = expect == MIG_KV_ANY || expect == p->revision ? MIG_OK : MIG_VERSION_MISMATCH;
        if (answer == MIG_OK && status == MIG_OK)
            p->revision = 0;
    }
    if (answer == MIG_OK)
        answer = mock_kv_reply_(m, call, status, p, none, done, tag);
    return mock_leave_(m, answer);
}

/* ---- mig.task/1, and the ticks of mig.timer/1 -------------------------------------------------
 */

static inline mig_status mock_h_after_(const mig_host *h, mig_call call, uint64_t delay_ms,
                                       mig_done done, void *tag)
{
    mock_host *m = mock_enter_(h);
    mock_call *c = call.v ? mock_claim_(m, call, "after") : NULL;
    int is_gone = c && c->state != MOCK_OPEN;
    mock_job *j;

    if (call.v && !c)
        return mock_leave_(m, MIG_E_GONE);
    j = mock_post_(m, c, is_gone ? 0 : delay_ms, mock_run_done_);
    j->status = is_gone ? MIG_E_GONE : MIG_OK;
    j->done = done;
    j->tag = tag;
    j->is_after = !is_gone;
    j->is_operation = 1;
    m->operations++;
    return mock_leave_(m, MIG_OK);
}

static inline void mock_run_own_(mock_host *m, mock_job *j)
{
    mock_call *c = j->call;

    m->waiting_tasks -= c->kind == MOCK_TASK;
    mock_out_(m);
    c->start(m->self, c->data, mock_handle_(c));
    mock_in_(m);
}

/* A call of the instance's own: task, tick or probe. */
static inline mock_call *mock_begin_own_(mock_host *m, enum mock_kind kind, uint32_t exec,
                                         void (*start)(void *, void *, mig_call), void *data,
                                         uint64_t delay_ms)
{
    mock_call *c = mock_new_call_(m, kind, exec);

    c->start = start;
    c->data = data;
    mock_post_(m, c, delay_ms, mock_run_own_);
    return c;
}

static inline mig_status mock_h_task_run_(const mig_host *h, const mig_task *given)
{
    mock_host *m = mock_enter_(h);
    mig_task t;
    mig_status answer = mock_take_(m, "mig_task", given, &t, sizeof t);

    if (answer == MIG_OK && !t.run)
        answer = mock_fault_(m, MIG_E_ARG, "mig_task: run is NULL");
    if (answer == MIG_OK && m->waiting_tasks >= MOCK_TASKS_MAX)
        answer = MIG_E_AGAIN;
    if (answer != MIG_OK)
        return mock_leave_(m, answer);
    m->waiting_tasks++;
    mock_set_deadline_(m, mock_begin_own_(m, MOCK_TASK, t.exec, t.run, t.data, t.delay_ms),
                       t.delay_ms + (t.timeout_ms ? t.timeout_ms : 30000));
    return mock_leave_(m, MIG_OK);
}

static inline void mock_run_tick_(mock_host *m, mock_job *j)
{
    mock_timer *t = j->timer;
    mock_call *c;

    if (m->is_quiesced)
        return;
    if (!t->running.v) {
        c = mock_begin_own_(m, MOCK_TICK, t->def.exec, t->def.on_tick, t->def.data, 0);
        c->timer = t;
        t->running = mock_handle_(c);
    }
    mock_post_(m, NULL, t->def.every_ms, mock_run_tick_)->timer = t;
}

/* ---- mig.loop/1 -------------------------------------------------------------------------------
 */

static inline uint32_t mock_h_loop_count_(const mig_host *h)
{
    return ((mock_host *)h->ctx)->loop_count;
}

static inline uint32_t mock_h_loop_index_(const mig_host *h)
{
    return ((mock_host *)h->ctx)->loop_now;
}

/* fire() never runs here: virtual time does not pass while a handler works. */
static inline void mock_h_slice_begin_(const mig_host *h, uint32_t limit_us,
                                       void (*fire)(void *arg), void *arg)
{
    mock_host *m = mock_enter_(h);

    if (m->loop_now == UINT32_MAX || !fire || !limit_us)
        mock_fault_(m, MIG_E_ARG, "slice_begin: off a loop, or without limit and fire");
    if (m->is_sliced)
        mock_fault_(m, MIG_E_ARG, "slice_begin: one guard per loop at a time");
    (void)arg;
    m->is_sliced = 1;
    mock_out_(m);
}

static inline void mock_h_slice_end_(const mig_host *h)
{
    mock_host *m = mock_enter_(h);

    if (!m->is_sliced)
        mock_fault_(m, MIG_E_ARG, "slice_end: there is no guard");
    m->is_sliced = 0;
    mock_out_(m);
}

/* ---- mig.metrics/1 ----------------------------------------------------------------------------
 */

static inline void mock_h_record_(const mig_host *h, uint32_t id, const mig_str *labels,
                                  double value)
{
    mock_host *m = mock_enter_(h);
    mock_metric *x = id && id <= m->metrics.count ? (mock_metric *)m->metrics.items[id - 1] : NULL;

    if (!x || (x->label_count && !labels))
        mock_fault_(m, MIG_E_ARG, "record: no metric %u, or no label values", (unsigned)id);
    else if (x->def.kind == MIG_COUNTER && !(value >= 0))
        mock_fault_(m, MIG_E_ARG, "record: counter %s must not go down", x->def.name);
    else
        x->value =
            x->def.kind == MIG_GAUGE ? value : x->value + (x->def.kind == MIG_COUNTER ? value : 1);
    mock_out_(m);
}

#ifdef __cplusplus
}
#endif
#endif
