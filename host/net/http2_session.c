/* nghttp2's session: its settings, what frames cost, the life of streams. */
#include "base/check.h"
#include "net/http2.h"

enum {
    STREAM_WINDOW = 256 << 10,
    CONN_WINDOW = 1 << 20,
    CONTINUATIONS_MAX = 8,
    /* What frames cost of the budget (http2_charge). A reset may leave a call of ours running. */
    COST_RESET = 5,
    COST_SETTINGS = 10,
    COST_PING = 2,
    COST_EMPTY = 5,
    COST_OTHER = 1,
    GAIN_ANSWER = -5
};

/* --- frames ------------------------------------------------------------------------------------- */

/* RFC 9113 5.1.1: ids grow. nghttp2 takes a smaller one for a stream that was closed long ago; one that
 * was just passed over cannot be that. */
static void note_id(struct http2 *h, int32_t id)
{
    if (id > h->last_id) {
        h->previous_id = h->last_id;
        h->last_id = id;
    } else if (id > h->previous_id && id < h->last_id) {
        nghttp2_session_terminate_session(h->session, NGHTTP2_PROTOCOL_ERROR);
    }
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *user)
{
    bool is_ack = hd->flags & NGHTTP2_FLAG_ACK;
    int cost = 0;

    (void)session;
    switch (hd->type) {
    case NGHTTP2_DATA:
        cost = hd->length || hd->flags & NGHTTP2_FLAG_END_STREAM ? 0 : COST_EMPTY;
        break;
    case NGHTTP2_HEADERS: note_id(user, hd->stream_id); break;
    case NGHTTP2_CONTINUATION:
    case NGHTTP2_WINDOW_UPDATE: break;
    case NGHTTP2_RST_STREAM: cost = COST_RESET; break;
    case NGHTTP2_SETTINGS: cost = is_ack ? 0 : COST_SETTINGS; break;
    case NGHTTP2_PING: cost = is_ack ? 0 : COST_PING; break;
    default: cost = COST_OTHER; break;
    }
    if (cost)
        http2_charge(user, cost);
    return ((struct http2 *)user)->is_flooded ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct http2 *h = user;
    struct http2_stream *s;
    bool is_last = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

    if (frame->hd.type == NGHTTP2_SETTINGS) {
        h->is_greeted = true;
        return 0;
    }
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!s)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        http2_on_head(s, is_last);
    if (is_last)
        http2_on_complete(s);
    return 0;
}

/* Answered before the request was complete. RFC 9113 8.1 would let us reset the stream at once, but
 * clients (curl 7.88) then throw the answer away: they get the time of a body to hear it first. */
static void linger(struct http2_stream *s)
{
    s->heard_ms = loop_now_ms(s->h->c->net->loop);
    list_remove(&s->queue);
    list_push(&s->h->receiving, &s->queue);
}

static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    bool is_answer = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    struct http2_stream *s = NULL;

    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR)
        atomic_fetch_add_explicit(&((struct http2 *)user)->c->net->errors, 1, memory_order_relaxed);
    if (frame->hd.type == NGHTTP2_RST_STREAM && frame->rst_stream.error_code != NGHTTP2_NO_ERROR)
        http2_charge(user, COST_RESET); /* a client can make us reset as well as reset itself */
    if (is_answer && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (s && !s->is_complete)
        linger(s);
    return 0;
}

void http2_forget(struct http2_stream *s)
{
    struct exchange *x = &s->x;
    struct arena *a = x->arena;
    struct http2 *h = s->h;
    bool is_running = s->is_handed && x->carrier;

    x->carrier = NULL;
    s->h = NULL;
    h->body_bytes -= s->body_len;
    list_remove(&s->link);
    list_remove(&s->queue);
    if (list_is_empty(&h->streams))
        h->idle_since_ms = loop_now_ms(h->c->net->loop);
    buf_deinit(&s->out);
    if (is_running && !x->is_refused)
        h->c->net->ops->gone(x);
    else if (!s->is_handed)
        arena_unref(a);
    arena_unref(a);
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct http2 *h = user;
    struct http2_stream *s = nghttp2_session_get_stream_user_data(session, id);

    h->head_since_ms = 0;
    if (code == NGHTTP2_NO_ERROR)
        http2_charge(h, GAIN_ANSWER);
    if (s)
        http2_forget(s);
    return 0;
}

/* --- the session -------------------------------------------------------------------------------- */

static nghttp2_session_callbacks *callbacks(void)
{
    nghttp2_session_callbacks *cb;

    if (nghttp2_session_callbacks_new(&cb) != 0)
        return NULL;
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, http2_on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, http2_on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, http2_on_data);
    nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
    return cb;
}

static nghttp2_option *options(bool has_preface)
{
    nghttp2_option *o;

    if (nghttp2_option_new(&o) != 0)
        return NULL;
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_no_recv_client_magic(o, has_preface);
    nghttp2_option_set_max_continuations(o, CONTINUATIONS_MAX);
    return o;
}

static bool announce(nghttp2_session *session, const struct http_limits *m)
{
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, m->max_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP2_HEADER_LIST_MAX},
    };

    return nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, countof(settings)) == 0 &&
           nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, CONN_WINDOW) == 0;
}

nghttp2_session *http2_session_new(struct http2 *h, bool has_preface)
{
    nghttp2_session_callbacks *cb = callbacks();
    nghttp2_option *o = options(has_preface);
    nghttp2_session *session = NULL;
    bool ok = cb && o && nghttp2_session_server_new2(&session, cb, h, o) == 0 &&
              announce(session, &h->limits);

    nghttp2_session_callbacks_del(cb);
    nghttp2_option_del(o);
    if (ok)
        return session;
    nghttp2_session_del(session);
    return NULL;
}
