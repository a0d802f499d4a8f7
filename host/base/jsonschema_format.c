/* Values of `format`: dates, addresses, names, pointers. URIs are in jsonschema_format_uri.c. */
#include "base/jsonschema_format.h"

#include <arpa/inet.h>
#include <ctype.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* --- RFC 3339 ----------------------------------------------------------------------------------- */

/* n digits at *s as a number; *s goes behind them. */
static bool take_digits(str *s, size_t n, unsigned *ret)
{
    *ret = 0;
    if (s->len < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!is_digit(s->ptr[i]))
            return false;
        *ret = *ret * 10 + (unsigned)(s->ptr[i] - '0');
    }
    *s = str_cut(*s, n);
    return true;
}

static bool take(str *s, char c)
{
    bool is_there = s->len && s->ptr[0] == c;

    if (is_there)
        *s = str_cut(*s, 1);
    return is_there;
}

static unsigned days_in(unsigned year, unsigned month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100) || year % 400 == 0;

    return month < 1 || month > 12 ? 0 : days[month - 1] + (unsigned)(month == 2 && is_leap);
}

static bool take_date(str *s)
{
    unsigned year, month, day;

    return take_digits(s, 4, &year) && take(s, '-') && take_digits(s, 2, &month) && take(s, '-') &&
           take_digits(s, 2, &day) && day >= 1 && day <= days_in(year, month);
}

/* "Z" or "+hh:mm"; *ret: minutes to take from the local time. */
static bool take_offset(str *s, int *ret)
{
    unsigned hours, minutes;

    *ret = 0;
    if (take(s, 'Z') || take(s, 'z'))
        return true;
    int sign = take(s, '+') ? 1 : take(s, '-') ? -1 : 0;
    if (!sign || !take_digits(s, 2, &hours) || !take(s, ':') || !take_digits(s, 2, &minutes) ||
        hours > 23 || minutes > 59)
        return false;
    *ret = sign * (int)(hours * 60 + minutes);
    return true;
}

/* Second 60 exists at 23:59 UTC only. */
static bool take_time(str *s)
{
    unsigned hour, minute, second, digit;
    int offset;

    if (!take_digits(s, 2, &hour) || !take(s, ':') || !take_digits(s, 2, &minute) ||
        !take(s, ':') || !take_digits(s, 2, &second) || hour > 23 || minute > 59 || second > 60)
        return false;
    if (take(s, '.')) {
        if (!take_digits(s, 1, &digit))
            return false;
        while (take_digits(s, 1, &digit))
            ;
    }
    if (!take_offset(s, &offset))
        return false;
    int utc = ((int)(hour * 60 + minute) - offset + 2 * 1440) % 1440;
    return second < 60 || utc == 1439;
}

static bool is_date(str s)
{
    return take_date(&s) && !s.len;
}

static bool is_time(str s)
{
    return take_time(&s) && !s.len;
}

static bool is_date_time(str s)
{
    return take_date(&s) && (take(&s, 'T') || take(&s, 't')) && take_time(&s) && !s.len;
}

/* Some of "nX" in the order of `units`; how many. */
static unsigned take_units(str *s, const char *units)
{
    unsigned count = 0;

    while (s->len && is_digit(s->ptr[0])) {
        size_t n = 0;
        while (n < s->len && is_digit(s->ptr[n]))
            n++;
        const char *unit = n < s->len && s->ptr[n] ? strchr(units, s->ptr[n]) : NULL;
        if (!unit)
            break;
        units = unit + 1;
        *s = str_cut(*s, n + 1);
        count++;
    }
    return count;
}

/* RFC 3339 appendix A, with gaps as ISO 8601 has them ("P1Y2D"). */
static bool is_duration(str s)
{
    str weeks;

    if (!take(&s, 'P'))
        return false;
    weeks = s;
    if (take_units(&weeks, "W") && !weeks.len)
        return true;
    unsigned count = take_units(&s, "YMD");
    if (take(&s, 'T')) {
        unsigned of_time = take_units(&s, "HMS");
        count = of_time ? count + of_time : 0;
    }
    return count && !s.len;
}

/* --- names and addresses ------------------------------------------------------------------------ */

static bool is_label(str s)
{
    if (!s.len || s.len > 63 || s.ptr[0] == '-' || s.ptr[s.len - 1] == '-')
        return false;
    if (s.len >= 4 && s.ptr[2] == '-' && s.ptr[3] == '-' &&
        !str_eq_nocase((str){s.ptr, 2}, S("xn")))
        return false; // RFC 5891 4.2.3.1
    for (size_t i = 0; i < s.len; i++)
        if (!is_alnum(s.ptr[i]) && s.ptr[i] != '-')
            return false;
    return true;
}

static bool is_hostname(str s)
{
    bool ok = s.len && s.len <= 253;

    while (ok && s.ptr)
        ok = is_label(str_split(&s, '.'));
    return ok;
}

