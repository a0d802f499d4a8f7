/* trace.h: spans (MIG v0.1 15.2). Each operation is a span of its own: below that of the caller when it
 * sent a `traceparent`, else the first of a new trace. Providers get the operation's as theirs, log lines
 * its trace id. What is sampled goes to the exporter, when there is one. */
#ifndef CORE_TRACE_H
#define CORE_TRACE_H
#include "base/traceparent.h"
#include "base/tracestate.h"
#include "core/record.h"
#include "loop/lane.h"

struct loop;
struct op;
struct tracing;

/* In the operation. Owner: its loop. */
struct op_trace {
    bool has_parent, is_begun;
    struct traceparent parent, own;
    str state;                   /* the caller's tracestate */
    char text[TRACEPARENT_TEXT]; /* of own                  */
};

struct tracing *tracing_new(size_t loops);
void tracing_free(struct tracing *t);
/* Control thread. ratio: of the operations without a caller's word, in millionths. */
void tracing_set_ratio(struct tracing *t, uint64_t ratio);
/* Before the loops run: somebody takes spans out of tracing_lane(). */
void tracing_export(struct tracing *t);
bool tracing_is_exported(const struct tracing *t);
/* The spans of one loop, packed records with the tracestate behind; at_us is the end. For one reader.
 * NULL: no memory for it yet. */
struct lane *tracing_lane(struct tracing *t, size_t loop);
/* Spans for which there was no room. Any thread. */
uint64_t tracing_dropped(const struct tracing *t);

/* Home loop. Gives the operation its span, once. */
void trace_begin(struct op *op);
/* The same, and as text for whoever works on it. */
str trace_child(struct op *op);
/* An operation in the name of another one. */
void trace_nest(struct op *op, const struct op *from);
/* Home loop: it is over. */
void trace_end(struct op *op, const struct record *r);
#endif
