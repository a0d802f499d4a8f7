/* streamer: capabilities of every streaming mode, once for handlers that block and once for handlers
 * that may not. */
#define _POSIX_C_SOURCE 200809L
#include "common.h"
#include <mig/ext/stream.h>
#include <mig/ext/task.h>
#include <pthread.h>
#include <stdatomic.h>

enum { CALLS_MAX = 64 };

struct queued {
    struct queued *next;
    size_t len;
    char text[];
};

/* One stream of a LOOP capability, found by its handle. */
struct flow {
    mig_call call;
    uint64_t left, sent, size, again, sum, count;
    struct queued *first, **last;
    int is_closed;
};

struct streamer {
    const mig_host *host;
    const mig_ext_stream *stream;
    const mig_ext_task *task;
    pthread_mutex_t lock; /* around the table only */
    struct flow *flows[CALLS_MAX];
    atomic_ulong running, cancelled;
};

static struct flow *flow_at(struct streamer *s, mig_call call, int takes)
{
    struct flow *f = NULL;

    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < CALLS_MAX && !f; i++)
        if (s->flows[i] && s->flows[i]->call.v == call.v) {
            f = s->flows[i];
            if (takes)
                s->flows[i] = NULL;
        }
    pthread_mutex_unlock(&s->lock);
    return f;
}

static struct flow *flow_new(struct streamer *s, mig_call call)
{
    struct flow *f = calloc(1, sizeof *f);
    int i = 0;

    f->call = call;
    f->last = &f->first;
    pthread_mutex_lock(&s->lock);
    while (i < CALLS_MAX && s->flows[i])
        i++;
    if (i < CALLS_MAX)
        s->flows[i] = f;
    pthread_mutex_unlock(&s->lock);
    return f;
}

static void flow_free(struct streamer *s, mig_call call)
{
    struct flow *f = flow_at(s, call, 1);

    for (struct queued *q = f ? f->first : NULL, *next; q; q = next) {
        next = q->next;
        free(q);
    }
    free(f);
}

/* {"n":N,"pad":"xxx"} */
static size_t frame_text(char *to, uint64_t n, uint64_t size)
{
    int head = sprintf(to, "{\"n\":%llu,\"pad\":\"", (unsigned long long)n);
    memset(to + head, 'x', size);
    memcpy(to + head + size, "\"}", 2);
    return (size_t)head + size + 2;
}

static void finish_sent(struct streamer *s, mig_call call, uint64_t sent, uint64_t again)
{
    char out[96];

    snprintf(out, sizeof out, "{\"sent\":%llu,\"again\":%llu}", (unsigned long long)sent,
             (unsigned long long)again);
    finish_text(s->host, call, out);
}

/* --- server stream ------------------------------------------------------------------------------ */

static void count_pool(void *self, void *data, mig_call call, const mig_request *req)
{
    struct streamer *s = self;
    uint64_t n = number(req->payload, "n", 3), size = number(req->payload, "size", 0);
    char *text = malloc(size + 64);
    (void)data;

    for (uint64_t i = 0; i < n; i++) {
        mig_payload p = {{text, frame_text(text, i, size)}, NULL, NULL};
        mig_status status = s->stream->send_wait(s->host, call, &p);
        if (status != MIG_OK) {
            atomic_fetch_add(&s->cancelled, 1);
            mig_finish_error(s->host, call, MIG_TIMEOUT, "gone");
            free(text);
            return;
        }
    }
    free(text);
    finish_sent(s, call, n, 0);
}

static void pump(struct streamer *s, struct flow *f)
{
    char *text = malloc(f->size + 64);

    while (f->left) {
        mig_payload p = {{text, frame_text(text, f->sent, f->size)}, NULL, NULL};
        mig_status status = s->host->send(s->host, f->call, &p);
        if (status == MIG_E_AGAIN) {
            f->again++;
            free(text);
            return; /* on_writable comes */
        }
        if (status != MIG_OK)
            break;
        f->left--;
        f->sent++;
    }
    free(text);
    if (f->left)
        return; /* the caller has gone: on_cancel ends it */
    mig_call call = f->call;
    uint64_t sent = f->sent, again = f->again;
    flow_free(s, call);
    finish_sent(s, call, sent, again);
}

static void count_loop(void *self, void *data, mig_call call, const mig_request *req)
{
    struct streamer *s = self;
    struct flow *f = flow_new(s, call);
    (void)data;

    f->left = number(req->payload, "n", 3);
    f->size = number(req->payload, "size", 0);
    pump(s, f);
}

static void count_writable(void *self, void *data, mig_call call)
{
    struct flow *f = flow_at(self, call, 0);
    (void)data;
    if (f)
        pump(self, f);
}

