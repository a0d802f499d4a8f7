#include "main/reload.h"
#include "abi/factory.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "config/manifest.h"
#include "config/plan.h"
#include "core/events.h"
#include "core/idem.h"
#include "core/life.h"
#include "core/schemas.h"
#include "edge/front.h"
#include "edge/route.h"
#include "main/keys.h"
#include "main/policy.h"
#include "main/telemetry.h"
#include "main/tls_files.h"
#include "store/kv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* plugin-abi.md 16: more of the same would only leak more. */
enum { ABANDONED_MAX = 5 };

/* Somebody who asked and waits. */
struct waiting {
    struct waiting *next;
    struct reload_ask ask; /* own copies of the texts */
    reload_done done;
    void *arg;
};

/* What one build makes. Job thread while it builds, control thread before and after. */
struct build {
    struct task job;
    struct reloader *r;
    struct waiting *asks; /* all that this build answers */
    struct reload_ask ask;
    const struct gen *old;
    struct diag d;
    struct settings *settings;
    struct manifest *manifest;
    struct plan *plan;
    struct tls_context *tls;
    struct jwks *keys;           /* of files; NULL: mode none */
    struct instance **instances; /* per wanted of the plan */
    struct str_list blocked;     /* plugin ids that were abandoned too often */
    bool *is_new;
    struct gen *gen;
    uint64_t began_ns, built_ns;
};

struct reloader {
    struct core *core;
    struct modules *modules;
    struct settings_source src;
    struct tls_tickets *tickets;
    struct waiting *first, **last;
    bool is_busy;
    char *capabilities;
    struct schemas *schemas, *building;
    struct str_list watched;
    void (*on_adopted)(void *arg);
    void *on_adopted_arg;
};

/* --- the build: job thread ---------------------------------------------------------------------- */

static bool load_files(struct build *b)
{
    const struct settings *before = b->old ? b->old->settings : NULL;

    b->settings = settings_load(&b->r->src, &b->d);
    if (!b->settings)
        return false;
    if (before)
        settings_need_restart(before, b->settings, &b->d);
    b->tls = tls_files_load(b->settings, before, b->r->tickets, &b->d);
    b->keys = keys_read(b->settings, &b->d);
    const char *path = b->settings->manifest;
    b->manifest = b->ask.manifest ? manifest_parse(str_of(b->ask.manifest), path, &b->d)
                                  : manifest_load(path, &b->d);
    if (b->ask.manifest && !path)
        diag_error(&b->d, (struct diag_at){0}, "manifest.path",
                   "the settings name no manifest file that could be replaced");
    if (!b->manifest || b->d.errors)
        return false;
    const char *caps = b->ask.capabilities ? b->ask.capabilities : b->r->capabilities;
    b->plan = plan_make(b->settings, b->manifest, caps, &b->d);
    return b->plan != NULL;
}

static bool may_control(const struct settings *s, const char *plugin)
{
    for (size_t i = 0; plugin && i < s->control.count; i++)
        if (!strcmp(s->control.items[i], plugin))
            return true;
    return false;
}

static struct instance_spec spec_of(const struct build *b, const struct wanted *w,
                                    const char *plugin)
{
    return (struct instance_spec){
        .name = w->name,
        .source = w->source,
        .config = w->config,
        .plugin = w->plugin,
        .at = w->at,
        .max_concurrency = w->max_concurrency,
        .queue = w->queue,
        .drain_grace_ms = (uint64_t)b->settings->drain_grace_ms,
        .may_control = may_control(b->settings, plugin),
    };
}

static struct instance *carried_over(const struct build *b, const struct wanted *w,
                                     const char *identity)
{
    bool is_asked_fresh = b->ask.fresh && !strcmp(b->ask.fresh, w->name);

    for (size_t i = 0; b->old && !is_asked_fresh && i < b->old->catalogue_count; i++) {
        struct instance *have = b->old->catalogues[i]->instance;
        if (!strcmp(have->identity, identity) && factory_is_fresh(have))
            return have;
    }
    return NULL;
}

