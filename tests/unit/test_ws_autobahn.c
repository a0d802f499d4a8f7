/* Conversations with a WebSocket, numbered as the cases of the Autobahn testsuite (1 to 7, 9, 10; 6.5 to
 * 6.23 are in test_ws_utf8.c, 12 and 13 below). Each is fed at once, byte by byte, and in two pieces cut
 * at every place: the trace must not differ. It is explained in test_ws.h. */
#include "test_ws.h"

#define TEXT(s)                                                                                    \
    {                                                                                              \
        FIN | WS_TEXT, {"" s, sizeof(s) - 1}, 0                                                    \
    }
#define TEXT_(s)                                                                                   \
    {                                                                                              \
        WS_TEXT, {"" s, sizeof(s) - 1}, 0                                                          \
    } /* not final */
#define BIN(s)                                                                                     \
    {                                                                                              \
        FIN | WS_BINARY, {"" s, sizeof(s) - 1}, 0                                                  \
    }
#define CONT(s)                                                                                    \
    {                                                                                              \
        FIN | WS_CONTINUATION, {"" s, sizeof(s) - 1}, 0                                            \
    }
#define CONT_(s)                                                                                   \
    {                                                                                              \
        WS_CONTINUATION, {"" s, sizeof(s) - 1}, 0                                                  \
    }
#define PING(s)                                                                                    \
    {                                                                                              \
        FIN | WS_PING, {"" s, sizeof(s) - 1}, 0                                                    \
    }
#define PONG(s)                                                                                    \
    {                                                                                              \
        FIN | WS_PONG, {"" s, sizeof(s) - 1}, 0                                                    \
    }
#define CLOSE(s)                                                                                   \
    {                                                                                              \
        FIN | WS_CLOSE, {"" s, sizeof(s) - 1}, 0                                                   \
    }
#define FRAME(first, s)                                                                            \
    {                                                                                              \
        first, {"" s, sizeof(s) - 1}, 0                                                            \
    }
#define FILL(first, n)                                                                             \
    {                                                                                              \
        first, {NULL, 0}, n                                                                        \
    }

#define FAIL(reason) ">C1002 F1002:" reason
#define TEN(x) x, x, x, x, x, x, x, x, x, x

