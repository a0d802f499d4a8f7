/* SUBSCRIBE (MIG v0.1 5.5): from the op to a subscription in its place. */
#include "base/check.h"
#include "core/observe.h"
#include "core/subscription.h"

enum { ARENA_LIMIT = 64 << 20, CONSUMER_MAX = 128 };

static bool number_of(const json_value *v, uint64_t *ret)
{
    int64_t n;

    if (json_is_string(v))
        return str_to_u64(json_string(v), ret);
    if (!json_is_integer(v, &n) || n < 0)
        return false;
    *ret = (uint64_t)n;
    return true;
}

/* Where to begin (MIG v0.1 7.2). */
static mig_status place(struct op *op, struct subscription *s, const struct consumer_state *known)
{
    const json_value *v = json_have(op->doc.root, S("resume_cursor"));
    uint64_t last = s->range.last;
    str text = json_string(v);

    if (!v || (json_is_string(v) && !text.len)) {
        if (known->is_known)
            s->cursor = known->position;
        else
            s->cursor = op->gen->policy.is_cursor_latest ? last : 0;
    } else if (str_eq(text, S("latest"))) {
        s->cursor = last;
    } else if (!number_of(v, &s->cursor)) {
        return op_fail(op, MIG_INVALID_REQUEST, "resume_cursor",
                       "resume_cursor must be a non-negative integer");
    }
    if (s->cursor > last)
        s->cursor = last;
    return MIG_OK;
}

static mig_status check_quota(struct op *op, struct subscription *s,
                              const struct consumer_state *known)
{
    uint64_t from = s->cursor + 1 > s->range.first ? s->cursor + 1 : s->range.first;
    uint64_t wanted = from <= s->range.last ? s->range.last - from + 1 : 0;

    if (known->replayed + wanted <= op->gen->policy.replay_quota || !wanted)
        return MIG_OK;
    mig_status status = op_fail(op, MIG_RATE_LIMITED, "replay_quota",
                                "the consumer has replayed too many events within the hour");
    op->error.retry_after_ms = (uint32_t)(known->hour_left_ms ? known->hour_left_ms : 3600000);
    return status;
}

struct wish {
    str topic, consumer, cursor; /* cursor: when it is text */
    uint64_t max_inflight;
};

static mig_status read_wish(struct op *op, struct wish *w)
{
    const json_value *consumer = json_have(op->doc.root, S("consumer_id"));
    const json_value *inflight = json_have(op->doc.root, S("max_inflight"));

    mig_status status = topic_of_op(op, &w->topic);
    if (status != MIG_OK)
        return status;
    w->consumer = json_string(consumer);
    if (consumer && (!json_is_string(consumer) || w->consumer.len > CONSUMER_MAX ||
                     str_plain_prefix(w->consumer) != w->consumer.len))
        return op_fail_member(op, S("consumer_id"));
    w->cursor = json_string(json_have(op->doc.root, S("resume_cursor")));
    w->max_inflight = 32;
    if (inflight &&
        (!number_of(inflight, &w->max_inflight) || w->max_inflight < 1 || w->max_inflight > 1024))
        return op_fail_member(op, S("max_inflight"));
    return MIG_OK;
}

static void supersede_here(struct loop *l, uint64_t v)
{
    struct core *core = l->local[LOOP_CORE];
    struct call *c = call_find(core, (mig_call){v});

    if (c)
        call_abort(c, CALL_STOP,
                   &(struct call_result){.status = MIG_UNAVAILABLE,
                                         .message = S("another connection reads as this consumer"),
                                         .details = S("{\"reason\":\"consumer_superseded\"}")});
}

static mig_status take_slot(struct op *op, struct subscription *s, struct arena *a)
{
    static const struct call_handler handler = {.exec = MIG_EXEC_LOOP};

    s->call = call_open(core_loop_of(op->core, op->home)->calls, &(struct call_spec){
                                                                     .kind = &subscription_kind,
                                                                     .instance = op->instance,
                                                                     .gen = op->gen,
                                                                     .arena = a,
                                                                     .handler = &handler,
                                                                     .owner = s,
                                                                     .deadline_ns = UINT64_MAX,
                                                                 });
    if (!s->call)
        return op_fail(op, MIG_BACKPRESSURE, "memory", "no room for another subscription");
    call_let_go(s->call);
    return MIG_OK;
}

