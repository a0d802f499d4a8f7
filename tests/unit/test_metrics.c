#include "unit.h"
#include "core/metrics.h"

#include <math.h>
#include <pthread.h>

static struct metrics *m;
static struct buf out;

static int set_up(void **state)
{
    (void)state;
    m = metrics_new(4);
    buf_init(&out, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    metrics_free(m);
    buf_deinit(&out);
    return 0;
}

static uint32_t id;
static const char *const two_labels[] = {"tool", "result", NULL};
static const double buckets[] = {0.1, 1, 10};

static mig_metric metric(uint32_t kind, const char *name)
{
    return (mig_metric){.struct_size = sizeof(mig_metric),
                        .kind = kind,
                        .name = name,
                        .help = "Help.",
                        .ret_id = &id,
                        .bucket_count = kind == MIG_HISTOGRAM ? 3 : 0,
                        .buckets = kind == MIG_HISTOGRAM ? buckets : NULL};
}

static void writes_prometheus_text(void **state)
{
    mig_metric c = metric(MIG_COUNTER, "calls_total"), g = metric(MIG_GAUGE, "depth"),
               h = metric(MIG_HISTOGRAM, "seconds");
    uint32_t counter, gauge, histogram;
    const mig_str labels[] = {S("a\"b\\c\nd\xFF"), S("ok")};

    (void)state;
    c.label_names = two_labels;
    assert_int_equal(metrics_register(m, &c), MIG_OK);
    counter = id;
    assert_int_equal(metrics_register(m, &g), MIG_OK);
    gauge = id;
    assert_int_equal(metrics_register(m, &h), MIG_OK);
    histogram = id;
    metrics_record(m, counter, labels, 1);
    metrics_record(m, counter, labels, 2.5);
    metrics_record(m, gauge, NULL, 7);
    metrics_record(m, gauge, NULL, 3);
    metrics_record(m, histogram, NULL, 0.1);
    metrics_record(m, histogram, NULL, 5);
    metrics_record(m, histogram, NULL, 50);
    metrics_text(m, &out);
    buf_addc(&out, 0);
    assert_string_equal(
        out.ptr, "# HELP mig_plugin_calls_total Help.\n"
                 "# TYPE mig_plugin_calls_total counter\n"
                 "mig_plugin_calls_total{tool=\"a\\\"b\\\\c\\nd\xEF\xBF\xBD\",result=\"ok\"} 3.5\n"
                 "# HELP mig_plugin_depth Help.\n"
                 "# TYPE mig_plugin_depth gauge\n"
                 "mig_plugin_depth 3\n"
                 "# HELP mig_plugin_seconds Help.\n"
                 "# TYPE mig_plugin_seconds histogram\n"
                 "mig_plugin_seconds_bucket{le=\"0.1\"} 1\n"
                 "mig_plugin_seconds_bucket{le=\"1\"} 1\n"
                 "mig_plugin_seconds_bucket{le=\"10\"} 2\n"
                 "mig_plugin_seconds_bucket{le=\"+Inf\"} 3\n"
                 "mig_plugin_seconds_sum 55.100000000000001\n"
                 "mig_plugin_seconds_count 3\n");
}

static void help_stays_on_its_line(void **state)
{
    mig_metric c = metric(MIG_COUNTER, "x_total");

    (void)state;
    c.help = "two\nlines \\ here";
    assert_int_equal(metrics_register(m, &c), MIG_OK);
    metrics_text(m, &out);
    assert_true(str_starts(buf_str(&out), S("# HELP mig_plugin_x_total two\\nlines \\\\ here\n")));
}

static void what_is_beyond_the_cap_counts_as_other(void **state)
{
    mig_metric c = metric(MIG_COUNTER, "x_total");
    char name[16];

    (void)state;
    c.label_names = two_labels;
    assert_int_equal(metrics_register(m, &c), MIG_OK);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "t%d", i);
        metrics_record(m, id, (mig_str[]){str_of(name), S("ok")}, 1);
    }
    metrics_text(m, &out);
    assert_true(str_contains_nocase(buf_str(&out), S("{tool=\"other\",result=\"other\"} 96\n")));
    assert_true(str_contains_nocase(buf_str(&out), S("{tool=\"t3\",result=\"ok\"} 1\n")));
    assert_false(str_contains_nocase(buf_str(&out), S("\"t4\"")));
}

static void the_same_definition_has_the_same_id(void **state)
{
    mig_metric c = metric(MIG_COUNTER, "x_total"), g = metric(MIG_GAUGE, "x_total");

    (void)state;
    assert_int_equal(metrics_register(m, &c), MIG_OK);
    uint32_t first = id;
    id = 0;
    assert_int_equal(metrics_register(m, &c), MIG_OK);
    assert_int_equal(id, first);
    assert_int_equal(metrics_register(m, &g), MIG_E_ARG); /* contradicts */
    c.label_names = two_labels;
    assert_int_equal(metrics_register(m, &c), MIG_E_ARG);
}

static void wrong_definitions_are_refused(void **state)
{
    static const char *const five[] = {"a", "b", "c", "d", "e", NULL};
    static const char *const bad_label[] = {"a-b", NULL};
    static const double falling[] = {1, 1, 2};

    (void)state;
    for (int i = 0; i < 9; i++) {
        mig_metric c = metric(i == 5 || i == 6 ? MIG_HISTOGRAM : MIG_COUNTER, "x_total");
        switch (i) {
        case 0: c.name = NULL; break;
        case 1: c.name = "1x"; break;
        case 2: c.name = "x-y"; break;
        case 3: c.label_names = five; break;
        case 4: c.label_names = bad_label; break;
        case 5: c.buckets = falling; break;
        case 6: c.bucket_count = 0; break;
        case 7: c.kind = 9; break;
        default: c.ret_id = NULL;
        }
        assert_int_equal(metrics_register(m, &c), MIG_E_ARG);
    }
    metrics_text(m, &out);
    assert_int_equal(out.len, 0);
}

static void records_of_unknown_ids_and_odd_numbers_are_ignored(void **state)
{
    mig_metric c = metric(MIG_COUNTER, "x_total");

    (void)state;
    assert_int_equal(metrics_register(m, &c), MIG_OK);
    metrics_record(m, 0, NULL, 1);
    metrics_record(m, 77, NULL, 1);
    metrics_record(m, id, NULL, (double)NAN);
    metrics_record(m, id, NULL, (double)INFINITY);
    metrics_record(m, id, NULL, 2);
    metrics_text(m, &out);
    assert_true(str_ends(buf_str(&out), S("mig_plugin_x_total 2\n")));
}

static void *record_many(void *arg)
{
    for (int i = 0; i < 10000; i++)
        metrics_record(m, id, NULL, 1);
    return arg;
}

static void no_count_is_lost_between_threads(void **state)
{
    mig_metric c = metric(MIG_COUNTER, "x_total");
    pthread_t t[4];

    (void)state;
    assert_int_equal(metrics_register(m, &c), MIG_OK);
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, record_many, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    metrics_text(m, &out);
    assert_true(str_ends(buf_str(&out), S("mig_plugin_x_total 40000\n")));
}

int main(void)
{
#define TM(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TM(writes_prometheus_text),
        TM(help_stays_on_its_line),
        TM(what_is_beyond_the_cap_counts_as_other),
        TM(the_same_definition_has_the_same_id),
        TM(wrong_definitions_are_refused),
        TM(records_of_unknown_ids_and_odd_numbers_are_ignored),
        TM(no_count_is_lost_between_threads),
    };
    return RUN(tests);
}
