#include "ctl_sse.h"

void sse_init(struct sse *s, sse_on_event on_event, void *arg)
{
    *s = (struct sse){.on_event = on_event, .arg = arg};
    buf_init(&s->line, SSE_LINE_MAX);
    buf_init(&s->data, SSE_LINE_MAX);
    buf_init(&s->event, SSE_LINE_MAX);
    buf_init(&s->id, SSE_LINE_MAX);
}

void sse_deinit(struct sse *s)
{
    buf_deinit(&s->line);
    buf_deinit(&s->data);
    buf_deinit(&s->event);
    buf_deinit(&s->id);
}

static bool replace(struct buf *b, str text)
{
    buf_clear(b);
    return buf_add(b, text);
}

/* The blank line: a record without data is none. */
static void dispatch(struct sse *s)
{
    struct sse_event e = {
        .event = s->event.len ? buf_str(&s->event) : S("message"),
        .data = {s->data.ptr, s->data.len ? s->data.len - 1 : 0}, // without the last '\n'
        .id = buf_str(&s->id),
        .has_id = s->has_id,
    };

    if (s->has_data) {
        s->events++;
        s->on_event(s->arg, &e);
    }
    buf_clear(&s->data);
    buf_clear(&s->event);
    s->has_data = s->has_id = false;
}

static bool take_field(struct sse *s, str name, str value)
{
    if (str_eq(name, S("data"))) {
        s->has_data = true;
        return buf_add(&s->data, value) && buf_addc(&s->data, '\n');
    }
    if (str_eq(name, S("event")))
        return replace(&s->event, value);
    if (str_eq(name, S("id")) && !(value.len && memchr(value.ptr, 0, value.len))) {
        s->has_id = true;
        return replace(&s->id, value);
    }
    if (str_eq(name, S("retry")))
        str_to_u64(value, &s->retry_ms);
    return true; // other names are of a later standard
}

static bool take_line(struct sse *s, str line)
{
    const char *colon;
    str name = line, value = {0};

    if (!line.len) {
        dispatch(s);
        return true;
    }
    colon = memchr(line.ptr, ':', line.len);
    if (colon == line.ptr) {
        s->comments++;
        return true;
    }
    if (colon) {
        name.len = (size_t)(colon - line.ptr);
        value = str_cut(line, name.len + 1);
        if (value.len && *value.ptr == ' ')
            value = str_cut(value, 1);
    }
    return take_field(s, name, value);
}

/* A byte order mark may stand before the first line. */
static str begun(struct sse *s)
{
    str line = buf_str(&s->line);

    if (!s->is_begun && str_starts(line, S("\xEF\xBB\xBF")))
        line = str_cut(line, 3);
    s->is_begun = true;
    return line;
}

/* How many bytes from the front are no line end. */
static size_t plain(str bytes)
{
    size_t n = 0;

    while (n < bytes.len && bytes.ptr[n] != '\n' && bytes.ptr[n] != '\r')
        n++;
    return n;
}

bool sse_feed(struct sse *s, str bytes)
{
    while (bytes.len) {
        size_t n;
        if (s->had_cr && *bytes.ptr == '\n') { // CRLF is one line end, wherever the pieces part
            s->had_cr = false;
            bytes = str_cut(bytes, 1);
            continue;
        }
        s->had_cr = false;
        n = plain(bytes);
        if (!buf_add(&s->line, (str){bytes.ptr, n}))
            return false;
        bytes = str_cut(bytes, n);
        if (!bytes.len)
            return true;
        s->had_cr = *bytes.ptr == '\r';
        bytes = str_cut(bytes, 1);
        if (!take_line(s, begun(s)))
            return false;
        buf_clear(&s->line);
    }
    return true;
}
