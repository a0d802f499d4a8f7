#include "base/jsonschema_uri.h"
#include "base/hex.h"

#include <ctype.h>

static bool is_scheme(str s)
{
    if (!s.len || !isalpha((unsigned char)s.ptr[0]))
        return false;
    for (size_t i = 1; i < s.len; i++)
        if (!isalnum((unsigned char)s.ptr[i]) && !(s.ptr[i] && strchr("+-.", s.ptr[i])))
            return false;
    return true;
}

/* What stands before the first byte of `stop`; *rest begins with that byte, or is empty. */
static str cut_before(str *rest, const char *stop)
{
    size_t n = 0;

    while (n < rest->len && !(rest->ptr[n] && strchr(stop, rest->ptr[n])))
        n++;
    str head = {rest->ptr, n};
    *rest = str_cut(*rest, n);
    return head;
}

struct uri_parts uri_parse(str uri)
{
    struct uri_parts p = {0};
    str rest = uri.ptr ? uri : S(""), head = cut_before(&rest, ":/?#");

    if (rest.len && rest.ptr[0] == ':' && is_scheme(head)) {
        p.scheme = head;
        rest = str_cut(rest, 1);
    } else {
        rest = uri.ptr ? uri : S("");
    }
    if (str_starts(rest, S("//"))) {
        rest = str_cut(rest, 2);
        p.authority = cut_before(&rest, "/?#");
    }
    p.path = cut_before(&rest, "?#");
    if (rest.len && rest.ptr[0] == '?') {
        rest = str_cut(rest, 1);
        p.query = cut_before(&rest, "#");
    }
    if (rest.len)
        p.fragment = str_cut(rest, 1);
    return p;
}

/* RFC 3986 5.2.4, in place; the result is never longer. */
static size_t remove_dots(char *path, size_t len)
{
    size_t out = 0, at = 0;

    while (at < len) {
        size_t end = at + 1;
        while (end < len && path[end] != '/')
            end++;
        str segment = {path + at, end - at};
        bool is_last = end == len;
        if (str_eq(segment, S("/.."))) {
            while (out && path[--out] != '/')
                ;
            if (is_last)
                path[out++] = '/';
        } else if (str_eq(segment, S("/."))) {
            if (is_last)
                path[out++] = '/';
        } else {
            memmove(path + out, segment.ptr, segment.len);
            out += segment.len;
        }
        at = end;
    }
    return out;
}

/* RFC 3986 5.2.3 */
static str merge(struct arena *a, const struct uri_parts *base, str ref)
{
    size_t keep = base->path.len;

    while (keep && base->path.ptr[keep - 1] != '/')
        keep--;
    bool needs_slash = base->authority.ptr && !base->path.len;
    char *p = arena_alloc(a, keep + ref.len + 1);
    if (!p)
        return (str){NULL, 0};
    if (needs_slash)
        p[0] = '/';
    else if (keep)
        memcpy(p, base->path.ptr, keep);
    size_t at = needs_slash ? 1 : keep;
    if (ref.len)
        memcpy(p + at, ref.ptr, ref.len);
    return (str){p, remove_dots(p, at + ref.len)};
}

static str clean_path(struct arena *a, str path)
{
    str copy = arena_copy(a, path);

    if (copy.ptr && str_starts(copy, S("/"))) {
        char *p = (char *)(uintptr_t)copy.ptr;
        copy.len = remove_dots(p, copy.len);
    }
    return copy;
}

static str join(struct arena *a, const struct uri_parts *p)
{
    struct arena_text t;

    text_init(&t, a,
              p->scheme.len + p->authority.len + p->path.len + p->query.len + p->fragment.len + 8);
    if (p->scheme.ptr) {
        text_add(&t, p->scheme);
        text_add(&t, S(":"));
    }
    if (p->authority.ptr) {
        text_add(&t, S("//"));
        text_add(&t, p->authority);
    }
    text_add(&t, p->path);
    if (p->query.ptr) {
        text_add(&t, S("?"));
        text_add(&t, p->query);
    }
    if (p->fragment.ptr) {
        text_add(&t, S("#"));
        text_add(&t, p->fragment);
    }
    return t.has_failed ? (str){NULL, 0} : text_str(&t);
}

str uri_resolve(struct arena *a, str base, str ref)
{
    struct uri_parts b = uri_parse(base), r = uri_parse(ref);

    if (r.scheme.ptr) {
        r.path = clean_path(a, r.path);
    } else if (r.authority.ptr) {
        r.scheme = b.scheme;
        r.path = clean_path(a, r.path);
    } else {
        r.scheme = b.scheme;
        r.authority = b.authority;
        if (!r.path.len) {
            r.path = b.path;
            if (!r.query.ptr)
                r.query = b.query;
        } else {
            r.path = r.path.ptr[0] == '/' ? clean_path(a, r.path) : merge(a, &b, r.path);
        }
    }
    return r.path.ptr ? join(a, &r) : (str){NULL, 0};
}

str uri_split(str uri, str *ret_fragment)
{
    str head = cut_before(&uri, "#");

    *ret_fragment = uri.len ? str_cut(uri, 1) : (str){NULL, 0};
    return head;
}

static bool is_escape(str s)
{
    return s.len > 2 && s.ptr[0] == '%' && hex_value(s.ptr[1]) >= 0 && hex_value(s.ptr[2]) >= 0;
}

str uri_decode(struct arena *a, str s)
{
    str copy = arena_copy(a, s);
    char *p = (char *)(uintptr_t)copy.ptr;
    size_t n = 0;

    for (size_t i = 0; p && i < s.len; i++) {
        if (is_escape(str_cut(s, i))) {
            p[n++] = (char)(hex_value(s.ptr[i + 1]) << 4 | hex_value(s.ptr[i + 2]));
            i += 2;
        } else {
            p[n++] = s.ptr[i];
        }
    }
    return (str){p, n};
}
