/* migd: the daemon. Command line to settings, then node_run(). */
#include "base/check.h"
#include "base/log.h"
#include "config/manifest.h"
#include "config/settings.h"
#include "main/daemon.h"
#include "main/findings.h"
#include "main/keys.h"
#include "main/logwriter.h"
#include "main/node.h"
#include "main/tls_files.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern char **environ;

enum { FLAGS_MAX = 64 };

enum action { RUN, CHECK, STOP, RESTART, RELOAD, STATUS, LOG_ROTATE, SHOW_VERSION, SHOW_HELP };

struct options {
    enum action action;
    bool is_daemon, is_dev, is_verbose, is_json;
    const char *config;
    struct daemon_files files;
    char *flags[FLAGS_MAX + 1]; /* "key=value" */
    size_t flag_count;
};

static const char help[] =
    "migd: lets any agent reach any capability.\n"
    "\n"
    "usage: migd [--config FILE] [--manifest FILE] [--plugin-dir DIR]... [--set KEY=VALUE]...\n"
    "            [--dev] [--verbose] [--daemon] [--pid-file FILE] [--log-file FILE]\n"
    "       migd --check                check settings and manifest, say every finding, exit 0 or "
    "2\n"
    "       migd --stop | --restart | --reload | --status [--json] | --log-rotate\n"
    "       migd --version | --help\n"
    "\n"
    "Settings come from the file, then MIGD_* variables, then flags; docs/reference/settings.md\n"
    "lists them. Exit codes: 0 ok, 1 failed, 2 usage or invalid configuration, 3 not running.\n";

static int usage(const char *what, const char *arg)
{
    fprintf(stderr, "migd: %s%s%s\ntry: migd --help\n", what, arg ? ": " : "", arg ? arg : "");
    return DAEMON_USAGE;
}

static void add_flag(struct options *o, const char *key, const char *value)
{
    must(o->flag_count < FLAGS_MAX);
    must(asprintf(&o->flags[o->flag_count++], value ? "%s=%s" : "%s%s", key, value ? value : "") >=
         0);
}

/* Several --plugin-dir become one list. */
static void add_plugin_dir(struct options *o, const char *dir)
{
    static const char key[] = "plugin_dirs=";

    for (size_t i = 0; i < o->flag_count; i++)
        if (!strncmp(o->flags[i], key, sizeof key - 1)) {
            char *longer;
            must(asprintf(&longer, "%s,%s", o->flags[i], dir) >= 0);
            free(o->flags[i]);
            o->flags[i] = longer;
            return;
        }
    add_flag(o, "plugin_dirs", dir);
}

static const struct {
    const char *name;
    enum action action;
} actions[] = {{"check", CHECK},          {"stop", STOP},     {"restart", RESTART},
               {"reload", RELOAD},        {"status", STATUS}, {"log-rotate", LOG_ROTATE},
               {"version", SHOW_VERSION}, {"help", SHOW_HELP}};

static bool take_switch(struct options *o, str name)
{
    for (size_t i = 0; i < countof(actions); i++)
        if (str_eq(name, str_of(actions[i].name))) {
            o->action = actions[i].action;
            return true;
        }
    bool *flag = str_eq(name, S("daemon"))    ? &o->is_daemon
                 : str_eq(name, S("dev"))     ? &o->is_dev
                 : str_eq(name, S("verbose")) ? &o->is_verbose
                 : str_eq(name, S("json"))    ? &o->is_json
                                              : NULL;
    if (flag)
        *flag = true;
    if (flag == &o->is_dev)
        add_flag(o, "http.server_timing", "true");
    return flag != NULL;
}

static bool take_value(struct options *o, str name, const char *value)
{
    if (str_eq(name, S("config")))
        o->config = value;
    else if (str_eq(name, S("manifest")))
        add_flag(o, "manifest", value);
    else if (str_eq(name, S("plugin-dir")))
        add_plugin_dir(o, value);
    else if (str_eq(name, S("set")))
        add_flag(o, value, NULL);
    else if (str_eq(name, S("pid-file")))
        o->files.pid_file = value;
    else if (str_eq(name, S("log-file")))
        o->files.log_file = value;
    else
        return false;
    return true;
}

static bool wants_value(str name)
{
    static const str names[] = {S("config"), S("manifest"), S("plugin-dir"),
                                S("set"),    S("pid-file"), S("log-file")};

    for (size_t i = 0; i < countof(names); i++)
        if (str_eq(names[i], name))
            return true;
    return false;
}

