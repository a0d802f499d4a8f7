/* hostile: one capability per misdeed. The daemon must live, answer the caller, and serve others.
 * Configuration {"name":"x"} makes the ids test.x.*; instances of one module share the globals. */
#define _POSIX_C_SOURCE 200809L
#include "common.h"
#include <mig/ext/kv.h>
#include <mig/ext/stream.h>
#include <mig/ext/task.h>
#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 10, HUGE_BYTES = 16 << 20 };

struct hostile {
    const mig_host *host;
    const mig_ext_kv *kv;
    const mig_ext_task *task;
    const mig_ext_stream *stream;
    char name[32];
    atomic_ulong wins, losses, continuations;
};

static _Atomic uint64_t victim; /* a call of some instance, for foreign_call */

static void never_ends(void *self, void *data, mig_call call, const mig_request *req)
{
    (void)self;
    (void)data;
    (void)call;
    (void)req;
}

static void ends_twice(void *self, void *data, mig_call call, const mig_request *req)
{
    struct hostile *s = self;
    (void)data;
    (void)req;

    finish_text(s->host, call, "{\"end\":1}");
    for (int i = 0; i < 3; i++)
        if (mig_finish_json(s->host, call, "{\"end\":2}", 9) == MIG_E_GONE)
            atomic_fetch_add(&s->losses, 1);
    if (mig_finish_error(s->host, call, MIG_INTERNAL, "again") == MIG_E_GONE)
        atomic_fetch_add(&s->losses, 1);
}

/* Ends {"ms"} later, whatever the deadline was. */
static void ends_late(void *self, void *data, mig_call call, const mig_request *req)
{
    struct hostile *s = self;
    (void)data;

    nap_ms(number(req->payload, "ms", 300));
    finish_text(s->host, call, "{\"late\":true}");
    finish_text(s->host, call, "{\"late\":\"twice\"}");
}

struct team {
    struct hostile *s;
    mig_call call;
    pthread_barrier_t start;
    atomic_int left;
};

static void *one_of_ten(void *arg)
{
    struct team *t = arg;

    pthread_barrier_wait(&t->start);
    mig_status status = mig_finish_json(t->s->host, t->call, "{\"one\":\"of ten\"}", 16);
    atomic_fetch_add(status == MIG_OK ? &t->s->wins : &t->s->losses, 1);
    if (atomic_fetch_sub(&t->left, 1) == 1)
        free(t);
    return NULL;
}

static void ten_threads(void *self, void *data, mig_call call, const mig_request *req)
{
    struct team *t = calloc(1, sizeof *t);
    pthread_t threads[THREADS];
    (void)data;
    (void)req;

    t->s = self;
    t->call = call;
    atomic_init(&t->left, THREADS + 1);
    pthread_barrier_init(&t->start, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, one_of_ten, t);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&t->start);
    free(t);
}

static void garbage(void *self, void *data, mig_call call, const mig_request *req)
{
    static const char *const texts[] = {
        "{\"a\":", "", "nonsense", "{\"a\":1}{\"b\":2}", "\"\xff\"", "{\"a\":1,\"a\":2}"};
    struct hostile *s = self;
    uint64_t which = number(req->payload, "which", 0);
    (void)data;

    finish_text(s->host, call, texts[which % (sizeof texts / sizeof texts[0])]);
}

static void garbage_error(void *self, void *data, mig_call call, const mig_request *req)
{
    struct hostile *s = self;
    mig_error e = {sizeof e, MIG_NOT_FOUND, mig_s("\xff\xfe\n"), mig_s("[not an object"), 0, 0};
    (void)data;

    if (number(req->payload, "code", 0))
        e.code = 4711;
    s->host->finish_error(s->host, call, &e);
}

static void garbage_frame(void *self, void *data, mig_call call, const mig_request *req)
{
    struct hostile *s = self;
    mig_payload good = {mig_s("{\"frame\":1}"), NULL, NULL}, bad = {mig_s("{frame"), NULL, NULL};
    (void)data;
    (void)req;

    s->stream->send_wait(s->host, call, &good);
    s->stream->send_wait(s->host, call, &bad);
    s->stream->send_wait(s->host, call, &good);
    finish_text(s->host, call, "{\"frames\":\"sent\"}");
}

