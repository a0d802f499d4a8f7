/* Control frames (section 6.2). */
#include "ctl_conformance.h"

enum { WAIT_MS = 3000, SLACK_MS = 250 };

#define CONTROL(id, payload)                                                                       \
    "{'header':{'tenant_id':'${T}','message_id':'${N}-control'},'stream_id':'" id                  \
    "','kind':'control','payload':" payload "}"
#define REQUEST(id, meta, payload)                                                                 \
    "{'header':{'tenant_id':'${T}','message_id':'" id "'" meta "},'stream_id':'" id                \
    "','capability':'${C}','kind':'request','payload':{'input':'x'" payload "}}"
#define SLOW(id) REQUEST(id, "", ",'delay_ms':4000")

/* Control answers, the stream ends as cancelled, both soon. */
static void expect_cancelled(struct tape *t, int64_t since)
{
    struct probe *p = t->probe;
    size_t said = tape_find(t, 0, NULL, "control", WAIT_MS);
    size_t ended = said == SIZE_MAX ? said : tape_find(t, 0, "${N}", "error", WAIT_MS);

    if (ended == SIZE_MAX ||
        !tape_wants(
            t, said,
            "/end_stream = true; /payload/accepted = true; /payload/status = 'cancelled'") ||
        !tape_wants(t, ended,
                    "MIG_TIMEOUT; reason cancelled; /error/retryable = false; /end_stream = true"))
        return;
    if (t->list[ended].at_ms - since > 100 + SLACK_MS)
        fail_check(p, "the error frame within 100 ms", "after %lld ms",
                   (long long)(t->list[ended].at_ms - since));
}

static void cancel_with(struct probe *p, const char *control)
{
    TAPE t = {0};
    int64_t since;

    if (!tape_open_ws(&t, p, NULL) || !tape_send(&t, SLOW("${N}")))
        return;
    pause_ms(p, 120);
    since = clock_ms();
    if (tape_send(&t, control))
        expect_cancelled(&t, since);
}

static void cancels_its_stream(struct probe *p)
{
    cancel_with(p, CONTROL("${N}", "{'action':'cancel'}"));
}

static void takes_any_case(struct probe *p)
{
    cancel_with(p, CONTROL("${N}", "{'action':' CANCEL '}"));
}

static void cancels_by_message_id(struct probe *p)
{
    cancel_with(p, CONTROL("${N}-x", "{'action':'cancel','target_message_id':'${N}'}"));
}

static void cancels_by_header(struct probe *p)
{
    cancel_with(p, "{'header':{'tenant_id':'${T}','message_id':'${N}'},'stream_id':'${N}-x',"
                   "'kind':'control','payload':{'action':'cancel'}}");
}

static void cancels_one_alone(struct probe *p)
{
    TAPE t = {0};

    if (tape_open_ws(&t, p, NULL) && tape_send(&t, SLOW("${N}")) &&
        tape_send(&t, REQUEST("${N}-b", "", ",'delay_ms':400")) &&
        tape_send(&t, CONTROL("${N}", "{'action':'cancel'}")) &&
        tape_find(&t, 0, "${N}", "error", WAIT_MS) != SIZE_MAX)
        tape_find(&t, 0, "${N}-b", "response", WAIT_MS);
}

static size_t frames_of(const struct tape *t, const char *kind)
{
    size_t n = 0;

    for (size_t i = 0; i < t->count; i++)
        n += mig_json_is(mig_json_member(t->list[i].data, "kind"), kind) != 0;
    return n;
}

/* A stream of ten frames, one each 60 ms; stopped for 400 ms after the first. */
static void pauses_and_resumes(struct probe *p)
{
    TAPE t = {0};
    size_t before;

    if (!tape_open_ws(&t, p, NULL) ||
        !tape_send(&t, REQUEST("${N}", ",'meta':{'mig.stream_preference':'server_stream'}",
                               ",'delay_ms':60,'stream_chunks':10")) ||
        tape_find(&t, 0, "${N}", "response", WAIT_MS) == SIZE_MAX ||
        !tape_send(&t, CONTROL("${N}", "{'action':'pause'}")))
        return;
    before = tape_find(&t, 0, NULL, "control", WAIT_MS);
    if (before == SIZE_MAX || !tape_wants(&t, before, "/payload/accepted = true"))
        return;
    tape_wait(&t, SIZE_MAX, 100); // what was on its way
    before = frames_of(&t, "response");
    tape_wait(&t, SIZE_MAX, 300);
    if (frames_of(&t, "response") != before) {
        fail_check(p, "no frames while it pauses", "%zu", frames_of(&t, "response") - before);
        return;
    }
    if (!tape_send(&t, CONTROL("${N}", "{'action':'resume'}")))
        return;
    for (size_t at = 0; at != SIZE_MAX && p->verdict == PASS; at++) {
        at = tape_find(&t, at, "${N}", "response", WAIT_MS);
        if (at == SIZE_MAX || json_equal(mig_json_member(t.list[at].data, "end_stream"), S("true")))
            break;
    }
    if (p->verdict == PASS && frames_of(&t, "response") != 11)
        fail_check(p, "ten chunks and the end", "%zu frames", frames_of(&t, "response"));
}

