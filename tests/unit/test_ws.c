/* What the owner of a socket relies on: ws.h, function by function. */
#include "test_ws.h"

#include <malloc.h>

static struct ws_pool *pool;
static struct peer p;

static int start(void **state)
{
    (void)state;
    pool = ws_pool_new();
    peer_start(&p, pool, 1000, 0);
    return pool ? 0 : 1;
}

static int start_deflate(void **state)
{
    (void)state;
    pool = ws_pool_new();
    peer_start(&p, pool, 1000, 15);
    return pool ? 0 : 1;
}

static int stop(void **state)
{
    (void)state;
    peer_stop(&p);
    ws_pool_free(pool);
    return 0;
}

static void a_message_goes_out_as_one_frame_whose_payload_is_not_copied(void **state)
{
    struct ws_message m = {.bytes = S("hello"), .hold = &m};

    (void)state;
    assert_int_equal(ws_send(p.ws, &m), MIG_OK);
    assert_ptr_equal(p.hold, &m);
    m.is_binary = true;
    m.hold = NULL;
    assert_int_equal(ws_send(p.ws, &m), MIG_OK);
    assert_null(p.hold);
    assert_int_equal(ws_send(p.ws, &(struct ws_message){0}), MIG_OK);
    peer_check(&p, ">T5:hello >B5:hello >T0:");
}

static void a_refused_write_leaves_everything_as_it_was(void **state)
{
    const struct ws_message m = {.bytes = S("hello hello hello hello")};

    (void)state;
    p.refuses = true;
    assert_int_equal(ws_send(p.ws, &m), MIG_E_AGAIN);
    assert_int_equal(ws_ping(p.ws, S("")), MIG_E_AGAIN);
    assert_int_equal(peer_feed_frame(&p, FIN | WS_PING, S("")), MIG_OK); // its pong is lost
    p.refuses = false;
    assert_int_equal(ws_send(p.ws, &m), MIG_OK);
    peer_check(&p, p.ws && ws_is_idle(p.ws) ? ">T23:hello<20>hello<20>hello<20>hello" : "idle");
}

static void nothing_is_sent_behind_a_close_frame(void **state)
{
    (void)state;
    assert_int_equal(ws_close(p.ws, 1001, S("going away")), MIG_OK);
    assert_int_equal(ws_close(p.ws, 1001, S("")), MIG_E_GONE);
    assert_int_equal(ws_send(p.ws, &(struct ws_message){.bytes = S("x")}), MIG_E_GONE);
    assert_int_equal(ws_ping(p.ws, S("")), MIG_E_GONE);
    assert_int_equal(peer_feed_frame(&p, FIN | WS_PING, S("")), MIG_OK); // no pong
    assert_int_equal(peer_feed_frame(&p, FIN | WS_TEXT, S("late")), MIG_OK);
    assert_int_equal(peer_feed_frame(&p, WS_TEXT, S("la")), MIG_OK);
    assert_int_equal(peer_feed_frame(&p, FIN | WS_CONTINUATION, S("te")), MIG_OK);
    assert_int_equal(peer_feed_frame(&p, FIN | WS_PONG, S("seen")), MIG_OK);
    assert_int_equal(peer_feed_frame(&p, FIN | WS_CLOSE, S("\x03\xE9")), MIG_E_GONE);
    assert_int_equal(peer_feed_frame(&p, FIN | WS_CLOSE, S("\x03\xE9")), MIG_E_GONE);
    peer_check(&p, ">C1001 O4:seen C1001");
}

static void a_violation_after_our_close_frame_is_told_but_not_answered(void **state)
{
    (void)state;
    ws_close(p.ws, 1000, S(""));
    assert_int_equal(peer_feed_frame(&p, FIN | WS_CONTINUATION, S("")), MIG_E_GONE);
    peer_check(&p, ">C1000 F1002:continuation_of_nothing");
}

static void a_close_in_the_middle_of_a_message_frees_what_was_collected(void **state)
{
    struct buf in;

    (void)state;
    buf_init(&in, BUF_MAX);
    peer_write_frame(&in, &(struct frame){FIN | WS_TEXT, {NULL, 0}, 900});
    assert_int_equal(peer_feed(&p, (str){in.ptr, 500}), MIG_OK);
    assert_false(ws_is_idle(p.ws));
    ws_close(p.ws, 1000, S(""));
    assert_int_equal(peer_feed(&p, (str){in.ptr + 500, in.len - 500}), MIG_OK);
    assert_true(ws_is_idle(p.ws));
    peer_check(&p, ">C1000");
    buf_deinit(&in);
}

