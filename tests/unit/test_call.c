/* The heart: one call, everything that can happen to it, in every order. The tests run inside a
 * message of a real loop and carry out its work by hand, so that each order can be played exactly. */
#include "unit.h"
#include "base/clock.h"
#include "core/core.h"

#include <pthread.h>
#include <sched.h>

/* --- a world of one loop, one instance, one kind of call ------------------------------------------ */

struct world {
    struct loop *l;
    struct core *core;
    struct instance *inst, *other;
    struct arena_pool *pool;
    unsigned gens_freed;

    /* of the present call */
    struct call *c;
    mig_call h;
    unsigned answers, cancels, frees, arena_ends, writables, half_closes;
    _Atomic unsigned starts;
    struct call_result told;
    char told_json[64];
    _Atomic unsigned ends_ok, releases, payloads;
    bool cancel_after_end;
    bool own_gen_freed_early;
    struct gen *pinned;

    mig_status frame_status;
    char frames[256]; /* first letters, in order; '!' is the answer */
    size_t frames_len;
    char messages[64];
    _Atomic size_t messages_len;
};
static struct world w;

static void k_start(struct call *c)
{
    w.starts++;
    w.h = call_handle(c);
}

static void k_answer(struct call *c, const struct call_result *r)
{
    assert_true(loop_is_current(c->home));
    w.answers++;
    w.told = *r;
    if (r->json.len < sizeof w.told_json && r->json.len)
        memcpy(w.told_json, r->json.ptr, r->json.len);
    w.frames[w.frames_len++ % sizeof w.frames] = '!';
}

static mig_status k_frame(struct call *c, str bytes)
{
    assert_true(loop_is_current(c->home));
    assert_int_equal(w.answers, 0); /* no frame after the end */
    if (w.frame_status == MIG_OK)
        w.frames[w.frames_len++ % sizeof w.frames] = bytes.ptr[0];
    return w.frame_status;
}

static void k_free(struct call *c)
{
    (void)c;
    w.frees++;
}

static void on_cancel(void *self, void *data, mig_call call)
{
    assert_ptr_equal(self, &w);
    assert_ptr_equal(data, &w);
    assert_int_equal(call.v, w.h.v);
    w.cancels++;
    w.cancel_after_end |= w.ends_ok > 0;
}

static void on_writable(void *self, void *data, mig_call call)
{
    (void)self;
    (void)data;
    (void)call;
    w.writables++;
}

static void on_message(void *self, void *data, mig_call call, mig_str json)
{
    (void)self;
    (void)data;
    (void)call;
    w.messages[w.messages_len++ % sizeof w.messages] = json.ptr[0];
}

static void on_half_close(void *self, void *data, mig_call call)
{
    (void)self;
    (void)data;
    (void)call;
    w.half_closes++;
}

static const struct call_kind stream_kind = {"test", k_start, k_answer, k_frame, NULL, k_free};
static const struct call_kind unary_kind = {"test", k_start, k_answer, NULL, NULL, k_free};

static void release(void *owner)
{
    w.releases++;
    free(owner);
}

static mig_payload payload(const char *text)
{
    char *copy = strdup(text);
    w.payloads++;
    return (mig_payload){{copy, strlen(copy)}, release, copy};
}

/* Carries out all work of the loop and its workers that is due. */
static void pump(void)
{
    for (;;) {
        size_t waiting, busy, threads;
        loop_drain(w.l);
        w.l->wake.async_cb(&w.l->wake);
        pool_stats(w.core->pool, &waiting, &busy, &threads);
        pthread_mutex_lock(&w.l->inbox_lock);
        bool is_quiet = !w.l->inbox.first && !w.l->deferred.first && !waiting && !busy;
        pthread_mutex_unlock(&w.l->inbox_lock);
        if (is_quiet)
            return;
        sched_yield();
    }
}

static void count_gen(struct gen *g)
{
    w.gens_freed++;
    w.own_gen_freed_early |= g == w.pinned && !w.frees && !w.c->is_answered;
}

