/* Step 1 of the pipeline: the envelope and its header (MIG v0.1 section 2). */
#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "core/op.h"

enum { MESSAGE_ID_MAX = 128, SESSION_MAX = 128, KEY_MAX = 255, META_KEYS = 64, META_BYTES = 16384 };

/* --- the envelope ------------------------------------------------------------------------------- */

struct member {
    str name;
    /* NULL: known, and read by the stage that wants it */
    mig_status (*take)(struct op *op, const json_value *v, str raw);
};

static mig_status take_header(struct op *op, const json_value *v, str raw)
{
    static const str names[HEADER_MEMBERS] = {[HEADER_MIG_VERSION] = S("mig_version"),
                                              [HEADER_MESSAGE_ID] = S("message_id"),
                                              [HEADER_TIMESTAMP] = S("timestamp"),
                                              [HEADER_TENANT_ID] = S("tenant_id"),
                                              [HEADER_SESSION_ID] = S("session_id"),
                                              [HEADER_TRACEPARENT] = S("traceparent"),
                                              [HEADER_IDEMPOTENCY_KEY] = S("idempotency_key"),
                                              [HEADER_DEADLINE_MS] = S("deadline_ms"),
                                              [HEADER_META] = S("meta"),
                                              [HEADER_TRACESTATE] = S("tracestate")};

    if (!json_is_object(v))
        return op_fail_member(op, S("header"));
    for (struct json_iter i = json_iter(v); json_next(&i);) {
        int m = 0;
        while (m < HEADER_MEMBERS && !str_eq(names[m], i.key))
            m++;
        if (m == HEADER_MEMBERS && op->gen->policy.is_strict_json)
            return op_fail_member(op, i.key);
        if (m == HEADER_MEMBERS || json_is_null(i.value))
            continue;
        op->header_in[m] = i.value;
        if (m == HEADER_META)
            op->raw_meta = json_raw(&op->doc, raw, &i);
    }
    return MIG_OK;
}

static mig_status take_payload(struct op *op, const json_value *v, str raw)
{
    op->payload = raw;
    op->payload_value = v;
    return MIG_OK;
}

static mig_status take_capability(struct op *op, const json_value *v, str raw)
{
    (void)raw;
    op->capability_in = json_string(v);
    return json_is_string(v) ? MIG_OK : op_fail_member(op, S("capability"));
}

static mig_status take_preference(struct op *op, const json_value *v, str raw)
{
    (void)raw;
    op->stream_preference = json_string(v);
    return json_is_string(v) ? MIG_OK : op_fail_member(op, S("stream_preference"));
}

/* Members of all operations; what each of them wants is checked by its own stage. */
static const struct member members[] = {
    {S("header"), take_header},
    {S("payload"), take_payload},
    {S("capability"), take_capability},
    {S("stream_preference"), take_preference},
    {S("supported_versions"), NULL},
    {S("requested_bindings"), NULL},
    {S("requested_features"), NULL},
    {S("query"), NULL},
    {S("include_schema_refs"), NULL},
    {S("include_qos"), NULL},
    {S("target_message_id"), NULL},
    {S("reason"), NULL},
    {S("interval_ms"), NULL},
    {S("topic"), NULL},
    {S("key"), NULL},
    {S("consumer_id"), NULL},
    {S("resume_cursor"), NULL},
    {S("max_inflight"), NULL},
};

static mig_status fail_json(struct op *op, const struct json_fault *f)
{
    struct arena_text t;

    text_init(&t, op->arena, 96);
    text_add(&t, S("{\"reason\":\""));
    text_add(&t, str_of(json_fault_reason(f->kind)));
    text_add(&t, S("\",\"offset\":"));
    text_addu(&t, f->offset);
    text_add(&t, S("}"));
    struct arena_text m;
    text_init(&m, op->arena, 96);
    text_add(&m, S("the body is not acceptable JSON: "));
    text_add(&m, str_of(f->text));
    return op_fail_details(op, MIG_INVALID_REQUEST, text_str(&t), text_str(&m));
}

mig_status op_fail_member(struct op *op, str member)
{
    struct arena_text t, m;

    text_init(&t, op->arena, 96);
    text_add(&t, S("{\"reason\":\"invalid_member\",\"member\":"));
    text_add_json(&t, member);
    text_add(&t, S("}"));
    text_init(&m, op->arena, 64);
    text_add(&m, member);
    text_add(&m, S(" has the wrong type or form"));
    return op_fail_details(op, MIG_INVALID_REQUEST, text_str(&t), text_str(&m));
}

