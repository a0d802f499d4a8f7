/* Subscriptions through the pipeline, with a binding played by the test. */
#include "core_world.h"
#include "instance_unit.h"
#include "base/clock.h"
#include "core/op.h"
#include "core/tenants.h"

#include <sched.h>

static struct instance *inst;
static struct arena_pool pool;
static struct call *ex; /* the exchange */
static struct gen *gen;
static uint32_t exec;

/* What the binding does and sees. */
static struct binding {
    _Atomic mig_status answer; /* to on_event                         */
    _Atomic unsigned offers;   /* on_event was called                 */
    _Atomic bool waits, is_in; /* on_event stays in there             */
    uint64_t seen[64];         /* sequences taken; 0: a notice        */
    char notices[512];
    size_t count;
    unsigned opens, dones;
    mig_status done_status;
    mig_call op;
} b;

/* --- the binding --------------------------------------------------------------------------------- */

static void on_open(void *self, void *tag, mig_call e, mig_call op)
{
    (void)self;
    (void)tag;
    (void)e;
    b.opens++;
    b.op = op;
}

static mig_status on_event(void *self, void *tag, mig_call e, const mig_event *event)
{
    (void)self;
    (void)tag;
    (void)e;
    b.offers++;
    b.is_in = true;
    while (b.waits)
        sched_yield();
    b.is_in = false;
    mig_status answer = b.answer;
    if (answer != MIG_OK)
        return answer;
    assert_in_range(b.count, 0, countof(b.seen) - 1);
    b.seen[b.count++] = event->sequence;
    if (event->kind != MIG_EVENT_MESSAGE) {
        assert_in_range(strlen(b.notices) + event->json.len, 0, sizeof b.notices - 2);
        strncat(b.notices, event->json.ptr, event->json.len);
    }
    return MIG_OK;
}

static void on_done(void *self, void *tag, mig_call e, const mig_outcome *out)
{
    (void)self;
    (void)tag;
    (void)e;
    b.dones++;
    b.done_status = out->status;
}

/* --- the exchange -------------------------------------------------------------------------------- */

static void ex_start(struct call *c)
{
    (void)c;
}

static void ex_answer(struct call *c, const struct call_result *r)
{
    (void)c;
    (void)r;
}

static const struct call_kind exchange = {"test", ex_start, ex_answer, NULL, NULL, NULL};

static void pump_all(void)
{
    size_t waiting, busy, threads;

    do {
        pump();
        pool_stats(w.core->pool, &waiting, &busy, &threads);
    } while (((waiting || busy) && !(b.waits && b.is_in)) || has_work());
}

static void subscribe(const char *envelope)
{
    static const struct principal who = {.subject = S("ada"), .tenant = S("acme")};
    const struct call_handler handler = {.exec = exec};
    struct arena *a = arena_new(&pool, 1 << 20);
    mig_submit s = {.struct_size = sizeof s,
                    .operation = MIG_OP_SUBSCRIBE,
                    .binding = S("test"),
                    .envelope = str_of(envelope),
                    .target = S("a.b"),
                    .on_open = on_open,
                    .on_done = on_done,
                    .on_event = on_event};

    ex = call_open(core_loop_of(w.core, w.l)->calls,
                   &(struct call_spec){.kind = &exchange,
                                       .instance = inst,
                                       .gen = gen,
                                       .arena = a,
                                       .principal = &who,
                                       .handler = &handler,
                                       .deadline_ns = clock_now_ns() + 3600000000000u});
    assert_non_null(ex);
    arena_unref(a);
    assert_true(call_start(ex));
    assert_ptr_equal(call_hold(w.core, inst, call_handle(ex)), ex);
    pipeline_submit(ex, inst, &s);
    pump_all();
}

static void client_leaves(void)
{
    call_abort(ex, CALL_DISCONNECT, &(struct call_result){.status = MIG_TIMEOUT});
    pump_all();
    call_finish(w.core, inst, call_handle(ex), NULL);
    pump_all();
}

