/* PUBLISH (MIG v0.1 5.4). */
#include "base/check.h"
#include "base/json_canon.h"
#include "core/events.h"
#include "core/names.h"
#include "core/once.h"
#include "core/op.h"

enum { KEY_MAX = 255 };

mig_status topic_of_op(struct op *op, str *ret)
{
    const json_value *v = json_have(op->doc.root, S("topic"));
    str path = op->in.target, body = json_string(v);

    if (v && !json_is_string(v))
        return op_fail_member(op, S("topic"));
    if (path.len && body.len && !str_eq(path, body))
        return op_fail(op, MIG_INVALID_REQUEST, "topic_mismatch",
                       "the topic of the body differs from that of the path");
    *ret = path.len ? path : body;
    if (!ret->len)
        return op_fail(op, MIG_INVALID_REQUEST, "topic_required", "topic is required");
    if (!memchr(ret->ptr, '.', ret->len))
        return op_fail(op, MIG_INVALID_REQUEST, "topic_namespace",
                       "topic names must be namespaced");
    if (!name_is_topic(*ret))
        return op_fail_member(op, S("topic"));
    if (!authz_may_topic(op->principal, op->gen, *ret))
        return op_fail(op, MIG_FORBIDDEN, "insufficient_scope", "insufficient topic scope");
    return MIG_OK;
}

static void drop_topic(void *topic)
{
    topic_drop(topic);
}

mig_status take_topic(struct op *op, str name, struct arena *a, struct topic **ret)
{
    static const struct {
        const char *reason, *message;
    } faults[] = {[TOPIC_NO_MEMORY] = {"memory", "no room for the topic"},
                  [TOPIC_TENANT_FULL] = {"tenant_topics", "the tenant has too many topics"},
                  [TOPIC_NODE_FULL] = {"topics", "the node has too many topics"}};
    enum topic_fault why = TOPIC_NO_MEMORY;
    struct topic *t = topic_take(op->core, op->header.tenant_id, name, &why);

    if (t && arena_defer(a, drop_topic, t)) {
        *ret = t;
        return MIG_OK;
    }
    if (t)
        topic_drop(t);
    return op_fail(op, MIG_BACKPRESSURE, faults[why].reason, faults[why].message);
}

static mig_status fail_store(struct op *op, mig_status status)
{
    if (status == MIG_INVALID_REQUEST)
        return op_fail(op, status, "event_too_large", "the event is larger than the store takes");
    if (status == MIG_E_NOMEM)
        return op_fail(op, MIG_BACKPRESSURE, "memory", "no room for the event");
    if (status == MIG_BACKPRESSURE)
        return op_fail(op, status, "event_store", "too many events wait for the store");
    return op_fail(op, MIG_UNAVAILABLE, "event_store", "the event could not be stored");
}

struct publishing {
    struct publication publication;
    struct op *op;
    struct call_result ack;
};

/* ack->json: the members behind the header. */
static void give(struct op *op, const struct call_result *ack)
{
    struct arena_text t;

    text_init(&t, op->arena, 768);
    envelope_header(op, &t);
    text_add(&t, ack->json);
    op_answer(op, &(struct call_result){0}, text_str(&t));
}

/* ptr NULL: no memory. */
static str ack_text(struct op *op, const struct event *e, str topic)
{
    struct arena_text t;

    text_init(&t, op->arena, 256);
    text_add(&t, S(",\"topic\":\""));
    text_add(&t, topic);
    text_add(&t, S("\",\"event_id\":\""));
    text_add(&t, e->event_id);
    text_add(&t, S("\",\"sequence\":"));
    text_addu(&t, e->seq);
    text_add(&t, S(",\"accepted\":true}"));
    return t.has_failed ? (str){NULL, 0} : text_str(&t);
}

/* With a key, the acknowledgement is stored with the event. */
static mig_status numbered(struct publication *p, struct store_request **ret_with)
{
    struct publishing *g = container_of(p, struct publishing, publication);

    g->ack.json = ack_text(g->op, p->event, topic_name(p->topic));
    return g->ack.json.ptr && once_prepare(g->op, &g->ack, ret_with) ? MIG_OK : MIG_E_NOMEM;
}

/* Home loop: the event is in the log, or could not be written. */
static void published(struct publication *p, mig_status status)
{
    struct publishing *g = container_of(p, struct publishing, publication);
    struct op *op = g->op;
    struct event *e = p->event;

    if (status == MIG_OK) {
        if (!once_settle(op))
            give(op, &g->ack);
    } else {
        fail_store(op, status);
        op_answer_error(op, &op->error);
    }
    event_unref(e);
}

static str event_key(const struct op *op)
{
    return json_string(json_have(op->doc.root, S("key")));
}

static mig_status publish(struct op *op)
{
    struct publishing *g = arena_zero(op->arena, sizeof *g);
    struct topic *log = NULL;
    str topic = {NULL, 0};

    mig_status status = topic_of_op(op, &topic);
    if (status == MIG_OK)
        status = take_topic(op, topic, op->arena, &log);
    if (status != MIG_OK)
        return status;
    struct event *e = g ? event_of_op(op, event_key(op), op->payload) : NULL;
    if (!e)
        return op_fail(op, MIG_BACKPRESSURE, "memory", "no room for the event");
    g->op = op;
    g->publication =
        (struct publication){.topic = log, .event = e, .numbered = numbered, .done = published};
    g->publication.request.loop = op->home;
    status = topic_publish(&g->publication);
    if (status == MIG_OK)
        return OP_WAITS;
    event_unref(e);
    return fail_store(op, status);
}

/* The one before it was not written: now it is its turn. */
static void go_on(struct op *op)
{
    if (publish(op) != OP_WAITS)
        op_answer_error(op, &op->error);
}

/* What was published under the key before is acknowledged again. */
static mig_status begin_once(struct op *op, str topic)
{
    static const struct once_kind publications = {IDEM_PUBLISH, go_on, give};
    struct arena_text asked;

    text_init(&asked, op->arena, op->payload.len + 64);
    text_add_json(&asked, event_key(op));
    if (op->payload_value)
        json_canon(op->payload_value, &asked);
    else
        text_add(&asked, S("{}"));
    if (asked.has_failed)
        return op_fail(op, MIG_BACKPRESSURE, "memory", "the payload needs too much memory");
    return once_begin(op, &publications, topic, text_str(&asked));
}

mig_status stage_publish(struct op *op)
{
    const json_value *key = json_have(op->doc.root, S("key"));
    str topic = {NULL, 0};

    mig_status status = topic_of_op(op, &topic);
    if (status != MIG_OK)
        return status;
    if (key && (!json_is_string(key) || json_string(key).len > KEY_MAX))
        return op_fail_member(op, S("key"));
    if (!op->payload.len)
        op->payload = S("{}");
    if (op->payload.ptr[0] != '{')
        return op_fail(op, MIG_INVALID_REQUEST, "invalid_payload", "payload must be an object");
    if (op->header.idempotency_key.len)
        status = begin_once(op, topic);
    return status == MIG_OK ? publish(op) : status;
}
