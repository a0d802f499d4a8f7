/* topic_world.h: events published by hand to the topics of core_world.h. */
#ifndef TESTS_TOPIC_WORLD_H
#define TESTS_TOPIC_WORLD_H
#include "core_world.h"
#include "base/clock.h"

struct note {
    struct publication p;
    bool is_done;
    mig_status status;
};

static inline void noted(struct publication *p, mig_status status)
{
    struct note *n = container_of(p, struct note, p);

    assert_false(n->is_done);
    n->is_done = true;
    n->status = status;
}

static inline struct topic *topic(const char *name)
{
    enum topic_fault why;
    struct topic *t = topic_take(w.core, S("acme"), str_of(name), &why);

    assert_non_null(t);
    return t;
}

/* An event of so many bytes, from so long ago. */
static inline struct event *event_of(size_t bytes, uint64_t age_ms)
{
    char *stored = calloc(1, bytes + 6);

    memcpy(stored, "\2\0\0\0{}", 6);
    struct event *e = event_of_record(&(struct store_record){
        0, clock_wall_ms() - age_ms, S("key"), S("id"), {stored, bytes + 6}});
    free(stored);
    assert_non_null(e);
    return e;
}

static inline mig_status begin(struct note *n, struct topic *t, size_t bytes, uint64_t age_ms)
{
    *n = (struct note){.p = {.topic = t, .event = event_of(bytes, age_ms), .done = noted}};
    n->p.request.loop = w.l;
    mig_status status = topic_publish(&n->p);
    if (status != MIG_OK)
        event_unref(n->p.event);
    return status;
}

/* The number it got; 0: it failed. */
static inline uint64_t end(struct note *n)
{
    uint64_t seq = n->p.event->seq;

    assert_true(n->is_done);
    event_unref(n->p.event);
    return n->status == MIG_OK ? seq : 0;
}

static inline uint64_t publish_old(struct topic *t, size_t bytes, uint64_t age_ms)
{
    struct note n;

    assert_int_equal(begin(&n, t, bytes, age_ms), MIG_OK);
    pump();
    return end(&n);
}

static inline uint64_t publish(struct topic *t)
{
    return publish_old(t, 10, 0);
}

static inline void publish_many(struct topic *t, size_t count, size_t bytes, uint64_t age_ms)
{
    for (size_t i = 0; i < count; i++)
        assert_int_not_equal(publish_old(t, bytes, age_ms), 0);
}

static inline void check_range(struct topic *t, uint64_t first, uint64_t last)
{
    struct topic_range r = topic_range(t);

    assert_int_equal(r.first, first);
    assert_int_equal(r.last, last);
}

/* Whether the event behind `after` is in memory; checks that it is the right one. */
static inline bool is_in_memory(struct topic *t, uint64_t after)
{
    struct topic_range r;
    struct event *e = topic_next(t, after, &r);

    if (!e)
        return false;
    assert_int_equal(e->seq, after + 1);
    event_unref(e);
    return true;
}

static inline struct events_stats stats(void)
{
    struct events_stats s;

    events_stats(w.core, &s);
    return s;
}

static inline void limits(uint64_t count, uint64_t bytes, uint64_t age_ms)
{
    events_set_limits(w.core, &(struct event_limits){count, bytes, age_ms});
}

static inline void sweep(void)
{
    struct timer *t = &w.core->events->sweep;

    t->fn(t);
    pump();
}

/* As `done` of a request: its answer takes its time. */
static struct store_request *held;

static inline void hold(struct store_request *r)
{
    held = r;
}
#endif
