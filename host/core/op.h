/* op.h: one MIG operation on its way through the pipeline, whatever binding brought it. Lives in an
 * arena. Owner: its loop.
 *
 *   submit -> stages of the operation, in order (pipeline.c) -> answer
 *   each stage says MIG_OK (go on), an error (op_fail() has written why), or OP_WAITS (the stage has
 *   taken over and will call op_answer() or op_fail_now()). */
#ifndef CORE_OP_H
#define CORE_OP_H
#include "base/json.h"
#include "base/log.h"
#include "core/call.h"
#include "core/catalogue.h"
#include "core/core.h"
#include "core/inflight.h"
#include "core/principal.h"
#include "core/telemetry.h"
#include "core/trace.h"
#include "mig/ext/binding.h"

#define OP_WAITS ((mig_status)1000)

/* Members of the envelope's header. */
enum header_member {
    HEADER_MIG_VERSION,
    HEADER_MESSAGE_ID,
    HEADER_TIMESTAMP,
    HEADER_TENANT_ID,
    HEADER_SESSION_ID,
    HEADER_TRACEPARENT,
    HEADER_IDEMPOTENCY_KEY,
    HEADER_DEADLINE_MS,
    HEADER_META,
    HEADER_TRACESTATE,
    HEADER_MEMBERS
};

/* MIG v0.1 section 2, after normalization. */
struct op_header {
    str message_id, timestamp, tenant_id, session_id, traceparent, idempotency_key;
    str meta;        /* JSON object text without idg.* members */
    str version_pin; /* meta["mig.capability_version"]         */
    uint64_t deadline_ms;
};

enum frame_state { FRAME_NONE, FRAME_OFFERED, FRAME_BLOCKED, FRAME_TAKEN };

/* How many StreamFrames a binding wants to see. */
enum frame_style { STYLE_GATHER, STYLE_RAW, STYLE_FRAMES };

/* The frames of one op on their way to the binding (frames.c). */
struct frames {
    struct arena *arena; /* of text: the one frame that is offered */
    str text;
    enum frame_state state;
    mig_status status; /* strand -> home loop */
    struct task task;
    enum frame_style style;
    str stream_id;
    uint64_t seq;                          /* mig.frame_seq of the last one            */
    struct arena_text gathered;            /* STYLE_GATHER: frames with commas between */
    uint64_t limit, limit_bytes, stall_ms; /* of the policy                 */
    struct timer stall;                    /* runs while the binding takes nothing     */
    bool was_blocked;                      /* the binding has refused a frame          */
    bool is_slow;                          /* the caller was told of backpressure      */
    bool has_notice;                       /* what is offered is such a notice         */
};

struct once;
struct retry;
struct tenant;

struct op {
    struct task task;
    struct core *core;
    struct loop *home;
    struct gen *gen;    /* NULL once it is let go                                */
    struct gen *pinned; /* the same when the parent has none                     */
    struct arena *arena;
    const struct principal *principal;
    struct call *parent; /* exchange, or the call in whose name this is invoked; held */
    mig_submit in;       /* texts live as long as the parent's arena */
    struct json doc;     /* the envelope */
    const json_value *header_in[HEADER_MEMBERS]; /* as sent; NULL: absent or null */
    str raw_meta;
    struct op_header header;
    str payload;                     /* JSON text */
    const json_value *payload_value; /* the same; NULL: absent, or not of an envelope */
    str capability_in;               /* of the envelope */
    str stream_preference;
    uint32_t mode;
    uint32_t hops;

    struct capability *cap;    /* until the answer */
    struct instance *instance; /* who gets on_done */
    /* Copies of what outlives the generation, which is let go when the caller has its answer. */
    void (*invoke)(void *self, void *data, mig_call call, const mig_request *req);
    struct gate *gate;
    struct instance *provider;
    struct call *call;       /* the provider's; NULL before dispatch and after its end */
    mig_call handle;         /* of call */
    struct call_child child; /* in the parent's list, while call is set */
    struct inflight_item inflight;
    struct task gate_task;
    bool waits_at_gate;
    bool end_unseen; /* answered while it waited: gate_task ends the call */
    bool has_gate;   /* has_gate: counted as running by the capability's gate */
    bool is_counted; /* counted as in flight by limits.c */
    uint64_t started_ns;
    struct tenant *tenant; /* from step 12 to the answer                    */
    uint64_t quota_epoch;  /* what quota_take() said; 0: nothing is reserved */
    struct once *once;     /* NULL: no idempotency key                       */
    struct retry *retry;   /* NULL: the first attempt                        */
    bool is_replay;        /* the answer was given before                    */
    struct op_trace trace;
    struct log_context log;
    enum stream_type stream; /* counted as open by observe.c    */
    bool is_inflight;        /* counted as such by observe.c    */
    struct frames frames;

