/* mig/plugin.h: what a provider sees of the host. The one include of a plugin. */
#ifndef MIG_PLUGIN_H
#define MIG_PLUGIN_H
#include "mig/abi.h"
#ifdef __cplusplus
extern "C" {
#endif

enum mig_mode {
    MIG_MODE_UNARY = 1,
    MIG_MODE_SERVER_STREAM = 2,
    MIG_MODE_CLIENT_STREAM = 4,
    MIG_MODE_BIDI = 8
};
enum mig_exec {
    MIG_EXEC_POOL = 0, /* worker thread, may block (default)                      */
    MIG_EXEC_LOOP = 1  /* the connection's event loop, must return within 1 ms    */
};
enum mig_cap_flag {
    MIG_CAP_MANUAL_GRANT = 1 /* the plugin grants the caller's messages itself, mig.stream/1 */
};
enum mig_log_level { MIG_LOG_ERROR = 3, MIG_LOG_WARN = 4, MIG_LOG_INFO = 6, MIG_LOG_DEBUG = 7 };

/* Everything reachable from a request stays valid until the plugin ends the call, also after the
 * client has gone or the deadline has passed. Allocated by the host. */
typedef struct mig_request {
    uint32_t struct_size, flags;
    uint32_t mode;        /* the one MIG_MODE_* bit of this call                     */
    uint32_t hops;        /* capabilities and gateways passed before this one        */
    uint64_t deadline_ns; /* on the host->now_ns clock; always set                   */
    mig_str capability;   /* "example.greeter.greet"                                 */
    mig_str message_id, tenant_id, session_id, subject, traceparent, idempotency_key;
    mig_str meta;       /* JSON object text                                        */
    mig_str payload;    /* JSON object text, well-formed and without duplicates     */
    mig_str tracestate; /* of the caller; not in 1.0-rc1: struct_size says whether it is there */
} mig_request;

/* Bytes on their way to the host. release == NULL: copied before the function returns. Otherwise the
 * host takes them, whatever it answers (except MIG_E_AGAIN: still yours), and calls release(owner)
 * exactly once, on [any] thread, never before the function returned. */
typedef struct mig_payload {
    mig_str bytes; /* JSON text, except on HTTP exchanges                   */
    void (*release)(void *owner);
    void *owner;
} mig_payload;

typedef struct mig_error {
    uint32_t struct_size;
    mig_status code;         /* > 0                                                     */
    mig_str message;         /* for humans; never secrets                               */
    mig_str details;         /* JSON object text, or empty                              */
    uint32_t retry_after_ms; /* 0: no hint                                              */
    uint32_t retry;          /* 0: as the code implies; 1: yes; 2: no                   */
} mig_error;

/* A capability offered to callers. The host copies the struct and all text during describe(). */
typedef struct mig_capability {
    uint32_t struct_size, flags; /* flags: MIG_CAP_*                                */
    uint32_t modes;              /* MIG_MODE_* bits                                 */
    uint32_t exec;               /* MIG_EXEC_*                                      */
    uint32_t max_concurrency;    /* calls at a time; 0: host default; 1: serial     */
    uint32_t timeout_ms;         /* when the caller names no deadline; 0: 30 000    */
    const char *id, *version, *summary;
    const char *input_schema, *output_schema; /* JSON Schema text                     */
    const char *const *auth_scopes;           /* NULL-terminated; NULL: authenticated is enough */
    const char *meta;                         /* JSON object text: qos, event_topics, mcp hints */
    void *data;                               /* handed to every handler              */

    /* [exec] Start one call. Must lead to exactly one finish() or finish_error(), now or later,
     * from any thread, also after on_cancel. */
    void (*invoke)(void *self, void *data, mig_call call, const mig_request *req);
    /* [exec] The caller is gone or the deadline passed: end the call soon. NULL: not told. */
    void (*on_cancel)(void *self, void *data, mig_call call);
    /* [exec] Streaming only: room again after MIG_E_AGAIN; next message of the caller (valid
     * during the callback); the caller will send no more. */
    void (*on_writable)(void *self, void *data, mig_call call);
    void (*on_message)(void *self, void *data, mig_call call, mig_str json);
    void (*on_half_close)(void *self, void *data, mig_call call);
} mig_capability;

struct mig_registrar {
    uint32_t struct_size, flags;
    void *ctx;
    mig_status (*capability)(const mig_registrar *reg, const mig_capability *cap);
    /* Register a definition of an extension, e.g. MIG_EXT_HTTP_ROUTE with a mig_http_route.
     * MIG_E_NOSYS when this host does not know it. */
    mig_status (*extend)(const mig_registrar *reg, const char *ext_id, const void *def);
};

struct mig_host {
    uint32_t struct_size;
    uint16_t abi_major, abi_minor;
    const char *product; /* "migd/0.1.0"                                    */
    void *ctx;           /* host's own                                      */
    /* [any] Monotonic clock. */
    uint64_t (*now_ns)(const mig_host *h);
    /* [any] One structured line; fields is JSON object text or empty. Rate-limited per plugin. */
    void (*log)(const mig_host *h, uint32_t level, mig_str msg, mig_str fields);
    /* [any] End the call. Consumes the handle. MIG_E_GONE when it was already ended. */
    mig_status (*finish)(const mig_host *h, mig_call call, const mig_payload *result);
    mig_status (*finish_error)(const mig_host *h, mig_call call, const mig_error *err);
    /* [any] Send one frame of a stream. MIG_E_AGAIN: not taken, wait for on_writable.
     * MIG_E_GONE: the caller left; end the call. */
    mig_status (*send)(const mig_host *h, mig_call call, const mig_payload *frame);
    /* [any] 1 when the caller is gone or the deadline passed. For loops in pool handlers. */
    int32_t (*is_cancelled)(const mig_host *h, mig_call call);
    /* [any] Ask for a new generation in which describe() runs again. */
    mig_status (*request_redescribe)(const mig_host *h);
    /* [any] Host service by id, e.g. "mig.kv/1"; NULL when this host has none. */
    const void *(*get_extension)(const mig_host *h, const char *id);
};

enum mig_outcome_flag {
    MIG_OUTCOME_FRAME = 1, /* envelope is a terminal StreamFrame */
    MIG_OUTCOME_OPEN = 2   /* on_open was called                 */
};

/* What became of something a plugin asked for. Valid during the callback that brings it. */
typedef struct mig_outcome {
    uint32_t struct_size;
    mig_status status; /* MIG_OK: json is the result                              */
    mig_str json, message, details;
    uint32_t retry_after_ms, retry; /* as in mig_error                                 */
    mig_str envelope;               /* mig.binding/1 only: the whole MIG answer, JSON  */
    mig_str message_id;             /* mig.binding/1 only: as normalized               */
    uint32_t flags, reserved;       /* flags: MIG_OUTCOME_*                            */
} mig_outcome;
/* The one continuation shape: exactly once when the start returned MIG_OK, on the strand of the
 * call that was given; with call 0 on the pool. */
typedef void (*mig_done)(void *self, void *tag, const mig_outcome *out);

/* Convenience for the two ends of a call. */
static inline mig_status mig_finish_json(const mig_host *h, mig_call c, const char *ptr, size_t len)
{
    mig_payload p = {{ptr, len}, NULL, NULL};
    return h->finish(h, c, &p);
}
static inline mig_status mig_finish_error(const mig_host *h, mig_call c, mig_status code,
                                          const char *msg)
{
    mig_error e = {(uint32_t)sizeof(mig_error), code, mig_s(msg), {NULL, 0}, 0, 0};
    return h->finish_error(h, c, &e);
}

#ifdef __cplusplus
}
#endif
#endif
