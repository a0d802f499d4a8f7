/* echo: answers with what it was given (MIG v0.1 9.3). The provider of capabilities that nobody
 * implements yet, of tests and of measurements. */
#include <mig/ext/task.h>
#include <mig/plugin.h>
#include <mig/sdk/json.h>
#include <mig/sdk/json_write.h>
#include <stdio.h>
#include <stdlib.h>

enum { DELAY_MAX_MS = 60000, CHUNKS_MAX = 1000, CHUNKS_DEFAULT = 3 };

struct echo;

/* One capability of the configuration. */
struct served {
    struct echo *echo;
    char *id, *version, *summary, *meta, *input_schema, *output_schema;
    char **scopes;  /* NULL-terminated */
    char *delivery; /* qos.delivery_semantics */
    uint32_t modes, exec, max_concurrency, timeout_ms;
    int is_unavailable;
    char *head, *tail; /* the answer around the payload */
    size_t head_len, tail_len;
};

struct echo {
    const mig_host *host;
    const mig_ext_task *task;
    struct served *list;
    size_t count;
};

/* --- one call ----------------------------------------------------------------------------------- */

/* A call that sleeps or streams. */
struct walk {
    struct served *served;
    mig_call call;
    mig_str payload;
    uint64_t delay_ms, chunk, chunks; /* chunks 0: unary */
};

static void finish(const struct served *s, mig_call call, mig_str payload)
{
    const mig_host *h = s->echo->host;
    char small[1024];
    size_t len = s->head_len + payload.len + s->tail_len;
    char *text = len <= sizeof small ? small : malloc(len);
    mig_payload p = {{text, len}, text == small ? NULL : free, text};

    if (!text) {
        mig_finish_error(h, call, MIG_BACKPRESSURE, "out of memory");
        return;
    }
    memcpy(text, s->head, s->head_len);
    memcpy(text + s->head_len, payload.ptr, payload.len);
    memcpy(text + s->head_len + payload.len, s->tail, s->tail_len);
    h->finish(h, call, &p);
}

/* After the sleep: the next chunk, or the end. */
static void emit(struct walk *w);

static void slept(void *self, void *tag, const mig_outcome *out)
{
    struct walk *w = tag;

    (void)self;
    if (out->status == MIG_OK) {
        emit(w);
        return;
    }
    mig_finish_error(w->served->echo->host, w->call, MIG_TIMEOUT, "cancelled");
    free(w);
}

static mig_status send_chunk(struct walk *w)
{
    const mig_host *h = w->served->echo->host;
    char head[96];
    int n = snprintf(head, sizeof head,
                     "{\"chunk\":%llu,\"of\":%llu,\"echo\":", (unsigned long long)w->chunk + 1,
                     (unsigned long long)w->chunks);
    size_t len = (size_t)n + w->payload.len + 1;
    char *text = malloc(len);
    mig_payload p = {{text, len}, NULL, NULL};

    if (!text)
        return MIG_E_NOMEM;
    memcpy(text, head, (size_t)n);
    memcpy(text + n, w->payload.ptr, w->payload.len);
    text[len - 1] = '}';
    mig_status status = h->send(h, w->call, &p);
    free(text);
    return status;
}

static void wait_or_go(struct walk *w)
{
    const struct echo *e = w->served->echo;

    if (!w->delay_ms) {
        emit(w);
        return;
    }
    if (e->task->after(e->host, w->call, w->delay_ms, slept, w) != MIG_OK) {
        mig_finish_error(e->host, w->call, MIG_TIMEOUT, "cancelled");
        free(w);
    }
}

static void emit(struct walk *w)
{
    const struct echo *e = w->served->echo;

    while (w->chunk < w->chunks) {
        mig_status status = send_chunk(w);
        if (status == MIG_E_AGAIN) {
            /* The reader is slow: look again soon. */
            if (e->task->after(e->host, w->call, 5, slept, w) == MIG_OK)
                return;
            status = MIG_E_GONE;
        }
        if (status != MIG_OK) {
            mig_finish_error(e->host, w->call, MIG_TIMEOUT, "cancelled");
            free(w);
            return;
        }
        w->chunk++;
        if (w->delay_ms && w->chunk < w->chunks) {
            wait_or_go(w);
            return;
        }
    }
    finish(w->served, w->call, w->payload);
    free(w);
}

static uint64_t number(mig_str payload, const char *name, uint64_t fallback, uint64_t max)
{
    uint64_t n;

    return mig_json_u64(mig_json_member(payload, name), &n) ? (n > max ? max : n) : fallback;
}

