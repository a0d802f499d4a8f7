#include "main/node.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/audit.h"
#include "core/schemas.h"
#include "core/usage.h"
#include "edge/access_writer.h"
#include "edge/front.h"
#include "edge/identity.h"
#include "edge/socket.h"
#include "main/builtin.h"
#include "main/daemon.h"
#include "main/findings.h"
#include "main/keys.h"
#include "main/logwriter.h"
#include "main/telemetry.h"
#include "main/verbs.h"
#include "main/watch.h"
#include "store/kv.h"
#include "store/store.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { REDESCRIBE_MS = 100 };

static struct node *the_node; /* for control_verb(), which knows only the core */

struct node *node_of(struct core *core)
{
    must(the_node && the_node->core == core);
    return the_node;
}

/* --- loops -------------------------------------------------------------------------------------- */

static void *run_loop(void *arg)
{
    struct node_loop *nl = arg;

    nl->net = net_loop_new(nl->loop, front_ops(), front_limits);
    nl->node->nets[nl->loop->index] = nl->net;
    uv_sem_post(&nl->ready);
    loop_run(nl->loop);
    socket_loop_free(nl->loop);
    manners_loop_free(nl->loop);
    identity_loop_free(nl->loop);
    net_loop_free(nl->net);
    return NULL;
}

static void thread_main(void *arg)
{
    run_loop(arg);
}

static size_t count_loops(const struct settings *s)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t n = s->loops ? (size_t)s->loops : cores > 0 ? (size_t)cores : 1;

    return n > LOOP_MAX ? LOOP_MAX : n;
}

static void make_loops(struct node *n)
{
    n->loops = calloc(n->loop_count, sizeof *n->loops);
    n->nets = calloc(n->loop_count, sizeof *n->nets);
    n->per_loop = calloc(n->loop_count, sizeof *n->per_loop);
    must(n->loops && n->nets && n->per_loop);
    for (size_t i = 0; i < n->loop_count; i++)
        must(n->loops[i] = loop_new((unsigned)i));
}

static void start_loops(struct node *n)
{
    for (size_t i = 0; i < n->loop_count; i++) {
        struct node_loop *nl = &n->per_loop[i];
        nl->node = n;
        nl->loop = n->loops[i];
        must(uv_sem_init(&nl->ready, 0) == 0);
        must(uv_thread_create(&nl->thread, thread_main, nl) == 0);
    }
    for (size_t i = 0; i < n->loop_count; i++)
        uv_sem_wait(&n->per_loop[i].ready);
}

static void listen_here(struct loop *l, uint64_t v)
{
    struct node *n = (struct node *)(uintptr_t)v;
    struct node_loop *nl = &n->per_loop[l->index];

    for (size_t i = 0; i < LISTENERS; i++)
        if (n->listeners[i])
            nl->listeners[i] = listener_start(n->listeners[i], nl->net, n->nets);
}

/* --- ready -------------------------------------------------------------------------------------- */

/* The folders to watch, and whether to, may have changed. */
static void look_again(void *arg)
{
    struct node *n = arg;

    /* While the node stops, it would keep us up. */
    watch_adapt(&n->watch, n,
                reload_is_watching(n->reloader) && !atomic_load(&n->core->is_stopping));
}

static void first_generation(void *arg, bool is_ok, str json, const struct diag *d)
{
    struct node *n = arg;
    const struct settings *s = reload_settings(n->reloader);

    (void)json;
    if (!is_ok) {
        findings_print(d, stderr);
        node_stop(n, 2);
        return;
    }
    for (size_t i = 0; i < n->loop_count; i++)
        loop_post_fn(n->loops[i], listen_here, (uintptr_t)n);
    n->is_ready = true;
    const struct listener_set *tls = n->listeners[LISTENER_TLS];
    const char *tls_address = tls ? listener_address(tls) : "off";
    if (settings_is_tls(s))
        tls_address = listener_address(n->listeners[LISTENER_MAIN]);
    log_info("migd.ready", F_Z("address", listener_address(n->listeners[LISTENER_MAIN])),
             F_Z("tls", tls_address), F_Z("auth_mode", s->auth_mode), F_U64("loops", n->loop_count),
             F_Z("grpc", "off"), F_Z("nats", "off"),
             F_Z("audit", s->audit_log_path ? s->audit_log_path : "off"),
             F_Z("metrics", s->is_metrics ? "on" : "off"),
             F_MS("start_ms", (double)(clock_wall_ms() - n->started_ms)));
    daemon_ready();
}

