/* call.h: everything the host hands to an instance and wants ended, once: invocations, HTTP
 * exchanges, ticks, probes, tasks. One small state machine, the heart of the host.
 *
 *                 end                       open      the plugin works
 *      open ---------------> ended          answered  the host told the caller (deadline, cancel,
 *        |                     ^                      disconnect, stop); the plugin owes its end
 *        | deadline, cancel,   | end        ended     the handle is dead; the slot is reused when
 *        | disconnect, stop    |                      its strand is idle and nothing it started is
 *        +----> answered ------+                      under way
 *
 * A handle names loop, slot and generation of the slot. Slots are type-stable memory with one atomic
 * word (generation, state), so every thread can check a handle and claim the end in place; all else
 * happens on the home loop. Callbacks of one call form a strand: they never run at the same time. */
#ifndef CORE_CALL_H
#define CORE_CALL_H
#include "base/arena.h"
#include "base/list.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "mig/plugin.h"

struct core;
struct gen;
struct instance;
struct call;
struct log_context;
struct principal;

enum call_state { CALL_FREE, CALL_OPEN, CALL_ANSWERED, CALL_ENDED, CALL_STATES };
enum call_event { CALL_END, CALL_DEADLINE, CALL_CANCEL, CALL_DISCONNECT, CALL_STOP, CALL_EVENTS };
enum call_action {
    CALL_GIVE_RESULT = 1, /* the caller gets what the plugin said        */
    CALL_GIVE_ERROR = 2,  /* the caller gets the error of the event      */
    CALL_TELL_PLUGIN = 4, /* on_cancel                                   */
    CALL_STALE = 8        /* a dead handle: counted, MIG_E_GONE          */
};
struct call_step {
    uint8_t next, actions;
};
/* The whole machine: what an event does in a state. Pure. */
struct call_step call_step(enum call_state state, enum call_event event);

/* How a call ended, or what is told to its caller. */
struct call_result {
    mig_status status; /* MIG_OK: json */
    str json, message, details;
    uint32_t retry_after_ms, retry;
    void (*release)(void *owner); /* of json's bytes; NULL: nothing to do */
    void *owner;
};

/* What is different between kinds of calls. All on the home loop. */
struct call_kind {
    const char *name;
    void (*start)(struct call *c); /* on the strand: hand the call to the plugin */
    /* Exactly once per call, unless the caller has disconnected. */
    void (*answer)(struct call *c, const struct call_result *r);
    /* One frame. MIG_OK; MIG_E_AGAIN: call_flow_resume() will offer it again; MIG_E_GONE. NULL: the
     * kind has no stream. */
    mig_status (*frame)(struct call *c, str bytes);
    /* HTTP exchanges: head of the answer. NULL otherwise. */
    mig_status (*respond)(struct call *c, uint32_t status, const void *headers, uint32_t count);
    /* The slot is about to be reused; owner is in the arena and goes with it. NULL: nothing to do. */
    void (*free)(struct call *c);
    /* HTTP exchanges: become a WebSocket (ws: mig_websocket). NULL otherwise. */
    mig_status (*upgrade)(struct call *c, const void *ws);
    /* HTTP exchanges: the plugin needs the request no more. NULL otherwise. */
    void (*release)(struct call *c);
    /* WebSockets: the path they were opened under. NULL otherwise. */
    str (*path)(const struct call *c);
    bool is_the_hosts; /* plugins do nothing in its name: call_hold() says MIG_E_GONE */
};

/* One callback that waits for its turn on the strand. */
struct strand_event {
    struct task task;
    void (*run)(struct call *c, struct strand_event *e);
};

/* What the plugin registered for this call. Optional members may be NULL. */
struct call_handler {
    uint32_t exec;
    uint32_t flags; /* MIG_CAP_* */
    void *data;
    void (*on_cancel)(void *self, void *data, mig_call call);
    void (*on_writable)(void *self, void *data, mig_call call);
    void (*on_message)(void *self, void *data, mig_call call, mig_str json);
    void (*on_half_close)(void *self, void *data, mig_call call);
};

/* Owner: its home loop, except the atomics. */
struct call {
    _Atomic uint64_t word; /* generation << 32 | state */
    _Atomic(struct instance *) instance;
    _Atomic int64_t credit_bytes, credit_frames;
    _Atomic bool wants_writable;
    _Atomic unsigned holds; /* host operations under way in the name of this call */

    struct loop *home;
    uint32_t slot;
    const struct call_kind *kind;
    void *owner; /* kind-specific, lives in the arena */
    struct core *core;
    struct gen *gen; /* pinned until the call is answered, then NULL */
    struct arena *arena;
    const struct principal *principal;
    struct call_handler handler;
    uint64_t deadline_ns;
    uint32_t hops;
    const struct log_context *log; /* of lines written on the strand; in the arena, may be NULL */

    uint32_t guests;      /* operations that live in the arena                   */
    bool is_lasting;      /* call_lasts()                                        */
    bool is_answered;     /* the caller has its end                              */
    bool is_ended;        /* the plugin's end has arrived                        */
    bool was_seen;        /* the plugin knows of the call; set on the strand     */
    bool is_draining_end; /* the end waits behind frames the caller has not taken */
    struct call_result result;
    struct task end_task;
    struct timer deadline;
    struct list children; /* calls and waits to cancel with this one; struct call_child */

