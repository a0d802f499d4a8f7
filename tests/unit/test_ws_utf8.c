/* Text frames whose bytes are, or are not, UTF-8: the cases 6.5 to 6.23 of the Autobahn testsuite by their
 * numbers (sequences after Markus Kuhn's list). Each goes in one frame, and in a frame per byte. */
#include "test_ws.h"

static const struct row {
    const char *id;
    str text;
    bool is_valid;
} rows[] = {
    {"6.5.1", S("\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5"), true},
    {"6.6.1", S("\xCE"), false},
    {"6.6.2", S("\xCE\xBA"), true},
    {"6.6.3", S("\xCE\xBA\xE1"), false},
    {"6.6.4", S("\xCE\xBA\xE1\xBD"), false},
    {"6.6.5", S("\xCE\xBA\xE1\xBD\xB9"), true},
    {"6.6.6", S("\xCE\xBA\xE1\xBD\xB9\xCF"), false},
    {"6.6.7", S("\xCE\xBA\xE1\xBD\xB9\xCF\x83"), true},
    {"6.6.8", S("\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE"), false},
    {"6.6.9", S("\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC"), true},
    {"6.6.10", S("\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE"), false},
    {"6.6.11", S("\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5"), true},
    {"6.7.1", S("\x00"), true},
    {"6.7.2", S("\xC2\x80"), true},
    {"6.7.3", S("\xE0\xA0\x80"), true},
    {"6.7.4", S("\xF0\x90\x80\x80"), true},
    {"6.8.1", S("\xF8\x88\x80\x80\x80"), false},
    {"6.8.2", S("\xFC\x84\x80\x80\x80\x80"), false},
    {"6.9.1", S("\x7F"), true},
    {"6.9.2", S("\xDF\xBF"), true},
    {"6.9.3", S("\xEF\xBF\xBF"), true},
    {"6.9.4", S("\xF4\x8F\xBF\xBF"), true},
    {"6.10.1", S("\xF7\xBF\xBF\xBF"), false},
    {"6.10.2", S("\xFB\xBF\xBF\xBF\xBF"), false},
    {"6.10.3", S("\xFD\xBF\xBF\xBF\xBF\xBF"), false},
    {"6.11.1", S("\xED\x9F\xBF"), true},
    {"6.11.2", S("\xEE\x80\x80"), true},
    {"6.11.3", S("\xEF\xBF\xBD"), true},
    {"6.11.4", S("\xF4\x8F\xBF\xBF"), true},
    {"6.11.5", S("\xF4\x90\x80\x80"), false},
    {"6.12.1", S("\x80"), false},
    {"6.12.2", S("\xBF"), false},
    {"6.12.3", S("\x80\xBF"), false},
    {"6.12.4", S("\x80\xBF\x80"), false},
    {"6.12.5", S("\x80\xBF\x80\xBF"), false},
    {"6.12.6", S("\x80\xBF\x80\xBF\x80"), false},
    {"6.12.7", S("\x80\xBF\x80\xBF\x80\xBF"), false},
    {"6.12.8",
     S("\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8A\x8B\x8C\x8D\x8E\x8F\x90\x91\x92\x93\x94\x95"
       "\x96\x97\x98\x99\x9A\x9B\x9C\x9D\x9E\x9F\xA0\xA1\xA2\xA3\xA4\xA5\xA6\xA7\xA8\xA9\xAA\xAB"
       "\xAC\xAD\xAE\xAF\xB0\xB1\xB2\xB3\xB4\xB5\xB6\xB7\xB8\xB9\xBA\xBB\xBC\xBD\xBE"),
     false},
    {"6.13.1",
     S("\xC0\x20\xC1\x20\xC2\x20\xC3\x20\xC4\x20\xC5\x20\xC6\x20\xC7\x20\xC8\x20\xC9\x20\xCA\x20"
       "\xCB\x20\xCC\x20\xCD\x20\xCE\x20\xCF\x20\xD0\x20\xD1\x20\xD2\x20\xD3\x20\xD4\x20\xD5\x20"
       "\xD6\x20\xD7\x20\xD8\x20\xD9\x20\xDA\x20\xDB\x20\xDC\x20\xDD\x20\xDE\x20\xDF\x20"),
     false},
    {"6.13.2",
     S("\xE0\x20\xE1\x20\xE2\x20\xE3\x20\xE4\x20\xE5\x20\xE6\x20\xE7\x20\xE8\x20\xE9\x20\xEA\x20"
       "\xEB\x20\xEC\x20\xED\x20\xEE\x20\xEF\x20"),
     false},
    {"6.13.3", S("\xF0\x20\xF1\x20\xF2\x20\xF3\x20\xF4\x20\xF5\x20\xF6\x20\xF7\x20"), false},
    {"6.13.4", S("\xF8\x20\xF9\x20\xFA\x20\xFB\x20"), false},
    {"6.13.5", S("\xFC\x20\xFD\x20"), false},
    {"6.14.1", S("\xC0"), false},
    {"6.14.2", S("\xE0\x80"), false},
    {"6.14.3", S("\xF0\x80\x80"), false},
    {"6.14.4", S("\xF8\x80\x80\x80"), false},
    {"6.14.5", S("\xFC\x80\x80\x80\x80"), false},
    {"6.14.6", S("\xDF"), false},
    {"6.14.7", S("\xEF\xBF"), false},
    {"6.14.8", S("\xF7\xBF\xBF"), false},
    {"6.14.9", S("\xFB\xBF\xBF\xBF"), false},
    {"6.14.10", S("\xFD\xBF\xBF\xBF\xBF"), false},
    {"6.15.1",
     S("\xC0\xE0\x80\xF0\x80\x80\xF8\x80\x80\x80\xFC\x80\x80\x80\x80\xDF\xEF\xBF\xF7\xBF\xBF\xFB"
       "\xBF\xBF\xBF\xFD\xBF\xBF\xBF\xBF"),
     false},
    {"6.16.1", S("\xFE"), false},
    {"6.16.2", S("\xFF"), false},
    {"6.16.3", S("\xFE\xFE\xFF\xFF"), false},
    {"6.17.1", S("\xC0\xAF"), false},
    {"6.17.2", S("\xE0\x80\xAF"), false},
    {"6.17.3", S("\xF0\x80\x80\xAF"), false},
    {"6.17.4", S("\xF8\x80\x80\x80\xAF"), false},
    {"6.17.5", S("\xFC\x80\x80\x80\x80\xAF"), false},
    {"6.18.1", S("\xC1\xBF"), false},
    {"6.18.2", S("\xE0\x9F\xBF"), false},
    {"6.18.3", S("\xF0\x8F\xBF\xBF"), false},
    {"6.18.4", S("\xF8\x87\xBF\xBF\xBF"), false},
    {"6.18.5", S("\xFC\x83\xBF\xBF\xBF\xBF"), false},
    {"6.19.1", S("\xC0\x80"), false},
    {"6.19.2", S("\xE0\x80\x80"), false},
    {"6.19.3", S("\xF0\x80\x80\x80"), false},
    {"6.19.4", S("\xF8\x80\x80\x80\x80"), false},
    {"6.19.5", S("\xFC\x80\x80\x80\x80\x80"), false},
    {"6.20.1", S("\xED\xA0\x80"), false},
    {"6.20.2", S("\xED\xAD\xBF"), false},
    {"6.20.3", S("\xED\xAE\x80"), false},
    {"6.20.4", S("\xED\xAF\xBF"), false},
    {"6.20.5", S("\xED\xB0\x80"), false},
    {"6.20.6", S("\xED\xBE\x80"), false},
    {"6.20.7", S("\xED\xBF\xBF"), false},
    {"6.21.1", S("\xED\xA0\x80\xED\xB0\x80"), false},
    {"6.21.2", S("\xED\xA0\x80\xED\xBF\xBF"), false},
    {"6.21.3", S("\xED\xAD\xBF\xED\xB0\x80"), false},
    {"6.21.4", S("\xED\xAD\xBF\xED\xBF\xBF"), false},
    {"6.21.5", S("\xED\xAE\x80\xED\xB0\x80"), false},
    {"6.21.6", S("\xED\xAE\x80\xED\xBF\xBF"), false},
    {"6.21.7", S("\xED\xAF\xBF\xED\xB0\x80"), false},
    {"6.21.8", S("\xED\xAF\xBF\xED\xBF\xBF"), false},
    {"6.22.1", S("\xEF\xBF\xBE"), true},
    {"6.22.2", S("\xEF\xBF\xBF"), true},
    {"6.22.3", S("\xF0\x9F\xBF\xBE"), true},
    {"6.22.4", S("\xF0\x9F\xBF\xBF"), true},
    {"6.22.5", S("\xF0\xAF\xBF\xBE"), true},
    {"6.22.6", S("\xF0\xAF\xBF\xBF"), true},
    {"6.22.7", S("\xF0\xBF\xBF\xBE"), true},
    {"6.22.8", S("\xF0\xBF\xBF\xBF"), true},
    {"6.22.9", S("\xF1\x8F\xBF\xBE"), true},
    {"6.22.10", S("\xF1\x8F\xBF\xBF"), true},
    {"6.22.11", S("\xF1\x9F\xBF\xBE"), true},
    {"6.22.12", S("\xF1\x9F\xBF\xBF"), true},
    {"6.22.13", S("\xF1\xAF\xBF\xBE"), true},
    {"6.22.14", S("\xF1\xAF\xBF\xBF"), true},
    {"6.22.15", S("\xF1\xBF\xBF\xBE"), true},
    {"6.22.16", S("\xF1\xBF\xBF\xBF"), true},
    {"6.22.17", S("\xF2\x8F\xBF\xBE"), true},
    {"6.22.18", S("\xF2\x8F\xBF\xBF"), true},
    {"6.22.19", S("\xF2\x9F\xBF\xBE"), true},
    {"6.22.20", S("\xF2\x9F\xBF\xBF"), true},
    {"6.22.21", S("\xF2\xAF\xBF\xBE"), true},
    {"6.22.22", S("\xF2\xAF\xBF\xBF"), true},
    {"6.22.23", S("\xF2\xBF\xBF\xBE"), true},
    {"6.22.24", S("\xF2\xBF\xBF\xBF"), true},
    {"6.22.25", S("\xF3\x8F\xBF\xBE"), true},
    {"6.22.26", S("\xF3\x8F\xBF\xBF"), true},
    {"6.22.27", S("\xF3\x9F\xBF\xBE"), true},
    {"6.22.28", S("\xF3\x9F\xBF\xBF"), true},
    {"6.22.29", S("\xF3\xAF\xBF\xBE"), true},
    {"6.22.30", S("\xF3\xAF\xBF\xBF"), true},
    {"6.22.31", S("\xF3\xBF\xBF\xBE"), true},
    {"6.22.32", S("\xF3\xBF\xBF\xBF"), true},
    {"6.22.33", S("\xF4\x8F\xBF\xBE"), true},
    {"6.22.34", S("\xF4\x8F\xBF\xBF"), true},
    {"6.23.1", S("\xEF\xBF\xB9"), true},
    {"6.23.2", S("\xEF\xBF\xBA"), true},
    {"6.23.3", S("\xEF\xBF\xBB"), true},
    {"6.23.4", S("\xEF\xBF\xBC"), true},
    {"6.23.5", S("\xEF\xBF\xBD"), true},
    {"6.23.6", S("\xEF\xBF\xB8"), true},
    {"6.23.7", S("\xEF\xBF\xB7"), true},
};

