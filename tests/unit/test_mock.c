/* mig/sdk/mock.h: the mock host keeps the laws of the ABI and sees who does not. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mig/sdk/mock.h"

/* A plugin whose one capability does what `script` says, so that each test reads in one place. */
struct rogue {
    const mig_host *host;
    mig_call call, ex, op;
    char note[64];
    int inside, overlaps, half_closes, released, ticks, dones, cancels, writables, sent;
    mig_status last;
    const char *script;
};
static struct rogue rogue;

static int does(const char *what)
{
    return !strcmp(rogue.script, what);
}

static void release(void *owner)
{
    (*(int *)owner)++;
}

static void done(void *self, void *tag, const mig_outcome *o)
{
    struct rogue *r = (struct rogue *)self;

    r->dones++;
    r->last = o->status;
    snprintf(r->note, sizeof r->note, "%.*s|%.*s", (int)o->json.len, o->json.ptr,
             (int)o->details.len, o->details.ptr);
    if (tag)
        mig_finish_json(r->host, r->call, "{}", 2);
}

static void kv_done(void *self, void *tag, const mig_kv_result *kv)
{
    struct rogue *r = (struct rogue *)self;

    (void)tag;
    r->dones++;
    r->last = kv->status;
    snprintf(r->note, sizeof r->note, "%.*s", (int)kv->value.len, kv->value.ptr);
}

static void fill(struct rogue *r)
{
    mig_payload p = {mig_s("{\"n\":1}"), release, &r->released};

    while (r->sent < 100 && (r->last = r->host->send(r->host, r->call, &p)) == MIG_OK)
        r->sent++;
    if (r->sent == 100)
        mig_finish_json(r->host, r->call, "{}", 2);
}

static void invoke(void *self, void *data, mig_call call, const mig_request *req)
{
    struct rogue *r = (struct rogue *)self;
    const mig_host *h = r->host;
    const mig_ext_task *task = (const mig_ext_task *)h->get_extension(h, MIG_EXT_TASK);
    const mig_ext_invoke *other = (const mig_ext_invoke *)h->get_extension(h, MIG_EXT_INVOKE);
    const mig_ext_stream *stream = (const mig_ext_stream *)h->get_extension(h, MIG_EXT_STREAM);
    mig_payload p = {req->payload, NULL, NULL};
    const mig_outcome *out;
    mig_str got;
    (void)data;

    r->inside++;
    r->call = call;
    if (does("echo") || does("twice"))
        r->last = h->finish(h, call, &p);
    if (does("twice"))
        r->last = mig_finish_json(h, call, "{}", 2);
    if (does("no json"))
        r->last = mig_finish_json(h, call, "nope", 4);
    if (does("bad code"))
        r->last = mig_finish_error(h, call, (mig_status)99, "");
    if (does("stale"))
        r->last = mig_finish_json(h, (mig_call){42}, "{}", 2);
    if (does("release")) {
        p.release = release;
        p.owner = &r->released;
        h->finish(h, call, &p);
        assert_int_equal(r->released, 0); /* never before the function returned */
    }
    if (does("fill"))
        fill(r);
    if (does("send_wait"))
        for (r->sent = 0; r->sent < 100; r->sent++)
            if ((r->last = stream->send_wait(h, call, &p)) != MIG_OK)
                break;
    if (does("recv_wait")) {
        while ((r->last = stream->recv_wait(h, call, &got)) == MIG_OK)
            r->sent++;
        mig_finish_json(h, call, "{}", 2);
    }
    if (does("after"))
        task->after(h, call, 500, done, r);
    if (does("other"))
        other->invoke(h, call, mig_s("example.other"), &p, done, r);
    if (does("self"))
        other->invoke(h, call, mig_s("test.rogue"), &p, done, NULL);
    if (does("other_wait")) {
        r->last = other->invoke_wait(h, call, mig_s("example.other"), &p, &out);
        h->finish(h, call, &(mig_payload){out->json, NULL, NULL});
    }
    if (does("send_wait"))
        mig_finish_json(h, call, "{}", 2);
    r->inside--;
}

static void on_half_close(void *self, void *data, mig_call call)
{
    (void)data;
    (void)call;
    ((struct rogue *)self)->half_closes++;
    ((struct rogue *)self)->overlaps += ((struct rogue *)self)->inside;
}

