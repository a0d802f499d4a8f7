/* stub_host.h: a host for the tests of the Lua engine: one loop, a clock that stands still unless a
 * test asks for the real one, and a watchdog thread behind mig.loop/1. */
#ifndef STUB_HOST_H
#define STUB_HOST_H
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "mig/ext/invoke.h"
#include "mig/ext/kv.h"
#include "mig/ext/loop.h"
#include "mig/ext/sources.h"
#include "mig/ext/stream.h"
#include "mig/ext/task.h"
#include "mig/ext/timer.h"
#include "mig/plugin.h"

extern const mig_plugin_entry_t mig_plugin_entry_lua;

enum { STUB_CALLS = 64, STUB_OPS = 256, STUB_KEYS = 32, STUB_CAPS = 16 };

struct stub_call {
    bool is_open;
    int ended; /* how often */
    mig_status code;
    char *result, *message, *details;
    char frames[4096];
    int frame_count, room; /* room < 0: no limit */
    bool is_gone;
    mig_request req;
    const mig_capability *cap;
    uint32_t granted;
};

struct stub_op {
    int kind; /* 0 free, 1 after, 2 invoke, 3 kv */
    mig_call call;
    uint64_t at_ms;
    mig_done done;
    mig_kv_done kv_done;
    void *tag;
    mig_status status;
    char *text, *capability;
    uint64_t revision;
};

struct stub {
    mig_host host;
    void *self;
    const mig_plugin *plugin;
    mig_capability caps[STUB_CAPS];
    mig_timer timers[4];
    int cap_count, timer_count;
    struct stub_call calls[STUB_CALLS];
    struct stub_op ops[STUB_OPS];
    struct {
        char key[64];
        char value[512];
        uint64_t revision;
    } keys[STUB_KEYS];
    uint64_t now_ms, next_revision;
    bool is_real_clock, has_no_loop, is_manual; /* is_manual: the test delivers operations itself */
    uint32_t loops, here;
    char log[65536];
    size_t log_len;
    /* watchdog */
    pthread_t thread;
    pthread_mutex_t lock;
    bool is_guarded, is_stopping;
    uint64_t guard_until;
    uint32_t guard_us; /* of the last guard */
    void (*fire)(void *);
    void *fire_arg;
    atomic_int fires;
};

static struct stub *S;

static uint64_t stub_real_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* What this thread has worked: on a busy machine the wall clock counts the others' work, too. */
static uint64_t stub_cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static uint64_t stub_now(const mig_host *h)
{
    (void)h;
    return S->is_real_clock ? stub_real_ns() : S->now_ms * 1000000;
}

static char *stub_dup(mig_str s)
{
    char *p = malloc(s.len + 1);
    if (s.len)
        memcpy(p, s.ptr, s.len);
    p[s.len] = 0;
    return p;
}

static void stub_log(const mig_host *h, uint32_t level, mig_str msg, mig_str fields)
{
    (void)h;
    int n = snprintf(S->log + S->log_len, sizeof S->log - S->log_len, "%u %.*s %.*s\n", level,
                     (int)msg.len, msg.ptr ? msg.ptr : "", (int)fields.len,
                     fields.ptr ? fields.ptr : "");
    if (n > 0 && S->log_len + (size_t)n < sizeof S->log)
        S->log_len += (size_t)n;
}

static struct stub_call *stub_call_of(mig_call c)
{
    return &S->calls[c.v % STUB_CALLS];
}

static mig_status stub_end(mig_call c, mig_status code, mig_str result, mig_str message,
                           mig_str details)
{
    struct stub_call *s = stub_call_of(c);
    s->ended++;
    if (!s->is_open)
        return MIG_E_GONE;
    s->is_open = false;
    s->code = code;
    s->result = stub_dup(result);
    s->message = stub_dup(message);
    s->details = stub_dup(details);
    return MIG_OK;
}

static mig_status stub_finish(const mig_host *h, mig_call c, const mig_payload *p)
{
    (void)h;
    return stub_end(c, MIG_OK, p->bytes, (mig_str){0}, (mig_str){0});
}

static mig_status stub_finish_error(const mig_host *h, mig_call c, const mig_error *e)
{
    (void)h;
    assert_true(e->code > 0);
    return stub_end(c, e->code, (mig_str){0}, e->message, e->details);
}

static mig_status stub_send(const mig_host *h, mig_call c, const mig_payload *p)
{
    struct stub_call *s = stub_call_of(c);
    (void)h;
    if (s->is_gone || !s->is_open)
        return MIG_E_GONE;
    if (s->room == 0)
        return MIG_E_AGAIN;
    if (s->room > 0)
        s->room--;
    s->frame_count++;
    strncat(s->frames, p->bytes.ptr, p->bytes.len < 200 ? p->bytes.len : 200);
    strcat(s->frames, ";");
    return MIG_OK;
}

