/* telemetry.h: what the host counts about itself (MIG v0.1 15.1). Every loop has counters of its own, so
 * that counting is an add without a lock; they are summed when somebody asks.
 *
 * Names that come from outside are capped: of (capability, tenant) pairs `max_series` are kept, later
 * ones count under tenant "other". Capabilities and routes are known when a generation is built; what is
 * counted about them lives as long as the process, so that counters never go back. */
#ifndef CORE_TELEMETRY_H
#define CORE_TELEMETRY_H
#include "core/record.h"

#include <stdatomic.h>

struct loop;
struct telemetry;
struct capability_counts;
struct route_counts;

/* Streams that are open now. */
enum stream_type {
    STREAM_NONE,
    STREAM_SSE,
    STREAM_WEBSOCKET,
    STREAM_GRPC_BIDI,
    STREAM_GRPC_EVENTS,
    STREAM_NATS,
    STREAM_MCP,
    STREAM_INVOKE_SSE,
    STREAM_OTHER,
    STREAM_TYPES
};

enum cancel_status { CANCEL_CANCELLED, CANCEL_COMPLETED, CANCEL_PENDING, CANCEL_STATUSES };

struct telemetry *telemetry_new(size_t loops, size_t max_series);
void telemetry_free(struct telemetry *t);
/* Any thread. */
void telemetry_set_max_series(struct telemetry *t, size_t max_series);

/* Names. [life] Good until telemetry_free(). Beyond a bound they share one, "other". */
struct capability_counts *telemetry_capability(struct telemetry *t, str id);
/* pattern: the template of the path. */
struct route_counts *telemetry_route(struct telemetry *t, str pattern);
/* Of what was asked for and does not exist; never NULL. */
struct capability_counts *telemetry_no_capability(struct telemetry *t);
struct route_counts *telemetry_no_route(struct telemetry *t);

/* --- counting. Home loop; `loop` is its index. ---------------------------------------------------- */

/* code: what the caller is told. took_ns: from admission to the answer. Returns the two names for records,
 * good until telemetry_free(); NULL: they are counted under others. */
const struct record_names *count_invocation(struct telemetry *t, unsigned loop,
                                            struct capability_counts *c, str tenant,
                                            enum outcome outcome, mig_status code,
                                            uint64_t took_ns);
void count_inflight(struct capability_counts *c, unsigned loop, int by);
void count_deadline(struct capability_counts *c, unsigned loop);
void count_replay(struct capability_counts *c, unsigned loop);
void count_error(struct telemetry *t, unsigned loop, mig_status code, enum operation operation);
void count_cancel(struct telemetry *t, unsigned loop, str binding, enum cancel_status status);
void count_stream(struct telemetry *t, unsigned loop, enum stream_type type, int by);
/* A stream whose reader is slow, or (STREAM_NONE) an operation that was refused. */
void count_backpressure(struct telemetry *t, unsigned loop, enum stream_type channel,
                        enum operation operation);
/* reason: a machine word. */
void count_auth(struct telemetry *t, unsigned loop, enum decision decision, str reason);
/* Somebody's operation was let in. */
void count_caller(struct telemetry *t, unsigned loop, bool is_authenticated);
/* status: of the answer. */
void count_request(struct telemetry *t, unsigned loop, struct route_counts *r, str method,
                   unsigned status, uint64_t took_ns);
/* Whose errors are this route's? OPERATIONS: nobody's. */
enum operation route_operation(const struct route_counts *r);

/* Control thread. Prometheus text 0.0.4 of all of it. */
void telemetry_text(struct telemetry *t, struct buf *out);
#endif
