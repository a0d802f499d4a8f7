#include "edge/tally.h"
#include "base/clock.h"
#include "core/observe.h"

#include <stdio.h>

enum { HTTP_CLIENT_LEFT = 499, TARGET_MAX = 256 }; /* 499: as nginx logs it */

static struct core *core_of(const struct loop *l)
{
    return l->local[LOOP_CORE];
}

void tally_begin(struct tally *t, struct exchange *x)
{
    t->began_ns = clock_turn_ns();
    if (t->is_admin)
        t->remote = exchange_remote(x);
}

void tally_access(struct tally *t, struct exchange *x, mig_status refusal, const char *reason,
                  bool has_key)
{
    struct telemetry *all = core_of(x->loop)->telemetry;

    t->refusal = refusal;
    if (!t->is_admin)
        return;
    if (refusal == MIG_OK) {
        count_auth(all, x->loop->index, DECISION_ALLOW, has_key ? S("admin_key") : S("loopback"));
    } else if (refusal == MIG_UNAUTHORIZED || refusal == MIG_FORBIDDEN) {
        count_auth(all, x->loop->index, DECISION_DENY, str_of(reason));
        count_error(all, x->loop->index, refusal, OPERATION_AUTH);
    }
}

void tally_error(const struct tally *t, const struct exchange *x, mig_status status)
{
    enum operation operation = route_operation(t->counts);

    if (operation != OPERATIONS)
        count_error(core_of(x->loop)->telemetry, x->loop->index, status, operation);
}

static bool is_read(str method)
{
    return str_eq(method, S("GET")) || str_eq(method, S("HEAD"));
}

static enum outcome outcome_of_http(unsigned status)
{
    switch (status) {
    case 401:
    case 403: return OUTCOME_DENIED;
    case 429: return OUTCOME_RATE_LIMITED;
    case 504: return OUTCOME_TIMEOUT;
    default: return status < 400 ? OUTCOME_SUCCESS : OUTCOME_ERROR;
    }
}

/* What operators change, and what they were not let do (MIG v0.1 15.3). */
static void record(const struct tally *t, struct exchange *x, unsigned status, uint64_t took_ns,
                   const struct principal *who, str message_id)
{
    enum outcome outcome = outcome_of_http(status);
    char target[TARGET_MAX];

    if (outcome != OUTCOME_DENIED && is_read(x->method))
        return;
    int n = snprintf(target, sizeof target, "%.*s %.*s", STR_ARG(x->method), STR_ARG(x->path));
    observe_decision(core_of(x->loop), x->loop->index,
                     &(struct record){
                         .took_us = took_ns / 1000,
                         .operation = OPERATION_ADMIN,
                         .outcome = outcome,
                         .decision = outcome == OUTCOME_DENIED ? DECISION_DENY : DECISION_ALLOW,
                         .code = t->refusal,
                         .actor = who ? who->actor : S("anonymous"),
                         .tenant = who ? who->tenant : S(""),
                         .message_id = message_id,
                         .binding = S("http"),
                         .remote = t->remote,
                         .target = {target, n < TARGET_MAX ? (size_t)n : TARGET_MAX - 1},
                     });
}

void tally_over(struct tally *t, struct exchange *x, const struct principal *who, str message_id)
{
    unsigned status = x->has_answer ? x->status : HTTP_CLIENT_LEFT;
    uint64_t took_ns = t->began_ns ? clock_now_ns() - t->began_ns : 0;

    if (t->is_over)
        return;
    t->is_over = true;
    count_request(core_of(x->loop)->telemetry, x->loop->index, t->counts, x->method, status,
                  took_ns);
    if (t->is_admin)
        record(t, x, status, took_ns, who, message_id);
}

void tally_malformed(const struct loop *l, unsigned status)
{
    struct telemetry *all = core_of(l)->telemetry;

    count_request(all, l->index, telemetry_no_route(all), S("other"), status, 0);
}