static void only_codes_that_may_be_sent_are_sent(void **state)
{
    static const unsigned codes[] = {0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 66536};

    (void)state;
    for (size_t i = 0; i < countof(codes); i++)
        assert_int_equal(ws_close(p.ws, codes[i], S("")), MIG_E_ARG);
    peer_check(&p, "");
}

static char control_sent[200];

static mig_status keep_control(void *owner, const str *pieces, unsigned count, void *hold)
{
    (void)owner;
    (void)hold;
    assert_int_equal(count, 2);
    snprintf(control_sent, sizeof control_sent, "%.*s", (int)pieces[1].len - 2, pieces[1].ptr + 2);
    return MIG_OK;
}

static void a_long_reason_is_cut_between_two_characters(void **state)
{
    static const struct ws_ops ops = {keep_control, NULL, NULL, NULL, NULL};
    const struct ws_config config = {1000, 0, 0};
    char reason[200];

    (void)state;
    for (size_t skew = 0; skew < 3; skew++) {
        struct ws *ws = ws_new(pool, &config, &ops, NULL);
        memset(reason, 'a', skew);
        for (size_t i = skew; i + 3 <= sizeof reason; i += 3)
            memcpy(reason + i, "\xE2\x82\xAC", 3);
        assert_int_equal(ws_close(ws, 1000, (str){reason, 180}), MIG_OK);
        assert_int_equal(strlen(control_sent), skew ? 120 + skew : 123);
        assert_memory_equal(control_sent, reason, strlen(control_sent));
        ws_free(ws);
    }
}

static void a_ping_holds_no_more_than_125_bytes(void **state)
{
    char payload[126] = {0};

    (void)state;
    assert_int_equal(ws_ping(p.ws, (str){payload, 126}), MIG_E_ARG);
    assert_int_equal(ws_ping(p.ws, (str){payload, 0}), MIG_OK);
    assert_int_equal(ws_ping(p.ws, S("id")), MIG_OK);
    peer_check(&p, ">P0: >P2:id");
}

static void a_socket_may_be_freed_while_it_is_fed(void **state)
{
    struct buf in;

    (void)state;
    p.frees = true;
    buf_init(&in, BUF_MAX);
    for (int i = 0; i < 3; i++)
        peer_write_frame(&in, &(struct frame){FIN | WS_TEXT, S("a"), 0});
    assert_int_equal(peer_feed(&p, buf_str(&in)), MIG_E_GONE);
    peer_check(&p, "T1:a");
    buf_deinit(&in);
}

static mig_status free_in_write(void *owner, const str *pieces, unsigned count, void *hold)
{
    struct ws **ws = owner;

    (void)pieces;
    (void)count;
    (void)hold;
    ws_free(TAKE(*ws));
    return MIG_E_GONE;
}

static void a_socket_may_be_freed_by_a_write(void **state)
{
    /* neither on_fail nor on_close comes for a socket that is gone: NULL would be called */
    static const struct ws_ops ops = {free_in_write, NULL, NULL, NULL, NULL};
    static const uint8_t firsts[] = {FIN | WS_PING, FIN | WS_CLOSE, FIN | 3};
    const struct ws_config config = {1000, 0, 15};

    (void)state;
    for (size_t i = 0; i < countof(firsts) + 2; i++) {
        struct peer q = {0};
        q.ws = ws_new(pool, &config, &ops, &q.ws);
        if (i < countof(firsts))
            assert_int_equal(peer_feed_frame(&q, firsts[i], S("")), MIG_E_GONE);
        else if (i == countof(firsts))
            assert_int_equal(ws_send(q.ws, &(struct ws_message){.bytes = S("aaaaaaaaaaaaaaaa")}),
                             MIG_E_GONE);
        else
            assert_int_equal(ws_close(q.ws, 1000, S("")), MIG_E_GONE);
        assert_null(q.ws);
    }
}

static void an_idle_socket_keeps_no_buffer(void **state)
{
    struct buf in;
    size_t size = malloc_usable_size(p.ws);

    (void)state;
    buf_init(&in, BUF_MAX);
    peer_write_frame(&in, &(struct frame){WS_TEXT, {NULL, 0}, 300});
    peer_write_frame(&in, &(struct frame){FIN | WS_CONTINUATION, {NULL, 0}, 300});
    assert_true(ws_is_idle(p.ws));
    for (size_t i = 0; i < in.len; i++) {
        assert_int_equal(peer_feed(&p, (str){in.ptr + i, 1}), MIG_OK);
        assert_int_equal(ws_is_idle(p.ws), i + 1 == in.len);
    }
    peer_check(&p, "T600=*");
    assert_true(size <= 320);
    buf_deinit(&in);
}

