#include "core/record.h"
#include "base/check.h"
#include "base/clock.h"
#include "mig/sdk/status.h"

#include <assert.h>
#include <stdio.h>

/* --- names -------------------------------------------------------------------------------------- */

static const char *const outcomes[OUTCOMES] = {"success", "error",     "denied",  "rate_limited",
                                               "timeout", "cancelled", "replayed"};

const char *outcome_name(enum outcome o)
{
    return outcomes[o];
}

enum outcome outcome_named(str name)
{
    enum outcome o = OUTCOME_SUCCESS;

    while (o < OUTCOMES && !str_eq(name, str_of(outcomes[o])))
        o++;
    return o;
}

const char *operation_name(enum operation o)
{
    static const char *const names[OPERATIONS] = {"invoke",    "hello",     "discover",
                                                  "cancel",    "heartbeat", "publish",
                                                  "subscribe", "auth",      "admin"};
    return names[o];
}

enum outcome outcome_of(mig_status status)
{
    switch (status) {
    case MIG_OK: return OUTCOME_SUCCESS;
    case MIG_UNAUTHORIZED:
    case MIG_FORBIDDEN: return OUTCOME_DENIED;
    case MIG_RATE_LIMITED:
    case MIG_BACKPRESSURE: return OUTCOME_RATE_LIMITED;
    case MIG_TIMEOUT: return OUTCOME_TIMEOUT;
    default: return OUTCOME_ERROR;
    }
}

/* --- packed ------------------------------------------------------------------------------------- */

const str binding_names[BINDINGS_KNOWN] = {S("http"), S("ws"), S("grpc"), S("nats"), S("mcp")};

unsigned binding_named(str name)
{
    unsigned i = 0;

    if (STR_IS(name, "http"))
        return 0; // before all others
    while (i < BINDINGS_KNOWN && !str_eq(name, binding_names[i]))
        i++;
    return i;
}

static const str anonymous = S("anonymous");

enum { HAS_TRACE = 1, HAS_PARENT = 2, HAS_NAMES = 4, IS_ANONYMOUS = 8, HAS_MORE = 16 };

/* Then, when flags say so: the trace, the parent's span, the address of the names, the lengths of the other
 * texts; then the texts. */
struct packed {
    uint64_t at_us;
    uint32_t took_us;
    uint8_t operation, outcome, code, decision;
    uint8_t flags, binding;
    uint8_t lengths[3]; /* message id, remote, actor: those that every record has */
};
enum { ALWAYS_TEXTS = 3, MORE_TEXTS = RECORD_TEXTS - ALWAYS_TEXTS };
static_assert(sizeof(struct packed) == 24 && offsetof(struct packed, at_us) == 0,
              "no gaps but the last");
static_assert(sizeof(struct packed) + sizeof(struct traceparent) + SPAN_ID + sizeof(void *) +
                      MORE_TEXTS <=
                  RECORD_FIXED,
              "raise RECORD_FIXED");

static inline char *put(char *to, const void *bytes, size_t n)
{
    memcpy(to, bytes, n);
    return to + n;
}

static inline size_t cut(str s)
{
    return s.len < RECORD_TEXT_MAX ? s.len : RECORD_TEXT_MAX;
}

/* The texts that few records have. */
static char *put_more(const struct record *r, uint8_t flags, unsigned binding, char *to)
{
    char *lengths = to;

    to += MORE_TEXTS;
    for (size_t i = 0; i < MORE_TEXTS; i++) {
        str s = r->texts[ALWAYS_TEXTS + i];
        bool is_elsewhere =
            (flags & HAS_NAMES && (&r->texts[ALWAYS_TEXTS + i] == &r->tenant ||
                                   &r->texts[ALWAYS_TEXTS + i] == &r->capability)) ||
            (binding < BINDINGS_KNOWN && &r->texts[ALWAYS_TEXTS + i] == &r->binding);
        size_t n = is_elsewhere ? 0 : cut(s);
        lengths[i] = (char)n;
        to = n ? put(to, s.ptr, n) : to;
    }
    return to;
}

