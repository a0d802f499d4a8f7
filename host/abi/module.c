#include "abi/module.h"
#include "abi/elf.h"
#include "abi/entry.h"
#include "base/check.h"
#include "base/digest.h"
#include "base/log.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 256 << 20, RETIRED_WARN = 32 };

struct module {
    struct modules *all;
    struct module *next;
    const mig_plugin_entry_t *entry;
    void *handle; /* NULL: built-in */
    char sha256[DIGEST_HEX + 1];
    _Atomic unsigned refs;
};

struct modules {
    char *dir; /* STATE_DIR/modules-PID */
    struct module *list;
    _Atomic size_t retired;
    _Atomic bool unmap_when_clean;
};

/* --- the private directory ---------------------------------------------------------------------- */

static void remove_dir(const char *path)
{
    DIR *d = opendir(path);
    char file[4096];

    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.' && snprintf(file, sizeof file, "%s/%s", path, e->d_name) > 0)
            unlink(file);
    if (d)
        closedir(d);
    rmdir(path);
}

/* Copies that earlier processes left behind. */
static void remove_stale(const char *state_dir)
{
    DIR *d = opendir(state_dir);
    char path[4096];
    int pid;

    for (struct dirent *e; d && (e = readdir(d));)
        if (sscanf(e->d_name, "modules-%d", &pid) == 1 && kill(pid, 0) != 0 && errno == ESRCH &&
            snprintf(path, sizeof path, "%s/%s", state_dir, e->d_name) > 0)
            remove_dir(path);
    if (d)
        closedir(d);
}

static bool make_dir(const char *path)
{
    char part[4096];

    if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part)
        return false;
    for (char *at = part + 1; (at = strchr(at, '/')); *at++ = '/') {
        *at = 0;
        if (mkdir(part, 0755) != 0 && errno != EEXIST)
            return false;
    }
    return mkdir(part, 0700) == 0 || errno == EEXIST;
}

static struct module *add_builtin(struct modules *m, const struct module_builtin *b)
{
    struct module *mod = calloc(1, sizeof *mod);

    must(mod);
    mod->all = m;
    mod->entry = b->entry;
    snprintf(mod->sha256, sizeof mod->sha256, "built-in");
    atomic_init(&mod->refs, 1); /* for ever */
    mod->next = m->list;
    return m->list = mod;
}

struct modules *modules_new(const char *dir, const struct module_builtin *builtins, char error[256])
{
    struct modules *m = calloc(1, sizeof *m);

    must(m);
    remove_stale(dir);
    if (asprintf(&m->dir, "%s/modules-%d", dir, (int)getpid()) < 0 || !make_dir(m->dir)) {
        snprintf(error, 256, "cannot make the directory %s: %s", m->dir, strerror(errno));
        free(m->dir);
        free(m);
        return NULL;
    }
    for (; builtins->name; builtins++)
        add_builtin(m, builtins);
    return m;
}

void modules_free(struct modules *m)
{
    if (!m)
        return;
    while (m->list) {
        struct module *mod = m->list;
        m->list = mod->next;
        free(mod);
    }
    remove_dir(m->dir);
    free(m->dir);
    free(m);
}

void modules_set_unmap(struct modules *m, bool when_clean)
{
    atomic_store(&m->unmap_when_clean, when_clean);
}

size_t module_retired(const struct modules *m)
{
    return atomic_load(&((struct modules *)(uintptr_t)m)->retired);
}

/* --- loading ------------------------------------------------------------------------------------ */

static char *read_file(const char *path, size_t *ret_len, struct diag_at at, struct diag *d)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st = {0};
    char *bytes = NULL;
    size_t n = 0;

    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= FILE_MAX)
        bytes = malloc((size_t)st.st_size + 1);
    while (bytes && n < (size_t)st.st_size) {
        ssize_t got = read(fd, bytes + n, (size_t)st.st_size - n);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    if (!bytes)
        diag_error(d, at, "module.read", "cannot read %s: %s", path,
                   fd < 0 ? strerror(errno) : "not a regular file, or too large");
    else if (st.st_mode & S_IWOTH)
        diag_warn(d, at, "module.writable", "%s is writable by everybody", path);
    if (fd >= 0)
        close(fd);
    *ret_len = n;
    return bytes;
}

static bool write_copy(const char *path, str bytes, struct diag_at at, struct diag *d)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0500);

    if (fd < 0 && errno == EEXIST)
        return true; /* the same content was loaded before */
    while (fd >= 0 && bytes.len) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n <= 0)
            break;
        bytes = str_cut(bytes, (size_t)n);
    }
    bool ok = fd >= 0 && bytes.len == 0;
    if (!ok)
        diag_error(d, at, "module.copy", "cannot write %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    if (!ok)
        unlink(path);
    return ok;
}

/* dlerror() begins with the path of our copy, which means nothing to the operator. */
static const char *loader_text(const char *copy)
{
    const char *text = dlerror();
    size_t n = strlen(copy);

    if (!text)
        return "unknown";
    return !strncmp(text, copy, n) && !strncmp(text + n, ": ", 2) ? text + n + 2 : text;
}