static void a_message_too_long_is_refused_by_its_head_alone(void **state)
{
    static const struct {
        str head;
        const char *want;
    } cases[] = {
        {S("\x81\xFE\x03\xE9...."), ">C1009 F1009:message_too_big"},
        {S("\x81\xFE\x03\xE8...."), ""},
        {S("\x81\xFF\x00\x00\x00\x01\x00\x00\x00\x00...."), ">C1009 F1009:message_too_big"},
        {S("\x81\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF...."), ">C1009 F1009:message_too_big"},
        {S("\x81\xFF\x80\x00\x00\x00\x00\x00\x00\x05...."), ">C1002 F1002:length_negative"},
        {S("\x81\xFF\x00\x00\x00\x00\x00\x00\xFF\xFF...."), ">C1002 F1002:length_not_minimal"},
        {S("\x81\xFE\x00\x7D...."), ">C1002 F1002:length_not_minimal"},
        {S("\x89\xFE\x00\x05...."), ">C1002 F1002:length_not_minimal"},
        {S("\x81\x05"), ">C1002 F1002:unmasked_frame"},
        {S("\x81\x7E"), ">C1002 F1002:unmasked_frame"},
        {S("\x88\x00"), ">C1002 F1002:unmasked_frame"},
        {S("\x83\xFF"), ">C1002 F1002:reserved_opcode"},
        {S("\x89"), ""},
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct peer q;
        peer_start(&q, pool, 1000, 0);
        peer_feed(&q, cases[i].head);
        peer_check(&q, cases[i].want);
        peer_stop(&q);
    }
}

/* --- with permessage-deflate ---------------------------------------------------------------------------- */

static void what_becomes_smaller_is_compressed_and_nothing_else(void **state)
{
    const struct ws_config config = {1000, 20, 15};
    struct peer q;

    (void)state;
    ws_send(p.ws, &(struct ws_message){.bytes = S("aaaaaaaaaaaaaaaaaaaa")});
    ws_send(p.ws, &(struct ws_message){.bytes = S("aaaaaaaaaaaaaaaaaaaa"), .is_binary = true});
    ws_send(p.ws, &(struct ws_message){.bytes = S("qX7")});
    ws_send(p.ws, &(struct ws_message){.bytes = S("")});
    peer_check(&p, ">ZT20:aaaaaaaaaaaaaaaaaaaa >ZB20:aaaaaaaaaaaaaaaaaaaa >T3:qX7 >T0:");
    peer_start(&q, pool, 1000, 15);
    ws_free(q.ws);
    q.ws = ws_new(pool, &config, &peer_ops, &q);
    ws_send(q.ws, &(struct ws_message){.bytes = S("aaaaaaaaaaaaaaaaaaa")});
    ws_send(q.ws, &(struct ws_message){.bytes = S("aaaaaaaaaaaaaaaaaaaa")});
    peer_check(&q, ">T19:aaaaaaaaaaaaaaaaaaa >ZT20:aaaaaaaaaaaaaaaaaaaa");
    peer_stop(&q);
}

static void a_prepared_message_is_compressed_once_for_many(void **state)
{
    struct ws_message m = {.bytes = S("aaaaaaaaaaaaaaaaaaaa"), .hold = &m};
    struct peer plain, narrow;
    struct buf z;

    (void)state;
    buf_init(&z, 100);
    peer_start(&plain, pool, 1000, 0);
    peer_start(&narrow, pool, 1000, 9);
    ws_message_deflate(pool, &m, &z);
    assert_true(m.is_prepared && m.deflated.len && m.deflated.ptr == z.ptr);
    assert_int_equal(ws_send(p.ws, &m), MIG_OK);
    assert_ptr_equal(p.hold, &m);
    assert_int_equal(ws_send(plain.ws, &m), MIG_OK);
    assert_ptr_equal(plain.hold, &m);
    assert_int_equal(ws_send(narrow.ws, &m), MIG_OK);
    assert_null(narrow.hold); // compressed anew, into the pool
    peer_check(&p, ">ZT20:aaaaaaaaaaaaaaaaaaaa");
    peer_check(&plain, ">T20:aaaaaaaaaaaaaaaaaaaa");
    peer_check(&narrow, ">ZT20:aaaaaaaaaaaaaaaaaaaa");
    m.bytes = S("qX7");
    ws_message_deflate(pool, &m, &z);
    assert_int_equal(m.deflated.len, 0);
    ws_send(p.ws, &m);
    peer_check(&p, ">T3:qX7");
    peer_stop(&plain);
    peer_stop(&narrow);
    buf_deinit(&z);
}

