#include "ctl_http.h"

#include <stdio.h>

/* What stands behind the host: ":port", then a path. */
static bool read_rest(struct url *u, const char *p, const char **why)
{
    size_t n;

    *why = "the port is no number";
    if (*p == ':') {
        uint64_t port;
        n = strcspn(++p, "/?#");
        if (!str_to_u64((str){p, n}, &port) || port == 0 || port > 65535)
            return false;
        snprintf(u->port, sizeof u->port, "%u", (unsigned)port);
        p += n;
    }
    *why = "a path is allowed behind the host, a query is not";
    n = strlen(p);
    while (n && p[n - 1] == '/')
        n--;
    if (n >= sizeof u->prefix || strcspn(p, "?# \r\n") < n || (n && *p != '/'))
        return false;
    memcpy(u->prefix, p, n);
    return true;
}

bool url_parse(struct url *u, const char *text, const char **why)
{
    bool is_tls = !strncmp(text, "https://", 8);
    const char *p = text + (is_tls ? 8 : 7), *end;
    size_t n;

    *u = (struct url){.is_tls = is_tls};
    snprintf(u->port, sizeof u->port, "%s", is_tls ? "443" : "80");
    *why = "only http:// and https:// addresses are spoken";
    if (!is_tls && strncmp(text, "http://", 7) != 0)
        return false;
    *why = "no host in it, or one that is too long";
    end = *p == '[' ? strchr(p, ']') : p + strcspn(p, ":/?#");
    p += *p == '[';
    if (!end || end == p || (n = (size_t)(end - p)) >= sizeof u->host || strcspn(p, "@ \r\n") < n)
        return false;
    memcpy(u->host, p, n);
    return read_rest(u, end + (*end == ']'), why);
}

void url_add_segment(struct buf *out, str segment)
{
    static const char safe[] = "-._~";

    for (size_t i = 0; i < segment.len; i++) {
        unsigned char c = (unsigned char)segment.ptr[i];
        bool is_plain = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') ||
                        (c && strchr(safe, c));
        if (is_plain)
            buf_addc(out, (char)c);
        else
            buf_addf(out, "%%%02X", c);
    }
}

bool head_add(struct buf *heads, const char *name, const char *value)
{
    if (!value || !*value)
        return true;
    for (const char *p = value; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return false;
    return buf_addf(heads, "%s: %s\n", name, value);
}

str head_find(str heads, const char *name)
{
    while (heads.len) {
        str line = str_split(&heads, '\n');
        str key = str_split(&line, ':');
        if (line.ptr && str_eq_nocase(key, str_of(name)))
            return str_trim(line);
    }
    return (str){0};
}