static void ended_by_cancel(void *self, void *data, mig_call call)
{
    struct streamer *s = self;
    (void)data;

    atomic_fetch_add(&s->cancelled, 1);
    flow_free(s, call);
    mig_finish_error(s->host, call, MIG_TIMEOUT, "cancelled");
}

/* A frame every 5 ms until nobody wants them. */
static void ticked(void *self, void *tag, const mig_outcome *out)
{
    struct streamer *s = self;
    mig_call call = {(uint64_t)(uintptr_t)tag};
    mig_payload p = {mig_s("{\"tick\":true}"), NULL, NULL};

    mig_status status = out->status == MIG_OK ? s->host->send(s->host, call, &p) : MIG_E_GONE;
    if (status == MIG_OK || status == MIG_E_AGAIN)
        status = s->task->after(s->host, call, 5, ticked, tag);
    if (status == MIG_OK)
        return;
    atomic_fetch_sub(&s->running, 1);
    atomic_fetch_add(&s->cancelled, 1);
    mig_finish_error(s->host, call, MIG_TIMEOUT, "cancelled");
}

static void forever(void *self, void *data, mig_call call, const mig_request *req)
{
    struct streamer *s = self;
    const mig_outcome now = {.struct_size = sizeof now};
    (void)data;
    (void)req;

    atomic_fetch_add(&s->running, 1);
    ticked(self, (void *)(uintptr_t)call.v, &now);
}

/* --- client stream ------------------------------------------------------------------------------ */

static void finish_sum(struct streamer *s, mig_call call, uint64_t sum, uint64_t count)
{
    char out[96];

    snprintf(out, sizeof out, "{\"sum\":%llu,\"count\":%llu}", (unsigned long long)sum,
             (unsigned long long)count);
    finish_text(s->host, call, out);
}

static void sum_pool(void *self, void *data, mig_call call, const mig_request *req)
{
    struct streamer *s = self;
    uint64_t sum = 0, count = 0, nap = number(req->payload, "nap_ms", 0);
    mig_status status;
    mig_str json;
    (void)data;

    while ((status = s->stream->recv_wait(s->host, call, &json)) == MIG_OK) {
        sum += number(json, "v", 0);
        count++;
        nap_ms(nap);
    }
    if (status == MIG_NOT_FOUND) {
        finish_sum(s, call, sum, count);
        return;
    }
    atomic_fetch_add(&s->cancelled, 1);
    mig_finish_error(s->host, call, MIG_TIMEOUT, "cancelled");
}

static void sum_loop(void *self, void *data, mig_call call, const mig_request *req)
{
    (void)data;
    (void)req;
    flow_new(self, call);
}

static void sum_message(void *self, void *data, mig_call call, mig_str json)
{
    struct flow *f = flow_at(self, call, 0);
    (void)data;

    if (f) {
        f->sum += number(json, "v", 0);
        f->count++;
    }
}

static void sum_closed(void *self, void *data, mig_call call)
{
    struct streamer *s = self;
    struct flow *f = flow_at(s, call, 0);
    uint64_t sum = f ? f->sum : 0, count = f ? f->count : 0;
    (void)data;

    flow_free(s, call);
    finish_sum(s, call, sum, count);
}

/* --- both ways ---------------------------------------------------------------------------------- */

static size_t got_text(char *to, mig_str json)
{
    memcpy(to, "{\"got\":", 7);
    memcpy(to + 7, json.ptr, json.len);
    to[7 + json.len] = '}';
    return json.len + 8;
}

static void bidi_pool(void *self, void *data, mig_call call, const mig_request *req)
{
    struct streamer *s = self;
    uint64_t count = 0;
    mig_status status;
    mig_str json;
    (void)data;
    (void)req;

    while ((status = s->stream->recv_wait(s->host, call, &json)) == MIG_OK) {
        char *text = malloc(json.len + 16);
        mig_payload p = {{text, got_text(text, json)}, NULL, NULL};
        status = s->stream->send_wait(s->host, call, &p);
        free(text);
        if (status != MIG_OK)
            break;
        count++;
    }
    if (status == MIG_NOT_FOUND)
        finish_sum(s, call, 0, count);
    else
        mig_finish_error(s->host, call, MIG_TIMEOUT, "cancelled");
}

