#include "unit.h"
#include "net/ws_handshake.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" /* RFC 6455 1.3 */
#define HEAD                                                                                       \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Accept: " ACCEPT "\r\n"
#define DEFLATE                                                                                    \
    "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "                   \
    "client_no_context_takeover"

enum { UPGRADE, CONNECTION, VERSION, THE_KEY, USUAL };

static struct arena_pool chunks;

/* The usual four headers and up to three more, "name: value"; a NULL leaves one out. */
static struct ws_agreement ask(const char *const usual[USUAL], const char *const more[3],
                               bool allow_deflate, char *ret_head, size_t size)
{
    static const char *const names[] = {"upgrade", "connection", "sec-websocket-version",
                                        "sec-websocket-key"};
    static const str protocols[] = {S("mig.v0.1"), S("mig.v0.2")};
    struct arena *a = arena_new(&chunks, 65536);
    struct ws_agreement agreed;
    mig_header headers[USUAL + 3];
    uint32_t count = 0;

    for (size_t i = 0; i < USUAL; i++)
        if (usual[i])
            headers[count++] = (mig_header){str_of(names[i]), str_of(usual[i])};
    for (size_t i = 0; more && i < 3 && more[i]; i++) {
        str line = str_of(more[i]), name = str_split(&line, ':');
        headers[count++] = (mig_header){name, str_trim(line)};
    }
    bool ok = ws_accept(headers, count, protocols, 2, allow_deflate, a, &agreed);
    assert_int_equal(ok, agreed.status == 101);
    snprintf(ret_head, size, "%.*s", STR_ARG(agreed.head));
    arena_unref(a);
    return agreed;
}

static const struct {
    const char *usual[USUAL];
    const char *more[3];
    unsigned status;
    const char *reason;
} requests[] = {
    {{"websocket", "Upgrade", "13", KEY}, {0}, 101, NULL},
    {{"WebSocket", "keep-alive, Upgrade", "13", KEY}, {0}, 101, NULL},
    {{"h2c, websocket", "upgrade", " 13 ", " " KEY " "}, {0}, 101, NULL},
    {{"h2c", "keep-alive", "13", KEY}, {"upgrade: websocket", "connection: upgrade"}, 101, NULL},
    {{NULL, "Upgrade", "13", KEY}, {0}, 426, "no_upgrade"},
    {{"h2c", "Upgrade", "13", KEY}, {0}, 426, "no_upgrade"},
    {{"websocket2", "Upgrade", "13", KEY}, {0}, 426, "no_upgrade"},
    {{"websocket", NULL, "13", KEY}, {0}, 400, "no_connection_upgrade"},
    {{"websocket", "close", "13", KEY}, {0}, 400, "no_connection_upgrade"},
    {{"websocket", "upgrades", "13", KEY}, {0}, 400, "no_connection_upgrade"},
    {{"websocket", "Upgrade", NULL, KEY}, {0}, 426, "version"},
    {{"websocket", "Upgrade", "8", KEY}, {0}, 426, "version"},
    {{"websocket", "Upgrade", "130", KEY}, {0}, 426, "version"},
    {{"websocket", "Upgrade", "", KEY}, {0}, 426, "version"},
    {{"websocket", "Upgrade", "13", KEY}, {"sec-websocket-version: 13"}, 426, "version"},
    {{"websocket", "Upgrade", "13", NULL}, {0}, 400, "key"},
    {{"websocket", "Upgrade", "13", ""}, {0}, 400, "key"},
    {{"websocket", "Upgrade", "13", "dGhlIHNhbXBsZSBub25jZQ="}, {0}, 400, "key"},
    {{"websocket", "Upgrade", "13", "dGhlIHNhbXBsZSBub25jZQ==="}, {0}, 400, "key"},
    {{"websocket", "Upgrade", "13", "dGhlIHNhbXBsZSBub25jZQo="}, {0}, 400, "key"},
    {{"websocket", "Upgrade", "13", "dGhlIHNhbXBsZ-Bub25jZQ=="}, {0}, 400, "key"},
    {{"websocket", "Upgrade", "13", "dGhlIHNhb=BsZSBub25jZQ=="}, {0}, 400, "key"},
    {{"websocket", "Upgrade", "13", KEY}, {"sec-websocket-key: " KEY}, 400, "key"},
    {{"websocket", "Upgrade", "13", KEY}, {"sec-websocket-extensions: a b"}, 400, "extensions"},
    {{"websocket", "Upgrade", "13", KEY}, {"sec-websocket-extensions: ;"}, 400, "extensions"},
    {{"websocket", "Upgrade", "13", KEY}, {"sec-websocket-extensions: a;"}, 400, "extensions"},
    {{"websocket", "Upgrade", "13", KEY}, {"sec-websocket-extensions: a; b="}, 400, "extensions"},
    {{"websocket", "Upgrade", "13", KEY},
     {"sec-websocket-extensions: a; b=\"1"},
     400,
     "extensions"},
    {{"websocket", "Upgrade", "13", KEY},
     {"sec-websocket-extensions: a; b=\"\""},
     400,
     "extensions"},
    {{"websocket", "Upgrade", "13", KEY},
     {"sec-websocket-extensions: a; b=\"1 2\""},
     400,
     "extensions"},
    {{"websocket", "Upgrade", "13", KEY},
     {"sec-websocket-extensions: a; b=\"\\"},
     400,
     "extensions"},
    {{"websocket", "Upgrade", "13", KEY}, {"sec-websocket-extensions: @"}, 400, "extensions"},
    {{"websocket", "Upgrade", "13", KEY}, {"sec-websocket-extensions: , x-a ,, b;c=d"}, 101, NULL},
};

