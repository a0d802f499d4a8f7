/* The heart: one call, everything that can happen to it, in every order. */
#include "call_unit.h"

/* --- (a) the machine as a table ------------------------------------------------------------------ */

static void every_step_of_the_machine_is_as_drawn(void **state)
{
    const uint8_t error = CALL_GIVE_ERROR, tell = CALL_TELL_PLUGIN;
    const struct {
        enum call_state at;
        enum call_event event;
        enum call_state next;
        uint8_t actions;
    } rows[] = {
        {CALL_FREE, CALL_END, CALL_FREE, CALL_STALE},
        {CALL_FREE, CALL_DEADLINE, CALL_FREE, 0},
        {CALL_FREE, CALL_CANCEL, CALL_FREE, 0},
        {CALL_FREE, CALL_DISCONNECT, CALL_FREE, 0},
        {CALL_FREE, CALL_STOP, CALL_FREE, 0},
        {CALL_OPEN, CALL_END, CALL_ENDED, CALL_GIVE_RESULT},
        {CALL_OPEN, CALL_DEADLINE, CALL_ANSWERED, error | tell},
        {CALL_OPEN, CALL_CANCEL, CALL_ANSWERED, error | tell},
        {CALL_OPEN, CALL_DISCONNECT, CALL_ANSWERED, tell},
        {CALL_OPEN, CALL_STOP, CALL_ANSWERED, error | tell},
        {CALL_ANSWERED, CALL_END, CALL_ENDED, 0},
        {CALL_ANSWERED, CALL_DEADLINE, CALL_ANSWERED, 0},
        {CALL_ANSWERED, CALL_CANCEL, CALL_ANSWERED, 0},
        {CALL_ANSWERED, CALL_DISCONNECT, CALL_ANSWERED, 0},
        {CALL_ANSWERED, CALL_STOP, CALL_ANSWERED, 0},
        {CALL_ENDED, CALL_END, CALL_ENDED, CALL_STALE},
        {CALL_ENDED, CALL_DEADLINE, CALL_ENDED, error},
        {CALL_ENDED, CALL_CANCEL, CALL_ENDED, error},
        {CALL_ENDED, CALL_DISCONNECT, CALL_ENDED, 0},
        {CALL_ENDED, CALL_STOP, CALL_ENDED, error},
    };

    (void)state;
    assert_int_equal(countof(rows), CALL_STATES * CALL_EVENTS);
    for (size_t i = 0; i < countof(rows); i++) {
        struct call_step s = call_step(rows[i].at, rows[i].event);
        assert_int_equal(s.next, rows[i].next);
        assert_int_equal(s.actions, rows[i].actions);
    }
}

/* --- (b) every order of events --------------------------------------------------------------------- */

enum event { RESULT, ERROR, DEADLINE, CANCEL, DISCONNECT, RELOAD, STOP, EVENTS };
static const char *const event_names[] = {"result",     "error",  "deadline", "cancel",
                                          "disconnect", "reload", "stop"};

struct mode {
    uint32_t exec;
    bool start_first; /* the plugin has the call before the first event        */
    bool settle;      /* what an event brings is carried out before the next   */
    bool foreign;     /* the plugin ends from a thread of its own              */
};

static mig_status end_status;
static enum event end_kind;

static void *end_now(void *arg)
{
    end_status = end_kind == RESULT ? finish("{\"r\":1}") : finish_error(MIG_NOT_FOUND);
    return arg;
}

static mig_status plugin_end(enum event e, bool foreign)
{
    pthread_t t;

    end_kind = e;
    if (foreign) {
        assert_int_equal(pthread_create(&t, NULL, end_now, NULL), 0);
        pthread_join(t, NULL);
    } else {
        end_now(NULL);
    }
    return end_status;
}

static void play(enum event e, const struct mode *m)
{
    unsigned ends = w.ends_ok;

    switch (e) {
    case RESULT:
    case ERROR:
        if (plugin_end(e, m->foreign) != MIG_OK)
            assert_int_equal(end_status, MIG_E_GONE);
        else
            assert_int_equal(ends, 0); /* the second end says MIG_E_GONE */
        break;
    case DEADLINE: fire_deadline(); break;
    case CANCEL: abort_with(CALL_CANCEL, MIG_TIMEOUT); break;
    case DISCONNECT: abort_with(CALL_DISCONNECT, MIG_OK); break;
    case RELOAD: publish(); break;
    default: abort_with(CALL_STOP, MIG_UNAVAILABLE);
    }
}

