#include "unit.h"
#include "base/traceparent.h"

#define T_ID "0af7651916cd43dd8448eb211c80319c"
#define S_ID "b7ad6b7169203331"

static void reads_what_the_standard_allows(void **state)
{
    static const struct {
        const char *text;
        bool is_good;
    } rows[] = {
        {"00-" T_ID "-" S_ID "-01", true},
        {"00-" T_ID "-" S_ID "-00", true},
        {"00-" T_ID "-" S_ID "-ff", true},
        {"cc-" T_ID "-" S_ID "-01", true},
        {"cc-" T_ID "-" S_ID "-01-what-comes-later", true},
        {"cc-" T_ID "-" S_ID "-01.what", false},
        {"00-" T_ID "-" S_ID "-01-more", false},
        {"ff-" T_ID "-" S_ID "-01", false},
        {"00-00000000000000000000000000000000-" S_ID "-01", false},
        {"00-" T_ID "-0000000000000000-01", false},
        {"00-0AF7651916cd43dd8448eb211c80319c-" S_ID "-01", false},
        {"00-" T_ID "-" S_ID "-0", false},
        {"00-" T_ID "-" S_ID "-0g", false},
        {"00_" T_ID "-" S_ID "-01", false},
        {"00-" T_ID "_" S_ID "-01", false},
        {"00-" T_ID "-" S_ID "_01", false},
        {"0x-" T_ID "-" S_ID "-01", false},
        {"", false},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct traceparent t = {.flags = 42};
        assert_int_equal(traceparent_parse(str_of(rows[i].text), &t), rows[i].is_good);
        if (!rows[i].is_good)
            assert_int_equal(t.flags, 42); /* written only on success */
    }
    assert_false(traceparent_parse((str){NULL, 0}, &(struct traceparent){0}));
}

static void writes_what_it_reads(void **state)
{
    static const char text[] = "00-" T_ID "-" S_ID "-01";
    struct traceparent t;
    char out[TRACEPARENT_TEXT];

    (void)state;
    assert_true(traceparent_parse(str_of(text), &t));
    assert_int_equal(t.trace_id[0], 0x0A);
    assert_int_equal(t.trace_id[15], 0x9C);
    assert_int_equal(t.span_id[7], 0x31);
    traceparent_write(&t, out);
    assert_memory_equal(out, text, sizeof out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(reads_what_the_standard_allows),
        T(writes_what_it_reads),
    };
    return RUN(tests);
}