static void on_cancel(void *self, void *data, mig_call call)
{
    (void)data;
    (void)call;
    ((struct rogue *)self)->cancels++;
}

static void on_writable(void *self, void *data, mig_call call)
{
    (void)data;
    (void)call;
    ((struct rogue *)self)->writables++;
    fill((struct rogue *)self);
}

static void on_tick(void *self, void *data, mig_call tick)
{
    struct rogue *r = (struct rogue *)self;

    (void)data;
    r->ticks++;
    if (!does("slow ticks"))
        mig_finish_json(r->host, tick, "{}", 2);
}

static void on_frames_done(void *self, void *tag, mig_call ex, const mig_outcome *o)
{
    const mig_host *h = ((struct rogue *)self)->host;

    (void)tag;
    h->finish(h, ex, &(mig_payload){o->envelope, NULL, NULL});
}

static mig_status on_frame(void *self, void *tag, mig_call ex, mig_str json)
{
    struct rogue *r = (struct rogue *)self;

    (void)tag;
    return r->host->send(r->host, ex, &(mig_payload){json, NULL, NULL});
}

static void on_open(void *self, void *tag, mig_call ex, mig_call op)
{
    (void)tag;
    (void)ex;
    ((struct rogue *)self)->op = op;
}

static void on_request(void *self, void *data, mig_call ex, const mig_http_request *rq)
{
    const mig_host *h = ((struct rogue *)self)->host;
    const mig_ext_http *http = (const mig_ext_http *)h->get_extension(h, MIG_EXT_HTTP);
    const mig_ext_binding *b = (const mig_ext_binding *)h->get_extension(h, MIG_EXT_BINDING);
    mig_header header = {mig_s("content-type"), mig_s("text/plain")};
    mig_header own = {mig_s("date"), mig_s("today")};
    mig_submit s;
    (void)data;

    memset(&s, 0, sizeof s);
    if (does("own header"))
        ((struct rogue *)self)->last = http->respond(h, ex, 200, &own, 1);
    http->respond(h, ex, 201, &header, 1);
    if (does("release request")) {
        struct rogue *r = (struct rogue *)self;
        r->call = ex;
        r->last = http->release_request(h, ex);
        snprintf(r->note, sizeof r->note, "%.*s|%.*s", (int)rq->params[0].len, rq->params[0].ptr,
                 (int)rq->query.len, rq->query.ptr); /* still there */
        return;
    }
    if (!does("submit")) {
        h->send(h, ex, &(mig_payload){rq->params[0], NULL, NULL});
        h->finish(h, ex, &(mig_payload){mig_s("!"), NULL, NULL});
        return;
    }
    s.struct_size = sizeof s;
    s.target = rq->params[0];
    s.on_open = on_open;
    s.on_frame = on_frame;
    s.on_done = on_frames_done;
    b->submit(h, ex, &s);
}

static void check(void *self, void *data, mig_call probe)
{
    (void)data;
    mig_finish_error(((struct rogue *)self)->host, probe, MIG_UNAVAILABLE, "not today");
}

static mig_status create(const mig_host *host, mig_str config, void **ret_self)
{
    (void)config;
    rogue = (struct rogue){.host = host, .script = rogue.script};
    *ret_self = &rogue;
    return MIG_OK;
}

static mig_status describe(void *self, const mig_registrar *reg)
{
    struct {
        mig_capability cap;
        uint64_t future;
    } cap = {{.struct_size = sizeof cap,
              .modes = 15,
              .id = "test.rogue",
              .version = "1.0.0",
              .max_concurrency = does("serial") ? 1 : 0,
              .invoke = invoke,
              .on_cancel = on_cancel,
              .on_writable = on_writable,
              .on_half_close = on_half_close},
             (uint64_t)does("future")};
    mig_timer timer = {
        .struct_size = sizeof timer, .name = "t", .every_ms = 100, .on_tick = on_tick};
    mig_http_route route = {.struct_size = sizeof route,
                            .method = "GET",
                            .pattern = "/x/{name}",
                            .on_request = on_request};
    mig_health health = {.struct_size = sizeof health, .check = check};
    (void)self;

    if (does("small"))
        cap.cap.struct_size = 8;
    reg->extend(reg, MIG_EXT_TIMER, &timer);
    reg->extend(reg, MIG_EXT_HTTP_ROUTE, &route);
    reg->extend(reg, MIG_EXT_HEALTH, &health);
    return reg->capability(reg, &cap.cap);
}