static struct module *load(struct modules *m, const char *sha256, const char *copy,
                           struct diag_at at, struct diag *d)
{
    void *handle = dlopen(copy, RTLD_NOW | RTLD_LOCAL);

    if (!handle) {
        diag_error(d, at, "module.load", "the loader refuses it: %s", loader_text(copy));
        return NULL;
    }
    const mig_plugin_entry_t *entry = dlsym(handle, "mig_plugin_entry");
    if (!entry_check(entry, at, d)) {
        dlclose(handle);
        return NULL;
    }
    struct module *mod = calloc(1, sizeof *mod);
    must(mod);
    mod->all = m;
    mod->entry = entry;
    mod->handle = handle;
    memcpy(mod->sha256, sha256, DIGEST_HEX);
    atomic_init(&mod->refs, 1);
    mod->next = m->list;
    return m->list = mod;
}

static struct module *find(struct modules *m, const char *sha256)
{
    struct module *mod = m->list;

    while (mod && strcmp(mod->sha256, sha256) != 0)
        mod = mod->next;
    if (mod && atomic_fetch_add(&mod->refs, 1) == 0)
        atomic_fetch_sub(&m->retired, 1);
    return mod;
}

struct module *module_open(struct modules *m, const char *path, const char *sha256,
                           struct diag_at at, struct diag *d)
{
    char own[DIGEST_HEX + 1], copy[4096];
    size_t len;
    char *bytes = read_file(path, &len, at, d);
    struct module *mod = NULL;

    if (!bytes)
        return NULL;
    const char *fault = elf_fault((str){bytes, len});
    if (fault) {
        diag_error(d, at, "module.elf", "%s", fault);
        free(bytes);
        return NULL;
    }
    struct digest *digest = digest_new();
    digest_add(digest, (str){bytes, len});
    digest_take(digest, own);
    snprintf(copy, sizeof copy, "%s/%s.so", m->dir, own);
    if (sha256 && !str_eq_nocase(str_of(sha256), str_of(own)))
        diag_error(d, at, "module.sha256", "%s has the digest %s, the manifest pins %s", path, own,
                   sha256);
    else if (!(mod = find(m, own)) && write_copy(copy, (str){bytes, len}, at, d))
        mod = load(m, own, copy, at, d);
    free(bytes);
    return mod;
}

struct module *module_builtin(struct modules *m, const char *plugin_id)
{
    for (struct module *mod = m->list; mod; mod = mod->next)
        for (size_t i = 0; !mod->handle && mod->entry->plugins[i]; i++)
            if (!strcmp(mod->entry->plugins[i]->id, plugin_id)) {
                atomic_fetch_add(&mod->refs, 1);
                return mod;
            }
    return NULL;
}

static bool is_unloadable(const struct module *mod)
{
    for (size_t i = 0; mod->entry->plugins[i]; i++)
        if (!(mod->entry->plugins[i]->flags & MIG_PLUGIN_UNLOADABLE))
            return false;
    return true;
}

/* Gives the clean pages of a retired module back: code and constants come from its file again should
 * anything still run there. Written pages (relocations, data) stay. */
static int rest_segments(struct dl_phdr_info *info, size_t size, void *arg)
{
    const struct link_map *map = arg;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    (void)size;
    if (info->dlpi_addr != map->l_addr)
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type != PT_LOAD || p->p_flags & PF_W)
            continue;
        uintptr_t from = (info->dlpi_addr + p->p_vaddr) & ~(page - 1);
        uintptr_t to = (info->dlpi_addr + p->p_vaddr + p->p_memsz + page - 1) & ~(page - 1);
        madvise((void *)from, to - from, MADV_DONTNEED);
    }
    return 1;
}

static void rest(struct module *mod)
{
    struct link_map *map = NULL;

    if (mod->handle && dlinfo(mod->handle, RTLD_DI_LINKMAP, &map) == 0 && map)
        dl_iterate_phdr(rest_segments, map);
}

void module_unref(struct module *mod)
{
    struct modules *m = mod->all;

    if (atomic_fetch_sub(&mod->refs, 1) != 1)
        return;
    if (atomic_load(&m->unmap_when_clean) && is_unloadable(mod)) {
        for (struct module **at = &m->list; *at; at = &(*at)->next)
            if (*at == mod) {
                *at = mod->next;
                break;
            }
        dlclose(mod->handle);
        free(mod);
        return;
    }
    rest(mod);
    if (atomic_fetch_add(&m->retired, 1) + 1 == RETIRED_WARN)
        log_warn("module.retired", F_U64("count", RETIRED_WARN),
                 F_Z("hint", "modules that nothing uses stay mapped; a restart frees them"));
}

const char *module_sha256(const struct module *m)
{
    return m->sha256;
}

const mig_plugin *module_plugin(const struct module *m, const char *id, struct diag_at at,
                                struct diag *d)
{
    const mig_plugin *const *p = m->entry->plugins;

    if (!id && !p[1])
        return p[0];
    if (!id) {
        diag_error(d, at, "module.ambiguous",
                   "the module offers several plugins: say which "
                   "(plugin: ID)");
        return NULL;
    }
    for (; *p; p++)
        if (!strcmp((*p)->id, id))
            return *p;
    diag_error(d, at, "module.plugin", "the module has no plugin %s", id);
    return NULL;
}
