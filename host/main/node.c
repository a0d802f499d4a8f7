#include "main/node.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/accounts.h"
#include "core/audit.h"
#include "core/connections.h"
#include "core/consumers.h"
#include "core/events.h"
#include "core/idem.h"
#include "core/quota.h"
#include "core/schemas.h"
#include "core/sessions.h"
#include "core/subscription.h"
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
#include "main/registries.h"
#include "main/telemetry.h"
#include "main/verbs.h"
#include "main/watch.h"
#include "store/kv.h"
#include "store/store.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { STOP_LOOK_MS = 10, RETIRE_MS = 3000, REDESCRIBE_MS = 100, SESSION_LOOK_MS = 500 };

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

/* sd_notify(3), without the library: a datagram to the socket that systemd names. */
static void notify_systemd(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    if (!path || strlen(path) >= sizeof a.sun_path)
        return;
    memcpy(a.sun_path, path, strlen(path) + 1);
    if (a.sun_path[0] == '@')
        a.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (fd >= 0 && sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&a, len) < 0)
        log_warn("systemd.notify", F_Z("error", strerror(errno)));
    if (fd >= 0)
        close(fd);
}

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
    notify_systemd("READY=1");
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

static void signals_close(struct node *n)
{
    for (size_t i = 0; i < countof(watched_signals); i++)
        uv_close((uv_handle_t *)&n->signals[i], NULL);
}

/* --- stop --------------------------------------------------------------------------------------- */

static const struct call_result stopping = {.status = MIG_UNAVAILABLE,
                                            .message = S("the gateway is stopping"),
                                            .details = S("{\"reason\":\"stopping\"}")};

static bool is_subscription(struct call *c, void *arg)
{
    (void)arg;
    return subscription_of(c) != NULL;
}

static bool is_operation(struct call *c, void *arg)
{
    (void)arg;
    return op_header_of(c) != NULL;
}

static void drain_here(struct loop *l, uint64_t v)
{
    struct node *n = (struct node *)(uintptr_t)v;
    struct node_loop *nl = &n->per_loop[l->index];

    for (size_t i = 0; i < LISTENERS; i++) {
        if (nl->listeners[i])
            listener_stop(nl->listeners[i]);
        nl->listeners[i] = NULL;
    }
    net_drain(nl->net);
    call_table_abort(n->core->per_loop[l->index].calls, is_subscription, NULL, &stopping);
    loop_drain(l);
}

static void abort_here(struct loop *l, uint64_t v)
{
    struct node *n = (struct node *)(uintptr_t)v;

    struct call_table *calls = n->core->per_loop[l->index].calls;

    call_table_abort(calls, is_operation, NULL, &stopping); /* then streams get terminal frames */
    loop_drain(l);
    call_table_abort(calls, NULL, NULL, &stopping);
    loop_drain(l);
    net_close_all(n->nets[l->index]);
}

static size_t connections(const struct node *n)
{
    size_t sum = 0;

    for (size_t i = 0; i < n->loop_count; i++)
        sum += net_connections(n->nets[i]);
    return sum;
}

static void on_all(struct node *n, void (*fn)(struct loop *l, uint64_t v))
{
    for (size_t i = 0; i < n->loop_count; i++)
        loop_post_fn(n->loops[i], fn, (uintptr_t)n);
}

static void look(struct node *n, void (*fn)(struct timer *t))
{
    loop_timer(n->control, &n->stop_timer, STOP_LOOK_MS, fn);
}

static void stop_loops(void *arg)
{
    struct node *n = arg;

    for (size_t i = 0; i < n->loop_count; i++)
        loop_stop(n->loops[i]);
    signals_close(n);
    loop_stop(n->control);
}

static void wait_retired(struct timer *t)
{
    struct node *n = container_of(t, struct node, stop_timer);
    bool is_over = loop_now_ms(n->control) >= n->stop_ms;

    if (!is_over && (core_draining(n->core) || !list_is_empty(&n->core->gens))) {
        look(n, wait_retired);
        return;
    }
    n->is_forced = is_over || n->core->abandoned;
    if (n->is_forced)
        log_warn("stop.forced", F_U64("draining", core_draining(n->core)),
                 F_U64("abandoned", n->core->abandoned));
    if (n->is_forced)
        stop_loops(n); /* a fetch of keys may hang too */
    else
        keys_close(n->core, stop_loops, n);
}

static void wait_connections(struct timer *t)
{
    struct node *n = container_of(t, struct node, stop_timer);
    bool is_over = loop_now_ms(n->control) >= n->stop_ms;

    if (!is_over && (connections(n) || reload_is_busy(n->reloader))) {
        look(n, wait_connections);
        return;
    }
    on_all(n, abort_here);
    gen_retire_last(n->core);
    n->stop_ms = loop_now_ms(n->control) + RETIRE_MS;
    look(n, wait_retired);
}

