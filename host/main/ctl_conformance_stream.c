/* INVOKE with frames over HTTP (section 11.2). */
#include "ctl_conformance.h"

enum { SLACK_MS = 350, WAIT_MS = 3000 };

static const char invoke[] = "POST invoke/${C}";
static const char sse[] = "Accept: text/event-stream";
static const char T[] = "{'header':{'tenant_id':'${T}'}}";

#define STREAM(more) "{${I},'stream_preference':'server_stream','payload':{'input':'x'" more "}}"
/* Frames for five seconds, if nobody ends it. */
static const char slow[] = STREAM(",'delay_ms':250,'stream_chunks':20");

static bool begins(struct tape *t, struct probe *p, const char *body)
{
    return tape_open(t, p, invoke, sse, body);
}

static void frames_are_in_order(struct probe *p)
{
    TAPE t = {0};

    if (begins(&t, p, STREAM(",'stream_chunks':5")))
        tape_is_stream(&t, "stream-${N}", 5, "response", WAIT_MS);
}

static void the_answer_ends_with_the_terminal_frame(struct probe *p)
{
    TAPE t = {0};

    if (begins(&t, p, STREAM(",'stream_chunks':1")) &&
        tape_is_stream(&t, "stream-${N}", 1, "response", WAIT_MS) && !tape_wait_end(&t, 1000))
        fail_check(p, "the end of the answer", "it stayed open for a second");
}

static void records_are_mig_frames(struct probe *p)
{
    TAPE t = {0};

    if (!begins(&t, p, STREAM(",'stream_chunks':2")) ||
        tape_find(&t, 2, NULL, NULL, WAIT_MS) == SIZE_MAX)
        return;
    for (size_t i = 0; i < t.count; i++)
        if (!str_eq(t.list[i].event, S("mig-frame")))
            fail_check(p, "event: mig-frame", "event: %s", t.list[i].event.ptr);
}

static void frames_are_whole(struct probe *p)
{
    TAPE t = {0};

    if (begins(&t, p, STREAM(",'stream_chunks':2")) &&
        tape_find(&t, 0, "stream-${N}", "response", WAIT_MS) != SIZE_MAX)
        tape_wants(&t, 0,
                   "/header/message_id = '${N}'; /header/tenant_id = '${T}'; /stream_id = "
                   "'stream-${N}'; /capability = '${C}'; /kind = 'response'; /payload : object; "
                   "/end_stream != true");
}

static void echo_chunks(struct probe *p)
{
    TAPE t = {0};

    if (begins(&t, p, STREAM("")) && tape_is_stream(&t, "stream-${N}", 3, "response", WAIT_MS) &&
        tape_wants(&t, 0, "/payload/chunk : number; /payload/of = 3"))
        tape_wants(&t, 3, "/payload/result = 'ok'; /end_stream = true");
}

static void frames_come_as_they_are_made(struct probe *p)
{
    TAPE t = {0};

    if (!begins(&t, p, STREAM(",'delay_ms':150,'stream_chunks':3")) ||
        !tape_is_stream(&t, "stream-${N}", 3, "response", WAIT_MS))
        return;
    if (t.list[3].at_ms - t.list[0].at_ms < 200)
        fail_check(p, "the first frame before the others are made", "all within %lld ms",
                   (long long)(t.list[3].at_ms - t.list[0].at_ms));
}

static void without_accept_frames_are_gathered(struct probe *p)
{
    size_t n;

    if (!ask(p, invoke, NULL, STREAM(",'stream_chunks':4"),
             "200; head Content-Type ~ application/json; /payload : object; /payload/frames : "
             "array; "
             "/capability = '${C}'"))
        return;
    n = mig_json_count(last_at(p, "/payload/frames"));
    if (n != 4)
        fail_check(p, "4 frames", "%zu", n);
}

/* The terminal error frame, then nothing. `since`: when the cause was. */
static void ends_with_error(struct tape *t, const char *want, int64_t since, int64_t within_ms)
{
    size_t at = tape_find(t, 0, "stream-${N}", "error", WAIT_MS);
    int64_t ms;

    if (at == SIZE_MAX || !tape_wants(t, at, want) || !tape_wants(t, at, "/end_stream = true"))
        return;
    ms = t->list[at].at_ms - since;
    if (ms > within_ms + SLACK_MS)
        fail_check(t->probe, "the error frame in time", "%lld ms later", (long long)ms);
    tape_wait_end(t, 500);
    if (t->count > at + 1)
        fail_check(t->probe, "nothing after the terminal frame", "%s", t->list[at + 1].data.ptr);
}

