/* WebSocket below the frames of MIG: handshake, messages, closing (section 11.4). */
#include "ctl_conformance.h"

enum { WAIT_MS = 3000 };

#define UNARY                                                                                      \
    "{${I},'stream_id':'${N}','capability':'${C}','kind':'request','payload':{'input':'x'}}"

/* ---- the handshake ----------------------------------------------------------------------------
 */

static void shakes_hands(struct probe *p)
{
    TAPE t = {0};

    tape_open_ws(&t, p, NULL);
}

/* The status of a handshake with these lines and protocol; the head is checked with clauses. */
static void shake(struct probe *p, const char *heads, const char *protocol, unsigned status,
                  const char *want)
{
    CLEANUP(buf_deinit) struct buf lines = {0};
    CLEANUP(buf_deinit) struct buf expected = {0};
    CLEANUP(buf_deinit) struct buf came = {0};
    struct ws_answer a;
    struct ws *w;

    buf_init(&lines, HTTP_HEAD_MAX);
    buf_init(&expected, 4096);
    buf_init(&came, 4096);
    add_heads(p, &lines, heads);
    w = ws_open(p->client, &(struct ws_offer){"/mig/v0.1/stream", protocol, buf_str(&lines), 1500},
                &a);
    if (status ? a.status != status : a.status < 400)
        fail_check(p, status ? "101" : "a refusal (4xx)", "status %u%s%s", a.status,
                   a.fault ? ", " : "", a.fault ? a.fault : "");
    else if (!want_check(&(struct answer){a.status, buf_str(&a.head), {0}}, str_of(want), &expected,
                         &came))
        fail_check(p, want, "%.*s", STR_ARG(buf_str(&came)));
    ws_free(w);
    ws_answer_deinit(&a);
}

static void names_the_subprotocol(struct probe *p)
{
    shake(p, NULL, "mig.v0.1", 101, "head Sec-WebSocket-Protocol = mig.v0.1");
}

static void needs_no_subprotocol(struct probe *p)
{
    shake(p, NULL, NULL, 101, "head Sec-WebSocket-Protocol absent");
}

static void refuses_foreign_pages(struct probe *p)
{
    shake(p, "Origin: https://foreign.example", "mig.v0.1", 0, "");
}

static void wants_a_token(struct probe *p)
{
    shake(p, "-Authorization", "mig.v0.1", 401, "");
}

/* ---- the protocol below -----------------------------------------------------------------------
 */

static void binary_frames(struct probe *p)
{
    CLEANUP(buf_deinit) struct buf b = {0};
    TAPE t = {0};

    buf_init(&b, 65536);
    expand(p, &b, UNARY, true);
    if (tape_open_ws(&t, p, NULL) && ws_send(t.ws, WS_BINARY, buf_str(&b)))
        tape_is_stream(&t, "${N}", 0, "response", WAIT_MS);
}

static void fragments(struct probe *p)
{
    CLEANUP(buf_deinit) struct buf text = {0};
    CLEANUP(buf_deinit) struct buf raw = {0};
    TAPE t = {0};
    str s;

    buf_init(&text, 65536);
    buf_init(&raw, 65536);
    expand(p, &text, UNARY, true);
    s = buf_str(&text);
    ws_add_frame(&raw, (struct ws_frame){.opcode = WS_TEXT}, (str){s.ptr, 10});
    ws_add_frame(&raw, (struct ws_frame){.opcode = WS_PING, .is_last = true}, S("between"));
    ws_add_frame(&raw, (struct ws_frame){.opcode = WS_CONTINUATION}, (str){s.ptr + 10, 20});
    ws_add_frame(&raw, (struct ws_frame){.opcode = WS_CONTINUATION, .is_last = true},
                 str_cut(s, 30));
    if (tape_open_ws(&t, p, NULL) && ws_send_raw(t.ws, buf_str(&raw)) &&
        tape_find(&t, 0, "${N}", "response", WAIT_MS) != SIZE_MAX &&
        !str_eq(t.list[0].event, S("pong")))
        fail_check(p, "the pong before the answer", "%.300s", t.list[0].data.ptr);
}