static const struct row {
    const char *id;
    struct frame frames[12];
    const char *want;
} rows[] = {
    {"1.1.1", {TEXT("")}, "T0:"},
    {"1.1.2", {FILL(FIN | WS_TEXT, 125)}, "T125=*"},
    {"1.1.3", {FILL(FIN | WS_TEXT, 126)}, "T126=*"},
    {"1.1.4", {FILL(FIN | WS_TEXT, 127)}, "T127=*"},
    {"1.1.5", {FILL(FIN | WS_TEXT, 128)}, "T128=*"},
    {"1.1.6", {FILL(FIN | WS_TEXT, 65535)}, "T65535=*"},
    {"1.1.7", {FILL(FIN | WS_TEXT, 65536)}, "T65536=*"},
    {"1.1.8", {FILL(FIN | WS_TEXT, 65537)}, "T65537=*"},
    {"1.2.1", {BIN("")}, "B0:"},
    {"1.2.2", {FILL(FIN | WS_BINARY, 125)}, "B125=*"},
    {"1.2.3", {FILL(FIN | WS_BINARY, 126)}, "B126=*"},
    {"1.2.4", {FILL(FIN | WS_BINARY, 127)}, "B127=*"},
    {"1.2.5", {FILL(FIN | WS_BINARY, 128)}, "B128=*"},
    {"1.2.6", {FILL(FIN | WS_BINARY, 65535)}, "B65535=*"},
    {"1.2.7", {FILL(FIN | WS_BINARY, 65536)}, "B65536=*"},
    {"1.2.8", {FILL(FIN | WS_BINARY, 65537)}, "B65537=*"},

    {"2.1", {PING("")}, ">O0:"},
    {"2.2", {PING("Hello,world!")}, ">O12:Hello,world!"},
    {"2.3", {PING("\x00\xFF\xFE\xFD\xFC\xFB\x00\xFF")}, ">O8:<00><FF><FE><FD><FC><FB><00><FF>"},
    {"2.4", {FILL(FIN | WS_PING, 125)}, ">O125=*"},
    {"2.5", {FILL(FIN | WS_PING, 126)}, FAIL("control_too_long")},
    {"2.5 pong", {FILL(FIN | WS_PONG, 126)}, FAIL("control_too_long")},
    {"2.5 64K", {FILL(FIN | WS_PING, 65536)}, FAIL("control_too_long")},
    {"2.7", {PONG("")}, "O0:"},
    {"2.8", {PONG("unsolicited")}, "O11:unsolicited"},
    {"2.9", {PONG("unsolicited"), PING("p")}, "O11:unsolicited >O1:p"},
    {"2.10", {TEN(PING("p"))}, ">O1:p >O1:p >O1:p >O1:p >O1:p >O1:p >O1:p >O1:p >O1:p >O1:p"},

    {"3.1", {FRAME(FIN | 0x10 | WS_TEXT, "a")}, FAIL("reserved_bits")},
    {"3.2", {TEXT("a"), FRAME(FIN | 0x20 | WS_TEXT, "b"), PING("")}, "T1:a " FAIL("reserved_bits")},
    {"3.3", {TEXT("a"), FRAME(FIN | 0x30 | WS_TEXT, "b"), PING("")}, "T1:a " FAIL("reserved_bits")},
    {"3.4", {TEXT("a"), FRAME(FIN | 0x40 | WS_TEXT, "b"), PING("")}, "T1:a " FAIL("reserved_bits")},
    {"3.5", {FRAME(FIN | 0x50 | WS_BINARY, "\x00\xFF")}, FAIL("reserved_bits")},
    {"3.6", {FRAME(FIN | 0x60 | WS_PING, "a")}, FAIL("reserved_bits")},
    {"3.7", {FRAME(FIN | 0x70 | WS_CLOSE, "\x03\xE8")}, FAIL("reserved_bits")},
    {"3.7 pong", {FRAME(FIN | 0x40 | WS_PONG, "")}, FAIL("reserved_bits")},
    {"3.7 cont", {TEXT_("a"), FRAME(FIN | 0x40, "b")}, FAIL("reserved_bits")},

    {"4.1.1", {FRAME(FIN | 3, "")}, FAIL("reserved_opcode")},
    {"4.1.2", {FRAME(FIN | 4, "payload")}, FAIL("reserved_opcode")},
    {"4.1.3", {TEXT("a"), FRAME(FIN | 5, ""), PING("")}, "T1:a " FAIL("reserved_opcode")},
    {"4.1.4", {TEXT("a"), FRAME(FIN | 6, "x"), PING("")}, "T1:a " FAIL("reserved_opcode")},
    {"4.1.5", {TEXT("a"), FRAME(FIN | 7, "x"), PING("")}, "T1:a " FAIL("reserved_opcode")},
    {"4.2.1", {FRAME(FIN | 11, "")}, FAIL("reserved_opcode")},
    {"4.2.2", {FRAME(FIN | 12, "payload")}, FAIL("reserved_opcode")},
    {"4.2.3", {TEXT("a"), FRAME(FIN | 13, ""), PING("")}, "T1:a " FAIL("reserved_opcode")},
    {"4.2.4", {TEXT("a"), FRAME(FIN | 14, "x"), PING("")}, "T1:a " FAIL("reserved_opcode")},
    {"4.2.5", {TEXT("a"), FRAME(FIN | 15, "x"), PING("")}, "T1:a " FAIL("reserved_opcode")},

    {"5.1", {FRAME(WS_PING, "frag"), CONT("ment")}, FAIL("control_fragmented")},
    {"5.2", {FRAME(WS_PONG, "frag"), CONT("ment")}, FAIL("control_fragmented")},
    {"5.2 close", {FRAME(WS_CLOSE, ""), CONT("")}, FAIL("control_fragmented")},
    {"5.3", {TEXT_("frag"), CONT("ment")}, "T8:fragment"},
    {"5.4", {FRAME(WS_BINARY, "frag"), CONT("ment")}, "B8:fragment"},
    {"5.6", {TEXT_("frag"), PING("p"), CONT("ment")}, ">O1:p T8:fragment"},
    {"5.7", {TEXT_("frag"), PONG("p"), CONT("ment")}, "O1:p T8:fragment"},
    {"5.8",
     {TEXT_("f"), PING("1"), CONT_("ragmen"), PING("2"), CONT("t")},
     ">O1:1 >O1:2 T8:fragment"},
    {"5.9", {CONT("none"), TEXT("a")}, FAIL("continuation_of_nothing")},
    {"5.10", {CONT(""), TEXT("a")}, FAIL("continuation_of_nothing")},
    {"5.11", {TEXT("a"), CONT("none")}, "T1:a " FAIL("continuation_of_nothing")},
    {"5.12", {CONT_("none"), TEXT("a")}, FAIL("continuation_of_nothing")},
    {"5.13", {CONT_(""), TEXT("a")}, FAIL("continuation_of_nothing")},
    {"5.14", {TEXT("a"), CONT_("none")}, "T1:a " FAIL("continuation_of_nothing")},
    {"5.15",
     {TEXT_("a"), CONT("b"), CONT_("c"), TEXT("d")},
     "T2:ab " FAIL("continuation_of_nothing")},
    {"5.16", {CONT_("a"), TEXT("b"), CONT_("c")}, FAIL("continuation_of_nothing")},
    {"5.17", {CONT("a"), TEXT("b"), CONT("c")}, FAIL("continuation_of_nothing")},
    {"5.18", {TEXT_("a"), TEXT("b")}, FAIL("continuation_missing")},
    {"5.18 binary", {TEXT_("a"), BIN("b")}, FAIL("continuation_missing")},
    {"5.18 empty", {TEXT_(""), TEXT("")}, FAIL("continuation_missing")},
    {"5.19",
     {TEXT_("a"), CONT_("b"), PING("1"), CONT_("c"), CONT_("d"), PING("2"), CONT("e")},
     ">O1:1 >O1:2 T5:abcde"},
    {"5.20",
     {TEXT_("a"), CONT(""), PING("1"), TEXT_(""), CONT_(""), PING("2"), CONT("e")},
     "T1:a >O1:1 >O1:2 T1:e"},

    {"6.1.1", {TEXT("")}, "T0:"},
    {"6.1.2", {TEXT_(""), CONT_(""), CONT("")}, "T0:"},
    {"6.1.3", {TEXT_(""), CONT_("middle"), CONT("")}, "T6:middle"},
    {"6.2.1", {TEXT("Hello-\xC2\xB5@")}, "T9:Hello-<C2><B5>@"},
    {"6.2.2", {TEXT_("Hello-\xC2\xB5"), CONT("@")}, "T9:Hello-<C2><B5>@"},
    {"6.2.3", {TEXT_("Hello-\xC2"), CONT_("\xB5"), CONT("@")}, "T9:Hello-<C2><B5>@"},
    {"6.2.4", {TEXT_("\xE1"), CONT_("\xBD"), CONT("\xB9")}, "T3:<E1><BD><B9>"},
    {"6.3.1",
     {TEXT("\xCE\xBA\xED\xA0\x80"
           "edited")},
     ">C1007 F1007:invalid_utf8"},
    {"6.3.2", {TEXT_("\xCE\xBA\xED"), CONT("\xA0\x80")}, ">C1007 F1007:invalid_utf8"},
    {"6.4.1", {TEXT_("\xCE\xBA"), CONT_("\xF4\x90"), CONT("end")}, ">C1007 F1007:invalid_utf8"},
    {"6.4.2", {TEXT_("\xCE\xBA\xF4"), CONT_("\x90"), CONT("end")}, ">C1007 F1007:invalid_utf8"},
    {"6.4.3", {TEXT_("\xCE"), PING("p"), CONT_("A")}, ">O1:p >C1007 F1007:invalid_utf8"},
    {"6.4.4", {TEXT("\xCE"), PING("p")}, ">C1007 F1007:invalid_utf8"},

    {"7.1.1", {TEXT("a"), CLOSE("\x03\xE8")}, "T1:a >C1000 C1000"},
    {"7.1.2", {CLOSE("\x03\xE8"), CLOSE("\x03\xE8")}, ">C1000 C1000"},
    {"7.1.3", {CLOSE("\x03\xE8"), PING("")}, ">C1000 C1000"},
    {"7.1.4", {CLOSE("\x03\xE8"), TEXT("a")}, ">C1000 C1000"},
    {"7.1.5", {TEXT_("a"), CLOSE("\x03\xE8"), CONT("b")}, ">C1000 C1000"},
    {"7.1.6", {FILL(FIN | WS_TEXT, 262144), CLOSE("\x03\xE8"), PING("")}, "T262144=* >C1000 C1000"},
    {"7.3.1", {CLOSE("")}, ">C1005 C1005"},
    {"7.3.2", {CLOSE("a")}, FAIL("invalid_close_code")},
    {"7.3.3", {CLOSE("\x03\xE8")}, ">C1000 C1000"},
    {"7.3.4",
     {CLOSE("\x03\xE8"
            "bye")},
     ">C1000 C1000:bye"},
    {"7.3.5", {FILL(FIN | WS_CLOSE, 125)}, FAIL("invalid_close_code")}, // "**" is 10794
    {"7.3.6", {FILL(FIN | WS_CLOSE, 126)}, FAIL("control_too_long")},
    {"7.5.1", {CLOSE("\x03\xE8\xCE\xBA\xED\xA0\x80")}, ">C1007 F1007:invalid_close_reason"},
    {"7.5.1 cut", {CLOSE("\x03\xE8\xCE")}, ">C1007 F1007:invalid_close_reason"},
    {"7.7.1", {CLOSE("\x03\xE8")}, ">C1000 C1000"},
    {"7.7.2", {CLOSE("\x03\xE9")}, ">C1001 C1001"},
    {"7.7.3", {CLOSE("\x03\xEA")}, ">C1002 C1002"},
    {"7.7.4", {CLOSE("\x03\xEB")}, ">C1003 C1003"},
    {"7.7.5", {CLOSE("\x03\xEF")}, ">C1007 C1007"},
    {"7.7.6", {CLOSE("\x03\xF0")}, ">C1008 C1008"},
    {"7.7.7", {CLOSE("\x03\xF1")}, ">C1009 C1009"},
    {"7.7.8", {CLOSE("\x03\xF2")}, ">C1010 C1010"},
    {"7.7.9", {CLOSE("\x03\xF3")}, ">C1011 C1011"},
    {"7.7.10", {CLOSE("\x0B\xB8")}, ">C3000 C3000"},
    {"7.7.11", {CLOSE("\x0F\x9F")}, ">C3999 C3999"},
    {"7.7.12", {CLOSE("\x0F\xA0")}, ">C4000 C4000"},
    {"7.7.13", {CLOSE("\x13\x87")}, ">C4999 C4999"},
    {"7.7 1012", {CLOSE("\x03\xF4")}, ">C1012 C1012"},
    {"7.7 1014", {CLOSE("\x03\xF6")}, ">C1014 C1014"},
    {"7.9.1", {CLOSE("\x00\x00")}, FAIL("invalid_close_code")},
    {"7.9.2", {CLOSE("\x03\xE7")}, FAIL("invalid_close_code")},
    {"7.9.3", {CLOSE("\x03\xEC")}, FAIL("invalid_close_code")},
    {"7.9.4", {CLOSE("\x03\xED")}, FAIL("invalid_close_code")},
    {"7.9.5", {CLOSE("\x03\xEE")}, FAIL("invalid_close_code")},
    {"7.9 1015", {CLOSE("\x03\xF7")}, FAIL("invalid_close_code")},
    {"7.9.6", {CLOSE("\x03\xF8")}, FAIL("invalid_close_code")},
    {"7.9.7", {CLOSE("\x04\x4C")}, FAIL("invalid_close_code")},
    {"7.9.8", {CLOSE("\x07\xD0")}, FAIL("invalid_close_code")},
    {"7.9.9", {CLOSE("\x0B\xB7")}, FAIL("invalid_close_code")},
    {"7.13.1", {CLOSE("\x13\x88")}, FAIL("invalid_close_code")},
    {"7.13.2", {CLOSE("\xFF\xFF")}, FAIL("invalid_close_code")},

    {"9.1.2", {FILL(FIN | WS_TEXT, 262144)}, "T262144=*"},
    {"9.1.3", {FILL(FIN | WS_TEXT, 1048576)}, "T1048576=*"},
    {"9.2.3", {FILL(FIN | WS_BINARY, 1048576)}, "B1048576=*"},
    {"9.1 limit", {FILL(FIN | WS_TEXT, 1048577)}, ">C1009 F1009:message_too_big"},
    {"9.2 limit", {FILL(FIN | WS_BINARY, 4194304)}, ">C1009 F1009:message_too_big"},
    {"9.3 limit", {FILL(WS_TEXT, 1048576), CONT("a")}, ">C1009 F1009:message_too_big"},
    {"9.3 exact", {FILL(WS_TEXT, 1048575), CONT("*")}, "T1048576=*"},
};

