#include "core/subscription.h"
#include "base/check.h"
#include "base/log.h"
#include "core/observe.h"

#include <stdlib.h>

enum { BLOCK_RECORDS = 128, BLOCK_BYTES = 512 << 10, ARENA_LIMIT = 64 << 20 };

/* Behind what is in memory, or not faster than it may. Most subscriptions never need it. */
struct replay {
    struct subscription *s;
    struct store_request read;
    bool has_block; /* in read, and not used up */
    double tokens;  /* replays that may go now  */
    uint64_t refilled_ms;
    struct timer throttle;
};

static void pump(struct subscription *s);
static void offer(struct subscription *s);

static struct loop *loop_of(const struct subscription *s)
{
    return s->call->home;
}

static struct core *core_of(const struct subscription *s)
{
    return s->call->core;
}

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
            consumer_moved(core_of(s), s->consumer, call_handle(s->call), s->cursor, is_replay);
    } else if (s->gap_to) {
        s->cursor = s->gap_to;
    }
    drop_offer(s);
    s->state = SUBSCRIPTION_IDLE;
    pump(s);
}

/* Home loop: the binding has looked at what was offered. */
static void looked_at(struct task *t)
{
    struct subscription *s = container_of(t, struct subscription, task);

    if (s->state == SUBSCRIPTION_ENDED) {
        drop_offer(s);
    } else if (s->status == MIG_E_AGAIN) {
        s->state = SUBSCRIPTION_BLOCKED; /* until the exchange has room */
        s->was_blocked = true;
        if (s->has_room) /* by now: a strand on the pool takes its time */
            offer(s);
    } else if (s->status != MIG_OK) {
        s->state = SUBSCRIPTION_IDLE; /* what was offered is ours again */
        call_abort(s->call, CALL_CANCEL, &(struct call_result){.status = MIG_TIMEOUT});
    } else {
        taken(s);
    }
    call_drop(s->call);
}

/* On the parent's strand. */
static void run_offer(struct call *parent, struct strand_event *e)
{
    struct subscription *s = container_of(e, struct subscription, ev_offer);

    event_lend(s->event);
    s->status = s->on_event(s->rest.instance->self, s->rest.tag, call_handle(parent), &s->out);
    event_lend(NULL);
    s->task.run = looked_at;
    if (loop_is_current(loop_of(s)))
        loop_defer(loop_of(s), &s->task);
    else
        loop_post(loop_of(s), &s->task);
}

static void offer(struct subscription *s)
{
    s->state = SUBSCRIPTION_OFFERED;
    s->has_room = false;
    atomic_fetch_add(&s->call->holds, 1); /* until looked_at() */
    s->ev_offer.run = run_offer;
    call_strand_push(s->rest.parent, &s->ev_offer);
}