/* --- signals ------------------------------------------------------------------------------------ */

static void reopen_files(struct node *n)
{
    logwriter_reopen();
    audit_reopen(n->core->audit);
}

static void on_signal(uv_signal_t *h, int signum)
{
    struct node *n = h->data;

    if (signum == SIGHUP || signum == SIGUSR1)
        access_writer_reopen();
    if (signum == SIGHUP)
        reload_ask(n->reloader, &(struct reload_ask){0}, reload_unheard, n);
    else if (signum == SIGUSR1)
        reopen_files(n);
    else if (atomic_load(&n->core->is_stopping))
        _exit(1); /* asked twice: now */
    else
        node_stop(n, 0);
}

static const int watched_signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};

static void signals_start(struct node *n)
{
    n->signals = calloc(countof(watched_signals), sizeof *n->signals);
    must(n->signals);
    for (size_t i = 0; i < countof(watched_signals); i++) {
        uv_signal_init(&n->control->uv, &n->signals[i]);
        n->signals[i].data = n;
        uv_signal_start(&n->signals[i], on_signal, watched_signals[i]);
        uv_unref((uv_handle_t *)&n->signals[i]);
    }
}

void node_signals_close(struct node *n)
{
    for (size_t i = 0; i < countof(watched_signals); i++)
        uv_close((uv_handle_t *)&n->signals[i], NULL);
}

/* --- the whole ---------------------------------------------------------------------------------- */

static void redescribe_now(struct timer *t)
{
    struct node *n = container_of(t, struct node, redescribe);
    reload_ask(n->reloader, &(struct reload_ask){0}, reload_unheard, n);
}

/* A plugin that asks in a loop gets ten generations a second, not a thousand. */
static void redescribe_here(struct loop *l, uint64_t v)
{
    struct node *n = (struct node *)(uintptr_t)v;

    if (!timer_is_running(&n->redescribe))
        loop_timer(l, &n->redescribe, REDESCRIBE_MS, redescribe_now);
}

static void request_redescribe(struct core *core)
{
    loop_post_fn(core->control, redescribe_here, (uintptr_t)the_node);
}

static bool schema_text(struct core *core, str uri, str *ret_text)
{
    return schemas_find(reload_schemas_building(node_of(core)->reloader), uri, ret_text);
}

static char *state_dir(const struct settings *s)
{
    const char *systemd = getenv("STATE_DIRECTORY"), *home = getenv("HOME");
    char *dir = NULL;

    if (s->state_dir || systemd)
        return strdup(s->state_dir ? s->state_dir : systemd);
    if (geteuid() == 0)
        return strdup("/var/lib/migd");
    must(asprintf(&dir, "%s/.local/state/migd", home ? home : "/tmp") >= 0);
    return dir;
}

static bool listen_on(struct node *n, size_t which, const char *addr, bool is_tls, char error[160])
{
    n->listeners[which] = listener_open(str_of(addr), is_tls, n->loop_count, error);
    return n->listeners[which];
}

static void close_listeners(struct node *n)
{
    for (size_t i = 0; i < LISTENERS; i++)
        listener_free(n->listeners[i]);
}

