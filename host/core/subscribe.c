/* SUBSCRIBE (MIG v0.1 5.5 and 7): a cursor over a topic, owned by the loop of its client.
 *
 *   pump: what comes next for the client? -> offered on the parent's strand -> taken: cursor moves, pump
 *                                                                           -> not taken: blocked,
 *                                                                              until the client has room
 *   nothing new: idle until the topic wakes it; behind what is in memory: a block of records is read. */
#include "base/check.h"
#include "base/log.h"
#include "core/consumers.h"
#include "core/events.h"
#include "core/observe.h"

enum { BLOCK_RECORDS = 128, BLOCK_BYTES = 512 << 10, ARENA_LIMIT = 64 << 20, CONSUMER_MAX = 128 };

enum state { IDLE, OFFERED, BLOCKED, READING, THROTTLED, ENDED };

struct subscription {
    struct op *op;
    struct call *call;
    struct topic *topic;
    struct topic_reader reader;
    struct consumer *consumer;
    mig_call self;
    uint64_t cursor;    /* the last one that was handed on           */
    uint64_t live_from; /* those up to here were there before: replay */
    uint64_t max_inflight;
    struct topic_range range; /* as last seen */
    enum state state;
    bool is_listening;
    bool was_blocked, was_told; /* in this episode of being slow */
    bool has_room;              /* came while it was offered     */

    /* what is offered */
    mig_event out;
    struct event *event; /* referenced, or NULL                       */
    struct arena *arena; /* of a text made for this client            */
    uint64_t gap_to;     /* a gap up to here is what is offered       */
    mig_status status;   /* strand -> home loop                       */
    struct task task;

    struct store_request read;
    bool has_block;

    double tokens; /* replays that may go now */
    uint64_t refilled_ms, rate;
    struct timer throttle;
};

static void pump(struct subscription *s);
static void offer(struct subscription *s);
static const struct call_kind kind;

/* --- handing on --------------------------------------------------------------------------------- */

static void drop_offer(struct subscription *s)
{
    if (s->event)
        event_unref(s->event);
    if (s->arena)
        arena_unref(s->arena);
    s->event = NULL;
    s->arena = NULL;
    s->gap_to = 0;
}

static void taken(struct subscription *s)
{
    bool is_replay = s->out.sequence && s->out.sequence <= s->live_from;

    if (s->out.kind == MIG_EVENT_MESSAGE) {
        topic_delivered(s->topic, is_replay);
        s->cursor = s->out.sequence;
        if (s->consumer)
            consumer_moved(s->op->core, s->consumer, s->self, s->cursor, is_replay);
    } else if (s->gap_to) {
        s->cursor = s->gap_to;
    }
    drop_offer(s);
    s->state = IDLE;
    pump(s);
}

/* Home loop: the binding has looked at what was offered. */
static void looked_at(struct task *t)
{
    struct subscription *s = container_of(t, struct subscription, task);

    if (s->state == ENDED) {
        drop_offer(s);
    } else if (s->status == MIG_E_AGAIN) {
        s->state = BLOCKED; /* until the exchange has room */
        s->was_blocked = true;
        if (s->has_room) /* by now: a strand on the pool takes its time */
            offer(s);
    } else if (s->status != MIG_OK) {
        s->state = IDLE; /* what was offered is ours again */
        call_abort(s->call, CALL_CANCEL, &(struct call_result){.status = MIG_TIMEOUT});
    } else {
        taken(s);
    }
    call_drop(s->call);
}

/* On the parent's strand. */
static void run_offer(struct call *parent, struct strand_event *e)
{
    struct op *op = container_of(e, struct op, ev_frame);
    struct subscription *s = op->subscription;

    event_lend(s->event);
    s->status = op->in.on_event(op->instance->self, op->in.tag, call_handle(parent), &s->out);
    event_lend(NULL);
    s->task.run = looked_at;
    if (loop_is_current(op->home))
        loop_defer(op->home, &s->task);
    else
        loop_post(op->home, &s->task);
}

static void offer(struct subscription *s)
{
    s->state = OFFERED;
    s->has_room = false;
    atomic_fetch_add(&s->call->holds, 1); /* until looked_at() */
    s->op->ev_frame.run = run_offer;
    call_strand_push(s->op->parent, &s->op->ev_frame);
}