static void a_request_is_agreed_to_or_refused_with_the_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(requests); i++) {
        char head[1000];
        struct ws_agreement got = ask(requests[i].usual, requests[i].more, true, head, sizeof head);
        if (got.status != requests[i].status)
            fail_msg("request %zu: %u", i, got.status);
        assert_string_equal(head, got.status == 101 ? HEAD "\r\n" : "");
        if (requests[i].reason)
            assert_string_equal(got.reason, requests[i].reason);
        else
            assert_null(got.reason);
        assert_int_equal(got.header_count, got.status == 426 ? 1 : 0);
        if (got.header_count) {
            assert_str(got.headers[0].name, "sec-websocket-version");
            assert_str(got.headers[0].value, "13");
        }
    }
}

static const char *const usual[USUAL] = {"websocket", "Upgrade", "13", KEY};

static void the_first_protocol_of_the_client_that_we_speak_is_chosen(void **state)
{
    static const struct {
        const char *more[3];
        const char *want;
    } cases[] = {
        {{0}, ""},
        {{"sec-websocket-protocol: mig.v0.1"}, "mig.v0.1"},
        {{"sec-websocket-protocol: chat, mig.v0.2 ,mig.v0.1"}, "mig.v0.2"},
        {{"sec-websocket-protocol: chat", "sec-websocket-protocol: mig.v0.1"}, "mig.v0.1"},
        {{"sec-websocket-protocol: chat"}, ""},
        {{"sec-websocket-protocol: MIG.v0.1"}, ""},
        {{"sec-websocket-protocol: "}, ""},
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        char head[1000], line[100] = "";
        struct ws_agreement got = ask(usual, cases[i].more, true, head, sizeof head);
        assert_str(got.protocol, cases[i].want);
        if (*cases[i].want)
            snprintf(line, sizeof line, "Sec-WebSocket-Protocol: %s\r\n\r\n", cases[i].want);
        assert_true(str_ends(str_of(head), str_of(line)));
        assert_int_equal(strstr(head, "Protocol:") != NULL, *cases[i].want != 0);
    }
}

#define OFFER(s)                                                                                   \
    {                                                                                              \
        "sec-websocket-extensions: " s                                                             \
    }

