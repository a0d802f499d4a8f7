/* publish, subscribe, invoke --stream: events and frames. */
#include "ctl.h"
#include "ctl_sse.h"

#include <stdlib.h>

/* ---- publish ----------------------------------------------------------------------------------
 */

static int show_ack(const struct ctl *c, str body)
{
    str sequence = member_text(body, "sequence"), id = member_text(body, "event_id");

    printf("%s %.*s %.*s\n", c->words[0], STR_ARG(sequence), STR_ARG(id));
    text_free(sequence);
    text_free(id);
    return CTL_OK;
}

int ctl_publish(struct ctl *c)
{
    CLEANUP(buf_deinit) struct buf payload = {0};
    CLEANUP(buf_deinit) struct buf b = {0};
    int code;

    op_begin(&b, c);
    buf_init(&payload, HTTP_ANSWER_MAX);
    code = op_read_payload(c, &payload);
    if (code != CTL_OK)
        return code;
    op_add_member(&b, "key", c->key);
    buf_addz(&b, ",\"payload\":");
    buf_add(&b, buf_str(&payload));
    buf_addc(&b, '}');
    return op_post(c, "publish", c->words[0], &b, show_ack);
}

/* ---- streams ----------------------------------------------------------------------------------
 */

enum { DEFAULT_INVOKE_MS = 30000, FOREVER_MS = 86400000 };

/* A stream that is printed while it comes. */
struct reading {
    const struct ctl *ctl;
    uint64_t left;  /* events until it is enough */
    bool is_over;   /* enough, or the last frame came */
    bool has_error; /* it ended with one, which was printed */
};

static void print_line(str json)
{
    CLEANUP(buf_deinit) struct buf b = {0};

    buf_init(&b, BUF_MAX);
    json_pretty(&b, json, SIZE_MAX);
    buf_addc(&b, '\n');
    fwrite(b.ptr, 1, b.len, stdout);
    fflush(stdout);
}

static void print_stream_error(struct reading *r, str text)
{
    struct reply said = {0};

    buf_init(&said.body, BUF_MAX);
    buf_add(&said.body, text);
    print_refusal(r->ctl, &said);
    buf_deinit(&said.body);
    r->has_error = r->is_over = true;
}

static void print_event(const struct ctl *c, str event)
{
    str sequence = member_text(event, "sequence"), at = member_text(event, "published_at");

    if (!c->is_json)
        printf("%.*s %.*s ", STR_ARG(sequence), STR_ARG(at));
    print_line(c->is_json ? event : mig_json_member(event, "payload"));
    text_free(sequence);
    text_free(at);
}

static void on_event(void *arg, const struct sse_event *e)
{
    struct reading *r = arg;

    if (r->is_over)
        return;
    if (!mig_json_valid(e->data)) {
        fprintf(stderr, "migctl: an event of %s is not JSON\n", r->ctl->url);
        r->has_error = r->is_over = true;
    } else if (str_eq(e->event, S("mig-event"))) {
        print_event(r->ctl, e->data);
        r->is_over = --r->left == 0 || ferror(stdout);
    } else if (str_eq(e->event, S("mig-error"))) {
        print_stream_error(r, e->data);
    } else {
        fprintf(stderr, "migctl: %.*s: %.*s\n", STR_ARG(e->event), STR_ARG(e->data));
    }
}

static void on_frame(void *arg, const struct sse_event *e)
{
    struct reading *r = arg;
    int is_last = 0;

    if (r->is_over || !mig_json_valid(e->data))
        return;
    mig_json_bool(mig_json_member(e->data, "end_stream"), &is_last);
    if (mig_json_is(mig_json_member(e->data, "kind"), "error"))
        print_stream_error(r, e->data);
    else
        print_line(r->ctl->is_json ? e->data : mig_json_member(e->data, "payload"));
    r->is_over |= is_last || ferror(stdout);
}

/* Feeds what came to the reader until it has enough, the stream ends, or the time is over. */
static void read_stream(struct http *h, struct http_job *j, struct sse *s, struct reading *r,
                        int64_t timeout_ms)
{
    int64_t end = clock_ms() + timeout_ms;

    while (!r->is_over) {
        bool was_done = j->is_done;
        bool is_good = sse_feed(s, buf_str(&j->body));
        buf_clear(&j->body);
        if (!is_good || was_done || clock_ms() >= end)
            return;
        if (!r->is_over)
            http_pump(h, -1, end - clock_ms());
    }
}

