#include "ctl_conformance.h"

#include <stdlib.h>

enum { OPEN_MS = 1500, QUIET_MS = 60 };

/* ---- what comes -------------------------------------------------------------------------------
 */

static str copied(str text)
{
    char *z = str_dup(text);

    must(z);
    return (str){z, text.len};
}

static void record(struct tape *t, struct tape_item item)
{
    if (t->count == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 64;
        t->list = realloc(t->list, t->cap * sizeof *t->list);
        must(t->list);
    }
    item.event = copied(item.event);
    item.id = copied(item.id);
    item.data = copied(item.data);
    t->list[t->count++] = item;
}

static void on_event(void *arg, const struct sse_event *e)
{
    record(arg, (struct tape_item){.event = e->event,
                                   .id = e->id,
                                   .data = e->data,
                                   .has_id = e->has_id,
                                   .at_ms = clock_ms()});
}

static void pump_job(struct tape *t, int64_t timeout_ms)
{
    struct http_job *j = t->job;
    bool was_done = j->is_done;

    if (!was_done && !j->body.len)
        http_pump(t->probe->client, -1, timeout_ms);
    t->is_over |= !sse_feed(&t->sse, buf_str(&j->body)) || was_done;
    buf_clear(&j->body);
}

static void pump_ws(struct tape *t, int64_t timeout_ms)
{
    struct ws_message m;

    while (ws_next(t->ws, timeout_ms, &m)) {
        static const str pong = S("pong"), none = S("");
        record(t, (struct tape_item){.event = m.opcode == WS_PONG ? pong : none,
                                     .id = none,
                                     .data = m.data,
                                     .at_ms = m.at_ms});
        timeout_ms = 0;
    }
    t->is_over |= ws_is_over(t->ws);
}

bool tape_wait(struct tape *t, size_t count, int64_t timeout_ms)
{
    int64_t end = clock_ms() + timeout_ms, left = timeout_ms;

    while (t->count < count && !t->is_over && left >= 0) {
        if (t->ws)
            pump_ws(t, left);
        else
            pump_job(t, left);
        left = end - clock_ms();
    }
    return t->count >= count;
}

bool tape_wait_end(struct tape *t, int64_t timeout_ms)
{
    tape_wait(t, SIZE_MAX, timeout_ms);
    return t->is_over;
}

/* ---- opening and closing ----------------------------------------------------------------------
 */

static bool is_event_stream(struct probe *p, const struct http_job *j)
{
    str type = head_find(buf_str(&j->head), "Content-Type");

    if (!j->status)
        return fail_check(p, "an event stream", "no head of an answer within %d ms%s%s", OPEN_MS,
                          j->fault ? ": " : "", j->fault ? j->fault : "");
    if (j->status == 200 && str_starts(type, S("text/event-stream")))
        return true;
    return fail_check(p, "200 text/event-stream", "%u %.*s %.*s", j->status, STR_ARG(type),
                      (int)(j->body.len < 300 ? j->body.len : 300), j->body.len ? j->body.ptr : "");
}

bool tape_open(struct tape *t, struct probe *p, const char *request, const char *heads,
               const char *body)
{
    *t = (struct tape){.probe = p};
    sse_init(&t->sse, on_event, t);
    t->job = begin(p, request, heads, body);
    http_wait_head(p->client, t->job, OPEN_MS);
    if (t->job->status && t->job->status != 200)
        http_wait(p->client, t->job, OPEN_MS);
    return is_event_stream(p, t->job);
}

bool tape_open_ws(struct tape *t, struct probe *p, const char *heads)
{
    CLEANUP(buf_deinit) struct buf lines = {0};
    struct ws_answer a;

    *t = (struct tape){.probe = p};
    sse_init(&t->sse, on_event, t);
    buf_init(&lines, HTTP_HEAD_MAX);
    add_heads(p, &lines, heads);
    t->ws = ws_open(p->client,
                    &(struct ws_offer){.path = "/mig/v0.1/stream",
                                       .subprotocol = "mig.v0.1",
                                       .heads = buf_str(&lines),
                                       .timeout_ms = OPEN_MS},
                    &a);
    if (!t->ws)
        fail_check(p, "101 and a WebSocket at /mig/v0.1/stream", "status %u, %s", a.status,
                   a.fault);
    ws_answer_deinit(&a);
    return t->ws != NULL;
}

bool tape_send(struct tape *t, const char *frame)
{
    CLEANUP(buf_deinit) struct buf text = {0};

    buf_init(&text, WS_MESSAGE_MAX);
    expand(t->probe, &text, frame, true);
    return ws_send(t->ws, WS_TEXT, buf_str(&text)) ||
           fail_check(t->probe, "an open connection", "it was closed (%u)", ws_close_code(t->ws));
}