static void take_over(struct op *op, struct subscription *s, struct consumer *c)
{
    mig_call before =
        consumer_take(op->core, c, call_handle(s->call), op->gen->policy.consumer_ttl_ms);

    s->consumer = c;
    if (before.v)
        loop_post_fn(op->core->loops[before.v >> 56], supersede_here, before.v);
}

/* Takes the consumer and finds the place; on failure nothing is left behind. */
static mig_status settle(struct op *op, struct subscription *s, const struct wish *w)
{
    const struct consumer_key key = {op->header.tenant_id, w->topic, w->consumer};
    struct consumer_state known = {0};
    struct consumer *c = NULL;

    if (w->consumer.len && !(c = consumer_find(op->core, &key, &known)))
        return op_fail(op, MIG_BACKPRESSURE, "memory", "too many consumers");
    s->range = topic_range(s->topic);
    s->live_from = s->range.last;
    mig_status status = place(op, s, &known);
    if (status == MIG_OK)
        status = check_quota(op, s, &known);
    if (status == MIG_OK && !topic_listen(s->topic, &s->reader))
        status = op_fail(op, MIG_BACKPRESSURE, "memory", "no room for another subscription");
    if (status == MIG_OK && c)
        take_over(op, s, c);
    else if (c)
        consumer_pass(op->core, c); /* who reads as it is not disturbed */
    return status;
}

static mig_status place_it(struct op *op, struct subscription *s, const struct wish *w,
                           struct arena *a)
{
    mig_status status = take_topic(op, w->topic, a, &s->topic);

    if (status == MIG_OK)
        status = take_slot(op, s, a);
    if (status != MIG_OK)
        return status;
    status = settle(op, s, w);
    if (status != MIG_OK)
        call_refuse(s->call);
    return status;
}

/* In an arena of its own, of just the size it needs. */
static struct subscription *make(const struct op *op, const struct wish *w, struct arena **ret)
{
    enum { SLACK = 80 }; /* alignment, and the topic's reference */
    const struct op_rest rest = op_rest_of(op);
    size_t size = sizeof(struct subscription) + op_rest_bytes(&rest) + w->cursor.len + SLACK;
    struct arena *a = arena_new_small(&op->home->chunks, size, ARENA_LIMIT);
    struct subscription *s = a ? arena_zero(a, sizeof *s) : NULL;

    *ret = a;
    if (!s)
        return NULL;
    s->rest = rest;
    s->on_open = op->in.on_open;
    s->on_event = op->in.on_event;
    s->asked = arena_copy(a, w->cursor);
    s->max_inflight = (uint32_t)w->max_inflight;
    s->replay_rate = (uint32_t)op->gen->policy.replay_rate;
    return s->asked.ptr && op_rest_own(&s->rest, a) ? s : NULL;
}

mig_status stage_subscribe(struct op *op)
{
    struct wish w;
    struct arena *a;

    if (!op->in.on_event || !op->in.on_open)
        return op_fail(op, MIG_INVALID_REQUEST, "mode_not_supported",
                       "this binding carries no subscriptions");
    mig_status status = read_wish(op, &w);
    if (status != MIG_OK)
        return status;
    struct subscription *s = make(op, &w, &a);
    status = s ? place_it(op, s, &w, a)
               : op_fail(op, MIG_BACKPRESSURE, "memory", "no room for another subscription");
    if (status == MIG_OK) {
        observe_stream(op);
        s->rest.stream = op->stream;
        call_lasts(op->parent);
        op_free(op); /* a subscription outlives many generations */
        subscription_begin(s);
        status = OP_WAITS;
    }
    if (a)
        arena_unref(a);
    return status;
}