static bool is_address(str s, int family)
{
    char z[INET6_ADDRSTRLEN + 1];
    unsigned char binary[16];

    if (s.len >= sizeof z || (s.len && memchr(s.ptr, 0, s.len)))
        return false;
    if (s.len)
        memcpy(z, s.ptr, s.len);
    z[s.len] = 0;
    return inet_pton(family, z, binary) == 1;
}

bool format_is_ipv4(str s)
{
    return is_address(s, AF_INET);
}

bool format_is_ipv6(str s)
{
    return is_address(s, AF_INET6);
}

static bool is_atom(str s, bool has_utf8)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_alnum(s.ptr[i]) && !(s.ptr[i] && strchr("!#$%&'*+-/=?^_`{|}~", s.ptr[i])) &&
            !(has_utf8 && (s.ptr[i] & 0x80)))
            return false;
    return s.len;
}

/* RFC 5321 4.1.2 */
static bool is_local_part(str s, bool has_utf8)
{
    if (s.len >= 2 && s.ptr[0] == '"' && s.ptr[s.len - 1] == '"') {
        for (size_t i = 1; i + 1 < s.len; i++)
            if (s.ptr[i] == '"' || (s.ptr[i] == '\\' && ++i + 1 >= s.len) ||
                (s.ptr[i] >= 0 && s.ptr[i] < 32))
                return false;
        return true;
    }
    bool ok = s.len && s.len <= 64;
    while (ok && s.ptr)
        ok = is_atom(str_split(&s, '.'), has_utf8);
    return ok;
}

static bool is_mail_domain(str s, bool has_utf8)
{
    if (s.len > 2 && s.ptr[0] == '[' && s.ptr[s.len - 1] == ']') {
        str inner = {s.ptr + 1, s.len - 2};
        return str_starts(inner, S("IPv6:")) ? format_is_ipv6(str_cut(inner, 5))
                                             : format_is_ipv4(inner);
    }
    if (!has_utf8)
        return is_hostname(s);
    return s.len && s.ptr[0] != '.' && !memchr(s.ptr, ' ', s.len) && !memchr(s.ptr, '@', s.len);
}

static bool is_mail(str s, bool has_utf8)
{
    const char *at = s.len ? memrchr(s.ptr, '@', s.len) : NULL;

    if (!at)
        return false;
    size_t n = (size_t)(at - s.ptr);
    return is_local_part((str){s.ptr, n}, has_utf8) && is_mail_domain(str_cut(s, n + 1), has_utf8);
}

static bool is_email(str s)
{
    return is_mail(s, /*has_utf8=*/false);
}

static bool is_idn_email(str s)
{
    return is_mail(s, /*has_utf8=*/true);
}

static bool is_uuid(str s)
{
    for (size_t i = 0; i < s.len; i++) {
        bool is_hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        if (is_hyphen ? s.ptr[i] != '-' : !isxdigit((unsigned char)s.ptr[i]))
            return false;
    }
    return s.len == 36;
}

/* --- pointers and patterns ---------------------------------------------------------------------- */

static bool is_pointer(str s)
{
    if (s.len && s.ptr[0] != '/')
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] == '~' && (i + 1 == s.len || (s.ptr[i + 1] != '0' && s.ptr[i + 1] != '1')))
            return false;
    return true;
}

static bool is_relative_pointer(str s)
{
    size_t n = 0;

    while (n < s.len && is_digit(s.ptr[n]))
        n++;
    if (!n || (n > 1 && s.ptr[0] == '0'))
        return false;
    s = str_cut(s, n);
    return str_eq(s, S("#")) || is_pointer(s);
}

static bool is_regex(str s)
{
    struct regex_fault fault;
    struct regex *r;

    if (!regex_compile(&r, s, &fault))
        return false;
    regex_free(r);
    return true;
}

const struct format *format_find(str name)
{
    static const struct format formats[] = {
        {"date", is_date},
        {"date-time", is_date_time},
        {"duration", is_duration},
        {"email", is_email},
        {"hostname", is_hostname},
        {"idn-email", is_idn_email},
        {"ipv4", format_is_ipv4},
        {"ipv6", format_is_ipv6},
        {"iri", format_is_iri},
        {"iri-reference", format_is_iri_reference},
        {"json-pointer", is_pointer},
        {"regex", is_regex},
        {"relative-json-pointer", is_relative_pointer},
        {"time", is_time},
        {"uri", format_is_uri},
        {"uri-reference", format_is_uri_reference},
        {"uri-template", format_is_uri_template},
        {"uuid", is_uuid},
    };

    for (size_t i = 0; i < countof(formats); i++)
        if (str_eq(name, str_of(formats[i].name)))
            return &formats[i];
    return NULL;
}
