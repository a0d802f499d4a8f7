/* module.h: shared objects of plugins. A file is read once, hashed, copied to a private directory and
 * loaded from there: a file that is overwritten or removed cannot harm what runs, and two versions
 * live side by side. The same content is loaded once. Modules stay mapped when retired, unless the
 * settings and the module allow unmapping. [life] thread only, except module_count(). */
#ifndef ABI_MODULE_H
#define ABI_MODULE_H
#include "base/diag.h"
#include "mig/abi.h"

struct module;
struct modules;

struct module_builtin {
    const char *name; /* "echo" */
    const mig_plugin_entry_t *entry;
};

/* dir is created with mode 0700; copies of processes that are gone are removed. NULL: *error says why. */
struct modules *modules_new(const char *dir, const struct module_builtin *builtins,
                            char error[256]);
void modules_free(struct modules *m);

/* With one reference. NULL: findings say why, at `at`. sha256: NULL or 64 hex digits that the content
 * must have. */
struct module *module_open(struct modules *m, const char *path, const char *sha256,
                           struct diag_at at, struct diag *d);
/* The built-in module that has this plugin id; NULL: none. */
struct module *module_builtin(struct modules *m, const char *plugin_id);
/* unmap: allowed by the settings. */
void module_unref(struct module *m);
void modules_set_unmap(struct modules *m, bool when_clean);

const char *module_sha256(const struct module *m); /* "built-in" for those */
/* The plugin of that id; NULL id: the only one. NULL: a finding says why. */
const mig_plugin *module_plugin(const struct module *m, const char *id, struct diag_at at,
                                struct diag *d);
/* [any] Modules mapped that nothing uses. */
size_t module_retired(const struct modules *m);
#endif
