#include "main/control_lists.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/prom.h"
#include "core/idem.h"
#include "core/inflight.h"
#include "core/metrics.h"
#include "core/subscription.h"
#include "edge/access_writer.h"
#include "main/logwriter.h"
#include "main/telemetry.h"
#include "store/kv.h"

#include <stdlib.h>
#include <stdio.h>
#include <unistd.h>

enum { STALLED_NS = 100000000 };

/* --- small parts -------------------------------------------------------------------------------- */

static void add_time(struct buf *b, const char *name, uint64_t wall_ms)
{
    char text[CLOCK_RFC3339];

    clock_rfc3339(wall_ms, text);
    buf_addf(b, ",\"%s\":\"%.*s\"", name, CLOCK_RFC3339, text);
}

static void add_text(struct buf *b, const char *name, const char *value)
{
    buf_addf(b, ",\"%s\":", name);
    buf_add_json(b, str_of(value));
}

static unsigned long long u(uint64_t n)
{
    return (unsigned long long)n;
}

static const struct catalogue *catalogue_in(const struct gen *g, const struct instance *i)
{
    for (size_t n = 0; g && n < g->catalogue_count; n++)
        if (g->catalogues[n]->instance == i)
            return g->catalogues[n];
    return NULL;
}

/* --- collecting from loops ---------------------------------------------------------------------- */

/* The oldest open call of an instance, as its loop saw it. */
struct oldest {
    uint64_t age_ms;
    char capability[201], message_id[129];
};

struct gather {
    struct node *node;
    struct instance *instance;
    struct oldest *best;
    pthread_mutex_t lock;
    uv_sem_t done;
};

static void look_at_calls(struct loop *l, uint64_t v)
{
    struct gather *g = (struct gather *)(uintptr_t)v;
    struct list *open = call_table_open(g->node->core->per_loop[l->index].calls);

    for (struct list *at = open->next; at != open; at = at->next) {
        struct call *c = container_of(at, struct call, in_table);
        struct op *op = op_of_call(c);
        const struct op_header *header = op_header_of(c);
        if (atomic_load(&c->instance) != g->instance)
            continue;
        uint64_t age = loop_now_ms(l) - c->opened_ms;
        pthread_mutex_lock(&g->lock);
        if (age >= g->best->age_ms) {
            g->best->age_ms = age;
            str what = op ? op->request.capability : str_of(c->kind->name);
            str id = header ? header->message_id : S("");
            memcpy(g->best->capability, what.ptr, what.len);
            g->best->capability[what.len] = 0;
            memcpy(g->best->message_id, id.ptr, id.len);
            g->best->message_id[id.len] = 0;
        }
        pthread_mutex_unlock(&g->lock);
        break; /* the table is oldest first */
    }
    uv_sem_post(&g->done);
}

/* A loop that a handler holds up is not asked: the question "why does it hang" must be answered. */
static bool answers(const struct loop *l)
{
    uint64_t since = atomic_load(&((struct loop *)(uintptr_t)l)->busy_since_ns);
    uint64_t now = clock_now_ns();

    return !since || now < since + STALLED_NS;
}

void lists_ask_loops(struct node *n, void (*fn)(struct loop *l, uint64_t v), void *arg,
                     uv_sem_t *done)
{
    size_t asked = 0;

    for (size_t l = 0; l < n->loop_count; l++)
        if (answers(n->loops[l])) {
            loop_post_fn(n->loops[l], fn, (uintptr_t)arg);
            asked++;
        }
    while (asked--)
        uv_sem_wait(done);
}

static void gather_oldest(struct node *n, struct instance *i, struct oldest *best)
{
    struct gather g = {.node = n, .instance = i, .best = best};

    must(pthread_mutex_init(&g.lock, NULL) == 0 && uv_sem_init(&g.done, 0) == 0);
    lists_ask_loops(n, look_at_calls, &g, &g.done);
    uv_sem_destroy(&g.done);
    pthread_mutex_destroy(&g.lock);
}

struct pins {
    struct node *node;
    uint64_t *counts; /* generation x loop */
    const struct gen **gens;
    size_t gen_count;
    uv_sem_t done;
};

static void look_at_pins(struct loop *l, uint64_t v)
{
    struct pins *p = (struct pins *)(uintptr_t)v;

    for (size_t g = 0; g < p->gen_count; g++)
        p->counts[g * p->node->loop_count + l->index] = p->gens[g]->pins[l->index].pins;
    uv_sem_post(&p->done);
}

/* --- lists -------------------------------------------------------------------------------------- */