static void invoke(void *self, void *data, mig_call call, const mig_request *req)
{
    struct served *s = data;
    const mig_host *h = s->echo->host;

    (void)self;
    if (s->is_unavailable) {
        mig_finish_error(h, call, MIG_UNAVAILABLE, "no provider is bound to the capability");
        return;
    }
    uint64_t delay = number(req->payload, "delay_ms", 0, DELAY_MAX_MS);
    int is_stream = req->mode != MIG_MODE_UNARY;
    if (!delay && !is_stream) {
        finish(s, call, req->payload);
        return;
    }
    struct walk *w = calloc(1, sizeof *w);
    if (!w) {
        mig_finish_error(h, call, MIG_BACKPRESSURE, "out of memory");
        return;
    }
    *w = (struct walk){s, call, req->payload, delay, 0, 0};
    if (is_stream)
        w->chunks = number(req->payload, "stream_chunks", CHUNKS_DEFAULT, CHUNKS_MAX);
    wait_or_go(w);
}

/* --- configuration ------------------------------------------------------------------------------ */

/* The unescaped text of a string token, or the token itself; NULL when it is absent. */
static char *text_of(mig_str token)
{
    char *z;

    if (!token.len)
        return NULL;
    if (token.ptr[0] != '"') {
        z = malloc(token.len + 1);
        if (z) {
            memcpy(z, token.ptr, token.len);
            z[token.len] = 0;
        }
        return z;
    }
    z = malloc(token.len + 1);
    if (z)
        z[mig_json_unescape(token, z, token.len)] = 0;
    return z;
}

static char **texts_of(mig_str array)
{
    size_t n = mig_json_count(array), at = 0;
    char **list = calloc(n + 1, sizeof *list);

    for (mig_json_iter i = mig_json_each(array); list && at < n && mig_json_next(&i);)
        list[at++] = text_of(i.value);
    return list;
}

static uint32_t modes_of(mig_str array)
{
    static const struct {
        const char *name;
        uint32_t mode;
    } names[] = {{"unary", MIG_MODE_UNARY},
                 {"server_stream", MIG_MODE_SERVER_STREAM},
                 {"client_stream", MIG_MODE_CLIENT_STREAM},
                 {"bidi_stream", MIG_MODE_BIDI}};
    uint32_t modes = 0;

    for (mig_json_iter i = mig_json_each(array); mig_json_next(&i);)
        for (size_t n = 0; n < sizeof names / sizeof names[0]; n++)
            if (mig_json_is(i.value, names[n].name))
                modes |= names[n].mode;
    return modes ? modes : MIG_MODE_UNARY;
}

/* The answer is {"result":"ok","echo":PAYLOAD,"capability":ID,"delivery_qos":QOS}. */
static int make_frame(struct served *s)
{
    char tail[1024];
    mig_json_writer w = mig_json_writer_on(tail, sizeof tail);

    mig_json_open(&w, '{'); /* stands where the comma after the payload will */
    mig_json_key(&w, "capability");
    mig_json_put_string(&w, mig_s(s->id));
    mig_json_key(&w, "delivery_qos");
    mig_json_put_string(&w, mig_s(s->delivery ? s->delivery : ""));
    mig_json_close(&w, '}');
    mig_str text = mig_json_written(&w);
    s->head = strdup("{\"result\":\"ok\",\"echo\":");
    s->tail = malloc(text.len + 1);
    if (!s->head || !s->tail || !text.len)
        return 0;
    memcpy(s->tail, text.ptr, text.len);
    s->tail[0] = ',';
    s->head_len = strlen(s->head);
    s->tail_len = text.len;
    return 1;
}

static void copy_member(mig_json_writer *w, mig_str from, const char *name)
{
    mig_str value = mig_json_member(from, name);

    if (!value.len)
        return;
    mig_json_key(w, name);
    mig_json_put_raw(w, value);
}

/* What the host reads from a capability's meta. */
static char *meta_of(mig_str entry, mig_str d)
{
    static const char *const names[] = {"input_schema_uri", "output_schema_uri", "event_topics",
                                        "qos"};
    size_t cap = entry.len + 64;
    char *text = malloc(cap);
    mig_json_writer w = mig_json_writer_on(text, text ? cap - 1 : 0);

    mig_json_open(&w, '{');
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        copy_member(&w, d, names[i]);
    copy_member(&w, entry, "policy");
    mig_json_close(&w, '}');
    mig_str written = mig_json_written(&w);
    if (text)
        text[written.len] = 0;
    return text;
}

