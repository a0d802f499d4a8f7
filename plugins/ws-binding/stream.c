/* The streams of a connection: what was submitted for it, until it is answered. */
#include "ws_binding.h"
#include <strings.h>

/* --- the list ----------------------------------------------------------------------------------- */

static struct stream *find(const struct conn *c, const char *stream_id)
{
    for (struct stream *s = c->streams; s && stream_id[0]; s = s->next)
        if (s->is_listed && !strcmp(s->stream_id, stream_id))
            return s;
    return NULL;
}

/* What has no stream id is listed by its message's. */
static struct stream *stream_new(struct conn *c, const struct frame *f, int is_listed)
{
    int is_named = f->stream_id[0] || !is_listed || !f->message_id[0];
    char name[STREAM_ID_MAX + sizeof "stream-"];

    snprintf(name, sizeof name, "%s%s", is_named ? "" : "stream-",
             is_named ? f->stream_id : f->message_id);
    size_t name_size = strlen(name) + 1, id_size = strlen(f->message_id) + 1;
    struct stream *s = calloc(1, sizeof *s + name_size + id_size);
    if (!s)
        return NULL;
    s->conn = c;
    s->is_listed = is_listed;
    s->stream_id = memcpy(s->ids, name, name_size);
    s->message_id = memcpy(s->ids + name_size, f->message_id, id_size);
    s->next = c->streams;
    if (s->next)
        s->next->prev = s;
    c->streams = s;
    c->count++;
    return s;
}

static void stream_free(struct stream *s)
{
    struct conn *c = s->conn;

    if (s->prev)
        s->prev->next = s->next;
    else
        c->streams = s->next;
    if (s->next)
        s->next->prev = s->prev;
    free(s->pending);
    free(s->header);
    free(s);
    c->count--;
    if (c->is_gone && !c->count)
        free(c);
}

/* --- sending ------------------------------------------------------------------------------------ */

static mig_status send_text(struct conn *c, const char *text, size_t len)
{
    const mig_payload p = {{text, len}, NULL, NULL};
    return c->b->host->send(c->b->host, c->ex, &p);
}

/* The last frame of a stream: kept until the connection takes it. */
static void send_last(struct stream *s, mig_str text)
{
    mig_status status = send_text(s->conn, text.ptr, text.len);

    if (status == MIG_E_AGAIN && text.len && (s->pending = malloc(text.len))) {
        memcpy(s->pending, text.ptr, text.len);
        s->pending_len = text.len;
        s->is_over = 1;
        return;
    }
    stream_free(s);
}

void stream_flush(struct conn *c)
{
    for (struct stream *s = c->streams, *next; s; s = next) {
        next = s->next;
        if (!s->is_over)
            continue;
        if (send_text(c, s->pending, s->pending_len) == MIG_E_AGAIN)
            return;
        int was_last = c->is_gone && c->count == 1;
        stream_free(s);
        if (was_last)
            return;
    }
}

/* --- submitting --------------------------------------------------------------------------------- */

static mig_status on_frame(void *self, void *tag, mig_call ex, mig_str json);
static mig_status on_event(void *self, void *tag, mig_call ex, const mig_event *e);

static void on_open(void *self, void *tag, mig_call ex, mig_call op)
{
    struct stream *s = tag;
    const mig_ext_binding *mig = s->conn->b->mig;

    (void)self;
    (void)ex;
    s->op = op;
    if (s->end_follows || !s->takes_input)
        mig->half_close(s->conn->b->host, op);
}

static void on_done(void *self, void *tag, mig_call ex, const mig_outcome *out)
{
    struct stream *s = tag;

    (void)self;
    (void)ex;
    if (s->answered)
        s->answered(s, out);
    else
        send_last(s, out->envelope);
}

static mig_status submit(struct stream *s, uint32_t operation, mig_submit *m)
{
    struct binding *b = s->conn->b;

    m->struct_size = sizeof *m;
    m->operation = operation;
    m->binding = mig_s("http");
    m->flags = MIG_SUBMIT_ALWAYS_FRAMES;
    m->stream_id = mig_s(s->stream_id);
    m->message_id = mig_s(s->message_id);
    m->tag = s;
    m->on_done = on_done;
    mig_status status = b->mig->submit(b->host, s->conn->ex, m);
    if (status != MIG_OK)
        stream_free(s); /* the client has left */
    return status;
}

