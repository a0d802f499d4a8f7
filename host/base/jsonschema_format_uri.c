/* Values of `format`: uri, iri and their references, uri-template. */
#include "base/jsonschema_format.h"
#include "base/jsonschema_uri.h"

#include <ctype.h>

static bool is_unreserved(unsigned char c)
{
    return isalnum(c) || (c && strchr("-._~", c));
}

static bool is_sub_delim(unsigned char c)
{
    return c && strchr("!$&'()*+,;=", c);
}

/* Only unreserved, escapes, sub-delims and `more`; has_wide: beyond ASCII, too. */
static bool has_only(str s, const char *more, bool has_wide)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == '%') {
            if (i + 2 >= s.len || !isxdigit((unsigned char)s.ptr[i + 1]) ||
                !isxdigit((unsigned char)s.ptr[i + 2]))
                return false;
            i += 2;
        } else if (c >= 0x80 ? !has_wide
                             : !is_unreserved(c) && !is_sub_delim(c) && !(c && strchr(more, c))) {
            return false;
        }
    }
    return true;
}

static bool is_port(str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!isdigit((unsigned char)s.ptr[i]))
            return false;
    return true;
}

/* RFC 3986 3.2.2: "[::1]" or "[v1.fe80]"; what follows is *rest. */
static bool take_literal(str *rest)
{
    const char *end = memchr(rest->ptr, ']', rest->len);

    if (!end)
        return false;
    str inner = {rest->ptr + 1, (size_t)(end - rest->ptr) - 1};
    *rest = str_cut(*rest, inner.len + 2);
    if (!inner.len || (inner.ptr[0] | 32) != 'v')
        return format_is_ipv6(inner);
    str version = str_split(&inner, '.');
    return version.len > 1 && inner.len && has_only(inner, ":", false);
}

static bool is_authority(str s, bool has_wide)
{
    const char *at = s.len ? memrchr(s.ptr, '@', s.len) : NULL;

    if (at) {
        str user = {s.ptr, (size_t)(at - s.ptr)};
        s = str_cut(s, user.len + 1);
        if (!has_only(user, ":", has_wide))
            return false;
    }
    if (s.len && s.ptr[0] == '[')
        return take_literal(&s) && (!s.len || (s.ptr[0] == ':' && is_port(str_cut(s, 1))));
    str host = str_split(&s, ':');
    return has_only(host, "", has_wide) && is_port(s);
}

static bool is_reference(str s, bool has_wide)
{
    struct uri_parts p = uri_parse(s);

    if (!p.scheme.ptr && !p.authority.ptr) { // RFC 3986 4.2: no colon in the first segment
        str rest = p.path, first = str_split(&rest, '/');
        if (first.len && memchr(first.ptr, ':', first.len))
            return false;
    }
    return (!p.authority.ptr || is_authority(p.authority, has_wide)) &&
           has_only(p.path, ":@/", has_wide) && has_only(p.query, ":@/?", has_wide) &&
           has_only(p.fragment, ":@/?", has_wide);
}

bool format_is_uri(str s)
{
    return uri_parse(s).scheme.ptr && is_reference(s, /*has_wide=*/false);
}

bool format_is_uri_reference(str s)
{
    return is_reference(s, /*has_wide=*/false);
}

bool format_is_iri(str s)
{
    return uri_parse(s).scheme.ptr && is_reference(s, /*has_wide=*/true);
}

bool format_is_iri_reference(str s)
{
    return is_reference(s, /*has_wide=*/true);
}

static bool is_variable_list(str s)
{
    if (s.len && strchr("+#./;?&=,!@|", s.ptr[0]))
        s = str_cut(s, 1);
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (!isalnum(c) && !(c && strchr("_.,:*%", c)))
            return false;
    }
    return s.len;
}

static bool is_literal(unsigned char c)
{
    return c > 0x20 && c != 0x7F && !strchr("\"'<>\\^`}", c);
}

bool format_is_uri_template(str s)
{
    while (s.len) {
        if (s.ptr[0] == '{') {
            const char *end = memchr(s.ptr, '}', s.len);
            str inner = {s.ptr + 1, end ? (size_t)(end - s.ptr) - 1 : 0};
            if (!end || !is_variable_list(inner))
                return false;
            s = str_cut(s, inner.len + 2);
        } else {
            if (!is_literal((unsigned char)s.ptr[0]))
                return false;
            s = str_cut(s, 1);
        }
    }
    return true;
}
