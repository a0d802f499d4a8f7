/* HTTP/2 out: exchanges' answers to frames. */
#include "base/check.h"
#include "net/http2.h"

#include <stdio.h>

static struct http2_stream *stream_of(const struct exchange *x)
{
    return (struct http2_stream *)(uintptr_t)x; /* its first member */
}

static nghttp2_nv field(str name, str value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name.ptr, (uint8_t *)(uintptr_t)value.ptr, name.len,
                        value.len, NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

static bool put_fields(struct http2_stream *s, const mig_header *headers, uint32_t count)
{
    struct arena *a = s->x.arena;
    char digits[8];

    snprintf(digits, sizeof digits, "%u", s->x.status);
    str status = arena_copy(a, str_of(digits));
    s->fields[0] = field(S(":status"), status);
    s->field_count = 1;
    for (uint32_t i = 0; i < count; i++) {
        str name = arena_copy(a, headers[i].name);
        str value = arena_copy(a, str_trim(headers[i].value));
        if (!name.ptr || !value.ptr)
            return false;
        str_lower((char *)(uintptr_t)name.ptr, name.len);
        s->fields[s->field_count++] = field(name, value);
    }
    return status.ptr;
}

static mig_status put_head(struct exchange *x, const mig_header *headers, uint32_t count)
{
    struct http2_stream *s = stream_of(x);

    s->fields = arena_alloc(x->arena, (count + 3) * sizeof *s->fields);
    if (s->fields && put_fields(s, headers, count))
        return MIG_OK;
    s->fields = NULL;
    return MIG_E_NOMEM;
}

ssize_t http2_take(struct http2_stream *s, uint8_t *to, size_t max, uint32_t *flags)
{
    size_t have = s->out.len - s->out_at;
    size_t n = have < max ? have : max;

    if (!n && !s->x.is_ended) {
        s->is_waiting = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (n)
        memcpy(to, s->out.ptr + s->out_at, n);
    s->out_at += n;
    if (s->out_at == s->out.len) {
        buf_deinit(&s->out);
        buf_init(&s->out, CONN_OUT_MAX);
        s->out_at = 0;
        if (s->x.is_ended)
            *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (s->wants_writable) {
            s->wants_writable = false;
            list_remove(&s->queue);
            list_push(&s->h->relieved, &s->queue);
        }
    }
    return (ssize_t)n;
}

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *to, size_t max,
                       uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)source;
    (void)user;
    return http2_take(nghttp2_session_get_stream_user_data(session, id), to, max, flags);
}

/* length: of the whole body, -1 when it is not known yet. */
static void submit(struct http2_stream *s, int64_t length)
{
    struct exchange *x = &s->x;
    struct http2 *h = s->h;
    nghttp2_data_provider data = {.read_callback = on_read};
    bool has_body = !exchange_is_bodyless(x) && length != 0;
    char digits[24];

    s->is_submitted = x->is_head_sent = true;
    if (length >= 0 && x->status != 204 && x->status != 304 && s->fields) {
        int n = snprintf(digits, sizeof digits, "%lld", (long long)length);
        str text = arena_copy(x->arena, (str){digits, (size_t)n});
        s->fields[s->field_count++] = field(S("content-length"), text);
    }
    str date = arena_copy(x->arena, net_date(h->c->net));
    if (s->fields)
        s->fields[s->field_count++] = field(S("date"), date);
    if (!s->fields || nghttp2_submit_response(h->session, s->id, s->fields, s->field_count,
                                              has_body ? &data : NULL) != 0)
        nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_INTERNAL_ERROR);
}

static void go_on(struct http2_stream *s)
{
    if (s->is_waiting)
        nghttp2_session_resume_data(s->h->session, s->id);
    s->is_waiting = false;
    http2_wake(s->h);
}

static mig_status put(struct exchange *x, str bytes)
{
    struct http2_stream *s = stream_of(x);

    if (s->out.len - s->out_at > CONN_HIGH_WATER) {
        s->wants_writable = true;
        return MIG_E_AGAIN;
    }
    x->is_head_sent = true;
    if (exchange_is_bodyless(x))
        return MIG_OK; /* the head goes with the end */
    buf_add(&s->out, bytes);
    if (s->out.has_failed) {
        exchange_break(x);
        return MIG_E_GONE;
    }
    if (!s->is_submitted)
        submit(s, -1);
    go_on(s);
    return MIG_OK;
}

static void end(struct exchange *x, str bytes)
{
    struct http2_stream *s = stream_of(x);
    struct http2 *h = s->h;

    if (!exchange_is_bodyless(x))
        buf_add(&s->out, bytes);
    if (s->out.has_failed) {
        exchange_break(x);
        return;
    }
    x->carrier = NULL;
    atomic_fetch_add_explicit(&h->c->net->requests, 1, memory_order_relaxed);
    if (!s->is_submitted)
        submit(s, x->is_head_sent ? -1 : (int64_t)bytes.len);
    go_on(s);
}

static void cut(struct exchange *x)
{
    struct http2_stream *s = stream_of(x);

    x->carrier = NULL;
    nghttp2_submit_rst_stream(s->h->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_INTERNAL_ERROR);
    http2_wake(s->h);
}

static void refuse(struct exchange *x)
{
    (void)x; /* the stream ends with its answer, the connection goes on */
}

static struct conn *conn_of(const struct exchange *x)
{
    return stream_of(x)->h->c;
}

/* Not before nghttp2 has taken the head, whose texts lie in the old arena: data go behind it. */
static struct exchange *move(struct exchange *x, struct arena *a)
{
    struct http2_stream *s = stream_of(x);
    struct http2_stream *to =
        s->is_submitted && s->is_waiting && !s->out.len ? arena_alloc(a, sizeof *to) : NULL;

    if (!to)
        return NULL;
    *to = *s;
    list_take(&to->link, &s->link); /* its place in the ring */
    list_take(&to->queue, &s->queue);
    to->x.carrier = to;
    s->h->body_bytes -= s->body_len;
    to->lines = NULL;
    to->body = NULL;
    to->line_count = to->line_cap = 0;
    to->body_len = to->body_cap = 0;
    to->expect = (str){NULL, 0};
    to->fields = NULL;
    to->field_count = 0;
    nghttp2_session_set_stream_user_data(s->h->session, s->id, to);
    arena_ref(a);
    arena_unref(x->arena); /* the other reference is the caller's */
    return &to->x;
}

const struct exchange_io http2_io = {
    put_head, put, end, cut, refuse, NULL, conn_of, move, sizeof(struct http2_stream)};
