#include "abi/factory.h"
#include "abi/entry.h"
#include "abi/tables.h"
#include "base/check.h"
#include "base/clock.h"
#include "core/life.h"
#include "mig/ext/sources.h"

#include <stdio.h>
#include <stdlib.h>

enum { SOURCES_MAX = 4096, CACHE_LINE = 64 };

char *factory_identity(const struct instance_spec *s, struct module *m)
{
    char *text;

    /* The configuration comes last: nothing that follows could be mistaken for a part of it. */
    must(asprintf(&text, "%s\n%s\n%s\n%llu/%llu/%d\n%s", module_sha256(m), s->name,
                  s->plugin ? s->plugin : "", (unsigned long long)s->max_concurrency,
                  (unsigned long long)s->queue, s->may_control, s->config) >= 0);
    return text;
}

/* --- files that instances read ------------------------------------------------------------------ */

/* Content, not dates: a file that was written again as it was is no change. A seeded 64-bit hash is
 * enough to see one, and needs no crypto library on the way to the first answer. */
static uint64_t hash_of_file(const char *path)
{
    FILE *f = fopen(path, "rbe");
    char bytes[16384];
    uint64_t hash = f ? 1 : 0;

    for (size_t n; f && (n = fread(bytes, 1, sizeof bytes, f)) > 0;)
        hash = hash * 0x9E3779B97F4A7C15u + str_hash((str){bytes, n});
    if (f)
        fclose(f);
    return hash;
}

static uint64_t hash_of_sources(const struct instance *i)
{
    const mig_ext_sources *ext =
        i->plugin.get_extension ? i->plugin.get_extension(i->self, MIG_EXT_SOURCES) : NULL;
    uint64_t hash = 0;

    for (uint32_t n = 0; ext && n < SOURCES_MAX; n++) {
        str file = ext->file(i->self, n);
        if (!file.len)
            break;
        char *path = str_dup(file);
        must(path);
        hash = hash * 0x9E3779B97F4A7C15u + hash_of_file(path);
        free(path);
    }
    return hash;
}

bool factory_is_fresh(const struct instance *i)
{
    return hash_of_sources(i) == i->sources;
}

/* --- life --------------------------------------------------------------------------------------- */

struct life_job {
    struct instance *instance;
    struct diag *d;
    mig_status status;
    struct catalogue *catalogue;
};

static void do_create(void *arg)
{
    struct life_job *j = arg;
    struct instance *i = j->instance;

    j->status = i->plugin.create(&i->host, str_of(i->config), &i->self);
    if (j->status == MIG_OK)
        i->sources = hash_of_sources(i);
}

static void do_start(void *arg)
{
    struct life_job *j = arg;
    struct instance *i = j->instance;

    j->status = i->plugin.start ? i->plugin.start(i->self) : MIG_OK;
}

static void do_describe(void *arg)
{
    struct life_job *j = arg;
    j->catalogue = catalogue_of(j->instance, j->d);
}

static void do_destroy(void *arg)
{
    struct instance *i = arg;
    i->plugin.destroy(i->self);
}

/* Runs one function of the plugin. Its log lines of level error become findings. A plugin that
 * overstays keeps the job: it and the findings are left to it. */
static bool run(struct instance *i, void (*fn)(void *), const char *what, unsigned life_ms,
                struct life_job job, struct life_job *ret_job, struct diag *d)
{
    struct life_job *j = malloc(sizeof *j);
    struct diag *own = calloc(1, sizeof *own);

    must(j && own);
    *j = job;
    j->d = i->findings = own;
    if (!life_call(i->core->life, life_ms, fn, j)) {
        diag_error(d, (struct diag_at){0}, "plugin.slow", "%s: %s() did not return in %u ms",
                   i->name, what, life_ms);
        return false;
    }
    i->findings = NULL;
    size_t errors = own->errors;
    diag_move(d, own);
    *ret_job = *j;
    free(own);
    free(j);
    if (ret_job->status != MIG_OK && !errors)
        diag_error(d, (struct diag_at){0}, "plugin.refused", "%s: %s() failed with %d", i->name,
                   what, ret_job->status);
    return ret_job->status == MIG_OK;
}

static void unref_module(void *m)
{
    module_unref(m);
}

static struct instance *instance_new(struct core *core, const struct instance_spec *s,
                                     struct module *m, const mig_plugin *p)
{
    struct instance *i = calloc(1, sizeof *i);
    size_t counters = core->loop_count + 1;

    must(i);
    i->debt = aligned_alloc(CACHE_LINE, counters * sizeof *i->debt);
    must(i->debt);
    for (size_t n = 0; n < counters; n++)
        i->debt[n] = (struct instance_debt){0};
    i->core = core;
    i->name = str_dup(str_of(s->name));
    i->source = str_dup(str_of(s->source));
    i->config = str_dup(str_of(s->config));
    i->plugin = entry_copy_plugin(p);
    i->module = m;
    i->module_unref = unref_module;
    i->may_control = s->may_control;
    i->max_concurrency = s->max_concurrency;
    i->queue = s->queue;
    i->share.run_limit = s->max_concurrency;
    i->share.queue_limit = s->queue;
    i->drain_grace_ms = s->drain_grace_ms;
    i->since_ms = clock_wall_ms();
    atomic_init(&i->health, -1);
    list_init(&i->in_core);
    host_table_init(i);
    i->identity = factory_identity(s, m);
    return i;
}

struct instance *factory_create(struct core *core, const struct instance_spec *s, struct module *m,
                                struct diag *d)
{
    const mig_plugin *p = module_plugin(m, s->plugin, s->at, d);
    struct life_job job;

    if (!p) {
        module_unref(m);
        return NULL;
    }
    struct instance *i = instance_new(core, s, m, p);
    if (run(i, do_create, "create", s->life_ms, (struct life_job){.instance = i}, &job, d))
        return i;
    if (!i->findings)
        instance_free(i); /* otherwise create() still runs, and keeps it */
    return NULL;
}

bool factory_start(struct instance *i, unsigned life_ms, struct diag *d)
{
    struct life_job job;

    i->is_started = true;
    return run(i, do_start, "start", life_ms, (struct life_job){.instance = i}, &job, d);
}

struct catalogue *factory_describe(struct instance *i, unsigned life_ms, struct diag *d)
{
    struct life_job job = {0};
    size_t errors = d->errors;

    run(i, do_describe, "describe", life_ms, (struct life_job){.instance = i}, &job, d);
    if (d->errors == errors)
        return job.catalogue;
    catalogue_free(job.catalogue);
    return NULL;
}

void factory_discard(struct instance *i)
{
    if (i->findings)
        return; /* a function of it still runs */
    if (life_call(i->core->life, 10000, do_destroy, i))
        instance_free(i);
}
