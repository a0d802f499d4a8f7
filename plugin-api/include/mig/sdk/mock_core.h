/* mig/sdk/mock_core.h: types, memory, faults and the queue of the mock host. Part of mock.h. */
#ifndef MIG_SDK_MOCK_CORE_H
#define MIG_SDK_MOCK_CORE_H
#include "mig/ext/binding.h"
#include "mig/ext/http.h"
#include "mig/ext/invoke.h"
#include "mig/ext/kv.h"
#include "mig/ext/loop.h"
#include "mig/ext/observe.h"
#include "mig/ext/stream.h"
#include "mig/ext/task.h"
#include "mig/ext/timer.h"
#include "mig/sdk/json.h"
#include "mig/sdk/mock_entry.h"
#include "mig/sdk/status.h"
#ifdef __cplusplus
extern "C" {
#endif

#define MOCK_MS ((uint64_t)1000000)
#define MOCK_NEVER UINT64_MAX
#define MOCK_CREDIT_BYTES 262144u /* per stream, as the daemon's defaults */
#define MOCK_CREDIT_FRAMES 64u
#define MOCK_INBOUND 16u
#define MOCK_HOPS_MAX 8u
#define MOCK_TASKS_MAX 1024u

enum mock_state { MOCK_OPEN, MOCK_ANSWERED, MOCK_ENDED };
enum mock_kind { MOCK_INVOKE, MOCK_TASK, MOCK_TICK, MOCK_PROBE, MOCK_EXCHANGE, MOCK_SUBMIT };

typedef struct mock_host mock_host;
typedef struct mock_call mock_call;
typedef struct mock_job mock_job;
typedef struct mock_mem mock_mem;

struct mock_mem {
    mock_mem *next;
    uint64_t align; /* what follows is aligned for everything we keep */
};

typedef struct mock_list {
    void **items;
    size_t count, cap;
} mock_list;

/* A registered capability: the struct as given, its texts copied. */
typedef struct mock_cap {
    mig_capability def;
    uint32_t active; /* calls begun and not ended */
} mock_cap;

typedef struct mock_timer {
    mig_timer def;
    mig_call running;
} mock_timer;

typedef struct mock_route {
    mig_http_route def;
} mock_route;

typedef struct mock_metric {
    mig_metric def;
    uint32_t id, label_count;
    double value; /* counter: sum; gauge: last; histogram: number of observations */
} mock_metric;

/* What describe() told, one object for each time. */
typedef struct mock_catalogue {
    mock_list caps, timers, routes, healths;
    mig_json_writer text; /* as JSON, to compare */
} mock_catalogue;

/* Everything known about one call. It stays readable until mock_host_free(). */
struct mock_call {
    uint64_t v;
    enum mock_state state;
    enum mock_kind kind;
    mig_status status; /* what the caller was told; meaningless while MOCK_OPEN */
    uint32_t mode, exec, hops, running, http_status, ends;
    uint64_t deadline_ns;
    mig_str result, message, details, message_id; /* result of an exchange: its whole body */
    uint32_t retry_after_ms, retry;
    mock_list frames;     /* mig_str *: what send() took */
    size_t unread_frames; /* the last ones: sent, and not read by the caller */
    size_t unread_bytes;
    int wants_writable, is_half_closed, is_half_close_told;
    uint32_t inbound; /* messages the caller may still send */
    mock_list inbox;  /* mig_str *: for recv_wait() */
    size_t inbox_read;
    mock_list headers; /* mig_header *: of respond() */
    mock_mem *mem;     /* the request and what it points to; freed when the plugin ends the call */
    mig_request request;
    mock_cap *cap;
    mock_route *route;
    mock_timer *timer;
    void *data;
    void (*start)(void *self, void *data, mig_call call); /* task, tick, probe */
    mig_http_request http;
    mock_call *parent; /* the call in whose name this one was made */
    mig_done done;     /* to tell the parent */
    mig_submit submit; /* MOCK_SUBMIT */
    void *tag;
};

struct mock_job {
    mock_job *next;
    uint64_t due_ns;
    void (*run)(mock_host *m, mock_job *j); /* under the lock; callbacks outside of it */
    mock_call *call;                        /* its strand; NULL: none                  */
    int is_operation;                       /* debt until it ran                       */
    int is_start;                           /* waits for max_concurrency               */
    int is_after;                           /* hurried when its call goes              */
    mig_status status;
    uint32_t retry_after_ms, retry;
    mig_str text, message, details; /* malloc'ed to measure, freed when it ran */
    uint64_t revision;
    mig_done done;
    mig_kv_done kv_done;
    void (*release)(void *owner);
    void *tag;
    mock_timer *timer;
};

typedef struct mock_pair {
    mig_str tenant, key, value;
    uint64_t revision, expires_ns;
} mock_pair;

/* How other capabilities answer (mock_answer). */
typedef struct mock_stub {
    mig_str name, json;
    mig_status status;
    uint32_t delay_ms;
} mock_stub;

typedef struct mock_offer {
    mig_str id;
    const void *table; /* NULL: withheld */
} mock_offer;

/* The caller's side of the calls that mock_invoke() makes next; change at will. */
typedef struct mock_caller {
    const char *tenant_id, *subject, *session_id, *idempotency_key, *meta;
    uint64_t timeout_ms; /* 0: the capability's timeout, or 30 000 */
    int reads_slowly;    /* 1: nothing is read from streams until mock_read() */
} mock_caller;

struct mock_host {
    mig_host host; /* what the plugin sees */
    mock_caller caller;
    uint64_t now_ns;
    uint32_t loop_count, loop_now;
    const mig_plugin *plugin;
    void *self;
    int is_started, is_quiesced;
    mock_catalogue *catalogue; /* the newest; NULL before describe() */
    mock_job *queue;           /* by due time, then by age */
    mock_mem *mem;
    mock_list calls, faults, logs, pairs, stubs, offers, metrics, lists;
    size_t operations, releases, stale, double_ends, redescribes, waiting_tasks;
    uint64_t kv_revision;
    int is_sliced;
    void (*submit_done)(mock_host *m, mock_call *op); /* upwards, to mock_http.h */
    /* For plugins with threads of their own: guard(arg, 1) locks, guard(arg, 0) unlocks; a plain
     * mutex will do. NULL: everything happens on one thread. */
    void (*guard)(void *arg, int is_enter);
    void *guard_arg;
};

/* ---- memory -----------------------------------------------------------------------------------
 */

static inline void *mock_alloc_(mock_mem **list, size_t n)
{
    mock_mem *b = (mock_mem *)calloc(1, sizeof(mock_mem) + n);

    if (!b)
        abort(); /* a test double has no answer to that */
    b->next = *list;
    *list = b;
    return b + 1;
}

static inline void mock_free_mem_(mock_mem **list)
{
    while (*list) {
        mock_mem *next = (*list)->next;
        free(*list);
        *list = next;
    }
}

/* A copy with a NUL behind it. */
static inline mig_str mock_copy_(mock_mem **list, mig_str s)
{
    char *p = (char *)mock_alloc_(list, s.len + 1);
    mig_str copy = {p, s.len};

    if (s.len)
        memcpy(p, s.ptr, s.len);
    return copy;
}

static inline const char *mock_copy_z_(mock_host *m, const char *z)
{
    return z ? mock_copy_(&m->mem, mig_s(z)).ptr : NULL;
}

/* A copy without spare bytes, so that sanitizers see a reader that goes too far. */
static inline mig_str mock_lend_(mig_str s)
{
    char *p = s.len ? (char *)malloc(s.len) : NULL;
    mig_str copy = {p, s.len};

    if (s.len && !p)
        abort();
    if (s.len)
        memcpy(p, s.ptr, s.len);
    return copy;
}

static inline void mock_push_(mock_list *l, void *item)
{
    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 8;
        l->items = (void **)realloc(l->items, l->cap * sizeof *l->items);
        if (!l->items)
            abort();
    }
    l->items[l->count++] = item;
}