static void an_inflated_message_ends_at_the_limit(void **state)
{
    static char zeros[5000];
    static const size_t sizes[] = {999, 1000, 1001, 5000};
    struct ws_codec codec;
    str z;

    (void)state;
    ws_codec_init(&codec);
    for (size_t i = 0; i < countof(sizes); i++) {
        struct peer q;
        peer_start(&q, pool, 1000, 15);
        assert_true(ws_deflate(&codec, 15, (str){zeros, sizes[i]}, &z));
        assert_true(z.len < 50);
        peer_feed_frame(&q, FIN | RSV1 | WS_BINARY, z);
        str got = buf_str(&q.trace);
        assert_true(sizes[i] <= 1000 ? str_starts(got, S("B"))
                                     : str_eq(got, S(">C1009 F1009:message_too_big")));
        peer_stop(&q);
    }
    ws_codec_deinit(&codec);
}

/* Noise, in stored blocks of 50 bytes as the worst sender would do: longer than the limit, and allowed. */
static void the_limit_counts_what_was_sent_not_how(void **state)
{
    struct buf z;

    (void)state;
    buf_init(&z, 2000);
    for (int i = 0; i < 20; i++) {
        buf_add(&z, S("\x00\x32\x00\xCD\xFF"));
        for (int k = 0; k < 50; k++)
            buf_addc(&z, '#');
    }
    buf_addc(&z, 0);
    assert_int_equal(z.len, 1101);
    peer_feed_frame(&p, RSV1 | WS_TEXT, (str){z.ptr, 900});
    peer_feed_frame(&p, FIN | WS_CONTINUATION, (str){z.ptr + 900, z.len - 900});
    peer_check(&p, "T1000=#");
    peer_feed_frame(&p, RSV1 | WS_TEXT, buf_str(&z));
    peer_feed_frame(&p, FIN | WS_CONTINUATION, (str){z.ptr, 100});
    peer_check(&p, ">C1009 F1009:message_too_big");
    buf_deinit(&z);
}

static void what_was_delivered_may_be_sent_back_at_once(void **state)
{
    (void)state;
    p.echoes = true;
    peer_feed_frame(&p, FIN | RSV1 | WS_TEXT, S("\xF2\x48\xCD\xC9\xC9\x07\x00"));
    peer_feed_frame(&p, FIN | WS_TEXT, S("aaaaaaaaaaaaaaaaaaaa"));
    peer_check(&p, "T5:Hello >T5:Hello T20:aaaaaaaaaaaaaaaaaaaa >ZT20:aaaaaaaaaaaaaaaaaaaa");
}

#define WITH(f, s) cmocka_unit_test_setup_teardown(f, s, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(a_message_goes_out_as_one_frame_whose_payload_is_not_copied, start),
        WITH(a_refused_write_leaves_everything_as_it_was, start),
        WITH(nothing_is_sent_behind_a_close_frame, start),
        WITH(a_violation_after_our_close_frame_is_told_but_not_answered, start),
        WITH(a_close_in_the_middle_of_a_message_frees_what_was_collected, start),
        WITH(only_codes_that_may_be_sent_are_sent, start),
        WITH(a_long_reason_is_cut_between_two_characters, start),
        WITH(a_ping_holds_no_more_than_125_bytes, start),
        WITH(a_socket_may_be_freed_while_it_is_fed, start),
        WITH(a_socket_may_be_freed_by_a_write, start),
        WITH(an_idle_socket_keeps_no_buffer, start),
        WITH(a_message_too_long_is_refused_by_its_head_alone, start),
        WITH(what_becomes_smaller_is_compressed_and_nothing_else, start_deflate),
        WITH(a_prepared_message_is_compressed_once_for_many, start_deflate),
        WITH(an_inflated_message_ends_at_the_limit, start_deflate),
        WITH(the_limit_counts_what_was_sent_not_how, start_deflate),
        WITH(what_was_delivered_may_be_sent_back_at_once, start_deflate)};
    return RUN(tests);
}
