/* Event streams: frames of a streaming INVOKE, events of a SUBSCRIBE (mig-core.md 11.2 and 11.3). */
#include "http_binding.h"
#include <mig/sdk/json.h>
#include <mig/sdk/json_write.h>
#include <mig/sdk/query.h>
#include <mig/sdk/status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RETRY_MS = 3000 };

static void begin(struct binding *b, mig_call ex)
{
    const mig_header h[] = {hb_header("Content-Type", mig_s("text/event-stream")),
                            hb_header("Cache-Control", mig_s("no-cache")),
                            hb_header("X-Accel-Buffering", mig_s("no"))};
    const mig_payload nothing = {{NULL, 0}, NULL, NULL};

    b->http->respond(b->host, ex, 200, h, sizeof h / sizeof h[0]);
    b->host->send(b->host, ex, &nothing); /* the head leaves at once */
}

static mig_status send_event(struct binding *b, mig_call ex, const char *name, mig_str id,
                             mig_str data)
{
    mig_http_event e = {0};

    e.struct_size = sizeof e;
    e.name = mig_s(name);
    e.id = id;
    e.data = data;
    return b->http->event(b->host, ex, &e);
}

/* The last record goes with the end, so that it waits behind the others. */
static void end_with(struct binding *b, mig_call ex, const char *name, mig_str line)
{
    size_t cap = strlen(name) + line.len + sizeof "event: \ndata: \n\n";
    char *text = malloc(cap);
    mig_payload p = {{text, 0}, free, text};

    if (!text) {
        mig_finish_error(b->host, ex, MIG_INTERNAL, "out of memory"); /* cuts the connection */
        return;
    }
    int n = snprintf(text, cap, "event: %s\ndata: %.*s\n\n", name, (int)line.len, line.ptr);
    p.bytes.len = (size_t)n;
    b->host->finish(b->host, ex, &p); /* frees it */
    /* cppcheck-suppress memleak */
}

/* --- INVOKE ------------------------------------------------------------------------------------- */

static void on_open(void *self, void *tag, mig_call ex, mig_call op)
{
    struct binding *b = self;

    if (tag)
        begin(b, ex);
    b->mig->half_close(b->host, op); /* the request was all that the caller has to say */
}

static mig_status on_frame(void *self, void *tag, mig_call ex, mig_str json)
{
    (void)tag;
    return send_event(self, ex, "mig-frame", mig_s(""), json);
}

static void on_done(void *self, void *tag, mig_call ex, const mig_outcome *out)
{
    struct binding *b = self;

    if (out->flags & MIG_OUTCOME_FRAME) {
        if (tag && !(out->flags & MIG_OUTCOME_OPEN))
            begin(b, ex); /* a result that was there already */
        end_with(b, ex, "mig-frame", out->envelope);
    } else {
        hb_answer(b, ex, out);
    }
}

void hb_answer_with(mig_submit *s, int as_events)
{
    static char streams; /* as a tag: on_open() begins an event stream */

    s->on_open = on_open;
    s->on_done = on_done;
    if (!as_events)
        return;
    s->flags = MIG_SUBMIT_FRAMES;
    s->on_frame = on_frame;
    s->tag = &streams;
}

/* --- SUBSCRIBE ---------------------------------------------------------------------------------- */

static void on_subscribed(void *self, void *tag, mig_call ex, mig_call op)
{
    struct binding *b = self;
    mig_http_event retry = {0};

    (void)tag;
    (void)op;
    begin(b, ex);
    retry.struct_size = sizeof retry;
    retry.retry_ms = RETRY_MS;
    b->http->event(b->host, ex, &retry);
    if (MIG_HAS(b->http, release_request))
        b->http->release_request(b->host, ex);
}

static mig_status on_event(void *self, void *tag, mig_call ex, const mig_event *e)
{
    char id[20];
    size_t at = sizeof id;

    (void)tag;
    if (e->kind != MIG_EVENT_MESSAGE)
        return send_event(self, ex,
                          e->kind == MIG_EVENT_CONTROL ? "mig-control" : "mig-backpressure",
                          mig_s(""), e->json);
    for (uint64_t n = e->sequence; n || at == sizeof id; n /= 10)
        id[--at] = (char)('0' + n % 10);
    mig_str seq = {id + at, sizeof id - at};
    return send_event(self, ex, "mig-event", seq, e->json);
}

/* Ends that are no fault of the stream: the gateway stops, another connection took over. */
static void end_closing(struct binding *b, mig_call ex, const mig_outcome *out)
{
    char text[512];
    mig_json_writer w = mig_json_writer_on(text, sizeof text);
    char reason[64] = "";

    mig_json_unescape(mig_json_member(out->details, "reason"), reason, sizeof reason);
    mig_json_open(&w, '{');
    mig_json_key(&w, "type");
    mig_json_put_string(&w, mig_s("closing"));
    mig_json_key(&w, "code");
    mig_json_put_string(&w, mig_s(mig_status_row(out->status)->name));
    mig_json_key(&w, "reason");
    mig_json_put_string(&w, mig_s(reason));
    mig_json_close(&w, '}');
    end_with(b, ex, "mig-control", mig_json_written(&w));
}