static void the_deadline_covers_the_stream(struct probe *p)
{
    int64_t since = clock_ms();
    TAPE t = {0};

    if (begins(&t, p,
               "{'header':{'tenant_id':'${T}','message_id':'${N}','deadline_ms':500},"
               "'stream_preference':'server_stream',"
               "'payload':{'input':'x','delay_ms':150,'stream_chunks':50}}"))
        ends_with_error(&t, "MIG_TIMEOUT; /error/retryable = true; says deadline exceeded", since,
                        500);
}

static void a_cancel_ends_the_stream(struct probe *p)
{
    TAPE t = {0};
    int64_t since;

    if (!begins(&t, p, slow) || tape_find(&t, 0, NULL, "response", WAIT_MS) == SIZE_MAX)
        return;
    since = clock_ms();
    if (ask(p, "POST cancel/${N}", NULL, T, "200; /accepted = true; /status = 'cancelled'"))
        ends_with_error(&t, "MIG_TIMEOUT; /error/retryable = false; reason cancelled", since, 100);
}

static void a_reader_that_goes_cancels(struct probe *p)
{
    TAPE t = {0};

    if (!begins(&t, p, slow) || tape_find(&t, 0, NULL, "response", WAIT_MS) == SIZE_MAX)
        return;
    tape_close(&t);
    pause_ms(p, 500);
    ask(p, "POST cancel/${N}", NULL, T, "200; /status = 'completed'");
}

static void the_id_of_a_stream_is_taken(struct probe *p)
{
    TAPE t = {0};

    if (begins(&t, p, slow))
        ask(p, invoke, NULL, "{${I},${P}}", "MIG_INVALID_REQUEST; reason duplicate_message_id");
}

static void frames_carry_the_traceparent(struct probe *p)
{
    TAPE t = {0};

    if (begins(&t, p,
               "{'header':{'tenant_id':'${T}','message_id':'${N}','traceparent':"
               "'00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'},'stream_preference':"
               "'server_stream','payload':{'input':'x','stream_chunks':1}}") &&
        tape_find(&t, 0, NULL, "response", WAIT_MS) != SIZE_MAX)
        tape_wants(
            &t, 0,
            "/header/traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'");
}

static const struct check stream_rows[] = {
    {"stream.order", STREAMING, "6.1", "chunks, then one terminal frame, numbered without a gap",
     NEED_STREAM | NEED_DELAY, .run = frames_are_in_order},
    {"stream.end", STREAMING, "11.2", "the answer ends with the terminal frame",
     NEED_STREAM | NEED_DELAY, .run = the_answer_ends_with_the_terminal_frame},
    {"stream.records", STREAMING, "11.2", "each record is a mig-frame", NEED_STREAM | NEED_DELAY,
     .run = records_are_mig_frames},
    {"stream.frame", STREAMING, "6.1", "a frame has header, stream_id, capability, kind, payload",
     NEED_STREAM | NEED_DELAY, .run = frames_are_whole},
    {"stream.echo", STREAMING, "9.3", "the echo provider sends three chunks by default",
     NEED_STREAM | NEED_DELAY, .run = echo_chunks},
    {"stream.incremental", STREAMING, "11.2", "frames come as they are made",
     NEED_STREAM | NEED_DELAY, .run = frames_come_as_they_are_made},
    {"stream.gathered", STREAMING, "11.2", "without Accept the frames are gathered",
     NEED_STREAM | NEED_DELAY, .run = without_accept_frames_are_gathered},
    {"stream.error", STREAMING, "11.2", "an error before the stream is an ordinary answer", 0,
     "POST invoke/no.such", sse, STREAM(""),
     "MIG_UNSUPPORTED_CAPABILITY; head Content-Type ~ json"},
    {"stream.deadline", STREAMING, "6.1", "the deadline covers the stream",
     NEED_STREAM | NEED_DELAY, .run = the_deadline_covers_the_stream},
    {"stream.cancel", STREAMING, "8.2", "a cancel ends the stream with an error frame",
     NEED_STREAM | NEED_DELAY, .run = a_cancel_ends_the_stream},
    {"stream.disconnect", STREAMING, "8.2", "a reader that goes away cancels the stream",
     NEED_STREAM | NEED_DELAY, .run = a_reader_that_goes_cancels},
    {"stream.duplicate", STREAMING, "5.3", "the message id of a stream cannot be used again",
     NEED_STREAM | NEED_DELAY, .run = the_id_of_a_stream_is_taken},
    {"stream.trace", FULL, "15.2", "frames carry the traceparent of the request",
     NEED_STREAM | NEED_DELAY, .run = frames_carry_the_traceparent},
};
const struct check_table stream_checks = {stream_rows, countof(stream_rows)};
