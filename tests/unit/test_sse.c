#include "unit.h"
#include "base/sse.h"

static void writes_records(void **state)
{
    static const struct {
        struct sse_record record;
        const char *want;
    } rows[] = {
        {{S("mig-event"), S("7"), S("{\"a\":1}"), 0},
         "id: 7\nevent: mig-event\ndata: {\"a\":1}\n\n"},
        {{.data = S("x")}, "data: x\n\n"},
        {{.retry_ms = 3000}, "retry: 3000\n\n"},
        {{.data = S("one\ntwo\r\nthree\rfour")},
         "data: one\ndata: two\ndata: three\ndata: four\n\n"},
        {{.data = S("ends\n")}, "data: ends\ndata: \n\n"},
        {{.name = S("closing")}, "event: closing\n\n"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        char text[128];
        size_t size = sse_size(&rows[i].record);
        assert_int_equal(size, strlen(rows[i].want));
        assert_ptr_equal(sse_write(&rows[i].record, text), text + size);
        assert_memory_equal(text, rows[i].want, size);
    }
}

static void refuses_what_would_become_a_field(void **state)
{
    static const struct sse_record bad[] = {
        {.name = S("a\nb")}, {.name = S("a\r")}, {.id = S("1\n")}, {.id = S("a\0b")}};

    (void)state;
    for (size_t i = 0; i < countof(bad); i++)
        assert_false(sse_is_valid(&bad[i]));
    assert_true(sse_is_valid(&(struct sse_record){S("a b"), S("1:2"), S("x\ny"), 1}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_records),
        cmocka_unit_test(refuses_what_would_become_a_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
