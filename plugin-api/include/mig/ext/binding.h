/* mig/ext/binding.h: hand MIG operations to the host. For plugins that speak a protocol to clients.
 *
 * A binding submits and never dispatches: the host resolves tenant, capability and rights, runs the
 * provider and renders the answer. The principal is the one the host authenticated on the exchange;
 * a binding cannot name another. */
#ifndef MIG_EXT_BINDING_H
#define MIG_EXT_BINDING_H
#include "mig/plugin.h"
#ifdef __cplusplus
extern "C" {
#endif

#define MIG_EXT_BINDING "mig.binding/1" /* host: mig_ext_binding */

enum mig_operation {
    MIG_OP_INVOKE = 0,
    MIG_OP_HELLO = 1,
    MIG_OP_DISCOVER = 2,
    MIG_OP_CANCEL = 3,
    MIG_OP_HEARTBEAT = 4,
    MIG_OP_PUBLISH = 5,
    MIG_OP_SUBSCRIBE = 6,
    MIG_OP_REFUSE = 7, /* nothing: answers with `refusal`, under the normalized header */
    MIG_OP_SCHEMA = 8  /* target: the URI; answers {header, uri, schema} (MIG v0.1 11.1) */
};

/* How the answers of an INVOKE look (MIG v0.1 6.1). Without a flag the frames of a stream are
 * gathered: payload is the last result with all frames as its member `frames`. */
enum mig_submit_flag {
    MIG_SUBMIT_FRAMES = 1, /* of streaming calls on_frame and on_done bring StreamFrames      */
    MIG_SUBMIT_ALWAYS_FRAMES =
        2 /* of unary calls too: one StreamFrame, and errors are frames      */
};

/* What a subscription brings (MIG v0.1 7.4 and 11.3). */
enum mig_event_kind {
    MIG_EVENT_MESSAGE = 1,      /* json: EventMessage                                            */
    MIG_EVENT_BACKPRESSURE = 2, /* json: {topic, lag, max_inflight, last_sequence}                */
    MIG_EVENT_CONTROL = 3       /* json: {type: "gap", ...}                                       */
};

typedef struct mig_event {
    uint32_t struct_size, kind; /* MIG_EVENT_*                            */
    uint64_t sequence;          /* MIG_EVENT_MESSAGE                      */
    mig_str json;               /* one line                               */
} mig_event;

/* One MIG operation. The envelope is the JSON text as it came, {header, capability, payload, ...};
 * an empty one stands for {}. The other members are what the transport said beside it: the envelope
 * wins, except that a different capability or target is refused. The host copies what it keeps; the
 * texts must live until the exchange ends (those of a mig_http_request do). */
typedef struct mig_submit {
    uint32_t struct_size;
    uint32_t operation; /* MIG_OP_*                                                */
    mig_str binding;    /* "http"                                                  */
    mig_str envelope;   /* JSON object text                                        */
    mig_str target; /* INVOKE: capability id; CANCEL: message id; PUBLISH, SUBSCRIBE: topic     */
    mig_str mig_version, message_id, session_id, idempotency_key, traceparent;
    mig_str deadline_ms; /* decimal text as the transport had it; empty: none       */
    void *tag;
    /* [exec] Streaming calls only; NULL: the binding carries unary calls only. on_open gives the
     * handle for message(), half_close() and resume(). on_frame: MIG_OK taken; MIG_E_AGAIN not
     * taken, offered again after resume() or when the exchange has room again after a send() that
     * said so; MIG_E_GONE the client left, cancel. */
    void (*on_open)(void *self, void *tag, mig_call ex, mig_call op);
    mig_status (*on_frame)(void *self, void *tag, mig_call ex, mig_str json);
    /* [exec] Exactly once. out->envelope is the whole answer or error as JSON text. */
    void (*on_done)(void *self, void *tag, mig_call ex, const mig_outcome *out);
    uint32_t flags, reserved; /* flags: MIG_SUBMIT_*; reserved: 0                       */
    mig_str stream_id;        /* of StreamFrames; empty: "stream-" and the message id  */
    /* [exec] SUBSCRIBE only: answers as on_frame does. on_open comes first. */
    mig_status (*on_event)(void *self, void *tag, mig_call ex, const mig_event *e);
    mig_error refusal;  /* REFUSE only */
    mig_str tracestate; /* counts only beside a good traceparent                        */
} mig_submit;

typedef struct mig_ext_binding {
    uint32_t struct_size, flags;
    /* [any] The submission ends with the exchange: when the client leaves, it is cancelled. */
    mig_status (*submit)(const mig_host *h, mig_call ex, const mig_submit *s);
    /* [any] The next message of the client. MIG_E_AGAIN: the provider has not granted more. */
    mig_status (*message)(const mig_host *h, mig_call op, mig_str json);
    mig_status (*half_close)(const mig_host *h, mig_call op);
    mig_status (*resume)(const mig_host *h, mig_call op);
} mig_ext_binding;

#ifdef __cplusplus
}
#endif
#endif
