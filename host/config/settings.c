#include "config/settings.h"
#include "base/check.h"
#include "base/yaml.h"
#include "base/yaml_scalar.h"

#include "config/settings_table.h"
#include "config/source.h"

#include <stdlib.h>
#include <unistd.h>

/* What settings_load() returns: the public struct and what only we need. */
struct loaded {
    struct settings s;
    char *file;
};

struct loading {
    struct settings *s;
    const char *file;
    const char *const *environ;
    struct diag *d;
    struct setting_origin origins[SETTINGS_MAX]; // of the value in force
    char names[SETTINGS_MAX][SETTING_NAME_MAX];  // of environment variables
    bool is_in_file[SETTINGS_MAX];
};

/* Variables of ours that are no settings. */
/* Ours, but no settings: of migctl, of the tests, and what daemon.c tells its child. */
static const char *const other_variables[] = {"MIGD_CONFIG", "MIGD_URL",   "MIGD_TENANT",
                                              "MIGD_DAEMON", "MIGD_BUILD", "MIGD_FAIL_ALLOC"};
/* Wishes for safety that this version cannot grant: to ignore them would be a lie. */
static const char *const safety_variables[] = {"MIGD_TENANT_MODE", "MIGD_METRICS_AUTH"};
static const char *const nothing[] = {NULL};

static size_t index_of(const struct setting *k)
{
    return (size_t)(k - settings_table);
}

static void set(struct loading *l, const struct setting *k, str text, struct setting_origin from)
{
    if (setting_set(l->s, k, text, &from, l->d))
        l->origins[index_of(k)] = from;
}

static void set_defaults(struct loading *l)
{
    for (const struct setting *k = settings_table; k < settings_table + settings_count; k++) {
        setting_env_name(k, l->names[index_of(k)]);
        if (k->standard)
            set(l, k, str_of(k->standard), (struct setting_origin){.name = k->key});
    }
}

/* The file ------------------------------------------------------------------------------------ */

static enum yaml_type yaml_type_of(const struct setting *k)
{
    switch (k->type) {
    case SETTING_BOOL: return YAML_BOOL;
    case SETTING_INT: return YAML_INT;
    case SETTING_RATIO: return YAML_FLOAT;
    case SETTING_LIST:
    case SETTING_CERTS:
    case SETTING_PATHS: return YAML_LIST;
    default: return YAML_STRING;
    }
}

static void set_list_node(struct loading *l, const struct setting *k, const struct yaml_node *n,
                          const struct setting_origin *from)
{
    str items[SETTING_ITEMS_MAX + 1];
    size_t ends[SETTING_ITEMS_MAX + 1], count = 0;
    CLEANUP(buf_deinit) struct buf texts;

    buf_init(&texts, SOURCE_VALUE_MAX * 4);
    for (n = n->first; n && count < countof(items); n = n->next) {
        struct diag_at at = yaml_at(n, l->file);
        if (n->type != YAML_STRING) {
            diag_error(l->d, at, "setting.type", "%s: an item must be a string, not %s", k->key,
                       yaml_type_name(n->type));
            return;
        }
        source_expand(n->text, l->environ, at, l->d, &texts);
        ends[count++] = texts.len;
    }
    if (texts.has_failed) {
        diag_error(l->d, from->at, "setting.value", "%s: is too long", k->key);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        size_t start = i ? ends[i - 1] : 0;
        items[i] = (str){texts.ptr + start, ends[i] - start};
    }
    if (setting_set_items(l->s, k, items, count, from, l->d))
        l->origins[index_of(k)] = *from;
}

static const char *hint_for(const struct setting *k, const struct yaml_node *n)
{
    if (n->type == YAML_NULL)
        return "; leave the key out for the default";
    if (k->type == SETTING_BOOL && n->type == YAML_STRING)
        return "; write true or false (yes, no, on and off are strings in YAML 1.2)";
    return yaml_type_of(k) == YAML_STRING ? "; put it in quotes" : "";
}

