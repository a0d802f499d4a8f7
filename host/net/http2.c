#include "net/http2.h"
#include "base/check.h"

#include <stdlib.h>

enum { PIECE = 65536, BUDGET = 1000, BUDGET_PER_S = 100 };

static void pump(struct http2 *h);

/* --- floods ------------------------------------------------------------------------------------- */

/* A budget that time and work done fill again. Below zero: enough. */
void http2_charge(struct http2 *h, int cost)
{
    uint64_t now = loop_now_ms(h->c->net->loop), passed = now - h->budget_ms;

    if (passed >= 1000 / BUDGET_PER_S) {
        h->budget += (int64_t)(passed * BUDGET_PER_S / 1000);
        h->budget_ms = now;
    }
    h->budget -= cost;
    if (h->budget > BUDGET)
        h->budget = BUDGET;
    h->is_flooded |= h->budget < 0;
}

/* --- the end ------------------------------------------------------------------------------------ */

/* Without nghttp2, which may be beyond speaking. */
static void leave_now(struct http2 *h, uint32_t code)
{
    uint32_t last = (uint32_t)nghttp2_session_get_last_proc_stream_id(h->session);
    unsigned char frame[17] = {0, 0, 8, NGHTTP2_GOAWAY};

    for (int i = 0; i < 4; i++) {
        frame[9 + i] = (unsigned char)(last >> (24 - 8 * i));
        frame[13 + i] = (unsigned char)(code >> (24 - 8 * i));
    }
    conn_write(h->c, &(uv_buf_t){(char *)frame, sizeof frame}, 1);
    if (!h->c->is_closed)
        conn_finish(h->c);
}

/* No new streams; the end comes with that of the last one. */
static void leave(struct http2 *h)
{
    if (h->is_leaving)
        return;
    h->is_leaving = true;
    nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(h->session), NGHTTP2_NO_ERROR,
                          NULL, 0);
    http2_wake(h);
}

static void give_up(struct http2 *h, ssize_t why)
{
    bool is_flood = h->is_flooded || why == NGHTTP2_ERR_FLOODED ||
                    why == NGHTTP2_ERR_TOO_MANY_SETTINGS ||
                    why == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS;

    atomic_fetch_add_explicit(is_flood ? &h->c->net->floods : &h->c->net->errors, 1,
                              memory_order_relaxed);
    leave_now(h, is_flood                              ? NGHTTP2_ENHANCE_YOUR_CALM
                 : why == NGHTTP2_ERR_BAD_CLIENT_MAGIC ? NGHTTP2_PROTOCOL_ERROR
                                                       : NGHTTP2_INTERNAL_ERROR);
}

/* --- time --------------------------------------------------------------------------------------- */

static struct http2_stream *longest_waiting(struct http2 *h)
{
    return list_is_empty(&h->receiving)
               ? NULL
               : container_of(h->receiving.next, struct http2_stream, queue);
}

/* When something will have lasted too long; TIMER_NEVER. */
static uint64_t next_due(struct http2 *h)
{
    struct http2_stream *s = longest_waiting(h);
    uint64_t due = TIMER_NEVER;

    if (s)
        due = s->heard_ms + h->limits.body_ms;
    if (h->head_since_ms && h->head_since_ms + h->limits.header_ms < due)
        due = h->head_since_ms + h->limits.header_ms;
    if (h->idle_since_ms) {
        uint64_t lasts = h->is_greeted ? h->limits.idle_ms : h->limits.header_ms;
        if (h->idle_since_ms + lasts < due)
            due = h->idle_since_ms + lasts;
    }
    return due;
}

static void rearm(struct http2 *h)
{
    uint64_t now = loop_now_ms(h->c->net->loop), due = next_due(h);

    if (due == TIMER_NEVER)
        conn_lasts(h->c, 0);
    else
        conn_lasts(h->c, due > now ? (uint32_t)(due - now) : 1);
}

static void on_due(struct conn *c)
{
    struct http2 *h = c->state;
    uint64_t now = loop_now_ms(c->net->loop);
    struct http2_stream *s;

    while ((s = longest_waiting(h)) && now >= s->heard_ms + h->limits.body_ms)
        http2_too_slow(s);
    bool is_late = now >= next_due(h);
    if (is_late && h->head_since_ms) {
        atomic_fetch_add_explicit(&c->net->errors, 1, memory_order_relaxed);
        leave_now(h, NGHTTP2_ENHANCE_YOUR_CALM);
    } else if (is_late) {
        leave_now(h, NGHTTP2_NO_ERROR);
    } else {
        http2_wake(h);
    }
}

