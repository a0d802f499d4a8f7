/* What the table can say about itself: values as JSON, the reference page, the schema. */
#include "config/settings_table.h"
#include "base/check.h"

static const bool is_list[] = {[SETTING_LIST] = true, [SETTING_PATHS] = true};

static void print_list(const struct str_list *list, struct buf *out)
{
    buf_addc(out, '[');
    for (size_t i = 0; i < list->count; i++) {
        if (i)
            buf_addc(out, ',');
        buf_add_json(out, str_of(list->items[i]));
    }
    buf_addc(out, ']');
}

void setting_print(const struct settings *s, const struct setting *k, struct buf *out)
{
    const void *at = setting_at(k, s);

    if (k->type == SETTING_BOOL)
        buf_addz(out, *(const bool *)at ? "true" : "false");
    else if (k->type == SETTING_INT)
        buf_addf(out, "%lld", (long long)*(const int64_t *)at);
    else if (k->type == SETTING_RATIO)
        buf_addf(out, "%.6g", (double)*(const int64_t *)at / RATIO_ONE);
    else if (k->type == SETTING_LIST || k->type == SETTING_PATHS)
        print_list(at, out);
    else if (k->type == SETTING_CERTS)
        setting_print_certs(at, out);
    else if (!*(char *const *)at)
        buf_addz(out, "null");
    else
        buf_add_json(out, str_of(k->type == SETTING_SECRET ? "***" : *(char *const *)at));
}

void settings_json(const struct settings *s, struct buf *out)
{
    for (size_t i = 0; i < settings_count; i++) {
        buf_addf(out, "%c\"%s\":", i ? ',' : '{', settings_table[i].key);
        setting_print(s, &settings_table[i], out);
    }
    buf_addc(out, '}');
}

void settings_need_restart(const struct settings *old, const struct settings *now, struct diag *d)
{
    struct buf a, b;

    buf_init(&a, 1 << 20);
    buf_init(&b, 1 << 20);
    for (const struct setting *k = settings_table; k < settings_table + settings_count; k++) {
        if (k->apply != SETTINGS_RESTART)
            continue;
        buf_clear(&a);
        buf_clear(&b);
        setting_print(old, k, &a);
        setting_print(now, k, &b);
        if (!str_eq(buf_str(&a), buf_str(&b)))
            diag_error(d, (struct diag_at){.file = settings_file(now)}, "setting.restart",
                       "%s: the change from %.*s to %.*s needs a restart", k->key,
                       STR_ARG(buf_str(&a)), STR_ARG(buf_str(&b)));
    }
    buf_deinit(&a);
    buf_deinit(&b);
}

/* docs/reference/settings.md ------------------------------------------------------------------ */

static const char *const type_names[] = {
    [SETTING_BOOL] = "boolean",        [SETTING_INT] = "integer",        [SETTING_TEXT] = "string",
    [SETTING_TOKEN] = "header name",   [SETTING_SECRET] = "secret",      [SETTING_WORD] = "word",
    [SETTING_ADDR] = "address",        [SETTING_PATH] = "path",          [SETTING_LIST] = "list",
    [SETTING_PATHS] = "list of paths", [SETTING_CERTS] = "list of maps", [SETTING_RATIO] = "number",
};

static void print_allowed(const struct setting *k, struct buf *out)
{
    if (k->type == SETTING_INT)
        buf_addf(out, "%lld to %lld", (long long)k->min, (long long)k->max);
    if (k->type == SETTING_RATIO)
        buf_addz(out, "0 to 1");
    for (str rest = str_of(k->words), word; rest.len;) {
        word = str_split(&rest, '|');
        buf_addf(out, "`%.*s`%s", STR_ARG(word), rest.len ? ", " : "");
    }
}

static void print_row(const struct setting *k, struct buf *out)
{
    char env[SETTING_NAME_MAX];

    setting_env_name(k, env);
    buf_addf(out, "| `%s` | %s | ", k->key, type_names[k->type]);
    if (k->standard)
        buf_addf(out, "`%s`", k->standard);
    buf_addz(out, " | ");
    print_allowed(k, out);
    buf_addf(out, " | `%s` | %s | %s |\n", env, k->apply == SETTINGS_RESTART ? "restart" : "reload",
             k->meaning);
}

