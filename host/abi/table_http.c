/* mig.http/1 */
#include "abi/pending.h"
#include "abi/tables.h"
#include "base/check.h"
#include "base/sse.h"
#include "core/event.h"
#include "mig/ext/http.h"

#include <stdlib.h>

/* A head on its way from a foreign thread. */
struct order {
    struct task task;
    struct call *call;
    uint32_t status, count;
    mig_header headers[];
};

static void obey(struct task *t)
{
    struct order *o = container_of(t, struct order, task);

    o->call->kind->respond(o->call, o->status, o->headers, o->count);
    call_drop(o->call);
    free(o);
}

static struct order *order_new(struct call *c, uint32_t status, const mig_header *h, uint32_t count)
{
    size_t texts = 0;
    for (uint32_t i = 0; i < count; i++)
        texts += h[i].name.len + h[i].value.len;
    struct order *o = malloc(sizeof *o + count * sizeof *h + texts);
    must(o);
    *o = (struct order){{.run = obey}, c, status, count};
    char *to = (char *)(o->headers + count);
    for (uint32_t i = 0; i < count; i++) {
        const str from[] = {h[i].name, h[i].value};
        str *ends[] = {&o->headers[i].name, &o->headers[i].value};
        for (int n = 0; n < 2; n++) {
            if (from[n].len)
                memcpy(to, from[n].ptr, from[n].len);
            *ends[n] = (str){to, from[n].len};
            to += from[n].len;
        }
    }
    return o;
}

static mig_status respond(const mig_host *h, mig_call ex, uint32_t status,
                          const mig_header *headers, uint32_t header_count)
{
    struct instance *i = instance_of(h);
    struct call *c = call_hold(i->core, i, ex);
    mig_status answer = MIG_OK;

    if (!c)
        return MIG_E_GONE;
    if (!c->kind->respond || header_count > 256) {
        call_drop_any(c);
        return MIG_E_ARG;
    }
    if (loop_is_current(c->home)) {
        answer = c->kind->respond(c, status, headers, header_count);
        call_drop(c);
    } else {
        struct order *o = order_new(c, status, headers, header_count);
        loop_post(c->home, &o->task);
    }
    return answer;
}

static mig_status event(const mig_host *h, mig_call ex, const mig_http_event *e)
{
    const struct sse_record r = {e->name, e->id, e->data, e->retry_ms};
    struct instance *i = instance_of(h);
    str record;
    struct event *shared = e->retry_ms ? NULL : event_shared(e->name, e->id, e->data, &record);

    if (shared) {
        const mig_payload p = {record, event_unref, shared};
        mig_status status = call_send(i->core, i, ex, &p);
        if (status == MIG_E_AGAIN)
            event_unref(shared);
        return status;
    }
    if (!sse_is_valid(&r))
        return MIG_E_ARG;
    char *text = malloc(sse_size(&r));
    must(text);
    const mig_payload p = {{text, (size_t)(sse_write(&r, text) - text)}, free, text};
    mig_status status = call_send(i->core, i, ex, &p);
    if (status == MIG_E_AGAIN)
        free(text);
    return status;
}

static mig_status upgrade(const mig_host *h, mig_call ex, const mig_websocket *ws)
{
    struct instance *i = instance_of(h);
    mig_websocket known = {0};

    if (!ws || ws->struct_size < offsetof(mig_websocket, on_cancel) + sizeof ws->on_cancel ||
        !ws->on_message || !ws->on_cancel)
        return MIG_E_ARG;
    memcpy(&known, ws, ws->struct_size < sizeof known ? ws->struct_size : sizeof known);
    struct call *c = call_hold(i->core, i, ex);
    if (!c)
        return MIG_E_GONE;
    bool may = c->kind->upgrade && loop_is_current(c->home) && c->handler.exec == MIG_EXEC_LOOP;
    mig_status status = may ? c->kind->upgrade(c, &known) : MIG_E_ARG;
    call_drop_any(c);
    return status;
}

static void release_here(struct loop *l, uint64_t v)
{
    struct call *c = (struct call *)(uintptr_t)v;

    (void)l;
    c->kind->release(c);
    call_drop(c);
}

static mig_status release_request(const mig_host *h, mig_call ex)
{
    struct instance *i = instance_of(h);
    struct call *c = call_hold(i->core, i, ex);

    if (!c)
        return MIG_E_GONE;
    if (!c->kind->release) {
        call_drop_any(c);
        return MIG_E_ARG;
    }
    if (loop_is_current(c->home))
        release_here(c->home, (uintptr_t)c);
    else
        loop_post_fn(c->home, release_here, (uintptr_t)c);
    return MIG_OK;
}

const void *table_http(struct instance *i)
{
    static const mig_ext_http table = {sizeof table, 0, respond, event, upgrade, release_request};
    (void)i;
    return &table;
}
