/* ctl_sse.h: reads an event stream (WHATWG HTML, 9.2 server-sent events) in whatever pieces it comes.
 * Owner: whoever holds it. */
#ifndef MAIN_CTL_SSE_H
#define MAIN_CTL_SSE_H
#include "base/buf.h"

enum { SSE_LINE_MAX = 64 << 20 };

struct sse_event {
    str event, data, id; /* "message" when the stream names none; data joined by '\n'; id: the last
                            one of the stream, as the standard wants it */
    bool has_id;         /* this record brought the id itself           */
};
/* Slices live until it returns. */
typedef void (*sse_on_event)(void *arg, const struct sse_event *e);

struct sse {
    struct buf line, data, event, id;
    sse_on_event on_event;
    void *arg;
    uint64_t retry_ms; /* 0: none came                              */
    size_t comments;   /* lines that keep the connection alive      */
    size_t events;     /* records that were handed over             */
    bool has_data, has_id, had_cr, is_begun;
};
void sse_init(struct sse *s, sse_on_event on_event, void *arg);
void sse_deinit(struct sse *s);
/* false: a line is longer than SSE_LINE_MAX; the stream is over for this reader. */
bool sse_feed(struct sse *s, str bytes);
#endif
