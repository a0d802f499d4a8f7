/* validate: settings and manifest files through the daemon's own readers. */
#include "base/yaml.h"
#include "config/manifest.h"
#include "config/settings.h"
#include "ctl.h"

#include <stdlib.h>

extern char **environ;

/* A file with a key that only manifests have is a manifest. A file that cannot be parsed is read as
 * settings, whose reader tells the same. */
static bool is_manifest(const char *path)
{
    static const char *const keys[] = {"version",   "schema_version", "mappings",
                                       "providers", "upstreams",      "default_binding"};
    CLEANUP(yaml_freep) struct yaml_node *root = NULL;
    CLEANUP(buf_deinit) struct buf text;
    FILE *f = fopen(path, "re");
    struct diag ignored;
    size_t n = 1;

    buf_init(&text, 1 << 20);
    while (f && n) {
        char *at = buf_reserve(&text, 65536);
        n = at ? fread(at, 1, 65536, f) : 0;
        text.len += n;
    }
    if (f)
        fclose(f);
    diag_init(&ignored);
    root = yaml_parse(buf_str(&text), path, &ignored);
    diag_deinit(&ignored);
    for (size_t i = 0; root && i < countof(keys); i++)
        if (yaml_get(root, str_of(keys[i])))
            return true;
    return false;
}

/* The environment for ${VAR}, without the variables that are settings themselves: only the file is
 * asked about. malloc'ed list; the strings stay where they are. */
static const char **plain_environment(void)
{
    size_t n = 0, kept = 0;
    const char **list;

    while (environ[n])
        n++;
    list = calloc(n + 1, sizeof *list);
    must(list);
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], "MIGD_", 5) != 0)
            list[kept++] = environ[i];
    return list;
}

static void check_settings(const char *path, struct diag *d)
{
    const char **list = plain_environment();

    settings_free(settings_load(&(struct settings_source){.path = path, .environ = list}, d));
    free(list);
}

static bool validate(const struct ctl *c, const char *path, struct buf *json)
{
    bool has_mappings = is_manifest(path), is_good;
    struct diag d;

    diag_init(&d);
    if (has_mappings)
        manifest_free(manifest_load(path, &d));
    else
        check_settings(path, &d);
    is_good = d.errors == 0;
    if (c->is_json) {
        buf_addf(json, "%s{\"file\":", json->len ? "," : "");
        buf_add_json(json, str_of(path));
        buf_addf(json, ",\"kind\":\"%s\",\"valid\":%s,\"findings\":",
                 has_mappings ? "manifest" : "settings", is_good ? "true" : "false");
        diag_json(&d, json);
        buf_addc(json, '}');
    } else {
        print_findings(&d, stderr);
        if (is_good)
            printf("ok  %s  %s\n", path, has_mappings ? "manifest" : "settings");
    }
    diag_deinit(&d);
    return is_good;
}

int ctl_validate(struct ctl *c)
{
    CLEANUP(buf_deinit) struct buf json;
    size_t bad = 0;

    buf_init(&json, BUF_MAX);
    for (size_t i = 0; i < c->word_count; i++)
        bad += !validate(c, c->words[i], &json);
    if (c->is_json)
        printf("[%.*s]\n", (int)json.len, json.len ? json.ptr : "");
    return bad ? CTL_USAGE : CTL_OK;
}
