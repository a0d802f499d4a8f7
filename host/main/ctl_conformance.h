/* ctl_conformance.h: the parts of `migctl conformance`, which walks the checklist of MIG v0.1 (section 18)
 * against any gateway.
 *
 *   check    a row of a table: what it is called, where the standard says it, how it is tried
 *   probe    a run: the gateway, what is known of it, the verdict of the check that runs
 *   want     a line of clauses that an answer must fulfil, see want_check()
 *   tape     what a stream brought, over SSE or WebSocket, with times
 *
 *   ctl_conformance.c         the command, the report     _want.c    clauses, JSON comparison
 *   ctl_conformance_probe.c   templates, requests         _tape.c    streams
 *   the checks: _header.c (2, 3), _ops.c (5, 10, 11.1), _calls.c (8), _stream.c (11.2), _socket.c (11.4),
 *   _ws.c and _control.c (6), _events.c (5.4) and _subscribe.c (5.5, 7, 11.3), _full.c (14, 15) */
#ifndef MAIN_CTL_CONFORMANCE_H
#define MAIN_CTL_CONFORMANCE_H
#include "ctl.h"
#include "ctl_sse.h"
#include "ctl_ws.h"

/* ---- checks */
enum profile { CORE = 1, STREAMING = 2, EVENTED = 4, FULL = 8 };

/* What a check cannot do without; the runner skips it with the reason. */
enum need {
    NEED_DELAY = 1,    /* the capability sleeps when `delay_ms` says so (the echo provider) */
    NEED_NO_TOKEN = 2, /* the rules of mode none */
    NEED_TOKEN = 4,    /* the rules of mode jwt  */
    NEED_SECOND = 8,   /* another tenant         */
    NEED_STREAM = 16,  /* the capability has the mode server_stream */
    NEED_HTTP1 = 32,   /* what HTTP/2 does not have */
};

struct probe;
struct check {
    const char *id; /* "header.version.default" */
    enum profile profile;
    const char *section, *title; /* "2", a sentence that can be false */
    unsigned needs;              /* enum need */
    /* Either one request and what it must bring, all templates: */
    const char *request, *heads, *body, *want;
    /* or a function, which gives no verdict when all is well. */
    void (*run)(struct probe *p);
};
struct check_table {
    const struct check *rows;
    size_t count;
};
extern const struct check_table header_checks, tenant_checks, hello_checks, invoke_checks,
    error_checks, call_checks, idempotency_checks, stream_checks, socket_checks, ws_checks,
    control_checks, publish_checks, subscribe_checks, full_checks;

/* ---- ctl_conformance_want.c: pure */
struct answer {
    unsigned status;
    str head, body; /* as in struct http_job */
};
/* The value at a JSON pointer (RFC 6901); the empty token when there is none. */
mig_str json_at(str document, str pointer);
/* Same value? The order of members does not count, nor how numbers and strings are written. */
bool json_equal(mig_str a, mig_str b);
/* Clauses, separated by ';':
 *   200                the status                  MIG_TIMEOUT   error envelope, status, retryable
 *   reason x           of the error's details      says text     its message contains it
 *   /pointer = json    != too                      /pointer ~ text   the string contains it
 *   /pointer < 5       > too                       /pointer : kind   see kinds in the source
 *   head Name          that header is there        head Name = text, head Name ~ text, head Name absent
 * false: the first clause that does not hold, and what was there instead. */
bool want_check(const struct answer *a, str want, struct buf *expected, struct buf *came);
/* Is the text a lower-case UUID / a time of RFC 3339 in UTC with a Z? */
bool is_uuid(str text);
bool is_utc_time(str text);

/* ---- ctl_conformance_probe.c */
enum verdict { PASS, FAIL, SKIP };