static void beats(struct probe *p)
{
    TAPE t = {0};
    size_t at;

    if (!tape_open_ws(&t, p, NULL) ||
        !tape_send(&t, CONTROL("${N}", "{'action':'heartbeat','interval_ms':7000}")))
        return;
    at = tape_find(&t, 0, NULL, "control", WAIT_MS);
    if (at != SIZE_MAX)
        tape_wants(&t, at,
                   "/payload/suggested_interval_ms = 7000; /payload/load_factor : number; "
                   "/payload/header : absent");
}

static void overtakes(struct probe *p)
{
    TAPE t = {0};

    if (tape_open_ws(&t, p, NULL) && tape_send(&t, SLOW("${N}")) &&
        tape_send(&t, CONTROL("${N}-h", "{'action':'heartbeat'}")))
        tape_find(&t, 0, NULL, "control", 1000);
}

static void unsupported(struct probe *p)
{
    TAPE t = {0};
    size_t at;

    if (!tape_open_ws(&t, p, NULL) || !tape_send(&t, CONTROL("${N}", "{'action':'sing'}")))
        return;
    at = tape_find(&t, 0, NULL, "error", WAIT_MS);
    if (at != SIZE_MAX)
        tape_wants(&t, at, "MIG_INVALID_REQUEST; says unsupported control action");
}

static void subscribes(struct probe *p)
{
    TAPE t = {0};
    size_t at;

    if (!tape_open_ws(&t, p, NULL) ||
        !tape_send(&t, CONTROL("${N}", "{'action':'subscribe','topic':'${E}'}")))
        return;
    at = tape_find(&t, 0, NULL, "control", WAIT_MS);
    if (at == SIZE_MAX || !tape_wants(&t, at, "/payload/accepted = true") ||
        !ask(p, "POST publish/${E}", NULL, "{${I},'payload':{'n':1}}", "200"))
        return;
    at = tape_find(&t, 0, NULL, "event", WAIT_MS);
    if (at != SIZE_MAX)
        tape_wants(&t, at,
                   "/payload/topic = '${E}'; /payload/sequence = 1; /payload/payload = {'n':1}; "
                   "/payload/replay = false; /payload/event_id : uuid");
}

static void subscribes_to_no_topic(struct probe *p)
{
    TAPE t = {0};
    size_t at;

    if (!tape_open_ws(&t, p, NULL) ||
        !tape_send(&t, CONTROL("${N}", "{'action':'subscribe','topic':'nodot'}")))
        return;
    at = tape_find(&t, 0, NULL, "error", WAIT_MS);
    if (at != SIZE_MAX)
        tape_wants(&t, at, "MIG_INVALID_REQUEST");
}

static const struct check control_rows[] = {
    {"control.cancel", STREAMING, "6.2", "cancel ends its stream within 100 ms", NEED_DELAY,
     .run = cancels_its_stream},
    {"control.cancel.case", STREAMING, "6.2", "the action is trimmed, its case does not count",
     NEED_DELAY, .run = takes_any_case},
    {"control.cancel.target", STREAMING, "6.2", "cancel finds a stream by target_message_id",
     NEED_DELAY, .run = cancels_by_message_id},
    {"control.cancel.header", STREAMING, "6.2", "cancel finds a stream by header.message_id",
     NEED_DELAY, .run = cancels_by_header},
    {"control.cancel.alone", STREAMING, "6.2", "cancel leaves other streams alone", NEED_DELAY,
     .run = cancels_one_alone},
    {"control.pause", STREAMING, "6.2", "pause stops a stream, resume loses nothing",
     NEED_DELAY | NEED_STREAM, .run = pauses_and_resumes},
    {"control.heartbeat", STREAMING, "6.2", "heartbeat answers without a header", .run = beats},
    {"control.overtakes", STREAMING, "6.1", "a control frame overtakes a slow request", NEED_DELAY,
     .run = overtakes},
    {"control.unsupported", STREAMING, "6.2", "an unknown action is an error frame",
     .run = unsupported},
    {"control.subscribe", EVENTED, "6.2", "subscribe brings events as frames", .run = subscribes},
    {"control.subscribe.topic", EVENTED, "6.2", "subscribe to a topic that is none is refused",
     .run = subscribes_to_no_topic},
};
const struct check_table control_checks = {control_rows, countof(control_rows)};