static struct module *module_of(struct build *b, const struct wanted *w)
{
    struct module *m = w->kind == WANTED_MODULE
                           ? module_open(b->r->modules, w->path, w->sha256, w->at, &b->d)
                           : module_builtin(b->r->modules, w->plugin);

    if (!m && w->kind != WANTED_MODULE)
        diag_error(&b->d, w->at, "provider.plugin", "no built-in plugin is called %s", w->plugin);
    return m;
}

static bool is_blocked(struct build *b, const mig_plugin *p, const struct wanted *w)
{
    for (size_t i = 0; i < b->blocked.count; i++)
        if (!strcmp(b->blocked.items[i], p->id)) {
            diag_error(&b->d, w->at, "plugin.abandoned",
                       "%s: %d instances of %s never ended their calls; restart to load it again",
                       w->name, ABANDONED_MAX, p->id);
            return true;
        }
    return false;
}

static void make_instance(struct build *b, size_t n)
{
    const struct wanted *w = &b->plan->list[n];
    struct module *m = module_of(b, w);

    if (!m)
        return;
    const mig_plugin *p = module_plugin(m, w->plugin, w->at, &b->d);
    struct instance_spec spec = spec_of(b, w, p ? p->id : NULL);
    CLEANUP(str_freep) char *identity = factory_identity(&spec, m);
    struct instance *have = p ? carried_over(b, w, identity) : NULL;
    if (!p || have || is_blocked(b, p, w)) {
        b->instances[n] = have;
        module_unref(m);
        return;
    }
    b->instances[n] = factory_new(b->r->core, &spec, m, &b->d);
    b->is_new[n] = b->instances[n];
}

static unsigned life_ms_of(const struct build *b)
{
    return (unsigned)b->settings->life_timeout_ms;
}

/* The new ones; ret has room for all of the plan. */
static size_t list_new(const struct build *b, struct instance **ret)
{
    size_t count = 0;

    for (size_t i = 0; i < b->plan->count; i++)
        if (b->is_new[i])
            ret[count++] = b->instances[i];
    return count;
}

static void create_new(struct build *b)
{
    struct instance **list = calloc(b->plan->count + 1, sizeof *list);

    must(list);
    factory_create(list, list_new(b, list), life_ms_of(b), &b->d);
    for (size_t i = 0, n = 0; i < b->plan->count; i++)
        if (b->is_new[i]) {
            b->instances[i] = list[n++];
            b->is_new[i] = b->instances[i];
        }
    free(list);
}

static void describe(struct build *b)
{
    size_t n = b->plan->count;
    struct catalogue **list = calloc(n + 1, sizeof *list);
    size_t count = 0;

    must(list);
    factory_describe(b->instances, n, life_ms_of(b), list, &b->d);
    for (size_t i = 0; i < n; i++)
        if (list[i])
            list[count++] = list[i];
    b->gen = gen_new(b->r->core);
    gen_take_catalogues(b->gen, list, count, &b->d);
    if (!b->d.errors)
        policy_apply(b->gen, b->manifest, &b->d);
    if (!b->d.errors)
        routes_build(b->gen, &b->d);
}

static void start_new(struct build *b)
{
    struct instance **list = calloc(b->plan->count + 1, sizeof *list);

    must(list);
    factory_start(list, list_new(b, list), life_ms_of(b), &b->d);
    free(list);
}

static void warn_of_mappings(struct build *b)
{
    const struct manifest *m = b->manifest;

    for (size_t i = 0; i < m->tool_count; i++)
        if (!map_get(&b->gen->families, str_of(m->tools[i].mig_capability)))
            diag_warn(&b->d, m->tools[i].capability_at, "tool.mig_capability.unknown",
                      "nobody offers %s now", m->tools[i].mig_capability);
}