static mig_status want_status(enum event e)
{
    static const mig_status status[] = {MIG_OK, MIG_NOT_FOUND, MIG_TIMEOUT,    MIG_TIMEOUT,
                                        MIG_OK, MIG_OK,        MIG_UNAVAILABLE};
    return status[e];
}

/* The event that decides what the caller sees; EVENTS: none did. Ends travel as messages: when they
 * are not carried out in between, the first of the others overtakes them. */
static enum event decisive(const enum event *list, size_t n, bool settle)
{
    enum event end = EVENTS;

    for (size_t i = 0; i < n; i++) {
        if (list[i] == RELOAD)
            continue;
        if (list[i] > ERROR || settle)
            return list[i];
        end = end == EVENTS ? list[i] : end;
    }
    return end;
}

static void check(const enum event *list, size_t n, const struct mode *m)
{
    enum event first = decisive(list, n, m->settle);
    bool has_end = false;

    for (size_t i = 0; i < n; i++)
        has_end |= list[i] <= ERROR;
    if (first == EVENTS) { /* nothing ended it: the plugin does now */
        assert_int_equal(w.answers, 0);
        assert_int_equal(finish("{\"late\":1}"), MIG_OK);
        first = RESULT;
    } else if (!has_end) { /* the caller has its answer, the plugin still owes */
        assert_int_equal(w.frees, w.starts ? 0 : 1);
        assert_int_equal(finish("{\"late\":1}"), w.starts ? MIG_OK : MIG_E_GONE);
    }
    pump();
    check_gone();
    assert_int_equal(w.answers, first == DISCONNECT ? 0 : 1);
    if (first != DISCONNECT) {
        assert_int_equal(w.told.status, want_status(first));
        if (first == ERROR)
            assert_int_equal(w.told.retry_after_ms, 7);
        if (first == RESULT)
            assert_int_equal(w.told_json[0], '{');
    }
    assert_in_range(w.cancels, 0, 1);
    if (m->settle && w.starts)
        assert_int_equal(w.cancels, first > ERROR);
    if (m->settle || m->exec == MIG_EXEC_LOOP)
        assert_false(w.cancel_after_end);
    assert_in_range(w.starts, 0, 1);
}

static unsigned long scenarios;

static void scenario(const enum event *list, size_t n, const struct mode *m)
{
    unsigned published = 0, freed = w.gens_freed;

    scenarios++;
    open_call(m->exec, &unary_kind, 0);
    if (m->start_first)
        pump();
    for (size_t i = 0; i < n; i++) {
        published += list[i] == RELOAD;
        play(list[i], m);
        if (m->settle)
            pump();
        assert_true(w.frees || instance_debt(w.inst) == 1);
    }
    pump();
    check(list, n, m);
    pump();
    assert_int_equal(w.gens_freed - freed, published); /* each old one, and not the present one */
}

static void say_where(const enum event *list, size_t n, const struct mode *m)
{
    print_error("exec %u, start_first %d, settle %d, foreign %d:", m->exec, m->start_first,
                m->settle, m->foreign);
    for (size_t i = 0; i < n; i++)
        print_error(" %s", event_names[list[i]]);
    print_error("\n");
}

static const enum event *now_list;
static size_t now_len;
static const struct mode *now_mode;

static void every_order(const struct mode *m)
{
    enum event list[4];

    for (size_t n = 0; n <= 4; n++) {
        size_t total = 1;
        for (size_t i = 0; i < n; i++)
            total *= EVENTS;
        for (size_t code = 0; code < total; code++) {
            for (size_t i = 0, rest = code; i < n; i++, rest /= EVENTS)
                list[i] = (enum event)(rest % EVENTS);
            now_list = list;
            now_len = n;
            now_mode = m;
            scenario(list, n, m);
        }
    }
}

static struct mode mode;

static void every_order_of_mode(void)
{
    every_order(&mode);
}

