#include "core/rest.h"

enum { TEXTS = 11 };

static void texts_of(struct op_rest *r, str *ret[TEXTS])
{
    struct op_header *h = &r->header;
    str *all[TEXTS] = {&h->message_id,  &h->timestamp,       &h->tenant_id, &h->session_id,
                       &h->traceparent, &h->idempotency_key, &h->meta,      &r->binding,
                       &r->target,      &r->stream_id,       &r->tracestate};

    memcpy(ret, all, sizeof all);
}

struct op_rest op_rest_of(const struct op *op)
{
    struct op_rest r = {
        .parent = op->parent,
        .instance = op->instance,
        .header = op->header,
        .binding = op->in.binding,
        .target = op->in.target,
        .stream_id = op->in.stream_id,
        .tracestate = op->trace.state,
        .operation = op->in.operation,
        .flags = op->in.flags,
        .tag = op->in.tag,
        .on_done = op->in.on_done,
        .started_ns = op->started_ns,
        .stream = op->stream,
    };
    r.header.version_pin = (str){NULL, 0}; /* has been looked at, and lies in meta */
    return r;
}

size_t op_rest_bytes(const struct op_rest *r)
{
    struct op_rest copy = *r;
    str *texts[TEXTS];

    texts_of(&copy, texts);
    return str_total(texts, TEXTS);
}

bool op_rest_own(struct op_rest *r, struct arena *a)
{
    str *texts[TEXTS];

    texts_of(r, texts);
    return arena_own(a, texts, TEXTS);
}

struct op *op_of_rest(const struct op_rest *r, struct arena *a)
{
    struct op *op = op_new(r->parent, a, r->instance);

    if (!op)
        return NULL;
    arena_ref(a);
    op->owns_arena = true;
    op->header = r->header;
    const mig_submit in = {
        .struct_size = sizeof in,
        .operation = r->operation,
        .binding = r->binding,
        .target = r->target,
        .stream_id = r->stream_id,
        .flags = r->flags,
        .tag = r->tag,
        .on_done = r->on_done,
    };
    op_take(op, &in);
    op->trace.has_parent = traceparent_parse(r->header.traceparent, &op->trace.parent);
    op->trace.state = r->tracestate;
    op->started_ns = r->started_ns;
    op->stream = r->stream;
    op->is_open = true;
    return op;
}
