/* One call of the host's own stands for the client; the steps run one after another in its name. */
#include "core/selfcheck.h"
#include "base/check.h"
#include "base/id.h"
#include "core/op.h"

#include <assert.h>
#include <stdio.h>

enum { ARENA_LIMIT = 16 << 20, LIMIT_MS = 5000 };

#define TENANT "_migd"
#define TOPIC "migd.selfcheck"
#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

enum need { NEEDS_NOTHING, NEEDS_ECHO, NEEDS_STREAM };
enum act { PLAIN, CANCELS_ITSELF, READS_ITS_EVENT };

struct step {
    const char *name;
    enum selfcheck_profile profile;
    uint32_t operation;
    enum need need;
    enum act act;
    const char *target; /* NULL: the capability that is invoked; "@": the message id */
    const char *body;   /* '@' stands for the message id, '#' for the cursor */
    mig_status status;
    const char *text; /* that the answer has, or the event */
};

static const struct step steps[] = {
    {"hello", SELFCHECK_CORE, MIG_OP_HELLO, .target = "",
     .body = "{\"supported_versions\":[\"0.1\"]}", .text = "\"selected_version\":\"0.1\""},
    {"discover", SELFCHECK_CORE, MIG_OP_DISCOVER, .target = "", .body = "{}",
     .text = "\"capabilities\":["},
    {"invoke", SELFCHECK_CORE, MIG_OP_INVOKE, NEEDS_ECHO,
     .body = "{\"payload\":{\"input\":\"selfcheck\"}}", .text = "\"payload\":{"},
    {"errors", SELFCHECK_CORE, MIG_OP_INVOKE, .target = "migd.selfcheck.absent", .body = "{}",
     .status = MIG_UNSUPPORTED_CAPABILITY, .text = "\"code\":\"MIG_UNSUPPORTED_CAPABILITY\""},
    {"cancel", SELFCHECK_CORE, MIG_OP_CANCEL, .target = "@", .body = "{}",
     .text = "\"accepted\":true"},
    {"stream", SELFCHECK_STREAMING, MIG_OP_INVOKE, NEEDS_STREAM,
     .body = "{\"stream_preference\":\"server_stream\",\"payload\":{\"input\":\"selfcheck\","
             "\"stream_chunks\":2}}",
     .text = "\"frames\":[{"},
    {"stream.cancel", SELFCHECK_STREAMING, MIG_OP_INVOKE, NEEDS_STREAM, CANCELS_ITSELF,
     .body = "{\"header\":{\"message_id\":\"@\"},\"stream_preference\":\"server_stream\","
             "\"payload\":{\"input\":\"selfcheck\",\"delay_ms\":4000}}",
     .status = MIG_TIMEOUT, .text = "\"reason\":\"cancelled\""},
    {"stream.deadline", SELFCHECK_STREAMING, MIG_OP_INVOKE, NEEDS_STREAM,
     .body = "{\"header\":{\"deadline_ms\":20},\"stream_preference\":\"server_stream\","
             "\"payload\":{\"input\":\"selfcheck\",\"delay_ms\":4000}}",
     .status = MIG_TIMEOUT, .text = "\"reason\":\"deadline_exceeded\""},
    {"trace", SELFCHECK_FULL, MIG_OP_HELLO, .target = "",
     .body = "{\"header\":{\"traceparent\":\"" TRACE "\"}}", .text = TRACE},
    {"heartbeat", SELFCHECK_FULL, MIG_OP_HEARTBEAT, .target = "", .body = "{}",
     .text = "\"load_factor\":"},
    {"publish", SELFCHECK_EVENTED, MIG_OP_PUBLISH, .target = TOPIC, .body = "{\"payload\":{}}",
     .text = "\"sequence\":"},
    {"subscribe", SELFCHECK_EVENTED, MIG_OP_SUBSCRIBE, NEEDS_NOTHING, READS_ITS_EVENT,
     .target = TOPIC, .body = "{\"resume_cursor\":\"#\"}", .status = MIG_TIMEOUT,
     .text = "\"replay\":true"},
};

static_assert(countof(steps) < SELFCHECKS_MAX, "room for what is found elsewhere");

struct selfcheck {
    struct core *core;
    struct call *call;
    struct instance *instance;
    const struct capability *echo; /* of call->gen; NULL: none */
    struct selfcheck_report report;
    size_t at;
    char id[ID_UUID];  /* message id of this step */
    uint64_t sequence; /* of the event that was published */
    bool has_seen, is_over;
    struct timer limit;
    void (*done)(void *arg, const struct selfcheck_report *r);
    void *arg;
};