static void room(struct call_child *child)
{
    struct subscription *s = container_of(child, struct subscription, child);

    s->has_room = true;
    if (s->state == SUBSCRIPTION_BLOCKED)
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

/* NULL: no memory; the subscription has ended for that. */
static struct replay *replay_of(struct subscription *s)
{
    struct replay *r = s->replay;

    if (r)
        return r;
    r = s->replay = calloc(1, sizeof *r);
    if (!r) {
        end_for_memory(s);
        return NULL;
    }
    r->s = s;
    r->tokens = s->replay_rate;
    r->refilled_ms = loop_now_ms(loop_of(s));
    return r;
}

static void drop_block(struct subscription *s)
{
    if (s->replay && s->replay->has_block) {
        store_read_done(&s->replay->read);
        s->replay->has_block = false;
    }
}

static void end_replay(struct subscription *s)
{
    drop_block(s);
    if (s->replay)
        timer_stop(&loop_of(s)->timers, &s->replay->throttle);
    free(s->replay);
    s->replay = NULL;
}

static void offer_gap(struct subscription *s, uint64_t to, str tail);

/* For this client alone. ptr NULL: no memory. */
static str render_replay(struct subscription *s, const struct event *e)
{
    struct arena_text t;

    s->arena = arena_new(&loop_of(s)->chunks, ARENA_LIMIT);
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
    if (is_replay)
        s->replay->tokens--;
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

    s->arena = arena_new(&loop_of(s)->chunks, ARENA_LIMIT);
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
    observe_slow(core_of(s), loop_of(s), s->rest.stream);
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
    struct subscription *s = container_of(t, struct replay, throttle)->s;

    s->state = SUBSCRIPTION_IDLE;
    pump(s);
}

static bool may_replay(struct subscription *s)
{
    uint64_t now = loop_now_ms(loop_of(s));
    struct replay *r = replay_of(s);
    double rate = s->replay_rate;

    if (!r)
        return false;
    r->tokens += (double)(now - r->refilled_ms) * rate / 1000;
    r->refilled_ms = now;
    if (r->tokens > rate)
        r->tokens = rate;
    if (r->tokens >= 1)
        return true; /* offer_event() takes one */
    s->state = SUBSCRIPTION_THROTTLED;
    loop_timer(loop_of(s), &r->throttle, 1000 / s->replay_rate + 1, go_on);
    return false;
}

/* --- records of the store ----------------------------------------------------------------------- */

/* What was read is there, or why not. */
static void look_at_block(struct subscription *s)
{
    const struct store_request *r = &s->replay->read;

    s->state = SUBSCRIPTION_IDLE;
    s->replay->has_block = r->status == MIG_OK || r->count;
    if (!s->replay->has_block && r->status == MIG_INTERNAL && r->number > s->cursor) {
        log_error("event.damaged", F_STR("tenant", topic_tenant(s->topic)),
                  F_STR("topic", topic_name(s->topic)), F_U64("sequence", r->number));
        offer_gap(s, r->number, S(",\"reason\":\"damaged\""));
    } else if (!s->replay->has_block) {
        call_abort(s->call, CALL_STOP,
                   &(struct call_result){.status = MIG_UNAVAILABLE,
                                         .message = S("the events could not be read"),
                                         .details = S("{\"reason\":\"event_store\"}")});
    } else {
        pump(s);
    }
}

static void read_ended(struct store_request *r)
{
    struct subscription *s = container_of(r, struct replay, read)->s;

    if (s->state == SUBSCRIPTION_ENDED) {
        store_read_done(r);
        end_replay(s);
    } else {
        look_at_block(s);
    }
    call_drop(s->call);
}

static void read_block(struct subscription *s)
{
    const struct store_topic name =
        store_topic((struct store_tenant){topic_tenant(s->topic)}, topic_name(s->topic));

    struct replay *r = replay_of(s);

    if (!r)
        return;
    s->state = SUBSCRIPTION_READING;
    r->read = (struct store_request){.loop = loop_of(s), .done = read_ended};
    atomic_fetch_add(&s->call->holds, 1); /* until read_ended() */
    if (store_read(core_of(s)->store, &r->read, name, s->cursor, BLOCK_RECORDS, BLOCK_BYTES) ==
        MIG_OK)
        return;
    atomic_fetch_sub(&s->call->holds, 1);
    s->state = SUBSCRIPTION_THROTTLED; /* the store is busy: later */
    loop_timer(loop_of(s), &r->throttle, 50, go_on);
}

/* The next record of the block behind the cursor; NULL: the block is used up. */
static struct event *next_of_block(struct subscription *s)
{
    struct store_record record;

    while (s->replay && s->replay->has_block && store_next_record(&s->replay->read, &record))
        if (record.seq > s->cursor)
            return event_of_record(&record);
    drop_block(s);
    return NULL;
}

/* --- the pump ----------------------------------------------------------------------------------- */

static void pump(struct subscription *s)
{
    if (s->state != SUBSCRIPTION_IDLE)
        return;
    struct event *e = topic_next(s->topic, s->cursor, &s->range);
    bool is_gap = s->cursor + 1 < s->range.first;

    if (!is_gap && s->cursor >= s->range.last) {
        s->was_blocked = s->was_told = false; /* it has caught up */
        end_replay(s);
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

/* The call's answer, however it came to its end: an op is made for it again. */
static void answer(struct call *c, const struct call_result *r)
{
    struct subscription *s = c->owner;
    bool is_offered = s->state == SUBSCRIPTION_OFFERED, is_read = s->state == SUBSCRIPTION_READING;

    s->state = SUBSCRIPTION_ENDED;
    topic_leave(s->topic, &s->reader);
    if (s->consumer)
        consumer_leave(core_of(s), s->consumer, call_handle(c));
    list_remove(&s->child.link);
    if (!is_read)
        end_replay(s);
    if (!is_offered)
        drop_offer(s);
    struct op *op = op_of_rest(&s->rest, c->arena);
    if (op) {
        op_answer_error(op, r);
    } else { /* nothing can be said any more */
        call_abort(s->rest.parent, CALL_STOP, r);
        call_drop(s->rest.parent);
    }
    call_end_unseen(c);
}

const struct call_kind subscription_kind = {
    .name = "subscription", .is_the_hosts = true, .answer = answer};

static void cancel(struct call_child *child)
{
    struct subscription *s = container_of(child, struct subscription, child);

    call_abort(s->call, CALL_CANCEL,
               &(struct call_result){.status = MIG_TIMEOUT,
                                     .retry = 2,
                                     .message = S("subscription cancelled: the client left"),
                                     .details = S("{\"reason\":\"cancelled\"}")});
}

static void run_open(struct call *parent, struct strand_event *e)
{
    struct subscription *s = container_of(e, struct subscription, ev_open);

    s->on_open(s->rest.instance->self, s->rest.tag, call_handle(parent), call_handle(s->call));
}

void subscription_begin(struct subscription *s)
{
    s->reader.wake = wake;
    s->child.cancel = cancel;
    s->child.room = room;
    list_push(&s->rest.parent->children, &s->child.link);
    s->ev_open.run = run_open;
    call_strand_push(s->rest.parent, &s->ev_open);
    pump(s);
}