static void blocks_loop(void *self, void *data, mig_call call, const mig_request *req)
{
    struct hostile *s = self;
    const mig_host *h = s->host;
    uint64_t until = h->now_ns(h) + number(req->payload, "ms", 300) * 1000000u;
    (void)data;

    while (h->now_ns(h) < until)
        ;
    finish_text(h, call, "{\"blocked\":true}");
}

static void kv_done(void *self, void *tag, const mig_kv_result *r)
{
    struct hostile *s = self;
    (void)tag;
    (void)r;
    atomic_fetch_add(&s->continuations, 1);
}

static void task_done(void *self, void *tag, const mig_outcome *out)
{
    struct hostile *s = self;
    (void)tag;
    (void)out;
    atomic_fetch_add(&s->continuations, 1);
}

static void leaks(void *self, void *data, mig_call call, const mig_request *req)
{
    struct hostile *s = self;
    uint64_t started = 0;
    char out[64];
    (void)data;
    (void)req;

    for (int i = 0; i < 20; i++) {
        started += s->kv->put(s->host, call, mig_s("leak"), mig_s("1"), MIG_KV_ANY, 0, kv_done,
                              NULL) == MIG_OK;
        started += s->kv->get(s->host, call, mig_s("leak"), kv_done, NULL) == MIG_OK;
        started += s->task->after(s->host, call, 20u * (uint64_t)i, task_done, NULL) == MIG_OK;
    }
    snprintf(out, sizeof out, "{\"started\":%llu}", (unsigned long long)started);
    finish_text(s->host, call, out);
}

static uint64_t next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    return *x ^= *x << 17;
}

/* Every function that takes a handle, with handles that are none. */
static void wrong_handle(void *self, void *data, mig_call call, const mig_request *req)
{
    struct hostile *s = self;
    const mig_host *h = s->host;
    mig_payload p = {mig_s("{}"), NULL, NULL};
    uint64_t seed = call.v | 1, taken = 0;
    mig_str json;
    char out[64];
    (void)data;
    (void)req;

    for (int i = 0; i < 2000; i++) {
        mig_call wrong = {next_random(&seed)};
        if (i % 4 == 1)
            wrong.v = call.v ^ (uint64_t)1 << (i / 4 % 64); /* near the truth */
        if (i % 4 == 2)
            wrong.v = (uint64_t)i;
        if (wrong.v == call.v)
            continue; /* guessed right */
        taken += h->finish(h, wrong, &p) == MIG_OK;
        taken += h->send(h, wrong, &p) == MIG_OK;
        taken += mig_finish_error(h, wrong, MIG_INTERNAL, "wrong") == MIG_OK;
        taken += s->kv->get(h, wrong, mig_s("k"), kv_done, NULL) == MIG_OK && wrong.v != 0;
        taken += s->task->after(h, wrong, 1, task_done, NULL) == MIG_OK && wrong.v != 0;
        taken += s->stream->grant(h, wrong, 1) == MIG_OK;
        taken += s->stream->recv_wait(h, wrong, &json) == MIG_OK;
        (void)h->is_cancelled(h, wrong);
    }
    snprintf(out, sizeof out, "{\"taken\":%llu}", (unsigned long long)taken);
    finish_text(h, call, out);
}

/* Waits to be ended by somebody else; ends itself after {"ms"}. */
static void offers_victim(void *self, void *data, mig_call call, const mig_request *req)
{
    struct hostile *s = self;
    (void)data;

    atomic_store(&victim, call.v);
    nap_ms(number(req->payload, "ms", 300));
    atomic_store(&victim, 0);
    finish_text(s->host, call, "{\"ended\":\"by its own\"}");
}

static void foreign_call(void *self, void *data, mig_call call, const mig_request *req)
{
    struct hostile *s = self;
    mig_call other = {atomic_load(&victim)};
    char out[96];
    (void)data;
    (void)req;

    mig_status a = mig_finish_json(s->host, other, "{\"ended\":\"by a stranger\"}", 25);
    mig_status b = mig_finish_error(s->host, other, MIG_INTERNAL, "by a stranger");
    snprintf(out, sizeof out, "{\"victim\":%s,\"finish\":%d,\"finish_error\":%d}",
             other.v ? "true" : "false", a, b);
    finish_text(s->host, call, out);
}

