/* Topics and consumers as Prometheus text. The first max_series topics have their names, by the order of
 * their first events, so that no counter ever goes back; the others are summed. */
#include "base/check.h"
#include "base/prom.h"
#include "core/consumers.h"
#include "core/core.h"
#include "core/events_own.h"

#include <stdlib.h>

struct row {
    char *tenant, *topic, *consumer; /* consumer NULL: a topic */
    uint64_t position;
    struct topic_counts n;
};

struct rows {
    struct row *list;
    size_t count, cap, max;
    struct topic_counts others;
    uint64_t pending;
    bool has_others;
};

static struct row *add_row(struct rows *r)
{
    if (r->count == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 64;
        must(r->list = realloc(r->list, r->cap * sizeof *r->list));
    }
    return memset(&r->list[r->count++], 0, sizeof *r->list);
}

static void free_rows(struct rows *r)
{
    for (size_t i = 0; i < r->count; i++) {
        free(r->list[i].tenant);
        free(r->list[i].topic);
        free(r->list[i].consumer);
    }
    free(r->list);
}

static void look_at_topic(void *arg, struct topic *t, struct stripe *s)
{
    struct rows *r = arg;
    struct topic_counts n;

    (void)s;
    topic_counts(t, &n);
    r->pending += n.pending;
    if (n.number == TOPIC_UNUSED)
        return;
    if (n.number < r->max) {
        struct row *row = add_row(r);
        row->tenant = str_dup(topic_tenant(t));
        row->topic = str_dup(topic_name(t));
        row->n = n;
        return;
    }
    r->has_others = true;
    r->others.published += n.published;
    r->others.delivered += n.delivered;
    r->others.replayed += n.replayed;
}

static void text_counter(const struct rows *r, const char *name, const char *help,
                         uint64_t (*of)(const struct topic_counts *n), struct buf *out)
{
    static const struct prom_label others[] = {{"tenant", S("other")}, {"topic", S("other")}};

    prom_family(out, name, "counter", help);
    for (size_t i = 0; i < r->count; i++) {
        const struct prom_label labels[] = {{"tenant", str_of(r->list[i].tenant)},
                                            {"topic", str_of(r->list[i].topic)}};
        prom_sample(out, name, labels, countof(labels), (int64_t)of(&r->list[i].n));
    }
    if (r->has_others)
        prom_sample(out, name, others, countof(others), (int64_t)of(&r->others));
}

static uint64_t published(const struct topic_counts *n)
{
    return n->published;
}

static uint64_t delivered(const struct topic_counts *n)
{
    return n->delivered;
}

static uint64_t replayed(const struct topic_counts *n)
{
    return n->replayed;
}

/* --- consumers ---------------------------------------------------------------------------------- */

static void look_at_consumer(void *arg, const struct consumer_key *key, uint64_t position)
{
    struct rows *r = arg;

    if (r->count >= r->max)
        return;
    struct row *row = add_row(r);
    row->tenant = str_dup(key->tenant);
    row->topic = str_dup(key->topic);
    row->consumer = str_dup(key->id);
    row->position = position;
}

static void text_lag(struct core *core, size_t max, struct buf *out)
{
    struct rows r = {.max = max};

    consumers_each(core, look_at_consumer, &r);
    prom_family(out, "mig_gateway_event_lag", "gauge",
                "Events that a consumer has not been given yet.");
    for (size_t i = 0; i < r.count; i++) {
        const struct row *row = &r.list[i];
        uint64_t last = topic_last(core, str_of(row->tenant), str_of(row->topic));
        const struct prom_label labels[] = {{"tenant", str_of(row->tenant)},
                                            {"topic", str_of(row->topic)},
                                            {"consumer", str_of(row->consumer)}};
        prom_sample(out, "mig_gateway_event_lag", labels, countof(labels),
                    last > row->position ? (int64_t)(last - row->position) : 0);
    }
    free_rows(&r);
}

void events_text(struct core *core, size_t max_series, struct buf *out)
{
    struct rows r = {.max = max_series};

    if (!core->events)
        return;
    events_each(core, look_at_topic, &r);
    text_counter(&r, "mig_gateway_events_published_total", "Events accepted since the start.",
                 published, out);
    text_counter(&r, "mig_gateway_events_delivered_total",
                 "Events handed to subscribers, each one once.", delivered, out);
    text_counter(&r, "mig_gateway_events_replayed_total", "Those of them that were there before.",
                 replayed, out);
    text_lag(core, max_series, out);
    prom_one(out, "mig_gateway_topics", "gauge", "Topics that are known.",
             atomic_load(&core->events->count));
    const struct prom_label queue = {"queue", S("events")};
    prom_family(out, "mig_gateway_pending_acks", "gauge", "Accepted and not yet acknowledged.");
    prom_sample(out, "mig_gateway_pending_acks", &queue, 1, (int64_t)r.pending);
    free_rows(&r);
}
