#include "base/clock.h"

#include <string.h>

_Thread_local struct clock_turn clock_turn;

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

/* n digits at p; -1: there are others. */
static int number(const char *p, int n)
{
    int value = 0;

    for (int i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return -1;
        value = value * 10 + (p[i] - '0');
    }
    return value;
}

/* The offset from UTC in minutes. */
static bool parse_zone(const char *p, size_t len, int *ret)
{
    *ret = 0;
    if (len == 1)
        return (*p | 0x20) == 'z';
    if (len != 6 || (*p != '+' && *p != '-') || p[3] != ':')
        return false;
    int hours = number(p + 1, 2), minutes = number(p + 4, 2);
    *ret = (hours * 60 + minutes) * (*p == '-' ? -1 : 1);
    return hours >= 0 && hours < 24 && minutes >= 0 && minutes < 60;
}

static bool parse_fraction(const char **at, const char *end, int *ret_ms)
{
    int digits = 0;

    *ret_ms = 0;
    if (*at == end || **at != '.')
        return true;
    for ((*at)++; *at < end && **at >= '0' && **at <= '9'; (*at)++, digits++)
        if (digits < 3)
            *ret_ms = *ret_ms * 10 + (**at - '0');
    for (int n = digits; n < 3; n++)
        *ret_ms *= 10;
    return digits > 0;
}

bool clock_parse_rfc3339(const char *text, size_t len, uint64_t *ret_wall_ms)
{
    const char *at = text + 19, *end = text + len;
    int ms, zone;

    if (len < 20 || text[4] != '-' || text[7] != '-' || (text[10] | 0x20) != 't' ||
        text[13] != ':' || text[16] != ':')
        return false;
    struct tm t = {.tm_year = number(text, 4) - 1900,
                   .tm_mon = number(text + 5, 2) - 1,
                   .tm_mday = number(text + 8, 2),
                   .tm_hour = number(text + 11, 2),
                   .tm_min = number(text + 14, 2),
                   .tm_sec = number(text + 17, 2)};
    if (t.tm_year < 70 || t.tm_mon < 0 || t.tm_mon > 11 || t.tm_mday < 1 || t.tm_mday > 31 ||
        t.tm_hour < 0 || t.tm_hour > 23 || t.tm_min < 0 || t.tm_min > 59 || t.tm_sec < 0 ||
        t.tm_sec > 60 || !parse_fraction(&at, end, &ms) ||
        !parse_zone(at, (size_t)(end - at), &zone))
        return false;
    int64_t s = (int64_t)timegm(&t) - zone * 60;
    if (s < 0)
        return false;
    *ret_wall_ms = (uint64_t)s * 1000 + (uint64_t)ms;
    return true;
}