/* Strings with ${VAR} are typed after the replacement, others are what YAML says. */
static void set_node(struct loading *l, const struct setting *k, const struct yaml_node *n)
{
    struct setting_origin from = {.name = k->key, .at = yaml_at(n, l->file), .beside = l->file};
    CLEANUP(buf_deinit) struct buf text;

    buf_init(&text, SOURCE_VALUE_MAX);
    size_t replaced =
        n->type == YAML_STRING ? source_expand(n->text, l->environ, from.at, l->d, &text) : 0;
    if (text.has_failed)
        diag_error(l->d, from.at, "setting.value", "%s: is too long", k->key);
    else if (replaced)
        set(l, k, str_trim(buf_str(&text)), from);
    else if (n->type != yaml_type_of(k) && !(k->type == SETTING_RATIO && n->type == YAML_INT))
        diag_error(l->d, from.at, "setting.type", "%s: must be %s, not %s%s", k->key,
                   yaml_type_name(yaml_type_of(k)), yaml_type_name(n->type), hint_for(k, n));
    else if (k->type == SETTING_CERTS) {
        if (setting_set_certs(l->s, k, n, l->environ, &from, l->d))
            l->origins[index_of(k)] = from;
    } else if (n->type == YAML_LIST)
        set_list_node(l, k, n, &from);
    else if (n->type == YAML_BOOL)
        set(l, k, n->boolean ? S("true") : S("false"), from);
    else if (n->type == YAML_INT) {
        buf_addf(&text, "%lld", (long long)n->integer);
        set(l, k, buf_str(&text), from);
    } else if (n->type == YAML_FLOAT) {
        buf_addf(&text, "%.6f", n->number);
        set(l, k, buf_str(&text), from);
    } else
        set(l, k, n->text, from);
}

static bool is_group(str name)
{
    for (size_t i = 0; i < settings_count; i++) {
        str key = str_of(settings_table[i].key);
        if (str_starts(key, name) && key.len > name.len && key.ptr[name.len] == '.')
            return true;
    }
    return false;
}

static void report_unknown(struct loading *l, struct diag_at at, str key)
{
    const char *keys[SETTINGS_MAX + 1] = {NULL};

    for (size_t i = 0; i < settings_count; i++)
        keys[i] = settings_table[i].key;
    diag_error(l->d, at, "setting.unknown", "unknown setting \"%.*s\"%s", STR_ARG(yaml_shown(key)),
               source_suggest(key, keys).text);
}

/* prefix: "" or "log." Groups do not nest, so neither does the recursion. */
static void take_map(struct loading *l, const struct yaml_node *map, str prefix)
{
    CLEANUP(buf_deinit) struct buf key;

    buf_init(&key, SOURCE_BYTES_MAX * 2);
    for (const struct yaml_node *n = map->first; n; n = n->next) {
        buf_clear(&key);
        buf_add(&key, prefix);
        buf_add(&key, n->key);
        const struct setting *k = setting_find(buf_str(&key));
        if (k && l->is_in_file[index_of(k)]) {
            diag_error(l->d, yaml_key_at(n, l->file), "setting.twice", "%s: is here twice", k->key);
        } else if (k) {
            l->is_in_file[index_of(k)] = true;
            set_node(l, k, n);
        } else if (!is_group(buf_str(&key))) {
            report_unknown(l, yaml_key_at(n, l->file), buf_str(&key));
        } else if (n->type == YAML_MAP) {
            buf_addc(&key, '.');
            take_map(l, n, buf_str(&key));
        } else if (n->type != YAML_NULL) {
            diag_error(l->d, yaml_at(n, l->file), "setting.type", "%.*s: must be a map, not %s",
                       STR_ARG(yaml_shown(buf_str(&key))), yaml_type_name(n->type));
        }
    }
}

static char *find_file(const struct settings_source *src)
{
    static const char *const usual[] = {"./migd.yaml", "/etc/migd/migd.yaml"};
    const char *asked = src->path;

    if (!asked && src->environ)
        asked = source_env(src->environ, S("MIGD_CONFIG"));
    if (asked && *asked)
        return str_dup(str_of(asked));
    for (size_t i = 0; i < countof(usual); i++)
        if (access(usual[i], F_OK) == 0)
            return str_dup(str_of(usual[i]));
    return NULL;
}

static void take_file(struct loading *l)
{
    size_t len = 0;
    char *text = source_read(l->file, "setting.file", l->d, &len);
    CLEANUP(yaml_freep)
    struct yaml_node *root = text ? yaml_parse((str){text, len}, l->file, l->d) : NULL;

    free(text);
    if (root && root->type == YAML_MAP)
        take_map(l, root, S(""));
    else if (root)
        diag_error(l->d, yaml_at(root, l->file), "setting.type",
                   "the file must be a map of settings, not %s", yaml_type_name(root->type));
}