    struct call_result error; /* what op_fail() wrote */
    mig_outcome out;
    struct strand_event ev_open, ev_frame, ev_done;
    mig_done done;                        /* mig.invoke/1 instead of the binding's on_done */
    void (*answered_here)(struct op *op); /* home loop, instead of both: invoke_wait() */
    void *done_tag;
    mig_request request;
    bool is_answered;
    bool is_open; /* the binding was told of the stream */
    bool checks_output;
    bool owns_arena; /* nested: an arena of its own        */
};

/* Write the error and return its status, so that a stage can say: return op_fail(...). reason and
 * message: static or arena texts. */
mig_status op_fail(struct op *op, mig_status status, const char *reason, const char *message);
/* details: JSON object text. */
mig_status op_fail_details(struct op *op, mig_status status, str details, str message);

/* MIG_INVALID_REQUEST, reason invalid_member. */
mig_status op_fail_member(struct op *op, str member);
/* header.c: a string member of the header, else what the transport said. false: wrong type, or bytes of the
 * transport that are no UTF-8; *ret is empty. */
bool op_header_text(const struct op *op, enum header_member m, str mirror, str *ret);

/* Home loop, once: the outcome goes to whoever submitted. json: arena text; envelope: the whole
 * answer (only for bindings). */
void op_answer(struct op *op, const struct call_result *r, str envelope);
void op_answer_error(struct op *op, const struct call_result *r);
/* To the log goes what callers do not see of a provider that failed. */
void op_log_internal(struct op *op, str message, str details);

/* The generation is not needed any more. */
void op_let_go(struct op *op);

/* frames.c. Home loop. */
mig_status frames_take(struct call *c, str bytes); /* call_kind.frame of invocations   */
void frames_begin(struct op *op);                  /* stage_mode has found a stream    */
str frames_stream_id(struct op *op);               /* as given, or of the message id   */
void frames_end(struct op *op);                    /* what is left of a frame is freed */
void frames_room(struct call_child *child);        /* the binding takes frames again   */

/* The stages. Each in the file of its concern. */
mig_status stage_envelope(struct op *op);    /* header.c: JSON, header normalization      */
mig_status stage_tenant(struct op *op);      /* tenant.c: tenant resolution               */
mig_status stage_resolve(struct op *op);     /* registry.c: capability and version        */
mig_status stage_scope(struct op *op);       /* authz.c                                   */
mig_status stage_mode(struct op *op);        /* pipeline.c                                */
mig_status stage_cancelled(struct op *op);   /* pipeline.c: cancel in advance             */
mig_status stage_payload(struct op *op);     /* schema.c: shape and size, input schema    */
mig_status stage_once(struct op *op);        /* pipeline.c: idempotency, policy           */
mig_status stage_limits(struct op *op);      /* limits.c: rates and quota                 */
mig_status stage_concurrency(struct op *op); /* limits.c                                  */
mig_status stage_register(struct op *op);    /* pipeline.c: in flight                     */
mig_status stage_dispatch(struct op *op);    /* dispatch.c                                */
mig_status stage_publish(struct op *op);     /* publish.c                                 */
mig_status stage_subscribe(struct op *op);   /* subscribe.c                               */
mig_status stage_hello(struct op *op);       /* discovery.c                               */
mig_status stage_discover(struct op *op);    /* discovery.c                               */
mig_status stage_schema(struct op *op);      /* discovery.c                               */
mig_status stage_cancel(struct op *op);      /* control_ops.c                             */
mig_status stage_heartbeat(struct op *op);   /* control_ops.c                             */