static int32_t stub_is_cancelled(const mig_host *h, mig_call c)
{
    (void)h;
    return stub_call_of(c)->is_gone;
}

static struct stub_op *stub_op_new(int kind, mig_call call, void *tag)
{
    for (int i = 0; i < STUB_OPS; i++) {
        if (S->ops[i].kind)
            continue;
        S->ops[i] = (struct stub_op){.kind = kind, .call = call, .tag = tag, .at_ms = S->now_ms};
        return &S->ops[i];
    }
    return NULL;
}

static mig_status stub_after(const mig_host *h, mig_call c, uint64_t delay, mig_done done,
                             void *tag)
{
    (void)h;
    struct stub_op *op = stub_op_new(1, c, tag);
    if (!op)
        return MIG_E_NOMEM;
    op->at_ms += delay;
    op->done = done;
    return MIG_OK;
}

static mig_status stub_invoke(const mig_host *h, mig_call c, mig_str cap, const mig_payload *p,
                              mig_done done, void *tag)
{
    (void)h;
    struct stub_op *op = stub_op_new(2, c, tag);
    op->capability = stub_dup(cap);
    op->text = stub_dup(p->bytes);
    op->done = done;
    return MIG_OK;
}

static int stub_key(mig_str key)
{
    for (int i = 0; i < STUB_KEYS; i++)
        if (strlen(S->keys[i].key) == key.len && !memcmp(S->keys[i].key, key.ptr, key.len))
            return i;
    return -1;
}

static mig_status stub_kv_get(const mig_host *h, mig_call c, mig_str key, mig_kv_done done,
                              void *tag)
{
    (void)h;
    struct stub_op *op = stub_op_new(3, c, tag);
    int i = stub_key(key);
    op->kv_done = done;
    op->status = i < 0 ? MIG_NOT_FOUND : MIG_OK;
    op->text = i < 0 ? NULL : strdup(S->keys[i].value);
    op->revision = i < 0 ? 0 : S->keys[i].revision;
    return MIG_OK;
}

static mig_status stub_kv_put(const mig_host *h, mig_call c, mig_str key, mig_str value,
                              uint64_t expect, uint64_t ttl, mig_kv_done done, void *tag)
{
    (void)h, (void)ttl;
    struct stub_op *op = stub_op_new(3, c, tag);
    int i = stub_key(key);
    uint64_t is = i < 0 ? 0 : S->keys[i].revision;
    op->kv_done = done;
    op->revision = is;
    if (expect != MIG_KV_ANY && expect != is) {
        op->status = MIG_VERSION_MISMATCH;
        return MIG_OK;
    }
    if (i < 0)
        i = stub_key((mig_str){"", 0});
    snprintf(S->keys[i].key, sizeof S->keys[i].key, "%.*s", (int)key.len, key.ptr);
    snprintf(S->keys[i].value, sizeof S->keys[i].value, "%.*s", (int)value.len, value.ptr);
    op->revision = S->keys[i].revision = ++S->next_revision;
    return MIG_OK;
}

static mig_status stub_kv_del(const mig_host *h, mig_call c, mig_str key, uint64_t expect,
                              mig_kv_done done, void *tag)
{
    (void)h, (void)expect;
    struct stub_op *op = stub_op_new(3, c, tag);
    int i = stub_key(key);
    op->kv_done = done;
    op->status = i < 0 ? MIG_NOT_FOUND : MIG_OK;
    if (i >= 0)
        S->keys[i].key[0] = 0;
    return MIG_OK;
}

static mig_status stub_grant(const mig_host *h, mig_call c, uint32_t n)
{
    (void)h;
    stub_call_of(c)->granted += n;
    return MIG_OK;
}

static uint32_t stub_count(const mig_host *h)
{
    (void)h;
    return S->loops;
}
static uint32_t stub_index(const mig_host *h)
{
    (void)h;
    return S->here;
}

static void stub_slice_begin(const mig_host *h, uint32_t us, void (*fire)(void *), void *arg)
{
    (void)h;
    pthread_mutex_lock(&S->lock);
    assert_false(S->is_guarded); /* one guard at a time */
    S->is_guarded = true;
    S->guard_until = stub_real_ns() + us * 1000u;
    S->guard_us = us;
    S->fire = fire;
    S->fire_arg = arg;
    pthread_mutex_unlock(&S->lock);
}

static void stub_slice_end(const mig_host *h)
{
    (void)h;
    pthread_mutex_lock(&S->lock);
    assert_true(S->is_guarded);
    S->is_guarded = false;
    S->fire = NULL;
    pthread_mutex_unlock(&S->lock);
}

