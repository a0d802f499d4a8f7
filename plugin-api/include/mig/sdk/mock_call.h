/* mig/sdk/mock_call.h: calls of the mock host: begin, answer, end, stream. Part of mock.h. */
#ifndef MIG_SDK_MOCK_CALL_H
#define MIG_SDK_MOCK_CALL_H
#include "mig/sdk/mock_core.h"
#ifdef __cplusplus
extern "C" {
#endif

/* NULL when there never was such a call. */
static inline mock_call *mock_find_(const mock_host *m, mig_call h)
{
    size_t slot = (size_t)(h.v >> 32 & 0xFFFFFF);
    mock_call *c = slot && slot <= m->calls.count ? (mock_call *)m->calls.items[slot - 1] : NULL;

    return c && c->v == h.v ? c : NULL;
}

static inline mig_call mock_handle_(const mock_call *c)
{
    mig_call h = {c ? c->v : 0};
    return h;
}

/* Handles as in the daemon: 8 bits loop, 24 bits slot, 32 bits generation. */
static inline mock_call *mock_new_call_(mock_host *m, enum mock_kind kind, uint32_t exec)
{
    mock_call *c = (mock_call *)mock_alloc_(&m->mem, sizeof *c);
    uint64_t slot = m->calls.count + 1;
    char id[32];

    mock_push_(&m->calls, c);
    snprintf(id, sizeof id, "mock-%u", (unsigned)slot);
    c->v = (slot % m->loop_count) << 56 | slot << 32 | (0x5EED0000u + (slot * 7919 & 0xFFFF));
    c->kind = kind;
    c->exec = exec;
    c->mode = MIG_MODE_UNARY;
    c->inbound = MOCK_INBOUND;
    c->message_id = mock_copy_(&m->mem, mig_s(id));
    c->deadline_ns = MOCK_NEVER;
    return c;
}

/* Does code of the plugin run for it, so that the plugin owes its end? */
static inline int mock_has_handler_(const mock_call *c)
{
    return c->cap || c->route || c->start;
}

/* ---- the outcome goes to the caller -----------------------------------------------------------
 */

static inline void mock_run_done_(mock_host *m, mock_job *j)
{
    mig_outcome o;

    memset(&o, 0, sizeof o);
    o.struct_size = (uint32_t)sizeof o;
    o.status = j->status;
    o.json = j->text;
    o.message = j->message;
    o.details = j->details;
    o.retry_after_ms = j->retry_after_ms;
    o.retry = j->retry;
    mock_out_(m);
    j->done(m->self, j->tag, &o);
    mock_in_(m);
}

static inline void mock_answer_call_(mock_host *m, mock_call *c, mig_status status, mig_str result,
                                     mig_str message);

/* A nested call was answered: its parent hears of it on its own strand. */
static inline void mock_tell_parent_(mock_host *m, mock_call *c)
{
    mock_job *j;

    if (c->kind == MOCK_SUBMIT)
        m->submit_done(m, c);
    else if (c->parent && c->parent->kind == MOCK_SUBMIT)
        mock_answer_call_(m, c->parent, c->status, c->result, c->message);
    if (!c->done)
        return;
    j = mock_post_(m, c->parent, 0, mock_run_done_);
    j->done = c->done;
    j->tag = c->tag;
    j->status = c->status;
    j->text = mock_lend_(c->result);
    j->message = mock_lend_(c->message);
    j->details = mock_lend_(c->details);
    j->retry_after_ms = c->retry_after_ms;
    j->retry = c->retry;
    j->is_operation = 1; /* counted when the call was made */
    c->done = NULL;
}

/* The caller learns what became of its call; only the first answer counts. */
static inline void mock_answer_call_(mock_host *m, mock_call *c, mig_status status, mig_str result,
                                     mig_str message)
{
    if (c->state != MOCK_OPEN)
        return;
    c->state = MOCK_ANSWERED;
    c->status = status;
    c->result = mock_copy_(&m->mem, result);
    c->message = mock_copy_(&m->mem, message);
    mock_tell_parent_(m, c);
}

static inline void mock_run_cancelled_(mock_host *m, mock_job *j)
{
    mock_call *c = j->call;
    void (*told)(void *, void *, mig_call) = c->cap     ? c->cap->def.on_cancel
                                             : c->route ? c->route->def.on_cancel
                                                        : NULL;
    if (c->state == MOCK_ENDED || !told)
        return;
    mock_out_(m);
    told(m->self, c->data, mock_handle_(c));
    mock_in_(m);
}

static inline void mock_abort_(mock_host *m, mock_call *c, const char *message);

/* What was asked in the name of a call that goes: timers run at once, nested calls are cancelled.
 */
static inline void mock_drop_operations_(mock_host *m, const mock_call *c, const char *why)
{
    mock_job **at = &m->queue, *hurried = NULL;

    while (*at) {
        mock_job *j = *at;
        if (j->call != c || !j->is_after) {
            at = &j->next;
            continue;
        }
        *at = j->next;
        j->next = hurried;
        hurried = j;
    }
    while (hurried) {
        mock_job *j = hurried;
        hurried = j->next;
        j->is_after = 0;
        j->status = MIG_E_GONE;
        j->due_ns = m->now_ns;
        mock_insert_(m, j);
    }
    for (size_t i = 0; i < m->calls.count; i++) {
        mock_call *child = (mock_call *)m->calls.items[i];
        if (child->parent == c && child->state == MOCK_OPEN)
            mock_abort_(m, child, why);
    }
}

/* Cancel or deadline: the caller is answered now, the plugin still owes its end. */
static inline void mock_abort_(mock_host *m, mock_call *c, const char *message)
{
    mig_str none = {NULL, 0};

    if (c->state != MOCK_OPEN)
        return;
    mock_answer_call_(m, c, MIG_TIMEOUT, none, mig_s(message));
    mock_drop_operations_(m, c, message);
    if (mock_has_handler_(c))
        mock_post_(m, c, 0, mock_run_cancelled_);
    else
        c->state = MOCK_ENDED;
}

static inline void mock_run_deadline_(mock_host *m, mock_job *j)
{
    mock_call *c = (mock_call *)j->tag;

    if (m->now_ns >= c->deadline_ns)
        mock_abort_(m, c, "deadline exceeded");
}

static inline void mock_set_deadline_(mock_host *m, mock_call *c, uint64_t timeout_ms)
{
    mock_job *j = mock_post_(m, NULL, timeout_ms, mock_run_deadline_);

    j->tag = c;
    c->deadline_ns = j->due_ns;
}

/* ---- the plugin ends a call -------------------------------------------------------------------
 */

/* The open call behind a handle, or NULL and a record of what was wrong. */
static inline mock_call *mock_claim_(mock_host *m, mig_call h, const char *what)
{
    mock_call *c = mock_find_(m, h);

    if (c && c->state != MOCK_ENDED)
        return c;
    m->stale++;
    if (!c) {
        mock_fault_(m, MIG_E_GONE, "%s: there is no call %llx", what, (unsigned long long)h.v);
        return NULL;
    }
    m->double_ends++;
    c->ends++;
    mock_fault_(m, MIG_E_GONE, "%s: call %.*s was ended already", what, (int)c->message_id.len,
                c->message_id.ptr);
    return NULL;
}

static inline void mock_end_(mock_host *m, mock_call *c)
{
    c->state = MOCK_ENDED;
    c->ends++;
    if (c->cap && c->cap->active)
        c->cap->active--;
    if (c->timer)
        c->timer->running.v = 0;
    mock_drop_operations_(m, c, "the calling call has ended");
    mock_free_mem_(&c->mem); /* use of the request after the end is the plugin's fault */
}

static inline void mock_add_body_(mock_host *m, mock_call *c, mig_str piece)
{
    char *p = (char *)mock_alloc_(&m->mem, c->result.len + piece.len + 1);
    mig_str whole = {p, c->result.len + piece.len};

    if (c->result.len)
        memcpy(p, c->result.ptr, c->result.len);
    if (piece.len)
        memcpy(p + c->result.len, piece.ptr, piece.len);
    c->result = whole;
}

static inline mig_status mock_do_finish_(mock_host *m, mig_call h, const mig_payload *p)
{
    mock_call *c = mock_claim_(m, h, "finish");
    mig_str none = {NULL, 0}, bytes = p ? p->bytes : none;
    mig_status answer = MIG_OK;

    if (!c)
        return MIG_E_GONE;
    if (c->kind == MOCK_EXCHANGE) {
        if (c->state == MOCK_OPEN)
            mock_add_body_(m, c, bytes);
        bytes = c->result;
        if (!c->http_status)
            c->http_status = 200;
    } else if (!mig_json_valid(bytes) && (c->kind == MOCK_INVOKE || bytes.len)) {
        answer = mock_fault_(m, MIG_E_ARG, "finish: the result of call %.*s is not JSON",
                             (int)c->message_id.len, c->message_id.ptr);
    }
    if (answer == MIG_OK)
        mock_answer_call_(m, c, MIG_OK, bytes, none);
    else
        mock_answer_call_(m, c, MIG_INTERNAL, none, mig_s("the provider sent no JSON"));
    mock_end_(m, c);
    return answer;
}

static inline mig_status mock_h_finish_(const mig_host *h, mig_call call, const mig_payload *p)
{
    mock_host *m = mock_enter_(h);
    mig_status answer = mock_do_finish_(m, call, p);

    mock_taken_(m, p);
    return mock_leave_(m, answer);
}

static inline mig_status mock_do_error_(mock_host *m, mig_call h, const mig_error *given)
{
    mig_error e;
    mig_str none = {NULL, 0};
    mock_call *c = mock_claim_(m, h, "finish_error");
    mig_status answer;

    if (!c)
        return MIG_E_GONE;
    answer = mock_take_(m, "mig_error", given, &e, sizeof e);
    if (answer == MIG_OK && (e.code < MIG_INVALID_REQUEST || e.code > MIG_INTERNAL))
        answer = mock_fault_(m, MIG_E_ARG, "finish_error: code %d is none that a caller may see",
                             (int)e.code);
    if (answer == MIG_OK && e.details.len &&
        (!mig_json_valid(e.details) ||
         mig_json_kind_of(mig_json_root(e.details)) != MIG_JSON_OBJECT))
        answer = mock_fault_(m, MIG_E_ARG, "finish_error: details are no JSON object");
    if (answer != MIG_OK) {
        mock_answer_call_(m, c, MIG_INTERNAL, none, mig_s("the provider broke the contract"));
    } else if (c->state == MOCK_OPEN) {
        c->details = mock_copy_(&m->mem, e.details);
        c->retry_after_ms = e.retry_after_ms;
        c->retry = e.retry;
        mock_answer_call_(m, c, e.code, none, e.message);
        if (c->kind == MOCK_EXCHANGE && !c->http_status)
            c->http_status = mig_status_row(e.code)->http;
    }
    mock_end_(m, c);
    return answer;
}

static inline mig_status mock_h_finish_error_(const mig_host *h, mig_call call, const mig_error *e)
{
    mock_host *m = mock_enter_(h);

    return mock_leave_(m, mock_do_error_(m, call, e));
}

static inline int32_t mock_h_is_cancelled_(const mig_host *h, mig_call call)
{
    mock_host *m = mock_enter_(h);
    const mock_call *c = mock_find_(m, call);

    m->stale += !c || c->state == MOCK_ENDED;
    return mock_leave_(m, !c || c->state != MOCK_OPEN);
}

/* ---- streams out ------------------------------------------------------------------------------
 */

static inline void mock_run_writable_(mock_host *m, mock_job *j)
{
    mock_call *c = j->call;
    void (*told)(void *, void *, mig_call) = c->cap     ? c->cap->def.on_writable
                                             : c->route ? c->route->def.on_writable
                                                        : NULL;
    if (c->state == MOCK_ENDED || !told)
        return;
    mock_out_(m);
    told(m->self, c->data, mock_handle_(c));
    mock_in_(m);
}

/* The caller reads up to n frames. */
static inline void mock_do_read_(mock_host *m, mock_call *c, size_t n)
{
    for (; n && c->unread_frames; n--, c->unread_frames--)
        c->unread_bytes -= ((mig_str *)c->frames.items[c->frames.count - c->unread_frames])->len;
    if (!c->wants_writable || c->unread_frames >= MOCK_CREDIT_FRAMES)
        return;
    c->wants_writable = 0;
    mock_post_(m, c, 0, mock_run_writable_);
}

static inline void mock_run_reader_(mock_host *m, mock_job *j)
{
    mock_call *c = (mock_call *)j->tag;

    if (!m->caller.reads_slowly)
        mock_do_read_(m, c, SIZE_MAX);
}

static inline int mock_has_room_(const mock_call *c, size_t n)
{
    return c->unread_frames < MOCK_CREDIT_FRAMES &&
           (!c->unread_bytes || c->unread_bytes + n <= MOCK_CREDIT_BYTES);
}

/* send() without the release, which follows only when the frame was not refused with AGAIN. */
static inline mig_status mock_do_send_(mock_host *m, mig_call h, mig_str bytes)
{
    mock_call *c = mock_claim_(m, h, "send");
    mig_str *frame;

    if (!c || c->state != MOCK_OPEN)
        return MIG_E_GONE;
    if (c->kind == MOCK_EXCHANGE ? !c->http_status
                                 : !(c->mode & (MIG_MODE_SERVER_STREAM | MIG_MODE_BIDI)))
        return mock_fault_(m, MIG_E_ARG, "send: call %.*s %s", (int)c->message_id.len,
                           c->message_id.ptr,
                           c->kind == MOCK_EXCHANGE ? "has no respond() yet" : "streams nothing");
    if (c->kind != MOCK_EXCHANGE && !mig_json_valid(bytes))
        return mock_fault_(m, MIG_E_ARG, "send: a frame of call %.*s is not JSON",
                           (int)c->message_id.len, c->message_id.ptr);
    if (!mock_has_room_(c, bytes.len)) {
        c->wants_writable = 1;
        mock_post_(m, NULL, 0, mock_run_reader_)->tag = c;
        return MIG_E_AGAIN;
    }
    if (c->kind == MOCK_EXCHANGE)
        mock_add_body_(m, c, bytes);
    frame = (mig_str *)mock_alloc_(&m->mem, sizeof *frame);
    *frame = mock_copy_(&m->mem, bytes);
    mock_push_(&c->frames, frame);
    c->unread_frames++;
    c->unread_bytes += bytes.len;
    return MIG_OK;
}

static inline mig_status mock_h_send_(const mig_host *h, mig_call call, const mig_payload *frame)
{
    mock_host *m = mock_enter_(h);
    mig_status answer = mock_do_send_(m, call, frame->bytes);

    if (answer != MIG_E_AGAIN)
        mock_taken_(m, frame);
    return mock_leave_(m, answer);
}

/* ---- the start of an invocation ---------------------------------------------------------------
 */

static inline void mock_run_invoke_(mock_host *m, mock_job *j)
{
    mock_call *c = j->call;

    c->cap->active++;
    if (c->state != MOCK_OPEN) { /* cancelled while it waited: the plugin never sees it */
        mock_end_(m, c);
        return;
    }
    mock_out_(m);
    c->cap->def.invoke(m->self, c->data, mock_handle_(c), &c->request);
    mock_in_(m);
}

static inline mock_cap *mock_cap_of_(const mock_host *m, mig_str id)
{
    for (size_t i = 0; m->catalogue && i < m->catalogue->caps.count; i++) {
        mock_cap *cap = (mock_cap *)m->catalogue->caps.items[i];
        if (mock_same_(mig_s(cap->def.id), id))
            return cap;
    }
    return NULL;
}

static inline void mock_fill_request_(mock_host *m, mock_call *c, mig_str capability,
                                      mig_str payload)
{
    mig_request *r = &c->request;
    const mock_caller *from = &m->caller;

    r->struct_size = (uint32_t)sizeof *r;
    r->mode = c->mode;
    r->hops = c->hops;
    r->deadline_ns = c->deadline_ns;
    r->capability = mock_copy_(&c->mem, capability);
    r->message_id = mock_copy_(&c->mem, c->message_id);
    r->tenant_id = mock_copy_(&c->mem, mig_s(from->tenant_id));
    r->subject = mock_copy_(&c->mem, mig_s(from->subject));
    r->session_id = mock_copy_(&c->mem, mig_s(from->session_id));
    r->idempotency_key = mock_copy_(&c->mem, mig_s(from->idempotency_key));
    r->traceparent =
        mock_copy_(&c->mem, mig_s("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    r->meta = mock_copy_(&c->mem, mig_s(from->meta ? from->meta : "{}"));
    r->payload = mock_copy_(&c->mem, payload);
}

/* Queue an invocation, or answer it at once with what a host would say. */
static inline mock_call *mock_begin_(mock_host *m, mig_str capability, mig_str payload,
                                     uint32_t mode, mock_call *parent)
{
    mock_cap *cap = mock_cap_of_(m, capability);
    mock_call *c = mock_new_call_(m, MOCK_INVOKE, cap ? cap->def.exec : 0);
    uint64_t timeout = m->caller.timeout_ms;
    mig_str none = {NULL, 0};

    c->mode = mode;
    c->parent = parent;
    c->hops = parent ? parent->hops + 1 : 0;
    if (!cap || !mig_json_valid(payload) || !(cap->def.modes & mode) || m->is_quiesced) {
        mock_answer_call_(m, c,
                          !cap             ? MIG_UNSUPPORTED_CAPABILITY
                          : m->is_quiesced ? MIG_UNAVAILABLE
                                           : MIG_INVALID_REQUEST,
                          none, mig_s("refused by the mock host"));
        c->state = MOCK_ENDED;
        return c;
    }
    if (!timeout)
        timeout = cap->def.timeout_ms ? cap->def.timeout_ms : 30000;
    mock_set_deadline_(m, c, timeout);
    if (parent && parent->deadline_ns < c->deadline_ns)
        c->deadline_ns = parent->deadline_ns; /* and the parent's end cancels it */
    c->cap = cap;
    c->data = cap->def.data;
    mock_fill_request_(m, c, capability, payload);
    mock_post_(m, c, 0, mock_run_invoke_)->is_start = 1;
    return c;
}

#ifdef __cplusplus
}
#endif
#endif
