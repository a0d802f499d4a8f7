/* access_log.c with access_writer.c behind it. */
#include "unit.h"
#include "base/json.h"
#include "edge/access_log.h"
#include "edge/access_writer.h"

#include <fcntl.h>
#include <sys/stat.h>

static const struct access_entry whole = {
    .at_ms = 1763705643123,
    .duration_ns = 12345678,
    .bytes = 77,
    .status = 200,
    .remote = S("203.0.113.9"),
    .method = S("POST"),
    .path = S("/a/b"),
    .route = S("/a/{x}"),
    .tenant = S("acme"),
    .subject = S("u1"),
    .message_id = S("m1"),
    .request_id = S("r1"),
    .traceparent = S("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    .user_agent = S("curl/8"),
    .is_tls = true,
};

static struct arena_pool pool;

static const char *print(const struct access_entry *e)
{
    static char text[1 << 16];
    struct buf out;

    buf_init(&out, sizeof text - 1);
    access_entry_print(e, &out);
    assert_false(out.has_failed);
    memcpy(text, out.ptr, out.len);
    text[out.len] = 0;
    buf_deinit(&out);
    return text;
}

static void a_line_says_it_all(void **state)
{
    (void)state;
    assert_string_equal(
        print(&whole),
        "{\"ts\":\"2025-11-21T06:14:03.123Z\",\"remote\":\"203.0.113.9\",\"method\":\"POST\","
        "\"path\":\"/a/b\",\"route\":\"/a/{x}\",\"status\":200,\"bytes\":77,\"duration_ms\":12.345,"
        "\"tenant\":\"acme\",\"subject\":\"u1\",\"message_id\":\"m1\",\"request_id\":\"r1\","
        "\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"user_agent\":\"curl/"
        "8\",\"tls\":true}\n");
    assert_string_equal(print(&(struct access_entry){.status = 499}),
                        "{\"ts\":\"1970-01-01T00:00:00.000Z\",\"status\":499,\"bytes\":0,"
                        "\"duration_ms\":0.000,\"tls\":false}\n");
}

static void a_line_stays_a_line_of_json(void **state)
{
    static const str nasty[] = {S("a\"b\\c"), S("\xFF\xFE"), S("a\tb"), S("\xC3"), S("x\xE2\x82")};

    (void)state;
    for (size_t i = 0; i < countof(nasty); i++) {
        struct access_entry e = whole;
        e.user_agent = e.path = nasty[i];
        const char *line = print(&e);
        size_t n = strlen(line);
        struct arena *a = arena_new(&pool, 1 << 16);
        assert_true(json_check(a, (str){line, n - 1}, NULL));
        arena_unref(a);
        assert_ptr_equal(memchr(line, '\n', n), line + n - 1);
    }
}

static void long_texts_are_cut(void **state)
{
    char *agent = malloc(100000);
    struct access_entry e = whole;

    (void)state;
    memset(agent, '"', 100000);
    e.user_agent = e.path = e.tenant = e.subject = (str){agent, 100000};
    assert_in_range(strlen(print(&e)), 8000, 10000);
    free(agent);
}

static void a_trace_id_is_one_or_is_left_out(void **state)
{
    static const char *const bad[] = {"",
                                      "00",
                                      "00-4bf92f3577b34da6a3ce929d0e0e4736",
                                      "00-00000000000000000000000000000000-1-01",
                                      "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                                      "0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                                      "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01"};

    (void)state;
    for (size_t i = 0; i < countof(bad); i++) {
        struct access_entry e = whole;
        e.traceparent = str_of(bad[i]);
        assert_null(strstr(print(&e), "trace_id"));
    }
}

/* --- to the file -------------------------------------------------------------------------------- */

static size_t lines_in(const char *path)
{
    FILE *f = fopen(path, "r");
    size_t n = 0;
    int c;

    while (f && (c = getc(f)) != EOF)
        n += c == '\n';
    if (f)
        fclose(f);
    return n;
}

static void lines_come_out_in_order_and_all(void **state)
{
    char *dir = unit_dir(), path[300], line[64];
    struct loop *l = loop_new(0);
    struct access_log log;

    (void)state;
    snprintf(path, sizeof path, "%s/access.log", dir);
    assert_true(access_writer_open(path));
    access_log_init(&log, l);
    for (unsigned i = 0; i < 5000; i++) { /* several times what a loop keeps */
        struct access_entry e = whole;
        snprintf(line, sizeof line, "m%u", i);
        e.message_id = str_of(line);
        access_log_add(&log, &e);
    }
    assert_true(timer_is_running(&log.flush));
    access_log_deinit(&log);
    access_writer_close();
    assert_int_equal(lines_in(path), 5000);
    assert_int_equal(access_writer_dropped(), 0);
    FILE *f = fopen(path, "r");
    char text[1000];
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(line, sizeof line, "\"message_id\":\"m%u\"", i);
        assert_non_null(fgets(text, sizeof text, f));
        assert_non_null(strstr(text, line));
    }
    fclose(f);
    loop_stop(l);
    loop_run(l);
    loop_free(l);
    unit_rm(dir);
}

