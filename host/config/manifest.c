#include "config/manifest.h"
#include "base/check.h"

#include "config/manifest_table.h"
#include "config/source.h"

#include <stdlib.h>

/* The tables: mcp-mig-mapping.md 2.1 and plugin-abi.md 22 ------------------------------------- */

#define TOOL(name) offsetof(struct manifest_tool, name)
#define RESOURCE(name) offsetof(struct manifest_resource, name)
#define PROMPT(name) offsetof(struct manifest_prompt, name)
#define PROVIDER(name) offsetof(struct manifest_provider, name)
#define MANIFEST(name) offsetof(struct manifest, name)

#define MODES "unary|server_stream|client_stream|bidi_stream"
#define CAPABILITY                                                                                 \
    .is_required = true, .min = 1, .max = 200, .pattern = "^[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*$",  \
    .hint = "a capability id: up to 200 bytes, parts of A-Z a-z 0-9 _ - joined by dots",           \
    .meaning = "Id of the MIG capability that serves it."
#define MCP_NAME                                                                                   \
    .is_required = true, .min = 1, .max = 128, .pattern = "^[A-Za-z0-9_.-]+$",                     \
    .hint = "1 to 128 of A-Z a-z 0-9 _ . -", .meaning = "Name that MCP clients see; unique."
#define FREE_TEXT .type = FIELD_STRING, .max = 65536

static const struct field tool_fields[] = {
    {"mcp_name", "tool.mcp_name", FIELD_STRING, .offset = TOOL(mcp_name), .at_offset = TOOL(at),
     MCP_NAME},
    {"mig_capability", "tool.mig_capability", FIELD_STRING, .offset = TOOL(mig_capability),
     .at_offset = TOOL(capability_at), CAPABILITY},
    {"mode", "tool.mode", FIELD_WORD, .offset = TOOL(mode), .standard = "unary", .words = MODES,
     .meaning = "All but unary need policy.allow_streaming_tools."},
    {"timeout_ms", "tool.timeout_ms", FIELD_INT, .offset = TOOL(timeout_ms), .standard_int = 30000,
     .min = 1, .max = 3600000, .meaning = "Deadline of a call."},
    {"title", "tool.title", .offset = TOOL(title), FREE_TEXT},
    {"description", "tool.description", .offset = TOOL(description), FREE_TEXT,
     .meaning = "Default: the capability's."},
    {"policy_tags", "tool.policy_tags", FIELD_STRINGS, .is_from_02 = true,
     .offset = TOOL(policy_tags), .min = 1, .max = 64, .pattern = "^[a-z0-9_.-]+$",
     .hint = "1 to 64 of a-z 0-9 _ . -", .meaning = "Handed to the policy check and to audit."},
    {"billing_tier", "tool.billing_tier", FIELD_STRING, .is_from_02 = true,
     .offset = TOOL(billing_tier), .standard = "core", .min = 1, .max = 32,
     .pattern = "^[a-z0-9_-]+$", .hint = "1 to 32 of a-z 0-9 _ -"},
};

static const struct field resource_fields[] = {
    {"mcp_uri_pattern", "resource.pattern", FIELD_URI, .is_required = true,
     .offset = RESOURCE(mcp_uri_pattern), .at_offset = RESOURCE(at),
     .meaning = "Absolute URI; {name} stands for one path segment or a part of it; unique."},
    {"mig_capability", "resource.mig_capability", FIELD_STRING, .offset = RESOURCE(mig_capability),
     .at_offset = RESOURCE(capability_at), CAPABILITY},
    {"mode", "resource.mode", FIELD_WORD, .offset = RESOURCE(mode), .standard = "unary",
     .words = "unary"},
    {"name", "resource.name", .offset = RESOURCE(name), FREE_TEXT,
     .meaning = "Default: the last fixed path segment."},
    {"description", "resource.description", .offset = RESOURCE(description), FREE_TEXT},
    {"mime_type", "resource.mime_type", FIELD_STRING, .offset = RESOURCE(mime_type),
     .standard = "application/json", .min = 3, .max = 255,
     .pattern = "^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(;.*)?$", .hint = "type/subtype"},
};

