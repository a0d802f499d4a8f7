#include "config/plan.h"
#include "base/check.h"
#include "config/source.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* MIG v0.1 9.2: what reference clients call on a fresh gateway. */
const char plan_bootstrap[] =
    "{\"descriptor\":{\"id\":\"observatory.models.infer\",\"version\":\"1.0.0\","
    "\"modes\":[\"unary\",\"server_stream\"],"
    "\"input_schema_uri\":\"schema://observatory/models/infer-input/v1\","
    "\"output_schema_uri\":\"schema://observatory/models/infer-output/v1\","
    "\"event_topics\":[\"observatory.inference.completed\"],"
    "\"auth_scopes\":[\"capability:infer\"],"
    "\"qos\":{\"max_payload_bytes\":1048576,\"supports_replay\":true,"
    "\"delivery_semantics\":\"at_least_once\",\"supports_ordering\":true},"
    "\"input_schema\":{\"type\":\"object\",\"required\":[\"input\"],"
    "\"properties\":{\"input\":{\"type\":\"string\"}}},"
    "\"output_schema\":{\"type\":\"object\",\"required\":[\"result\"],"
    "\"properties\":{\"result\":{\"type\":\"string\"}}}}}";

static char *own(const char *z)
{
    char *copy = z ? strdup(z) : NULL;

    must(!z || copy);
    return copy;
}

static struct wanted *add(struct plan *p)
{
    if (p->count == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 16;
        p->list = realloc(p->list, p->cap * sizeof *p->list);
        must(p->list);
    }
    struct wanted *w = &p->list[p->count++];
    *w = (struct wanted){0};
    return w;
}

static void deinit(struct wanted *w)
{
    free(w->name);
    free(w->path);
    free(w->source);
    free(w->plugin);
    free(w->config);
    free(w->sha256);
}

void plan_free(struct plan *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->count; i++)
        deinit(&p->list[i]);
    free(p->list);
    for (size_t i = 0; i < p->dirs.count; i++)
        free(p->dirs.items[i]);
    free(p->dirs.items);
    free(p);
}

/* --- folders ------------------------------------------------------------------------------------ */

static void add_dirs(struct plan *p, const struct str_list *from)
{
    size_t total = p->dirs.count + from->count;

    p->dirs.items = realloc(p->dirs.items, (total + 1) * sizeof *p->dirs.items);
    must(p->dirs.items);
    for (size_t i = 0; i < from->count; i++)
        p->dirs.items[p->dirs.count++] = own(from->items[i]);
}

/* plugins/ beside the manifest, and the installed ones. */
static void add_default_dirs(struct plan *p, const struct manifest *m)
{
    char *beside = source_beside(m->file, S("plugins"));
    const struct str_list list = {(char *[]){beside, (char[]){MIGD_PLUGIN_DIR}}, 2};

    add_dirs(p, &list);
    free(beside);
}

/* A path of the manifest: below one of the folders, never out of them. NULL: a finding says why. */
static char *resolve(const struct plan *p, const char *path, struct diag_at at, struct diag *d)
{
    char *full = NULL;

    if (path[0] == '/' || strstr(path, "..")) {
        diag_error(d, at, "provider.path", "%s: a module is named by a path below a plugin folder",
                   path);
        return NULL;
    }
    for (size_t i = 0; i < p->dirs.count; i++) {
        must(asprintf(&full, "%s/%s", p->dirs.items[i], path) >= 0);
        if (access(full, R_OK) == 0)
            return full;
        free(full);
    }
    diag_error(d, at, "provider.missing", "%s is in none of the plugin folders", path);
    return NULL;
}

/* --- instances ---------------------------------------------------------------------------------- */

static char *lua_config(const char *name, const char *path, const char *config)
{
    struct buf b;

    buf_init(&b, BUF_MAX);
    buf_addz(&b, "{\"script\":");
    buf_add_json(&b, str_of(path));
    buf_addz(&b, ",\"name\":");
    buf_add_json(&b, str_of(name));
    buf_addz(&b, ",\"config\":");
    buf_addz(&b, config ? config : "{}");
    buf_addc(&b, '}');
    char *text = buf_take_z(&b);
    must(text);
    return text;
}

static void make_lua(struct wanted *w, const char *config)
{
    w->kind = WANTED_LUA;
    w->plugin = own("dev.migd.lua");
    w->config = lua_config(w->name, w->path, config);
}

static void from_manifest(struct plan *p, const struct settings *s,
                          const struct manifest_provider *m, struct diag *d)
{
    char *path = m->path ? resolve(p, m->path, m->path_at, d) : NULL;

    if (m->path && !path)
        return;
    struct wanted *w = add(p);
    *w = (struct wanted){
        .kind = m->source == MANIFEST_MODULE ? WANTED_MODULE : WANTED_BUILTIN,
        .name = own(m->name),
        .path = path,
        .source = own(m->path ? m->path : "built-in"),
        .sha256 = own(m->sha256),
        .max_concurrency =
            (uint64_t)(m->max_concurrency ? m->max_concurrency : s->instance_concurrency),
        .queue = (uint64_t)(m->queue ? m->queue : s->instance_queue),
        .at = m->path ? m->path_at : m->at,
    };
    if (m->source == MANIFEST_LUA) {
        make_lua(w, m->config);
    } else {
        w->plugin = own(m->plugin);
        w->config = own(m->config ? m->config : "{}");
    }
}