static int read_served(struct echo *e, struct served *s, mig_str entry, int unbound_is_unavailable)
{
    mig_str d = mig_json_member(entry, "descriptor");
    uint64_t n;

    s->echo = e;
    s->id = text_of(mig_json_member(d, "id"));
    s->version = text_of(mig_json_member(d, "version"));
    s->summary = text_of(mig_json_member(d, "summary"));
    s->input_schema = text_of(mig_json_member(d, "input_schema"));
    s->output_schema = text_of(mig_json_member(d, "output_schema"));
    s->scopes = texts_of(mig_json_member(d, "auth_scopes"));
    s->delivery = text_of(mig_json_member(mig_json_member(d, "qos"), "delivery_semantics"));
    s->modes = modes_of(mig_json_member(d, "modes"));
    s->exec = mig_json_is(mig_json_member(entry, "exec"), "pool") ? MIG_EXEC_POOL : MIG_EXEC_LOOP;
    if (mig_json_u64(mig_json_member(entry, "max_concurrency"), &n))
        s->max_concurrency = (uint32_t)n;
    if (mig_json_u64(mig_json_member(entry, "timeout_ms"), &n))
        s->timeout_ms = (uint32_t)n;
    s->is_unavailable = unbound_is_unavailable && !mig_json_member(entry, "provider").len;
    s->meta = meta_of(entry, d);
    return s->id && s->version && s->meta && make_frame(s);
}

static void destroy(void *self)
{
    struct echo *e = self;

    for (size_t i = 0; i < e->count; i++) {
        struct served *s = &e->list[i];
        for (char **scope = s->scopes; scope && *scope; scope++)
            free(*scope);
        free(s->scopes);
        free(s->id);
        free(s->version);
        free(s->summary);
        free(s->meta);
        free(s->input_schema);
        free(s->output_schema);
        free(s->delivery);
        free(s->head);
        free(s->tail);
    }
    free(e->list);
    free(e);
}

static mig_status create(const mig_host *host, mig_str config, void **ret_self)
{
    mig_str list = mig_json_member(config, "capabilities");
    size_t n = mig_json_count(list);
    int is_unavailable = mig_json_is(mig_json_member(config, "unbound"), "unavailable");
    struct echo *e = calloc(1, sizeof *e);

    if (!e || !(e->list = calloc(n + 1, sizeof *e->list))) {
        free(e);
        return MIG_E_NOMEM;
    }
    e->host = host;
    e->task = host->get_extension(host, MIG_EXT_TASK);
    if (!e->task) {
        destroy(e);
        return MIG_E_NOSYS;
    }
    for (mig_json_iter i = mig_json_each(list); e->count < n && mig_json_next(&i);)
        if (!read_served(e, &e->list[e->count++], i.value, is_unavailable)) {
            host->log(host, MIG_LOG_ERROR,
                      mig_s("capabilities: an entry needs descriptor.id and descriptor.version"),
                      mig_s(""));
            destroy(e);
            return MIG_INVALID_REQUEST;
        }
    *ret_self = e;
    return MIG_OK;
}

static mig_status describe(void *self, const mig_registrar *reg)
{
    struct echo *e = self;

    for (size_t i = 0; i < e->count; i++) {
        struct served *s = &e->list[i];
        mig_capability c = {0};
        c.struct_size = sizeof c;
        c.modes = s->modes;
        c.exec = s->exec;
        c.max_concurrency = s->max_concurrency;
        c.timeout_ms = s->timeout_ms;
        c.id = s->id;
        c.version = s->version;
        c.summary = s->summary ? s->summary : "Answers with what it was given.";
        c.input_schema = s->input_schema;
        c.output_schema = s->output_schema;
        c.auth_scopes = (const char *const *)s->scopes;
        c.meta = s->meta;
        c.data = s;
        c.invoke = invoke;
        mig_status status = reg->capability(reg, &c);
        if (status != MIG_OK)
            return status;
    }
    return MIG_OK;
}

static const char config_schema[] =
    "{\"type\":\"object\",\"properties\":{\"unbound\":{\"enum\":[\"echo\",\"unavailable\"]},"
    "\"capabilities\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
    "\"required\":[\"descriptor\"],\"properties\":{\"descriptor\":{\"type\":\"object\","
    "\"required\":[\"id\",\"version\"]},\"exec\":{\"enum\":[\"loop\",\"pool\"]},"
    "\"max_concurrency\":{\"type\":\"integer\"},\"timeout_ms\":{\"type\":\"integer\"}}}}}}";

static const mig_plugin echo = {
    sizeof echo,
    MIG_PLUGIN_UNLOADABLE,
    "dev.migd.echo",
    "1.0.0",
    "Answers with what it was given.",
    config_schema,
    create,
    describe,
    NULL,
    NULL,
    destroy,
    NULL,
};
MIG_PLUGIN_ENTRY(echo, &echo);
