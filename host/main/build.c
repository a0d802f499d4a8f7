#include "main/build.h"
#include "abi/factory.h"
#include "base/check.h"
#include "base/clock.h"
#include "config/manifest.h"
#include "config/plan.h"
#include "core/core.h"
#include "edge/route.h"
#include "main/keys.h"
#include "main/policy.h"
#include "main/tls_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* plugin-abi.md 16: more of the same would only leak more. */
enum { ABANDONED_MAX = 5 };

/* --- what there was --------------------------------------------------------------------------- */

/* Plugin ids of which ABANDONED_MAX instances were abandoned. */
static void find_blocked(struct build *b)
{
    struct list *all = &b->site->core->instances;
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

void build_init(struct build *b, const struct build_site *site, const struct reload_ask *ask)
{
    *b = (struct build){.site = site, .ask = *ask, .old = site->core->current};
    diag_init(&b->d);
    find_blocked(b);
}

/* --- files ------------------------------------------------------------------------------------ */

static bool load_files(struct build *b)
{
    const struct settings *before = b->old ? b->old->settings : NULL;

    b->settings = settings_load(&b->site->src, &b->d);
    if (!b->settings)
        return false;
    if (before)
        settings_need_restart(before, b->settings, &b->d);
    b->tls = tls_files_load(b->settings, before, b->site->tickets, &b->d);
    b->keys = keys_read(b->settings, &b->d);
    const char *path = b->settings->manifest;
    b->manifest = b->ask.manifest ? manifest_parse(str_of(b->ask.manifest), path, &b->d)
                                  : manifest_load(path, &b->d);
    if (b->ask.manifest && !path)
        diag_error(&b->d, (struct diag_at){0}, "manifest.path",
                   "the settings name no manifest file that could be replaced");
    if (!b->manifest || b->d.errors)
        return false;
    const char *caps = b->ask.capabilities ? b->ask.capabilities : b->site->capabilities;
    b->plan = plan_make(b->settings, b->manifest, caps, &b->d);
    return b->plan != NULL;
}

/* --- instances -------------------------------------------------------------------------------- */

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
                           ? module_open(b->site->modules, w->path, w->sha256, w->at, &b->d)
                           : module_builtin(b->site->modules, w->plugin);

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
    b->instances[n] = factory_new(b->site->core, &spec, m, &b->d);
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

/* --- the generation --------------------------------------------------------------------------- */

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
    b->gen = gen_new(b->site->core);
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

void build_run(struct build *b)
{
    b->began_ns = clock_now_ns();
    build_all(b);
    b->built_ns = clock_now_ns();
}

void build_discard(struct build *b)
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

void build_deinit(struct build *b)
{
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
}

/* --- the report ------------------------------------------------------------------------------- */

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

static void list_names(const struct build *b, struct buf *out, const char *title, bool is_new,
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

static void report_plan(const struct build *b, struct buf *out)
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

void build_report(const struct build *b, struct buf *out, uint64_t adopted_ns)
{
    const struct gen *now = b->site->core->current;

    buf_addf(out, "{\"generation\":%llu,\"dry_run\":%s,\"build_ms\":%.3f,\"adopted_ms\":%.3f",
             (unsigned long long)(now ? now->number : 0), b->ask.is_dry_run ? "true" : "false",
             (double)(b->built_ns - b->began_ns) / 1e6,
             adopted_ns ? (double)(adopted_ns - b->built_ns) / 1e6 : 0.0);
    report_plan(b, out);
    buf_addz(out, ",\"findings\":");
    diag_json(&b->d, out);
    buf_addc(out, '}');
}