/* What call_flow_resume() does when the client has taken bytes. */
static void make_room(void)
{
    for (struct list *l = ex->children.next; l != &ex->children; l = l->next) {
        struct call_child *child = container_of(l, struct call_child, link);
        child->room(child);
    }
}

static void published(struct publication *p, mig_status status)
{
    assert_int_equal(status, MIG_OK);
    event_unref(p->event);
    free(p);
}

static void publish(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct publication *p = calloc(1, sizeof *p);
        enum topic_fault why;
        *p = (struct publication){
            .topic = topic_take(w.core, S("acme"), S("a.b"), &why),
            .event = event_of_record(&(struct store_record){0, clock_wall_ms(), S(""), S("id"),
                                                            S("\x08\0\0\0{\"meta\":{\"a\":1{}")}),
            .done = published};
        p->request.loop = w.l;
        assert_int_equal(topic_publish(p), MIG_OK);
    }
    pump_all();
}

/* --- the world ------------------------------------------------------------------------------------ */

static void (*body)(void);

static void with_binding(void)
{
    b = (struct binding){0};
    inst = make_instance(w.core, "binding", NULL);
    gen = gen_new(w.core);
    gen->policy.max_deadline_ms = 60000;
    gen->policy.consumer_ttl_ms = 60000;
    gen->policy.replay_rate = 1000;
    gen->policy.replay_quota = 1000;
    gen_publish(gen, NULL, NULL);
    pump();
    body();
    assert_int_equal(b.dones, 1);
    gen_retire_last(w.core);
    pump();
    assert_int_equal(instance_debt(inst), 0);
    assert_true(list_is_empty(call_table_open(core_loop_of(w.core, w.l)->calls)));
    instance_free(inst);
}

static void run(uint32_t how, void (*fn)(void))
{
    exec = how;
    body = fn;
    memset(&pool, 0, sizeof pool);
    world_run(with_binding, 0);
    arena_pool_deinit(&pool);
}

static void on_both(void (*fn)(void))
{
    run(MIG_EXEC_LOOP, fn);
    run(MIG_EXEC_POOL, fn);
}