/* An uploaded manifest replaces the file, in one step, before anything is published. */
static void write_manifest(struct build *b)
{
    const char *path = b->settings->manifest, *text = b->ask.manifest;
    char *tmp = NULL;

    must(asprintf(&tmp, "%s.new", path) >= 0);
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    size_t len = strlen(text);
    bool ok = fd >= 0 && write(fd, text, len) == (ssize_t)len && fsync(fd) == 0;
    ok = fd >= 0 && close(fd) == 0 && ok;
    ok = ok && rename(tmp, path) == 0;
    if (!ok) {
        diag_error(&b->d, ((struct diag_at){.file = path}), "manifest.write", "cannot write: %s",
                   strerror(errno));
        unlink(tmp);
    }
    free(tmp);
}

static void discard(struct build *b)
{
    if (b->gen) {
        b->gen->settings = b->gen->manifest = NULL;
        b->gen->free_config = NULL;
        gen_free(b->gen);
    }
    b->gen = NULL;
    for (size_t i = 0; b->plan && b->instances && i < b->plan->count; i++)
        if (b->is_new[i])
            factory_discard(b->instances[i]);
}

static void free_config(struct gen *g)
{
    settings_free(g->settings);
    manifest_free(g->manifest);
}

static void build_all(struct build *b)
{
    if (!load_files(b))
        return;
    b->instances = calloc(b->plan->count + 1, sizeof *b->instances);
    b->is_new = calloc(b->plan->count + 1, sizeof *b->is_new);
    must(b->instances && b->is_new);
    for (size_t i = 0; i < b->plan->count; i++)
        make_instance(b, i);
    create_new(b);
    if (!b->d.errors)
        describe(b);
    if (!b->d.errors && !b->ask.is_dry_run)
        start_new(b);
    if (!b->d.errors)
        warn_of_mappings(b);
    if (!b->d.errors && b->ask.manifest && !b->ask.is_dry_run)
        write_manifest(b);
}

static void built(struct loop *l, uint64_t v);

static void run_build(struct task *t)
{
    struct build *b = container_of(t, struct build, job);

    b->began_ns = clock_now_ns();
    build_all(b);
    b->built_ns = clock_now_ns();
    loop_post_fn(b->r->core->control, built, (uintptr_t)b);
}

/* --- the report --------------------------------------------------------------------------------- */

static struct instance *named(const struct gen *g, const char *name)
{
    for (size_t i = 0; g && i < g->catalogue_count; i++)
        if (!strcmp(g->catalogues[i]->instance->name, name))
            return g->catalogues[i]->instance;
    return NULL;
}

static bool is_wanted(const struct build *b, const char *name)
{
    for (size_t i = 0; i < b->plan->count; i++)
        if (!strcmp(b->plan->list[i].name, name))
            return true;
    return false;
}

static void list_names(struct build *b, struct buf *out, const char *title, bool is_new,
                       bool was_there)
{
    bool first = true;

    buf_addf(out, ",\"%s\":[", title);
    for (size_t i = 0; i < b->plan->count; i++) {
        const char *name = b->plan->list[i].name;
        if (b->is_new[i] != is_new || (named(b->old, name) != NULL) != was_there)
            continue;
        buf_addz(out, first ? "" : ",");
        buf_add_json(out, str_of(name));
        first = false;
    }
    buf_addc(out, ']');
}

static void report_plan(struct build *b, struct buf *out)
{
    bool first = true;

    list_names(b, out, "added", true, false);
    list_names(b, out, "changed", true, true);
    list_names(b, out, "kept", false, true);
    buf_addz(out, ",\"removed\":[");
    for (size_t i = 0; b->old && i < b->old->catalogue_count; i++) {
        const char *name = b->old->catalogues[i]->instance->name;
        if (is_wanted(b, name))
            continue;
        buf_addz(out, first ? "" : ",");
        buf_add_json(out, str_of(name));
        first = false;
    }
    buf_addc(out, ']');
}