static void room(struct call_child *child)
{
    struct op *op = container_of(child, struct op, child);
    struct subscription *s = op->subscription;

    s->has_room = true;
    if (s->state == BLOCKED)
        offer(s);
}

/* --- what is offered ---------------------------------------------------------------------------- */

static void end_for_memory(struct subscription *s)
{
    call_abort(s->call, CALL_STOP,
               &(struct call_result){.status = MIG_BACKPRESSURE,
                                     .message = S("the subscription needs too much memory"),
                                     .details = S("{\"reason\":\"memory\"}")});
}

static void drop_block(struct subscription *s)
{
    if (s->has_block)
        store_read_done(&s->read);
    s->has_block = false;
}

static void offer_gap(struct subscription *s, uint64_t to, str tail);

/* For this client alone. ptr NULL: no memory. */
static str render_replay(struct subscription *s, const struct event *e)
{
    struct arena_text t;

    s->arena = arena_new(&s->op->home->chunks, ARENA_LIMIT);
    if (!s->arena)
        return (str){NULL, 0};
    text_init(&t, s->arena, e->stored.len + 256);
    event_write(e, topic_name(s->topic), /*is_replay=*/true, &t);
    return t.has_failed ? (str){NULL, 0} : text_str(&t);
}

/* Takes the reference. */
static void offer_event(struct subscription *s, struct event *e)
{
    bool is_replay = e->seq <= s->live_from;

    if (e->seq != s->cursor + 1) { /* what lay between has just been trimmed */
        uint64_t to = e->seq - 1;
        event_unref(e);
        drop_block(s);
        offer_gap(s, to, S(""));
        return;
    }
    s->event = e;
    s->tokens -= is_replay;
    str json = is_replay ? render_replay(s, e) : event_live(e, topic_name(s->topic));
    if (!json.ptr) {
        end_for_memory(s);
        return;
    }
    s->out = (mig_event){sizeof s->out, MIG_EVENT_MESSAGE, e->seq, json};
    offer(s);
}

struct notice {
    uint32_t kind;
    str head, text; /* text: plain, in quotes */
    struct {
        str name;
        uint64_t value;
    } numbers[3];
    str tail;
};

static void offer_notice(struct subscription *s, const struct notice *n)
{
    struct arena_text t;

    s->arena = arena_new(&s->op->home->chunks, ARENA_LIMIT);
    if (!s->arena) {
        end_for_memory(s);
        return;
    }
    text_init(&t, s->arena, 256);
    text_add(&t, n->head);
    if (n->text.len) {
        text_add(&t, S("\""));
        text_add(&t, n->text);
        text_add(&t, S("\""));
    }
    for (size_t i = 0; i < countof(n->numbers) && n->numbers[i].name.len; i++) {
        text_add(&t, n->numbers[i].name);
        text_addu(&t, n->numbers[i].value);
    }
    text_add(&t, n->tail);
    text_add(&t, S("}"));
    s->out = (mig_event){sizeof s->out, n->kind, 0, text_str(&t)};
    offer(s);
}

/* tail: more members, with a comma before them. */
static void offer_gap(struct subscription *s, uint64_t to, str tail)
{
    s->gap_to = to;
    offer_notice(s, &(struct notice){MIG_EVENT_CONTROL,
                                     S("{\"type\":"),
                                     S("gap"),
                                     {{S(",\"from\":"), s->cursor + 1}, {S(",\"to\":"), to}},
                                     tail});
}

static void offer_slow(struct subscription *s)
{
    s->was_told = true;
    observe_slow(s->op);
    offer_notice(s, &(struct notice){MIG_EVENT_BACKPRESSURE,
                                     S("{\"topic\":"),
                                     topic_name(s->topic),
                                     {{S(",\"lag\":"), s->range.last - s->cursor},
                                      {S(",\"max_inflight\":"), s->max_inflight},
                                      {S(",\"last_sequence\":"), s->range.last}},
                                     S("")});
}

/* --- replay: not faster than the policy allows (MIG v0.1 7.4) ------------------------------------ */

static void go_on(struct timer *t)
{
    struct subscription *s = container_of(t, struct subscription, throttle);

    s->state = IDLE;
    pump(s);
}