struct probe {
    const struct ctl *ctl;
    struct http *client;
    const char *capability, *tenant, *second_tenant, *token, *second_token;
    char run[16];          /* differs from run to run  */
    unsigned number;       /* differs from check to check */
    struct buf descriptor; /* of the capability, as DISCOVER showed it; empty: it did not */
    bool can_delay;
    /* the check that runs */
    const struct check *check;
    enum verdict verdict;
    struct buf expected, came; /* of a failure; came: the reason of a skip */
    struct http_job *last;     /* the last answer of ask() and finish() */
};

/* ${T} tenant, ${U} second tenant, ${C} capability, ${N} an id of this check, ${E} a topic of this check,
 * ${I} "header":{tenant and message id ${N}}, ${P} "payload":{a plain one}, ${SECOND} header lines of the
 * second tenant. ' becomes " when `is_json`. */
void expand(const struct probe *p, struct buf *out, const char *template, bool is_json);
/* Sends and compares. request: "POST invoke/${C}" (below /mig/v0.1/) or "GET /metrics". heads: lines;
 * "-Name" takes a default one away. body NULL: none. false: it failed, and the check should return. */
bool ask(struct probe *p, const char *request, const char *heads, const char *body,
         const char *want);
/* The same in two steps. finish() takes the job: it becomes p->last. */
struct http_job *begin(struct probe *p, const char *request, const char *heads, const char *body);
bool finish(struct probe *p, struct http_job *j, int64_t timeout_ms, const char *want);
/* Lets time pass while the jobs go on. */
void pause_ms(struct probe *p, int64_t ms);
/* A value of the last answer. */
mig_str last_at(const struct probe *p, const char *pointer);
/* Verdicts; the first one counts. All return false. */
bool fail_check(struct probe *p, const char *expected, const char *came, ...)
    __attribute__((format(printf, 3, 4)));
bool skip_check(struct probe *p, const char *reason, ...) __attribute__((format(printf, 2, 3)));
/* Has the descriptor's list this text? */
bool descriptor_lists(const struct probe *p, const char *member, const char *text);
/* PUBLISH to ${E}, payloads {"n":first} and so on, sequences likewise. false: it failed. In _events.c. */
bool publish_events(struct probe *p, int first, int count);
/* The header lines of a request: defaults, and those given. */
void add_heads(const struct probe *p, struct buf *out, const char *heads);

/* ---- ctl_conformance_tape.c */
struct tape_item {
    str event, id, data; /* of SSE; data alone for WebSocket. Owned by the tape. */
    bool has_id;
    int64_t at_ms;
};
struct tape {
    struct probe *probe;
    struct http_job *job; /* one of the two */
    struct ws *ws;
    struct sse sse;
    struct tape_item *list;
    size_t count, cap;
    bool is_over; /* nothing more will come */
};
/* Opens an event stream; false: it failed (status, type), or did not begin in a second. */
bool tape_open(struct tape *t, struct probe *p, const char *request, const char *heads,
               const char *body);
/* Opens a WebSocket at /mig/v0.1/stream; false: it failed. */
bool tape_open_ws(struct tape *t, struct probe *p, const char *heads);
/* Sends a frame, a template. */
bool tape_send(struct tape *t, const char *frame);
/* Until `count` items are there, it is over, or time is up; says whether they are. */
bool tape_wait(struct tape *t, size_t count, int64_t timeout_ms);
/* Until it is over. */
bool tape_wait_end(struct tape *t, int64_t timeout_ms);
void tape_close(struct tape *t);
#define TAPE CLEANUP(tape_close) struct tape

/* Of the items from `from` on, the first frame of this stream (template; NULL: any) and kind (NULL: any);
 * waits for it. SIZE_MAX: none came. */
size_t tape_find(struct tape *t, size_t from, const char *stream_id, const char *kind,
                 int64_t timeout_ms);
/* The whole life of a stream: `chunks` intermediate frames, then one terminal frame of this kind, frame_seq
 * without gap, nothing behind it. false: it failed. */
bool tape_is_stream(struct tape *t, const char *stream_id, size_t chunks, const char *kind,
                    int64_t timeout_ms);
/* Compares an item with clauses. */
bool tape_wants(struct tape *t, size_t index, const char *want);
#endif
