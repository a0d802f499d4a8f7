/* access_log.h: a line of JSON per request, collected by each loop and handed over to the writer's thread
 * some times a second: no system call per request. Owner: its loop. */
#ifndef EDGE_ACCESS_LOG_H
#define EDGE_ACCESS_LOG_H
#include "base/buf.h"
#include "loop/loop.h"

struct access_entry {
    uint64_t at_ms;                  /* wall clock, when the head was there    */
    uint64_t duration_ns;            /* until the end of the answer            */
    uint64_t bytes;                  /* of the answer's body, as it was coded  */
    unsigned status;                 /* 499: the client left before the answer */
    str remote, method, path, route; /* route: the pattern; empty: none fits */
    str tenant, subject, message_id, request_id;
    str traceparent; /* as it came (W3C Trace Context); its trace id is written when it is valid */
    str user_agent;
    bool is_tls;
};

/* One line with its line feed. Empty texts are left out, long ones cut; bytes that are no UTF-8
 * become U+FFFD. */
void access_entry_print(const struct access_entry *e, struct buf *out);

/* What a loop has collected. */
struct access_log {
    struct loop *loop;
    struct buf lines;
    size_t count;
    struct timer flush;
};
enum { ACCESS_LINES_MAX = 64 << 10, ACCESS_FLUSH_MS = 100 };
void access_log_init(struct access_log *log, struct loop *l);
void access_log_add(struct access_log *log, const struct access_entry *e);
/* Hands over what is left. */
void access_log_deinit(struct access_log *log);
#endif