static mig_status take_members(struct op *op)
{
    mig_status status = MIG_OK;

    for (struct json_iter i = json_iter(op->doc.root); status == MIG_OK && json_next(&i);) {
        const struct member *m = members, *end = members + countof(members);
        while (m < end && !str_eq(m->name, i.key))
            m++;
        if (m == end && op->gen->policy.is_strict_json)
            status = op_fail_member(op, i.key);
        else if (m < end && m->take && !json_is_null(i.value))
            status = m->take(op, i.value, json_raw(&op->doc, op->doc.text, &i));
    }
    return status;
}

static mig_status parse_envelope(struct op *op)
{
    str text = str_trim(op->in.envelope);
    struct json_fault fault;

    if (!text.len)
        return MIG_OK;
    if (!json_parse(&op->doc, op->arena, text, &fault))
        return fail_json(op, &fault);
    if (!json_is_object(op->doc.root))
        return op_fail(op, MIG_INVALID_REQUEST, "invalid_envelope",
                       "the body must be a JSON object");
    return take_members(op);
}

/* --- the header --------------------------------------------------------------------------------- */

/* A string member of the header, else what the transport said. false: wrong type. */
bool op_header_text(const struct op *op, enum header_member m, str mirror, str *ret)
{
    const json_value *v = op->header_in[m];

    *ret = json_string(v);
    if (v && !json_is_string(v))
        return false;
    if (ret->len || !mirror.len)
        return true;
    if (!str_is_utf8(mirror))
        return false;
    *ret = mirror;
    return true;
}

static mig_status take_version(struct op *op)
{
    str version;

    if (!op_header_text(op, HEADER_MIG_VERSION, op->in.mig_version, &version))
        return op_fail_member(op, S("header.mig_version"));
    if (version.len && !str_eq(version, S("0.1")))
        return op_fail(op, MIG_VERSION_MISMATCH, "mig_version", "only MIG version 0.1 is served");
    return MIG_OK;
}

static mig_status take_message_id(struct op *op)
{
    str *id = &op->header.message_id;

    if (!op_header_text(op, HEADER_MESSAGE_ID, op->in.message_id, id) ||
        !str_is_visible(*id, MESSAGE_ID_MAX)) {
        *id = (str){NULL, 0};
        return op_fail_member(op, S("header.message_id"));
    }
    return MIG_OK;
}

static bool digits(const char *p, int from, int n)
{
    for (int i = from; i < from + n; i++)
        if (p[i] < '0' || p[i] > '9')
            return false;
    return true;
}

/* RFC 3339 section 5.6, date-time: shape and ranges. */
static bool is_rfc3339(str s)
{
    const char *p = s.ptr;

    if (s.len < 20 || s.len > 40 || !digits(p, 0, 4) || p[4] != '-' || !digits(p, 5, 2) ||
        p[7] != '-' || !digits(p, 8, 2) || (p[10] | 0x20) != 't' || !digits(p, 11, 2) ||
        p[13] != ':' || !digits(p, 14, 2) || p[16] != ':' || !digits(p, 17, 2))
        return false;
    int month = (p[5] - '0') * 10 + p[6] - '0', day = (p[8] - '0') * 10 + p[9] - '0';
    int hour = (p[11] - '0') * 10 + p[12] - '0', minute = (p[14] - '0') * 10 + p[15] - '0';
    int second = (p[17] - '0') * 10 + p[18] - '0';
    if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60)
        return false;
    size_t at = 19;
    if (p[at] == '.') {
        for (at++; at < s.len && p[at] >= '0' && p[at] <= '9'; at++)
            ;
        if (at == 20)
            return false;
    }
    if (at + 1 == s.len)
        return (p[at] | 0x20) == 'z';
    return at + 6 == s.len && (p[at] == '+' || p[at] == '-') && digits(p, (int)at + 1, 2) &&
           p[at + 3] == ':' && digits(p, (int)at + 4, 2);
}

static mig_status take_timestamp(struct op *op)
{
    str *t = &op->header.timestamp;

    if (!op_header_text(op, HEADER_TIMESTAMP, (str){NULL, 0}, t) || (t->len && !is_rfc3339(*t))) {
        *t = (str){NULL, 0};
        return op_fail_member(op, S("header.timestamp"));
    }
    return MIG_OK;
}

/* Means nothing without a traceparent (Trace Context 3.3); dropped, never an error. */
static void take_tracestate(struct op *op)
{
    str text;

    if (!op_header_text(op, HEADER_TRACESTATE, op->in.tracestate, &text) || !text.len)
        return;
    char *to = arena_alloc(op->arena, TRACESTATE_MAX);
    op->trace.state = (str){to, to ? tracestate_write(text, to) : 0};
}

