/* The child of `migctl check`: limits, loading, the rules of the entry. */
#include "ctl_check.h"
#include "mig/sdk/mock_entry.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static size_t failures;

static void say(char kind, const char *format, va_list args)
{
    char text[1024];
    int n = vsnprintf(text, sizeof text, format, args);

    for (int i = 0; i < n && text[i]; i++)
        if ((unsigned char)text[i] < 0x20)
            text[i] = ' ';
    dprintf(CHECK_FD, "%c %s\n", kind, text);
}

void check_stage(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say('S', format, args);
    va_end(args);
}

void check_note(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say('N', format, args);
    va_end(args);
}

void check_fail(const char *format, ...)
{
    va_list args;

    if (++failures > CHECK_FAILURES_MAX)
        return;
    va_start(args, format);
    say('F', format, args);
    va_end(args);
}

size_t check_failures(void)
{
    return failures;
}

static void limit(unsigned what, rlim_t most)
{
    struct rlimit r;

    if (getrlimit(what, &r) == 0 && (r.rlim_cur == RLIM_INFINITY || r.rlim_cur > most)) {
        r.rlim_cur = most;
        setrlimit(what, &r);
    }
}

/* Enough for an honest plugin. Sanitizers reserve terabytes of addresses, so no limit for them. */
static void set_limits(void)
{
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_CPU, 300);
    limit(RLIMIT_FSIZE, (rlim_t)256 << 20);
    limit(RLIMIT_NOFILE, 512);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    limit(RLIMIT_AS, (rlim_t)8 << 30);
#endif
}

static bool check_symbols(const char *path, struct elf_symbols *s)
{
    const char *why;

    check_stage("reading symbols");
    if (!elf_read(path, s, &why)) {
        check_fail("%s", why);
        return false;
    }
    if (s->undefined)
        check_fail("%zu undefined mig symbols (%s): a plugin gets everything from tables",
                   s->undefined, s->an_undefined);
    if (!s->has_entry)
        check_fail("not a migd plugin: mig_plugin_entry is missing");
    if (s->exports)
        check_note("%zu symbols are visible beside the entry (%s): build with -fvisibility=hidden",
                   s->exports, s->an_export);
    return failures == 0;
}

static const mig_plugin_entry_t *load(const char *path)
{
    char real[PATH_MAX], why[256];
    const mig_plugin_entry_t *entry;
    void *module;

    check_stage("loading, where constructors run");
    module = dlopen(realpath(path, real) ? real : path, RTLD_NOW | RTLD_LOCAL);
    if (!module) {
        check_fail("the loader says: %s", dlerror());
        return NULL;
    }
    entry = dlsym(module, "mig_plugin_entry");
    check_stage("reading the entry");
    if (mock_entry_ok(entry, why, sizeof why))
        return entry;
    check_fail("%s", why);
    return NULL;
}

static bool check_schema(const mig_plugin *p)
{
    if (!p->config_schema || mig_json_valid(mig_s(p->config_schema)))
        return true;
    check_fail("plugin %s: config_schema is not JSON", p->id);
    return false;
}

static void finish(const mig_plugin_entry_t *e, const struct elf_symbols *s, size_t caps,
                   bool is_no_run)
{
    CLEANUP(buf_deinit) struct buf b;

    buf_init(&b, 65536);
    buf_addf(&b, "entry %u.%u", e->abi_major, e->abi_minor);
    for (const mig_plugin *const *p = e->plugins; *p; p++)
        buf_addf(&b, "  %s %s", (*p)->id, (*p)->version);
    if (!is_no_run)
        buf_addf(&b, "  %zu %s", caps, caps == 1 ? "capability" : "capabilities");
    buf_addf(&b, "  %zu undefined mig symbols", s->undefined);
    dprintf(CHECK_FD, "O %.*s\n", STR_ARG(buf_str(&b)));
    for (const mig_plugin *const *p = e->plugins; is_no_run && *p; p++)
        dprintf(CHECK_FD, "I %s: %s\nI %s: config schema %s\n", (*p)->id,
                (*p)->summary ? (*p)->summary : "(no summary)", (*p)->id,
                (*p)->config_schema ? (*p)->config_schema : "(takes no configuration)");
}

/* Ends without exit handlers: those of the module are not asked about. */
int ctl_check_child(int argc, char **argv)
{
    bool is_no_run = argc > 3 && !strcmp(argv[3], "--no-run");
    const mig_plugin_entry_t *entry = NULL;
    struct elf_symbols symbols;
    size_t caps = 0;

    if (argc < 3 || fcntl(CHECK_FD, F_SETFD, FD_CLOEXEC) != 0)
        return usage_error("--check-child is for migctl itself");
    set_limits();
    if (check_symbols(argv[2], &symbols))
        entry = load(argv[2]);
    for (const mig_plugin *const *p = entry ? entry->plugins : NULL; p && *p; p++)
        if (check_schema(*p) && !is_no_run)
            caps += check_plugin(*p);
    if (failures > CHECK_FAILURES_MAX)
        dprintf(CHECK_FD, "F %zu more failures\n", failures - CHECK_FAILURES_MAX);
    if (!failures && entry)
        finish(entry, &symbols, caps, is_no_run);
    fflush(NULL);
    _exit(failures || !entry ? CTL_FAILED : CTL_OK);
}