/* Environment and command line ---------------------------------------------------------------- */

static void report_unknown_variable(struct loading *l, str name)
{
    const char *names[SETTINGS_MAX + 1] = {NULL};

    for (size_t i = 0; i < countof(other_variables); i++)
        if (str_eq(name, str_of(other_variables[i])))
            return;
    for (size_t i = 0; i < countof(safety_variables); i++)
        if (str_eq(name, str_of(safety_variables[i]))) {
            diag_error(l->d, (struct diag_at){0}, "setting.unsupported",
                       "%s: this version does not serve it yet; unset it to start without",
                       safety_variables[i]);
            return;
        }
    for (size_t i = 0; i < settings_count; i++)
        names[i] = l->names[i];
    diag_warn(l->d, (struct diag_at){0}, "setting.env_unknown", "%.*s: no such setting; ignored%s",
              STR_ARG(yaml_shown(name)), source_suggest(name, names).text);
}

/* A boolean that is none does not count (mig-core.md 17): the file or the default does. */
static bool is_no_boolean(struct loading *l, const struct setting *k, str value)
{
    bool parsed;

    if (k->type != SETTING_BOOL || setting_parse_bool(value, &parsed))
        return false;
    diag_warn(l->d, (struct diag_at){0}, "setting.env_boolean",
              "%s: \"%.*s\" is no boolean (true, false, 1, 0, t, f); ignored",
              l->names[index_of(k)], STR_ARG(yaml_shown(value)));
    return true;
}

static void take_variable(struct loading *l, str name, str value)
{
    for (const struct setting *k = settings_table; k < settings_table + settings_count; k++) {
        if (!str_eq(name, str_of(l->names[index_of(k)])))
            continue;
        if (value.len && !is_no_boolean(l, k, value))
            set(l, k, value,
                (struct setting_origin){.name = l->names[index_of(k)], .is_lenient = true});
        return;
    }
    report_unknown_variable(l, name);
}

static void take_environment(struct loading *l)
{
    for (const char *const *e = l->environ; *e; e++) {
        str value = str_of(*e);
        str name = str_split(&value, '=');
        if (str_starts(name, S("MIGD_")))
            take_variable(l, name, str_trim(value));
    }
}

static void take_flags(struct loading *l, const char *const *flags)
{
    for (; flags && *flags; flags++) {
        bool has_value = strchr(*flags, '=');
        str value = str_of(*flags);
        str key = str_trim(str_split(&value, '='));
        const struct setting *k = setting_find(key);
        if (!k)
            report_unknown(l, (struct diag_at){0}, key);
        else if (!has_value)
            diag_error(l->d, (struct diag_at){0}, "setting.value", "%s: write %s=VALUE", k->key,
                       k->key);
        else
            set(l, k, str_trim(value), (struct setting_origin){.name = k->key, .is_lenient = true});
    }
}

/* --------------------------------------------------------------------------------------------- */

struct settings *settings_load(const struct settings_source *src, struct diag *d)
{
    struct loaded *ret = calloc(1, sizeof *ret);
    struct loading *l = calloc(1, sizeof *l);
    size_t before = d->errors;

    must(ret && l);
    ret->file = find_file(src);
    l->s = &ret->s;
    l->file = ret->file;
    l->environ = src->environ ? src->environ : nothing;
    l->d = d;
    set_defaults(l);
    if (l->file)
        take_file(l);
    take_environment(l);
    take_flags(l, src->flags);
    settings_check(l->s, l->origins, d);
    free(l);
    if (d->errors == before)
        return &ret->s;
    settings_free(&ret->s);
    return NULL;
}

void settings_free(struct settings *s)
{
    if (!s)
        return;
    struct loaded *l = container_of(s, struct loaded, s);
    for (size_t i = 0; i < settings_count; i++)
        setting_clear(s, &settings_table[i]);
    free(l->file);
    free(l);
}

const char *settings_file(const struct settings *s)
{
    return container_of((struct settings *)(uintptr_t)s, struct loaded, s)->file;
}