static void destroy(void *self)
{
    (void)self;
}

static const mig_plugin plugin = {
    sizeof plugin, 0,   "org.example.rogue", "1.0.0", "", NULL, create, describe, NULL, NULL,
    destroy,       NULL};
MIG_PLUGIN_ENTRY(rogue, &plugin);

static mock_host *begin(const char *script)
{
    mock_host *m = mock_host_new();

    rogue.script = script;
    assert_int_equal(mock_load(m, &mig_plugin_entry, NULL), MIG_OK);
    assert_int_equal(mock_create(m, "{}"), MIG_OK);
    assert_int_equal(mock_describe(m), MIG_OK);
    return m;
}

static mig_call invoke_now(mock_host *m, uint32_t mode)
{
    mig_call c = mock_invoke(m, "test.rogue", "{\"a\":1}", mode);

    mock_run(m);
    return c;
}

static void end(mock_host *m, size_t faults)
{
    if (mock_fault_count(m) != faults)
        fail_msg("%zu faults: %s", mock_fault_count(m), mock_fault(m, 0));
    mock_quiesce(m);
    assert_int_equal(mock_destroy(m), 1);
    mock_host_free(m);
}

static void refuses_wrong_modules(void **state)
{
    mig_plugin_entry_t e = mig_plugin_entry;
    mig_plugin p = plugin;
    char why[256];
    (void)state;

    assert_false(mock_entry_ok(NULL, why, sizeof why));
    assert_non_null(strstr(why, "not a migd plugin"));
    e.abi_major = 7;
    assert_false(mock_entry_ok(&e, why, sizeof why));
    assert_non_null(strstr(why, "major 7, this host has 1"));
    e = mig_plugin_entry;
    e.needs_minor = 9;
    assert_false(mock_entry_ok(&e, why, sizeof why));
    assert_non_null(strstr(why, "needs plugin ABI 1.9, this host has 1.0"));
    e = mig_plugin_entry;
    e.struct_size = 4;
    assert_false(mock_entry_ok(&e, why, sizeof why));
    p.id = "noid";
    assert_false(mock_plugin_ok(&p, why, sizeof why));
    p = plugin;
    p.version = "1.0";
    assert_false(mock_plugin_ok(&p, why, sizeof why));
    p = plugin;
    p.destroy = NULL;
    assert_false(mock_plugin_ok(&p, why, sizeof why));
    assert_non_null(strstr(why, "destroy"));
}

static void a_call_ends_with_its_result(void **state)
{
    mock_host *m = begin("echo");
    mig_call c = mock_invoke(m, "test.rogue", "{\"a\":1}", MIG_MODE_UNARY);
    (void)state;

    assert_int_equal(mock_status(m, c), MIG_E_AGAIN); /* nothing runs inside mock_invoke */
    assert_int_equal(mock_await(m, c), MIG_OK);
    assert_string_equal(mock_result(m, c), "{\"a\":1}");
    end(m, 0);
}

static void unknown_capability_and_bad_payload_are_refused(void **state)
{
    mock_host *m = begin("echo");
    (void)state;

    assert_int_equal(mock_await(m, mock_invoke(m, "no.such", "{}", 1)), MIG_UNSUPPORTED_CAPABILITY);
    assert_int_equal(mock_await(m, mock_invoke(m, "test.rogue", "{", 1)), MIG_INVALID_REQUEST);
    end(m, 0);
}

static void broken_laws_are_faults(void **state)
{
    static const struct {
        const char *script;
        mig_status answer, told;
    } rows[] = {
        {"twice", MIG_E_GONE, MIG_OK},
        {"no json", MIG_E_ARG, MIG_INTERNAL},
        {"bad code", MIG_E_ARG, MIG_INTERNAL},
    };
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        mock_host *m = begin(rows[i].script);
        mig_call c = invoke_now(m, MIG_MODE_UNARY);
        assert_int_equal(rogue.last, rows[i].answer);
        assert_int_equal(mock_status(m, c), rows[i].told);
        end(m, 1);
    }
}

