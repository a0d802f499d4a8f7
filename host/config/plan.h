/* plan.h: which instances a configuration wants: built-in ones, those of the manifest, and what lies
 * in the plugin folders. Reads folders, loads nothing. */
#ifndef CONFIG_PLAN_H
#define CONFIG_PLAN_H
#include "config/manifest.h"
#include "config/settings.h"

enum wanted_kind { WANTED_BUILTIN, WANTED_MODULE, WANTED_LUA };

struct wanted {
    enum wanted_kind kind;
    char *name;
    char *path;   /* of the module or script; NULL: built-in */
    char *source; /* for lists: the file's name, or "built-in" */
    char *plugin; /* id; NULL: the only one of the module */
    char *config; /* JSON object text as the instance gets it */
    char *sha256;
    uint64_t max_concurrency, queue;
    struct diag_at at;
};

struct plan {
    struct wanted *list;
    size_t count, cap;
    struct str_list dirs; /* plugin folders, in order of search */
};

/* An upsert: the capability that reference clients call on a fresh gateway (MIG v0.1 9.2). */
extern const char plan_bootstrap[];

/* capabilities: JSON array text of what the built-in echo provider serves (admin upserts), may be
 * "[]". NULL when d has errors. */
struct plan *plan_make(const struct settings *s, const struct manifest *m, const char *capabilities,
                       struct diag *d);
void plan_free(struct plan *p);
#endif