static const struct field prompt_fields[] = {
    {"mcp_name", "prompt.mcp_name", FIELD_STRING, .offset = PROMPT(mcp_name),
     .at_offset = PROMPT(at), MCP_NAME},
    {"mig_capability", "prompt.mig_capability", FIELD_STRING, .offset = PROMPT(mig_capability),
     .at_offset = PROMPT(capability_at), CAPABILITY},
    {"mode", "prompt.mode", FIELD_WORD, .offset = PROMPT(mode), .standard = "unary",
     .words = "unary"},
    {"title", "prompt.title", .offset = PROMPT(title), FREE_TEXT},
    {"description", "prompt.description", .offset = PROMPT(description), FREE_TEXT},
};

static const struct field limits_fields[] = {
    {"max_concurrency", "provider.limits", FIELD_INT, .offset = PROVIDER(max_concurrency), .min = 1,
     .max = 10000, .meaning = "Default: instance.max_concurrency of the settings."},
    {"queue", "provider.limits", FIELD_INT, .offset = PROVIDER(queue), .min = 0, .max = 100000,
     .meaning = "Default: instance.queue of the settings."},
};

static const struct shape limits_shape = {
    .what = "limits",
    .type_id = "provider.limits",
    .fields = limits_fields,
    .count = countof(limits_fields),
    .is_strict = true,
    .unknown_id = "provider.unknown_key",
};

static const struct field provider_fields[] = {
    {"module", "provider.source", FIELD_STRING, .offset = PROVIDER(path), .min = 1, .max = 4096,
     .meaning = "File name of a shared object, searched in plugin_dirs."},
    {"lua", "provider.source", FIELD_STRING, .offset = PROVIDER(path), .min = 1, .max = 4096,
     .meaning = "File name of a script, searched in plugin_dirs."},
    {"plugin", "provider.plugin", FIELD_STRING, .offset = PROVIDER(plugin), .min = 1, .max = 128,
     .pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]*$", .hint = "an id such as org.example.hello",
     .meaning = "Id of a plugin in the module; without a module, of one that is built in."},
    {"config", "provider.config", FIELD_CONFIG, .offset = PROVIDER(config), .standard = "{}",
     .meaning = "Handed to the plugin; ${VAR} and ${VAR:default} in strings are replaced."},
    {"sha256", "provider.sha256", FIELD_STRING, .offset = PROVIDER(sha256), .min = 64, .max = 64,
     .pattern = "^[0-9A-Fa-f]+$", .hint = "64 hexadecimal digits",
     .meaning = "Only a file with this checksum is loaded."},
    {"isolation", "provider.isolation", FIELD_WORD, .offset = NOT_KEPT, .words = "inline",
     .hint = "isolation by process is not available in this version"},
    {"limits", "provider.limits", FIELD_SECTION, .shape = &limits_shape},
    {"required", "provider.required", FIELD_BOOL, .offset = PROVIDER(is_required)},
    {"enabled", "provider.enabled", FIELD_BOOL, .offset = PROVIDER(is_enabled), .standard_int = 1,
     .meaning = "false: not served, although it lies in a plugin folder."},
};

static const struct field policy_fields[] = {
    {"allow_streaming_tools", "manifest.policy.type", FIELD_BOOL,
     .offset = MANIFEST(allow_streaming_tools)},
    {"emit_event_notifications", "manifest.policy.type", FIELD_BOOL,
     .offset = MANIFEST(emit_event_notifications)},
    {"require_traceparent", "manifest.policy.type", FIELD_BOOL,
     .offset = MANIFEST(require_traceparent)},
    {"tenant_resolution", "manifest.policy.tenant_resolution", FIELD_WORD,
     .offset = MANIFEST(tenant_resolution), .standard = "auth_claim",
     .words = "auth_claim|header|static"},
};

static const struct field billing_fields[] = {
    {"meter", "billing.meter", FIELD_STRING, .offset = MANIFEST(billing_meter),
     .standard = "invocations_capability_tier", .min = 1, .max = 255, .hint = "1 to 255 bytes"},
    {"usage_scope", "billing.usage_scope", FIELD_WORD, .offset = MANIFEST(billing_usage_scope),
     .standard = "tenant", .words = "tenant|org|capability"},
};

static void finish_tool(struct reading *r, void *object, const struct yaml_node *map)
{
    const struct manifest_tool *t = object;
    const struct yaml_node *mode = yaml_get(map, S("mode"));

    if (mode && t->mode && strcmp(t->mode, "unary") != 0 && !r->allows_streaming)
        diag_error(r->d, yaml_at(mode, r->m->file), "tool.mode.streaming_disabled",
                   "the mode %s needs policy.allow_streaming_tools: true", t->mode);
}