static bool has_name(const struct plan *p, const struct manifest *m, const char *name)
{
    for (size_t i = 0; i < m->provider_count; i++)
        if (!strcmp(m->providers[i].name, name))
            return true;
    for (size_t i = 0; i < p->count; i++)
        if (!strcmp(p->list[i].name, name))
            return true;
    return false;
}

/* Is the file named by an entry of the manifest, which then decides about it? */
static bool is_in_manifest(const struct manifest *m, const char *file)
{
    for (size_t i = 0; i < m->provider_count; i++)
        if (m->providers[i].path && !strcmp(m->providers[i].path, file))
            return true;
    return false;
}

static void from_file(struct plan *p, const struct settings *s, const char *dir, const char *file,
                      bool is_lua)
{
    struct wanted *w = add(p);
    char *path = NULL;

    must(asprintf(&path, "%s/%s", dir, file) >= 0);
    *w = (struct wanted){
        .kind = WANTED_MODULE,
        .name = str_dup((str){file, strlen(file) - (is_lua ? 4 : 3)}),
        .path = path,
        .source = own(file),
        .config = is_lua ? NULL : own("{}"),
        .max_concurrency = (uint64_t)s->instance_concurrency,
        .queue = (uint64_t)s->instance_queue,
    };
    w->at = (struct diag_at){.file = w->path};
    if (is_lua)
        make_lua(w, NULL);
}

static bool is_provider_name(str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool inner = c == '_' || c == '-';
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (inner && i)))
            return false;
    }
    return name.len > 0 && name.len <= 64;
}

static void consider(struct plan *p, const struct settings *s, const struct manifest *m,
                     const char *dir, const char *file, struct diag *d)
{
    bool is_lua = str_ends(str_of(file), S(".lua"));
    char path[4096];
    struct stat st;

    if (file[0] == '.' || !(is_lua || str_ends(str_of(file), S(".so"))) || is_in_manifest(m, file))
        return;
    snprintf(path, sizeof path, "%s/%s", dir, file);
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return;
    str name = {file, strlen(file) - (is_lua ? 4 : 3)};
    char *z = str_dup(name);
    must(z);
    struct diag_at at = {.file = path};
    if (!is_provider_name(name))
        diag_error(d, at, "plugin.name", "the file's name is no provider name ([a-z0-9_-])");
    else if (has_name(p, m, z))
        diag_warn(d, at, "plugin.shadowed",
                  "another provider is called %s; this file is not served", z);
    else
        from_file(p, s, dir, file, is_lua);
    free(z);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void scan(struct plan *p, const struct settings *s, const struct manifest *m,
                 const char *dir, struct diag *d)
{
    struct dirent **entries = NULL;
    int n = scandir(dir, &entries, NULL, by_name);

    if (n < 0 && errno != ENOENT)
        diag_warn(d, ((struct diag_at){.file = dir}), "plugin_dirs.read",
                  "cannot read the folder: %s", strerror(errno));
    for (int i = 0; i < n; i++) {
        consider(p, s, m, dir, entries[i]->d_name, d);
        free(entries[i]);
    }
    free(entries);
}

/* --- built-in ----------------------------------------------------------------------------------- */

static char *echo_config(const struct settings *s, const char *capabilities)
{
    struct buf b;
    str extra = str_trim(str_of(capabilities));

    buf_init(&b, BUF_MAX);
    buf_addf(&b, "{\"unbound\":\"%s\",\"capabilities\":[", s->unbound_provider);
    if (extra.len > 2)
        buf_add(&b, (str){extra.ptr + 1, extra.len - 2});
    buf_addz(&b, "]}");
    char *text = buf_take_z(&b);
    must(text);
    return text;
}

static void add_builtin(struct plan *p, const struct settings *s, const struct manifest *m,
                        const char *name, const char *plugin, char *config)
{
    if (has_name(p, m, name)) {
        free(config);
        return;
    }
    struct wanted *w = add(p);
    *w = (struct wanted){
        .kind = WANTED_BUILTIN,
        .name = own(name),
        .source = own("built-in"),
        .plugin = own(plugin),
        .config = config,
        .max_concurrency = (uint64_t)s->instance_concurrency,
        .queue = (uint64_t)s->instance_queue,
    };
}

struct plan *plan_make(const struct settings *s, const struct manifest *m, const char *capabilities,
                       struct diag *d)
{
    struct plan *p = calloc(1, sizeof *p);
    bool autoload = m->has_autoload >= 0 ? m->has_autoload : s->is_autoload;

    must(p);
    if (m->plugin_dirs.count || s->plugin_dirs.count)
        add_dirs(p, m->plugin_dirs.count ? &m->plugin_dirs : &s->plugin_dirs);
    else
        add_default_dirs(p, m);
    for (size_t i = 0; i < m->provider_count; i++)
        if (m->providers[i].is_enabled)
            from_manifest(p, s, &m->providers[i], d);
    for (size_t i = 0; autoload && i < p->dirs.count; i++)
        scan(p, s, m, p->dirs.items[i], d);
    add_builtin(p, s, m, "http", "dev.migd.http-binding", own("{}"));
    char *ws;
    must(asprintf(&ws, "{\"max_streams\":%lld}", (long long)s->max_streams_per_conn) >= 0);
    add_builtin(p, s, m, "ws", "dev.migd.ws-binding", ws);
    add_builtin(p, s, m, "admin", "dev.migd.admin", own("{}"));
    add_builtin(p, s, m, "pro", "dev.migd.pro", own("{}"));
    add_builtin(p, s, m, "echo", "dev.migd.echo", echo_config(s, capabilities));
    if (!d->errors)
        return p;
    plan_free(p);
    return NULL;
}