static void a_stale_handle_ends_nothing(void **state)
{
    mock_host *m = begin("stale");
    mig_call c = invoke_now(m, MIG_MODE_UNARY);
    (void)state;

    assert_int_equal(rogue.last, MIG_E_GONE);
    assert_int_equal(m->stale, 1);
    assert_int_equal(mock_debt(m), 1);
    assert_int_equal(mock_destroy(m), 0); /* a host would abandon it */
    assert_int_equal(mig_finish_json(rogue.host, c, "{}", 2), MIG_OK);
    end(m, 2);
}

static void struct_size_is_kept(void **state)
{
    mock_host *m;
    (void)state;

    rogue.script = "future";
    m = mock_host_new();
    mock_load_plugin(m, &plugin);
    mock_create(m, "{}");
    assert_int_equal(mock_describe(m), MIG_E_NOSYS); /* an unknown wish is refused */
    rogue.script = "small";
    assert_int_equal(mock_describe(m), MIG_E_ARG);
    rogue.script = "echo";
    assert_int_equal(mock_describe(m), MIG_OK); /* zeros behind the end are fine */
    end(m, 2);
}

static void payloads_are_released_once_and_later(void **state)
{
    mock_host *m = begin("release");
    mig_call c = mock_invoke(m, "test.rogue", "{}", MIG_MODE_UNARY);
    (void)state;

    assert_int_equal(mock_await(m, c), MIG_OK);
    assert_int_equal(rogue.released, 1);
    end(m, 0);
}

static void the_deadline_answers_and_the_plugin_still_owes(void **state)
{
    mock_host *m = begin("hang");
    mig_call c = invoke_now(m, MIG_MODE_UNARY);
    (void)state;

    assert_int_equal(mock_await(m, c), MIG_TIMEOUT);
    assert_int_equal(rogue.cancels, 1);
    assert_int_equal(rogue.host->is_cancelled(rogue.host, c), 1);
    assert_int_equal(mock_debt(m), 1);
    assert_int_equal(mig_finish_json(rogue.host, c, "{}", 2), MIG_OK);
    assert_int_equal(mock_status(m, c), MIG_TIMEOUT); /* the first answer counts */
    end(m, 0);
}

static void cancel_reaches_the_plugin(void **state)
{
    mock_host *m = begin("hang");
    mig_call c = invoke_now(m, MIG_MODE_UNARY);
    (void)state;

    mock_cancel(m, c);
    mock_run(m);
    assert_int_equal(rogue.cancels, 1);
    mig_finish_error(rogue.host, c, MIG_TIMEOUT, "cancelled");
    end(m, 0);
}

static void a_full_stream_says_again_until_it_is_read(void **state)
{
    mock_host *m = begin("fill");
    mig_call c;
    (void)state;

    m->caller.reads_slowly = 1;
    c = invoke_now(m, MIG_MODE_SERVER_STREAM);
    assert_int_equal(rogue.sent, MOCK_CREDIT_FRAMES);
    assert_int_equal(rogue.last, MIG_E_AGAIN);
    mock_read(m, c, 10);
    mock_run(m);
    assert_int_equal(rogue.writables, 1);
    assert_int_equal(rogue.sent, MOCK_CREDIT_FRAMES + 10);
    mock_read(m, c, 64);
    assert_int_equal(mock_await(m, c), MIG_OK);
    assert_int_equal(mock_frame_count(m, c), 100);
    assert_int_equal(rogue.released, 100); /* AGAIN took nothing */
    end(m, 0);
}

static void waiting_functions_let_the_world_go_on(void **state)
{
    mock_host *m = begin("send_wait");
    mig_call c = invoke_now(m, MIG_MODE_SERVER_STREAM);
    (void)state;

    assert_int_equal(mock_status(m, c), MIG_OK);
    assert_int_equal(mock_frame_count(m, c), 100);
    m->caller.reads_slowly = 1;
    c = invoke_now(m, MIG_MODE_SERVER_STREAM);
    assert_int_equal(rogue.last, MIG_TIMEOUT);
    assert_int_equal(mock_status(m, c), MIG_TIMEOUT);
    end(m, 0);
}

static void callbacks_of_a_call_never_overlap(void **state)
{
    mock_host *m = begin("send_wait");
    mig_call c = mock_invoke(m, "test.rogue", "{}", MIG_MODE_BIDI);
    (void)state;

    mock_half_close(m, c); /* due while invoke() waits in send_wait() */
    assert_int_equal(mock_await(m, c), MIG_OK);
    assert_int_equal(rogue.overlaps, 0);
    rogue.script = "hang";
    c = mock_invoke(m, "test.rogue", "{}", MIG_MODE_BIDI);
    mock_half_close(m, c);
    mock_run(m);
    assert_int_equal(rogue.half_closes, 1);
    mig_finish_json(rogue.host, c, "{}", 2);
    end(m, 0);
}