/* Generations are only freed on this thread, so they stay while the loops look at them. */
void list_generations(struct node *n, struct buf *out)
{
    struct pins p = {.node = n};

    for (struct list *l = n->core->gens.next; l != &n->core->gens; l = l->next)
        p.gen_count++;
    p.gens = calloc(p.gen_count + 1, sizeof *p.gens);
    p.counts = calloc(p.gen_count * n->loop_count + 1, sizeof *p.counts);
    must(p.gens && p.counts && uv_sem_init(&p.done, 0) == 0);
    size_t at = 0;
    for (struct list *l = n->core->gens.next; l != &n->core->gens; l = l->next)
        p.gens[at++] = container_of(l, struct gen, in_core);
    lists_ask_loops(n, look_at_pins, &p, &p.done);
    buf_addf(out, "{\"current\":%llu,\"generations\":[", u(n->core->current->number));
    for (size_t g = 0; g < p.gen_count; g++) {
        const struct gen *gen = p.gens[g];
        buf_addf(out, "%s{\"generation\":%llu", g ? "," : "", u(gen->number));
        buf_addf(out, ",\"state\":\"%s\"", gen == n->core->current ? "current" : "draining");
        add_time(out, "created_at", gen->created_ms);
        buf_addf(out, ",\"capabilities\":%zu,\"instances\":%zu,\"pins\":[", gen->capability_count,
                 gen->catalogue_count);
        for (size_t l = 0; l < n->loop_count; l++)
            buf_addf(out, "%s%llu", l ? "," : "", u(p.counts[g * n->loop_count + l]));
        buf_addz(out, "]}");
    }
    buf_addz(out, "]}");
    uv_sem_destroy(&p.done);
    free(p.gens);
    free(p.counts);
}

static void add_plugin(struct node *n, struct instance *i, struct buf *out)
{
    const struct catalogue *c = catalogue_in(n->core->current, i);

    buf_addz(out, "{\"name\":");
    buf_add_json(out, str_of(i->name));
    add_text(out, "id", i->plugin.id);
    add_text(out, "version", i->plugin.version);
    add_text(out, "description", i->plugin.summary ? i->plugin.summary : "");
    add_text(out, "source", i->source);
    add_text(out, "status", instance_state_name(atomic_load(&i->state)));
    buf_addf(out,
             ",\"enabled\":true,\"capabilities\":{\"tools_count\":%zu,\"resources_count\":0,"
             "\"prompts_count\":0},\"routes_count\":%zu,\"timers_count\":%zu",
             c ? c->capability_count : 0, c ? c->route_count : 0, c ? c->timer_count : 0);
}

void list_plugins(struct node *n, struct buf *out)
{
    const struct gen *g = n->core->current;

    buf_addf(out, "{\"total_plugins\":%zu,\"plugins\":{", g->catalogue_count);
    for (size_t i = 0; i < g->catalogue_count; i++) {
        struct instance *inst = g->catalogues[i]->instance;
        buf_addz(out, i ? "," : "");
        buf_add_json(out, str_of(inst->name));
        buf_addc(out, ':');
        add_plugin(n, inst, out);
        buf_addc(out, '}');
    }
    buf_addz(out, "}}");
}

void list_plugin(struct node *n, struct instance *i, struct buf *out)
{
    const struct catalogue *c = catalogue_in(n->core->current, i);

    add_plugin(n, i, out);
    buf_addz(out, ",\"tools\":[");
    for (size_t t = 0; c && t < c->capability_count; t++) {
        const struct capability *cap = &c->capabilities[t];
        buf_addf(out, "%s{\"name\":%.*s", t ? "," : "", STR_ARG(cap->id_json));
        add_text(out, "version", cap->version);
        add_text(out, "description", cap->summary);
        buf_addf(out, ",\"descriptor\":%.*s}", STR_ARG(cap->descriptor));
    }
    buf_addz(out, "],\"resources\":[],\"prompts\":[],\"routes\":[");
    for (size_t r = 0; c && r < c->route_count; r++) {
        buf_addf(out, "%s{\"method\":\"%s\"", r ? "," : "", c->routes[r].method);
        add_text(out, "pattern", c->routes[r].pattern);
        buf_addc(out, '}');
    }
    buf_addz(out, "]}");
}

static void add_instance(struct node *n, struct instance *i, struct buf *out)
{
    int64_t debt = instance_debt(i);
    int health = atomic_load(&i->health);
    struct oldest oldest = {0};

    buf_addz(out, "{\"name\":");
    buf_add_json(out, str_of(i->name));
    add_text(out, "plugin", i->plugin.id);
    add_text(out, "version", i->plugin.version);
    add_text(out, "source", i->source);
    add_text(out, "state", instance_state_name(atomic_load(&i->state)));
    buf_addf(out, ",\"generations\":%u,\"debt\":%lld,\"calls\":%llu,\"errors\":%llu", i->refs,
             (long long)debt, u(atomic_load(&i->calls)), u(atomic_load(&i->errors)));
    add_text(out, "health", health < 0 ? "unknown" : health ? "healthy" : "unhealthy");
    add_time(out, "since", i->since_ms);
    if (debt > 0) {
        gather_oldest(n, i, &oldest);
        buf_addf(out, ",\"oldest_call\":{\"age_ms\":%llu", u(oldest.age_ms));
        add_text(out, "capability", oldest.capability);
        add_text(out, "message_id", oldest.message_id);
        buf_addc(out, '}');
    }
    buf_addc(out, '}');
}