static void publish(void)
{
    struct gen *g = gen_new(w.core);

    g->policy.stream_credit_bytes = 1000;
    g->policy.stream_credit_frames = 3;
    g->free_config = count_gen;
    gen_publish(g, NULL, NULL);
}

static struct instance *instance_new(const char *name)
{
    struct instance *i = calloc(1, sizeof *i);

    i->name = strdup(name);
    i->plugin.id = "org.example.test";
    i->self = &w;
    i->core = w.core;
    i->share.run_limit = 4;
    i->share.queue_limit = 1000;
    i->debt = aligned_alloc(64, 2 * sizeof *i->debt);
    memset(i->debt, 0, 2 * sizeof *i->debt);
    return i;
}

static void (*body)(void);

static void run_body(struct loop *l, uint64_t v)
{
    (void)v;
    w.core = core_new(l, &w.l, 1, 2, 60000);
    w.inst = instance_new("one");
    w.other = instance_new("other");
    w.pool = calloc(1, sizeof *w.pool);
    publish();
    pump();
    body();
    gen_retire_last(w.core);
    pump();
    assert_int_equal(instance_debt(w.inst), 0);
    loop_stop(l);
}

static void run(void (*fn)(void))
{
    memset(&w, 0, sizeof w);
    body = fn;
    w.l = loop_new(0);
    loop_post_fn(w.l, run_body, 0);
    loop_run(w.l);
    instance_free(w.inst);
    instance_free(w.other);
    core_free(w.core);
    arena_pool_deinit(w.pool);
    free(w.pool);
    loop_free(w.l);
}

static void arena_ended(void *arg)
{
    (void)arg;
    w.arena_ends++;
}

/* A new call; its counters begin at zero. */
static void open_call(uint32_t exec, const struct call_kind *kind, uint32_t flags)
{
    const struct call_handler handler = {
        exec, flags, &w, on_cancel, on_writable, flags & 256 ? NULL : on_message, on_half_close};
    struct arena *a = arena_new(w.pool, 1 << 20);
    struct gen *g = gen_current(w.core, w.l);

    w.answers = w.cancels = w.frees = w.arena_ends = w.writables = w.half_closes = 0;
    w.starts = w.ends_ok = w.releases = w.payloads = 0;
    w.cancel_after_end = w.own_gen_freed_early = false;
    w.told = (struct call_result){0};
    memset(w.told_json, 0, sizeof w.told_json);
    memset(w.frames, 0, sizeof w.frames);
    memset(w.messages, 0, sizeof w.messages);
    w.frames_len = 0;
    w.messages_len = 0;
    w.frame_status = MIG_OK;
    w.pinned = g;
    arena_defer(a, arena_ended, NULL);
    w.c = call_open(core_loop_of(w.core, w.l)->calls,
                    &(struct call_spec){.kind = kind,
                                        .instance = w.inst,
                                        .gen = g,
                                        .arena = a,
                                        .handler = &handler,
                                        .deadline_ns = clock_now_ns() + 3600000000000u});
    assert_non_null(w.c);
    w.h = call_handle(w.c);
    arena_unref(a);
    assert_int_equal(instance_debt(w.inst), 1);
    assert_true(call_start(w.c));
}

static mig_status finish(const char *text)
{
    mig_payload p = payload(text);
    mig_status s = call_finish(w.core, w.inst, w.h, &p);

    w.ends_ok += s == MIG_OK;
    return s;
}

static mig_status finish_error(mig_status code)
{
    mig_error e = {sizeof e, code, mig_s("no"), mig_s("{\"a\":1}"), 7, 1};
    mig_status s = call_finish_error(w.core, w.inst, w.h, &e);

    w.ends_ok += s == MIG_OK;
    return s;
}

static void abort_with(enum call_event event, mig_status status)
{
    if (!w.frees)
        call_abort(w.c, event, &(struct call_result){.status = status, .message = S("aborted")});
}

static void tell_on_failure(void);