static void messages_are_limited_by_grant(void **state)
{
    mock_host *m = begin("recv_wait");
    mig_call c = mock_invoke(m, "test.rogue", "{}", MIG_MODE_CLIENT_STREAM);
    (void)state;

    for (int i = 0; i < 16; i++)
        assert_int_equal(mock_message(m, c, "{}"), MIG_OK);
    assert_int_equal(mock_message(m, c, "{}"), MIG_E_AGAIN);
    mock_half_close(m, c);
    assert_int_equal(mock_await(m, c), MIG_OK);
    assert_int_equal(rogue.sent, 16);
    assert_int_equal(rogue.last, MIG_NOT_FOUND);
    end(m, 0);
}

static void timers_of_a_call_follow_the_clock_and_the_cancel(void **state)
{
    mock_host *m = begin("after");
    mig_call c = invoke_now(m, MIG_MODE_UNARY);
    (void)state;

    mock_advance(m, 499);
    assert_int_equal(rogue.dones, 0);
    mock_advance(m, 1);
    assert_int_equal(rogue.dones, 1);
    assert_int_equal(mock_status(m, c), MIG_OK);
    c = invoke_now(m, MIG_MODE_UNARY);
    mock_cancel(m, c);
    mock_run(m);
    assert_int_equal(rogue.dones, 2);
    assert_int_equal(rogue.last, MIG_E_GONE);
    end(m, 0);
}

static void nested_calls_answer_on_the_strand(void **state)
{
    mock_host *m = begin("other");
    mig_call c;
    (void)state;

    mock_answer(m, "example.other", MIG_OK, "{\"from\":\"other\"}", 20);
    c = invoke_now(m, MIG_MODE_UNARY);
    assert_int_equal(mock_debt(m), 2);
    assert_int_equal(mock_await(m, c), MIG_OK);
    assert_string_equal(rogue.note, "{\"from\":\"other\"}|");
    mock_answer(m, "example.other", MIG_NOT_FOUND, "no such thing", 0);
    c = invoke_now(m, MIG_MODE_UNARY);
    assert_int_equal(rogue.last, MIG_NOT_FOUND);
    rogue.script = "other_wait";
    mock_answer(m, "example.other", MIG_OK, "[7]", 20);
    c = mock_invoke(m, "test.rogue", "{}", MIG_MODE_UNARY);
    assert_int_equal(mock_await(m, c), MIG_OK);
    assert_string_equal(mock_result(m, c), "[7]");
    end(m, 0);
}

static void a_chain_of_calls_ends_at_the_hop_limit(void **state)
{
    mock_host *m = begin("self");
    (void)state;

    invoke_now(m, MIG_MODE_UNARY);
    assert_int_equal(rogue.last, MIG_INVALID_REQUEST);
    assert_string_equal(rogue.note, "|{\"reason\":\"hop_limit\"}");
    for (size_t i = 0; i < m->calls.count; i++)
        if (!mock_is_ended(m, (mig_call){((mock_call *)m->calls.items[i])->v}))
            mig_finish_json(rogue.host, (mig_call){((mock_call *)m->calls.items[i])->v}, "{}", 2);
    mock_run(m);
    end(m, 0);
}

static void kv_compares_and_expires(void **state)
{
    mock_host *m = begin("hang");
    const mig_ext_kv *kv = (const mig_ext_kv *)m->host.get_extension(&m->host, MIG_EXT_KV);
    mig_call none = {0};
    (void)state;

    kv->get(&m->host, none, mig_s("k"), kv_done, NULL);
    mock_run(m);
    assert_int_equal(rogue.last, MIG_NOT_FOUND);
    kv->put(&m->host, none, mig_s("k"), mig_s("v"), 0, 1000, kv_done, NULL);
    kv->get(&m->host, none, mig_s("k"), kv_done, NULL);
    assert_int_equal(mock_debt(m), 2);
    mock_run(m);
    assert_string_equal(rogue.note, "v");
    kv->put(&m->host, none, mig_s("k"), mig_s("w"), 0, 0, kv_done, NULL);
    mock_run(m);
    assert_int_equal(rogue.last, MIG_VERSION_MISMATCH);
    assert_string_equal(mock_kv_value(m, "k"), "v");
    mock_advance(m, 1000);
    assert_null(mock_kv_value(m, "k"));
    kv->del(&m->host, none, mig_s("k"), MIG_KV_ANY, kv_done, NULL);
    mock_run(m);
    assert_int_equal(rogue.last, MIG_NOT_FOUND);
    end(m, 0);
}