/* --- out ---------------------------------------------------------------------------------------- */

/* Frames into the loop's buffer until enough is collected or none is left. */
static bool collect(struct http2 *h, struct buf *frames)
{
    const uint8_t *data;
    ssize_t n = 0;

    while (frames->len < PIECE && (n = nghttp2_session_mem_send(h->session, &data)) > 0)
        buf_add(frames, (str){(const char *)data, (size_t)n});
    if (n < 0 || frames->has_failed)
        conn_close(h->c, NET_END_ERROR);
    return !h->c->is_closed && frames->len;
}

static void tell_relieved(struct http2 *h)
{
    while (!h->is_ended && !list_is_empty(&h->relieved)) {
        struct http2_stream *s = container_of(h->relieved.next, struct http2_stream, queue);
        list_remove(&s->queue);
        if (s->x.carrier)
            h->c->net->ops->writable(&s->x);
    }
}

static void pump(struct http2 *h)
{
    struct conn *c = h->c;
    struct buf *frames = &c->net->frames;

    while (!c->is_closed && conn_queued(c) <= CONN_HIGH_WATER && collect(h, frames)) {
        conn_write(c, &(uv_buf_t){frames->ptr, frames->len}, 1);
        buf_clear(frames);
    }
    if (c->is_closed)
        return;
    if (!nghttp2_session_want_read(h->session) && !nghttp2_session_want_write(h->session)) {
        conn_finish(c);
        return;
    }
    rearm(h);
    tell_relieved(h);
}

static void run_pump(struct task *t)
{
    struct http2 *h = container_of(t, struct http2, pump);

    h->is_posted = false;
    if (h->is_disposed)
        free(h);
    else if (!h->is_ended && !h->c->is_ending)
        pump(h);
}

void http2_wake(struct http2 *h)
{
    if (h->is_busy || h->is_posted || h->is_ended)
        return;
    h->is_posted = true;
    h->pump.run = run_pump;
    loop_defer(h->c->net->loop, &h->pump);
}

/* --- the connection's side ---------------------------------------------------------------------- */

static void feed(struct conn *c, const char *data, size_t len)
{
    struct http2 *h = c->state;

    h->is_busy = true;
    ssize_t n = nghttp2_session_mem_recv(h->session, (const uint8_t *)data, len);
    if (n >= 0 && !h->is_flooded) {
        http2_dispatch(h);
        loop_drain(c->net->loop);
    }
    h->is_busy = false;
    if (c->is_closed || c->is_ending)
        return;
    if (n < 0 || h->is_flooded)
        give_up(h, n);
    else
        pump(h);
}

static void on_written(struct conn *c)
{
    pump(c->state);
}

static void on_drain(struct conn *c)
{
    leave(c->state);
}

static void on_ended(struct conn *c, enum net_end why)
{
    struct http2 *h = c->state;

    (void)why;
    h->is_ended = true;
    while (!list_is_empty(&h->streams))
        http2_forget(container_of(h->streams.next, struct http2_stream, link));
}

static void on_dispose(struct conn *c)
{
    struct http2 *h = c->state;

    nghttp2_session_del(h->session);
    h->is_disposed = true;
    if (!h->is_posted)
        free(h);
}

static const struct conn_proto proto = {feed, on_written, on_due, on_drain, on_ended, on_dispose};

struct http2 *http2_new(struct conn *c, bool has_preface)
{
    struct http2 *h = calloc(1, sizeof *h);

    if (!h)
        return NULL;
    h->c = c;
    h->limits = *c->net->limits(c->net->loop);
    h->session = http2_session_new(h, has_preface);
    if (!h->session) {
        free(h);
        return NULL;
    }
    list_init(&h->streams);
    list_init(&h->receiving);
    list_init(&h->ready);
    list_init(&h->relieved);
    h->budget = BUDGET;
    h->budget_ms = h->idle_since_ms = loop_now_ms(c->net->loop);
    return h;
}

void http2_start(struct http2 *h)
{
    h->c->proto = &proto;
    h->c->state = h;
    h->c->write_ms = h->limits.write_ms;
    conn_read(h->c, true);
    http2_wake(h); /* our settings */
}
