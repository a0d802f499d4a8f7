/* stream_binding: streaming calls over HTTP, for tests. POST /test/stream/{capability}: the first line
 * of the body is the envelope, each further line a message of the client; frames leave as lines, the
 * envelope of the answer is the last. ?open: the client's side stays open. */
#define _POSIX_C_SOURCE 200809L
#include "common.h"
#include <mig/ext/binding.h>
#include <mig/ext/http.h>
#include <mig/ext/task.h>
#include <mig/sdk/status.h>
#include <stdatomic.h>

struct binding {
    const mig_host *host;
    const mig_ext_http *http;
    const mig_ext_binding *mig;
    const mig_ext_task *task;
};

/* One exchange. On its strand, except that on_done frees it. */
struct visit {
    struct binding *b;
    mig_call ex, op;
    mig_str rest; /* lines not yet taken by the provider */
    int has_head, is_open, is_over, is_waiting, refs;
};

/* on_writable has only the exchange to go by. */
enum { VISITS = 64 };
static struct visit *_Atomic visits[VISITS];

static void visit_drop(struct visit *v)
{
    if (--v->refs > 0)
        return;
    for (int i = 0; i < VISITS; i++) {
        struct visit *expected = v;
        if (atomic_compare_exchange_strong(&visits[i], &expected, NULL))
            break;
    }
    free(v);
}

static mig_str take_line(mig_str *rest)
{
    const char *end = rest->len ? memchr(rest->ptr, '\n', rest->len) : NULL;
    mig_str line = {rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len};
    size_t skip = end ? line.len + 1 : line.len;

    rest->ptr += skip;
    rest->len -= skip;
    return line;
}

static void feed(struct visit *v);

static void feed_again(void *self, void *tag, const mig_outcome *out)
{
    struct visit *v = tag;
    (void)self;

    v->is_waiting = 0;
    if (out->status == MIG_OK && !v->is_over)
        feed(v);
    visit_drop(v);
}

/* Messages to the provider until it has enough; then a look every 2 ms whether it granted more. */
static void feed(struct visit *v)
{
    struct binding *b = v->b;

    while (v->rest.len) {
        mig_str before = v->rest, line = take_line(&v->rest);
        mig_status status = line.len ? b->mig->message(b->host, v->op, line) : MIG_OK;
        if (status == MIG_E_AGAIN) {
            v->rest = before;
            v->refs++;
            v->is_waiting = 1;
            if (b->task->after(b->host, v->ex, 2, feed_again, v) != MIG_OK)
                visit_drop(v);
            return;
        }
        if (status != MIG_OK)
            return;
    }
    if (!v->is_open)
        b->mig->half_close(b->host, v->op);
}

static void on_open(void *self, void *tag, mig_call ex, mig_call op)
{
    struct visit *v = tag;
    (void)self;
    (void)ex;

    v->op = op;
    if (!v->is_over)
        feed(v);
}

static mig_status send_line(struct visit *v, mig_str json)
{
    const mig_host *h = v->b->host;
    char *line = malloc(json.len + 1);

    memcpy(line, json.ptr, json.len);
    line[json.len] = '\n';
    mig_payload p = {{line, json.len + 1}, NULL, NULL};
    mig_status status = h->send(h, v->ex, &p);
    free(line);
    return status;
}

static mig_status on_frame(void *self, void *tag, mig_call ex, mig_str json)
{
    struct visit *v = tag;
    struct binding *b = self;
    mig_header type = {mig_s("Content-Type"), mig_s("application/x-ndjson")};

    if (!v->has_head && b->http->respond(b->host, ex, 200, &type, 1) != MIG_OK)
        return MIG_E_GONE;
    v->has_head = 1;
    return send_line(v, json);
}

static void on_done(void *self, void *tag, mig_call ex, const mig_outcome *out)
{
    struct visit *v = tag;
    struct binding *b = self;
    mig_header h[2] = {{mig_s("Content-Type"), mig_s("application/json")},
                       {mig_s("MIG-Message-ID"), out->message_id}};

    v->is_over = 1;
    if (!v->has_head)
        b->http->respond(b->host, ex, mig_status_row(out->status)->http, h, 2);
    mig_finish_json(b->host, ex, out->envelope.ptr, out->envelope.len);
    visit_drop(v);
}

static void on_writable(void *self, void *data, mig_call ex)
{
    struct binding *b = self;
    (void)data;

    for (int i = 0; i < VISITS; i++) {
        struct visit *v = atomic_load(&visits[i]);
        if (v && v->ex.v == ex.v && !v->is_over)
            b->mig->resume(b->host, v->op);
    }
}

static void on_request(void *self, void *data, mig_call ex, const mig_http_request *rq)
{
    struct binding *b = self;
    struct visit *v = calloc(1, sizeof *v);
    mig_submit s = {0};
    int i = 0;
    (void)data;

    *v = (struct visit){.b = b, .ex = ex, .rest = rq->body, .refs = 1};
    v->is_open = rq->query.len == 4 && !memcmp(rq->query.ptr, "open", 4);
    for (struct visit *none = NULL; i < VISITS; i++, none = NULL)
        if (atomic_compare_exchange_strong(&visits[i], &none, v))
            break;
    s.struct_size = sizeof s;
    s.operation = MIG_OP_INVOKE;
    s.binding = mig_s("test");
    s.envelope = take_line(&v->rest);
    s.target = rq->params[0];
    s.tag = v;
    s.on_open = on_open;
    s.on_frame = on_frame;
    s.on_done = on_done;
    mig_status status = i < VISITS ? b->mig->submit(b->host, ex, &s) : MIG_E_NOMEM;
    if (status != MIG_OK) {
        visit_drop(v);
        mig_finish_error(b->host, ex, MIG_UNAVAILABLE, "cannot submit");
    }
}

static mig_status create(const mig_host *host, mig_str config, void **ret_self)
{
    struct binding *b = calloc(1, sizeof *b);
    (void)config;

    b->host = host;
    b->http = host->get_extension(host, MIG_EXT_HTTP);
    b->mig = host->get_extension(host, MIG_EXT_BINDING);
    b->task = host->get_extension(host, MIG_EXT_TASK);
    *ret_self = b;
    return b->http && b->mig && b->task ? MIG_OK : MIG_E_NOSYS;
}

static mig_status describe(void *self, const mig_registrar *reg)
{
    mig_http_route r = {0};
    (void)self;

    r.struct_size = sizeof r;
    r.exec = MIG_EXEC_LOOP;
    r.method = "POST";
    r.pattern = "/test/stream/{capability}";
    r.on_request = on_request;
    r.on_writable = on_writable;
    return reg->extend(reg, MIG_EXT_HTTP_ROUTE, &r);
}

static const mig_plugin stream_binding = {
    sizeof stream_binding,
    0,
    "org.test.stream-binding",
    "1.0.0",
    "Streams over HTTP, for tests.",
    NULL,
    create,
    describe,
    NULL,
    NULL,
    free,
    NULL,
};
MIG_PLUGIN_ENTRY(stream_binding, &stream_binding);
