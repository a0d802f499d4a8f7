/* ctl_sse.c: event streams in any pieces. */
#include "unit.h"

#include "main/ctl_sse.h"

struct seen {
    size_t count;
    char text[1024]; /* "event|id|data;" for each */
};

static void note(void *arg, const struct sse_event *e)
{
    struct seen *s = arg;
    size_t n = strlen(s->text);

    s->count++;
    snprintf(s->text + n, sizeof s->text - n, "%.*s|%.*s%s|%.*s;", STR_ARG(e->event),
             STR_ARG(e->id), e->has_id ? "" : "-", STR_ARG(e->data));
}

static const struct {
    const char *stream, *want;
    uint64_t retry;
    size_t comments;
} rows[] = {
    {"data: a\n\n", "message|-|a;", 0, 0},
    {"data:a\n\ndata:  b\n\n", "message|-|a;message|-| b;", 0, 0},
    {"id: 1\nevent: mig-event\ndata: {\"a\":1}\n\n", "mig-event|1|{\"a\":1};", 0, 0},
    {"data: one\ndata: two\ndata:\n\n", "message|-|one\ntwo\n;", 0, 0},
    {"data\n\n", "message|-|;", 0, 0},
    {"id: 7\ndata: a\n\ndata: b\n\n", "message|7|a;message|7-|b;", 0, 0},
    {"id: 7\ndata: a\n\nid\ndata: b\n\n", "message|7|a;message||b;", 0, 0},
    {"event: x\n\ndata: a\n\n", "message|-|a;", 0, 0},
    {"retry: 3000\n\n: keepalive\n:\n", "", 3000, 2},
    {"retry: soon\nretry: -1\nretry: 5 \n", "", 0, 0},
    {"color: red\nDATA: x\n data: y\n\n", "", 0, 0},
    {"data: a\r\n\r\ndata: b\r\rdata: c\n\r", "message|-|a;message|-|b;message|-|c;", 0, 0},
    {"\xEF\xBB\xBF"
     "data: a\n\n",
     "message|-|a;", 0, 0},
    {"id: 1\r\ndata: a\r\ndata: b\r\n\r\n", "message|1|a\nb;", 0, 0},
    {"\n\n\n\n", "", 0, 0},
    {"data: never ended\n", "", 0, 0},
    {"data: never ended", "", 0, 0},
    {"data: a: b\n\n", "message|-|a: b;", 0, 0},
};

static void streams_are_read_in_pieces_of_any_size(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(rows); i++)
        for (size_t piece = 1; piece < 20; piece++) {
            struct seen seen = {0};
            struct sse s;
            sse_init(&s, note, &seen);
            for (str rest = str_of(rows[i].stream); rest.len; rest = str_cut(rest, piece))
                assert_true(sse_feed(&s, (str){rest.ptr, rest.len < piece ? rest.len : piece}));
            assert_string_equal(seen.text, rows[i].want);
            assert_int_equal(s.retry_ms, rows[i].retry);
            assert_int_equal(s.comments, rows[i].comments);
            assert_int_equal(s.events, seen.count);
            sse_deinit(&s);
        }
}

static void an_id_with_nul_is_ignored(void **state)
{
    struct seen seen = {0};
    struct sse s;
    (void)state;

    sse_init(&s, note, &seen);
    assert_true(sse_feed(&s, S("id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n")));
    assert_string_equal(seen.text, "message|1|a;message|1-|b;");
    sse_deinit(&s);
}

static void a_line_without_end_is_refused(void **state)
{
    struct seen seen = {0};
    struct sse s;
    (void)state;

    sse_init(&s, note, &seen);
    s.line.limit = 16;
    assert_true(sse_feed(&s, S("data: 0123456789")));
    assert_false(sse_feed(&s, S("x")));
    sse_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(streams_are_read_in_pieces_of_any_size),
        T(an_id_with_nul_is_ignored),
        T(a_line_without_end_is_refused),
    };
    return RUN(tests);
}