/* tag: the envelope, made here. */
static void on_unsubscribed(void *self, void *tag, mig_call ex, const mig_outcome *out)
{
    struct binding *b = self;

    if (!(out->flags & MIG_OUTCOME_OPEN))
        hb_answer(b, ex, out);
    else if (out->status == MIG_UNAVAILABLE)
        end_closing(b, ex, out);
    else
        end_with(b, ex, "mig-error", out->envelope);
    free(tag);
}

struct wish {
    const char *name;
    char value[160];
    size_t len;
    int is_there;
};

enum { CONSUMER, CURSOR, INFLIGHT, TENANT, WISHES };

/* 0: a value is too long or badly encoded; what it is called is in *ret_bad. */
static int read_query(mig_str query, struct wish wishes[WISHES], const char **ret_bad)
{
    mig_str name, raw;

    while (mig_query_next(&query, &name, &raw))
        for (int i = 0; i < WISHES; i++) {
            struct wish *w = &wishes[i];
            if (!hb_is(name, w->name, strlen(w->name)))
                continue;
            mig_str value;
            *ret_bad = w->name;
            if (raw.len > sizeof w->value || !mig_query_decode(raw, ' ', w->value, &value))
                return 0;
            w->len = value.len;
            w->is_there = 1;
        }
    return 1;
}

static void put(mig_json_writer *w, const char *key, const char *ptr, size_t len)
{
    mig_str value = {ptr, len};

    mig_json_key(w, key);
    mig_json_put_string(w, value);
}

/* The envelope that the request stands for. NULL: no memory. */
static char *envelope_of(const mig_http_request *rq, struct wish wishes[WISHES], mig_str *ret)
{
    enum { CAP = 4096 };
    char *text = malloc(CAP);
    mig_json_writer w = mig_json_writer_on(text, text ? CAP : 0);
    mig_str last = hb_header_of(rq, "last-event-id");

    mig_json_open(&w, '{');
    if (wishes[TENANT].len && !rq->tenant_id.len) {
        mig_json_key(&w, "header");
        mig_json_open(&w, '{');
        put(&w, "tenant_id", wishes[TENANT].value, wishes[TENANT].len);
        mig_json_close(&w, '}');
    }
    if (wishes[CONSUMER].len)
        put(&w, "consumer_id", wishes[CONSUMER].value, wishes[CONSUMER].len);
    if (wishes[CURSOR].is_there && wishes[CURSOR].len)
        put(&w, "resume_cursor", wishes[CURSOR].value, wishes[CURSOR].len);
    else if (last.len && last.len < 64)
        put(&w, "resume_cursor", last.ptr, last.len);
    if (wishes[INFLIGHT].is_there)
        put(&w, "max_inflight", wishes[INFLIGHT].value, wishes[INFLIGHT].len);
    mig_json_close(&w, '}');
    *ret = mig_json_written(&w);
    if (!ret->len) {
        free(text);
        return NULL;
    }
    char *fit = realloc(text, ret->len + 1); /* it stays as long as the stream */
    if (fit)
        text = fit;
    ret->ptr = text;
    return text;
}

static void refuse(struct binding *b, mig_call ex, const char *member)
{
    char details[96];
    int n = snprintf(details, sizeof details, "{\"reason\":\"invalid_member\",\"member\":\"%s\"}",
                     member);
    mig_str text = {details, (size_t)n};
    mig_error e = {
        sizeof e, MIG_INVALID_REQUEST, mig_s("a parameter of the query is not acceptable"), text, 0,
        0};

    b->host->finish_error(b->host, ex, &e);
}

static void on_subscribe(void *self, void *data, mig_call ex, const mig_http_request *rq)
{
    struct binding *b = self;
    struct wish wishes[WISHES] = {[CONSUMER] = {.name = "consumer_id"},
                                  [CURSOR] = {.name = "resume_cursor"},
                                  [INFLIGHT] = {.name = "max_inflight"},
                                  [TENANT] = {.name = "tenant_id"}};
    const char *bad = "query";
    mig_submit s = {0};

    (void)data;
    if (!read_query(rq->query, wishes, &bad)) {
        refuse(b, ex, bad);
        return;
    }
    if (hb_is(rq->method, "HEAD", 4)) {
        begin(b, ex);
        mig_finish_json(b->host, ex, NULL, 0);
        return;
    }
    s.struct_size = sizeof s;
    s.operation = MIG_OP_SUBSCRIBE;
    s.binding = mig_s("http");
    s.target = rq->params[0];
    for (uint32_t i = 0; i < rq->header_count; i++)
        hb_take_mirror(&s, &rq->headers[i]);
    s.on_open = on_subscribed;
    s.on_event = on_event;
    s.on_done = on_unsubscribed;
    s.tag = envelope_of(rq, wishes, &s.envelope);
    if (!s.tag) {
        refuse(b, ex, bad);
        return;
    }
    if (b->mig->submit(b->host, ex, &s) != MIG_OK) {
        free(s.tag);
        mig_finish_error(b->host, ex, MIG_UNAVAILABLE, "the client has left");
    }
}

mig_status hb_describe_subscribe(const mig_registrar *reg)
{
    mig_http_route r = {0};

    r.struct_size = sizeof r;
    r.exec = MIG_EXEC_LOOP;
    r.method = "GET";
    r.pattern = "/mig/v0.1/subscribe/{topic}";
    r.on_request = on_subscribe;
    return reg->extend(reg, MIG_EXT_HTTP_ROUTE, &r);
}
