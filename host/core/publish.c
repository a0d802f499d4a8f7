/* PUBLISH (MIG v0.1 5.4). */
#include "base/check.h"
#include "core/events.h"
#include "core/names.h"
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

static mig_status fail_store(struct op *op, mig_status status)
{
    if (status == MIG_INVALID_REQUEST)
        return op_fail(op, status, "event_too_large", "the event is larger than the store takes");
    if (status == MIG_BACKPRESSURE)
        return op_fail(op, status, "event_store", "too many events wait for the store");
    return op_fail(op, MIG_UNAVAILABLE, "event_store", "the event could not be stored");
}

static void answer(struct op *op, const struct event *e, str topic)
{
    struct arena_text t;

    text_init(&t, op->arena, 768);
    envelope_header(op, &t);
    text_add(&t, S(",\"topic\":\""));
    text_add(&t, topic);
    text_add(&t, S("\",\"event_id\":\""));
    text_add(&t, e->event_id);
    text_add(&t, S("\",\"sequence\":"));
    text_addu(&t, e->seq);
    text_add(&t, S(",\"accepted\":true}"));
    op_answer(op, &(struct call_result){0}, text_str(&t));
}

struct publishing {
    struct publication publication;
    struct op *op;
};

/* Home loop: the event is in the log, or could not be written. */
static void published(struct publication *p, mig_status status)
{
    struct op *op = container_of(p, struct publishing, publication)->op;
    struct event *e = p->event;

    if (status == MIG_OK) {
        answer(op, e, topic_name(p->topic));
    } else {
        fail_store(op, status);
        op_answer_error(op, &op->error);
    }
    event_unref(e);
}

mig_status stage_publish(struct op *op)
{
    const json_value *key = json_have(op->doc.root, S("key"));
    struct publishing *g = arena_zero(op->arena, sizeof *g);
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
    struct topic *log = g ? topic_of(op->core, op->header.tenant_id, topic) : NULL;
    struct event *e = log ? event_of_op(op, json_string(key), op->payload) : NULL;
    if (!e)
        return op_fail(op, MIG_BACKPRESSURE, "memory", "no room for the event or its topic");
    *g = (struct publishing){{.topic = log, .event = e, .done = published}, op};
    struct publication *p = &g->publication;
    p->request.loop = op->home;
    status = topic_publish(p);
    if (status == MIG_OK)
        return OP_WAITS;
    event_unref(p->event);
    return fail_store(op, status);
}