/* "acme://documents/{id}" is called "documents". */
static void finish_resource(struct reading *r, void *object, const struct yaml_node *map)
{
    struct manifest_resource *res = object;
    str rest = str_of(res->mcp_uri_pattern), name = rest;

    (void)r, (void)map;
    if (res->name || !res->mcp_uri_pattern)
        return;
    while (rest.len) {
        str part = str_split(&rest, '/');
        if (part.len && !memchr(part.ptr, '{', part.len) && !str_ends(part, S(":")))
            name = part;
    }
    res->name = str_dup(name);
}

static void finish_provider(struct reading *r, void *object, const struct yaml_node *map)
{
    struct manifest_provider *p = object;
    const struct yaml_node *module = yaml_get(map, S("module")), *lua = yaml_get(map, S("lua")),
                           *plugin = yaml_get(map, S("plugin"));
    const struct yaml_node *source = module ? module : lua ? lua : plugin;

    for (char *c = p->sha256; c && *c; c++) // one spelling, so that others may compare
        *c = *c >= 'A' && *c <= 'F' ? (char)(*c | 0x20) : *c;
    if (!source || (lua && (module || plugin))) {
        diag_error(r->d, p->at, "provider.source",
                   "%s: name exactly one of module, lua, or a built-in plugin (plugin without "
                   "module)",
                   p->name);
        return;
    }
    p->source = module ? MANIFEST_MODULE : lua ? MANIFEST_LUA : MANIFEST_BUILTIN;
    p->path_at = yaml_at(source, r->m->file);
}

static const struct field provider_name = {
    "name",
    "provider.name",
    FIELD_STRING,
    .offset = PROVIDER(name),
    .min = 1,
    .max = 64,
    .pattern = "^[a-z0-9][a-z0-9_-]*$",
    .hint = "1 to 64 of a-z 0-9 _ -, beginning with a letter or digit",
};

static const struct shape tool_shape = {
    .what = "tool",
    .type_id = "tool.type",
    .fields = tool_fields,
    .count = countof(tool_fields),
    .size = sizeof(struct manifest_tool),
    .unknown_id = "manifest.unknown_key",
    .at_offset = TOOL(at),
    .name = &tool_fields[0],
    .duplicate_id = "tool.mcp_name.duplicate",
    .finish = finish_tool,
};

static const struct shape resource_shape = {
    .what = "resource",
    .type_id = "resource.type",
    .fields = resource_fields,
    .count = countof(resource_fields),
    .size = sizeof(struct manifest_resource),
    .unknown_id = "manifest.unknown_key",
    .at_offset = RESOURCE(at),
    .name = &resource_fields[0],
    .duplicate_id = "resource.pattern.duplicate",
    .finish = finish_resource,
};

static const struct shape prompt_shape = {
    .what = "prompt",
    .type_id = "prompt.type",
    .fields = prompt_fields,
    .count = countof(prompt_fields),
    .size = sizeof(struct manifest_prompt),
    .unknown_id = "manifest.unknown_key",
    .at_offset = PROMPT(at),
    .name = &prompt_fields[0],
    .duplicate_id = "prompt.mcp_name.duplicate",
};

static const struct shape provider_shape = {
    .what = "provider",
    .type_id = "provider.type",
    .fields = provider_fields,
    .count = countof(provider_fields),
    .size = sizeof(struct manifest_provider),
    .is_strict = true,
    .unknown_id = "provider.unknown_key",
    .at_offset = PROVIDER(at),
    .name = &provider_name,
    .finish = finish_provider,
    .schema_extra = ",\"oneOf\":[{\"required\":[\"module\"],\"not\":{\"required\":[\"lua\"]}},"
                    "{\"required\":[\"lua\"],\"not\":{\"anyOf\":[{\"required\":[\"module\"]},"
                    "{\"required\":[\"plugin\"]}]}},"
                    "{\"required\":[\"plugin\"],\"not\":{\"anyOf\":[{\"required\":[\"module\"]},"
                    "{\"required\":[\"lua\"]}]}}]",
};

static const struct field mappings_fields[] = {
    {"tools", "manifest.mappings.type", FIELD_LIST, .offset = MANIFEST(tools),
     .count_offset = MANIFEST(tool_count), .shape = &tool_shape},
    {"resources", "manifest.mappings.type", FIELD_LIST, .offset = MANIFEST(resources),
     .count_offset = MANIFEST(resource_count), .shape = &resource_shape},
    {"prompts", "manifest.mappings.type", FIELD_LIST, .offset = MANIFEST(prompts),
     .count_offset = MANIFEST(prompt_count), .shape = &prompt_shape},
};