size_t record_pack_brief(const struct brief *b, char *to)
{
    bool is_anonymous = STR_IS(b->actor, "anonymous");
    struct packed p = {
        .at_us = b->at_us,
        .took_us = b->took_us,
        .operation = OPERATION_INVOKE,
        .outcome = (uint8_t)b->outcome,
        .code = (uint8_t)b->code,
        .decision = DECISION_ALLOW,
        .flags = (uint8_t)(HAS_TRACE | HAS_NAMES | (is_anonymous ? IS_ANONYMOUS : 0)),
        .binding = (uint8_t)b->binding,
        .lengths = {(uint8_t)cut(b->message_id), (uint8_t)cut(b->remote),
                    (uint8_t)(is_anonymous ? 0 : cut(b->actor))},
    };
    char *at = put(to, &p, sizeof p);

    at = put(at, b->trace, sizeof *b->trace);
    at = put(at, &b->names, sizeof b->names);
    at = put(at, b->message_id.ptr, p.lengths[0]);
    at = put(at, b->remote.ptr, p.lengths[1]);
    return (size_t)((p.lengths[2] ? put(at, b->actor.ptr, p.lengths[2]) : at) - to);
}

size_t record_pack(const struct record *r, char *to)
{
    unsigned binding = binding_named(r->binding);
    bool is_anonymous = STR_IS(r->actor, "anonymous");
    bool has_more = !r->names || binding == BINDINGS_KNOWN || r->target.len || r->mapping.len;
    struct packed p = {
        .at_us = r->at_us,
        .took_us = r->took_us < UINT32_MAX ? (uint32_t)r->took_us : UINT32_MAX,
        .operation = (uint8_t)r->operation,
        .outcome = (uint8_t)r->outcome,
        .code = (uint8_t)r->code,
        .decision = (uint8_t)r->decision,
        .flags = (uint8_t)((r->has_trace ? HAS_TRACE : 0) | (r->has_parent ? HAS_PARENT : 0) |
                           (r->names ? HAS_NAMES : 0) | (is_anonymous ? IS_ANONYMOUS : 0) |
                           (has_more ? HAS_MORE : 0)),
        .binding = (uint8_t)binding,
        .lengths = {(uint8_t)cut(r->message_id), (uint8_t)cut(r->remote),
                    (uint8_t)(is_anonymous ? 0 : cut(r->actor))},
    };
    char *at = put(to, &p, sizeof p);

    if (r->has_trace)
        at = put(at, &r->trace, sizeof r->trace);
    if (r->has_parent)
        at = put(at, r->parent_span, SPAN_ID);
    if (r->names)
        at = put(at, &r->names, sizeof r->names);
    if (has_more)
        at = put_more(r, p.flags, binding, at);
    for (size_t i = 0; i < ALWAYS_TEXTS; i++)
        if (p.lengths[i])
            at = put(at, r->texts[i].ptr, p.lengths[i]);
    return (size_t)(at - to);
}

static const char *get(const char *from, void *bytes, size_t n)
{
    memcpy(bytes, from, n);
    return from + n;
}

static const char *get_more(const char *from, struct record *ret)
{
    const unsigned char *lengths = (const unsigned char *)from;

    from += MORE_TEXTS;
    for (size_t i = 0; i < MORE_TEXTS; i++) {
        ret->texts[ALWAYS_TEXTS + i] = (str){from, lengths[i]};
        from += lengths[i];
    }
    return from;
}

void record_unpack(str packed, struct record *ret)
{
    struct packed p;
    const char *at = get(packed.ptr, &p, sizeof p);

    *ret = (struct record){
        .at_us = p.at_us,
        .took_us = p.took_us,
        .operation = (enum operation)p.operation,
        .outcome = (enum outcome)p.outcome,
        .decision = (enum decision)p.decision,
        .code = (mig_status)p.code,
        .has_trace = p.flags & HAS_TRACE,
        .has_parent = p.flags & HAS_PARENT,
    };
    if (p.flags & HAS_TRACE)
        at = get(at, &ret->trace, sizeof ret->trace);
    if (p.flags & HAS_PARENT)
        at = get(at, ret->parent_span, SPAN_ID);
    if (p.flags & HAS_NAMES)
        at = get(at, &ret->names, sizeof ret->names);
    if (p.flags & HAS_MORE)
        at = get_more(at, ret);
    for (size_t i = 0; i < ALWAYS_TEXTS; i++) {
        ret->texts[i] = (str){at, p.lengths[i]};
        at += p.lengths[i];
    }
    ret->rest = (str){at, packed.len - (size_t)(at - packed.ptr)};
    if (p.flags & IS_ANONYMOUS)
        ret->actor = anonymous;
    if (p.binding < BINDINGS_KNOWN)
        ret->binding = binding_names[p.binding];
    if (ret->names) {
        ret->capability = ret->names->capability;
        ret->tenant = ret->names->tenant;
    }
}