static void a_rotated_file_is_left_alone(void **state)
{
    char *dir = unit_dir(), path[300], old[300];

    (void)state;
    snprintf(path, sizeof path, "%s/access.log", dir);
    snprintf(old, sizeof old, "%s/access.log.1", dir);
    assert_true(access_writer_open(path));
    access_writer_add(S("one\n"), 1);
    for (int i = 0; i < 5000 && lines_in(path) < 1; i++)
        usleep(1000);
    assert_int_equal(rename(path, old), 0);
    access_writer_reopen();
    access_writer_add(S("two\n"), 1);
    access_writer_close();
    assert_int_equal(lines_in(old), 1);
    assert_int_equal(lines_in(path), 1);
    unit_rm(dir);
}

/* A pipe that nobody reads is a disk that stands still. */
static void what_does_not_fit_is_counted(void **state)
{
    char *dir = unit_dir(), path[300];
    static char chunk[(1 << 20) - 1000]; /* eight leave some room */
    size_t lines = 0;

    (void)state;
    memset(chunk, '\n', sizeof chunk);
    snprintf(path, sizeof path, "%s/pipe", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    assert_true(access_writer_open(path));
    for (int i = 0; i < 20; i++)
        access_writer_add((str){chunk, sizeof chunk}, sizeof chunk);
    uint64_t dropped = access_writer_dropped();
    assert_in_range(dropped, 4 * sizeof chunk, 12 * sizeof chunk);
    access_writer_add(S("\n"), 1); /* but a small one does */
    assert_int_equal(access_writer_dropped(), dropped);
    fcntl(reader, F_SETFL, 0);
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, (void *(*)(void *))(void *)access_writer_close, NULL),
                     0);
    char text[65536];
    for (ssize_t n; (n = read(reader, text, sizeof text)) > 0;)
        for (ssize_t i = 0; i < n; i++)
            lines += text[i] == '\n';
    pthread_join(t, NULL);
    assert_in_range(lines, 20 * sizeof chunk - dropped + 2, 20 * sizeof chunk - dropped + 3);
    close(reader);
    unit_rm(dir);
}

static void a_file_that_cannot_be_opened_is_told(void **state)
{
    (void)state;
    assert_false(access_writer_open("/nowhere/at/all"));
    access_writer_add(S("x\n"), 1); /* and nothing happens */
    access_writer_reopen();
    access_writer_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_line_says_it_all),
        T(a_line_stays_a_line_of_json),
        T(long_texts_are_cut),
        T(a_trace_id_is_one_or_is_left_out),
        T(lines_come_out_in_order_and_all),
        T(a_rotated_file_is_left_alone),
        T(what_does_not_fit_is_counted),
        T(a_file_that_cannot_be_opened_is_told),
    };
    int failed = RUN(tests);
    arena_pool_deinit(&pool);
    return failed;
}