/* 0, or an exit code. One dash or two; --flag=value or --flag value. */
static int parse(struct options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        str arg = str_of(argv[i]);
        if (str_eq(arg, S("-h")) || str_eq(arg, S("help")))
            arg = S("--help");
        if (!str_starts(arg, S("-")))
            return usage("unknown argument", argv[i]);
        str rest = str_cut(arg, str_starts(arg, S("--")) ? 2 : 1);
        str name = str_split(&rest, '=');
        const char *value = rest.ptr;
        if (!wants_value(name)) {
            if (value || !take_switch(o, name))
                return usage("unknown flag", argv[i]);
            continue;
        }
        if (!value && !(value = argv[++i]))
            return usage("the flag wants a value", argv[i - 1]);
        take_value(o, name, value);
    }
    return 0;
}

static int check(const struct settings_source *src)
{
    struct diag d;

    diag_init(&d);
    CLEANUP(settings_freep) struct settings *s = settings_load(src, &d);
    CLEANUP(manifest_freep) struct manifest *m = s ? manifest_load(s->manifest, &d) : NULL;
    struct tls_tickets *tickets = tls_tickets_new();
    if (s)
        tls_context_unref(tls_files_load(s, NULL, tickets, &d));
    tls_tickets_free(tickets);
    if (s)
        jwks_unref(keys_read(s, &d));
    findings_print(&d, stdout);
    size_t errors = d.errors;
    if (errors)
        printf("%zu error%s\n", errors, errors == 1 ? "" : "s");
    else
        printf("ok  %s\n", m->file ? m->file : "no manifest");
    diag_deinit(&d);
    return errors ? DAEMON_USAGE : DAEMON_OK;
}

static void start_log(const struct options *o, const struct settings *s)
{
    enum log_level level = LOG_INFO;
    log_level_parse(str_of(s->log_level), &level);
    log_threshold = o->is_verbose || o->is_dev ? LOG_DEBUG : level;
    bool is_auto = !strcmp(s->log_format, "auto");
    log_is_console = !strcmp(s->log_format, "console") ||
                     (is_auto && !o->files.log_file && isatty(STDERR_FILENO));
    if (!logwriter_start(o->files.log_file)) {
        fprintf(stderr, "migd: cannot open %s: %s\n", o->files.log_file, strerror(errno));
        exit(DAEMON_FAILED);
    }
}

/* One large answer must not keep its memory for ever: big blocks go back to the kernel when freed. */
static void tune_malloc(void)
{
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
    mallopt(M_TRIM_THRESHOLD, 16 << 20);
}

static int run(struct options *o, const struct settings_source *src)
{
    struct diag d;

    diag_init(&d);
    CLEANUP(settings_freep) struct settings *s = settings_load(src, &d);
    findings_print(&d, stderr);
    diag_deinit(&d);
    if (!s)
        return DAEMON_USAGE;
    if (o->is_daemon)
        daemon_fork(&o->files);
    if (!daemon_claim(&o->files))
        return DAEMON_FAILED;
    start_log(o, s);
    tune_malloc();
    bool is_forced;
    int code = node_run(src, s, &is_forced);
    logwriter_stop();
    daemon_release(&o->files);
    if (is_forced)
        _exit(code);
    return code;
}

static const char *default_pid_file(void)
{
    return geteuid() == 0 ? "/run/migd.pid" : NULL;
}

static int act(struct options *o)
{
    int code;

    if (!o->files.pid_file && (o->is_daemon || (o->action != RUN && o->action != CHECK)))
        o->files.pid_file = default_pid_file();
    if (o->is_daemon && !o->files.log_file)
        o->files.log_file = geteuid() == 0 ? "/var/log/migd.log" : "migd.log";
    const struct settings_source src = {o->config, (const char *const *)environ,
                                        (const char *const *)o->flags};
    switch (o->action) {
    case SHOW_VERSION: printf("migd %s\n", MIGD_VERSION); return DAEMON_OK;
    case SHOW_HELP: fputs(help, stdout); return DAEMON_OK;
    case CHECK: return check(&src);
    case STATUS: return daemon_status(&o->files, o->is_json);
    case STOP: return daemon_stop(&o->files, 15000);
    case RELOAD: return daemon_signal(&o->files, SIGHUP, "reload");
    case LOG_ROTATE: return daemon_signal(&o->files, SIGUSR1, "log rotation");
    case RESTART:
        code = daemon_stop(&o->files, 15000);
        if (code != DAEMON_OK)
            return code;
        o->is_daemon = true;
        break;
    case RUN: break;
    }
    return run(o, &src);
}

int main(int argc, char **argv)
{
    struct options o = {0};
    int code = parse(&o, argc, argv);

    if (code == 0)
        code = act(&o);
    for (size_t i = 0; i < o.flag_count; i++)
        free(o.flags[i]);
    return code;
}