static void ticks_are_skipped_while_one_runs(void **state)
{
    mock_host *m = begin("slow ticks");
    (void)state;

    mock_start(m);
    mock_advance(m, 350);
    assert_int_equal(rogue.ticks, 1);
    mig_finish_json(rogue.host, ((mock_timer *)m->catalogue->timers.items[0])->running, "{}", 2);
    rogue.script = "ticks";
    mock_advance(m, 100);
    assert_int_equal(rogue.ticks, 2);
    mock_quiesce(m);
    mock_advance(m, 1000);
    assert_int_equal(rogue.ticks, 2);
    end(m, 0);
}

static void serial_capabilities_run_one_by_one(void **state)
{
    mock_host *m = begin("serial");
    mig_call a = mock_invoke(m, "test.rogue", "{}", 1), b = mock_invoke(m, "test.rogue", "{}", 1);
    (void)state;

    mock_run(m);
    assert_int_equal(rogue.call.v, a.v);
    mig_finish_json(rogue.host, a, "{}", 2);
    mock_run(m);
    assert_int_equal(rogue.call.v, b.v);
    mig_finish_json(rogue.host, b, "{}", 2);
    end(m, 0);
}

static void routes_answer_and_host_headers_are_refused(void **state)
{
    mock_host *m = begin("own header");
    mig_call ex = mock_http(m, "GET", "/x/ada?q=1", "");
    (void)state;

    assert_int_equal(mock_await(m, ex), MIG_OK);
    assert_int_equal(mock_look(m, ex)->http_status, 201);
    assert_string_equal(mock_result(m, ex), "ada!");
    assert_string_equal(mock_header(m, ex, "content-type"), "text/plain");
    assert_int_equal(rogue.last, MIG_E_ARG);
    assert_int_equal(mock_http(m, "GET", "/y", "").v, 0);
    end(m, 1);
}

static const mig_ext_http *http_of(mock_host *m)
{
    return (const mig_ext_http *)m->host.get_extension(&m->host, MIG_EXT_HTTP);
}

static void a_released_request_is_gone_when_its_callback_has_returned(void **state)
{
    static const mig_http_request nothing;
    mock_host *m = begin("release request");
    mig_call ex = mock_http(m, "GET", "/x/ada?q=1", "body");
    const mock_call *c = mock_look(m, ex);
    (void)state;

    assert_int_equal(c->http.body.len, 4);
    mock_run(m);
    assert_int_equal(rogue.last, MIG_OK);
    assert_string_equal(rogue.note, "ada|q=1");
    assert_memory_equal(&c->http, &nothing, sizeof nothing);
    /* The exchange itself goes on, and may be released again. */
    assert_int_equal(http_of(m)->release_request(&m->host, ex), MIG_OK);
    mock_run(m);
    assert_int_equal(mock_status(m, ex), MIG_E_AGAIN);
    m->host.send(&m->host, ex, &(mig_payload){mig_s("later"), NULL, NULL});
    m->host.finish(&m->host, ex, &(mig_payload){mig_s("!"), NULL, NULL});
    assert_int_equal(mock_await(m, ex), MIG_OK);
    assert_string_equal(mock_result(m, ex), "later!");
    assert_string_equal(mock_header(m, ex, "content-type"), "text/plain");
    end(m, 0);
}

static void no_request_is_released_after_the_end(void **state)
{
    mock_host *m = begin("release request");
    mig_call ex = mock_http(m, "GET", "/x/ada", "");
    (void)state;

    mock_run(m);
    mock_cancel(m, ex); /* the client has left: not the plugin's fault */
    mock_run(m);
    assert_int_equal(http_of(m)->release_request(&m->host, ex), MIG_E_GONE);
    assert_int_equal(mock_fault_count(m), 0);
    m->host.finish(&m->host, ex, &(mig_payload){mig_s(""), NULL, NULL});
    mock_run(m);
    assert_int_equal(http_of(m)->release_request(&m->host, ex), MIG_E_GONE);
    assert_int_equal(mock_fault_count(m), 1); /* but this is: it has ended it */
    assert_non_null(strstr(mock_fault(m, 0), "release_request"));
    end(m, 1);
}