static const struct {
    const char *more[3];
    uint8_t bits;
    const char *also; /* behind the two parameters that we always set */
} offers[] = {
    {OFFER("permessage-deflate"), 15, ""},
    {OFFER("Permessage-Deflate"), 15, ""},
    {OFFER("permessage-deflate; client_max_window_bits"), 15, ""}, /* what browsers say */
    {OFFER("permessage-deflate;client_max_window_bits=10"), 15, ""},
    {OFFER("permessage-deflate; client_max_window_bits=8"), 15, ""},
    {OFFER("permessage-deflate; server_max_window_bits=10"), 10, "; server_max_window_bits=10"},
    {OFFER("permessage-deflate; server_max_window_bits=\"10\""), 10, "; server_max_window_bits=10"},
    {OFFER("permessage-deflate; server_max_window_bits=\"1\\0\""), 10,
     "; server_max_window_bits=10"},
    {OFFER("permessage-deflate ; server_max_window_bits = 9"), 9, "; server_max_window_bits=9"},
    {OFFER("permessage-deflate; server_max_window_bits=15"), 15, "; server_max_window_bits=15"},
    {OFFER("permessage-deflate; server_no_context_takeover; client_no_context_takeover"), 15, ""},
    {OFFER("x-webkit-deflate-frame, permessage-deflate"), 15, ""},
    {{"sec-websocket-extensions: x-other; a=b", "sec-websocket-extensions: permessage-deflate"},
     15,
     ""},
    /* declined, and the next one taken */
    {OFFER("permessage-deflate; server_max_window_bits=8, permessage-deflate"), 15, ""},
    {OFFER("permessage-deflate; what=1, permessage-deflate; server_max_window_bits=12"), 12,
     "; server_max_window_bits=12"},
    /* the first that is possible wins */
    {OFFER("permessage-deflate; server_max_window_bits=11, permessage-deflate"), 11,
     "; server_max_window_bits=11"},
    /* declined */
    {OFFER("permessage-deflate; server_max_window_bits=8"), 0, NULL},
    {OFFER("permessage-deflate; server_max_window_bits=7"), 0, NULL},
    {OFFER("permessage-deflate; server_max_window_bits=16"), 0, NULL},
    {OFFER("permessage-deflate; server_max_window_bits=010"), 0, NULL},
    {OFFER("permessage-deflate; server_max_window_bits=09"), 0, NULL},
    {OFFER("permessage-deflate; server_max_window_bits=10000000000"), 0, NULL},
    {OFFER("permessage-deflate; server_max_window_bits=1x"), 0, NULL},
    {OFFER("permessage-deflate; server_max_window_bits"), 0, NULL},
    {OFFER("permessage-deflate; client_max_window_bits=7"), 0, NULL},
    {OFFER("permessage-deflate; client_max_window_bits; client_max_window_bits"), 0, NULL},
    {OFFER("permessage-deflate; server_no_context_takeover=1"), 0, NULL},
    {OFFER("permessage-deflate; client_no_context_takeover; client_no_context_takeover"), 0, NULL},
    {OFFER("permessage-deflate; mystery"), 0, NULL},
    {OFFER("permessage-bzip2"), 0, NULL},
    {{0}, 0, NULL},
};

static void deflate_is_agreed_to_as_rfc_7692_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(offers); i++) {
        char head[1000], want[1000];
        struct ws_agreement got = ask(usual, offers[i].more, true, head, sizeof head);
        snprintf(want, sizeof want, HEAD "%s%s%s\r\n", offers[i].also ? DEFLATE : "",
                 offers[i].also ? offers[i].also : "", offers[i].also ? "\r\n" : "");
        if (got.window_bits != offers[i].bits)
            fail_msg("offer %zu: %u bits", i, got.window_bits);
        assert_string_equal(head, want);
        got = ask(usual, offers[i].more, /*allow_deflate=*/false, head, sizeof head);
        assert_int_equal(got.window_bits, 0);
        assert_string_equal(head, HEAD "\r\n");
    }
}

static void without_memory_the_answer_is_503(void **state)
{
    const mig_header headers[] = {{S("upgrade"), S("websocket")},
                                  {S("connection"), S("upgrade")},
                                  {S("sec-websocket-version"), S("13")},
                                  {S("sec-websocket-key"), S(KEY)}};
    struct arena *a = arena_new(&chunks, ARENA_CHUNK);
    struct ws_agreement got;

    (void)state;
    while (arena_alloc(a, 64))
        continue;
    assert_false(ws_accept(headers, 4, NULL, 0, true, a, &got));
    assert_int_equal(got.status, 503);
    assert_int_equal(got.head.len, 0);
    arena_unref(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {T(a_request_is_agreed_to_or_refused_with_the_reason),
                                       T(the_first_protocol_of_the_client_that_we_speak_is_chosen),
                                       T(deflate_is_agreed_to_as_rfc_7692_says),
                                       T(without_memory_the_answer_is_503)};
    int r = RUN(tests);
    arena_pool_deinit(&chunks);
    return r;
}