static struct ws_pool *pool;

static void write_frames(struct buf *to, str text, size_t each)
{
    for (size_t at = 0; at < text.len; at += each) {
        size_t n = text.len - at < each ? text.len - at : each;
        uint8_t first =
            (uint8_t)((at ? WS_CONTINUATION : WS_TEXT) | (at + n == text.len ? FIN : 0));
        peer_write_frame(to, &(struct frame){first, {text.ptr + at, n}, 0});
    }
}

static void check_row(const struct row *r, size_t each, size_t cut)
{
    struct peer p, want;
    struct buf in;
    mig_status last = MIG_OK;

    buf_init(&in, BUF_MAX);
    write_frames(&in, r->text, each);
    peer_start(&p, pool, 1000, 0);
    peer_start(&want, pool, 1000, 0);
    if (r->is_valid)
        peer_show(&want, "T", r->text);
    else
        buf_addz(&want.trace, ">C1007 F1007:invalid_utf8");
    for (size_t at = 0; at < in.len && last == MIG_OK; at += cut)
        last = peer_feed(&p, (str){in.ptr + at, in.len - at < cut ? in.len - at : cut});
    if (!str_eq(buf_str(&p.trace), buf_str(&want.trace)))
        fail_msg("%s, %zu a frame, cut %zu: %.*s, not %.*s", r->id, each, cut,
                 STR_ARG(buf_str(&p.trace)), STR_ARG(buf_str(&want.trace)));
    assert_int_equal(last, r->is_valid ? MIG_OK : MIG_E_GONE);
    peer_stop(&want);
    peer_stop(&p);
    buf_deinit(&in);
}

