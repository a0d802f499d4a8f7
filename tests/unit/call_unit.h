/* call_unit.h: a world of one loop, one instance and one call, for tests of call.h. They run inside a message of
 * a real loop and carry out its work by hand, so that each order can be played exactly. */
#ifndef TESTS_CALL_UNIT_H
#define TESTS_CALL_UNIT_H
#include "instance_unit.h"
#include "base/clock.h"
#include "core/core.h"

#include <pthread.h>
#include <sched.h>

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
/* What was played when a check failed; NULL: nothing more to tell. */
static void (*tell_more)(void);

static inline void k_start(struct call *c)
{
    w.starts++;
    w.h = call_handle(c);
}

static inline void k_answer(struct call *c, const struct call_result *r)
{
    assert_true(loop_is_current(c->home));
    w.answers++;
    w.told = *r;
    if (r->json.len < sizeof w.told_json && r->json.len)
        memcpy(w.told_json, r->json.ptr, r->json.len);
    w.frames[w.frames_len++ % sizeof w.frames] = '!';
}

static inline mig_status k_frame(struct call *c, str bytes)
{
    assert_true(loop_is_current(c->home));
    assert_int_equal(w.answers, 0); /* no frame after the end */
    if (w.frame_status == MIG_OK)
        w.frames[w.frames_len++ % sizeof w.frames] = bytes.ptr[0];
    return w.frame_status;
}

static inline void k_free(struct call *c)
{
    (void)c;
    w.frees++;
}

static inline void on_cancel(void *self, void *data, mig_call call)
{
    assert_ptr_equal(self, &w);
    assert_ptr_equal(data, &w);
    assert_int_equal(call.v, w.h.v);
    w.cancels++;
    w.cancel_after_end |= w.ends_ok > 0;
}

static inline void on_writable(void *self, void *data, mig_call call)
{
    (void)self;
    (void)data;
    (void)call;
    w.writables++;
}

static inline void on_message(void *self, void *data, mig_call call, mig_str json)
{
    (void)self;
    (void)data;
    (void)call;
    w.messages[w.messages_len++ % sizeof w.messages] = json.ptr[0];
}

static inline void on_half_close(void *self, void *data, mig_call call)
{
    (void)self;
    (void)data;
    (void)call;
    w.half_closes++;
}

static const struct call_kind stream_kind = {"test", k_start, k_answer, k_frame, NULL, k_free};
static const struct call_kind unary_kind = {"test", k_start, k_answer, NULL, NULL, k_free};

static inline void release(void *owner)
{
    w.releases++;
    free(owner);
}

static inline mig_payload payload(const char *text)
{
    char *copy = strdup(text);
    w.payloads++;
    return (mig_payload){{copy, strlen(copy)}, release, copy};
}

/* Carries out all work of the loop and its workers that is due. */
static inline void pump(void)
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

static inline void count_gen(struct gen *g)
{
    w.gens_freed++;
    w.own_gen_freed_early |= g == w.pinned && !w.frees && !w.c->is_answered;
}

static inline void publish(void)
{
    struct gen *g = gen_new(w.core);

    g->policy.stream_credit_bytes = 1000;
    g->policy.stream_credit_frames = 3;
    g->free_config = count_gen;
    gen_publish(g, NULL, NULL);
}

static void (*body)(void);

static inline void run_body(struct loop *l, uint64_t v)
{
    (void)v;
    w.core = core_new(l, &w.l, 1, 2, 60000);
    w.inst = make_instance(w.core, "one", &w);
    w.other = make_instance(w.core, "other", &w);
    w.pool = calloc(1, sizeof *w.pool);
    publish();
    pump();
    body();
    gen_retire_last(w.core);
    pump();
    assert_int_equal(instance_debt(w.inst), 0);
    loop_stop(l);
}

static inline void run(void (*fn)(void))
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

static inline void arena_ended(void *arg)
{
    (void)arg;
    w.arena_ends++;
}

/* A new call; its counters begin at zero. */
static inline void open_call(uint32_t exec, const struct call_kind *kind, uint32_t flags)
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

static inline mig_status finish(const char *text)
{
    mig_payload p = payload(text);
    mig_status s = call_finish(w.core, w.inst, w.h, &p);

    w.ends_ok += s == MIG_OK;
    return s;
}

static inline mig_status finish_error(mig_status code)
{
    mig_error e = {sizeof e, code, mig_s("no"), mig_s("{\"a\":1}"), 7, 1};
    mig_status s = call_finish_error(w.core, w.inst, w.h, &e);

    w.ends_ok += s == MIG_OK;
    return s;
}

static inline void abort_with(enum call_event event, mig_status status)
{
    if (!w.frees)
        call_abort(w.c, event, &(struct call_result){.status = status, .message = S("aborted")});
}

static inline void fire_deadline(void)
{
    struct timer *t = &w.c->deadline;
    timer_fn fn = t->fn;

    if (w.frees || !fn)
        return;
    timer_stop(&w.l->timers, t); /* as the wheel does */
    fn(t);
}

static inline void check_gone(void)
{
    assert_int_equal(w.frees, 1);
    assert_int_equal(w.arena_ends, 1);
    assert_int_equal(instance_debt(w.inst), 0);
    assert_true(list_is_empty(call_table_open(core_loop_of(w.core, w.l)->calls)));
    assert_int_equal(w.releases, w.payloads);
    if (w.own_gen_freed_early && tell_more)
        tell_more();
    assert_false(w.own_gen_freed_early);
    uint64_t stale = call_stale_count();
    assert_int_equal(call_finish(w.core, w.inst, w.h, NULL), MIG_E_GONE);
    assert_int_equal(call_stale_count(), stale + 1);
    assert_true(call_is_cancelled(w.core, w.h));
    assert_null(call_find(w.core, w.h));
    w.pinned = NULL;
}
#endif