enum { MAX = 1 << 20, EVERY_PLACE = 600 };
static struct ws_pool *pool;

static int start(void **state)
{
    (void)state;
    pool = ws_pool_new();
    return pool ? 0 : 1;
}

static int stop(void **state)
{
    (void)state;
    ws_pool_free(pool);
    return 0;
}

/* First `head` bytes, then pieces of `cut`. */
static void check_cut(const char *id, str in, uint8_t window_bits, const char *want, size_t head,
                      size_t cut)
{
    struct peer p;
    mig_status last = MIG_OK;

    peer_start(&p, pool, MAX, window_bits);
    if (head)
        last = peer_feed(&p, (str){in.ptr, head});
    for (size_t at = head; at < in.len && last == MIG_OK; at += cut)
        last = peer_feed(&p, (str){in.ptr + at, in.len - at < cut ? in.len - at : cut});
    if (!str_eq(str_trim(buf_str(&p.trace)), str_trim(str_of(want))))
        fail_msg("%s, cut %zu + %zu: %.*s, not %s", id, head, cut, STR_ARG(buf_str(&p.trace)),
                 want);
    if (last == MIG_E_GONE) // and so it stays
        assert_int_equal(peer_feed_frame(&p, FIN | WS_PING, S("late")), MIG_E_GONE);
    peer_stop(&p);
}