static void tell_on_failure(void)
{
    if (now_mode)
        say_where(now_list, now_len, now_mode);
}

static void play_mode(uint32_t exec, bool start_first, bool settle, bool foreign)
{
    mode = (struct mode){exec, start_first, settle, foreign};
    scenarios = 0;
    run(every_order_of_mode);
    now_mode = NULL;
    assert_int_equal(scenarios, 1 + 7 + 49 + 343 + 2401);
}

#define MODE(name, ...)                                                                            \
    static void name(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        play_mode(__VA_ARGS__);                                                                    \
    }
MODE(loop_calls_survive_every_order, MIG_EXEC_LOOP, true, true, false)
MODE(loop_calls_survive_every_order_at_once, MIG_EXEC_LOOP, true, false, false)
MODE(loop_calls_survive_every_order_before_the_start, MIG_EXEC_LOOP, false, true, false)
MODE(loop_calls_survive_every_order_at_once_before_the_start, MIG_EXEC_LOOP, false, false, false)
MODE(loop_calls_ended_by_a_thread_survive_every_order, MIG_EXEC_LOOP, true, false, true)
MODE(pool_calls_survive_every_order, MIG_EXEC_POOL, true, true, true)
MODE(pool_calls_survive_every_order_at_once, MIG_EXEC_POOL, true, false, true)
MODE(pool_calls_survive_every_order_before_the_start, MIG_EXEC_POOL, false, true, false)

/* --- handles ----------------------------------------------------------------------------------- */

static void handles_body(void)
{
    mig_call first;

    open_call(MIG_EXEC_LOOP, &unary_kind, 0);
    pump();
    first = w.h;
    assert_false(call_is_cancelled(w.core, first));
    assert_ptr_equal(call_find(w.core, first), w.c);
    mig_payload p = payload("{}");
    assert_int_equal(call_finish(w.core, w.other, first, &p), MIG_E_ARG); /* not its call */
    pump();
    assert_int_equal(w.releases, 1);
    const uint64_t made_up[] = {0,
                                UINT64_MAX,
                                first.v + 1,
                                first.v ^ (uint64_t)1 << 40,
                                first.v | (uint64_t)7 << 56,
                                first.v | (uint64_t)0xFFFFFF << 32};
    for (size_t i = 0; i < countof(made_up); i++) {
        assert_int_equal(call_finish(w.core, w.inst, (mig_call){made_up[i]}, NULL), MIG_E_GONE);
        assert_true(call_is_cancelled(w.core, (mig_call){made_up[i]}));
        assert_null(call_hold(w.core, w.inst, (mig_call){made_up[i]}));
    }
    assert_null(call_hold(w.core, w.other, first));
    struct call *slot = w.c;
    assert_int_equal(finish("{}"), MIG_OK);
    pump();
    check_gone();
    open_call(MIG_EXEC_LOOP, &unary_kind, 0);
    assert_ptr_equal(w.c, slot);          /* the slot is used again, */
    assert_int_not_equal(w.h.v, first.v); /* the handle is not */
    assert_int_equal(call_finish(w.core, w.inst, first, NULL), MIG_E_GONE);
    pump();
    assert_int_equal(w.answers, 0);
    assert_int_equal(finish("{}"), MIG_OK);
    pump();
    check_gone();
}

static void dead_and_foreign_handles_are_harmless(void **state)
{
    (void)state;
    run(handles_body);
}

static void hold_body(void)
{
    open_call(MIG_EXEC_LOOP, &unary_kind, 0);
    pump();
    struct call *c = call_hold(w.core, w.inst, w.h);
    assert_ptr_equal(c, w.c);
    assert_int_equal(finish("{}"), MIG_OK);
    pump();
    assert_int_equal(w.answers, 1); /* the caller does not wait for operations */
    assert_int_equal(w.frees, 0);
    assert_int_equal(instance_debt(w.inst), 1);
    assert_null(call_hold(w.core, w.inst, w.h));
    pump();
    assert_int_equal(w.frees, 0);
    call_drop_any(c);
    check_gone();
}

static void a_hold_keeps_the_slot_but_not_the_caller(void **state)
{
    (void)state;
    run(hold_body);
}