void node_stop(struct node *n, int exit_code)
{
    if (atomic_exchange(&n->core->is_stopping, true))
        return;
    const struct settings *s = reload_settings(n->reloader);
    n->exit_code = exit_code;
    log_info("migd.stopping", F_U64("connections", connections(n)));
    notify_systemd("STOPPING=1");
    watch_free(n->watch);
    n->watch = NULL;
    timer_stop(&n->control->timers, &n->redescribe);
    timer_stop(&n->control->timers, &n->session_look);
    n->stop_ms = loop_now_ms(n->control) + (uint64_t)(s ? s->stop_timeout_ms : 0);
    on_all(n, drain_here);
    look(n, wait_connections);
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

/* --- sessions that miss their heartbeats -------------------------------------------------------- */

struct silence {
    struct task task;
    struct node *node;
    str tenant, session;
    char text[];
};

static void end_session_here(struct task *t)
{
    struct silence *s = container_of(t, struct silence, task);

    connections_end_session(s->node->core, loop_current(), s->tenant, s->session);
    free(s);
}

static void session_missing(void *arg, str tenant, str id)
{
    struct node *n = arg;

    log_info("session.missing", F_STR("tenant", tenant), F_STR("session", id));
    if (!reload_settings(n->reloader) || !n->core->current->policy.closes_missed)
        return;
    for (size_t i = 0; i < n->loop_count; i++) {
        struct silence *s = malloc(sizeof *s + tenant.len + id.len);
        must(s);
        *s = (struct silence){.task.run = end_session_here, .node = n};
        s->tenant = (str){memcpy(s->text, tenant.ptr, tenant.len), tenant.len};
        s->session = (str){memcpy(s->text + tenant.len, id.ptr, id.len), id.len};
        loop_post(n->loops[i], &s->task);
    }
}

static void look_at_sessions(struct timer *t)
{
    struct node *n = container_of(t, struct node, session_look);

    if (n->core->current)
        sessions_sweep(n->core->sessions, n->core->current->policy.missed_limit,
                       clock_now_ns() / 1000000, session_missing, n);
    loop_timer(n->control, t, SESSION_LOOK_MS, look_at_sessions);
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

static struct store *open_store(const struct settings *s, struct diag *d)
{
    struct store_settings how = STORE_DEFAULTS;

    how.dir = s->data_dir;
    how.fsync = !strcmp(s->event_fsync, "always")  ? STORE_FSYNC_ALWAYS
                : !strcmp(s->event_fsync, "never") ? STORE_FSYNC_NEVER
                                                   : STORE_FSYNC_INTERVAL;
    return s->data_dir ? store_open_sqlite(&how, d) : store_open_memory(&how, d);
}

/* Idempotent results in memory need no copy in a store that is memory itself. */
static bool open_idem(struct node *n, bool is_kept, struct diag *d)
{
    return idem_open(&n->core->idem, is_kept ? n->store : NULL, clock_wall_ms(), d);
}

/* What the node knew when it stopped. */
static bool load_data(struct node *n, const struct settings *s)
{
    struct core *core = n->core;
    struct diag d;

    diag_init(&d);
    core->store = n->store;
    bool is_ok = events_open(core, &d) && consumers_open(core, &d) && quota_open(core, &d) &&
                 usage_open(core, &d) && accounts_open(core, &d) &&
                 open_idem(n, s->data_dir != NULL, &d);
    if (!is_ok)
        findings_print(&d, stderr);
    diag_deinit(&d);
    return is_ok;
}

/* What operators registered. */
static bool load_registries(struct node *n, const struct settings *s)
{
    struct diag d;

    diag_init(&d);
    bool is_ok = registries_load(n, s, &d);
    if (!is_ok)
        findings_print(&d, stderr);
    diag_deinit(&d);
    return is_ok;
}

static void close_data(struct node *n)
{
    struct core *core = n->core;

    store_close(n->store);
    core->store = n->store = NULL;
    accounts_close(core);
    idem_close(core->idem);
    events_close(core);
    consumers_close(core);
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
    n->store = open_store(s, &d);
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

    close_data(n);
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
    if (!telemetry_start(n, s) || !load_data(n, s) || !keys_open(n->core, s))
        return false;
    n->reloader = reloader_new(n->core, n->modules, &n->src);
    reloader_on_adopted(n->reloader, look_again, n);
    return load_registries(n, s);
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
    loop_timer(n.control, &n.session_look, SESSION_LOOK_MS, look_at_sessions);
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