static void *stub_watch(void *arg)
{
    struct stub *s = arg;
    for (;;) {
        pthread_mutex_lock(&s->lock);
        if (s->is_stopping) {
            pthread_mutex_unlock(&s->lock);
            return NULL;
        }
        if (s->fire && stub_real_ns() > s->guard_until) {
            void (*fire)(void *) = s->fire;
            s->fire = NULL;
            s->fires++;
            fire(s->fire_arg);
        }
        pthread_mutex_unlock(&s->lock);
        usleep(200);
    }
}

static const void *stub_extension(const mig_host *h, const char *id)
{
    static const mig_ext_task task = {sizeof task, 0, stub_after, NULL};
    static const mig_ext_kv kv = {sizeof kv, 0, stub_kv_get, stub_kv_put, stub_kv_del};
    static const mig_ext_invoke invoke = {sizeof invoke, 0, stub_invoke, NULL};
    static const mig_ext_stream stream = {sizeof stream, 0, NULL, NULL, stub_grant};
    static const mig_ext_loop loop = {sizeof loop,   0, stub_count, stub_index, stub_slice_begin,
                                      stub_slice_end};
    (void)h;
    return !strcmp(id, MIG_EXT_TASK)                      ? (const void *)&task
           : !strcmp(id, MIG_EXT_KV)                      ? (const void *)&kv
           : !strcmp(id, MIG_EXT_INVOKE)                  ? (const void *)&invoke
           : !strcmp(id, MIG_EXT_STREAM)                  ? (const void *)&stream
           : !strcmp(id, MIG_EXT_LOOP) && !S->has_no_loop ? (const void *)&loop
                                                          : NULL;
}

static mig_status stub_capability(const mig_registrar *reg, const mig_capability *cap)
{
    (void)reg;
    S->caps[S->cap_count++] = *cap;
    return MIG_OK;
}

static mig_status stub_extend(const mig_registrar *reg, const char *id, const void *def)
{
    (void)reg;
    if (strcmp(id, MIG_EXT_TIMER) != 0)
        return MIG_E_NOSYS;
    S->timers[S->timer_count++] = *(const mig_timer *)def;
    return MIG_OK;
}

/* --- what tests call ------------------------------------------------------------------------- */

static void stub_new(void)
{
    S = calloc(1, sizeof *S);
    S->loops = 1;
    S->now_ms = 1000;
    S->plugin = mig_plugin_entry_lua.plugins[0];
    S->host = (mig_host){.struct_size = sizeof S->host,
                         .abi_major = 1,
                         .product = "stub",
                         .now_ns = stub_now,
                         .log = stub_log,
                         .finish = stub_finish,
                         .finish_error = stub_finish_error,
                         .send = stub_send,
                         .is_cancelled = stub_is_cancelled,
                         .get_extension = stub_extension};
    pthread_mutex_init(&S->lock, NULL);
    pthread_create(&S->thread, NULL, stub_watch, S);
}

/* create() and describe(); the script is a path. */
static mig_status stub_load_file(const char *path, const char *more)
{
    char config[8192];
    int n = snprintf(config, sizeof config, "{\"script\":\"%s\",\"name\":\"test\"%s}", path, more);
    uint32_t here = S->here;
    S->here = UINT32_MAX;
    mig_status s = S->plugin->create(&S->host, (mig_str){config, (size_t)n}, &S->self);
    S->here = here;
    if (s != MIG_OK)
        return s;
    mig_registrar reg = {
        .struct_size = sizeof reg, .capability = stub_capability, .extend = stub_extend};
    return S->plugin->describe(S->self, &reg);
}

static char stub_dir[64];

static void stub_remove(void)
{
    char cmd[100];

    snprintf(cmd, sizeof cmd, "rm -rf -- '%s'", stub_dir);
    if (system(cmd) != 0)
        fprintf(stderr, "%s could not be removed\n", stub_dir);
}

/* Write a file below the test's folder. */
static const char *stub_write(const char *name, const char *text, size_t len)
{
    static char path[256];
    if (!stub_dir[0]) {
        strcpy(stub_dir, "/tmp/luatestXXXXXX");
        if (!mkdtemp(stub_dir) || atexit(stub_remove) != 0)
            abort();
    }
    snprintf(path, sizeof path, "%s/%s", stub_dir, name);
    FILE *f = fopen(path, "wb");
    fwrite(text, 1, len, f);
    fclose(f);
    return path;
}

static mig_status stub_load(const char *text)
{
    return stub_load_file(stub_write("test.lua", text, strlen(text)), "");
}

static uint64_t stub_next_call;