void stream_refuse(struct conn *c, const struct frame *f, mig_status code, const char *reason,
                   const char *message)
{
    struct stream *s = stream_new(c, f, 0);
    char details[96];
    mig_submit m = {0};

    if (!s)
        return;
    int n = snprintf(details, sizeof details, "{\"reason\":\"%s\"}", reason);
    m.refusal.struct_size = sizeof m.refusal;
    m.refusal.code = code;
    m.refusal.message = mig_s(message);
    m.refusal.details.ptr = details;
    m.refusal.details.len = (size_t)n;
    submit(s, MIG_OP_REFUSE, &m);
}

/* {"header":..., name: token, ...}; the caller frees it. Empty tokens are left out. */
static mig_str envelope_of(mig_str header, const char *const names[], const mig_str tokens[],
                           size_t n)
{
    size_t cap = header.len + 64;
    mig_str none = {NULL, 0};

    for (size_t i = 0; i < n; i++)
        cap += strlen(names[i]) + tokens[i].len + 8;
    char *text = malloc(cap);
    mig_json_writer w = mig_json_writer_on(text, text ? cap : 0);
    mig_json_open(&w, '{');
    if (header.len) {
        mig_json_key(&w, "header");
        mig_json_put_raw(&w, header);
    }
    for (size_t i = 0; i < n; i++)
        if (tokens[i].len) {
            mig_json_key(&w, names[i]);
            mig_json_put_raw(&w, tokens[i]);
        }
    mig_json_close(&w, '}');
    if (mig_json_written(&w).len)
        return mig_json_written(&w);
    free(text);
    return none;
}

static void no_memory(struct conn *c, const struct frame *f)
{
    stream_refuse(c, f, MIG_BACKPRESSURE, "memory", "out of memory");
}

/* --- INVOKE ------------------------------------------------------------------------------------- */

static mig_status on_frame(void *self, void *tag, mig_call ex, mig_str json)
{
    struct stream *s = tag;

    (void)self;
    (void)ex;
    return s->is_paused ? MIG_E_AGAIN : send_text(s->conn, json.ptr, json.len);
}

/* More input for an open stream. 0: there is none that takes it. */
static int append(struct stream *s, const struct frame *f)
{
    struct binding *b = s->conn->b;
    mig_status status = MIG_OK;

    if (!s->takes_input || s->end_follows)
        return 0;
    if (f->payload.len && s->op.v)
        status = b->mig->message(b->host, s->op, f->payload);
    if (status == MIG_E_AGAIN || !s->op.v)
        stream_refuse(s->conn, f, MIG_BACKPRESSURE, "input_queue",
                      "the stream takes no more input for now");
    if (f->is_end && s->op.v && status != MIG_E_AGAIN) {
        s->end_follows = 1;
        b->mig->half_close(b->host, s->op);
    }
    return 1;
}

static int takes_input(mig_str preference)
{
    return mig_json_is(preference, "client_stream") || mig_json_is(preference, "bidi_stream");
}

static void begin(struct conn *c, struct frame *f)
{
    static const char *const names[] = {"capability", "payload", "stream_preference"};
    const mig_str tokens[] = {f->capability, f->payload, f->preference};
    mig_submit m = {0};

    if (!f->message_id[0] && !mig_json_member(f->header, "message_id").len)
        frame_uuid(f->message_id);
    m.envelope = envelope_of(f->header, names, tokens, 3);
    struct stream *s = m.envelope.len ? stream_new(c, f, 1) : NULL;
    if (!s) {
        free((void *)(uintptr_t)m.envelope.ptr);
        no_memory(c, f);
        return;
    }
    s->takes_input = takes_input(f->preference);
    s->end_follows = f->is_end;
    m.on_open = on_open;
    m.on_frame = on_frame;
    submit(s, MIG_OP_INVOKE, &m);
    free((void *)(uintptr_t)m.envelope.ptr);
}

void stream_invoke(struct conn *c, struct frame *f)
{
    struct stream *s = find(c, f->stream_id);

    if (s && append(s, f))
        return;
    if (s)
        stream_refuse(c, f, MIG_INVALID_REQUEST, "duplicate_stream_id", "the stream_id is in use");
    else if (c->count >= c->b->max_streams)
        stream_refuse(c, f, MIG_BACKPRESSURE, "max_streams", "the connection has too many streams");
    else
        begin(c, f);
}

/* --- control exchanges: an operation whose answer becomes a control frame ------------------------ */

static void write_frame(mig_json_writer *w, mig_str header, const char *stream_id, const char *kind)
{
    mig_json_open(w, '{');
    mig_json_key(w, "header");
    mig_json_put_raw(w, header);
    mig_json_key(w, "stream_id");
    mig_json_put_string(w, mig_s(stream_id));
    mig_json_key(w, "capability");
    mig_json_put_string(w, mig_s(""));
    mig_json_key(w, "kind");
    mig_json_put_string(w, mig_s(kind));
}