static void next(struct selfcheck *s);

/* --- the report --------------------------------------------------------------------------------- */

void selfcheck_add(struct selfcheck_report *r, const char *name, enum selfcheck_profile profile,
                   bool is_ok, const char *note)
{
    if (broken(r->count == SELFCHECKS_MAX))
        return;
    struct selfcheck_result *one = &r->list[r->count++];
    *one = (struct selfcheck_result){.name = name, .profile = profile, .is_ok = is_ok};
    snprintf(one->note, sizeof one->note, "%s", note);
}

bool selfcheck_has(const struct selfcheck_report *r, enum selfcheck_profile profile)
{
    bool is_ok = true, has_any = false;

    for (size_t i = 0; i < r->count; i++) {
        bool is_its = r->list[i].profile == profile;
        has_any |= is_its;
        is_ok &= !is_its || r->list[i].is_ok;
    }
    return is_ok && has_any;
}

/* --- steps -------------------------------------------------------------------------------------- */

static bool contains(str text, const char *part)
{
    return text.len && memmem(text.ptr, text.len, part, strlen(part));
}

/* The number behind "sequence": in an answer to PUBLISH. */
static uint64_t sequence_in(str envelope)
{
    static const char name[] = "\"sequence\":";
    const char *at = memmem(envelope.ptr, envelope.len, name, sizeof name - 1);
    uint64_t n = 0;

    for (at = at ? at + sizeof name - 1 : NULL;
         at && at < envelope.ptr + envelope.len && *at >= '0' && *at <= '9'; at++)
        n = n * 10 + (uint64_t)(*at - '0');
    return n;
}

static void judge(struct selfcheck *s, const mig_outcome *out)
{
    const struct step *step = &steps[s->at];
    bool is_event = step->act == READS_ITS_EVENT;
    bool is_ok = out->status == step->status &&
                 (is_event ? s->has_seen : contains(out->envelope, step->text));

    if (!is_ok && step->need != NEEDS_NOTHING && out->status == MIG_UNAVAILABLE)
        selfcheck_add(&s->report, step->name, step->profile, true,
                      "left out: nothing is bound to the capability");
    else if (is_ok)
        selfcheck_add(&s->report, step->name, step->profile, true, "");
    else {
        char note[160];
        snprintf(note, sizeof note, "status %d: %.*s", out->status,
                 (int)(out->message.len < 100 ? out->message.len : 100), out->message.ptr);
        selfcheck_add(&s->report, step->name, step->profile, false, note);
    }
    if (step->operation == MIG_OP_PUBLISH)
        s->sequence = sequence_in(out->envelope);
}

static void on_done(void *self, void *tag, mig_call ex, const mig_outcome *out)
{
    struct selfcheck *s = tag;

    (void)self;
    (void)ex;
    if (s->is_over)
        return;
    judge(s, out);
    s->at++;
    next(s);
}

/* The CANCEL that a step sends for itself: its own answer says enough. */
static void on_cancelled(void *self, void *tag, mig_call ex, const mig_outcome *out)
{
    (void)self;
    (void)tag;
    (void)ex;
    (void)out;
}

static str fill(struct selfcheck *s, const char *text)
{
    struct arena_text t;

    text_init(&t, s->call->arena, 256);
    for (; *text; text++) {
        if (*text == '@')
            text_add(&t, (str){s->id, ID_UUID});
        else if (*text == '#')
            text_addu(&t, s->sequence ? s->sequence - 1 : 0);
        else
            text_add(&t, (str){text, 1});
    }
    return t.has_failed ? S("{}") : text_str(&t);
}

static void submit(struct selfcheck *s, const mig_submit *m)
{
    atomic_fetch_add(&s->call->holds, 1); /* the op takes it over */
    pipeline_submit(s->call, s->instance, m);
}

static void on_open(void *self, void *tag, mig_call ex, mig_call op)
{
    struct selfcheck *s = tag;
    struct call *c = call_find(s->core, op);
    const mig_submit m = {.struct_size = sizeof m,
                          .operation = MIG_OP_CANCEL,
                          .binding = S("internal"),
                          .target = {s->id, ID_UUID},
                          .tag = s,
                          .on_done = on_cancelled};

    (void)self;
    (void)ex;
    if (c && op_of_call(c))
        call_half_close(c);
    if (!s->is_over && steps[s->at].act == CANCELS_ITSELF)
        submit(s, &m);
}

/* One event is enough: the subscription ends when its client is gone. */
static mig_status on_event(void *self, void *tag, mig_call ex, const mig_event *e)
{
    struct selfcheck *s = tag;

    (void)self;
    (void)ex;
    if (!s->is_over && e->kind == MIG_EVENT_MESSAGE)
        s->has_seen |= contains(e->json, steps[s->at].text);
    return MIG_E_GONE;
}

