/* run.c: a call from invoke to finish.
 *
 *   invoke -> run -> resume -+-> yield: something will bring the ticket back, on this loop
 *                            +-> the function returned or failed: st->out, then run_end
 *   on_cancel, E_GONE -------> co_close of everything (runs <close> variables), then run_end
 *
 * All Lua work happens in the coroutine under lua_resume, hence protected; the callbacks of the
 * host only move pointers. The host never calls back before its function returns, so there is one
 * resume at a time per state. */
#include "engine.h"

#include <stdlib.h>
#include <string.h>

static struct run **bucket_of(struct state *st, mig_call call)
{
    return &st->runs[(uint32_t)(call.v ^ call.v >> 32) % RUN_BUCKETS];
}

static struct run *run_find(void *self, mig_call call)
{
    struct state *st = engine_here(self);

    if (!st)
        return NULL;
    struct run *run = *bucket_of(st, call);
    while (run && run->call.v != call.v)
        run = run->hash_next;
    return run;
}

static struct run *run_new(struct state *st, mig_call call)
{
    struct run *run = st->free_runs;
    uint32_t gen = run ? run->gen : 1;

    if (run)
        st->free_runs = run->free_next;
    else if (!(run = malloc(sizeof *run)))
        return NULL;
    *run = (struct run){.st = st, .call = call, .gen = gen, .code = MIG_INTERNAL};
    run->main = co_take(st, run);
    if (!run->main) {
        run->free_next = st->free_runs;
        st->free_runs = run;
        return NULL;
    }
    struct run **bucket = bucket_of(st, call);
    run->hash_next = *bucket;
    *bucket = run;
    return run;
}

static void run_free(struct run *run)
{
    struct state *st = run->st;
    struct run **link = bucket_of(st, run->call);

    while (*link != run)
        link = &(*link)->hash_next;
    *link = run->hash_next;
    while (run->msg_head) {
        struct message *m = run->msg_head;
        run->msg_head = m->next;
        free(m);
    }
    run->gen++;
    run->req = NULL;
    run->free_next = st->free_runs;
    st->free_runs = run;
}

/* --- the driver ---------------------------------------------------------------------------------
 */

static void run_end(struct run *run)
{
    struct state *st = run->st;
    const mig_host *h = st->engine->host;
    mig_status s;

    run->req = NULL; /* finish() takes the request away */
    if (run->code == MIG_OK) {
        s = mig_finish_json(h, run->call, st->out.ptr, st->out.len);
        if (s != MIG_OK && s != MIG_E_GONE)
            mig_finish_error(h, run->call, MIG_INTERNAL, "the result could not be sent");
    } else {
        mig_error err = {.struct_size = (uint32_t)sizeof err,
                         .code = run->code,
                         .message = {st->text.ptr, st->text.len},
                         .details = {st->out.ptr, st->out.len},
                         .retry_after_ms = run->retry_after_ms};
        h->finish_error(h, run->call, &err);
    }
    if (run->main->run == run) { /* not closed by run_cancel */
        if (run->main->is_done && !run->main->children)
            co_release(run->main);
        else
            co_close(run->main);
    }
    while (run->cos) { /* left by a mig.all that ran out of memory while it collected */
        run->cos->children = NULL;
        co_close(run->cos);
    }
    run_free(run);
}

/* The caller is gone: close everything, then end the call. */
static void run_cancel(struct run *run)
{
    co_close(run->main);
    settle_fail(run, MIG_TIMEOUT, "the call was cancelled", "cancelled");
    run_end(run);
}

/* A function of mig.all has ended. When it failed, the others are closed before the parent hears.
 */
static void child_ended(struct co *co)
{
    struct co *parent = co->parent;

    parent->pending--;
    if (co->child_status == LUA_ERRMEM)
        co->run->is_out_of_memory = true;
    if (co->child_status == LUA_OK && parent->pending > 0)
        return;
    while (co->child_status != LUA_OK && (parent->children != co || co->sibling)) {
        struct co **link = parent->children == co ? &co->sibling : &parent->children;
        struct co *other = *link;
        *link = other->sibling;
        co_close(other);
    }
    co_make_ready(parent);
}

static void co_resume(struct co *co, int nargs)
{
    struct state *st = co->st;
    struct run *run = co->run;
    int nres = 0;

    co->is_ready = false;
    co->wait = WAIT_NONE;
    slice_begin(st, co);
    int status = lua_resume(co->L, NULL, nargs, &nres);
    slice_end(st);

    if (status == LUA_YIELD) {
        if (co->wait != WAIT_SLICE)
            return;
        const mig_ext_task *task = st->engine->task;
        co->wait = WAIT_OP;
        if (task->after(st->engine->host, run->call, 0, run_done, co_ticket(co)) != MIG_OK)
            run->is_gone = true;
        return;
    }
    co->is_done = true;
    if (co->parent) {
        if (status != LUA_OK)
            co->child_status = status;
        child_ended(co);
        return;
    }
    if (status != LUA_OK) { /* outside the protected function: the result had no JSON form */
        size_t len = 0;
        const char *text = lua_type(co->L, -1) == LUA_TSTRING ? lua_tolstring(co->L, -1, &len) : "";
        run->is_out_of_memory |= status == LUA_ERRMEM;
        settle_fail_script(run, text, len);
        co->is_done = false; /* have it closed and dropped */
    }
    run->is_finished = true;
}