static void refuse_body(void)
{
    const struct call_handler handler = {.exec = MIG_EXEC_POOL};
    struct arena *a = arena_new(w.pool, 1 << 20);
    struct call_spec spec = {.kind = &unary_kind,
                             .instance = w.inst,
                             .gen = gen_current(w.core, w.l),
                             .arena = a,
                             .handler = &handler,
                             .deadline_ns = UINT64_MAX / 2};

    w.inst->share.run_limit = 0;
    w.inst->share.queue_limit = 0;
    w.frees = w.answers = 0;
    struct call *c = call_open(core_loop_of(w.core, w.l)->calls, &spec);
    assert_false(call_start(c)); /* the queue is full */
    assert_int_equal(w.frees, 1);
    assert_int_equal(w.answers + w.starts, 0);
    assert_int_equal(instance_debt(w.inst), 0);
    c = call_open(core_loop_of(w.core, w.l)->calls, &spec);
    call_refuse(c);
    assert_int_equal(w.frees, 2);
    arena_unref(a);
    assert_int_equal(instance_debt(w.inst), 0);
    assert_true(list_is_empty(call_table_open(core_loop_of(w.core, w.l)->calls)));
}

static void a_refused_call_leaves_nothing_behind(void **state)
{
    (void)state;
    run(refuse_body);
}

struct child_probe {
    struct call_child child;
    unsigned told;
};

static void child_told(struct call_child *c)
{
    container_of(c, struct child_probe, child)->told++;
}

static void children_body(void)
{
    struct child_probe p[3] = {0};

    open_call(MIG_EXEC_LOOP, &unary_kind, 0);
    pump();
    for (int i = 0; i < 3; i++) {
        p[i].child.cancel = child_told;
        list_push(&w.c->children, &p[i].child.link);
    }
    list_remove(&p[1].child.link); /* done before */
    abort_with(CALL_CANCEL, MIG_TIMEOUT);
    abort_with(CALL_STOP, MIG_UNAVAILABLE);
    assert_int_equal(p[0].told, 1);
    assert_int_equal(p[1].told, 0);
    assert_int_equal(p[2].told, 1);
    assert_int_equal(finish("{}"), MIG_OK);
    pump();
    check_gone();
}

static void children_are_told_once(void **state)
{
    (void)state;
    run(children_body);
}

/* --- (c) threads ------------------------------------------------------------------------------------ */

enum { RACES = 4000, WINDOW = 64, RACERS = 8 };

static struct {
    _Atomic uint64_t handle[RACES]; /* 0: not yet; UINT64_MAX: the plugin never saw it */
    _Atomic unsigned ends[RACES];
    unsigned answers[RACES], frees;
    _Atomic unsigned started[RACES], cancels[RACES];
    size_t opened;
    _Atomic unsigned payloads, releases;
} race;

static void race_release(void *owner)
{
    (void)owner;
    race.releases++;
}

static size_t race_index(const struct call *c)
{
    return (size_t)((_Atomic unsigned *)c->owner - race.ends);
}

static void race_start(struct call *c)
{
    size_t i = race_index(c);

    race.started[i]++;
    race.handle[i] = call_handle(c).v;
}

static void race_answer(struct call *c, const struct call_result *r)
{
    assert_true(r->status == MIG_OK ? r->json.len == 2 : r->status == MIG_TIMEOUT);
    race.answers[race_index(c)]++;
}

static void race_open(struct loop *l, uint64_t v);

static void race_free(struct call *c)
{
    size_t i = race_index(c);

    if (!race.started[i])
        race.handle[i] = UINT64_MAX;
    race.frees++;
    loop_post_fn(c->home, race_open, 0);
}

static const struct call_kind race_kind = {"race", race_start, race_answer, NULL, NULL, race_free};

static void race_cancelled(void *self, void *data, mig_call call)
{
    (void)self;
    (void)call;
    (*(_Atomic unsigned *)data)++;
}

