/* How long events are kept (MIG v0.1 7.1): so many, so many bytes, so long. The oldest go first; their
 * numbers do not come again. */
#include "base/check.h"
#include "base/clock.h"
#include "core/core.h"
#include "core/events_own.h"

#include <stdlib.h>

enum { SWEEP_MS = 30000, SLACK = 16, LOOK_RECORDS = 256, LOOK_BYTES = 1 << 20 };

/* One trim on its way. */
struct trim {
    struct store_request request;
    struct core *core;
    struct topic *topic;
    uint64_t first;
    bool is_more; /* of what is too old */
};

static struct store_topic name_of(struct topic *t)
{
    return store_topic((struct store_tenant){topic_tenant(t)}, topic_name(t));
}

static void end(struct trim *m, uint64_t first, uint64_t bytes)
{
    topic_end_trim(m->topic, first, bytes);
    store_read_done(&m->request);
    free(m);
}

static void look_for_old(struct core *core, struct topic *t);

static void measured(struct store_request *r)
{
    struct trim *m = container_of(r, struct trim, request);
    struct core *core = m->core;
    struct topic *t = m->topic;
    bool ok = r->status == MIG_OK, is_more = m->is_more;

    end(m, ok ? r->first : m->first, ok ? r->bytes : 0);
    if (is_more)
        look_for_old(core, t);
    else if (ok)
        events_retain(core, t); /* events differ in size: it may not have been enough */
}

static void trimmed(struct store_request *r)
{
    struct trim *m = container_of(r, struct trim, request);

    m->first = r->first;
    r->done = measured;
    if (r->status != MIG_OK)
        end(m, 0, 0);
    else if (store_head(m->core->store, r, name_of(m->topic)) != MIG_OK)
        end(m, m->first, 0);
}

static void trim_to(struct trim *m, uint64_t up_to)
{
    m->request.done = trimmed;
    if (store_trim(m->core->store, &m->request, name_of(m->topic), up_to) != MIG_OK)
        end(m, 0, 0);
}

static struct trim *trim_new(struct core *core, struct topic *t, struct loop *l)
{
    struct trim *m = calloc(1, sizeof *m);

    if (!m) {
        topic_end_trim(t, 0, 0);
        return NULL;
    }
    m->core = core;
    m->topic = t;
    m->request.loop = l;
    return m;
}

/* The last number that is too much; 0: none. A limit may be passed by a part of it, so that one trim
 * serves many events. */
static uint64_t surplus(const struct events *e, const struct topic_size *size)
{
    uint64_t count = size->last + 1 - size->first;
    uint64_t max = atomic_load(&e->max_per_topic), max_bytes = atomic_load(&e->max_bytes);
    uint64_t drop = max && count > max + max / SLACK ? count - max : 0;

    if (max_bytes && size->bytes > max_bytes + max_bytes / SLACK && count) {
        uint64_t each = size->bytes / count + 1, over = (size->bytes - max_bytes) / each + 1;
        drop = over > drop ? over : drop;
    }
    return drop ? size->first + drop - 1 : 0;
}

void events_retain(struct core *core, struct topic *t)
{
    struct topic_size size = topic_begin_trim(t);

    if (!size.is_mine)
        return;
    uint64_t up_to = surplus(core->events, &size);
    struct trim *m = up_to ? trim_new(core, t, loop_current()) : NULL;
    if (m)
        trim_to(m, up_to);
    else if (!up_to)
        topic_end_trim(t, 0, 0);
}

/* --- age: looked at now and then, on the control thread ----------------------------------------- */

static void look(struct trim *m, uint64_t after);

/* Records come oldest first: those that are too old are a part at the front. */
static void looked(struct store_request *r)
{
    struct trim *m = container_of(r, struct trim, request);
    uint64_t max_age = atomic_load(&m->core->events->max_age_ms), now = clock_wall_ms();
    uint64_t old = 0, n = 0;
    struct store_record record;

    if (r->status == MIG_OK)
        for (; store_next_record(r, &record) && record.at_ms + max_age < now; n++)
            old = record.seq;
    m->is_more = r->has_more && n == r->count;
    store_read_done(r);
    if (old)
        trim_to(m, old);
    else
        end(m, 0, 0);
}

static void look(struct trim *m, uint64_t after)
{
    m->request.done = looked;
    if (store_read(m->core->store, &m->request, name_of(m->topic), after, LOOK_RECORDS,
                   LOOK_BYTES) != MIG_OK)
        end(m, 0, 0);
}

/* Control thread. */
static void look_for_old(struct core *core, struct topic *t)
{
    struct topic_size size = topic_begin_trim(t);

    if (!size.is_mine)
        return;
    struct trim *m = size.first <= size.last ? trim_new(core, t, core->control) : NULL;
    if (m)
        look(m, size.first - 1);
    else if (size.first > size.last)
        topic_end_trim(t, 0, 0);
}

struct sweep {
    struct topic **topics;
    size_t count, cap;
};

static void note(void *arg, struct topic *t, struct stripe *stripe)
{
    struct sweep *s = arg;

    if (topic_forget(t, stripe))
        return;
    topic_forget_tail(t);
    if (s->count == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 64;
        struct topic **bigger = realloc(s->topics, cap * sizeof(struct topic *));
        if (!bigger)
            return; /* the next sweep */
        s->topics = bigger;
        s->cap = cap;
    }
    s->topics[s->count++] = t;
}

static void sweep(struct timer *timer)
{
    struct events *e = container_of(timer, struct events, sweep);
    struct core *core = e->core;
    struct sweep s = {0};

    events_each(core, note, &s);
    for (size_t i = 0; i < s.count; i++)
        look_for_old(core, s.topics[i]);
    free(s.topics);
    loop_timer(core->control, timer, SWEEP_MS, sweep);
}

void events_set_limits(struct core *core, const struct event_limits *limits)
{
    struct events *e = core->events;

    atomic_store(&e->max_per_topic, limits->max_per_topic);
    atomic_store(&e->max_bytes, limits->max_bytes);
    atomic_store(&e->max_age_ms, limits->max_age_ms);
    atomic_store(&e->max_topics, limits->max_topics);
    if (!timer_is_running(&e->sweep))
        loop_timer(core->control, &e->sweep, SWEEP_MS, sweep);
}
