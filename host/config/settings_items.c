/* What items of some lists must look like. */
#include "base/cidr.h"
#include "config/settings_table.h"

bool setting_is_cidr(str item)
{
    struct cidr c;

    return cidr_parse(item, &c);
}

static bool is_name_char(char c)
{
    char lower = (char)(c | 0x20);

    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_';
}

static bool is_name(str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_name_char(s.ptr[i]))
            return false;
    return s.len > 0 && s.len < 254 && s.ptr[0] != '.' && !str_ends(s, S("."));
}

/* With brackets, as in a URL. */
static bool is_v6(str s)
{
    struct ip ip;

    return str_starts(s, S("[")) && str_ends(s, S("]")) && ip_parse_host(s, &ip);
}

bool setting_is_host(str item)
{
    return is_v6(item) || is_name(str_starts(item, S("*.")) ? str_cut(item, 2) : item);
}

/* As a browser writes it (RFC 6454 6.2): scheme, host, port, and nothing behind. */
bool setting_is_origin(str item)
{
    const char *colon;
    str host = item, scheme;

    if (str_eq(item, S("*")))
        return true;
    scheme = str_split(&host, ':');
    if (!is_name(scheme) || !str_starts(host, S("//")))
        return false;
    host = str_cut(host, 2);
    colon = host.len ? memrchr(host.ptr, ':', host.len) : NULL;
    if (colon && !is_v6(host)) {
        size_t n = (size_t)(colon - host.ptr);
        if (!ip_is_port(str_cut(host, n + 1)))
            return false;
        host.len = n;
    }
    return is_v6(host) || is_name(host);
}