static void huge(void *self, void *data, mig_call call, const mig_request *req)
{
    struct hostile *s = self;
    size_t n = number(req->payload, "bytes", HUGE_BYTES);
    char *text = malloc(n + 16);
    (void)data;

    memcpy(text, "{\"x\":\"", 6);
    memset(text + 6, 'x', n);
    memcpy(text + 6 + n, "\"}", 2);
    mig_payload p = {{text, n + 8}, free, text};
    s->host->finish(s->host, call, &p);
}

static void counts(void *self, void *data, mig_call call, const mig_request *req)
{
    struct hostile *s = self;
    char out[128];
    (void)data;
    (void)req;

    snprintf(out, sizeof out, "{\"wins\":%lu,\"losses\":%lu,\"continuations\":%lu}",
             atomic_load(&s->wins), atomic_load(&s->losses), atomic_load(&s->continuations));
    finish_text(s->host, call, out);
}

static mig_status create(const mig_host *host, mig_str config, void **ret_self)
{
    struct hostile *s = calloc(1, sizeof *s);
    mig_str name = mig_json_member(config, "name");

    if (!s)
        return MIG_E_NOMEM;
    s->host = host;
    s->kv = host->get_extension(host, MIG_EXT_KV);
    s->task = host->get_extension(host, MIG_EXT_TASK);
    s->stream = host->get_extension(host, MIG_EXT_STREAM);
    strcpy(s->name, "hostile");
    if (name.len && name.len < sizeof s->name)
        mig_json_unescape(name, s->name, sizeof s->name);
    *ret_self = s;
    return MIG_OK;
}

static mig_status describe(void *self, const mig_registrar *reg)
{
    static const struct {
        const char *name;
        void (*invoke)(void *, void *, mig_call, const mig_request *);
        uint32_t exec, modes;
    } list[] = {
        {"never_ends", never_ends, MIG_EXEC_LOOP, MIG_MODE_UNARY},
        {"never_ends_pool", never_ends, MIG_EXEC_POOL, MIG_MODE_UNARY},
        {"ends_twice", ends_twice, MIG_EXEC_LOOP, MIG_MODE_UNARY},
        {"ends_late", ends_late, MIG_EXEC_POOL, MIG_MODE_UNARY},
        {"ten_threads", ten_threads, MIG_EXEC_POOL, MIG_MODE_UNARY},
        {"garbage", garbage, MIG_EXEC_LOOP, MIG_MODE_UNARY},
        {"garbage_error", garbage_error, MIG_EXEC_LOOP, MIG_MODE_UNARY},
        {"garbage_frame", garbage_frame, MIG_EXEC_POOL, MIG_MODE_UNARY | MIG_MODE_SERVER_STREAM},
        {"blocks_loop", blocks_loop, MIG_EXEC_LOOP, MIG_MODE_UNARY},
        {"leaks", leaks, MIG_EXEC_LOOP, MIG_MODE_UNARY},
        {"leaks_pool", leaks, MIG_EXEC_POOL, MIG_MODE_UNARY},
        {"wrong_handle", wrong_handle, MIG_EXEC_POOL, MIG_MODE_UNARY},
        {"offers_victim", offers_victim, MIG_EXEC_POOL, MIG_MODE_UNARY},
        {"foreign_call", foreign_call, MIG_EXEC_LOOP, MIG_MODE_UNARY},
        {"huge", huge, MIG_EXEC_POOL, MIG_MODE_UNARY},
        {"counts", counts, MIG_EXEC_LOOP, MIG_MODE_UNARY},
    };
    struct hostile *s = self;
    char id[96];

    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        mig_capability c = {0};
        snprintf(id, sizeof id, "test.%s.%s", s->name, list[i].name);
        c.struct_size = sizeof c;
        c.id = id;
        c.version = "1.0.0";
        c.summary = "A misdeed.";
        c.modes = list[i].modes;
        c.exec = list[i].exec;
        c.invoke = list[i].invoke;
        mig_status status = reg->capability(reg, &c);
        if (status != MIG_OK)
            return status;
    }
    return MIG_OK;
}

static const mig_plugin hostile = {
    sizeof hostile, 0,      "org.test.hostile", "1.0.0", "Misbehaves.",
    NULL,           create, describe,           NULL,    NULL,
    free,           NULL,
};
MIG_PLUGIN_ENTRY(hostile, &hostile);