uint64_t record_time(str packed)
{
    uint64_t at_us;

    get(packed.ptr, &at_us, sizeof at_us);
    return at_us;
}

/* --- as text ------------------------------------------------------------------------------------ */

/* The members and columns in their order; the first six are there in every record. */
enum column {
    ACTOR,
    TENANT,
    CAPABILITY,
    OUTCOME,
    TIMESTAMP,
    MESSAGE_ID,
    OPERATION,
    BINDING,
    ERROR_CODE,
    DURATION,
    TRACEPARENT,
    REMOTE,
    DECISION,
    TARGET,
    MAPPING,
    COLUMNS,
    ALWAYS = OPERATION
};
#define COLUMN(n)                                                                                  \
    {                                                                                              \
        n, S(",\"" n "\":")                                                                        \
    }
static const struct {
    const char *name;
    str member;
} columns[COLUMNS] = {COLUMN("actor"),       COLUMN("tenant_id"),   COLUMN("capability"),
                      COLUMN("outcome"),     COLUMN("timestamp"),   COLUMN("message_id"),
                      COLUMN("operation"),   COLUMN("binding"),     COLUMN("error_code"),
                      COLUMN("duration_ms"), COLUMN("traceparent"), COLUMN("remote_addr"),
                      COLUMN("decision"),    COLUMN("target"),      COLUMN("mapping")};

enum { CELL = 64 };

static str milliseconds(uint64_t us, char room[CELL])
{
    size_t at = CELL;

    for (unsigned digits = 0; us || digits < 4; digits++, us /= 10) {
        if (digits == 3)
            room[--at] = '.';
        room[--at] = (char)('0' + us % 10);
    }
    return (str){room + at, CELL - at};
}

/* What stands in a column; `room` is for texts that are made here. */
static str cell(const struct record *r, enum column c, char room[CELL])
{
    static const char *const decisions[] = {"", "allow", "deny"};

    switch (c) {
    case ACTOR: return r->actor;
    case TENANT: return r->tenant;
    case CAPABILITY: return r->capability;
    case OUTCOME: return str_of(outcome_name(r->outcome));
    case TIMESTAMP: clock_rfc3339(r->at_us / 1000, room); return (str){room, CLOCK_RFC3339};
    case MESSAGE_ID: return r->message_id;
    case OPERATION: return str_of(operation_name(r->operation));
    case BINDING: return r->binding;
    case ERROR_CODE: return r->code ? str_of(mig_status_row(r->code)->name) : S("");
    case DURATION: return milliseconds(r->took_us, room);
    case TRACEPARENT:
        if (!r->has_trace)
            return S("");
        traceparent_write(&r->trace, room);
        return (str){room, TRACEPARENT_TEXT};
    case REMOTE: return r->remote;
    case DECISION: return str_of(decisions[r->decision]);
    case TARGET: return r->target;
    default: return r->mapping;
    }
}

void record_json(const struct record *r, str prev, struct buf *out)
{
    char room[CELL];

    buf_addc(out, '{');
    for (enum column c = 0; c < COLUMNS; c++) {
        str value = cell(r, c, room);
        if (!value.len && c >= ALWAYS)
            continue;
        buf_add(out, str_cut(columns[c].member, c == 0));
        if (c == DURATION)
            buf_add(out, value);
        else
            buf_add_json(out, value);
    }
    if (prev.ptr)
        buf_addf(out, ",\"prev\":\"%.*s\"", STR_ARG(prev));
    buf_addc(out, '}');
}

void record_csv_head(struct buf *out)
{
    for (enum column c = 0; c < COLUMNS; c++) {
        buf_addz(out, c ? "," : "");
        buf_addz(out, columns[c].name);
    }
    buf_addz(out, "\r\n");
}

/* Spreadsheets run what begins with one of these. */
static bool is_formula(str value)
{
    return value.len && value.ptr[0] && strchr("=+-@\t\r\n", value.ptr[0]);
}

static void add_quoted(struct buf *out, str value)
{
    buf_addc(out, '"');
    if (is_formula(value))
        buf_addc(out, '\'');
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] == '"')
            buf_addc(out, '"');
        buf_addc(out, value.ptr[i]);
    }
    buf_addc(out, '"');
}

void record_csv(const struct record *r, struct buf *out)
{
    char room[CELL];

    for (enum column c = 0; c < COLUMNS; c++) {
        buf_addz(out, c ? "," : "");
        str value = cell(r, c, room);
        if (value.len)
            add_quoted(out, value);
    }
    buf_addz(out, "\r\n");
}