static bool open_all(struct node *n, const struct settings *s)
{
    char error[256];
    struct diag d;

    diag_init(&d);
    n->store = node_open_store(s, &d);
    findings_print(&d, stderr);
    diag_deinit(&d);
    if (!n->store)
        return false;
    if (s->access_log && !access_writer_open(s->access_log)) {
        fprintf(stderr, "migd: cannot open %s: %s\n", s->access_log, strerror(errno));
        return false;
    }
    char *dir = state_dir(s);

    if (listen_on(n, LISTENER_MAIN, s->addr, settings_is_tls(s), error) &&
        (!s->tls_addr || listen_on(n, LISTENER_TLS, s->tls_addr, /*is_tls=*/true, error)))
        n->modules = modules_new(dir, builtin_modules(), error);
    free(dir);
    if (n->modules)
        return true;
    fprintf(stderr, "migd: %s\n", error);
    return false;
}

static void make_core(struct node *n, const struct settings *s)
{
    const struct kv_limits kv = {(uint64_t)s->kv_max_bytes, (uint64_t)s->kv_max_keys,
                                 (uint64_t)s->kv_max_value_bytes};

    n->core =
        core_new(n->control, n->loops, n->loop_count, (size_t)s->workers, (unsigned)s->stall_ms);
    n->core->kv = kv_new(&kv);
    n->core->request_redescribe = request_redescribe;
    n->core->control_verb = control_verb;
    n->core->schema_text = schema_text;
    front_init(n->core);
}

static void free_core(struct node *n)
{
    struct kv_store *kv = n->core->kv;

    node_close_data(n);
    core_free(n->core);
    kv_free(kv);
}

static void free_rest(struct node *n)
{
    access_writer_close();
    reloader_free(n->reloader);
    conformance_free(n->conformance);
    modules_free(n->modules);
    close_listeners(n);
    for (size_t i = 0; n->loops && i < n->loop_count; i++)
        loop_free(n->loops[i]);
    loop_free(n->control);
    free(n->signals);
    free(n->loops);
    free(n->nets);
    free(n->per_loop);
}

static void free_all(struct node *n)
{
    for (size_t i = 0; i < n->loop_count; i++) {
        uv_thread_join(&n->per_loop[i].thread);
        uv_sem_destroy(&n->per_loop[i].ready);
    }
    telemetry_stop(n);
    usage_flush(n->core);
    free_core(n);
    free_rest(n);
}

static void stop_control(void *arg)
{
    struct node *n = arg;
    loop_stop(n->control);
}

/* A loop closes its handles at the end of its run. */
static void run_out(struct loop *l)
{
    loop_stop(l);
    loop_run(l);
}

/* The start is refused: some of it is there, no loop has run, and nobody was served. */
static void give_up(struct node *n)
{
    if (n->core) {
        keys_close(n->core, stop_control, n);
        loop_run(n->control); /* until then: it hears what the store and the keys have answered */
        telemetry_stop(n);
        for (size_t i = 0; i < n->loop_count; i++)
            run_out(n->loops[i]);
        free_core(n);
    } else {
        run_out(n->control);
        store_close(n->store);
    }
    free_rest(n);
}

/* false: it was printed why. */
static bool prepare(struct node *n, const struct settings *s)
{
    must(n->control = loop_new(LOOP_MAX));
    if (!open_all(n, s))
        return false;
    make_loops(n);
    make_core(n, s);
    if (!telemetry_start(n, s) || !node_load_data(n, s) || !keys_open(n->core, s))
        return false;
    n->reloader = reloader_new(n->core, n->modules, &n->src);
    reloader_on_adopted(n->reloader, look_again, n);
    return node_load_registries(n, s);
}

int node_run(const struct settings_source *src, const struct settings *s, bool *ret_is_forced)
{
    struct node n = {.src = *src, .started_ms = clock_wall_ms(), .loop_count = count_loops(s)};

    the_node = &n;
    *ret_is_forced = false;
    signal(SIGPIPE, SIG_IGN);
    if (!prepare(&n, s)) {
        give_up(&n);
        return 1;
    }
    node_watch_sessions(&n);
    signals_start(&n);
    start_loops(&n);
    reload_ask(n.reloader, &(struct reload_ask){0}, first_generation, &n);
    loop_run(n.control);
    *ret_is_forced = n.is_forced; /* then threads of plugins may still use what we would free */
    if (n.is_forced)
        audit_flush(n.core->audit);
    else
        free_all(&n);
    return n.exit_code;
}