static void check_cuts(const char *id, str in, uint8_t window_bits, const char *want)
{
    static const size_t cuts[] = {1, 2, 3, 7, 64, 997, 1460, 65536};

    check_cut(id, in, window_bits, want, 0, in.len);
    for (size_t i = in.len > 1 << 17 ? 5 : 0; i < countof(cuts); i++)
        check_cut(id, in, window_bits, want, 0, cuts[i]);
    for (size_t head = 1; head < in.len && in.len <= EVERY_PLACE; head++)
        check_cut(id, in, window_bits, want, head, in.len);
}

static void the_peer_gets_what_the_protocol_says_wherever_the_bytes_are_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct buf in;
        buf_init(&in, BUF_MAX);
        for (const struct frame *f = rows[i].frames; f->payload.ptr || f->fill; f++)
            peer_write_frame(&in, f);
        check_cuts(rows[i].id, buf_str(&in), 0, rows[i].want);
        buf_deinit(&in);
    }
}

/* 9.3, 9.4: a megabyte in fragments of each size; 10.1.1: 65536 bytes in fragments of 1300. */
static void fragments_of_any_size_make_one_message(void **state)
{
    static const struct {
        size_t size, each;
    } cases[] = {{1 << 20, 64},    {1 << 20, 256},   {1 << 20, 1024},    {1 << 20, 4096},
                 {1 << 20, 16384}, {1 << 20, 65536}, {1 << 20, 1 << 18}, {65536, 1300}};

    (void)state;
    for (size_t i = 0; i < 2 * countof(cases); i++) {
        size_t size = cases[i / 2].size, each = cases[i / 2].each;
        uint8_t opcode = i % 2 ? WS_BINARY : WS_TEXT;
        char want[40];
        struct buf in;
        buf_init(&in, BUF_MAX);
        for (size_t at = 0; at < size; at += each) {
            uint32_t n = (uint32_t)(size - at < each ? size - at : each);
            uint8_t first = (uint8_t)((at ? 0 : opcode) | (at + n == size ? FIN : 0));
            peer_write_frame(&in, &(struct frame){first, {NULL, 0}, n});
        }
        snprintf(want, sizeof want, "%c%zu=*", i % 2 ? 'B' : 'T', size);
        check_cut("9.3", buf_str(&in), 0, want, 0, in.len);
        check_cut("9.3", buf_str(&in), 0, want, 0, 1460);
        check_cut("9.3", buf_str(&in), 15, want, 3, 65536);
        buf_deinit(&in);
    }
}

