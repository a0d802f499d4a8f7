/* Streams over WebSocket (sections 6.1, 6.3). */
#include "ctl_conformance.h"

enum { WAIT_MS = 3000, BIG = 64 << 10, BIG_CHUNKS = 400 };

#define FRAME(id, meta, payload)                                                                   \
    "{'header':{'tenant_id':'${T}','message_id':'" id "'" meta "},'stream_id':'" id                \
    "','capability':'${C}','kind':'request','payload':{'input':'x'" payload "}}"
#define UNARY(id) FRAME(id, "", "")
#define SLOW(id) FRAME(id, "", ",'delay_ms':4000")
#define CHUNKS(id, payload) FRAME(id, ",'meta':{'mig.stream_preference':'server_stream'}", payload)

/* One request frame has to bring exactly one terminal response. */
static bool answers(struct tape *t, const char *id)
{
    return tape_is_stream(t, id, 0, "response", WAIT_MS);
}

static bool still_answers(struct tape *t)
{
    return tape_send(t, UNARY("${N}-after")) && answers(t, "${N}-after");
}

/* An error frame, on any stream, from `from` on. */
static bool refuses(struct tape *t, size_t from, const char *want)
{
    size_t at = tape_find(t, from, NULL, "error", WAIT_MS);

    return at != SIZE_MAX && tape_wants(t, at, want);
}

static void one_frame_one_answer(struct probe *p)
{
    TAPE t = {0};

    if (tape_open_ws(&t, p, NULL) && tape_send(&t, UNARY("${N}")) && answers(&t, "${N}"))
        tape_wants(&t, 0,
                   "/header/message_id = '${N}'; /stream_id = '${N}'; /capability = '${C}'; "
                   "/payload : object; /end_stream = true");
}

static void harness_frame(struct probe *p)
{
    TAPE t = {0};

    if (!tape_open_ws(&t, p, "-X-Tenant-ID") || !tape_send(&t, UNARY("${N}")) ||
        !answers(&t, "${N}"))
        return;
    if (!strcmp(p->capability, "observatory.models.infer"))
        tape_wants(&t, 0, "/payload/result = 'ok'");
}

static void default_stream_id(struct probe *p)
{
    TAPE t = {0};

    if (tape_open_ws(&t, p, NULL) &&
        tape_send(&t, "{${I},'capability':'${C}','kind':'request',${P}}"))
        answers(&t, "stream-${N}");
}

static void chunks_in_order(struct probe *p)
{
    TAPE t = {0};

    if (tape_open_ws(&t, p, NULL) && tape_send(&t, CHUNKS("${N}", ",'stream_chunks':4")))
        tape_is_stream(&t, "${N}", 4, "response", WAIT_MS);
}

static void streams_interleave(struct probe *p)
{
    TAPE t = {0};

    if (tape_open_ws(&t, p, NULL) &&
        tape_send(&t, CHUNKS("${N}-a", ",'delay_ms':100,'stream_chunks':4")) &&
        tape_send(&t, CHUNKS("${N}-b", ",'delay_ms':100,'stream_chunks':4")) &&
        tape_is_stream(&t, "${N}-a", 4, "response", WAIT_MS) &&
        tape_is_stream(&t, "${N}-b", 4, "response", WAIT_MS) &&
        tape_find(&t, 0, "${N}-b", NULL, 0) > tape_find(&t, 4, "${N}-a", NULL, 0))
        fail_check(p, "frames of both streams in turn", "one stream after the other");
}

static void slow_ones_block_nobody(struct probe *p)
{
    TAPE t = {0};

    if (tape_open_ws(&t, p, NULL) && tape_send(&t, SLOW("${N}-slow")) &&
        tape_send(&t, UNARY("${N}-quick")) &&
        tape_find(&t, 0, "${N}-quick", "response", 1500) != SIZE_MAX && t.count > 1)
        fail_check(p, "the quick answer alone", "%zu frames", t.count);
}

