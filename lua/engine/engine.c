/* engine.c: the plugin dev.migd.lua. One instance is one script. */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

static const char config_schema[] =
    "{\"type\":\"object\",\"required\":[\"script\"],\"additionalProperties\":false,\"properties\":{"
    "\"script\":{\"type\":\"string\",\"minLength\":1},"
    "\"name\":{\"type\":\"string\"},"
    "\"config\":{\"type\":\"object\"},"
    "\"limits\":{\"type\":\"object\",\"properties\":{"
    "\"cpu_ms\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":3600000},"
    "\"memory_kb\":{\"type\":\"integer\",\"minimum\":256,\"maximum\":4194304}}}}}";

void engine_log(struct engine *e, uint32_t level, const char *msg, const char *fields, size_t len)
{
    e->host->log(e->host, level, mig_s(msg), (mig_str){fields, len});
}

struct state *engine_here(struct engine *e)
{
    if (!e->loop || e->state_count == 1)
        return e->states[0];
    uint32_t i = e->loop->index(e->host);
    return i < e->state_count ? e->states[i] : NULL;
}

static uint32_t limit_of(yyjson_val *limits, const char *key, uint32_t fallback, uint32_t min,
                         uint32_t max)
{
    yyjson_val *v = yyjson_obj_get(limits, key);

    if (!yyjson_is_uint(v))
        return fallback;
    uint64_t n = yyjson_get_uint(v);
    return n < min ? min : n > max ? max : (uint32_t)n;
}

/* Returns the script's path, to be freed, or NULL. */
static char *read_config(struct engine *e, mig_str config)
{
    yyjson_doc *doc = yyjson_read(config.ptr, config.len, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    const char *script = yyjson_get_str(yyjson_obj_get(root, "script"));
    const char *name = yyjson_get_str(yyjson_obj_get(root, "name"));
    yyjson_val *own = yyjson_obj_get(root, "config");
    yyjson_val *limits = yyjson_obj_get(root, "limits");
    char *path = script ? strdup(script) : NULL;

    e->name = strdup(name ? name : script ? script : "lua");
    e->config = yyjson_is_obj(own) ? yyjson_val_write(own, 0, NULL) : strdup("{}");
    e->cpu_ms = limit_of(limits, "cpu_ms", CPU_MS_DEFAULT, 1, 3600000);
    e->memory_bytes = (size_t)1024 * limit_of(limits, "memory_kb", MEMORY_KB_DEFAULT, 256, 4194304);
    yyjson_doc_free(doc);
    if (!path)
        engine_log(e, MIG_LOG_ERROR, "the configuration names no script", NULL, 0);
    return path;
}

static mig_status load_states(struct engine *e)
{
    uint32_t n = e->loop ? e->loop->count(e->host) : 1;

    e->states = calloc(n, sizeof *e->states);
    if (!e->states)
        return MIG_E_NOMEM;
    for (; e->state_count < n; e->state_count++) {
        struct state *st = state_new(e, e->state_count);
        if (!st)
            return MIG_E_NOMEM;
        e->states[e->state_count] = st;
        if (load_state(st) != MIG_OK) {
            e->state_count++;
            return MIG_INVALID_REQUEST;
        }
    }
    return MIG_OK;
}

/* A budget of a capability can only be smaller than what the operator gives the script. */
static void warn_of_large_budgets(struct engine *e)
{
    for (uint32_t i = 0; i < e->cap_count; i++) {
        char text[256];
        if (e->caps[i].cpu_ms <= e->cpu_ms && e->caps[i].memory_kb <= e->memory_bytes / 1024)
            continue;
        snprintf(text, sizeof text,
                 "%.100s asks for a larger budget than the script's limits; the limits win",
                 e->caps[i].id);
        engine_log(e, MIG_LOG_WARN, text, NULL, 0);
    }
}

static void destroy(void *self)
{
    struct engine *e = self;

    for (uint32_t i = 0; i < e->state_count; i++)
        state_free(e->states[i]);
    free(e->states);
    capability_free(e);
    for (uint32_t i = 0; i < e->source_count; i++) {
        free(e->sources[i].path);
        free(e->sources[i].shown);
        free(e->sources[i].text);
    }
    free(e->sources);
    free(e->name), free(e->dir), free(e->config);
    free(e);
}

static mig_status create(const mig_host *host, mig_str config, void **ret_self)
{
    struct engine *e = calloc(1, sizeof *e);

    if (!e)
        return MIG_E_NOMEM;
    e->host = host;
    e->loop = host->get_extension(host, MIG_EXT_LOOP);
    e->task = host->get_extension(host, MIG_EXT_TASK);
    e->kv = host->get_extension(host, MIG_EXT_KV);
    e->invoke = host->get_extension(host, MIG_EXT_INVOKE);
    e->stream = host->get_extension(host, MIG_EXT_STREAM);
    char *path = read_config(e, config);
    mig_status s = path && e->name && e->config ? load_script(e, path) : MIG_INVALID_REQUEST;
    free(path);
    if (s == MIG_OK)
        s = load_states(e);
    if (s != MIG_OK) {
        destroy(e);
        return s;
    }
    warn_of_large_budgets(e);
    *ret_self = e;
    return MIG_OK;
}

static mig_status describe(void *self, const mig_registrar *reg)
{
    return capability_describe(self, reg);
}

static mig_str source_file(void *self, uint32_t index)
{
    struct engine *e = self;

    return mig_s(index < e->source_count ? e->sources[index].path : NULL);
}

static const void *get_extension(void *self, const char *id)
{
    static const mig_ext_sources sources = {(uint32_t)sizeof sources, 0, source_file};

    (void)self;
    return strcmp(id, MIG_EXT_SOURCES) == 0 ? &sources : NULL;
}

static const mig_plugin lua = {
    .struct_size = (uint32_t)sizeof lua,
    .id = "dev.migd.lua",
    .version = "0.1.0",
    .summary = "Serves capabilities written in Lua.",
    .config_schema = config_schema,
    .create = create,
    .describe = describe,
    .destroy = destroy,
    .get_extension = get_extension,
};
MIG_PLUGIN_ENTRY(lua, &lua);