static bool may_replay(struct subscription *s)
{
    uint64_t now = loop_now_ms(s->op->home);

    s->tokens += (double)(now - s->refilled_ms) * (double)s->rate / 1000;
    s->refilled_ms = now;
    if (s->tokens > (double)s->rate)
        s->tokens = (double)s->rate;
    if (s->tokens >= 1)
        return true; /* offer_event() takes one */
    s->state = THROTTLED;
    loop_timer(s->op->home, &s->throttle, 1000 / s->rate + 1, go_on);
    return false;
}

/* --- records of the store ----------------------------------------------------------------------- */

static void read_ended(struct store_request *r)
{
    struct subscription *s = container_of(r, struct subscription, read);

    if (s->state == ENDED) {
        store_read_done(r);
    } else {
        s->state = IDLE;
        s->has_block = r->status == MIG_OK || r->count;
        if (!s->has_block && r->status == MIG_INTERNAL && r->number > s->cursor) {
            log_error("event.damaged", F_STR("tenant", topic_tenant(s->topic)),
                      F_STR("topic", topic_name(s->topic)), F_U64("sequence", r->number));
            offer_gap(s, r->number, S(",\"reason\":\"damaged\""));
        } else if (!s->has_block) {
            call_abort(s->call, CALL_STOP,
                       &(struct call_result){.status = MIG_UNAVAILABLE,
                                             .message = S("the events could not be read"),
                                             .details = S("{\"reason\":\"event_store\"}")});
        } else {
            pump(s);
        }
    }
    call_drop(s->call);
}

static void read_block(struct subscription *s)
{
    const struct store_topic name =
        store_topic((struct store_tenant){topic_tenant(s->topic)}, topic_name(s->topic));

    s->state = READING;
    s->read = (struct store_request){.loop = s->op->home, .done = read_ended};
    atomic_fetch_add(&s->call->holds, 1); /* until read_ended() */
    if (store_read(s->op->core->store, &s->read, name, s->cursor, BLOCK_RECORDS, BLOCK_BYTES) ==
        MIG_OK)
        return;
    atomic_fetch_sub(&s->call->holds, 1);
    s->state = THROTTLED; /* the store is busy: later */
    loop_timer(s->op->home, &s->throttle, 50, go_on);
}

/* The next record of the block behind the cursor; NULL: the block is used up. */
static struct event *next_of_block(struct subscription *s)
{
    struct store_record record;

    while (s->has_block && store_next_record(&s->read, &record))
        if (record.seq > s->cursor)
            return event_of_record(&record);
    drop_block(s);
    return NULL;
}

/* --- the pump ----------------------------------------------------------------------------------- */

static void pump(struct subscription *s)
{
    if (s->state != IDLE)
        return;
    struct event *e = topic_next(s->topic, s->cursor, &s->range);
    bool is_gap = s->cursor + 1 < s->range.first;

    if (!is_gap && s->cursor >= s->range.last) {
        s->was_blocked = s->was_told = false; /* it has caught up */
        drop_block(s);
        return;
    }
    bool is_slow = s->was_blocked && !s->was_told && s->range.last - s->cursor > s->max_inflight;
    bool is_throttled = !is_gap && !is_slow && s->cursor < s->live_from && !may_replay(s);
    if (e && (is_gap || is_slow || is_throttled))
        event_unref(e);
    if (is_gap)
        offer_gap(s, s->range.first - 1, S(""));
    else if (is_slow)
        offer_slow(s);
    else if (!is_throttled && (e || (e = next_of_block(s))))
        offer_event(s, e);
    else if (!is_throttled)
        read_block(s);
}

static void wake(struct topic_reader *r)
{
    pump(container_of(r, struct subscription, reader));
}

/* --- begin and end ------------------------------------------------------------------------------ */

/* The call's answer, however it came to its end. */
static void answer(struct call *c, const struct call_result *r)
{
    struct subscription *s = c->owner;
    struct op *op = s->op;
    bool is_offered = s->state == OFFERED;

    s->state = ENDED;
    if (s->is_listening)
        topic_leave(s->topic, &s->reader);
    timer_stop(&op->home->timers, &s->throttle);
    if (s->consumer)
        consumer_leave(op->core, s->consumer, s->self);
    drop_block(s);
    if (!is_offered)
        drop_offer(s);
    op->call = NULL;
    op_answer_error(op, r);
    loop_defer(op->home, &op->gate_task);
}