static void check_gone(void)
{
    assert_int_equal(w.frees, 1);
    assert_int_equal(w.arena_ends, 1);
    assert_int_equal(instance_debt(w.inst), 0);
    assert_true(list_is_empty(call_table_open(core_loop_of(w.core, w.l)->calls)));
    assert_int_equal(w.releases, w.payloads);
    if (w.own_gen_freed_early)
        tell_on_failure();
    assert_false(w.own_gen_freed_early);
    uint64_t stale = call_stale_count();
    assert_int_equal(call_finish(w.core, w.inst, w.h, NULL), MIG_E_GONE);
    assert_int_equal(call_stale_count(), stale + 1);
    assert_true(call_is_cancelled(w.core, w.h));
    assert_null(call_find(w.core, w.h));
    w.pinned = NULL;
}

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

static void fire_deadline(void)
{
    struct timer *t = &w.c->deadline;
    timer_fn fn = t->fn;

    if (w.frees || !fn)
        return;
    timer_stop(&w.l->timers, t); /* as the wheel does */
    fn(t);
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

/* --- (c) frames and messages ------------------------------------------------------------------------ */

static mig_status send_frame(const char *text)
{
    mig_payload p = payload(text);
    mig_status s = call_send(w.core, w.inst, w.h, &p);

    if (s == MIG_E_AGAIN)
        release(p.owner); /* still ours */
    return s;
}

static void blocked_body(void)
{
    for (int foreign = 0; foreign < 2; foreign++) {
        open_call(MIG_EXEC_LOOP, &stream_kind, 0);
        pump();
        w.frame_status = MIG_E_AGAIN;
        assert_int_equal(send_frame("a"), MIG_OK);
        assert_int_equal(send_frame("b"), MIG_OK);
        mig_payload copied = {mig_s("c"), NULL, NULL};
        assert_int_equal(call_send(w.core, w.inst, w.h, &copied), MIG_OK);
        assert_int_equal(send_frame("d"), MIG_E_AGAIN); /* three frames of credit */
        pump();
        assert_int_equal(w.frames_len, 0);
        assert_int_equal(w.writables, 0);
        call_flow_resume(w.c); /* still blocked */
        pump();
        assert_int_equal(w.frames_len + w.writables, 0);
        w.frame_status = MIG_OK;
        call_flow_resume(w.c);
        pump();
        assert_memory_equal(w.frames, "abc", 4);
        assert_int_equal(w.writables, 1);
        assert_int_equal(atomic_load(&w.c->credit_frames), 3);
        assert_int_equal(atomic_load(&w.c->credit_bytes), 1000);
        assert_int_equal(send_frame("e"), MIG_OK);
        assert_int_equal(finish("{}"), MIG_OK);
        pump();
        assert_memory_equal(w.frames, "abce!", 6);
        check_gone();
    }
}

static void frames_wait_keep_their_order_and_give_credit_back(void **state)
{
    (void)state;
    run(blocked_body);
}

static void end_behind_frames_body(void)
{
    for (int what = 0; what < 4; what++) {
        open_call(MIG_EXEC_LOOP, &stream_kind, 0);
        pump();
        w.frame_status = MIG_E_AGAIN;
        assert_int_equal(send_frame("a"), MIG_OK);
        assert_int_equal(send_frame("b"), MIG_OK);
        pump();
        assert_int_equal(finish("{\"r\":1}"), MIG_OK);
        pump();
        assert_int_equal(w.answers, 0); /* the end waits behind the frames */
        assert_int_equal(send_frame("c"), MIG_E_GONE);
        if (what == 0) {
            w.frame_status = MIG_OK;
            call_flow_resume(w.c);
        } else if (what == 1) {
            fire_deadline();
        } else if (what == 2) {
            abort_with(CALL_DISCONNECT, MIG_OK);
        } else {
            w.frame_status = MIG_E_GONE; /* the caller's side says so itself */
            call_flow_resume(w.c);
        }
        pump();
        static const char *const want[] = {"ab!", "!", "", "!"};
        assert_string_equal(w.frames, want[what]);
        if (what == 1)
            assert_int_equal(w.told.status, MIG_TIMEOUT);
        assert_int_equal(w.cancels, 0); /* it owes nothing */
        check_gone();
    }
}

static void the_end_waits_behind_frames_but_not_for_ever(void **state)
{
    (void)state;
    run(end_behind_frames_body);
}

static void drop_body(void)
{
    static const enum call_event events[] = {CALL_CANCEL, CALL_DISCONNECT, CALL_STOP};

    for (size_t i = 0; i < countof(events); i++) {
        open_call(MIG_EXEC_LOOP, &stream_kind, 0);
        pump();
        w.frame_status = MIG_E_AGAIN;
        assert_int_equal(send_frame("a"), MIG_OK);
        assert_int_equal(send_frame("b"), MIG_OK);
        pump();
        assert_int_equal(send_frame("c"), MIG_OK); /* still on its way to the home loop */
        abort_with(events[i], MIG_UNAVAILABLE);
        pump();
        assert_int_equal(w.releases, 3);
        assert_int_equal(send_frame("d"), MIG_E_GONE);
        pump();
        assert_int_equal(w.releases, 4);
        assert_int_equal(w.writables, 0); /* on_cancel is enough */
        assert_int_equal(w.cancels, 1);
        assert_string_equal(w.frames, events[i] == CALL_DISCONNECT ? "" : "!");
        assert_int_equal(finish("{}"), MIG_OK);
        pump();
        check_gone();
    }
}

static void frames_are_dropped_with_their_memory(void **state)
{
    (void)state;
    run(drop_body);
}

static void credit_body(void)
{
    static char big[5001];

    memset(big, 'x', sizeof big - 1);
    open_call(MIG_EXEC_LOOP, &stream_kind, 0);
    pump();
    w.frame_status = MIG_E_AGAIN;
    assert_int_equal(send_frame(big), MIG_OK); /* alone it may be bigger than all credit */
    assert_int_equal(send_frame("a"), MIG_E_AGAIN);
    pump();
    w.frame_status = MIG_OK;
    call_flow_resume(w.c);
    pump();
    assert_int_equal(w.writables, 1);
    assert_int_equal(send_frame("a"), MIG_OK);
    finish("{}");
    pump();
    check_gone();

    open_call(MIG_EXEC_LOOP, &unary_kind, 0);
    pump();
    assert_int_equal(send_frame("a"), MIG_E_ARG); /* this kind has no stream */
    pump();
    assert_int_equal(w.releases, 1);
    finish("{}");
    pump();
    check_gone();
}

static void one_big_frame_passes_and_unary_calls_have_none(void **state)
{
    (void)state;
    run(credit_body);
}

static void messages_body(void)
{
    for (int manual = 0; manual < 2; manual++) {
        open_call(MIG_EXEC_LOOP, &stream_kind, manual ? MIG_CAP_MANUAL_GRANT : 0);
        pump();
        for (int i = 0; i < 16; i++)
            assert_int_equal(call_message(w.c, S("m")), MIG_OK);
        assert_int_equal(call_message(w.c, S("x")), MIG_E_AGAIN); /* sixteen grants at first */
        pump();
        assert_int_equal(w.messages_len, 16);
        assert_int_equal(call_message(w.c, S("n")), manual ? MIG_E_AGAIN : MIG_OK);
        assert_int_equal(call_grant(w.core, w.inst, w.h, 2), MIG_OK);
        assert_int_equal(call_grant(w.core, w.other, w.h, 2), MIG_E_GONE);
        pump();
        assert_int_equal(call_message(w.c, S("o")), MIG_OK);
        call_half_close(w.c);
        call_half_close(w.c);
        pump();
        assert_int_equal(w.half_closes, 1);
        abort_with(CALL_CANCEL, MIG_TIMEOUT);
        assert_int_equal(call_message(w.c, S("p")), MIG_E_GONE);
        assert_int_equal(call_grant(w.core, w.inst, w.h, 2), MIG_E_GONE);
        pump();
        finish("{}");
        pump();
        check_gone();
    }
}

static void messages_need_grants(void **state)
{
    (void)state;
    run(messages_body);
}

struct reader {
    pthread_t thread;
    _Atomic int got;
    _Atomic bool is_over;
    mig_status last;
};

static void *read_all(void *arg)
{
    struct reader *r = arg;
    mig_str json;

    while ((r->last = call_recv_wait(w.core, w.inst, w.h, &json)) == MIG_OK) {
        assert_true(json.len == 1 && json.ptr[0] == 'm');
        r->got++;
    }
    r->is_over = true;
    return NULL;
}

static void reader_body(void)
{
    for (int what = 0; what < 2; what++) {
        struct reader r = {0};
        open_call(MIG_EXEC_LOOP, &stream_kind, 256 /* no on_message */);
        pump();
        assert_int_equal(pthread_create(&r.thread, NULL, read_all, &r), 0);
        for (int sent = 0; sent < 100;) {
            sent += call_message(w.c, S("m")) == MIG_OK;
            pump();
        }
        if (what == 0) {
            call_half_close(w.c);
        } else {
            while (r.got < 100) {
                pump();
                sched_yield();
            }
            usleep(2000); /* it sleeps now */
            abort_with(CALL_DISCONNECT, MIG_OK);
        }
        while (!r.is_over) {
            pump();
            sched_yield();
        }
        pthread_join(r.thread, NULL);
        assert_int_equal(r.got, 100);
        assert_int_equal(r.last, what == 0 ? MIG_NOT_FOUND : MIG_E_GONE);
        finish("{}");
        pump();
        check_gone();
    }
}

static void a_waiting_reader_gets_all_messages_and_the_end(void **state)
{
    (void)state;
    run(reader_body);
}

struct writer {
    pthread_t thread;
    _Atomic int sent;
    _Atomic bool is_over;
    mig_status last;
};

static void *write_all(void *arg)
{
    struct writer *r = arg;
    mig_payload p;

    r->last = MIG_OK;
    while (r->sent < 100 && r->last == MIG_OK) {
        p = payload("f");
        r->last = call_send_wait(w.core, w.inst, w.h, &p);
        r->sent += r->last == MIG_OK;
    }
    r->is_over = true;
    return NULL;
}

static void writer_body(void)
{
    for (int what = 0; what < 3; what++) {
        struct writer r = {0};
        open_call(MIG_EXEC_LOOP, &stream_kind, 0);
        pump();
        if (what == 2)
            w.c->deadline_ns = clock_now_ns() + 20000000; /* waits no longer than the deadline */
        w.frame_status = MIG_E_AGAIN;
        assert_int_equal(pthread_create(&r.thread, NULL, write_all, &r), 0);
        while (r.sent < 3)
            pump();
        usleep(2000);
        assert_int_equal(r.sent, 3);
        w.frame_status = what == 0 ? MIG_OK : MIG_E_AGAIN;
        if (what == 1)
            abort_with(CALL_STOP, MIG_UNAVAILABLE);
        while (!r.is_over) {
            if (what == 0)
                call_flow_resume(w.c);
            pump();
            sched_yield();
        }
        pthread_join(r.thread, NULL);
        static const mig_status want[] = {MIG_OK, MIG_E_GONE, MIG_TIMEOUT};
        assert_int_equal(r.last, want[what]);
        assert_int_equal(r.sent, what == 0 ? 100 : 3);
        w.frame_status = MIG_OK;
        pump();
        if (what != 1)
            call_flow_resume(w.c);
        finish("{}");
        pump();
        check_gone();
    }
}

static void a_waiting_writer_is_woken_by_room_stop_and_deadline(void **state)
{
    (void)state;
    run(writer_body);
}

/* --- (d) threads ------------------------------------------------------------------------------------ */

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
    w.inst = instance_new("race");
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
        T(frames_wait_keep_their_order_and_give_credit_back),
        T(the_end_waits_behind_frames_but_not_for_ever),
        T(frames_are_dropped_with_their_memory),
        T(one_big_frame_passes_and_unary_calls_have_none),
        T(messages_need_grants),
        T(a_waiting_reader_gets_all_messages_and_the_end),
        T(a_waiting_writer_is_woken_by_room_stop_and_deadline),
        T(ends_of_eight_threads_race_with_the_deadline),
    };
    atexit(tell_on_failure);
    return RUN(tests);
}