/* Sends what waits, then lets the caller send as many more. */
static void flush(struct streamer *s, struct flow *f)
{
    while (f->first) {
        struct queued *q = f->first;
        mig_payload p = {{q->text, q->len}, NULL, NULL};
        mig_status status = s->host->send(s->host, f->call, &p);
        if (status != MIG_OK) {
            f->again += status == MIG_E_AGAIN;
            return;
        }
        f->count++;
        s->stream->grant(s->host, f->call, 1);
        if (!(f->first = q->next))
            f->last = &f->first;
        free(q);
    }
    if (!f->is_closed)
        return;
    mig_call call = f->call;
    uint64_t count = f->count;
    flow_free(s, call);
    finish_sum(s, call, 0, count);
}

static void bidi_message(void *self, void *data, mig_call call, mig_str json)
{
    struct flow *f = flow_at(self, call, 0);
    struct queued *q = malloc(sizeof *q + json.len + 16);
    (void)data;

    if (!f) {
        free(q);
        return;
    }
    q->next = NULL;
    q->len = got_text(q->text, json);
    *f->last = q;
    f->last = &q->next;
    flush(self, f);
}

static void bidi_writable(void *self, void *data, mig_call call)
{
    struct flow *f = flow_at(self, call, 0);
    (void)data;
    if (f)
        flush(self, f);
}

static void bidi_closed(void *self, void *data, mig_call call)
{
    struct flow *f = flow_at(self, call, 0);
    (void)data;

    if (f) {
        f->is_closed = 1;
        flush(self, f);
    }
}

/* ------------------------------------------------------------------------------------------------ */

static void status(void *self, void *data, mig_call call, const mig_request *req)
{
    struct streamer *s = self;
    char out[96];
    (void)data;
    (void)req;

    snprintf(out, sizeof out, "{\"running\":%lu,\"cancelled\":%lu}", atomic_load(&s->running),
             atomic_load(&s->cancelled));
    finish_text(s->host, call, out);
}

static mig_status create(const mig_host *host, mig_str config, void **ret_self)
{
    struct streamer *s = calloc(1, sizeof *s);
    (void)config;

    s->host = host;
    s->stream = host->get_extension(host, MIG_EXT_STREAM);
    s->task = host->get_extension(host, MIG_EXT_TASK);
    pthread_mutex_init(&s->lock, NULL);
    *ret_self = s;
    return s->stream && s->task ? MIG_OK : MIG_E_NOSYS;
}

static mig_status describe(void *self, const mig_registrar *reg)
{
    static const mig_capability list[] = {
        {.id = "test.stream.count_pool", .modes = MIG_MODE_SERVER_STREAM, .invoke = count_pool},
        {.id = "test.stream.count_loop",
         .modes = MIG_MODE_SERVER_STREAM,
         .exec = MIG_EXEC_LOOP,
         .invoke = count_loop,
         .on_writable = count_writable,
         .on_cancel = ended_by_cancel},
        {.id = "test.stream.forever",
         .modes = MIG_MODE_SERVER_STREAM,
         .exec = MIG_EXEC_LOOP,
         .invoke = forever},
        {.id = "test.stream.sum_pool", .modes = MIG_MODE_CLIENT_STREAM, .invoke = sum_pool},
        {.id = "test.stream.sum_loop",
         .modes = MIG_MODE_CLIENT_STREAM,
         .exec = MIG_EXEC_LOOP,
         .invoke = sum_loop,
         .on_message = sum_message,
         .on_half_close = sum_closed,
         .on_cancel = ended_by_cancel},
        {.id = "test.stream.bidi_pool", .modes = MIG_MODE_BIDI, .invoke = bidi_pool},
        {.id = "test.stream.bidi_loop",
         .modes = MIG_MODE_BIDI,
         .exec = MIG_EXEC_LOOP,
         .flags = MIG_CAP_MANUAL_GRANT,
         .invoke = sum_loop,
         .on_message = bidi_message,
         .on_writable = bidi_writable,
         .on_half_close = bidi_closed,
         .on_cancel = ended_by_cancel},
        {.id = "test.stream.status",
         .modes = MIG_MODE_UNARY,
         .exec = MIG_EXEC_LOOP,
         .invoke = status},
    };
    (void)self;

    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        mig_capability c = list[i];
        c.struct_size = sizeof c;
        c.version = "1.0.0";
        c.summary = "A stream.";
        mig_status status = reg->capability(reg, &c);
        if (status != MIG_OK)
            return status;
    }
    return MIG_OK;
}

static void destroy(void *self)
{
    struct streamer *s = self;

    pthread_mutex_destroy(&s->lock);
    free(s);
}

static const mig_plugin streamer = {
    sizeof streamer,
    0,
    "org.test.streamer",
    "1.0.0",
    "Streams.",
    NULL,
    create,
    describe,
    NULL,
    NULL,
    destroy,
    NULL,
};
MIG_PLUGIN_ENTRY(streamer, &streamer);