static void end_unseen(struct task *t)
{
    struct op *op = container_of(t, struct op, gate_task);
    call_end_unseen(op->subscription->call);
}

static const struct call_kind kind = {.name = "subscription", .answer = answer};

struct op *op_of_subscription(struct call *c)
{
    struct subscription *s = c->kind == &kind ? c->owner : NULL;
    return s ? s->op : NULL;
}

str subscription_topic(const struct op *op)
{
    return topic_name(op->subscription->topic);
}

static void cancel(struct call_child *child)
{
    struct op *op = container_of(child, struct op, child);

    if (op->call)
        call_abort(op->call, CALL_CANCEL,
                   &(struct call_result){.status = MIG_TIMEOUT,
                                         .retry = 2,
                                         .message = S("subscription cancelled: the client left"),
                                         .details = S("{\"reason\":\"cancelled\"}")});
}

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
    str topic, consumer;
};

static mig_status read_wish(struct op *op, struct subscription *s, struct wish *w)
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
    s->max_inflight = 32;
    if (inflight &&
        (!number_of(inflight, &s->max_inflight) || s->max_inflight < 1 || s->max_inflight > 1024))
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

static mig_status take_slot(struct op *op, struct subscription *s)
{
    static const struct call_handler handler = {.exec = MIG_EXEC_LOOP};

    s->call = call_open(core_loop_of(op->core, op->home)->calls, &(struct call_spec){
                                                                     .kind = &kind,
                                                                     .instance = op->instance,
                                                                     .gen = op->gen,
                                                                     .arena = op->arena,
                                                                     .principal = op->principal,
                                                                     .handler = &handler,
                                                                     .owner = s,
                                                                     .deadline_ns = UINT64_MAX,
                                                                 });
    if (!s->call)
        return op_fail(op, MIG_BACKPRESSURE, "memory", "no room for another subscription");
    call_let_go(s->call);
    op->call = s->call;
    s->self = op->handle = call_handle(s->call);
    op->gate_task.run = end_unseen;
    return MIG_OK;
}

static void take_over(struct op *op, struct subscription *s, struct consumer *c)
{
    mig_call before = consumer_take(op->core, c, s->self, op->gen->policy.consumer_ttl_ms);

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

static void run_open(struct call *parent, struct strand_event *e)
{
    struct op *op = container_of(e, struct op, ev_open);
    op->in.on_open(op->instance->self, op->in.tag, call_handle(parent), op->handle);
}

mig_status stage_subscribe(struct op *op)
{
    struct subscription *s = arena_zero(op->arena, sizeof *s);
    struct wish w;

    if (!s)
        return op_fail(op, MIG_BACKPRESSURE, "memory", "no room for another subscription");
    if (!op->in.on_event || !op->in.on_open)
        return op_fail(op, MIG_INVALID_REQUEST, "mode_not_supported",
                       "this binding carries no subscriptions");
    op->subscription = s;
    s->op = op;
    s->reader.wake = wake;
    mig_status status = read_wish(op, s, &w);
    if (status != MIG_OK)
        return status;
    status = take_topic(op, w.topic, &s->topic);
    if (status != MIG_OK)
        return status;
    s->rate = op->gen->policy.replay_rate;
    s->tokens = (double)s->rate;
    s->refilled_ms = loop_now_ms(op->home);
    status = take_slot(op, s);
    if (status != MIG_OK)
        return status;
    status = settle(op, s, &w);
    if (status != MIG_OK) {
        op->call = NULL;
        call_refuse(s->call);
        return status;
    }
    s->is_listening = true;
    op->child.cancel = cancel;
    op->child.room = room;
    list_push(&op->parent->children, &op->child.link);
    op->is_open = true;
    observe_stream(op);
    op->ev_open.run = run_open;
    call_strand_push(op->parent, &op->ev_open);
    call_lasts(op->parent);
    op_let_go(op); /* a subscription outlives many generations */
    pump(s);
    return OP_WAITS;
}
