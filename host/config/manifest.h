/* manifest.h: the adapter manifest, YAML or JSON, schema 0.1 and 0.2 (mcp-mig-mapping.md 2) with the
 * additive keys providers, plugin_dirs, autoload and watch. Immutable when loaded. */
#ifndef CONFIG_MANIFEST_H
#define CONFIG_MANIFEST_H
#include "base/diag.h"
#include "config/settings.h"

enum manifest_source { MANIFEST_MODULE, MANIFEST_LUA, MANIFEST_BUILTIN };

/* providers.<name>: one instance. */
struct manifest_provider {
    char *name; /* [a-z0-9][a-z0-9_-]{0,63}                                 */
    enum manifest_source source;
    char *path;                     /* module: or lua:, as written; NULL for MANIFEST_BUILTIN   */
    char *plugin;                   /* plugin: id in the module; NULL: the only one             */
    char *config;                   /* JSON object text, ${VAR} replaced                        */
    char *sha256;                   /* 64 hex digits; NULL: not pinned                          */
    int64_t max_concurrency, queue; /* limits: 0: the settings' value                  */
    bool is_required;               /* required: false; a failure refuses the reload anyway     */
    bool is_enabled;        /* enabled: true; false: not served although it lies in a plugin dir */
    struct diag_at at;      /* of the name, for findings                                */
    struct diag_at path_at; /* of module:, lua: or plugin:                              */
};

struct manifest_tool {
    char *mcp_name, *mig_capability, *mode, *title, *description, *billing_tier;
    int64_t timeout_ms;
    struct str_list policy_tags;
    struct diag_at at, capability_at;
};
struct manifest_resource {
    char *mcp_uri_pattern, *mig_capability, *mode, *name, *description, *mime_type;
    struct diag_at at, capability_at;
};
struct manifest_prompt {
    char *mcp_name, *mig_capability, *mode, *title, *description;
    struct diag_at at, capability_at;
};

/* policies.<capability id>: what its callers owe and get, in place of what the provider says. Numbers are
 * 0 where nothing was said. */
struct manifest_policy {
    char *capability;
    bool require_key, is_idempotent;
    int64_t max_attempts, backoff_ms, max_concurrency, rps, burst;
    struct str_list tags;
    char *billing_tier; /* NULL: not said */
    struct diag_at at;
};

struct manifest {
    char *file;    /* NULL: none was given, everything is default              */
    char *version; /* effective schema, "0.1" or "0.2"                         */
    char *default_binding;
    struct manifest_provider *providers;
    size_t provider_count;
    struct manifest_tool *tools;
    size_t tool_count;
    struct manifest_resource *resources;
    size_t resource_count;
    struct manifest_prompt *prompts;
    size_t prompt_count;
    struct manifest_policy *policies;
    size_t policy_count;
    bool allow_streaming_tools, emit_event_notifications, require_traceparent;
    char *tenant_resolution;
    char *billing_meter, *billing_usage_scope;
    struct str_list plugin_dirs; /* resolved against the manifest's folder; count 0: absent */
    int has_autoload, has_watch; /* -1 absent, 0 false, 1 true                         */
};

/* NULL when d has errors; all of them are there. `folder` resolves relative plugin_dirs. A manifest
 * with providers may leave out `mappings`. */
struct manifest *manifest_parse(str text, const char *file, struct diag *d);
/* The same from a file; reading errors are findings too. path NULL: the empty manifest. */
struct manifest *manifest_load(const char *path, struct diag *d);
void manifest_free(struct manifest *m);
static inline void manifest_freep(struct manifest **m)
{
    manifest_free(*m);
}
/* manifests/schema/manifest.json: JSON Schema 2020-12 of both versions, from the same tables. */
void manifest_schema(struct buf *json);
#endif
