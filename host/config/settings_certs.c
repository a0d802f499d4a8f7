/* tls.sni: a list of {names, cert_file, key_file}. In the file a YAML list of maps, elsewhere the same as
 * one text. */
#include "base/check.h"
#include "base/yaml.h"
#include "base/yaml_scalar.h"
#include "config/settings_table.h"
#include "config/source.h"

#include <stdlib.h>

struct reading {
    const struct setting *k;
    const struct setting_origin *from;
    const char *const *environ;
    struct diag *d;
};

/* malloc'ed, ${VAR} replaced; NULL with a finding. */
static char *read_text(const struct reading *r, const struct yaml_node *n, const char *what)
{
    struct diag_at at = yaml_at(n, r->from->at.file);
    struct buf text;

    if (n->type != YAML_STRING) {
        diag_error(r->d, at, "setting.type", "%s: %s must be a string, not %s", r->from->name, what,
                   yaml_type_name(n->type));
        return NULL;
    }
    buf_init(&text, SOURCE_VALUE_MAX);
    source_expand(n->text, r->environ, at, r->d, &text);
    char *z = text.len && text.len <= SETTING_TEXT_MAX && str_is_utf8(buf_str(&text))
                  ? buf_take_z(&text)
                  : NULL;
    if (!z)
        diag_error(r->d, at, "setting.value", "%s: %s must be a text of 1 to %d bytes",
                   r->from->name, what, SETTING_TEXT_MAX);
    buf_deinit(&text);
    return z;
}

static char *read_path(const struct reading *r, const struct yaml_node *n, const char *what)
{
    CLEANUP(str_freep) char *path = read_text(r, n, what);

    return path ? source_beside(r->from->beside, str_of(path)) : NULL;
}

/* A name of DNS, and perhaps "*." before it. */
static bool is_server_name(str name)
{
    if (str_starts(name, S("*.")))
        name = str_cut(name, 2);
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i], lower = (char)(c | 0x20);
        bool is_edge = i == 0 || i == name.len - 1 || name.ptr[i - 1] == '.';
        bool is_word = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9');
        if (!is_word && (is_edge || (c != '-' && c != '.' && c != '_')))
            return false;
    }
    return name.len && name.len < 254;
}

static bool read_names(const struct reading *r, const struct yaml_node *n, struct str_list *ret)
{
    bool ok = n->type == YAML_LIST && n->count && n->count <= SETTING_ITEMS_MAX;

    if (!ok)
        diag_error(r->d, yaml_at(n, r->from->at.file), "setting.type",
                   "%s: names must be a list of 1 to %d names", r->from->name, SETTING_ITEMS_MAX);
    ret->items = calloc(ok ? n->count + 1 : 1, sizeof(char *));
    must(ret->items);
    for (n = ok ? n->first : NULL; n; n = n->next) {
        char *name = read_text(r, n, "a name");
        if (name && !is_server_name(str_of(name)))
            diag_error(r->d, yaml_at(n, r->from->at.file), "setting.value",
                       "%s: \"%.*s\" is no server name; write host.example.org or *.example.org",
                       r->from->name, STR_ARG(yaml_shown(str_of(name))));
        if (name)
            ret->items[ret->count++] = name;
    }
    return ok;
}

static void read_pair(const struct reading *r, const struct yaml_node *map, struct cert_pair *ret)
{
    const struct yaml_node *names = yaml_get(map, S("names")),
                           *cert = yaml_get(map, S("cert_file")),
                           *key = yaml_get(map, S("key_file"));

    if (map->type != YAML_MAP || !names || !cert || !key || map->count != 3) {
        diag_error(r->d, yaml_at(map, r->from->at.file), "setting.value",
                   "%s: each item must be a map of names, cert_file and key_file", r->from->name);
        return;
    }
    read_names(r, names, &ret->names);
    ret->cert_file = read_path(r, cert, "cert_file");
    ret->key_file = read_path(r, key, "key_file");
}

bool setting_set_certs(struct settings *s, const struct setting *k, const struct yaml_node *list,
                       const char *const *environ, const struct setting_origin *from,
                       struct diag *d)
{
    const struct reading r = {k, from, environ, d};
    struct cert_list certs = {0};
    size_t before = d->errors;

    if (list->type != YAML_LIST || list->count > SETTING_ITEMS_MAX) {
        diag_error(d, from->at, "setting.type", "%s: must be a list of at most %d items, not %s",
                   from->name, SETTING_ITEMS_MAX, yaml_type_name(list->type));
        return false;
    }
    certs.items = calloc(list->count + 1, sizeof *certs.items);
    must(certs.items);
    for (const struct yaml_node *n = list->first; n; n = n->next)
        read_pair(&r, n, &certs.items[certs.count++]);
    if (d->errors != before) {
        setting_free_certs(&certs);
        return false;
    }
    setting_clear(s, k);
    *(struct cert_list *)setting_at(k, s) = certs;
    return true;
}

bool setting_set_certs_text(struct settings *s, const struct setting *k, str text,
                            const struct setting_origin *from, struct diag *d)
{
    static const char *const nothing[] = {NULL};
    struct diag own;

    diag_init(&own);
    CLEANUP(yaml_freep) struct yaml_node *list = yaml_parse(text, from->name, &own);
    diag_deinit(&own);
    if (list && list->type == YAML_LIST)
        return setting_set_certs(s, k, list, nothing, from, d);
    diag_error(d, from->at, "setting.value",
               "%s: write [{names: [host.example.org], cert_file: a.pem, key_file: b.pem}]",
               from->name);
    return false;
}

void setting_free_certs(struct cert_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        struct cert_pair *p = &list->items[i];
        for (size_t n = 0; n < p->names.count; n++)
            free(p->names.items[n]);
        free(p->names.items);
        free(p->cert_file);
        free(p->key_file);
    }
    free(list->items);
    *list = (struct cert_list){0};
}

void setting_print_certs(const struct cert_list *list, struct buf *out)
{
    buf_addc(out, '[');
    for (size_t i = 0; i < list->count; i++) {
        const struct cert_pair *p = &list->items[i];
        buf_addz(out, i ? ",{\"names\":[" : "{\"names\":[");
        for (size_t n = 0; n < p->names.count; n++) {
            buf_addz(out, n ? "," : "");
            buf_add_json(out, str_of(p->names.items[n]));
        }
        buf_addz(out, "],\"cert_file\":");
        buf_add_json(out, str_of(p->cert_file));
        buf_addz(out, ",\"key_file\":");
        buf_add_json(out, str_of(p->key_file));
        buf_addc(out, '}');
    }
    buf_addc(out, ']');
}