static void check_all(size_t each)
{
    pool = ws_pool_new();
    assert_non_null(pool);
    for (size_t i = 0; i < countof(rows); i++)
        for (size_t cut = 1; cut < 9; cut++)
            check_row(&rows[i], each, cut == 8 ? 10000 : cut);
    ws_pool_free(pool);
}

static void one_frame_is_text_only_when_it_is_utf8(void **state)
{
    (void)state;
    check_all(1000);
}

static void frames_of_a_byte_each_are_text_only_when_they_are_utf8(void **state)
{
    (void)state;
    check_all(1);
    check_all(2);
}

/* 6.4: the peer hears of it when the bad byte is there, not when the message is complete. */
static void a_bad_byte_is_refused_before_the_frame_is_complete(void **state)
{
    static const str text = {"\xCE\xBA\xE1\xBD\xB9\xF4\x90\x80\x80 edited", 16};
    struct buf in;

    (void)state;
    pool = ws_pool_new();
    buf_init(&in, BUF_MAX);
    peer_write_frame(&in, &(struct frame){FIN | WS_TEXT, text, 0});
    size_t bad = 6 + 6; // head and mask, then F4, and 90 cannot follow it
    for (size_t n = 1; n < in.len; n++) {
        struct peer p;
        peer_start(&p, pool, 1000, 0);
        mig_status r = peer_feed(&p, (str){in.ptr, n});
        assert_int_equal(r, n > bad ? MIG_E_GONE : MIG_OK);
        peer_check(&p, n > bad ? ">C1007 F1007:invalid_utf8" : "");
        peer_stop(&p);
    }
    buf_deinit(&in);
    ws_pool_free(pool);
}

static void binary_messages_may_hold_anything(void **state)
{
    (void)state;
    pool = ws_pool_new();
    for (size_t i = 0; i < countof(rows); i++) {
        struct peer p, want;
        peer_start(&p, pool, 1000, 0);
        peer_start(&want, pool, 1000, 0);
        peer_show(&want, "B", rows[i].text);
        assert_int_equal(peer_feed_frame(&p, FIN | WS_BINARY, rows[i].text), MIG_OK);
        assert_true(str_eq(buf_str(&p.trace), buf_str(&want.trace)));
        peer_stop(&want);
        peer_stop(&p);
    }
    ws_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {T(one_frame_is_text_only_when_it_is_utf8),
                                       T(frames_of_a_byte_each_are_text_only_when_they_are_utf8),
                                       T(a_bad_byte_is_refused_before_the_frame_is_complete),
                                       T(binary_messages_may_hold_anything)};
    return RUN(tests);
}