static void pings(struct probe *p)
{
    TAPE t = {0};

    if (!tape_open_ws(&t, p, NULL) || !ws_send(t.ws, WS_PING, S("are you there")))
        return;
    if (!tape_wait(&t, 1, 1500) || !str_eq(t.list[0].event, S("pong")) ||
        !str_eq(t.list[0].data, S("are you there")))
        fail_check(p, "a pong with the same text", "%.300s",
                   t.count ? t.list[0].data.ptr : "nothing");
}

/* What is sent has to end the connection with this code. */
static void ends_with(struct tape *t, str raw, unsigned code)
{
    ws_send_raw(t->ws, raw);
    if (!tape_wait_end(t, 3000))
        fail_check(t->probe, "the end of the connection", "it is open");
    else if (ws_close_code(t->ws) != code && ws_close_code(t->ws) != 1006)
        fail_check(t->probe, "another code of the closing frame", "%u instead of %u",
                   ws_close_code(t->ws), code);
}

static void send_frame_that_ends(struct probe *p, struct ws_frame f, str data, unsigned code)
{
    CLEANUP(buf_deinit) struct buf raw = {0};
    TAPE t = {0};

    buf_init(&raw, 16 << 20);
    ws_add_frame(&raw, f, data);
    if (tape_open_ws(&t, p, NULL))
        ends_with(&t, buf_str(&raw), code);
}

static void unmasked(struct probe *p)
{
    send_frame_that_ends(p,
                         (struct ws_frame){.opcode = WS_TEXT, .is_last = true, .is_unmasked = true},
                         S("{}"), 1002);
}

static void broken_utf8(struct probe *p)
{
    send_frame_that_ends(p, (struct ws_frame){.opcode = WS_TEXT, .is_last = true},
                         S("{\"a\":\"\xFF\xFE\"}"), 1007);
}

static void too_large(struct probe *p)
{
    CLEANUP(buf_deinit) struct buf text = {0};

    buf_init(&text, 16 << 20);
    for (size_t i = 0; i < (5u << 20); i++)
        buf_addc(&text, ' ');
    send_frame_that_ends(p, (struct ws_frame){.opcode = WS_TEXT, .is_last = true}, buf_str(&text),
                         1009);
}

static void closes(struct probe *p)
{
    TAPE t = {0};

    if (!tape_open_ws(&t, p, NULL))
        return;
    ws_close(t.ws, 1000);
    if (!tape_wait_end(&t, 1500))
        fail_check(p, "the end of the connection", "it is open");
    else if (ws_close_code(t.ws) == 1006)
        fail_check(p, "a closing frame in return", "none");
}

static const struct check socket_rows[] = {
    {"ws.handshake", STREAMING, "11.4", "a WebSocket opens", .run = shakes_hands},
    {"ws.subprotocol", STREAMING, "11.4", "the subprotocol mig.v0.1 is taken",
     .run = names_the_subprotocol},
    {"ws.no_subprotocol", STREAMING, "11.4", "no subprotocol is needed",
     .run = needs_no_subprotocol},
    {"ws.origin", STREAMING, "11.4", "a page of another origin is refused",
     .run = refuses_foreign_pages},
    {"ws.token", STREAMING, "11.4", "the handshake needs a token", NEED_TOKEN,
     .run = wants_a_token},
    {"ws.binary", STREAMING, "11.4", "binary messages are read", .run = binary_frames},
    {"ws.fragments", STREAMING, "11.4", "fragments are put together", .run = fragments},
    {"ws.ping", STREAMING, "11.4", "a ping is answered", .run = pings},
    {"ws.unmasked", STREAMING, "11.4", "an unmasked frame ends the connection", .run = unmasked},
    {"ws.utf8", STREAMING, "11.4", "text that is not UTF-8 ends the connection",
     .run = broken_utf8},
    {"ws.too_large", STREAMING, "11.4", "a message beyond 4 MiB ends the connection",
     .run = too_large},
    {"ws.close", STREAMING, "11.4", "a closing frame is answered", .run = closes},
};
const struct check_table socket_checks = {socket_rows, countof(socket_rows)};