static void run_drive(struct run *run)
{
    while (run->ready_head && !run->is_finished && !run->is_gone) {
        struct co *co = run->ready_head;
        run->ready_head = co->next;
        if (!run->ready_head)
            run->ready_tail = NULL;
        co_resume(co, co->parent && lua_status(co->L) == LUA_OK ? 1 : 0);
    }
    if (run->is_finished)
        run_end(run);
    else if (run->is_gone)
        run_cancel(run);
}

/* --- callbacks of the host -----------------------------------------------------------------------
 */

static void start(struct run *run)
{
    struct co *co = run->main;
    uint32_t ms = run->st->engine->cpu_ms;

    if (run->cap && run->cap->cpu_ms && run->cap->cpu_ms < ms)
        ms = run->cap->cpu_ms;
    run->cpu_budget_ns = (uint64_t)ms * 1000000;
    lua_pushcfunction(co->L, settle_main);
    co_resume(co, 0);
    run_drive(run);
}

void run_invoke(void *self, void *data, mig_call call, const mig_request *req)
{
    struct engine *e = self;
    struct state *st = engine_here(e);
    struct run *run = st ? run_new(st, call) : NULL;

    if (!run) {
        mig_finish_error(e->host, call, st ? MIG_BACKPRESSURE : MIG_INTERNAL,
                         st ? "the script has no memory left for another call"
                            : "a Lua capability was called outside the event loops");
        return;
    }
    run->cap = data;
    run->req = req;
    start(run);
}

void run_on_tick(void *self, void *data, mig_call tick)
{
    struct engine *e = self;
    struct state *st = engine_here(e);
    struct run *run = st ? run_new(st, tick) : NULL;

    if (!run) {
        mig_finish_error(e->host, tick, MIG_BACKPRESSURE, "no memory left for the timer");
        return;
    }
    run->timer = data;
    start(run);
}

void run_on_cancel(void *self, void *data, mig_call call)
{
    struct run *run = run_find(self, call);

    (void)data;
    if (run)
        run_cancel(run);
}

void run_on_writable(void *self, void *data, mig_call call)
{
    struct run *run = run_find(self, call);

    (void)data;
    if (!run)
        return;
    for (struct co *co = run->cos; co; co = co->run_next)
        if (co->wait == WAIT_WRITABLE)
            co_make_ready(co);
    run_drive(run);
}

static void wake_readers(struct run *run)
{
    for (struct co *co = run->cos; co; co = co->run_next)
        if (co->wait == WAIT_MESSAGE)
            co_make_ready(co);
    run_drive(run);
}

void run_on_message(void *self, void *data, mig_call call, mig_str json)
{
    struct run *run = run_find(self, call);
    struct message *m;

    (void)data;
    if (!run)
        return;
    if (run->msg_count >= 1024 || !(m = malloc(sizeof *m + json.len))) {
        run->is_gone = true; /* cannot happen with a host that counts grants */
        run_drive(run);
        return;
    }
    m->next = NULL;
    m->len = json.len;
    memcpy(m->text, json.ptr, json.len);
    if (run->msg_tail)
        run->msg_tail->next = m;
    else
        run->msg_head = m;
    run->msg_tail = m;
    run->msg_count++;
    wake_readers(run);
}

void run_on_half_close(void *self, void *data, mig_call call)
{
    struct run *run = run_find(self, call);

    (void)data;
    if (!run)
        return;
    run->is_half_closed = true;
    wake_readers(run);
}

static void completed(void *self, void *tag, const void *outcome, mig_status status)
{
    struct co *co = co_of_ticket(self, tag);

    if (!co)
        return;
    struct run *run = co->run;
    if (status == MIG_E_GONE) {
        run_cancel(run);
        return;
    }
    co->in = outcome;
    co_resume(co, 0);
    co->in = NULL;
    run_drive(run);
}

void run_done(void *self, void *tag, const mig_outcome *out)
{
    completed(self, tag, out, out->status);
}

void run_kv_done(void *self, void *tag, const mig_kv_result *r)
{
    completed(self, tag, r, r->status);
}

void run_deinit(struct state *st)
{
    for (uint32_t i = 0; i < st->slot_count; i++)
        free(st->slots[i]);
    free(st->slots);
    while (st->free_runs) {
        struct run *run = st->free_runs;
        st->free_runs = run->free_next;
        free(run);
    }
}