static bool is_event_stream(const struct http_job *j)
{
    str type = head_find(buf_str(&j->head), "Content-Type");

    return j->status == 200 && str_starts(type, S("text/event-stream"));
}

/* The answer that is no stream: an error as a rule. */
static int plain_answer(const struct ctl *c, struct http *h, struct http_job *j)
{
    struct reply r = {.status = j->status};

    http_wait(h, j, FOREVER_MS);
    if (j->fault)
        return http_say_fault(c, j);
    if (r.status >= 300) {
        r.body = j->body;
        return print_refusal(c, &r);
    }
    fprintf(stderr, "migctl: %s answered with something that is no event stream\n", c->url);
    return CTL_FAILED;
}

struct stream {
    const char *method, *path;
    str body;
    sse_on_event on_event;
    uint64_t max;
    int64_t job_ms, read_ms; /* limits of the request, and of the reading */
    bool may_stop;           /* the time may be over without a fault       */
};

static int run_stream(const struct ctl *c, const struct stream *s)
{
    CLEANUP(http_freep) struct http *h = http_new(c);
    CLEANUP(buf_deinit) struct buf heads = {0};
    struct reading reading = {.ctl = c, .left = s->max};
    struct http_job *j;
    struct sse sse;
    int code;

    buf_init(&heads, HTTP_HEAD_MAX);
    if (!h || !http_default_heads(c, s->path, &heads))
        return CTL_USAGE;
    head_add(&heads, "Accept", "text/event-stream");
    j = http_start(h, &(struct http_ask){.method = s->method,
                                         .path = s->path,
                                         .heads = buf_str(&heads),
                                         .body = s->body,
                                         .timeout_ms = s->job_ms});
    http_wait_head(h, j, s->read_ms);
    if (!is_event_stream(j)) {
        code = plain_answer(c, h, j);
        http_job_free(h, j);
        return code;
    }
    sse_init(&sse, s->on_event, &reading);
    read_stream(h, j, &sse, &reading, s->read_ms);
    code = reading.has_error ? CTL_FAILED : CTL_OK;
    if (!reading.is_over && (j->is_done || !s->may_stop)) {
        fprintf(stderr, "migctl: %s ended the stream%s%s\n", c->url, j->fault ? ": " : "",
                j->fault ? j->fault : "");
        code = CTL_FAILED;
    }
    sse_deinit(&sse);
    http_job_free(h, j);
    return code;
}

static void add_query(struct buf *path, const char *name, const char *value)
{
    if (!value)
        return;
    buf_addf(path, "%c%s=", path->len && memchr(path->ptr, '?', path->len) ? '&' : '?', name);
    url_add_segment(path, str_of(value));
}

int ctl_subscribe(struct ctl *c)
{
    CLEANUP(buf_deinit) struct buf path = {0};
    struct stream s = {.method = "GET",
                       .on_event = on_event,
                       .max = UINT64_MAX,
                       .read_ms = c->timeout_ms ? c->timeout_ms : FOREVER_MS,
                       .may_stop = c->timeout_ms != 0};

    if (c->max && (!str_to_u64(str_of(c->max), &s.max) || !s.max))
        return usage_error("--max %s: give a number from 1", c->max);
    buf_init(&path, 65536);
    buf_addz(&path, "/mig/v0.1/subscribe/");
    url_add_segment(&path, str_of(c->words[0]));
    add_query(&path, "consumer_id", c->consumer);
    add_query(&path, "resume_cursor", c->cursor);
    buf_addc(&path, 0);
    if (path.has_failed)
        return usage_error("the request is too large");
    s.path = path.ptr;
    return run_stream(c, &s);
}

int invoke_stream(const struct ctl *c, struct buf *body)
{
    CLEANUP(buf_deinit) struct buf path = {0};
    int64_t limit = c->timeout_ms ? c->timeout_ms : DEFAULT_INVOKE_MS;
    struct stream s = {.method = "POST", .on_event = on_frame, .max = UINT64_MAX, .read_ms = limit};

    buf_addz(body, ",\"stream_preference\":\"server_stream\"}");
    buf_init(&path, 65536);
    buf_addz(&path, "/mig/v0.1/invoke/");
    url_add_segment(&path, str_of(c->words[0]));
    buf_addc(&path, 0);
    if (path.has_failed || body->has_failed)
        return usage_error("the request is too large");
    s.path = path.ptr;
    s.body = buf_str(body);
    s.read_ms += 1000; // the deadline is the daemon's to answer
    s.job_ms = s.read_ms;
    return run_stream(c, &s);
}