static const struct shape mappings_shape = {
    .what = "mappings",
    .type_id = "manifest.mappings.type",
    .fields = mappings_fields,
    .count = countof(mappings_fields),
    .unknown_id = "manifest.unknown_key",
};

static const struct shape policy_shape = {
    .what = "policy",
    .type_id = "manifest.policy.type",
    .fields = policy_fields,
    .count = countof(policy_fields),
    .unknown_id = "manifest.unknown_key",
};

static const struct shape billing_shape = {
    .what = "billing",
    .type_id = "billing.type",
    .fields = billing_fields,
    .count = countof(billing_fields),
    .unknown_id = "manifest.unknown_key",
};

static const struct field manifest_fields[] = {
    {"version", "manifest.version", FIELD_VERSION, .offset = NOT_KEPT, .words = "0.1|0.2"},
    {"schema_version", "manifest.schema_version", FIELD_VERSION, .offset = NOT_KEPT,
     .words = "0.1|0.2", .meaning = "The higher of this and version counts."},
    {"default_binding", "manifest.default_binding", FIELD_WORD, .offset = MANIFEST(default_binding),
     .standard = "http", .words = "http|grpc|nats"},
    {"plugin_dirs", "manifest.plugin_dirs", FIELD_DIRS, .offset = MANIFEST(plugin_dirs), .min = 1,
     .max = 4096, .hint = "1 to 4096 bytes",
     .meaning = "Folders searched for modules and scripts, seen from the manifest's folder."},
    {"autoload", "manifest.autoload", FIELD_TRISTATE, .offset = MANIFEST(has_autoload),
     .meaning = "Serves what lies in a plugin folder without an entry here."},
    {"watch", "manifest.watch", FIELD_TRISTATE, .offset = MANIFEST(has_watch),
     .meaning = "Reloads by itself when a file changes."},
    {"providers", "provider.type", FIELD_NAMED, .offset = MANIFEST(providers),
     .count_offset = MANIFEST(provider_count), .shape = &provider_shape,
     .meaning = "One instance of a plugin or script per name."},
    {"policies", "policy.type", FIELD_NAMED, .offset = MANIFEST(policies),
     .count_offset = MANIFEST(policy_count), .shape = &capability_policy_shape,
     .meaning =
         "What callers of a capability owe and get, by its id; in place of what its provider "
         "says."},
    {"policy", "manifest.policy.type", FIELD_SECTION, .shape = &policy_shape},
    {"billing", "billing.type", FIELD_SECTION, .is_from_02 = true, .shape = &billing_shape},
    {"mappings", "manifest.mappings.type", FIELD_SECTION, .shape = &mappings_shape,
     .meaning = "What MCP clients see."},
    {"upstreams", "manifest.unsupported", FIELD_UNSUPPORTED, .offset = NOT_KEPT},
    {"events", "manifest.unsupported", FIELD_UNSUPPORTED, .offset = NOT_KEPT},
};

/* Without mappings a manifest must be about providers: it names some, or it says nothing else than
 * where they lie. */
static void finish_manifest(struct reading *r, void *object, const struct yaml_node *map)
{
    const struct manifest *m = object;
    const struct yaml_node *mappings = yaml_get(map, S("mappings"));
    bool has_lists = false;

    for (size_t i = 0; i < countof(mappings_fields); i++) {
        const struct yaml_node *list = yaml_get(mappings, str_of(mappings_fields[i].key));
        has_lists |= list && (list->count || list->type != YAML_LIST); // a wrong type is told apart
    }
    bool is_wrong = mappings && mappings->type != YAML_MAP && mappings->type != YAML_NULL;
    if (has_lists || is_wrong || yaml_get(map, S("providers")) || yaml_get(map, S("policies")))
        return;
    bool is_about_plugins = yaml_get(map, S("plugin_dirs")) || yaml_get(map, S("autoload")) ||
                            yaml_get(map, S("watch"));
    if (is_about_plugins && !mappings && !yaml_get(map, S("default_binding")) &&
        !yaml_get(map, S("policy")) && !yaml_get(map, S("billing")))
        return;
    diag_error(r->d, mappings ? yaml_key_at(mappings, m->file) : yaml_at(map, m->file),
               "manifest.mappings.empty",
               "no tool, resource or prompt is mapped, and no providers "
               "or policies are named");
}