/* schema.c: does a result agree with the output schema? false: *ret_details says why not. */
bool schema_check_output(struct op *op, str result, str *ret_details);
/* limits.c: what stage_limits() and stage_concurrency() took is given back, or counted as used. */
void limits_leave(struct op *op, bool is_success);
/* dispatch.c: when the caller wants its answer, on the monotonic clock. */
uint64_t op_deadline(struct op *op);
/* dispatch.c: a call of the provider. OP_WAITS, or an error. */
mig_status dispatch_attempt(struct op *op);
/* retry.c: the provider has failed. true: it is tried again, as often as the capability's policy says and
 * as long as the caller waits. */
bool retry_begin(struct op *op, const struct call_result *r);
/* The caller has left. true: the op was between two attempts, and is not tried again. */
bool retry_leave(struct op *op);
/* Is it an error after which callers may try again? */
bool retry_is_wished(const struct call_result *r);
/* dispatch.c: the outcome of the provider, rendered and handed on. r->json is an object. */
void op_give(struct op *op, const struct call_result *r);
/* publish.c: the topic of a PUBLISH or SUBSCRIBE that the principal may use. */
mig_status topic_of_op(struct op *op, str *ret);
struct topic;
/* publish.c: the same as events.h has it, as long as the arena. */
mig_status take_topic(struct op *op, str name, struct arena *a, struct topic **ret);
/* authz.c: may the principal use it? */
bool authz_may_topic(const struct principal *p, const struct gen *g, str topic);
bool authz_may_invoke(const struct principal *p, const struct capability *c);

/* envelope.c: answers as JSON text in the op's arena; NULL ptr when memory is out. */
void envelope_header(struct op *op,
                     struct arena_text *t); /* {"header":{...} without the brace that ends it all */
str envelope_invoke(struct op *op, str payload);
str envelope_error(struct op *op, const struct call_result *r);
/* A result or frame that is no object becomes the member `result` of one (MIG v0.1 9.3). */
str envelope_object(struct arena *a, str json);
/* The header object of an event, open behind the members of its meta. */
void envelope_event_header(struct op *op, str event_key, struct arena_text *t);
/* A StreamFrame of kind response in t; payload: JSON text. */
void envelope_frame(struct op *op, struct arena_text *t, str payload, bool is_last);
/* A StreamFrame of kind control. */
void envelope_control(struct op *op, struct arena_text *t, str payload);
/* The terminal StreamFrame of kind error. */
str envelope_error_frame(struct op *op, const struct call_result *r);
/* JSON value text on one line. */
void text_add_line(struct arena_text *t, str json);
/* For errors outside of any operation (no route, malformed HTTP). */
/* details with a reason alone: {"reason":"..."} */
str envelope_reason(struct arena *a, str reason);
str envelope_bare(struct arena *a, const struct call_result *r, str message_id);

/* pipeline.c. Home loop of ex: start a submission of a binding. The texts of s live in ex's arena. ex
 * is held by the caller, the op takes the hold over. */
void pipeline_submit(struct call *ex, struct instance *binding, const mig_submit *s);
struct nested_spec {
    str capability, payload; /* copied */
    mig_done done;           /* on the parent's strand */
    void *tag;
    void (*answered_here)(struct op *op);
};
/* Home loop. Invoke in the name of a call (mig.invoke/1). The op takes the hold over. */
void pipeline_invoke(struct call *parent, const struct nested_spec *spec);
/* Home loop. An op in the name of parent, zeroed but for what parent and instance say. NULL: no memory. */
struct op *op_new(struct call *parent, struct arena *a, struct instance *instance);
/* Home loop. What a binding has submitted is what it does. */
void op_take(struct op *op, const mig_submit *s);
/* Home loop. Nothing of it is used any more; the hold on its parent is the caller's. */
void op_free(struct op *op);
/* dispatch.c. The op whose provider call this is; NULL: another kind of call. */
struct op *op_of_call(struct call *c);
/* dispatch.c. Of such an op, or of a subscription; NULL: another kind of call. */
const struct op_header *op_header_of(struct call *c);
/* For health/live checks and HEARTBEAT: 0..1, the fullest of the queues. */
double core_load_factor(struct core *core, const struct gen *g);
#endif
