#include "base/clock.h"

#include <string.h>

static void two(char *to, int n)
{
    to[0] = (char)('0' + n / 10);
    to[1] = (char)('0' + n % 10);
}

static void write_second(time_t s, char out[CLOCK_RFC3339])
{
    struct tm t;

    gmtime_r(&s, &t);
    memcpy(out, "0000-00-00T00:00:00.000Z", CLOCK_RFC3339);
    two(out, (t.tm_year + 1900) / 100);
    two(out + 2, (t.tm_year + 1900) % 100);
    two(out + 5, t.tm_mon + 1);
    two(out + 8, t.tm_mday);
    two(out + 11, t.tm_hour);
    two(out + 14, t.tm_min);
    two(out + 17, t.tm_sec);
}

/* Most stamps of a thread fall into the second of the one before. */
void clock_rfc3339(uint64_t wall_ms, char out[CLOCK_RFC3339])
{
    static _Thread_local struct {
        time_t second;
        char text[CLOCK_RFC3339];
    } last = {.second = -1};
    time_t s = (time_t)(wall_ms / 1000);
    int ms = (int)(wall_ms % 1000);

    if (s != last.second) {
        write_second(s, last.text);
        last.second = s;
    }
    memcpy(out, last.text, CLOCK_RFC3339);
    out[20] = (char)('0' + ms / 100);
    two(out + 21, ms % 100);
}

void clock_http_date(uint64_t wall_ms, char out[CLOCK_HTTP_DATE])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t s = (time_t)(wall_ms / 1000);
    struct tm t;

    gmtime_r(&s, &t);
    memcpy(out, "Day, 00 Mon 0000 00:00:00 GMT", CLOCK_HTTP_DATE);
    memcpy(out, days + 3 * t.tm_wday, 3);
    memcpy(out + 8, months + 3 * t.tm_mon, 3);
    two(out + 5, t.tm_mday);
    two(out + 12, (t.tm_year + 1900) / 100);
    two(out + 14, (t.tm_year + 1900) % 100);
    two(out + 17, t.tm_hour);
    two(out + 20, t.tm_min);
    two(out + 23, t.tm_sec);
}
