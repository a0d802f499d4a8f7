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
    MIG_OP_HEARTBEAT = 4
};

/* One MIG operation. The envelope is the JSON text as it came, {header, capability, payload, ...};
 * an empty one stands for {}. The other members are what the transport said beside it: the envelope
 * wins, except that a different capability or target is refused. The host copies what it keeps; the
 * texts must live until the exchange ends (those of a mig_http_request do). */
typedef struct mig_submit {
    uint32_t struct_size;
    uint32_t operation; /* MIG_OP_*                                                */
    mig_str binding;    /* "http"                                                  */
    mig_str envelope;   /* JSON object text                                        */
    mig_str target;     /* INVOKE: capability id; CANCEL: message id               */
    mig_str mig_version, message_id, session_id, idempotency_key, traceparent;
    mig_str deadline_ms; /* decimal text as the transport had it; empty: none       */
    void *tag;
    /* [exec] Streaming calls only; NULL: the binding carries unary calls only. on_open gives the
     * handle for message(), half_close() and resume(). on_frame: MIG_OK taken; MIG_E_AGAIN not
     * taken, offered again after resume(); MIG_E_GONE the client left, cancel. */
    void (*on_open)(void *self, void *tag, mig_call ex, mig_call op);
    mig_status (*on_frame)(void *self, void *tag, mig_call ex, mig_str json);
    /* [exec] Exactly once. out->envelope is the whole answer or error as JSON text. */
    void (*on_done)(void *self, void *tag, mig_call ex, const mig_outcome *out);
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