static mig_call stub_start_mode(int cap, const char *payload, uint32_t mode)
{
    mig_call c = {++stub_next_call};
    struct stub_call *s = stub_call_of(c);
    free(s->result), free(s->message), free(s->details); /* of the call 64 calls ago */
    *s = (struct stub_call){.is_open = true, .room = -1, .cap = &S->caps[cap]};
    s->req = (mig_request){.struct_size = sizeof s->req,
                           .mode = mode,
                           .deadline_ns = stub_now(&S->host) + 30000000000u,
                           .capability = mig_s(S->caps[cap].id),
                           .message_id = mig_s("m1"),
                           .tenant_id = mig_s("acme"),
                           .subject = mig_s("ada"),
                           .meta = mig_s("{\"a\":1}"),
                           .payload = mig_s(payload)};
    S->caps[cap].invoke(S->self, S->caps[cap].data, c, &s->req);
    return c;
}

static void stub_deliver(struct stub_op *op, mig_status status, const char *json)
{
    struct stub_op o = *op;
    op->kind = 0;
    if (o.kind == 3) {
        mig_kv_result r = {.struct_size = sizeof r,
                           .status = o.status,
                           .value = mig_s(o.text),
                           .revision = o.revision};
        o.kv_done(S->self, o.tag, &r);
    } else {
        mig_outcome out = {.struct_size = sizeof out, .status = status, .json = mig_s(json)};
        if (status > 0)
            out.message = mig_s("refused"), out.details = mig_s("{\"reason\":\"test\"}");
        o.done(S->self, o.tag, &out);
    }
    free(o.text);
    free(o.capability);
}

/* Deliver operations in order of time until none is left. Invocations echo their payload;
 * "test.fail" fails. */
static void stub_run(void)
{
    for (int rounds = 0; rounds < 100000; rounds++) {
        struct stub_op *best = NULL;
        for (int i = 0; i < STUB_OPS; i++)
            if (S->ops[i].kind && (!best || S->ops[i].at_ms < best->at_ms))
                best = &S->ops[i];
        if (!best)
            return;
        if (best->at_ms > S->now_ms)
            S->now_ms = best->at_ms;
        if (best->kind == 2 && !strcmp(best->capability, "test.fail"))
            stub_deliver(best, MIG_UNAVAILABLE, "");
        else if (best->kind == 2) {
            char *text = strdup(best->text);
            stub_deliver(best, MIG_OK, text);
            free(text);
        } else
            stub_deliver(best, MIG_OK, "");
    }
    fail_msg("the operations never end");
}

static struct stub_op *stub_op_at(int n)
{
    for (int i = 0; i < STUB_OPS; i++)
        if (S->ops[i].kind && n-- == 0)
            return &S->ops[i];
    return NULL;
}

static mig_call stub_start(const char *payload)
{
    return stub_start_mode(0, payload, MIG_MODE_UNARY);
}

/* Invoke capability 0 and let it come to its end. */
static struct stub_call *stub_call(const char *payload)
{
    mig_call c = stub_start(payload);
    if (!S->is_manual)
        stub_run();
    return stub_call_of(c);
}

static void stub_cancel(mig_call c)
{
    struct stub_call *s = stub_call_of(c);
    s->is_gone = true;
    if (s->is_open)
        s->cap->on_cancel(S->self, s->cap->data, c);
}

static int stub_setup(void **state)
{
    (void)state;
    stub_new();
    return 0;
}

static int stub_teardown(void **state)
{
    (void)state;
    for (int i = 0; i < STUB_CALLS; i++) {
        struct stub_call *s = &S->calls[i];
        if (s->is_open)
            stub_cancel((mig_call){(uint64_t)i + stub_next_call / STUB_CALLS * STUB_CALLS});
        free(s->result), free(s->message), free(s->details);
    }
    for (int i = 0; i < STUB_OPS; i++)
        if (S->ops[i].kind)
            free(S->ops[i].text), free(S->ops[i].capability);
    if (S->self)
        S->plugin->destroy(S->self);
    pthread_mutex_lock(&S->lock);
    S->is_stopping = true;
    pthread_mutex_unlock(&S->lock);
    pthread_join(S->thread, NULL);
    free(S);
    S = NULL;
    return 0;
}

#define T(name) cmocka_unit_test_setup_teardown(name, stub_setup, stub_teardown)

/* A script with one capability whose function has this body. */
#define BODY(text)                                                                                 \
    "local mig = require 'mig'\n"                                                                  \
    "local c = mig.capability { id = 'test.it', version = '1.0.0' }\n"                             \
    "function c.invoke(call)\n" text "\nend\n"

static struct stub_call *stub_body(const char *script, const char *payload)
{
    mig_status s = stub_load(script);
    if (s != MIG_OK)
        fail_msg("load: %d %s", s, S->log);
    return stub_call(payload);
}

static void assert_result(const struct stub_call *c, const char *json)
{
    assert_int_equal(c->ended, 1);
    if (c->code != MIG_OK)
        fail_msg("code %d: %s / %s", c->code, c->message, S->log);
    assert_string_equal(c->result, json);
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' is not in: %s", part, text);
}

static void assert_has_not(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("'%s' is in: %s", part, text);
}
#endif
