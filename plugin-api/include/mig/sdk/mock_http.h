/* mig/sdk/mock_http.h: exchanges and submissions of the mock host. Part of mock.h. */
#ifndef MIG_SDK_MOCK_HTTP_H
#define MIG_SDK_MOCK_HTTP_H
#include "mig/sdk/mock_ext.h"
#ifdef __cplusplus
extern "C" {
#endif

/* ---- mig.http/1 -------------------------------------------------------------------------------
 */

static inline int mock_is_own_header_(mig_str name)
{
    static const char *const own[] = {"connection", "content-length", "transfer-encoding", "date"};

    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (mock_same_name_(name, mig_s(own[i])))
            return 1;
    return 0;
}

static inline int mock_is_header_(const mig_header *x)
{
    for (size_t i = 0; i < x->name.len; i++)
        if (x->name.ptr[i] <= ' ' || x->name.ptr[i] == ':')
            return 0;
    for (size_t i = 0; i < x->value.len; i++)
        if (x->value.ptr[i] == '\r' || x->value.ptr[i] == '\n' || !x->value.ptr[i])
            return 0;
    return x->name.len > 0 && !mock_is_own_header_(x->name);
}

static inline mig_status mock_h_respond_(const mig_host *h, mig_call ex, uint32_t status,
                                         const mig_header *headers, uint32_t count)
{
    mock_host *m = mock_enter_(h);
    mock_call *c = mock_claim_(m, ex, "respond");

    if (!c || c->state != MOCK_OPEN)
        return mock_leave_(m, MIG_E_GONE);
    if (c->kind != MOCK_EXCHANGE || c->http_status || status < 200 || status > 599)
        return mock_leave_(
            m, mock_fault_(m, MIG_E_ARG, "respond: twice, no exchange, or status %u", status));
    for (uint32_t i = 0; i < count; i++)
        if (!mock_is_header_(&headers[i]))
            return mock_leave_(m, mock_fault_(m, MIG_E_ARG, "respond: header \"%.*s\" is refused",
                                              (int)headers[i].name.len, headers[i].name.ptr));
    c->http_status = status;
    for (uint32_t i = 0; i < count; i++) {
        mig_header *x = (mig_header *)mock_alloc_(&m->mem, sizeof *x);
        x->name = mock_copy_(&m->mem, headers[i].name);
        x->value = mock_copy_(&m->mem, headers[i].value);
        mock_push_(&c->headers, x);
    }
    return mock_leave_(m, MIG_OK);
}

/* A record of an event stream becomes a frame of the exchange: name, id and data as the client sees
 * them (data on one line). */
static inline mig_status mock_h_event_(const mig_host *h, mig_call ex, const mig_http_event *e)
{
    mock_host *m = mock_enter_(h);
    const mig_str parts[] = {mig_s("id: "), e->id,           mig_s("\n"), mig_s("event: "), e->name,
                             mig_s("\n"),   mig_s("data: "), e->data,     mig_s("\n\n")};
    size_t from = e->id.len ? 0 : e->name.len ? 3 : 6, len = 0;
    char *text = NULL;

    for (size_t i = from; i < sizeof parts / sizeof parts[0]; i++)
        len += i >= 3 && i < 6 && !e->name.len ? 0 : parts[i].len;
    text = (char *)mock_alloc_(&m->mem, len + 1);
    len = 0;
    for (size_t i = from; i < sizeof parts / sizeof parts[0]; i++)
        if (parts[i].len && !(i >= 3 && i < 6 && !e->name.len)) {
            memcpy(text + len, parts[i].ptr, parts[i].len);
            len += parts[i].len;
        }
    mig_str record = {text, len};
    return mock_leave_(m, mock_do_send_(m, ex, record));
}

/* The mock's clients ask for no WebSocket. */
static inline mig_status mock_h_upgrade_(const mig_host *h, mig_call ex, const mig_websocket *ws)
{
    mock_host *m = mock_enter_(h);
    mock_call *c = mock_claim_(m, ex, "upgrade");

    if (!c || c->state != MOCK_OPEN)
        return mock_leave_(m, MIG_E_GONE);
    if (c->kind != MOCK_EXCHANGE || c->http_status || !ws->on_message || !ws->on_cancel)
        return mock_leave_(m, mock_fault_(m, MIG_E_ARG,
                                          "upgrade: no exchange, or answered, or a "
                                          "callback is missing"));
    c->http_status = 400;
    return mock_leave_(m, MIG_INVALID_REQUEST);
}

/* Not before the callback has returned: a job of the call waits for its turn. */
static inline void mock_run_forget_(mock_host *m, mock_job *j)
{
    (void)m;
    mock_free_mem_(&j->call->mem); /* use of the request from now on is the plugin's fault */
    memset(&j->call->http, 0, sizeof j->call->http);
}

static inline mig_status mock_h_release_request_(const mig_host *h, mig_call ex)
{
    mock_host *m = mock_enter_(h);
    mock_call *c = mock_claim_(m, ex, "release_request");

    if (!c || c->state != MOCK_OPEN)
        return mock_leave_(m, MIG_E_GONE);
    if (c->kind != MOCK_EXCHANGE)
        return mock_leave_(m, mock_fault_(m, MIG_E_ARG, "release_request: no exchange"));
    mock_post_(m, c, 0, mock_run_forget_);
    return mock_leave_(m, MIG_OK);
}

/* Cuts the first segment of a path; *rest becomes what follows it. */
static inline mig_str mock_segment_(mig_str *rest)
{
    mig_str s = {rest->ptr, 0};

    while (s.len < rest->len && rest->ptr[s.len] != '/')
        s.len++;
    rest->ptr += s.len;
    rest->len -= s.len;
    if (rest->len) {
        rest->ptr++;
        rest->len--;
    }
    return s;
}

/* Does the path fit? Values of {name} go to params (16 at most). */
static inline int mock_route_fits_(const char *pattern, mig_str path, mig_str *params)
{
    mig_str p = mig_s(pattern);
    size_t n = 0;

    while (p.len && path.len) {
        mig_str want = mock_segment_(&p), have = mock_segment_(&path);
        if (want.len && want.ptr[0] == '{') {
            if (!have.len || n == 16)
                return 0;
            params[n++] = have;
        } else if (!mock_same_(want, have)) {
            return 0;
        }
    }
    return !p.len && !path.len;
}

static inline void mock_run_exchange_(mock_host *m, mock_job *j)
{
    mock_call *c = j->call;

    mock_out_(m);
    c->route->def.on_request(m->self, c->data, mock_handle_(c), &c->http);
    mock_in_(m);
}

static inline mock_call *mock_begin_exchange_(mock_host *m, mock_route *route, mig_str method,
                                              mig_str path, mig_str query, mig_str body)
{
    mock_call *c = mock_new_call_(m, MOCK_EXCHANGE, route->def.exec);
    mig_str *params = (mig_str *)mock_alloc_(&c->mem, 16 * sizeof *params);
    mig_http_request *r = &c->http;

    c->route = route;
    c->data = route->def.data;
    mock_set_deadline_(m, c, m->caller.timeout_ms ? m->caller.timeout_ms : 30000);
    r->struct_size = (uint32_t)sizeof *r;
    r->method = mock_copy_(&c->mem, method);
    r->path = mock_copy_(&c->mem, path);
    r->query = mock_copy_(&c->mem, query);
    r->authority = mig_s("mock.test");
    r->subject = mock_copy_(&c->mem, mig_s(m->caller.subject));
    r->tenant_id = mock_copy_(&c->mem, mig_s(m->caller.tenant_id));
    r->remote = mig_s("127.0.0.1:50000");
    r->body = mock_copy_(&c->mem, body);
    mock_route_fits_(route->def.pattern, r->path, params);
    r->params = params;
    mock_post_(m, c, 0, mock_run_exchange_);
    return c;
}

/* ---- mig.binding/1 ----------------------------------------------------------------------------
 */

static inline int mock_grow_text_(mig_json_writer *w, size_t need)
{
    mock_host *m = (mock_host *)w->owner;
    size_t cap = need < 256 ? 256 : need * 2;
    char *p = (char *)mock_alloc_(&m->mem, cap);

    if (w->len)
        memcpy(p, w->ptr, w->len);
    w->ptr = p;
    w->cap = cap;
    return 1;
}

static inline mig_json_writer mock_text_(mock_host *m)
{
    mig_json_writer w = {NULL, 0, 0, mock_grow_text_, m, 0};
    return w;
}

/* The whole MIG answer of a submission, as a host writes it. */
static inline mig_str mock_envelope_(mock_host *m, const mock_call *op)
{
    mig_json_writer w = mock_text_(m);

    if (op->submit.operation != MIG_OP_INVOKE && op->status == MIG_OK)
        return op->result;
    mig_json_open(&w, '{');
    mig_json_key(&w, "header");
    mig_json_open(&w, '{');
    mig_json_key(&w, "mig_version");
    mig_json_put_string(&w, mig_s("0.1"));
    mig_json_key(&w, "message_id");
    mig_json_put_string(&w, op->message_id);
    mig_json_close(&w, '}');
    if (op->status == MIG_OK) {
        mig_json_key(&w, "capability");
        mig_json_put_string(&w, op->submit.target);
        mig_json_key(&w, "payload");
        mig_json_put_raw(&w, op->result);
    } else {
        mig_json_key(&w, "error");
        mig_json_open(&w, '{');
        mig_json_key(&w, "code");
        mig_json_put_string(&w, mig_s(mig_status_row(op->status)->name));
        mig_json_key(&w, "message");
        mig_json_put_string(&w, op->message);
        mig_json_key(&w, "retryable");
        mig_json_put_bool(&w, (int)mig_status_row(op->status)->retryable);
        mig_json_key(&w, "details");
        mig_json_put_raw(&w, mig_s("{}"));
        mig_json_close(&w, '}');
    }
    mig_json_close(&w, '}');
    return mig_json_written(&w);
}

static inline void mock_run_submit_done_(mock_host *m, mock_job *j)
{
    mock_call *op = (mock_call *)j->tag;
    mig_outcome o;

    memset(&o, 0, sizeof o);
    o.struct_size = (uint32_t)sizeof o;
    o.status = op->status;
    o.json = op->result;
    o.message = op->message;
    o.message_id = op->message_id;
    o.envelope = j->text = mock_lend_(mock_envelope_(m, op));
    mock_out_(m);
    op->submit.on_done(m->self, op->submit.tag, mock_handle_(op->parent), &o);
    mock_in_(m);
}

/* Answered: on_done follows when the last frame is taken. */
static inline void mock_submit_done_(mock_host *m, mock_call *op)
{
    mock_job *j;

    if (op->state != MOCK_OPEN && op->status != MIG_OK)
        op->unread_frames = 0;
    if (op->state == MOCK_OPEN || op->unread_frames || op->is_half_close_told)
        return;
    op->is_half_close_told = 1; /* once */
    j = mock_post_(m, op->parent, 0, mock_run_submit_done_);
    j->tag = op;
    j->is_operation = 1;
}

static inline void mock_run_open_(mock_host *m, mock_job *j)
{
    mock_call *op = (mock_call *)j->tag;

    mock_out_(m);
    op->submit.on_open(m->self, op->submit.tag, mock_handle_(op->parent), mock_handle_(op));
    mock_in_(m);
}

static inline void mock_run_frames_(mock_host *m, mock_job *j)
{
    mock_call *op = (mock_call *)j->tag;

    while (op->unread_frames && !op->wants_writable) {
        mig_str text =
            mock_lend_(*(mig_str *)op->frames.items[op->frames.count - op->unread_frames]);
        mig_status answer;

        mock_out_(m);
        answer = op->submit.on_frame(m->self, op->submit.tag, mock_handle_(op->parent), text);
        mock_in_(m);
        free((void *)(uintptr_t)text.ptr);
        if (answer == MIG_E_AGAIN) {
            op->wants_writable = 1;
            return;
        }
        op->unread_frames--;
        if (answer == MIG_E_GONE) {
            op->unread_frames = 0;
            mock_abort_(m, op, "the client left");
        }
    }
    mock_submit_done_(m, op);
}

static inline mock_call *mock_op_(mock_host *m, mig_call h, const char *what)
{
    mock_call *op = mock_find_(m, h);

    if (!op)
        op = mock_claim_(m, h, what); /* never was: the plugin's fault */
    /* One that has ended is none: a binding learns of it later. */
    return op && op->kind == MOCK_SUBMIT && op->state == MOCK_OPEN ? op : NULL;
}

static inline mig_status mock_h_submit_(const mig_host *h, mig_call ex, const mig_submit *given)
{
    static const char *const names[] = {"invoke",  "hello",     "discover", "cancel", "heartbeat",
                                        "publish", "subscribe", "refuse",   "schema"};
    mock_host *m = mock_enter_(h);
    mock_call *c = mock_claim_(m, ex, "submit"), *op;
    const mock_stub *stub;
    mig_str payload;
    mig_submit s;
    mig_status answer =
        c && c->state == MOCK_OPEN ? mock_take_(m, "mig_submit", given, &s, sizeof s) : MIG_E_GONE;

    if (answer != MIG_OK)
        return mock_leave_(m, answer);
    if (s.operation > MIG_OP_SCHEMA || !s.on_done)
        return mock_leave_(m, mock_fault_(m, MIG_E_ARG, "submit: operation or on_done is wrong"));
    stub = mock_stub_of_(m, s.operation == MIG_OP_INVOKE ? s.target : mig_s(names[s.operation]));
    op = stub ? mock_begin_stub_(m, stub, MOCK_SUBMIT)
              : mock_new_call_(m, MOCK_SUBMIT, MIG_EXEC_POOL);
    op->submit = s;
    op->parent = c;
    op->mode = MIG_MODE_BIDI;
    if (s.message_id.len)
        op->message_id = mock_copy_(&m->mem, s.message_id);
    op->submit.target = mock_copy_(&m->mem, s.target);
    op->tag = s.tag;
    m->operations++;
    if (s.on_open)
        mock_post_(m, c, 0, mock_run_open_)->tag = op;
    if (s.envelope.len && !mig_json_valid(s.envelope)) { /* the client's fault, not the plugin's */
        mock_answer_call_(m, op, MIG_INVALID_REQUEST, mig_s(""),
                          mig_s("the body is not acceptable JSON"));
    } else if (!stub &&
               s.operation != MIG_OP_SUBSCRIBE) { /* that one goes on until it is cancelled */
        payload = mig_json_member(s.envelope, "payload");
        c = mock_begin_(m, s.target, payload.len ? payload : mig_s("{}"), MIG_MODE_UNARY, op);
        if (c->state == MOCK_ENDED)
            mock_answer_call_(m, op, c->status, c->result, c->message);
    }
    return mock_leave_(m, MIG_OK);
}

static inline mig_status mock_h_message_(const mig_host *h, mig_call call, mig_str json)
{
    mock_host *m = mock_enter_(h);
    mock_call *op = mock_op_(m, call, "message");
    mig_str *text;

    if (!op)
        return mock_leave_(m, MIG_E_GONE);
    if (!op->inbound)
        return mock_leave_(m, MIG_E_AGAIN);
    op->inbound--;
    text = (mig_str *)mock_alloc_(&m->mem, sizeof *text);
    *text = mock_copy_(&m->mem, json);
    mock_push_(&op->inbox, text);
    return mock_leave_(m, MIG_OK);
}

static inline mig_status mock_h_op_half_close_(const mig_host *h, mig_call call)
{
    mock_host *m = mock_enter_(h);
    mock_call *op = mock_op_(m, call, "half_close");

    if (op)
        op->is_half_closed = 1;
    return mock_leave_(m, op ? MIG_OK : MIG_E_GONE);
}

static inline mig_status mock_h_resume_(const mig_host *h, mig_call call)
{
    mock_host *m = mock_enter_(h);
    mock_call *op = mock_find_(m, call);

    if (!op || op->kind != MOCK_SUBMIT)
        return mock_leave_(m, MIG_E_GONE);
    op->wants_writable = 0;
    mock_post_(m, op->parent, 0, mock_run_frames_)->tag = op;
    return mock_leave_(m, MIG_OK);
}

#ifdef __cplusplus
}
#endif
#endif