static inline int mock_same_(mig_str a, mig_str b)
{
    return a.len == b.len && (!a.len || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Names of header fields: ASCII case does not count. */
static inline int mock_same_name_(mig_str a, mig_str b)
{
    for (size_t i = 0; i < a.len && i < b.len; i++) {
        char x = a.ptr[i], y = b.ptr[i];
        if (x >= 'A' && x <= 'Z')
            x = (char)(x | 0x20);
        if (y >= 'A' && y <= 'Z')
            y = (char)(y | 0x20);
        if (x != y)
            return 0;
    }
    return a.len == b.len;
}

/* ---- the lock and the faults ------------------------------------------------------------------
 */

static inline void mock_in_(mock_host *m)
{
    if (m->guard)
        m->guard(m->guard_arg, 1);
}

static inline void mock_out_(mock_host *m)
{
    if (m->guard)
        m->guard(m->guard_arg, 0);
}

static inline mock_host *mock_enter_(const mig_host *h)
{
    mock_host *m = (mock_host *)h->ctx;

    mock_in_(m);
    return m;
}

static inline mig_status mock_leave_(mock_host *m, mig_status answer)
{
    mock_out_(m);
    return answer;
}

/* The plugin broke a law; kept as a sentence. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static inline mig_status
mock_fault_(mock_host *m, mig_status answer, const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (m->faults.count < 1000)
        mock_push_(&m->faults, (void *)(uintptr_t)mock_copy_(&m->mem, mig_s(text)).ptr);
    return answer;
}

/* The law of struct_size: what the plugin wrote is copied as far as this host knows it; more than
 * that must be zero. */
static inline mig_status mock_take_(mock_host *m, const char *what, const void *from, void *to,
                                    size_t known)
{
    uint32_t size = 0;

    if (from)
        memcpy(&size, from, sizeof size);
    if (size < known)
        return mock_fault_(m, MIG_E_ARG, "%s: struct_size is %u, ABI 1.0 has %u", what,
                           (unsigned)size, (unsigned)known);
    for (size_t i = known; i < size; i++)
        if (((const char *)from)[i])
            return mock_fault_(m, MIG_E_NOSYS, "%s: sets members that this host does not know",
                               what);
    memcpy(to, from, known);
    return MIG_OK;
}

/* ---- the queue --------------------------------------------------------------------------------
 */

static inline void mock_insert_(mock_host *m, mock_job *j)
{
    mock_job **at = &m->queue;

    while (*at && (*at)->due_ns <= j->due_ns)
        at = &(*at)->next;
    j->next = *at;
    *at = j;
}

static inline mock_job *mock_post_(mock_host *m, mock_call *call, uint64_t delay_ms,
                                   void (*run)(mock_host *m, mock_job *j))
{
    mock_job *j = (mock_job *)mock_alloc_(&m->mem, sizeof *j);

    j->call = call;
    j->due_ns =
        delay_ms > (MOCK_NEVER - m->now_ns) / MOCK_MS ? MOCK_NEVER : m->now_ns + delay_ms * MOCK_MS;
    j->run = run;
    mock_insert_(m, j);
    return j;
}

static inline int mock_may_run_(const mock_job *j)
{
    if (j->call && j->call->running)
        return 0; /* one call is one strand */
    return !j->is_start || !j->call->cap || !j->call->cap->def.max_concurrency ||
           j->call->cap->active < j->call->cap->def.max_concurrency;
}

/* The next job that may run at or before `until`; NULL: none. */
static inline mock_job *mock_next_(mock_host *m, uint64_t until)
{
    for (mock_job **at = &m->queue; *at && (*at)->due_ns <= until; at = &(*at)->next) {
        mock_job *j = *at;
        if (mock_may_run_(j)) {
            *at = j->next;
            return j;
        }
    }
    return NULL;
}

static inline void mock_run_job_(mock_host *m, mock_job *j)
{
    uint32_t before = m->loop_now;

    if (j->due_ns > m->now_ns)
        m->now_ns = j->due_ns;
    m->loop_now = UINT32_MAX;
    if (j->call) {
        j->call->running++;
        if (j->call->exec == MIG_EXEC_LOOP)
            m->loop_now = (uint32_t)(j->call->v >> 56);
    }
    j->run(m, j);
    if (j->call)
        j->call->running--;
    m->loop_now = before;
    m->operations -= (size_t)(j->is_operation != 0);
    free((void *)(uintptr_t)j->text.ptr);
    free((void *)(uintptr_t)j->message.ptr);
    free((void *)(uintptr_t)j->details.ptr);
}

/* Payloads: bytes are copied at once, the release comes later, as the law wants it. */
static inline void mock_run_release_(mock_host *m, mock_job *j)
{
    mock_out_(m);
    j->release(j->tag);
    mock_in_(m);
    m->releases--;
}

static inline void mock_taken_(mock_host *m, const mig_payload *p)
{
    mock_job *j;

    if (!p || !p->release)
        return;
    j = mock_post_(m, NULL, 0, mock_run_release_);
    j->release = p->release;
    j->tag = p->owner;
    m->releases++;
}

#ifdef __cplusplus
}
#endif
#endif