static void check_seen(size_t count, const uint64_t *seen)
{
    assert_int_equal(b.count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(b.seen[i], seen[i]);
}

/* --- tests --------------------------------------------------------------------------------------- */

static void delivery_body(void)
{
    publish(2);
    subscribe("{\"resume_cursor\":\"1\"}");
    assert_int_equal(b.opens, 1);
    publish(3);
    check_seen(4, (uint64_t[]){2, 3, 4, 5});
    client_leaves();
    publish(1);
    assert_int_equal(b.count, 4);
}

static void events_are_handed_on_in_order(void **state)
{
    (void)state;
    on_both(delivery_body);
}

static void cursors_body(void)
{
    static const struct {
        const char *envelope;
        uint64_t first; /* 0: refused */
    } rows[] = {
        {"{}", 1},
        {"{\"resume_cursor\":null}", 1},
        {"{\"resume_cursor\":0}", 1},
        {"{\"resume_cursor\":2}", 3},
        {"{\"resume_cursor\":\"2\"}", 3},
        {"{\"resume_cursor\":9007199254740993}", 4},
        {"{\"resume_cursor\":\"latest\"}", 4},
        {"{\"resume_cursor\":-1}", 0},
        {"{\"resume_cursor\":1.5}", 0},
        {"{\"resume_cursor\":true}", 0},
        {"{\"resume_cursor\":[1]}", 0},
        {"{\"resume_cursor\":\"x\"}", 0},
        {"{\"max_inflight\":0}", 0},
        {"{\"max_inflight\":1025}", 0},
        {"{\"max_inflight\":\"1024\"}", 1},
        {"{\"consumer_id\":5}", 0},
        {"{\"consumer_id\":\"a\\u0000b\"}", 0},
        {"{\"topic\":\"a.c\"}", 0},
        {"{\"topic\":\"a.b\"}", 1},
    };
    uint64_t head = 3;

    publish(3);
    for (size_t i = 0; i < countof(rows); i++) {
        b = (struct binding){0};
        subscribe(rows[i].envelope);
        assert_int_equal(b.opens, rows[i].first > 0);
        assert_int_equal(b.dones, rows[i].first == 0);
        publish(1);
        head++;
        if (rows[i].first) {
            uint64_t first = rows[i].first < 4 ? rows[i].first : head;
            assert_int_equal(b.seen[0], first);
            assert_int_equal(b.count, head + 1 - first);
        } else {
            assert_int_equal(b.done_status, MIG_INVALID_REQUEST);
        }
        client_leaves();
        assert_int_equal(b.dones, 1);
    }
}

static void cursors_may_be_numbers_or_texts(void **state)
{
    (void)state;
    run(MIG_EXEC_LOOP, cursors_body);
}

static void blocked_body(void)
{
    subscribe("{\"max_inflight\":2}");
    b.answer = MIG_E_AGAIN;
    publish(5);
    assert_int_equal(b.offers, 1); /* one at a time, and no more until there is room */
    publish(1);
    assert_int_equal(b.offers, 1);
    make_room();
    pump_all();
    assert_int_equal(b.offers, 2);
    b.answer = MIG_OK;
    make_room();
    pump_all();
    check_seen(7, (uint64_t[]){1, 0, 2, 3, 4, 5, 6});
    assert_string_equal(b.notices,
                        "{\"topic\":\"a.b\",\"lag\":5,\"max_inflight\":2,\"last_sequence\":6}");
    b.answer = MIG_E_AGAIN; /* the next episode has its own */
    publish(4);
    b.answer = MIG_OK;
    make_room();
    pump_all();
    check_seen(12, (uint64_t[]){1, 0, 2, 3, 4, 5, 6, 7, 0, 8, 9, 10});
    client_leaves();
}

static void a_slow_client_is_told_once_and_gets_all(void **state)
{
    (void)state;
    on_both(blocked_body);
}

static void early_room_body(void)
{
    subscribe("{}");
    b.answer = MIG_E_AGAIN;
    b.waits = true;
    publish(1);
    while (!b.is_in)
        sched_yield();
    make_room(); /* while the binding is still about to say that there is none */
    b.answer = MIG_E_AGAIN;
    b.waits = false;
    while (b.offers < 2)
        pump();
    b.answer = MIG_OK;
    make_room();
    pump_all();
    check_seen(1, (uint64_t[]){1});
    client_leaves();
}

static void room_that_comes_early_is_not_forgotten(void **state)
{
    (void)state;
    run(MIG_EXEC_POOL, early_room_body);
}

static void leaving_body(void)
{
    publish(3);
    b.waits = true;
    subscribe("{\"consumer_id\":\"c\"}");
    while (!b.is_in)
        sched_yield();
    call_abort(ex, CALL_DISCONNECT, &(struct call_result){.status = MIG_TIMEOUT});
    b.waits = false;
    pump_all();
    call_finish(w.core, inst, call_handle(ex), NULL);
    pump_all();
    assert_int_equal(b.offers, 1);
}

static void a_client_may_leave_while_something_is_offered(void **state)
{
    (void)state;
    run(MIG_EXEC_POOL, leaving_body);
}

static void gone_body(void)
{
    subscribe("{}");
    b.answer = MIG_E_GONE;
    publish(2);
    assert_int_equal(b.offers, 1);
    assert_int_equal(b.dones, 1);
    client_leaves();
}

static void a_binding_may_say_that_the_client_is_gone(void **state)
{
    (void)state;
    on_both(gone_body);
}

static void name_body(void)
{
    subscribe("{}");
    assert_non_null(call_find(w.core, b.op));
    assert_null(call_hold(w.core, inst, b.op));
    client_leaves();
    assert_int_equal(b.dones, 1);
}

static void nothing_is_done_in_the_name_of_a_subscription(void **state)
{
    (void)state;
    on_both(name_body);
}

static void rest_body(void)
{
    subscribe("{}");
    assert_true(call_is_at_rest(ex));
    call_hold(w.core, inst, call_handle(ex));
    assert_false(call_is_at_rest(ex));
    call_drop(ex);
    struct op *guest = op_new(ex, ex->arena, inst);
    assert_false(call_is_at_rest(ex));
    op_free(guest);
    assert_true(call_is_at_rest(ex));
    client_leaves();
    assert_int_equal(b.dones, 1);
}

static void an_exchange_rests_when_nothing_but_its_subscription_is_under_way(void **state)
{
    (void)state;
    on_both(rest_body);
}

static void gap_body(void)
{
    events_set_limits(w.core, &(struct event_limits){.max_per_topic = 2});
    publish(5);
    subscribe("{\"resume_cursor\":1}");
    check_seen(3, (uint64_t[]){0, 4, 5});
    assert_string_equal(b.notices, "{\"type\":\"gap\",\"from\":2,\"to\":3}");
    b.answer = MIG_E_AGAIN;
    publish(1);
    publish(4); /* retention overtakes what is offered */
    b.answer = MIG_OK;
    make_room();
    pump_all();
    check_seen(7, (uint64_t[]){0, 4, 5, 6, 0, 9, 10});
    assert_string_equal(strchr(b.notices, '}') + 1, "{\"type\":\"gap\",\"from\":7,\"to\":8}");
    client_leaves();
}

static void what_was_trimmed_is_a_gap(void **state)
{
    (void)state;
    run(MIG_EXEC_LOOP, gap_body);
}

static void sweep_twice(void)
{
    struct timer *t = &w.core->events->sweep;

    for (int i = 0; i < 2; i++)
        t->fn(t);
}

static uint64_t topics(void)
{
    struct events_stats s;

    events_stats(w.core, &s);
    return s.topics;
}

static void idle_body(void)
{
    events_set_limits(w.core, &(struct event_limits){.max_age_ms = 3600000});
    subscribe("{}");
    sweep_twice();
    assert_int_equal(topics(), 1);
    publish(1);
    check_seen(1, (uint64_t[]){1});
    client_leaves();
    b = (struct binding){0};
    subscribe("{\"resume_cursor\":\"x\"}");
    client_leaves();
    sweep_twice();
    assert_int_equal(topics(), 1); /* there is an event */
}

static void a_reader_keeps_its_topic(void **state)
{
    (void)state;
    on_both(idle_body);
}

static void left_body(void)
{
    events_set_limits(w.core, &(struct event_limits){.max_age_ms = 3600000, .max_topics = 1});
    subscribe("{}");
    client_leaves();
    sweep_twice();
    assert_int_equal(topics(), 0);
    assert_int_equal(atomic_load(&tenant_of(w.core->tenants, S("acme"))->topics), 0);
}

static void who_only_listened_leaves_no_topic(void **state)
{
    (void)state;
    on_both(left_body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(events_are_handed_on_in_order),
        T(cursors_may_be_numbers_or_texts),
        T(a_slow_client_is_told_once_and_gets_all),
        T(room_that_comes_early_is_not_forgotten),
        T(a_client_may_leave_while_something_is_offered),
        T(nothing_is_done_in_the_name_of_a_subscription),
        T(an_exchange_rests_when_nothing_but_its_subscription_is_under_way),
        T(a_binding_may_say_that_the_client_is_gone),
        T(what_was_trimmed_is_a_gap),
        T(a_reader_keeps_its_topic),
        T(who_only_listened_leaves_no_topic),
    };
    return RUN(tests);
}