static void report(struct build *b, struct buf *out, uint64_t adopted_ns)
{
    const struct gen *now = b->r->core->current;

    buf_addf(out, "{\"generation\":%llu,\"dry_run\":%s,\"build_ms\":%.3f,\"adopted_ms\":%.3f",
             (unsigned long long)(now ? now->number : 0), b->ask.is_dry_run ? "true" : "false",
             (double)(b->built_ns - b->began_ns) / 1e6,
             adopted_ns ? (double)(adopted_ns - b->built_ns) / 1e6 : 0.0);
    report_plan(b, out);
    buf_addz(out, ",\"findings\":");
    diag_json(&b->d, out);
    buf_addc(out, '}');
}

/* --- control thread ----------------------------------------------------------------------------- */

static void start_next(struct reloader *r);

static void waiting_free(struct waiting *w)
{
    free((char *)(uintptr_t)w->ask.manifest);
    free((char *)(uintptr_t)w->ask.capabilities);
    free((char *)(uintptr_t)w->ask.fresh);
    schemas_unref(w->ask.schemas);
    free(w);
}

static void log_findings(const struct diag *d)
{
    for (size_t i = 0; i < d->count; i++) {
        struct buf line;
        buf_init(&line, 16384);
        diag_line(&d->list[i], &line);
        if (d->list[i].level == DIAG_ERROR)
            log_error("config.finding", F_STR("finding", buf_str(&line)));
        else
            log_warn("config.finding", F_STR("finding", buf_str(&line)));
        buf_deinit(&line);
    }
}

static void finish(struct build *b, bool is_ok, uint64_t adopted_ns)
{
    struct reloader *r = b->r;
    struct buf json;

    buf_init(&json, BUF_MAX);
    if (is_ok)
        report(b, &json, adopted_ns);
    log_findings(&b->d);
    if (!is_ok)
        log_error("reload.refused", F_U64("errors", b->d.errors));
    r->is_busy = false;
    for (struct waiting *w = b->asks, *next; w; w = next) {
        next = w->next;
        w->done(w->arg, is_ok, buf_str(&json), &b->d);
        waiting_free(w);
    }
    buf_deinit(&json);
    diag_deinit(&b->d);
    for (size_t i = 0; i < b->blocked.count; i++)
        free(b->blocked.items[i]);
    free(b->blocked.items);
    plan_free(b->plan);
    tls_context_unref(b->tls);
    jwks_unref(b->keys);
    free(b->instances);
    free(b->is_new);
    if (!b->gen) {
        settings_free(b->settings);
        manifest_free(b->manifest);
    }
    free(b);
    start_next(r);
}

static void list_copy(struct str_list *to, const struct str_list *from)
{
    for (size_t i = 0; i < to->count; i++)
        free(to->items[i]);
    free(to->items);
    *to = (struct str_list){calloc(from->count + 3, sizeof(char *)), from->count};
    must(to->items);
    for (size_t i = 0; i < from->count; i++)
        must(to->items[i] = strdup(from->items[i]));
}

static void remember_watched(struct reloader *r, struct build *b)
{
    list_copy(&r->watched, &b->plan->dirs);
    if (settings_file(b->settings))
        must(r->watched.items[r->watched.count++] = strdup(settings_file(b->settings)));
    if (b->settings->manifest)
        must(r->watched.items[r->watched.count++] = strdup(b->settings->manifest));
}

/* Limits that live outside of generations. */
static void apply_live(struct reloader *r, const struct settings *s)
{
    struct core *core = r->core;

    enum log_level level = log_threshold;
    if (log_level_parse(str_of(s->log_level), &level))
        log_threshold = level;
    watchdog_set_stall_ms(core->watchdog, (unsigned)s->stall_ms);
    telemetry_apply(core, s);
    modules_set_unmap(r->modules, !strcmp(s->unmap, "when-clean"));
    events_set_limits(core, &(struct event_limits){(uint64_t)s->event_max_per_topic,
                                                   (uint64_t)s->event_max_bytes,
                                                   (uint64_t)s->event_max_age_s * 1000,
                                                   (uint64_t)s->event_max_topics});
    idem_set_limits(core->idem, (uint64_t)s->idempotency_max, (uint64_t)s->idempotency_max_bytes);
    kv_set_limits(core->kv, &(struct kv_limits){(uint64_t)s->kv_max_bytes, (uint64_t)s->kv_max_keys,
                                                (uint64_t)s->kv_max_value_bytes});
}