static bool can_run(struct selfcheck *s, const struct step *step)
{
    return step->need == NEEDS_NOTHING ||
           (s->echo && (step->need == NEEDS_ECHO || s->echo->modes & MIG_MODE_SERVER_STREAM));
}

static void run(struct selfcheck *s, const struct step *step)
{
    mig_submit m = {.struct_size = sizeof m,
                    .operation = step->operation,
                    .binding = S("internal"),
                    .tag = s,
                    .on_open = on_open,
                    .on_event = step->act == READS_ITS_EVENT ? on_event : NULL,
                    .on_done = on_done};

    id_uuid7(s->id);
    m.envelope = fill(s, step->body);
    m.target = step->target ? fill(s, step->target) : str_of(s->echo->id);
    submit(s, &m);
}

/* On the strand of the call, or before it has one. */
static void next(struct selfcheck *s)
{
    static const mig_payload nothing;

    for (; s->at < countof(steps); s->at++) {
        if (can_run(s, &steps[s->at])) {
            run(s, &steps[s->at]);
            return;
        }
        selfcheck_add(&s->report, steps[s->at].name, steps[s->at].profile, true,
                      "left out: no capability without effect is offered");
    }
    call_finish(s->core, s->instance, call_handle(s->call), &nothing);
}

/* --- the call ----------------------------------------------------------------------------------- */

static void start(struct call *c)
{
    next(c->owner);
}

static void answer(struct call *c, const struct call_result *r)
{
    struct selfcheck *s = c->owner;

    (void)r;
    s->is_over = true;
    timer_stop(&c->home->timers, &s->limit);
    for (; s->at < countof(steps); s->at++)
        selfcheck_add(&s->report, steps[s->at].name, steps[s->at].profile, false,
                      "not reached in time");
    s->done(s->arg, &s->report);
}

static const struct call_kind kind = {.name = "selfcheck", .start = start, .answer = answer};

static void on_cancel(void *self, void *data, mig_call call)
{
    struct selfcheck *s = data;

    (void)self;
    call_finish_error(s->core, s->instance, call,
                      &(mig_error){.struct_size = sizeof(mig_error), .code = MIG_TIMEOUT});
}

static void too_late(struct timer *t)
{
    struct selfcheck *s = container_of(t, struct selfcheck, limit);

    call_abort(s->call, CALL_STOP, &(struct call_result){.status = MIG_TIMEOUT});
}

/* The default capability, or another that echo serves for any payload. */
static const struct capability *find_echo(const struct gen *g)
{
    const struct capability *found = NULL;

    for (size_t i = 0; i < g->capability_count; i++) {
        const struct capability *c = g->capabilities[i];
        if (strcmp(c->instance->plugin.id, "dev.migd.echo") != 0)
            continue;
        if (!strcmp(c->id, "observatory.models.infer"))
            return c;
        if (!found && !c->input && c->modes & MIG_MODE_UNARY)
            found = c;
    }
    return found;
}

bool selfcheck_run(struct core *core, struct loop *l,
                   void (*done)(void *arg, const struct selfcheck_report *r), void *arg)
{
    static const struct principal who = {.subject = S("system"),
                                         .tenant = S(TENANT),
                                         .is_host = true,
                                         .actor = S("system"),
                                         .has_tenant_header = true};
    struct gen *g = gen_current(core, l);
    struct arena *a = arena_new(&l->chunks, ARENA_LIMIT);
    struct selfcheck *s = a ? arena_zero(a, sizeof *s) : NULL;

    if (!s)
        return false;
    const struct call_handler handler = {.exec = MIG_EXEC_LOOP, .data = s, .on_cancel = on_cancel};
    s->core = core;
    s->done = done;
    s->arg = arg;
    s->echo = find_echo(g);
    s->instance = s->echo ? s->echo->instance : g->catalogues[0]->instance;
    s->call =
        call_open(core_loop_of(core, l)->calls, &(struct call_spec){.kind = &kind,
                                                                    .instance = s->instance,
                                                                    .gen = g,
                                                                    .arena = a,
                                                                    .principal = &who,
                                                                    .handler = &handler,
                                                                    .owner = s,
                                                                    .deadline_ns = UINT64_MAX});
    arena_unref(a);
    if (!s->call)
        return false;
    loop_timer(l, &s->limit, LIMIT_MS, too_late);
    if (call_start(s->call))
        return true;
    timer_stop(&l->timers, &s->limit);
    return false;
}