enum { ACCEPTED = 1, IS_END = 2 }; /* add "accepted": true; the stream_id ends with this frame */

/* Copies members of the answer into the frame's payload. */
static void reply(struct stream *s, const mig_outcome *out, const char *const members[], int flags)
{
    size_t cap = out->envelope.len + 512;
    char *text = malloc(cap);
    mig_json_writer w = mig_json_writer_on(text, text ? cap : 0);

    if (out->status != MIG_OK) { /* it is an error frame already */
        free(text);
        send_last(s, out->envelope);
        return;
    }
    write_frame(&w, mig_json_member(out->envelope, "header"), s->stream_id, "control");
    mig_json_key(&w, "payload");
    mig_json_open(&w, '{');
    if (flags & ACCEPTED) {
        mig_json_key(&w, "accepted");
        mig_json_put_bool(&w, 1);
    }
    for (size_t i = 0; members[i]; i++) {
        mig_json_key(&w, members[i]);
        mig_json_put_raw(&w, mig_json_member(out->envelope, members[i]));
    }
    mig_json_close(&w, '}');
    if (flags & IS_END) {
        mig_json_key(&w, "end_stream");
        mig_json_put_bool(&w, 1);
    }
    mig_json_close(&w, '}');
    send_last(s, mig_json_written(&w));
    free(text);
}

static void cancel_answered(struct stream *s, const mig_outcome *out)
{
    static const char *const members[] = {"accepted", "status", NULL};
    reply(s, out, members, IS_END);
}

static void heartbeat_answered(struct stream *s, const mig_outcome *out)
{
    static const char *const members[] = {"suggested_interval_ms", "load_factor", NULL};
    reply(s, out, members, 0);
}

static void accepted(struct stream *s, const mig_outcome *out)
{
    static const char *const members[] = {NULL};
    reply(s, out, members, ACCEPTED);
}

/* One operation for the control frame f. */
static void exchange(struct conn *c, const struct frame *f, uint32_t operation, mig_str target,
                     void (*answered)(struct stream *s, const mig_outcome *out))
{
    static const char *const names[] = {"reason", "interval_ms"};
    const mig_str tokens[] = {mig_json_member(f->payload, "reason"),
                              mig_json_member(f->payload, "interval_ms")};
    mig_submit m = {0};

    m.envelope = envelope_of(f->header, names, tokens, 2);
    struct stream *s = m.envelope.len ? stream_new(c, f, 0) : NULL;
    if (!s) {
        free((void *)(uintptr_t)m.envelope.ptr);
        no_memory(c, f);
        return;
    }
    s->answered = answered;
    m.target = target;
    submit(s, operation, &m);
    free((void *)(uintptr_t)m.envelope.ptr);
}

static void cancel(struct conn *c, struct frame *f)
{
    struct stream *s = find(c, f->stream_id);
    char target[MESSAGE_ID_MAX + 1] = "";
    mig_str token = mig_json_member(f->payload, "target_message_id");
    size_t n = mig_json_unescape(token, target, sizeof target);

    if (n == MIG_JSON_BAD || n >= sizeof target)
        snprintf(target, sizeof target, "%s", s ? s->message_id : f->message_id);
    exchange(c, f, MIG_OP_CANCEL, mig_s(target), cancel_answered);
}

static void pause_or_resume(struct conn *c, struct frame *f, int is_pause)
{
    struct stream *s = find(c, f->stream_id);

    if (!s) {
        stream_refuse(c, f, MIG_NOT_FOUND, "unknown_stream", "no stream has this stream_id");
        return;
    }
    s->is_paused = is_pause;
    if (!is_pause && s->op.v)
        c->b->mig->resume(c->b->host, s->op);
    exchange(c, f, MIG_OP_HEARTBEAT, mig_s(""), accepted);
}

/* --- subscriptions ------------------------------------------------------------------------------ */

static void notice(mig_json_writer *w, const struct stream *s, const mig_event *e)
{
    write_frame(w, mig_s(s->header), s->stream_id, "control");
    mig_json_key(w, "payload");
    mig_json_open(w, '{');
    mig_json_key(w, "action");
    mig_json_put_string(w, mig_s(e->kind == MIG_EVENT_BACKPRESSURE ? "backpressure" : "gap"));
    for (mig_json_iter i = mig_json_each(e->json); mig_json_next(&i);) {
        char key[32];
        mig_json_unescape(i.key, key, sizeof key);
        mig_json_key(w, key);
        mig_json_put_raw(w, i.value);
    }
    mig_json_close(w, '}');
    mig_json_close(w, '}');
}