static void adopted(void *arg)
{
    struct build *b = arg;
    uint64_t now = clock_now_ns();

    log_info("generation.adopted", F_U64("generation", b->gen->number),
             F_U64("capabilities", b->gen->capability_count),
             F_MS("build_ms", (double)(b->built_ns - b->began_ns) / 1e6),
             F_MS("adopted_ms", (double)(now - b->built_ns) / 1e6));
    if (b->r->on_adopted)
        b->r->on_adopted(b->r->on_adopted_arg);
    finish(b, true, now);
}

static void publish(struct build *b)
{
    struct reloader *r = b->r;

    for (size_t i = 0; i < b->plan->count; i++)
        if (b->is_new[i])
            core_add_instance(r->core, b->instances[i]);
    if (b->ask.capabilities) {
        free(r->capabilities);
        r->capabilities = strdup(b->ask.capabilities);
    }
    if (b->ask.schemas) {
        schemas_unref(r->schemas);
        r->schemas = schemas_ref(b->ask.schemas);
    }
    policy_fill(b->gen, b->settings, TAKE(b->tls));
    b->gen->settings = b->settings;
    b->gen->manifest = b->manifest;
    b->gen->free_config = free_config;
    remember_watched(r, b);
    apply_live(r, b->settings);
    keys_apply(r->core, TAKE(b->keys));
    gen_publish(b->gen, adopted, b);
}

static void discard_job(struct task *t)
{
    struct build *b = container_of(t, struct build, job);
    discard(b);
    loop_post_fn(b->r->core->control, built, (uintptr_t)b);
}

static void built(struct loop *l, uint64_t v)
{
    struct build *b = (struct build *)(uintptr_t)v;
    bool is_kept = !b->d.errors && !b->ask.is_dry_run;

    (void)l;
    if (is_kept) {
        publish(b);
    } else if (b->job.run == run_build && (b->gen || b->instances)) {
        b->job.run = discard_job; /* destroy() may block: back to the job thread */
        life_post(b->r->core->life, &b->job);
    } else {
        finish(b, !b->d.errors, 0);
    }
}

/* Plugin ids of which ABANDONED_MAX instances were abandoned. */
static void find_blocked(struct build *b)
{
    struct list *all = &b->r->core->instances;
    size_t n = 0;

    for (struct list *l = all->next; l != all; l = l->next)
        n++;
    b->blocked.items = calloc(n + 1, sizeof(char *));
    must(b->blocked.items);
    for (struct list *l = all->next; l != all; l = l->next) {
        const struct instance *i = container_of(l, struct instance, in_core);
        unsigned same = 0;
        for (struct list *o = l; o != all; o = o->next) {
            const struct instance *other = container_of(o, struct instance, in_core);
            same += atomic_load(&other->state) == INSTANCE_ABANDONED &&
                    !strcmp(other->plugin.id, i->plugin.id);
        }
        if (same >= ABANDONED_MAX)
            must(b->blocked.items[b->blocked.count++] = strdup(i->plugin.id));
    }
}

static bool is_plain(const struct reload_ask *a)
{
    return !a->is_dry_run && !a->manifest && !a->capabilities && !a->fresh && !a->fill;
}

static struct waiting *take_first(struct reloader *r)
{
    struct waiting *w = r->first;

    if (w && !(r->first = w->next))
        r->last = &r->first;
    if (w)
        w->next = NULL;
    return w;
}