static void stream_ids_are_unique(struct probe *p)
{
    TAPE t = {0};

    if (tape_open_ws(&t, p, NULL) && tape_send(&t, FRAME("${N}", "", ",'delay_ms':500")) &&
        tape_send(&t, "{'header':{'tenant_id':'${T}','message_id':'${N}-b'},'stream_id':'${N}',"
                      "'capability':'${C}','kind':'request',${P}}") &&
        refuses(&t, 0, "MIG_INVALID_REQUEST"))
        tape_find(&t, 0, "${N}", "response", WAIT_MS);
}

static void unknown_capability(struct probe *p)
{
    TAPE t = {0};

    if (tape_open_ws(&t, p, NULL) &&
        tape_send(&t, "{${I},'stream_id':'${N}','capability':'no.such','kind':'request',${P}}") &&
        refuses(&t, 0, "MIG_UNSUPPORTED_CAPABILITY; /end_stream = true; /stream_id = '${N}'"))
        still_answers(&t);
}

static void unknown_kind(struct probe *p)
{
    TAPE t = {0};

    if (tape_open_ws(&t, p, NULL) &&
        tape_send(&t, "{${I},'stream_id':'${N}','capability':'${C}','kind':'song',${P}}") &&
        refuses(&t, 0, "MIG_INVALID_REQUEST; says frame.kind must be request or control"))
        still_answers(&t);
}

static void malformed_json(struct probe *p)
{
    TAPE t = {0};

    if (tape_open_ws(&t, p, NULL) && tape_send(&t, "{'header':") &&
        refuses(&t, 0, "MIG_INVALID_REQUEST"))
        still_answers(&t);
}

static void ten_malformed_frames(struct probe *p)
{
    TAPE t = {0};

    if (!tape_open_ws(&t, p, NULL))
        return;
    for (int i = 0; i < 10 && ws_send(t.ws, WS_TEXT, S("{")); i++)
        tape_wait(&t, t.count + 1, 500);
    if (!tape_wait_end(&t, 1500))
        fail_check(p, "the end of the connection", "it is open after ten of them");
}

static void another_tenant_in_a_frame(struct probe *p)
{
    TAPE t = {0};

    if (tape_open_ws(&t, p, NULL) &&
        tape_send(&t,
                  "{'header':{'tenant_id':'someone-else'},'stream_id':'${N}','capability':'${C}',"
                  "'kind':'request',${P}}"))
        refuses(&t, 0, "MIG_FORBIDDEN");
}

static void no_tenant_at_all(struct probe *p)
{
    TAPE t = {0};

    if (tape_open_ws(&t, p, "-X-Tenant-ID") &&
        tape_send(&t, "{'header':{},'stream_id':'${N}','capability':'${C}','kind':'request',${P}}"))
        refuses(&t, 0, "MIG_INVALID_REQUEST; says tenant_id is required");
}

static void deadline(struct probe *p)
{
    TAPE t = {0};
    size_t at;

    if (!tape_open_ws(&t, p, NULL) ||
        !tape_send(&t, FRAME("${N}", ",'deadline_ms':300", ",'delay_ms':4000")))
        return;
    at = tape_find(&t, 0, "${N}", "error", 1500);
    if (at != SIZE_MAX)
        tape_wants(&t, at, "MIG_TIMEOUT; /error/retryable = true; /end_stream = true");
}

static void a_closed_connection_cancels(struct probe *p)
{
    TAPE t = {0};

    if (!tape_open_ws(&t, p, NULL) || !tape_send(&t, SLOW("${N}")))
        return;
    pause_ms(p, 150);
    tape_close(&t);
    pause_ms(p, 500);
    ask(p, "POST cancel/${N}", NULL, "{'header':{'tenant_id':'${T}'}}",
        "200; /status = 'completed'");
}

static void too_many_streams(struct probe *p)
{
    TAPE t = {0};

    if (!tape_open_ws(&t, p, NULL))
        return;
    for (int i = 0; i < 130; i++) {
        char frame[512];
        snprintf(frame, sizeof frame,
                 "{'header':{'tenant_id':'${T}','message_id':'${N}-%d'},'stream_id':'${N}-%d',"
                 "'capability':'${C}','kind':'request','payload':{'input':'x','delay_ms':2000}}",
                 i, i);
        if (!tape_send(&t, frame))
            return;
    }
    if (!tape_wait(&t, 1, 1000))
        skip_check(p, "the limit of streams of a connection is above 130");
    else
        refuses(&t, 0, "MIG_BACKPRESSURE");
}