void list_instances(struct node *n, struct buf *out)
{
    bool first = true;

    buf_addf(out, "{\"abandoned\":%llu,\"destroyed\":%llu,\"retired_modules\":%zu,\"instances\":[",
             u(n->core->abandoned), u(n->core->destroyed), module_retired(n->modules));
    for (struct list *l = n->core->instances.next; l != &n->core->instances; l = l->next) {
        buf_addz(out, first ? "" : ",");
        add_instance(n, container_of(l, struct instance, in_core), out);
        first = false;
    }
    buf_addz(out, "]}");
}

void list_descriptor(const struct capability *c, struct buf *out)
{
    buf_add(out, (str){c->descriptor.ptr, c->descriptor.len - 1});
    if (!c->policy)
        return;
    buf_addz(out, ",\"policy\":");
    buf_add(out, c->policy->json);
}

void list_loops(struct node *n, struct buf *out)
{
    buf_addz(out, "{\"loops\":[");
    for (size_t i = 0; i < n->loop_count; i++) {
        struct loop *l = n->loops[i];
        struct net_counters c;
        uint64_t since = atomic_load(&l->busy_since_ns);
        const char *who = atomic_load(&l->running);
        net_count(n->nets[i], &c);
        buf_addf(out,
                 "%s{\"loop\":%zu,\"connections\":%zu,\"requests\":%llu,\"accepted\":%llu,"
                 "\"protocol_errors\":%llu,\"tls_failed\":%llu,\"tls_cut\":%llu,"
                 "\"http2_floods\":%llu,\"inbox\":%zu,\"stalls\":%llu,\"longest_ms\":%.3f,"
                 "\"busy_ms\":%.3f",
                 i ? "," : "", i, net_connections(n->nets[i]), u(c.requests), u(c.accepted),
                 u(c.errors), u(c.tls_failed), u(c.cut), u(c.floods), atomic_load(&l->inbox_depth),
                 u(atomic_load(&l->stalls)), (double)atomic_load(&l->longest_ns) / 1e6,
                 since ? (double)(clock_now_ns() - since) / 1e6 : 0.0);
        if (who)
            add_text(out, "running", who);
        buf_addc(out, '}');
    }
    buf_addz(out, "]}");
}

/* --- health ------------------------------------------------------------------------------------- */

static bool add_unhealthy(struct node *n, struct buf *out)
{
    const struct gen *g = n->core->current;
    bool first = true;

    buf_addz(out, ",\"unhealthy\":[");
    for (size_t i = 0; i < g->catalogue_count; i++) {
        struct instance *inst = g->catalogues[i]->instance;
        if (atomic_load(&inst->health) != 0)
            continue;
        buf_addz(out, first ? "{\"name\":" : ",{\"name\":");
        buf_add_json(out, str_of(inst->name));
        const char *text = atomic_load(&inst->health_text);
        add_text(out, "message", text ? text : "");
        buf_addc(out, '}');
        first = false;
    }
    buf_addc(out, ']');
    return first;
}

void list_health(struct node *n, bool is_detailed, struct buf *out)
{
    bool is_stopping = atomic_load(&n->core->is_stopping);
    bool is_ready = n->is_ready && !is_stopping;

    buf_addf(out, "{\"ready\":%s,\"version\":\"%s\",\"generation\":%llu,\"uptime_seconds\":%llu",
             is_ready ? "true" : "false", MIGD_VERSION, u(n->core->current->number),
             u((clock_wall_ms() - n->started_ms) / 1000));
    bool all_well = add_unhealthy(n, out);
    buf_addf(out, ",\"status\":\"%s\"", !is_ready ? "stopping" : all_well ? "healthy" : "degraded");
    if (is_detailed)
        buf_addf(out,
                 ",\"load_factor\":%.3f,\"inflight\":%llu,\"abandoned\":%llu,\"draining\":%zu,"
                 "\"stale_handles\":%llu,\"bugs\":%lu",
                 core_load_factor(n->core, n->core->current),
                 u(atomic_load(&n->core->inflight_count)), u(n->core->abandoned),
                 core_draining(n->core), u(call_stale_count()), check_broken_count());
    buf_addc(out, '}');
}

