#include "main/reload.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "config/manifest.h"
#include "config/plan.h"
#include "core/events.h"
#include "core/idem.h"
#include "core/life.h"
#include "core/schemas.h"
#include "main/build.h"
#include "main/keys.h"
#include "main/policy.h"
#include "main/telemetry.h"
#include "net/tls.h"
#include "store/kv.h"

#include <stdlib.h>

/* Somebody who asked and waits. */
struct waiting {
    struct waiting *next;
    struct reload_ask ask; /* own copies of the texts */
    reload_done done;
    void *arg;
};

/* One build, and all that it answers. */
struct job {
    struct task task;
    struct reloader *r;
    struct waiting *asks;
    struct build b;
};

struct reloader {
    struct build_site site;
    struct waiting *first, **last;
    bool is_busy;
    struct schemas *schemas, *building;
    struct str_list watched;
    void (*on_adopted)(void *arg);
    void *on_adopted_arg;
};

/* --- job thread ------------------------------------------------------------------------------- */

static void built(struct loop *l, uint64_t v);

static void run_build(struct task *t)
{
    struct job *j = container_of(t, struct job, task);

    build_run(&j->b);
    loop_post_fn(j->r->site.core->control, built, (uintptr_t)j);
}

static void run_discard(struct task *t)
{
    struct job *j = container_of(t, struct job, task);

    build_discard(&j->b);
    loop_post_fn(j->r->site.core->control, built, (uintptr_t)j);
}

/* --- control thread --------------------------------------------------------------------------- */

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

static void finish(struct job *j, bool is_ok, uint64_t adopted_ns)
{
    struct reloader *r = j->r;
    struct buf json;

    buf_init(&json, BUF_MAX);
    if (is_ok)
        build_report(&j->b, &json, adopted_ns);
    log_findings(&j->b.d);
    if (!is_ok)
        log_error("reload.refused", F_U64("errors", j->b.d.errors));
    r->is_busy = false;
    for (struct waiting *w = j->asks, *next; w; w = next) {
        next = w->next;
        w->done(w->arg, is_ok, buf_str(&json), &j->b.d);
        waiting_free(w);
    }
    buf_deinit(&json);
    build_deinit(&j->b);
    free(j);
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

static void remember_watched(struct reloader *r, const struct build *b)
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
    struct core *core = r->site.core;

    enum log_level level = log_threshold;
    if (log_level_parse(str_of(s->log_level), &level))
        log_threshold = level;
    watchdog_set_stall_ms(core->watchdog, (unsigned)s->stall_ms);
    telemetry_apply(core, s);
    modules_set_unmap(r->site.modules, !strcmp(s->unmap, "when-clean"));
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
    struct job *j = arg;
    const struct build *b = &j->b;
    uint64_t now = clock_now_ns();

    log_info("generation.adopted", F_U64("generation", b->gen->number),
             F_U64("capabilities", b->gen->capability_count),
             F_MS("build_ms", (double)(b->built_ns - b->began_ns) / 1e6),
             F_MS("adopted_ms", (double)(now - b->built_ns) / 1e6));
    if (j->r->on_adopted)
        j->r->on_adopted(j->r->on_adopted_arg);
    finish(j, true, now);
}

static void free_config(struct gen *g)
{
    settings_free(g->settings);
    manifest_free(g->manifest);
}

static void publish(struct job *j)
{
    struct reloader *r = j->r;
    struct build *b = &j->b;

    for (size_t i = 0; i < b->plan->count; i++)
        if (b->is_new[i])
            core_add_instance(r->site.core, b->instances[i]);
    if (b->ask.capabilities) {
        free(r->site.capabilities);
        r->site.capabilities = strdup(b->ask.capabilities);
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
    keys_apply(r->site.core, TAKE(b->keys));
    gen_publish(b->gen, adopted, j);
}

static void built(struct loop *l, uint64_t v)
{
    struct job *j = (struct job *)(uintptr_t)v;
    const struct build *b = &j->b;
    bool is_kept = !b->d.errors && !b->ask.is_dry_run;

    (void)l;
    if (is_kept) {
        publish(j);
    } else if (j->task.run == run_build && (b->gen || b->instances)) {
        j->task.run = run_discard;
        life_post(j->r->site.core->life, &j->task);
    } else {
        finish(j, !b->d.errors, 0);
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
    struct job *j = calloc(1, sizeof *j);
    must(j);
    j->task.run = run_build;
    j->r = r;
    j->asks = w;
    while (is_plain(&w->ask) && r->first && is_plain(&r->first->ask)) {
        struct waiting *more = take_first(r);
        more->next = j->asks;
        j->asks = more;
    }
    if (w->ask.fill)
        w->ask.fill(w->arg, &w->ask);
    build_init(&j->b, &r->site, &w->ask);
    r->building = w->ask.schemas ? w->ask.schemas : r->schemas; /* as long as r is busy */
    r->is_busy = true;
    life_post(r->site.core->life, &j->task);
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
    if (atomic_load(&r->site.core->is_stopping)) {
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
    r->last = &r->first;
    r->site = (struct build_site){core, modules, *src, tls_tickets_new(), strdup("[]")};
    must(r->site.capabilities);
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
    free(r->site.capabilities);
    tls_tickets_free(r->site.tickets);
    schemas_unref(r->schemas);
    free(r);
}

const char *reload_capabilities(const struct reloader *r)
{
    return r->site.capabilities;
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
    free(r->site.capabilities);
    schemas_unref(r->schemas);
    r->site.capabilities = capabilities;
    r->schemas = schemas;
}

const struct str_list *reload_watched(const struct reloader *r)
{
    return &r->watched;
}

const struct settings *reload_settings(const struct reloader *r)
{
    return r->site.core->current ? r->site.core->current->settings : NULL;
}

bool reload_is_watching(const struct reloader *r)
{
    const struct gen *g = r->site.core->current;
    const struct manifest *m = g ? g->manifest : NULL;
    const struct settings *s = g ? g->settings : NULL;

    return g && (m->has_watch >= 0 ? m->has_watch : s->is_watch);
}
