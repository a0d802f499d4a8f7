#include "unit.h"
#include "base/clock.h"

static void rfc3339_has_milliseconds_and_utc(void **state)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1, "1970-01-01T00:00:00.001Z"},
        {951782399999, "2000-02-28T23:59:59.999Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {1795241643123, "2026-11-21T06:14:03.123Z"},
        {4102444800000, "2100-01-01T00:00:00.000Z"},
        {4107542400000, "2100-03-01T00:00:00.000Z"}, /* no leap year */
        {253402300799999, "9999-12-31T23:59:59.999Z"},
    };
    char out[CLOCK_RFC3339];

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        clock_rfc3339(rows[i].ms, out);
        assert_str(((str){out, sizeof out}), rows[i].text);
    }
}

static void http_date_names_day_and_month(void **state)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } rows[] = {
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {784111777000, "Sun, 06 Nov 1994 08:49:37 GMT"},
        {1795241643999, "Sat, 21 Nov 2026 06:14:03 GMT"},
        {951782400000, "Tue, 29 Feb 2000 00:00:00 GMT"},
    };
    char out[CLOCK_HTTP_DATE];

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        clock_http_date(rows[i].ms, out);
        assert_str(((str){out, sizeof out}), rows[i].text);
    }
}

static void agrees_with_the_c_library(void **state)
{
    char out[CLOCK_RFC3339], want[40];

    (void)state;
    for (uint64_t s = 0; s < 7000000000; s += 86399 * 37) {
        time_t t = (time_t)s;
        struct tm tm;
        gmtime_r(&t, &tm);
        strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%S.000Z", &tm);
        clock_rfc3339(s * 1000, out);
        assert_memory_equal(out, want, sizeof out);
    }
}

static void monotonic_time_does_not_go_back(void **state)
{
    uint64_t last = clock_now_ns();

    (void)state;
    for (int i = 0; i < 10000; i++) {
        uint64_t now = clock_now_ns();
        assert_true(now >= last);
        last = now;
    }
}

static void reads_rfc3339(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms; /* 0: refused */
    } rows[] = {
        {"2026-11-21T06:14:03.123Z", 1795241643123},
        {"2026-11-21t06:14:03z", 1795241643000},
        {"2026-11-21T06:14:03.5Z", 1795241643500},
        {"2026-11-21T06:14:03.123456789Z", 1795241643123},
        {"2026-11-21T07:14:03+01:00", 1795241643000},
        {"2026-11-21T00:44:03-05:30", 1795241643000},
        {"2026-11-21T06:14:03", 0},
        {"2026-11-21T06:14:03.Z", 0},
        {"2026-11-21T06:14:03ZZ", 0},
        {"2026-11-21 06:14:03Z", 0},
        {"2026-13-21T06:14:03Z", 0},
        {"2026-00-21T06:14:03Z", 0},
        {"2026-11-21T24:14:03Z", 0},
        {"2026-11-21T06:14:03+1:00", 0},
        {"2026-11-21T06:14:03+24:00", 0},
        {"1969-11-21T06:14:03Z", 0},
        {"1970-01-01T00:00:00+01:00", 0},
        {"xxxx-11-21T06:14:03Z", 0},
        {"2026-11-21T06:14", 0},
        {"", 0},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        uint64_t ms = 0;
        bool is_good = clock_parse_rfc3339(rows[i].text, strlen(rows[i].text), &ms);
        assert_int_equal(is_good, rows[i].ms != 0);
        assert_int_equal(ms, rows[i].ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(rfc3339_has_milliseconds_and_utc),
        T(http_date_names_day_and_month),
        T(agrees_with_the_c_library),
        T(monotonic_time_does_not_go_back),
        T(reads_rfc3339),
    };
    return RUN(tests);
}
