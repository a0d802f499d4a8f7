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

/* One function of one instance. Its thread may keep it for ever. */
struct life_job {
    struct instance *instance;
    struct diag findings;
    mig_status status;
    bool was_left_out, has_failed;
    struct catalogue *catalogue;
    const struct life_job *before; /* of start(): who must not have failed */
};

static void do_create(void *arg)
{
    struct life_job *j = arg;
    struct instance *i = j->instance;

    i->findings = &j->findings;
    j->status = i->plugin.create(&i->host, str_of(i->config), &i->self);
    if (j->status == MIG_OK)
        i->sources = hash_of_sources(i);
    i->findings = NULL;
}

static void do_start(void *arg)
{
    struct life_job *j = arg;
    struct instance *i = j->instance;

    j->was_left_out = j->before && (j->before->was_left_out || j->before->status != MIG_OK);
    if (j->was_left_out)
        return;
    i->is_started = true;
    i->findings = &j->findings;
    j->status = i->plugin.start ? i->plugin.start(i->self) : MIG_OK;
    i->findings = NULL;
}

static void do_describe(void *arg)
{
    struct life_job *j = arg;
    struct instance *i = j->instance;

    i->findings = &j->findings;
    j->catalogue = catalogue_of(i, &j->findings);
    i->findings = NULL;
}

static void do_destroy(void *arg)
{
    struct instance *i = arg;
    i->plugin.destroy(i->self);
}

/* Its log lines of level error are findings. */
static void conclude(struct life_job *j, const char *what, struct diag *d)
{
    size_t before = d->errors;
    bool has_said_why = j->findings.errors > 0;

    diag_move(d, &j->findings);
    if (j->status != MIG_OK && !has_said_why)
        diag_error(d, (struct diag_at){0}, "plugin.refused", "%s: %s() failed with %d",
                   j->instance->name, what, j->status);
    j->has_failed = d->errors > before;
}

/* jobs[i] becomes NULL when the function overstays: it keeps the job, and the instance. false: one did. */
static bool run(struct life_job **jobs, size_t count, void (*fn)(void *), const char *what,
                unsigned life_ms, struct diag *d)
{
    struct life *life = count ? jobs[0]->instance->core->life : NULL;
    size_t done = count ? life_call_each(life, life_ms, fn, (void *const *)jobs, count) : 0;

    for (size_t i = 0; i < done; i++)
        conclude(jobs[i], what, d);
    if (done == count)
        return true;
    diag_error(d, (struct diag_at){0}, "plugin.slow", "%s: %s() did not return in %u ms",
               jobs[done]->instance->name, what, life_ms);
    jobs[done] = NULL;
    return false;
}

/* The others have their turn all the same. */
static void run_all(struct life_job **jobs, size_t count, void (*fn)(void *), const char *what,
                    unsigned life_ms, struct diag *d)
{
    while (!run(jobs, count, fn, what, life_ms, d)) {
        while (*jobs) {
            jobs++;
            count--;
        }
        jobs++;
        count--;
    }
}

static struct life_job **jobs_new(struct instance *const *list, size_t count)
{
    struct life_job **jobs = calloc(count + 1, sizeof *jobs);

    must(jobs);
    for (size_t i = 0; i < count; i++) {
        must(jobs[i] = calloc(1, sizeof *jobs[i]));
        jobs[i]->instance = list[i];
    }
    return jobs;
}

static void jobs_free(struct life_job **jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(jobs[i]);
    free(jobs);
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

struct instance *factory_new(struct core *core, const struct instance_spec *s, struct module *m,
                             struct diag *d)
{
    const mig_plugin *p = module_plugin(m, s->plugin, s->at, d);

    if (p)
        return instance_new(core, s, m, p);
    module_unref(m);
    return NULL;
}

void factory_create(struct instance **list, size_t count, unsigned life_ms, struct diag *d)
{
    struct life_job **jobs = jobs_new(list, count);

    run_all(jobs, count, do_create, "create", life_ms, d);
    for (size_t i = 0; i < count; i++) {
        if (jobs[i] && jobs[i]->status == MIG_OK)
            continue;
        if (jobs[i])
            instance_free(list[i]); /* otherwise create() still runs, and keeps it */
        list[i] = NULL;
    }
    jobs_free(jobs, count);
}

void factory_describe(struct instance *const *list, size_t count, unsigned life_ms,
                      struct catalogue **ret, struct diag *d)
{
    struct life_job **jobs = jobs_new(list, count);

    run_all(jobs, count, do_describe, "describe", life_ms, d);
    for (size_t i = 0; i < count; i++) {
        ret[i] = jobs[i] ? jobs[i]->catalogue : NULL;
        if (jobs[i] && jobs[i]->has_failed) {
            catalogue_free(ret[i]);
            ret[i] = NULL;
        }
    }
    jobs_free(jobs, count);
}

void factory_start(struct instance *const *list, size_t count, unsigned life_ms, struct diag *d)
{
    struct life_job **jobs = jobs_new(list, count);

    for (size_t i = 1; i < count; i++)
        jobs[i]->before = jobs[i - 1];
    if (run(jobs, count, do_start, "start", life_ms, d))
        jobs_free(jobs, count); /* otherwise one of them may still look at the one before it */
}

void factory_discard(struct instance *i)
{
    if (i->findings)
        return; /* a function of it still runs */
    if (life_call(i->core->life, 10000, do_destroy, i))
        instance_free(i);
}