static mig_status take_texts(struct op *op)
{
    struct op_header *h = &op->header;

    if (!op_header_text(op, HEADER_SESSION_ID, op->in.session_id, &h->session_id) ||
        h->session_id.len > SESSION_MAX)
        return op_fail_member(op, S("header.session_id"));
    if (!op_header_text(op, HEADER_IDEMPOTENCY_KEY, op->in.idempotency_key, &h->idempotency_key) ||
        h->idempotency_key.len > KEY_MAX)
        return op_fail_member(op, S("header.idempotency_key"));
    op->trace.has_parent =
        op_header_text(op, HEADER_TRACEPARENT, op->in.traceparent, &h->traceparent) &&
        traceparent_parse(h->traceparent, &op->trace.parent);
    if (op->trace.has_parent)
        take_tracestate(op);
    else
        h->traceparent = (str){NULL, 0}; /* dropped, never an error */
    return MIG_OK;
}

static mig_status take_deadline(struct op *op)
{
    const json_value *v = op->header_in[HEADER_DEADLINE_MS];
    int64_t ms = 0;

    if (v ? !json_is_integer(v, &ms)
          : op->in.deadline_ms.len && !str_to_i64(op->in.deadline_ms, &ms))
        return op_fail_member(op, S("header.deadline_ms"));
    uint64_t max = op->gen->policy.max_deadline_ms;
    op->header.deadline_ms = ms <= 0 ? 0 : (uint64_t)ms > max ? max : (uint64_t)ms;
    return MIG_OK;
}

/* What the server says in meta itself: what clients send there is discarded. */
static bool is_ours(str key)
{
    static const str names[] = {S("mig.binding"),   S("mig.profile"),   S("mig.cursor"),
                                S("mig.frame_seq"), S("mig.event_key"), S("mig.idempotent_replay")};

    for (size_t i = 0; i < countof(names); i++)
        if (str_eq(names[i], key))
            return true;
    return str_starts(key, S("idg."));
}

static str meta_without_ours(struct op *op, const json_value *meta)
{
    struct arena_text t;
    bool first = true;

    text_init(&t, op->arena, 256);
    text_add(&t, S("{"));
    for (struct json_iter i = json_iter(meta); json_next(&i);) {
        if (is_ours(i.key))
            continue;
        text_add(&t, first ? S("") : S(","));
        text_add_json(&t, i.key);
        text_add(&t, S(":"));
        json_write(i.value, &t);
        first = false;
    }
    text_add(&t, S("}"));
    return text_str(&t);
}

static mig_status take_meta(struct op *op)
{
    const json_value *v = op->header_in[HEADER_META];
    str raw = op->raw_meta;
    bool has_ours = false;

    op->header.meta = S("{}");
    if (!v)
        return MIG_OK;
    if (!json_is_object(v) || json_size(v) > META_KEYS || raw.len > META_BYTES)
        return op_fail_member(op, S("header.meta"));
    for (struct json_iter i = json_iter(v); json_next(&i);)
        has_ours |= is_ours(i.key);
    op->header.meta = has_ours ? meta_without_ours(op, v) : raw;
    op->header.version_pin = json_string(json_have(v, S("mig.capability_version")));
    return MIG_OK;
}

/* What the answer must show even when the request is refused half-way. */
static void complete_header(struct op *op)
{
    struct op_header *h = &op->header;

    if (!h->message_id.len) {
        char *id = arena_alloc(op->arena, ID_UUID);
        if (id)
            id_uuid7(id);
        h->message_id = (str){id, id ? ID_UUID : 0};
    }
    if (!h->timestamp.len) {
        char *at = arena_alloc(op->arena, CLOCK_RFC3339);
        if (at)
            clock_rfc3339(clock_turn_wall_ms(), at);
        h->timestamp = (str){at, at ? CLOCK_RFC3339 : 0};
    }
    if (!h->meta.ptr)
        h->meta = S("{}");
}

mig_status stage_envelope(struct op *op)
{
    static mig_status (*const parts[])(struct op *) = {
        take_message_id, take_timestamp, take_version, take_texts, take_deadline, take_meta};
    mig_status status = parse_envelope(op);

    for (size_t i = 0; i < countof(parts) && status == MIG_OK; i++)
        status = parts[i](op);
    if (status != MIG_OK && !op->header.message_id.len && op->in.message_id.len &&
        str_is_visible(op->in.message_id, MESSAGE_ID_MAX))
        op->header.message_id = op->in.message_id;
    complete_header(op);
    return status;
}