/* --- 12, 13: permessage-deflate ------------------------------------------------------------------------ */

static char *json_text(size_t size)
{
    struct buf b;

    buf_init(&b, BUF_MAX);
    for (unsigned i = 0; b.len < size; i++)
        buf_addf(&b, "{\"n\":%u,\"name\":\"\xC3\xA9t\xC3\xA9 %x\"},", i, i * 2654435761u);
    assert_false(b.has_failed);
    memset(b.ptr + size - 12, '.', 12); // no sequence is cut, and the shortest text can be deflated
    return buf_take_z(&b);
}

static void check_deflated(size_t size, size_t each, uint8_t window_bits)
{
    char *text = json_text(size), id[60];
    struct ws_codec codec;
    struct peer want;
    struct buf in;
    str z;

    ws_codec_init(&codec);
    buf_init(&in, BUF_MAX);
    assert_true(ws_deflate(&codec, window_bits, (str){text, size}, &z));
    peer_start(&want, pool, MAX, 0);
    peer_show(&want, "T", (str){text, size});
    for (size_t at = 0; at < z.len; at += each) {
        size_t n = z.len - at < each ? z.len - at : each;
        uint8_t first = (uint8_t)((at ? 0 : RSV1 | WS_TEXT) | (at + n == z.len ? FIN : 0));
        peer_write_frame(&in, &(struct frame){first, {z.ptr + at, n}, 0});
    }
    snprintf(id, sizeof id, "12: %zu bytes, frames of %zu, %u bits", size, each, window_bits);
    buf_addc(&want.trace, 0);
    check_cuts(id, buf_str(&in), 15, want.trace.ptr);
    peer_stop(&want);
    buf_deinit(&in);
    ws_codec_deinit(&codec);
    free(text);
}