    struct task strand_task;
    struct task_queue strand_queue, strand_batch;
    bool strand_is_running;
    struct strand_event ev_start, ev_cancel, ev_writable, ev_half_close;
    _Atomic bool writable_is_queued;

    struct task_queue frames_out;  /* taken from the plugin, not yet by the caller */
    struct task_queue messages_in; /* for recv_wait, under the wait lock */
    bool is_half_closed;           /* under the wait lock */
    int64_t grants;                /* messages the caller may send now */
    str message_in;                /* what recv_wait gave last; malloc'ed, under the wait lock */

    uint64_t opened_ms;
    uint64_t outdated_ms; /* without a generation: since when its instance is not served */
    struct list in_table; /* all open calls of the loop, oldest first */
    struct call *next_free;
};

/* Something that is told when its parent call is answered early. */
struct call_child {
    struct list link;
    void (*cancel)(struct call_child *child);
    void (*room)(struct call_child *child); /* the parent takes frames again; NULL: not told */
};

/* The slots of one loop. Made by core_new(). */
struct call_table;
struct call_table *call_table_new(struct core *core, struct loop *home);
void call_table_free(struct call_table *t);

struct call_spec {
    const struct call_kind *kind;
    struct instance *instance;
    struct gen *gen;     /* gets pinned                                     */
    struct arena *arena; /* gets a reference                                */
    const struct principal *principal;
    const struct call_handler *handler;
    void *owner;
    uint64_t deadline_ns;
    uint32_t hops;
    uint32_t credit_bytes, credit_frames; /* on the way to the caller; 0: as the policy says */
};
/* Home loop. A new open call with debt on its instance; call_start() must follow. NULL: no slot. */
struct call *call_open(struct call_table *t, const struct call_spec *spec);
/* Home loop. Give it to the plugin. false: the instance's queue is full; nothing was given and the
 * call is gone. */
bool call_start(struct call *c);
/* Home loop. The call does not need its generation any more: it may outlive many. */
void call_let_go(struct call *c);
/* Home loop. A stream without an end of its own: no deadline, no generation. What is submitted in its
 * name is on its own. */
void call_lasts(struct call *c);
/* Home loop. May its kind put another arena in the place of this one, which has what it needs itself? Not
 * while anything is under way but what was submitted in its name since it lasts. */
bool call_is_at_rest(const struct call *c);
/* Home loop. The new arena and principal; takes the reference over, and lets the old arena go. */
void call_move(struct call *c, struct arena *a, const struct principal *p, void *owner);
/* Home loop. Undo call_open(): nobody is told, the call is gone. */
void call_refuse(struct call *c);
/* Home loop. End a call that was answered before the plugin saw it. */
void call_end_unseen(struct call *c);
mig_call call_handle(const struct call *c);

/* [any] The ends. inst: who says so; a call of another instance is MIG_E_ARG. */
mig_status call_finish(struct core *core, struct instance *inst, mig_call h, const mig_payload *p);
mig_status call_finish_error(struct core *core, struct instance *inst, mig_call h,
                             const mig_error *e);
mig_status call_send(struct core *core, struct instance *inst, mig_call h, const mig_payload *p);
mig_status call_send_wait(struct core *core, struct instance *inst, mig_call h,
                          const mig_payload *p);
mig_status call_recv_wait(struct core *core, struct instance *inst, mig_call h, mig_str *ret);
mig_status call_grant(struct core *core, struct instance *inst, mig_call h, uint32_t n);
bool call_is_cancelled(struct core *core, mig_call h);

/* [any] Keep the slot of an open call alive for an operation; call_drop() on the home loop. NULL: the
 * call is not open (MIG_E_GONE), belongs to another instance, or is of a kind that is the host's. */
struct call *call_hold(struct core *core, struct instance *inst, mig_call h);
void call_drop(struct call *c);
/* [any] The same from wherever one is. */
void call_drop_any(struct call *c);

/* Home loop. End it for the caller now (r: what it is told; not used for CALL_DISCONNECT); the
 * plugin is told and still owes its end. Nothing happens when the caller has its end already. */
void call_abort(struct call *c, enum call_event event, const struct call_result *r);

/* Home loop. */
void call_strand_push(struct call *c, struct strand_event *e);
/* Home loop: the caller takes frames again. */
void call_flow_resume(struct call *c);
/* Home loop: a message of the caller; MIG_E_AGAIN without a grant. */
mig_status call_message(struct call *c, str json);
void call_half_close(struct call *c);
/* Home loop: the call behind a handle, NULL when it is not open. */
struct call *call_find(struct core *core, mig_call h);

/* Where [pool] functions sleep until their call changes. */
struct call_wait {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    _Atomic unsigned sleepers;
};
/* [any] */
struct call_wait *call_wait_of(const struct call *c);
/* [any] Let sleeping [pool] functions of this call look again. */
void call_wake(struct call *c);

/* [any] Give the bytes back once the present host function has returned. */
void payload_release_later(struct core *core, const mig_payload *p);

/* Home loop. call_abort() with CALL_STOP for every open call that `which` names (NULL: all). */
void call_table_abort(struct call_table *t, bool (*which)(struct call *c, void *arg), void *arg,
                      const struct call_result *r);
/* Home loop. Calls open now on this loop, oldest first. */
struct list *call_table_open(struct call_table *t);
/* [any] Uses of dead handles since the start. */
uint64_t call_stale_count(void);
#endif