static void only_exchanges_have_a_request_to_release(void **state)
{
    mock_host *m = begin("hang");
    mig_call c = invoke_now(m, MIG_MODE_UNARY);
    (void)state;

    assert_int_equal(http_of(m)->release_request(&m->host, c), MIG_E_ARG);
    assert_non_null(strstr(mock_fault(m, 0), "no exchange"));
    assert_int_equal(http_of(m)->release_request(&m->host, (mig_call){42}), MIG_E_GONE);
    assert_int_equal(mig_finish_json(rogue.host, c, "{}", 2), MIG_OK);
    assert_int_equal(mock_await(m, c), MIG_OK);
    end(m, 2);
}

static void submissions_bring_frames_and_an_envelope(void **state)
{
    mock_host *m = begin("submit");
    mig_call ex = mock_http(m, "GET", "/x/example.other", "");
    (void)state;

    mock_answer(m, "example.other", MIG_OK, "{\"a\":1}", 50);
    mock_run(m);
    assert_int_equal(mock_submission(m).v, rogue.op.v);
    mock_frame(m, rogue.op, "[1]");
    assert_int_equal(mock_await(m, ex), MIG_OK);
    assert_non_null(strstr(mock_result(m, ex), "[1]{\"header\":{\"mig_version\":\"0.1\""));
    assert_non_null(strstr(mock_result(m, ex), "\"payload\":{\"a\":1}}"));
    end(m, 0);
}

static void probes_tell_health(void **state)
{
    mock_host *m = begin("echo");
    mig_call c = mock_probe(m, 0);
    (void)state;

    mock_run(m);
    assert_int_equal(mock_status(m, c), MIG_UNAVAILABLE);
    assert_string_equal(mock_error_message(m, c), "not today");
    assert_int_equal(mock_probe(m, 1).v, 0);
    end(m, 0);
}

static void a_test_can_take_extensions_away(void **state)
{
    mock_host *m = begin("echo");
    (void)state;

    assert_non_null(m->host.get_extension(&m->host, MIG_EXT_KV));
    mock_offer_table(m, MIG_EXT_KV, NULL);
    assert_null(m->host.get_extension(&m->host, MIG_EXT_KV));
    assert_null(m->host.get_extension(&m->host, "org.example.none/1"));
    end(m, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_wrong_modules),
        cmocka_unit_test(a_call_ends_with_its_result),
        cmocka_unit_test(unknown_capability_and_bad_payload_are_refused),
        cmocka_unit_test(broken_laws_are_faults),
        cmocka_unit_test(a_stale_handle_ends_nothing),
        cmocka_unit_test(struct_size_is_kept),
        cmocka_unit_test(payloads_are_released_once_and_later),
        cmocka_unit_test(the_deadline_answers_and_the_plugin_still_owes),
        cmocka_unit_test(cancel_reaches_the_plugin),
        cmocka_unit_test(a_full_stream_says_again_until_it_is_read),
        cmocka_unit_test(waiting_functions_let_the_world_go_on),
        cmocka_unit_test(callbacks_of_a_call_never_overlap),
        cmocka_unit_test(messages_are_limited_by_grant),
        cmocka_unit_test(timers_of_a_call_follow_the_clock_and_the_cancel),
        cmocka_unit_test(nested_calls_answer_on_the_strand),
        cmocka_unit_test(a_chain_of_calls_ends_at_the_hop_limit),
        cmocka_unit_test(kv_compares_and_expires),
        cmocka_unit_test(ticks_are_skipped_while_one_runs),
        cmocka_unit_test(serial_capabilities_run_one_by_one),
        cmocka_unit_test(routes_answer_and_host_headers_are_refused),
        cmocka_unit_test(a_released_request_is_gone_when_its_callback_has_returned),
        cmocka_unit_test(no_request_is_released_after_the_end),
        cmocka_unit_test(only_exchanges_have_a_request_to_release),
        cmocka_unit_test(submissions_bring_frames_and_an_envelope),
        cmocka_unit_test(probes_tell_health),
        cmocka_unit_test(a_test_can_take_extensions_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