const struct shape manifest_shape = {
    .what = "manifest",
    .type_id = "manifest.type",
    .fields = manifest_fields,
    .count = countof(manifest_fields),
    .size = sizeof(struct manifest),
    .unknown_id = "manifest.unknown_key",
    .finish = finish_manifest,
    .schema_extra =
        ",\"anyOf\":[{\"required\":[\"providers\"]},{\"required\":[\"policies\"]},"
        "{\"required\":[\"mappings\"],\"properties\":{\"mappings\":{\"type\":\"object\",\"anyOf\":["
        "{\"required\":[\"tools\"],\"properties\":{\"tools\":{\"type\":\"array\",\"minItems\":1}}},"
        "{\"required\":[\"resources\"],\"properties\":{\"resources\":{\"type\":\"array\","
        "\"minItems\":1}}},"
        "{\"required\":[\"prompts\"],\"properties\":{\"prompts\":{\"type\":\"array\","
        "\"minItems\":1}}}]}}},"
        "{\"anyOf\":[{\"required\":[\"plugin_dirs\"]},{\"required\":[\"autoload\"]},"
        "{\"required\":[\"watch\"]}],\"not\":{\"anyOf\":[{\"required\":[\"mappings\"]},"
        "{\"required\":[\"default_binding\"]},{\"required\":[\"policy\"]},"
        "{\"required\":[\"billing\"]}]}}]",
};

/* Loading ------------------------------------------------------------------------------------- */

static bool says_02(const struct yaml_node *root, str key)
{
    const struct yaml_node *n = yaml_get(root, key);

    return n && str_eq(n->text, S("0.2"));
}

/* What fields depend on wherever they stand in the file. */
static void look_ahead(struct reading *r, const struct yaml_node *root)
{
    const struct yaml_node *allow =
        yaml_get(yaml_get(root, S("policy")), S("allow_streaming_tools"));

    r->is_02 = says_02(root, S("version")) || says_02(root, S("schema_version"));
    /* A wrong type has its own finding; it is not told a second time at each tool. */
    r->allows_streaming = allow && (allow->boolean || allow->type != YAML_BOOL);
}

static struct manifest *new_manifest(const char *file)
{
    struct manifest *m = calloc(1, sizeof *m);

    must(m);
    m->file = file ? str_dup(str_of(file)) : NULL;
    shape_init(&manifest_shape, m);
    return m;
}

static void free_patterns(struct reading *r)
{
    for (size_t i = 0; i < r->pattern_count; i++)
        regfree(&r->patterns[i].compiled);
}

static void fill(struct manifest *m, const struct yaml_node *root, struct diag *d)
{
    struct reading r = {.m = m, .d = d};

    look_ahead(&r, root);
    shape_read(&r, &manifest_shape, root, m);
    m->version = str_dup(r.is_02 ? S("0.2") : S("0.1"));
    free_patterns(&r);
}

struct manifest *manifest_parse(str text, const char *file, struct diag *d)
{
    CLEANUP(manifest_freep) struct manifest *m = new_manifest(file);
    size_t before = d->errors;
    CLEANUP(yaml_freep) struct yaml_node *root = yaml_parse(text, m->file, d);

    if (root && root->type == YAML_MAP)
        fill(m, root, d);
    else if (root)
        diag_error(d, yaml_at(root, m->file), "manifest.type", "a manifest is a map, not %s",
                   yaml_type_name(root->type));
    return d->errors == before ? TAKE(m) : NULL;
}

struct manifest *manifest_load(const char *path, struct diag *d)
{
    size_t len = 0;

    if (!path) {
        struct manifest *m = new_manifest(NULL);
        m->version = str_dup(S("0.1"));
        return m;
    }
    char *text = source_read(path, "manifest.file", d, &len);
    struct manifest *m = text ? manifest_parse((str){text, len}, path, d) : NULL;
    free(text);
    return m;
}

void manifest_free(struct manifest *m)
{
    if (!m)
        return;
    shape_deinit(&manifest_shape, m);
    free(m->version);
    free(m->file);
    free(m);
}

void manifest_schema(struct buf *json)
{
    buf_addz(json, "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
                   "\"title\":\"migd adapter manifest, schema 0.1 and 0.2\",");
    shape_schema(&manifest_shape, json);
    buf_addc(json, '}');
}
