#include "unit.h"
#include "base/arena.h"
#include "base/json.h"
#include "base/log.h"

static struct buf lines;
static size_t line_count;

static void sink(str line)
{
    buf_add(&lines, line);
    line_count++;
}

static int set_up(void **state)
{
    (void)state;
    buf_init(&lines, 1 << 20);
    line_count = 0;
    log_threshold = LOG_INFO;
    log_is_console = false;
    log_set_sink(sink);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_deinit(&lines);
    return 0;
}

static void json_lines_are_json_whatever_the_text(void **state)
{
    struct arena_pool pool = {0};
    struct arena *a = arena_new(&pool, 1 << 20);
    struct json doc;
    struct json_fault fault;
    int64_t n;

    (void)state;
    log_info("test.event", F_STR("text", S("a\"\n\xff\x01 b")), F_U64("n", 42), F_MS("ms", 1.5),
             F_JSON("j", S("{\"x\":[1]}")), F_Z("none", NULL));
    assert_int_equal(line_count, 1);
    str line = buf_str(&lines);
    assert_true(str_ends(line, S("\n")));
    assert_ptr_equal(memchr(line.ptr, '\n', line.len), line.ptr + line.len - 1);
    assert_true(json_parse(&doc, a, str_trim(line), &fault));
    assert_true(json_is_integer(json_get(doc.root, S("n")), &n) && n == 42);
    assert_true(json_is_object(json_get(doc.root, S("j"))));
    assert_str(json_string(json_get(doc.root, S("event"))), "test.event");
    assert_true(str_starts(json_string(json_get(doc.root, S("text"))), S("a\"\n")));
    arena_unref(a);
    arena_pool_deinit(&pool);
}

static void console_lines_stay_on_one_line(void **state)
{
    (void)state;
    log_is_console = true;
    log_warn("test.event", F_STR("text", S("two\nlines\x1b[31m")), F_U64("n", 7));
    str line = buf_str(&lines);
    assert_ptr_equal(memchr(line.ptr, '\n', line.len), line.ptr + line.len - 1);
    assert_null(memchr(line.ptr, 0x1b, line.len)); /* no terminal escapes from user text */
    assert_true(str_contains_nocase(line, S("test.event")));
    assert_true(str_contains_nocase(line, S("n=7")));
}

static void what_is_below_the_threshold_is_not_written(void **state)
{
    (void)state;
    log_debug("test.debug");
    assert_int_equal(line_count, 0);
    log_threshold = LOG_DEBUG;
    log_debug("test.debug");
    assert_int_equal(line_count, 1);
    log_threshold = LOG_ERROR;
    log_warn("test.warn");
    assert_int_equal(line_count, 1);
}

static void a_place_writes_twenty_lines_in_ten_seconds(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++)
        log_info("test.flood", F_U64("i", (uint64_t)i));
    assert_in_range(line_count, 20, 40); /* a window may have ended in between */
    size_t before = line_count;
    log_info("test.other");
    assert_int_equal(line_count, before + 1);
}

static void levels_have_names(void **state)
{
    static const enum log_level levels[] = {LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG};
    enum log_level l;

    (void)state;
    for (size_t i = 0; i < countof(levels); i++) {
        assert_true(log_level_parse(str_of(log_level_name(levels[i])), &l));
        assert_int_equal(l, levels[i]);
    }
    assert_false(log_level_parse(S("loud"), &l));
}

int main(void)
{
#define TL(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TL(json_lines_are_json_whatever_the_text),
        TL(console_lines_stay_on_one_line),
        TL(what_is_below_the_threshold_is_not_written),
        TL(a_place_writes_twenty_lines_in_ten_seconds),
        TL(levels_have_names),
    };
    return RUN(tests);
}
