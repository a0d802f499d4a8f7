#include "unit.h"
#include "base/prom.h"

static void expect_text(struct buf *out, const char *want)
{
    buf_addc(out, 0);
    assert_string_equal(out->ptr, want);
    buf_clear(out);
}

static void samples_have_labels_or_none(void **state)
{
    const struct prom_label labels[] = {{"a", S("x")}, {"b", S("")}};
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    prom_one(&out, "up", "gauge", "Is it?", 1);
    expect_text(&out, "# HELP up Is it?\n# TYPE up gauge\nup 1\n");
    prom_sample(&out, "n", labels, 1, -7);
    prom_sample(&out, "n", labels, 2, INT64_MAX);
    expect_text(&out, "n{a=\"x\"} -7\nn{a=\"x\",b=\"\"} 9223372036854775807\n");
    prom_labels(&out, labels, 0);
    expect_text(&out, "");
    buf_deinit(&out);
}

static void a_line_stays_a_line_of_utf8(void **state)
{
    const struct prom_label label = {"a", S("q\"b\\n\nx\xC3\xA9\xC3|\xFF")};
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    prom_sample(&out, "n", &label, 1, 0);
    expect_text(&out, "n{a=\"q\\\"b\\\\n\\nx\xC3\xA9\xEF\xBF\xBD|\xEF\xBF\xBD\"} 0\n");
    prom_family(&out, "n", "counter", "a \"b\"\\\nc\x80");
    expect_text(&out, "# HELP n a \"b\"\\\\\\nc\xEF\xBF\xBD\n# TYPE n counter\n");
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {T(samples_have_labels_or_none),
                                       T(a_line_stays_a_line_of_utf8)};
    return RUN(tests);
}