/* --- metrics ------------------------------------------------------------------------------------ */

static void per_loop(struct node *n, struct buf *out, const char *name, const char *kind,
                     const char *text, uint64_t (*value)(struct node *n, size_t loop))
{
    char number[24];

    prom_family(out, name, kind, text);
    for (size_t i = 0; i < n->loop_count; i++) {
        int len = snprintf(number, sizeof number, "%zu", i);
        const struct prom_label label = {"loop", {number, (size_t)len}};
        prom_sample(out, name, &label, 1, (int64_t)value(n, i));
    }
}

static uint64_t open_connections(struct node *n, size_t i)
{
    return net_connections(n->nets[i]);
}

static uint64_t requests_of(struct node *n, size_t i)
{
    struct net_counters c;
    net_count(n->nets[i], &c);
    return c.requests;
}

static uint64_t errors_of(struct node *n, size_t i)
{
    struct net_counters c;
    net_count(n->nets[i], &c);
    return c.errors;
}

static uint64_t inbox_of(struct node *n, size_t i)
{
    return atomic_load(&n->loops[i]->inbox_depth);
}

static uint64_t stalls_of(struct node *n, size_t i)
{
    return atomic_load(&n->loops[i]->stalls);
}

static uint64_t resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long long size = 0, resident = 0;

    if (f && fscanf(f, "%llu %llu", &size, &resident) != 2)
        resident = 0;
    if (f)
        fclose(f);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void list_governance(struct node *n, struct buf *out)
{
    struct idem_stats s;

    idem_stats(n->core->idem, &s);
    prom_one(out, "mig_idempotency_entries", "gauge", "Results kept for repetitions.", s.entries);
    prom_one(out, "mig_idempotency_bytes", "gauge", "Their memory.", s.bytes);
    prom_one(out, "mig_idempotency_replays_total", "counter", "Answers given again.", s.replays);
    prom_one(out, "mig_idempotency_evicted_total", "counter", "Results that had to make room.",
             s.evicted);
    prom_one(out, "mig_idempotency_unstored_total", "counter",
             "Results that the store did not take.", s.unstored);
    prom_one(out, "mig_rate_peers", "gauge", "Addresses that the rate limit knows now.",
             rate_table_count(n->core->peers));
}

void list_metrics(struct node *n, struct buf *out)
{
    struct core *core = n->core;
    size_t waiting, busy, threads;
    uint64_t keys, bytes;

    pool_stats(core->pool, &waiting, &busy, &threads);
    kv_stats(core->kv, &keys, &bytes);
    per_loop(n, out, "mig_connections", "gauge", "Open HTTP connections.", open_connections);
    per_loop(n, out, "mig_http_requests_total", "counter", "Requests answered.", requests_of);
    per_loop(n, out, "mig_http_protocol_errors_total", "counter", "Malformed requests.", errors_of);
    per_loop(n, out, "mig_loop_inbox_depth", "gauge", "Messages waiting.", inbox_of);
    per_loop(n, out, "mig_loop_stalls_total", "counter", "Turns that held the loop up.", stalls_of);
    prom_one(out, "mig_generation", "gauge", "Generation in force.", core->current->number);
    prom_one(out, "mig_instances_draining", "gauge", "Retired instances that still have debt.",
             core_draining(core));
    prom_one(out, "mig_instances_abandoned_total", "counter",
             "Instances that never ended their calls.", core->abandoned);
    prom_one(out, "mig_modules_retired", "gauge", "Modules mapped that nothing uses.",
             module_retired(n->modules));
    prom_one(out, "mig_call_stale_handles_total", "counter", "Uses of dead call handles.",
             call_stale_count());
    prom_one(out, "mig_ids_forgotten_total", "counter",
             "Message ids forgotten before 60 s had passed.", inflight_forgotten(core->inflight));
    prom_one(out, "mig_pool_waiting", "gauge", "Pool jobs waiting.", waiting);
    prom_one(out, "mig_pool_busy", "gauge", "Pool threads at work.", busy);
    prom_one(out, "mig_kv_keys", "gauge", "Keys in the store.", keys);
    prom_one(out, "mig_kv_bytes", "gauge", "Bytes in the store.", bytes);
    list_governance(n, out);
    prom_one(out, "mig_log_dropped_total", "counter", "Log lines dropped.", logwriter_dropped());
    prom_one(out, "mig_access_log_dropped_total", "counter", "Lines of the access log dropped.",
             access_writer_dropped());
    prom_one(out, "mig_bugs_total", "counter", "Broken invariants survived.", check_broken_count());
    prom_one(out, "process_resident_memory_bytes", "gauge", "Resident memory.", resident_bytes());
    telemetry_list(n, out);
    metrics_text(core->metrics, out);
}