void settings_reference(struct buf *markdown)
{
    buf_addz(
        markdown,
        "# Settings\n\n"
        "<!-- Generated from host/config/settings_table.c by tests/tools/gen_reference.c. -->\n\n"
        "`migd` reads, later wins: the defaults below; one YAML or JSON file (`--config`, else\n"
        "`MIGD_CONFIG`, else `./migd.yaml`, else `/etc/migd/migd.yaml`); the environment; the\n"
        "command line. `migd --check` reads everything, says all that is wrong and stops.\n\n"
        "* A key `log.level` is written `log: {level: debug}` or `log.level: debug`.\n"
        "* `${VAR}` and `${VAR:default}` in string values of the file come from the environment.\n"
        "  A value made so may be of any type: `loops: ${LOOPS:4}`.\n"
        "* Paths in the file are seen from its folder, others from the current folder.\n"
        "* Lists in the environment and on the command line are separated by commas.\n"
        "* Booleans in the environment: `1 t T TRUE true True 0 f F FALSE false False`; others\n"
        "  are ignored with a warning. In the file `true` and `false`; `yes`, `no`, `on` and\n"
        "  `off` are strings in YAML 1.2 and are refused.\n"
        "* An empty environment variable counts as unset.\n"
        "* *Change* says whether a reload is enough for a new value.\n\n"
        "| Key | Type | Default | Allowed | Environment | Change | Meaning |\n"
        "|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < settings_count; i++)
        print_row(&settings_table[i], markdown);
}

/* manifests/schema/settings.json -------------------------------------------------------------- */

static void schema_words(const struct setting *k, struct buf *out)
{
    buf_addz(out, "{\"enum\":[");
    for (str rest = str_of(k->words); rest.len;) {
        buf_add_json(out, str_split(&rest, '|'));
        if (rest.len)
            buf_addc(out, ',');
    }
    buf_addz(out, "]}");
}

static void schema_type(const struct setting *k, struct buf *out)
{
    static const char *const fixed[] = {
        [SETTING_BOOL] = "{\"type\":\"boolean\"}",
        [SETTING_RATIO] = "{\"type\":\"number\",\"minimum\":0,\"maximum\":1}",
        [SETTING_TEXT] = "{\"type\":\"string\",\"minLength\":1,\"maxLength\":4096}",
        [SETTING_TOKEN] = "{\"type\":\"string\",\"pattern\":\"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$\"}",
        [SETTING_SECRET] = "{\"type\":\"string\",\"maxLength\":4096}",
        [SETTING_ADDR] = "{\"type\":\"string\",\"pattern\":"
                         "\"^([A-Za-z0-9.-]*|\\\\[[0-9A-Fa-f:.]+\\\\]):[0-9]{1,5}$\"}",
        [SETTING_PATH] = "{\"type\":\"string\",\"maxLength\":4096}",
        [SETTING_LIST] = "{\"type\":\"array\",\"maxItems\":64,"
                         "\"items\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":4096}}",
        [SETTING_PATHS] = "{\"type\":\"array\",\"maxItems\":64,"
                          "\"items\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":4096}}",
        [SETTING_CERTS] =
            "{\"type\":\"array\",\"maxItems\":64,\"items\":{\"type\":\"object\","
            "\"additionalProperties\":false,\"required\":[\"names\",\"cert_file\",\"key_file\"],"
            "\"properties\":{\"names\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":64,"
            "\"items\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":255}},"
            "\"cert_file\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":4096},"
            "\"key_file\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":4096}}}}",
    };

    if (k->type == SETTING_WORD)
        schema_words(k, out);
    else if (k->type == SETTING_INT)
        buf_addf(out, "{\"type\":\"integer\",\"minimum\":%lld,\"maximum\":%lld}", (long long)k->min,
                 (long long)k->max);
    else
        buf_addz(out, fixed[k->type]);
}

static void schema_default(const struct setting *k, struct buf *out)
{
    if (!k->standard)
        return;
    buf_addz(out, ",\"default\":");
    if (k->type == SETTING_BOOL || k->type == SETTING_INT || k->type == SETTING_RATIO) {
        buf_addz(out, k->standard);
        return;
    }
    buf_addz(out, is_list[k->type] ? "[" : "");
    buf_add_json(out, str_of(k->standard)); // no default list has more than one item
    buf_addz(out, is_list[k->type] ? "]" : "");
}

static void schema_definition(const struct setting *k, struct buf *out)
{
    buf_addf(out, "\"%s\":{\"description\":", k->key);
    buf_add_json(out, str_of(k->meaning));
    schema_default(k, out);
    buf_addz(out, ",\"anyOf\":[");
    schema_type(k, out);
    buf_addz(out, ",{\"$ref\":\"#/$defs/variable\"}]}");
}

static str group_of(const struct setting *k)
{
    const char *dot = strchr(k->key, '.');

    return (str){k->key, dot ? (size_t)(dot - k->key) : 0};
}

static void schema_group(str group, struct buf *out)
{
    buf_addf(out,
             ",\"%.*s\":{\"type\":[\"object\",\"null\"],\"additionalProperties\":false,"
             "\"properties\":{",
             STR_ARG(group));
    bool is_first = true;
    for (const struct setting *k = settings_table; k < settings_table + settings_count; k++) {
        if (!str_eq(group_of(k), group))
            continue;
        buf_addf(out, "%s\"%s\":{\"$ref\":\"#/$defs/%s\"}", is_first ? "" : ",",
                 k->key + group.len + 1, k->key);
        is_first = false;
    }
    buf_addz(out, "}}");
}

static bool is_first_of_group(const struct setting *k)
{
    for (const struct setting *p = settings_table; p < k; p++)
        if (str_eq(group_of(p), group_of(k)))
            return false;
    return group_of(k).len > 0;
}

void settings_schema(struct buf *json)
{
    const struct setting *end = settings_table + settings_count;

    buf_addz(json, "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
                   "\"title\":\"migd settings\",\"type\":\"object\","
                   "\"additionalProperties\":false,\"properties\":{");
    for (const struct setting *k = settings_table; k < end; k++)
        buf_addf(json, "%s\"%s\":{\"$ref\":\"#/$defs/%s\"}", k == settings_table ? "" : ",", k->key,
                 k->key);
    for (const struct setting *k = settings_table; k < end; k++)
        if (is_first_of_group(k))
            schema_group(group_of(k), json);
    buf_addz(json, "},\"$defs\":{\"variable\":{\"type\":\"string\",\"pattern\":"
                   "\"\\\\$\\\\{[A-Za-z_][A-Za-z0-9_]*(:[^}]*)?\\\\}\"}");
    for (const struct setting *k = settings_table; k < end; k++) {
        buf_addc(json, ',');
        schema_definition(k, json);
    }
    buf_addz(json, "}}");
}