static bool add_big(struct buf *b)
{
    buf_init(b, 1 << 20);
    buf_addz(b, "{'header':{'tenant_id':'${T}','message_id':'${N}','meta':{'mig.stream_preference':"
                "'server_stream'}},'stream_id':'${N}','capability':'${C}','kind':'request',"
                "'payload':{'input':'");
    for (size_t i = 0; i < BIG; i++)
        buf_addc(b, 'b');
    buf_addf(b, "','stream_chunks':%d}}", BIG_CHUNKS);
    return buf_addc(b, 0);
}

/* A reader that sleeps: the queue fills, the gateway says so, and loses nothing. */
static void a_slow_reader_is_told(struct probe *p)
{
    CLEANUP(buf_deinit) struct buf b = {0};
    TAPE t = {0};
    size_t at;

    if (!add_big(&b) || !tape_open_ws(&t, p, NULL) || !tape_send(&t, b.ptr))
        return;
    pause_ms(p, 800);
    at = tape_find(&t, 0, NULL, "control", 8000);
    if (at == SIZE_MAX || !tape_wants(&t, at,
                                      "/payload/action = 'backpressure'; /payload/queued : number; "
                                      "/payload/limit : number"))
        return;
    at = tape_find(&t, at + 1, NULL, "control", 8000);
    if (at != SIZE_MAX)
        tape_wants(&t, at, "/payload/action = 'resumed'");
}

static const struct check ws_rows[] = {
    {"ws.unary", STREAMING, "6.1", "one request frame, one terminal response",
     .run = one_frame_one_answer},
    {"ws.harness", STREAMING, "18.2", "the tenant of the frame is enough", .run = harness_frame},
    {"ws.stream_id", STREAMING, "1", "the default stream_id is stream-<message_id>",
     .run = default_stream_id},
    {"ws.chunks", STREAMING, "6.1", "chunks, then one terminal frame, numbered without a gap",
     NEED_STREAM | NEED_DELAY, .run = chunks_in_order},
    {"ws.interleave", STREAMING, "6.1", "streams of a connection interleave",
     NEED_STREAM | NEED_DELAY, .run = streams_interleave},
    {"ws.concurrent", STREAMING, "6.1", "a slow call does not block a quick one", NEED_DELAY,
     .run = slow_ones_block_nobody},
    {"ws.duplicate", STREAMING, "6.1", "a stream_id in use is refused, the stream goes on",
     NEED_DELAY, .run = stream_ids_are_unique},
    {"ws.unknown_capability", STREAMING, "10", "an unknown capability is an error frame",
     .run = unknown_capability},
    {"ws.unknown_kind", STREAMING, "6.1", "an unknown kind is an error frame", .run = unknown_kind},
    {"ws.malformed", STREAMING, "6.1", "a frame that is no JSON is an error frame",
     .run = malformed_json},
    {"ws.ten_malformed", STREAMING, "6.1", "ten of them close the connection",
     .run = ten_malformed_frames},
    {"ws.tenant", STREAMING, "3", "another tenant than the handshake's is refused",
     .run = another_tenant_in_a_frame},
    {"ws.no_tenant", STREAMING, "3", "a frame without any tenant is refused", NEED_NO_TOKEN,
     .run = no_tenant_at_all},
    {"ws.deadline", STREAMING, "6.1", "the deadline ends a stream", NEED_DELAY, .run = deadline},
    {"ws.disconnect", STREAMING, "6.1", "a closed connection cancels its streams", NEED_DELAY,
     .run = a_closed_connection_cancels},
    {"ws.too_many", STREAMING, "6.1", "streams beyond the limit are refused", NEED_DELAY,
     .run = too_many_streams},
    {"ws.backpressure", STREAMING, "6.3", "a slow reader is told, and when it goes on",
     NEED_STREAM | NEED_DELAY, .run = a_slow_reader_is_told},
};
const struct check_table ws_checks = {ws_rows, countof(ws_rows)};