void tape_close(struct tape *t)
{
    if (!t->probe)
        return;
    if (t->job)
        http_job_free(t->probe->client, t->job);
    ws_free(t->ws);
    sse_deinit(&t->sse);
    for (size_t i = 0; i < t->count; i++) {
        text_free(t->list[i].event);
        text_free(t->list[i].id);
        text_free(t->list[i].data);
    }
    free(t->list);
    *t = (struct tape){0};
}

/* ---- frames -----------------------------------------------------------------------------------
 */

static bool is_of(const struct tape_item *item, const char *stream_id, const char *kind)
{
    return (!stream_id || mig_json_is(mig_json_member(item->data, "stream_id"), stream_id)) &&
           (!kind || mig_json_is(mig_json_member(item->data, "kind"), kind));
}

static size_t find(struct tape *t, size_t from, const char *stream_id, const char *kind,
                   int64_t timeout_ms)
{
    int64_t end = clock_ms() + timeout_ms;

    for (size_t i = from; i < t->count || (!t->is_over && clock_ms() <= end); i++) {
        if (i >= t->count && !tape_wait(t, i + 1, end - clock_ms()))
            return SIZE_MAX;
        if (is_of(&t->list[i], stream_id, kind))
            return i;
    }
    return SIZE_MAX;
}

static void expand_id(const struct probe *p, struct buf *out, const char *stream_id)
{
    buf_init(out, 4096);
    expand(p, out, stream_id ? stream_id : "", false);
    buf_addc(out, 0);
}

size_t tape_find(struct tape *t, size_t from, const char *stream_id, const char *kind,
                 int64_t timeout_ms)
{
    CLEANUP(buf_deinit) struct buf id = {0};
    size_t at;

    expand_id(t->probe, &id, stream_id);
    at = find(t, from, stream_id ? id.ptr : NULL, kind, timeout_ms);
    if (at == SIZE_MAX)
        fail_check(t->probe, kind ? kind : "a frame",
                   "no such frame of %s within %lld ms; %zu others%s%.200s",
                   stream_id ? id.ptr : "any stream", (long long)timeout_ms, t->count - from,
                   t->count > from ? ", the last: " : "",
                   t->count > from ? t->list[t->count - 1].data.ptr : "");
    return at;
}

bool tape_wants(struct tape *t, size_t index, const char *want)
{
    struct probe *p = t->probe;
    CLEANUP(buf_deinit) struct buf clauses = {0};
    CLEANUP(buf_deinit) struct buf expected = {0};
    CLEANUP(buf_deinit) struct buf came = {0};
    struct answer a = {0};

    if (index >= t->count)
        return fail_check(p, want, "%zu items", t->count);
    buf_init(&clauses, 65536);
    buf_init(&expected, 65536);
    buf_init(&came, 65536);
    expand(p, &clauses, want, true);
    a.body = t->list[index].data;
    if (want_check(&a, buf_str(&clauses), &expected, &came))
        return true;
    buf_addc(&expected, 0);
    return fail_check(p, expected.ptr, "%.*s in %.300s", (int)came.len, came.ptr, a.body.ptr);
}

/* The n-th frame of a stream that has to have `chunks` of them before its end. */
static bool is_in_order(struct tape *t, const struct tape_item *item, size_t n, size_t chunks,
                        const char *kind)
{
    struct probe *p = t->probe;
    mig_str seq = json_at(item->data, S("/header/meta/mig.frame_seq"));
    bool is_last = str_eq(mig_json_member(item->data, "end_stream"), S("true"));
    uint64_t number = 0;

    if (is_last && n != chunks)
        return fail_check(p, "intermediate frames before the terminal one", "%zu instead of %zu", n,
                          chunks);
    if (!is_last && n == chunks)
        return fail_check(p, "a terminal frame (end_stream true)", "%.300s", item->data.ptr);
    if (!mig_json_u64(seq, &number) || number != n + 1)
        return fail_check(p, "mig.frame_seq without a gap from 1", "%.*s in frame %zu",
                          seq.len ? (int)seq.len : 7, seq.len ? seq.ptr : "nothing", n + 1);
    if (!is_of(item, NULL, is_last ? kind : "response"))
        return fail_check(p, is_last ? kind : "kind response", "%.300s", item->data.ptr);
    return true;
}

bool tape_is_stream(struct tape *t, const char *stream_id, size_t chunks, const char *kind,
                    int64_t timeout_ms)
{
    CLEANUP(buf_deinit) struct buf id = {0};
    size_t at = 0;

    expand_id(t->probe, &id, stream_id);
    for (size_t n = 0; n <= chunks; n++, at++) {
        at = tape_find(t, at, stream_id, NULL, timeout_ms);
        if (at == SIZE_MAX || !is_in_order(t, &t->list[at], n, chunks, kind))
            return false;
    }
    at = find(t, at, id.ptr, NULL, QUIET_MS);
    if (at != SIZE_MAX)
        return fail_check(t->probe, "nothing after the terminal frame", "%.300s",
                          t->list[at].data.ptr);
    return true;
}