static void deflated_messages_come_out_as_they_were(void **state)
{
    static const size_t sizes[] = {16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072};
    static const size_t each[] = {SIZE_MAX, 256, 1024};

    (void)state;
    for (size_t i = 0; i < countof(sizes); i++)
        for (size_t k = 0; k < countof(each); k++)
            for (uint8_t bits = 9; bits <= 15; bits = (uint8_t)(bits + 3))
                check_deflated(sizes[i], each[k], bits);
}

#define Z(s)                                                                                       \
    {                                                                                              \
        FIN | RSV1 | WS_TEXT, {"" s, sizeof(s) - 1}, 0                                             \
    }
#define Z_(s)                                                                                      \
    {                                                                                              \
        RSV1 | WS_TEXT, {"" s, sizeof(s) - 1}, 0                                                   \
    }
#define HELLO "\xF2\x48\xCD\xC9\xC9\x07\x00" /* RFC 7692 7.2.3.1 */
#define BAD_DEFLATE ">C1007 F1007:invalid_deflate"

static const struct row deflate_rows[] = {
    {"7692 7.2.3.1", {Z(HELLO)}, "T5:Hello"},
    {"7692 7.2.3.1 fragments", {Z_("\xF2\x48\xCD"), CONT("\xC9\xC9\x07\x00")}, "T5:Hello"},
    {"7692 7.2.3.1 ping",
     {Z_("\xF2"), PING("p"), CONT("\x48\xCD\xC9\xC9\x07\x00")},
     ">O1:p T5:Hello"},
    {"7692 7.2.3.2 anew", {Z(HELLO), Z(HELLO)}, "T5:Hello T5:Hello"},
    {"7692 7.2.3.3 stored", {Z("\x00\x05\x00\xFA\xFF\x48\x65\x6C\x6C\x6F\x00")}, "T5:Hello"},
    {"7692 7.2.3.4 final", {Z("\xF3\x48\xCD\xC9\xC9\x07\x00\x00")}, "T5:Hello"},
    {"7692 7.2.3.5 blocks",
     {Z("\xF2\x48\x05\x00\x00\x00\xFF\xFF\xCA\xC9\xC9\x07\x00")},
     "T5:Hello"},
    {"two final blocks",
     {Z("\xF3\x48\xCD\xC9\xC9\x07\x00\xF3\x48\xCD\xC9\xC9\x07\x00\x00")},
     "T10:HelloHello"},
    {"plain among deflated", {Z(HELLO), TEXT("a"), Z(HELLO)}, "T5:Hello T1:a T5:Hello"},
    {"7692 7.2.3.6 empty", {Z("\x00")}, "T0:"},
    {"no byte at all", {Z("")}, "T0:"},
    {"no byte in two frames", {Z_(""), CONT("")}, "T0:"},
    {"bit on a continuation", {Z_("\xF2\x48"), FRAME(FIN | RSV1, "x")}, FAIL("reserved_bits")},
    {"bit on the continuation only", {TEXT_("a"), FRAME(FIN | RSV1, "x")}, FAIL("reserved_bits")},
    {"bit on a ping", {FRAME(FIN | RSV1 | WS_PING, "")}, FAIL("reserved_bits")},
    {"bit on a close", {FRAME(FIN | RSV1 | WS_CLOSE, "")}, FAIL("reserved_bits")},
    {"second bit", {FRAME(FIN | 0x60 | WS_TEXT, "")}, FAIL("reserved_bits")},
    {"third bit", {FRAME(FIN | 0x10 | WS_TEXT, "")}, FAIL("reserved_bits")},
    {"bit and a reserved opcode", {FRAME(FIN | RSV1 | 3, "")}, FAIL("reserved_opcode")},
    {"block type 3", {Z("\x07")}, BAD_DEFLATE},
    {"cut in the middle", {Z("\xF2\x48\xCD\xC9")}, BAD_DEFLATE},
    {"cut before the last byte", {Z("\xF2\x48\xCD\xC9\xC9\x07")}, BAD_DEFLATE},
    {"distance too far", {Z("\x02\x13\x00")}, BAD_DEFLATE},
    {"stored length wrong", {Z("\x00\x05\x00\xFA\xFE\x48\x65\x6C\x6C\x6F\x00")}, BAD_DEFLATE},
    {"a zlib head", {Z("\x78\x9C\xF3\x48\xCD\xC9\xC9\x07\x00\x05\x8C\x01\xF5")}, BAD_DEFLATE},
    {"not UTF-8 inside", {Z("\x00\x02\x00\xFD\xFF\xC0\x80\x00")}, ">C1007 F1007:invalid_utf8"},
    {"cut UTF-8 inside", {Z("\x00\x01\x00\xFE\xFF\xCE\x00")}, ">C1007 F1007:invalid_utf8"},
    {"binary inside",
     {FRAME(FIN | RSV1 | WS_BINARY, "\x00\x02\x00\xFD\xFF\xC0\x80\x00")},
     "B2:<C0><80>"},
};

static void deflated_frames_are_judged_as_rfc_7692_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(deflate_rows); i++) {
        struct buf in;
        buf_init(&in, BUF_MAX);
        for (const struct frame *f = deflate_rows[i].frames; f->payload.ptr || f->fill; f++)
            peer_write_frame(&in, f);
        check_cuts(deflate_rows[i].id, buf_str(&in), 15, deflate_rows[i].want);
        buf_deinit(&in);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_peer_gets_what_the_protocol_says_wherever_the_bytes_are_cut),
        T(fragments_of_any_size_make_one_message), T(deflated_messages_come_out_as_they_were),
        T(deflated_frames_are_judged_as_rfc_7692_says)};
    return cmocka_run_group_tests(tests, start, stop);
}
