/* record.h: what is kept of one operation when it is over: for the audit (MIG v0.1 15.3) and for spans
 * (15.2). Packed it is a few dozen bytes more than its texts; that form travels between threads and fills
 * the audit's memory. Pure, any thread. */
#ifndef CORE_RECORD_H
#define CORE_RECORD_H
#include "base/buf.h"
#include "base/traceparent.h"

enum outcome {
    OUTCOME_SUCCESS,
    OUTCOME_ERROR,
    OUTCOME_DENIED,
    OUTCOME_RATE_LIMITED,
    OUTCOME_TIMEOUT,
    OUTCOME_CANCELLED,
    OUTCOME_REPLAYED,
    OUTCOMES
};

/* The operations of MIG, in the order of MIG_OP_*, and two more. */
enum operation {
    OPERATION_INVOKE,
    OPERATION_HELLO,
    OPERATION_DISCOVER,
    OPERATION_CANCEL,
    OPERATION_HEARTBEAT,
    OPERATION_PUBLISH,
    OPERATION_SUBSCRIBE,
    OPERATION_AUTH,
    OPERATION_ADMIN,
    OPERATIONS
};

enum decision { DECISION_NONE, DECISION_ALLOW, DECISION_DENY };

/* The bindings that most calls come by; others are texts. */
enum { BINDINGS_KNOWN = 5 };
extern const str binding_names[BINDINGS_KNOWN];
/* BINDINGS_KNOWN: none of them. */
unsigned binding_named(str name);

/* Texts that outlive every record, so that it need not hold them: telemetry.h has them. */
struct record_names {
    str capability, tenant;
};

enum { RECORD_TEXT_MAX = 255, RECORD_TEXTS = 8 };

struct record {
    uint64_t at_us; /* wall clock, when it was over; since 1970 */
    uint64_t took_us;
    enum operation operation;
    enum outcome outcome;
    enum decision decision;
    mig_status code;
    bool has_trace, has_parent;
    struct traceparent trace;           /* of the operation */
    unsigned char parent_span[SPAN_ID]; /* of the caller    */
    const struct record_names *names;   /* packed instead of capability and tenant; may be NULL */
    str rest;                           /* record_unpack(): what lies behind it; not packed */
    union {
        struct {
            /* target: what was meant when it is no capability: a route, a topic. mapping: name of the
             * decision that a policy took. Each is cut at RECORD_TEXT_MAX. */
            str message_id, remote, actor, tenant, capability, binding, target, mapping;
        };
        str texts[RECORD_TEXTS];
    };
};

/* What a packed record can need at most. */
enum { RECORD_FIXED = 80, RECORD_MAX = RECORD_FIXED + RECORD_TEXTS * RECORD_TEXT_MAX };

/* to: RECORD_MAX bytes. Returns how many were used. */
size_t record_pack(const struct record *r, char *to);
/* An ordinary invocation: most records are of this kind. With text in message id and remote. */
struct brief {
    uint64_t at_us;
    uint32_t took_us;
    enum outcome outcome;
    mig_status code;
    unsigned binding; /* below BINDINGS_KNOWN */
    const struct traceparent *trace;
    const struct record_names *names;
    str message_id, remote, actor;
};
size_t record_pack_brief(const struct brief *b, char *to);
/* The texts point into `packed`. */
void record_unpack(str packed, struct record *ret);

/* When it was over, without the rest. */
uint64_t record_time(str packed);

/* One JSON object on one line, without a line feed. prev: hash of the line before; ptr NULL: none. */
void record_json(const struct record *r, str prev, struct buf *out);
/* RFC 4180: the head line, and a line. What a spreadsheet would take for a formula gets an apostrophe. */
void record_csv_head(struct buf *out);
void record_csv(const struct record *r, struct buf *out);

const char *outcome_name(enum outcome o);
/* OUTCOMES: no such outcome. */
enum outcome outcome_named(str name);
const char *operation_name(enum operation o);
/* How a status counts: MIG v0.1 15.3. */
enum outcome outcome_of(mig_status status);
#endif
