#include "core/event.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/sse.h"
#include "core/op.h"

#include <stdlib.h>

enum { PREFIX = 4, ARENA_LIMIT = 64 << 20 };

static _Thread_local struct event *lent;

/* --- making ------------------------------------------------------------------------------------- */

static struct event *event_new(str key, str event_id, str header, str payload)
{
    size_t stored = PREFIX + header.len + payload.len;
    struct event *e = malloc(sizeof *e + key.len + event_id.len + stored);
    char *at = e ? e->bytes : NULL;

    if (!e)
        return NULL;
    *e = (struct event){.refs = 1};
    e->key = (str){at, key.len};
    if (key.len)
        memcpy(at, key.ptr, key.len);
    at += key.len;
    e->event_id = (str){memcpy(at, event_id.ptr, event_id.len), event_id.len};
    at += event_id.len;
    e->stored = (str){at, stored};
    for (size_t i = 0; i < PREFIX; i++)
        *at++ = (char)(header.len >> 8 * i);
    memcpy(at, header.ptr, header.len);
    memcpy(at + header.len, payload.ptr, payload.len);
    return e;
}

struct event *event_of_op(struct op *op, str key, str payload)
{
    struct arena_text t, line;
    char id[ID_UUID];

    text_init(&t, op->arena, 512);
    envelope_event_header(op, key, &t);
    text_init(&line, op->arena, payload.len);
    text_add_line(&line, payload);
    if (t.has_failed || line.has_failed)
        return NULL;
    id_uuid7(id);
    struct event *e = event_new(key, (str){id, ID_UUID}, text_str(&t), text_str(&line));
    if (e)
        e->at_ms = clock_wall_ms();
    return e;
}

static size_t header_len(str stored)
{
    size_t n = 0;

    for (size_t i = 0; i < PREFIX && i < stored.len; i++)
        n |= (size_t)(unsigned char)stored.ptr[i] << 8 * i;
    return n;
}

struct event *event_of_record(const struct store_record *r)
{
    if (r->bytes.len < PREFIX || header_len(r->bytes) > r->bytes.len - PREFIX)
        return NULL;
    str header = {r->bytes.ptr + PREFIX, header_len(r->bytes)};
    str payload = str_cut(r->bytes, PREFIX + header.len);
    struct event *e = event_new(r->key, r->event_id, header, payload);
    if (e) {
        e->seq = r->seq;
        e->at_ms = r->at_ms;
    }
    return e;
}

struct event *event_ref(struct event *e)
{
    atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
    return e;
}

void event_unref(void *event)
{
    struct event *e = event;

    if (atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) != 1)
        return;
    free(atomic_load(&e->live));
    free(atomic_load(&e->sse));
    free(e);
}

/* --- rendering ---------------------------------------------------------------------------------- */

void event_write(const struct event *e, str topic, bool is_replay, struct arena_text *t)
{
    size_t n = header_len(e->stored);
    char at[CLOCK_RFC3339];

    clock_rfc3339(e->at_ms, at);
    text_add(t, S("{\"header\":"));
    text_add(t, (str){e->stored.ptr + PREFIX, n});
    text_add(t, S(",\"mig.cursor\":\""));
    text_addu(t, e->seq);
    text_add(t, S("\"}},\"topic\":\""));
    text_add(t, topic);
    text_add(t, S("\",\"event_id\":\""));
    text_add(t, e->event_id);
    text_add(t, S("\",\"sequence\":"));
    text_addu(t, e->seq);
    text_add(t, S(",\"payload\":"));
    text_add(t, str_cut(e->stored, PREFIX + n));
    text_add(t, S(",\"published_at\":\""));
    text_add(t, (str){at, CLOCK_RFC3339});
    text_add(t, is_replay ? S("\",\"replay\":true}") : S("\",\"replay\":false}"));
}

/* Several threads may make it at once: the first one's stays. */
static struct event_text *keep_first(_Atomic(struct event_text *) *at, struct event_text *made)
{
    struct event_text *none = NULL;

    if (!made || atomic_compare_exchange_strong(at, &none, made))
        return made;
    free(made);
    return none;
}

static struct event_text *text_new(size_t len)
{
    struct event_text *t = malloc(sizeof *t + len);

    if (t)
        t->len = len;
    return t;
}

static struct event_text *make_live(const struct event *e, str topic)
{
    struct arena_pool pool = {0};
    struct arena *a = arena_new(&pool, ARENA_LIMIT + 4 * e->stored.len);
    struct event_text *made = NULL;
    struct arena_text t;

    if (!a)
        return NULL;
    text_init(&t, a, e->stored.len + topic.len + 256);
    event_write(e, topic, /*is_replay=*/false, &t);
    if (!t.has_failed && (made = text_new(t.len)))
        memcpy(made->text, t.ptr, t.len);
    arena_unref(a);
    arena_pool_deinit(&pool);
    return made;
}

str event_live(struct event *e, str topic)
{
    struct event_text *t = atomic_load(&e->live);

    if (!t)
        t = keep_first(&e->live, make_live(e, topic));
    return t ? (str){t->text, t->len} : (str){NULL, 0};
}

/* --- one record for all readers ----------------------------------------------------------------- */

void event_lend(struct event *e)
{
    lent = e;
}

static struct event_text *make_sse(const struct sse_record *r)
{
    struct event_text *made = text_new(sse_size(r));

    if (made)
        sse_write(r, made->text);
    return made;
}

struct event *event_shared(str name, str id, str data, str *ret_record)
{
    struct event *e = lent;
    struct event_text *live = e ? atomic_load(&e->live) : NULL;
    uint64_t seq;

    if (!live || data.ptr != live->text || data.len != live->len || !str_eq(name, S("mig-event")) ||
        !str_to_u64(id, &seq) || seq != e->seq)
        return NULL;
    struct event_text *record = atomic_load(&e->sse);
    if (!record)
        record = keep_first(&e->sse, make_sse(&(struct sse_record){name, id, data, 0}));
    if (!record)
        return NULL;
    *ret_record = (str){record->text, record->len};
    return event_ref(e);
}