static void race_open(struct loop *l, uint64_t v)
{
    (void)v;
    if (race.frees == RACES && race.opened == RACES) {
        race.opened++; /* once */
        gen_retire_last(w.core);
        loop_stop(l);
    }
    if (race.opened >= RACES)
        return;
    size_t i = race.opened++;
    const struct call_handler handler = {.exec = i % 2 ? MIG_EXEC_POOL : MIG_EXEC_LOOP,
                                         .data = &race.cancels[i],
                                         .on_cancel = race_cancelled};
    struct arena *a = arena_new(&l->chunks, 1 << 20);
    struct call *c = call_open(core_loop_of(w.core, l)->calls,
                               &(struct call_spec){.kind = &race_kind,
                                                   .instance = w.inst,
                                                   .gen = gen_current(w.core, l),
                                                   .arena = a,
                                                   .handler = &handler,
                                                   .owner = &race.ends[i],
                                                   .deadline_ns = clock_now_ns() + i % 5 * 500000});
    arena_unref(a);
    assert_non_null(c);
    assert_true(call_start(c));
}

static void *racer(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg * 7919u + 1;

    for (size_t i = 0; i < RACES; i++) {
        uint64_t h;
        while (!(h = race.handle[i]))
            sched_yield();
        seed = seed * 1103515245u + 12345u;
        for (unsigned spin = 0; spin < (seed >> 16) % 200; spin++)
            atomic_thread_fence(memory_order_seq_cst);
        mig_payload p = {mig_s("{}"), seed & 1 ? race_release : NULL, NULL};
        race.payloads += p.release != NULL;
        if (call_finish(w.core, w.inst, (mig_call){h}, &p) == MIG_OK)
            race.ends[i]++;
        call_is_cancelled(w.core, (mig_call){h});
        struct call *c = call_hold(w.core, w.inst, (mig_call){h});
        if (c)
            call_drop_any(c);
    }
    return NULL;
}

static void race_begin(struct loop *l, uint64_t v)
{
    (void)v;
    w.core = core_new(l, &w.l, 1, 3, 60000);
    w.inst = make_instance(w.core, "race", &w);
    w.inst->share.queue_limit = RACES;
    publish();
    for (int i = 0; i < WINDOW; i++)
        loop_post_fn(l, race_open, 0);
}

static void ends_of_eight_threads_race_with_the_deadline(void **state)
{
    pthread_t t[RACERS];
    unsigned long timeouts = 0;

    (void)state;
    memset(&w, 0, sizeof w);
    memset(&race, 0, sizeof race);
    w.l = loop_new(0);
    loop_post_fn(w.l, race_begin, 0);
    for (uintptr_t i = 0; i < RACERS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, racer, (void *)i), 0);
    loop_run(w.l);
    for (int i = 0; i < RACERS; i++)
        pthread_join(t[i], NULL);
    for (size_t i = 0; i < RACES; i++) {
        assert_int_equal(race.answers[i], 1);
        assert_int_equal(race.ends[i], race.started[i] ? 1 : 0);
        assert_in_range(race.cancels[i], 0, 1);
        timeouts += race.cancels[i];
    }
    assert_int_equal(instance_debt(w.inst), 0);
    /* What was released after the loop had stopped is still in its inbox. */
    for (struct task *task; (task = task_pop(&w.l->inbox));)
        task->run(task);
    assert_int_equal(race.releases, race.payloads);
    instance_free(w.inst);
    core_free(w.core);
    loop_free(w.l);
    print_message("# %lu of %d calls were told of their deadline\n", timeouts, RACES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_step_of_the_machine_is_as_drawn),
        T(loop_calls_survive_every_order),
        T(loop_calls_survive_every_order_at_once),
        T(loop_calls_survive_every_order_before_the_start),
        T(loop_calls_survive_every_order_at_once_before_the_start),
        T(loop_calls_ended_by_a_thread_survive_every_order),
        T(pool_calls_survive_every_order),
        T(pool_calls_survive_every_order_at_once),
        T(pool_calls_survive_every_order_before_the_start),
        T(dead_and_foreign_handles_are_harmless),
        T(a_hold_keeps_the_slot_but_not_the_caller),
        T(a_refused_call_leaves_nothing_behind),
        T(children_are_told_once),
        T(ends_of_eight_threads_race_with_the_deadline),
    };
    tell_more = tell_on_failure;
    atexit(tell_on_failure);
    return RUN(tests);
}