static void event(mig_json_writer *w, const struct stream *s, const mig_event *e)
{
    write_frame(w, mig_json_member(e->json, "header"), s->stream_id, "event");
    mig_json_key(w, "payload");
    mig_json_open(w, '{');
    for (mig_json_iter i = mig_json_each(e->json); mig_json_next(&i);) {
        char key[32];
        if (mig_json_is(i.key, "header"))
            continue;
        mig_json_unescape(i.key, key, sizeof key);
        mig_json_key(w, key);
        mig_json_put_raw(w, i.value);
    }
    mig_json_close(w, '}');
    mig_json_close(w, '}');
}

static mig_status on_event(void *self, void *tag, mig_call ex, const mig_event *e)
{
    struct stream *s = tag;

    (void)self;
    (void)ex;
    if (s->is_paused || !s->header)
        return MIG_E_AGAIN; /* the reply to "subscribe" goes first */
    size_t cap = e->json.len + strlen(s->header) + 512;
    char *text = malloc(cap);
    mig_json_writer w = mig_json_writer_on(text, text ? cap : 0);
    if (e->kind == MIG_EVENT_MESSAGE)
        event(&w, s, e);
    else
        notice(&w, s, e);
    mig_str frame = mig_json_written(&w);
    mig_status status = frame.len ? send_text(s->conn, frame.ptr, frame.len) : MIG_E_GONE;
    free(text);
    return status;
}

/* The normalized header of the subscription is known: it is accepted, events may flow. */
static void subscription_accepted(struct stream *ack, const mig_outcome *out)
{
    struct stream *s = find(ack->conn, ack->stream_id);
    mig_str header = mig_json_member(out->envelope, "header");

    if (s && s->is_subscription && header.len && (s->header = malloc(header.len + 1))) {
        memcpy(s->header, header.ptr, header.len);
        s->header[header.len] = 0;
    }
    const struct binding *b = ack->conn->b;
    mig_call op = s ? s->op : (mig_call){0};
    accepted(ack, out); /* the last stream of a closed connection takes it along */
    if (op.v)
        b->mig->resume(b->host, op);
}

static void on_subscribed(void *self, void *tag, mig_call ex, mig_call op)
{
    struct stream *s = tag;
    struct frame f;
    mig_str header = mig_s(s->header), kind;

    (void)self;
    (void)ex;
    (void)kind;
    s->op = op;
    memset(&f, 0, sizeof f);
    f.header = header;
    snprintf(f.stream_id, sizeof f.stream_id, "%s", s->stream_id);
    snprintf(f.message_id, sizeof f.message_id, "%s", s->message_id);
    exchange(s->conn, &f, MIG_OP_HEARTBEAT, mig_s(""), subscription_accepted);
    free(s->header);
    s->header = NULL; /* until the answer brings it as normalized */
}

static void subscribe(struct conn *c, struct frame *f)
{
    static const char *const names[] = {"topic", "consumer_id", "resume_cursor", "max_inflight"};
    mig_str tokens[4];
    mig_submit m = {0};

    if (find(c, f->stream_id) || c->count >= c->b->max_streams) {
        stream_invoke(c, f); /* which refuses it for that */
        return;
    }
    if (!f->message_id[0])
        frame_uuid(f->message_id);
    for (size_t i = 0; i < 4; i++)
        tokens[i] = mig_json_member(f->payload, names[i]);
    m.envelope = envelope_of(f->header, names, tokens, 4);
    struct stream *s = m.envelope.len ? stream_new(c, f, 1) : NULL;
    if (s)
        s->header =
            strndup(f->header.len ? f->header.ptr : "{}", f->header.len ? f->header.len : 2);
    if (!s || !s->header) {
        free((void *)(uintptr_t)m.envelope.ptr);
        if (s)
            stream_free(s);
        no_memory(c, f);
        return;
    }
    s->is_subscription = 1;
    m.on_open = on_subscribed;
    m.on_event = on_event;
    submit(s, MIG_OP_SUBSCRIBE, &m);
    free((void *)(uintptr_t)m.envelope.ptr);
}

void stream_control(struct conn *c, struct frame *f)
{
    char action[32];

    frame_word(mig_json_member(f->payload, "action"), action, sizeof action);
    if (!strcmp(action, "cancel"))
        cancel(c, f);
    else if (!strcmp(action, "pause") || !strcmp(action, "resume"))
        pause_or_resume(c, f, action[0] == 'p');
    else if (!strcmp(action, "heartbeat"))
        exchange(c, f, MIG_OP_HEARTBEAT, mig_s(""), heartbeat_answered);
    else if (!strcmp(action, "subscribe"))
        subscribe(c, f);
    else
        stream_refuse(c, f, MIG_INVALID_REQUEST, "control_action", "unsupported control action");
}
