/* One plugin against the mock host: every capability with every kind of input, deadlines, cancels
 * at odd times, full streams, routes, ticks, the end under load, and what is left afterwards. */
#include "ctl_check.h"
#include "mig/sdk/mock.h"

#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { REAL_PATIENCE_MS = 3000, ALL_PATIENCE_MS = 20000, LOAD = 32, CANCEL_ROUNDS = 24 };

/* ThreadSanitizer starts a thread of its own with the first of the plugin. */
#ifdef __SANITIZE_THREAD__
enum { SANITIZER_THREADS = 1 };
#else
enum { SANITIZER_THREADS = 0 };
#endif

struct trial {
    mock_host *mock;
    const mig_plugin *plugin;
    size_t faults_told, threads, files;
    uint64_t dice;
    int64_t patience_ms; /* real time left for plugins with threads */
};

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;

static void guarded(void *arg, int is_enter)
{
    (void)arg;
    if (is_enter)
        pthread_mutex_lock(&guard);
    else
        pthread_mutex_unlock(&guard);
}

static size_t count_entries(const char *folder)
{
    DIR *d = opendir(folder);
    size_t n = 0;

    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

/* The same numbers in every run. */
static uint64_t roll(struct trial *t, uint64_t sides)
{
    t->dice ^= t->dice << 13;
    t->dice ^= t->dice >> 7;
    t->dice ^= t->dice << 17;
    return t->dice % sides;
}

/* Faults since the last look belong to `where`. */
static void tell_faults(struct trial *t, const char *where)
{
    for (; t->faults_told < mock_fault_count(t->mock); t->faults_told++)
        check_fail("%s: %s", where, mock_fault(t->mock, t->faults_told));
}

/* Own threads or children need real time; everything else only the mock's. */
static bool has_helpers(const struct trial *t)
{
    return count_entries("/proc/self/task") > t->threads;
}

static void nap(struct trial *t)
{
    t->patience_ms--;
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Until the plugin has ended the call: first with real time when it has threads, then to the
 * deadline, then a while more. */
static bool settle(struct trial *t, mig_call call, const char *where)
{
    for (int i = 0; i < REAL_PATIENCE_MS && has_helpers(t) && !mock_is_ended(t->mock, call); i++) {
        mock_run(t->mock);
        nap(t);
    }
    mock_await(t->mock, call);
    mock_advance(t->mock, 1000);
    for (int i = 0; i < REAL_PATIENCE_MS && !mock_is_ended(t->mock, call); i++) {
        mock_advance(t->mock, 10);
        if (has_helpers(t))
            nap(t);
    }
    tell_faults(t, where);
    if (mock_is_ended(t->mock, call))
        return true;
    check_fail("%s: the call was never ended, not even after its deadline", where);
    return false;
}

/* ---- one call ---------------------------------------------------------------------------------
 */

static const struct {
    uint32_t bit;
    const char *name;
} modes[] = {
    {MIG_MODE_UNARY, "unary"},
    {MIG_MODE_SERVER_STREAM, "server_stream"},
    {MIG_MODE_CLIENT_STREAM, "client_stream"},
    {MIG_MODE_BIDI, "bidi"},
};

/* The caller's side of a stream: three messages and no more. */
static void send_messages(struct trial *t, mig_call call, const char *json, uint32_t mode)
{
    if (!(mode & (MIG_MODE_CLIENT_STREAM | MIG_MODE_BIDI)))
        return;
    for (int i = 0; i < 3; i++)
        mock_message(t->mock, call, json);
    mock_half_close(t->mock, call);
}

static mig_call begin_call(struct trial *t, const mock_cap *cap, uint32_t mode, enum gen_kind kind)
{
    CLEANUP(buf_deinit) struct buf json;
    mig_call call = {0};

    buf_init(&json, 64 << 20);
    gen_input(&json, str_of(cap->def.input_schema), kind);
    buf_addc(&json, 0);
    must(!json.has_failed);
    call = mock_invoke(t->mock, cap->def.id, json.ptr, mode);
    send_messages(t, call, json.ptr, mode);
    return call;
}

static void try_input(struct trial *t, const mock_cap *cap, size_t mode, enum gen_kind kind)
{
    char where[320];
    mig_call call;

    snprintf(where, sizeof where, "%s (%s, %s)", cap->def.id, modes[mode].name, gen_name(kind));
    check_stage("%s", where);
    call = begin_call(t, cap, modes[mode].bit, kind);
    settle(t, call, where);
    if (kind == GEN_REQUIRED && mock_status(t->mock, call) == MIG_INTERNAL)
        check_note("%s: answered with MIG_INTERNAL: %s", where, mock_error_message(t->mock, call));
}

/* A caller who does not read, then reads a little, then leaves. */
static void try_full_stream(struct trial *t, const mock_cap *cap, size_t mode)
{
    char where[320];
    mig_call call;

    snprintf(where, sizeof where, "%s (%s, a caller who reads slowly)", cap->def.id,
             modes[mode].name);
    check_stage("%s", where);
    t->mock->caller.reads_slowly = 1;
    call = begin_call(t, cap, modes[mode].bit, GEN_REQUIRED);
    mock_advance(t->mock, 50);
    mock_read(t->mock, call, 3);
    mock_advance(t->mock, 50);
    mock_cancel(t->mock, call);
    settle(t, call, where);
    t->mock->caller.reads_slowly = 0;
}

/* Cancels and deadlines at times that no author thought of. */
static void try_cancels(struct trial *t, const mock_cap *cap, size_t mode)
{
    char where[320];

    snprintf(where, sizeof where, "%s (%s, cancelled at odd times)", cap->def.id, modes[mode].name);
    check_stage("%s", where);
    for (int i = 0; i < CANCEL_ROUNDS && t->patience_ms > 0; i++) {
        t->mock->caller.timeout_ms = i % 3 == 0 ? 1 + roll(t, 20) : 0;
        mig_call call = begin_call(t, cap, modes[mode].bit, GEN_REQUIRED);
        if (i % 4)
            mock_run(t->mock); /* otherwise it goes before the plugin saw it */
        mock_advance(t->mock, roll(t, 40));
        mock_cancel(t->mock, call);
        if (!settle(t, call, where))
            break;
    }
    t->mock->caller.timeout_ms = 0;
}

static void try_capability(struct trial *t, const mock_cap *cap)
{
    for (size_t mode = 0; mode < countof(modes); mode++) {
        if (!(cap->def.modes & modes[mode].bit))
            continue;
        for (int kind = 0; kind < GEN_KINDS && t->patience_ms > 0; kind++)
            try_input(t, cap, mode, (enum gen_kind)kind);
        if (modes[mode].bit != MIG_MODE_UNARY)
            try_full_stream(t, cap, mode);
        try_cancels(t, cap, mode);
    }
}

/* ---- routes, probes, ticks --------------------------------------------------------------------
 */

/* A path for the pattern: {name} becomes the segment. */
static void fill_pattern(struct buf *b, const char *pattern, const char *segment)
{
    for (const char *p = pattern; *p; p++) {
        if (*p != '{') {
            buf_addc(b, *p);
            continue;
        }
        buf_addz(b, segment);
        while (p[1] && *p != '}')
            p++;
    }
    buf_addc(b, 0);
}

static void try_route(struct trial *t, const mock_route *r)
{
    static const char *const bodies[] = {"",          "{}",   "{\"a\":\"%s%n\"}",
                                         "{not json", "[[[[", "\xff\xfe"};
    static const char *const segments[] = {"x", "..", "%00", "a.b.c", "\xff", "'\"<>"};
    char where[320];

    snprintf(where, sizeof where, "route %s %s", r->def.method, r->def.pattern);
    for (size_t i = 0; i < countof(bodies); i++) {
        CLEANUP(buf_deinit) struct buf path;
        check_stage("%s, request %zu", where, i);
        buf_init(&path, 65536);
        fill_pattern(&path, r->def.pattern, segments[i]);
        must(!path.has_failed);
        mig_call ex = mock_http(t->mock, r->def.method, path.ptr, bodies[i]);
        if (ex.v)
            settle(t, ex, where);
    }
}

static void try_the_rest(struct trial *t)
{
    const mock_catalogue *k = t->mock->catalogue;
    uint64_t longest = 0;

    for (size_t i = 0; i < k->routes.count; i++)
        try_route(t, k->routes.items[i]);
    for (size_t i = 0; i < k->healths.count; i++) {
        check_stage("health check %zu", i);
        mig_call probe = mock_probe(t->mock, i);
        mock_run(t->mock);
        settle(t, probe, "health check");
    }
    for (size_t i = 0; i < k->timers.count; i++) {
        uint64_t every = ((const mock_timer *)k->timers.items[i])->def.every_ms;
        longest = every > longest && every < 86400000 ? every : longest;
    }
    check_stage("timers");
    mock_advance(t->mock, longest > 60000 ? longest + 1 : longest * 3);
    tell_faults(t, "timers");
}

/* ---- the life of an instance ------------------------------------------------------------------
 */

static bool try_create(struct trial *t)
{
    CLEANUP(buf_deinit) struct buf config;
    mig_status answer;

    buf_init(&config, 1 << 20);
    check_stage("create with {}");
    answer = mock_create(t->mock, "{}");
    if (answer != MIG_OK && t->plugin->config_schema) {
        gen_input(&config, str_of(t->plugin->config_schema), GEN_REQUIRED);
        buf_addc(&config, 0);
        must(!config.has_failed);
        check_stage("create with %s", config.ptr);
        answer = mock_create(t->mock, config.ptr);
        if (answer != MIG_OK)
            check_note("%s: create() refused {} and %s; what needs an instance was left out",
                       t->plugin->id, config.ptr);
    } else if (answer != MIG_OK) {
        check_fail("%s: create() refused {}, although it takes no configuration", t->plugin->id);
    }
    return answer == MIG_OK;
}

static bool try_describe(struct trial *t)
{
    str first;

    check_stage("describe");
    if (mock_describe(t->mock) != MIG_OK)
        check_fail("%s: describe() failed", t->plugin->id);
    tell_faults(t, "describe");
    first = mock_catalogue_text(t->mock);
    check_stage("describe for the second time");
    mock_describe(t->mock);
    tell_faults(t, "describe for the second time");
    if (!str_eq(first, mock_catalogue_text(t->mock)))
        check_fail("%s: describe() tells another catalogue the second time", t->plugin->id);
    return check_failures() == 0;
}

/* Quiesce while calls run, and the debt must come down to nothing. */
static void try_end_under_load(struct trial *t)
{
    const mock_catalogue *k = t->mock->catalogue;

    check_stage("quiesce under load");
    for (size_t i = 0; i < LOAD && k->caps.count; i++) {
        const mock_cap *cap = k->caps.items[i % k->caps.count];
        begin_call(t, cap, cap->def.modes & (~cap->def.modes + 1), GEN_REQUIRED);
        if (i == LOAD / 2)
            mock_run(t->mock);
    }
    mock_quiesce(t->mock);
    for (int i = 0; i < ALL_PATIENCE_MS && mock_debt(t->mock); i++) {
        mock_advance(t->mock, 100);
        if (has_helpers(t))
            nap(t);
    }
    tell_faults(t, "quiesce under load");
    if (mock_debt(t->mock))
        check_fail("%s: debt is %zu long after quiesce(): a call was never ended", t->plugin->id,
                   mock_debt(t->mock));
}

/* After destroy() nothing of the instance may be left. Threads need a moment to vanish. */
static void look_for_leaks(struct trial *t)
{
    size_t threads = 0, files;

    for (int i = 0; i < 200; i++) {
        threads = count_entries("/proc/self/task");
        if (threads <= t->threads)
            break;
        nap(t);
    }
    files = count_entries("/proc/self/fd");
    if (threads > t->threads)
        check_fail("%s: %zu threads are left after destroy()", t->plugin->id, threads - t->threads);
    if (files > t->files)
        check_fail("%s: %zu descriptors are left after destroy()", t->plugin->id, files - t->files);
}

static size_t live(struct trial *t)
{
    size_t caps;

    if (!try_describe(t))
        return t->mock->catalogue->caps.count;
    caps = t->mock->catalogue->caps.count;
    check_stage("start");
    if (mock_start(t->mock) != MIG_OK) {
        check_note("%s: start() failed; calls were left out", t->plugin->id);
    } else {
        for (size_t i = 0; i < caps; i++)
            try_capability(t, t->mock->catalogue->caps.items[i]);
        try_the_rest(t);
        if (t->patience_ms <= 0)
            check_note("%s is slow: some inputs were left out", t->plugin->id);
    }
    try_end_under_load(t);
    return caps;
}

size_t check_plugin(const mig_plugin *plugin)
{
    struct trial t = {.mock = mock_host_new(),
                      .plugin = plugin,
                      .dice = 0x9E3779B97F4A7C15u,
                      .patience_ms = ALL_PATIENCE_MS};
    size_t caps = 0;

    t.threads = count_entries("/proc/self/task") + SANITIZER_THREADS;
    t.files = count_entries("/proc/self/fd");
    t.mock->guard = guarded;
    mock_load_plugin(t.mock, plugin);
    if (try_create(&t)) {
        caps = live(&t);
        check_stage("destroy");
        if (!mock_debt(t.mock)) {
            mock_destroy(t.mock);
            look_for_leaks(&t);
        }
    }
    tell_faults(&t, "destroy");
    if (!check_failures())
        mock_host_free(t.mock); /* otherwise something may still use it */
    return caps;
}