static void start_next(struct reloader *r)
{
    struct waiting *w = r->is_busy ? NULL : take_first(r);

    if (!w)
        return;
    struct build *b = calloc(1, sizeof *b);
    must(b);
    b->asks = w;
    while (is_plain(&w->ask) && r->first && is_plain(&r->first->ask)) {
        struct waiting *more = take_first(r);
        more->next = b->asks;
        b->asks = more;
    }
    if (w->ask.fill)
        w->ask.fill(w->arg, &w->ask);
    b->ask = w->ask;
    b->r = r;
    r->building = b->ask.schemas ? b->ask.schemas : r->schemas; /* as long as r is busy */
    b->old = r->core->current;
    diag_init(&b->d);
    find_blocked(b);
    b->job.run = run_build;
    r->is_busy = true;
    life_post(r->core->life, &b->job);
}

static char *own(const char *z)
{
    return z ? strdup(z) : NULL;
}

void reload_unheard(void *arg, bool is_ok, str json, const struct diag *d)
{
    (void)arg;
    (void)is_ok;
    (void)json;
    (void)d;
}

bool reload_is_busy(const struct reloader *r)
{
    return r->is_busy || r->first;
}

static void refuse_stopping(reload_done done, void *arg)
{
    struct diag d;

    diag_init(&d);
    diag_error(&d, (struct diag_at){0}, "reload.stopping", "the gateway is stopping");
    done(arg, false, S(""), &d);
    diag_deinit(&d);
}

void reload_ask(struct reloader *r, const struct reload_ask *ask, reload_done done, void *arg)
{
    if (atomic_load(&r->core->is_stopping)) {
        refuse_stopping(done, arg);
        return;
    }
    struct waiting *w = calloc(1, sizeof *w);

    must(w);
    w->ask = (struct reload_ask){ask->is_dry_run, own(ask->manifest), own(ask->capabilities),
                                 own(ask->fresh), ask->fill,          NULL};
    w->done = done;
    w->arg = arg;
    *r->last = w;
    r->last = &w->next;
    start_next(r);
}

struct reloader *reloader_new(struct core *core, struct modules *modules,
                              const struct settings_source *src)
{
    struct reloader *r = calloc(1, sizeof *r);

    must(r);
    r->core = core;
    r->modules = modules;
    r->src = *src;
    r->last = &r->first;
    must(r->capabilities = strdup("[]"));
    r->tickets = tls_tickets_new();
    r->schemas = schemas_new();
    return r;
}

void reloader_on_adopted(struct reloader *r, void (*fn)(void *arg), void *arg)
{
    r->on_adopted = fn;
    r->on_adopted_arg = arg;
}

void reloader_free(struct reloader *r)
{
    if (!r)
        return;
    list_copy(&r->watched, &(struct str_list){0});
    free(r->watched.items);
    free(r->capabilities);
    tls_tickets_free(r->tickets);
    schemas_unref(r->schemas);
    free(r);
}

const char *reload_capabilities(const struct reloader *r)
{
    return r->capabilities;
}

struct schemas *reload_schemas(const struct reloader *r)
{
    return r->schemas;
}

const struct schemas *reload_schemas_building(const struct reloader *r)
{
    return r->building;
}

void reload_restore(struct reloader *r, char *capabilities, struct schemas *schemas)
{
    free(r->capabilities);
    schemas_unref(r->schemas);
    r->capabilities = capabilities;
    r->schemas = schemas;
}

const struct str_list *reload_watched(const struct reloader *r)
{
    return &r->watched;
}

const struct settings *reload_settings(const struct reloader *r)
{
    return r->core->current ? r->core->current->settings : NULL;
}

bool reload_is_watching(const struct reloader *r)
{
    const struct gen *g = r->core->current;
    const struct manifest *m = g ? g->manifest : NULL;
    const struct settings *s = g ? g->settings : NULL;

    return g && (m->has_watch >= 0 ? m->has_watch : s->is_watch);
}
