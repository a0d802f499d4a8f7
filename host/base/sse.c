#include "base/sse.h"

#include <stdio.h>

static bool has_break(str s)
{
    return s.len && (memchr(s.ptr, '\n', s.len) || memchr(s.ptr, '\r', s.len));
}

bool sse_is_valid(const struct sse_record *r)
{
    return !has_break(r->name) && !has_break(r->id) &&
           !(r->id.len && memchr(r->id.ptr, 0, r->id.len));
}

/* One pass for both: to NULL only counts. */
struct pen {
    char *to;
    size_t len;
};

static void put(struct pen *p, str s)
{
    if (p->to && s.len)
        memcpy(p->to + p->len, s.ptr, s.len);
    p->len += s.len;
}

static void field(struct pen *p, str name, str value)
{
    put(p, name);
    put(p, value);
    put(p, S("\n"));
}

/* CR LF, LF and CR end a line. */
static str next_line(str *rest)
{
    size_t n = 0;

    while (n < rest->len && rest->ptr[n] != '\n' && rest->ptr[n] != '\r')
        n++;
    str line = {rest->ptr, n};
    if (n == rest->len) {
        *rest = (str){NULL, 0};
        return line;
    }
    bool is_pair = rest->ptr[n] == '\r' && n + 1 < rest->len && rest->ptr[n + 1] == '\n';
    *rest = str_cut(*rest, n + (is_pair ? 2 : 1));
    return line;
}

static void write(struct pen *p, const struct sse_record *r)
{
    char digits[16];

    if (r->retry_ms) {
        int n = snprintf(digits, sizeof digits, "%u", r->retry_ms);
        field(p, S("retry: "), (str){digits, (size_t)n});
    }
    if (r->id.len)
        field(p, S("id: "), r->id);
    if (r->name.len)
        field(p, S("event: "), r->name);
    if (r->data.len && !has_break(r->data))
        field(p, S("data: "), r->data);
    else
        for (str rest = r->data; rest.ptr && r->data.len;)
            field(p, S("data: "), next_line(&rest));
    put(p, S("\n"));
}

size_t sse_size(const struct sse_record *r)
{
    struct pen p = {0};

    write(&p, r);
    return p.len;
}

char *sse_write(const struct sse_record *r, char *to)
{
    struct pen p = {.to = to};

    write(&p, r);
    return to + p.len;
}
