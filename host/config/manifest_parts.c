/* Reading, freeing and describing maps by their tables (manifest_table.h). */
#include "config/manifest_table.h"
#include "base/check.h"
#include "base/uritemplate.h"
#include "base/yaml_scalar.h"

#include "config/source.h"

#include <stdlib.h>

static void *at_offset(void *object, size_t offset)
{
    return (char *)object + offset;
}

static void replace(void *object, const struct field *f, char *value)
{
    char **slot = at_offset(object, f->offset);

    must(value);
    free(*slot);
    *slot = value;
}

static struct diag_at place(const struct reading *r, const struct yaml_node *n)
{
    return yaml_at(n, r->m->file);
}

static bool expect(struct reading *r, const struct field *f, const struct yaml_node *n,
                   enum yaml_type type)
{
    if (n->type == type)
        return true;
    diag_error(r->d, place(r, n), f->id, "%s: must be %s, not %s", f->key, yaml_type_name(type),
               yaml_type_name(n->type));
    return false;
}

static bool matches(struct reading *r, const char *pattern, const char *text)
{
    size_t i = 0;

    while (i < r->pattern_count && r->patterns[i].pattern != pattern)
        i++;
    if (i == r->pattern_count) {
        must(i < countof(r->patterns));
        r->patterns[i].pattern = pattern;
        must(regcomp(&r->patterns[i].compiled, pattern, REG_EXTENDED | REG_NOSUB) == 0);
        r->pattern_count++;
    }
    return regexec(&r->patterns[i].compiled, text, 0, NULL, 0) == 0;
}

/* s is NUL-terminated, as texts and keys of the tree are. */
static bool check_text(struct reading *r, const struct field *f, str s, struct diag_at at)
{
    const char *wrong = s.len < (size_t)f->min                         ? "is too short"
                        : s.len > (size_t)f->max                       ? "is too long"
                        : s.len && memchr(s.ptr, 0, s.len)             ? "has a NUL character"
                        : f->pattern && !matches(r, f->pattern, s.ptr) ? "is not allowed"
                                                                       : NULL;

    if (!wrong)
        return true;
    diag_error(r->d, at, f->id, "%s: \"%.*s\" %s%s%s", f->key, STR_ARG(yaml_shown(s)), wrong,
               f->hint ? "; must be " : "", f->hint ? f->hint : "");
    return false;
}

/* One reader per type of field ---------------------------------------------------------------- */

typedef void read_fn(struct reading *r, const struct field *f, const struct yaml_node *n,
                     void *object);

static void read_string(struct reading *r, const struct field *f, const struct yaml_node *n,
                        void *object)
{
    if (expect(r, f, n, YAML_STRING) && check_text(r, f, n->text, place(r, n)))
        replace(object, f, str_dup(n->text));
}

static bool is_word(const struct field *f, str text)
{
    for (str rest = str_of(f->words); rest.len;)
        if (str_eq(str_split(&rest, '|'), text))
            return true;
    return false;
}

static void report_word(struct reading *r, const struct field *f, const struct yaml_node *n)
{
    CLEANUP(buf_deinit) struct buf list;

    buf_init(&list, 1024);
    for (str rest = str_of(f->words), word; rest.len;) {
        word = str_split(&rest, '|');
        buf_addf(&list, "%s%.*s", list.len ? ", " : "", STR_ARG(word));
    }
    diag_error(r->d, place(r, n), f->id, "%s: must be %.*s, not \"%.*s\"%s%s", f->key,
               STR_ARG(buf_str(&list)), STR_ARG(yaml_shown(n->text)), f->hint ? "; " : "",
               f->hint ? f->hint : "");
}

static void read_word(struct reading *r, const struct field *f, const struct yaml_node *n,
                      void *object)
{
    if (!expect(r, f, n, YAML_STRING))
        return;
    if (!is_word(f, n->text))
        report_word(r, f, n);
    else if (f->offset != NOT_KEPT)
        replace(object, f, str_dup(n->text));
}

/* Only checked; see look_ahead(). */
static void read_version(struct reading *r, const struct field *f, const struct yaml_node *n,
                         void *object)
{
    bool is_scalar = n->type == YAML_FLOAT || n->type == YAML_INT || n->type == YAML_STRING;

    (void)object;
    if (!is_scalar)
        expect(r, f, n, YAML_STRING);
    else if (!is_word(f, n->text))
        report_word(r, f, n);
}

static void read_uri(struct reading *r, const struct field *f, const struct yaml_node *n,
                     void *object)
{
    size_t at = 0;

    if (!expect(r, f, n, YAML_STRING))
        return;
    const char *wrong = uritemplate_check(n->text, &at);
    if (wrong)
        diag_error(r->d, place(r, n), f->id, "%s: \"%.*s\", character %zu: %s", f->key,
                   STR_ARG(yaml_shown(n->text)), at + 1, wrong);
    else
        replace(object, f, str_dup(n->text));
}

static void read_int(struct reading *r, const struct field *f, const struct yaml_node *n,
                     void *object)
{
    if (!expect(r, f, n, YAML_INT))
        return;
    if (n->integer < f->min || n->integer > f->max)
        diag_error(r->d, place(r, n), f->id, "%s: must be from %lld to %lld, not %lld", f->key,
                   (long long)f->min, (long long)f->max, (long long)n->integer);
    else
        *(int64_t *)at_offset(object, f->offset) = n->integer;
}

static void read_bool(struct reading *r, const struct field *f, const struct yaml_node *n,
                      void *object)
{
    if (!expect(r, f, n, YAML_BOOL))
        return;
    if (f->type == FIELD_TRISTATE)
        *(int *)at_offset(object, f->offset) = n->boolean;
    else
        *(bool *)at_offset(object, f->offset) = n->boolean;
}

static void free_list(struct str_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct str_list){0};
}

static void read_strings(struct reading *r, const struct field *f, const struct yaml_node *n,
                         void *object)
{
    struct str_list *list = at_offset(object, f->offset);
    const char *beside = f->type == FIELD_DIRS ? r->m->file : NULL;

    if (!expect(r, f, n, YAML_LIST))
        return;
    must(list->items = calloc(n->count + 1, sizeof *list->items));
    for (const struct yaml_node *item = n->first; item; item = item->next)
        if (expect(r, f, item, YAML_STRING) && check_text(r, f, item->text, place(r, item)))
            must(list->items[list->count++] = source_beside(beside, item->text));
}

/* JSON text of a value with ${VAR} replaced; depth is bounded by yaml_parse(). */
static void expand_to_json(struct reading *r, const struct yaml_node *n, struct buf *out)
{
    CLEANUP(buf_deinit) struct buf text;

    if (n->type == YAML_STRING) {
        buf_init(&text, SOURCE_BYTES_MAX);
        source_expand(n->text, NULL, place(r, n), r->d, &text);
        buf_add_json(out, buf_str(&text));
        out->has_failed |= text.has_failed;
        return;
    }
    buf_init(&text, 0);
    if (n->type != YAML_LIST && n->type != YAML_MAP) {
        yaml_to_json(n, out);
        return;
    }
    buf_addc(out, n->type == YAML_MAP ? '{' : '[');
    for (const struct yaml_node *c = n->first; c && !out->has_failed; c = c->next) {
        buf_addz(out, c == n->first ? "" : ",");
        if (n->type == YAML_MAP) {
            buf_add_json(out, c->key);
            buf_addc(out, ':');
        }
        expand_to_json(r, c, out);
    }
    buf_addc(out, n->type == YAML_MAP ? '}' : ']');
}

static void read_config(struct reading *r, const struct field *f, const struct yaml_node *n,
                        void *object)
{
    struct buf json;

    if (!expect(r, f, n, YAML_MAP))
        return;
    buf_init(&json, SOURCE_BYTES_MAX * 4);
    expand_to_json(r, n, &json);
    char *text = buf_take_z(&json);
    if (text)
        replace(object, f, text);
    else
        diag_error(r->d, place(r, n), f->id, "%s: is larger than %d bytes", f->key,
                   SOURCE_BYTES_MAX * 4);
}

/* A section whose lines are all commented out is null, and empty. */
static void read_section(struct reading *r, const struct field *f, const struct yaml_node *n,
                         void *object)
{
    if (n->type != YAML_NULL && expect(r, f, n, YAML_MAP))
        shape_read(r, f->shape, n, object);
}

static void *new_array(const struct field *f, void *object, size_t count)
{
    void *array = calloc(count + 1, f->shape->size);

    must(array);
    for (size_t i = 0; i < count; i++)
        shape_init(f->shape, at_offset(array, i * f->shape->size));
    *(void **)at_offset(object, f->offset) = array;
    *(size_t *)at_offset(object, f->count_offset) = count;
    return array;
}

struct named {
    const char *name;
    struct diag_at at;
};

static int compare_named(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int c = strcmp(x->name, y->name);

    if (c || x->at.line != y->at.line)
        return c ? c : x->at.line < y->at.line ? -1 : 1;
    return (x->at.column > y->at.column) - (x->at.column < y->at.column);
}

static void check_unique(struct reading *r, const struct shape *shape, void *array, size_t count)
{
    struct named *names = calloc(count + 1, sizeof *names);
    size_t known = 0;

    must(names);
    for (size_t i = 0; i < count; i++) {
        void *entry = at_offset(array, i * shape->size);
        const char *name = *(char **)at_offset(entry, shape->name->offset);
        if (name)
            names[known++] =
                (struct named){name, *(struct diag_at *)at_offset(entry, shape->at_offset)};
    }
    qsort(names, known, sizeof *names, compare_named);
    for (size_t i = 1; i < known; i++)
        if (strcmp(names[i].name, names[i - 1].name) == 0)
            diag_error(r->d, names[i].at, shape->duplicate_id,
                       "%s: \"%.*s\" is taken already in line %u", shape->name->key,
                       STR_ARG(yaml_shown(str_of(names[i].name))), names[i - 1].at.line);
    free(names);
}

static void read_list(struct reading *r, const struct field *f, const struct yaml_node *n,
                      void *object)
{
    const struct shape *shape = f->shape;
    size_t i = 0;

    if (n->type == YAML_NULL || !expect(r, f, n, YAML_LIST))
        return;
    char *array = new_array(f, object, n->count);
    for (const struct yaml_node *item = n->first; item; item = item->next, i++) {
        void *entry = array + i * shape->size;
        *(struct diag_at *)at_offset(entry, shape->at_offset) = place(r, item);
        if (item->type == YAML_MAP)
            shape_read(r, shape, item, entry);
        else
            diag_error(r->d, place(r, item), shape->type_id, "a %s is a map, not %s", shape->what,
                       yaml_type_name(item->type));
    }
    check_unique(r, shape, array, n->count);
}

static void read_named(struct reading *r, const struct field *f, const struct yaml_node *n,
                       void *object)
{
    const struct shape *shape = f->shape;
    size_t i = 0;

    if (n->type == YAML_NULL || !expect(r, f, n, YAML_MAP))
        return;
    char *array = new_array(f, object, n->count);
    for (const struct yaml_node *item = n->first; item; item = item->next, i++) {
        void *entry = array + i * shape->size;
        struct diag_at at = yaml_key_at(item, r->m->file);
        check_text(r, shape->name, item->key, at);
        replace(entry, shape->name, str_dup(item->key));
        *(struct diag_at *)at_offset(entry, shape->at_offset) = at;
        if (item->type == YAML_MAP)
            shape_read(r, shape, item, entry);
        else
            diag_error(r->d, place(r, item), shape->type_id, "a %s is a map, not %s", shape->what,
                       yaml_type_name(item->type));
    }
}

static void read_unsupported(struct reading *r, const struct field *f, const struct yaml_node *n,
                             void *object)
{
    (void)object;
    diag_error(r->d, yaml_key_at(n, r->m->file), f->id, "this version does not serve \"%s\" yet",
               f->key);
}

/* Maps ---------------------------------------------------------------------------------------- */

static const struct field *find_field(const struct shape *shape, str key)
{
    for (size_t i = 0; i < shape->count; i++)
        if (str_eq(key, str_of(shape->fields[i].key)))
            return &shape->fields[i];
    return NULL;
}

static void report_unknown(struct reading *r, const struct shape *shape, const struct yaml_node *n)
{
    const char *keys[32] = {NULL};

    for (size_t i = 0; i < shape->count && i + 1 < countof(keys); i++)
        keys[i] = shape->fields[i].key;
    diag_add(r->d, shape->is_strict ? DIAG_ERROR : DIAG_WARNING, yaml_key_at(n, r->m->file),
             shape->unknown_id, "unknown key \"%.*s\" in %s%s%s", STR_ARG(yaml_shown(n->key)),
             shape->what, shape->is_strict ? "" : "; ignored", source_suggest(n->key, keys).text);
}

static void read_field(struct reading *r, const struct field *f, const struct yaml_node *n,
                       void *object)
{
    static read_fn *const readers[] = {
        [FIELD_STRING] = read_string,   [FIELD_WORD] = read_word,
        [FIELD_URI] = read_uri,         [FIELD_INT] = read_int,
        [FIELD_BOOL] = read_bool,       [FIELD_TRISTATE] = read_bool,
        [FIELD_STRINGS] = read_strings, [FIELD_DIRS] = read_strings,
        [FIELD_VERSION] = read_version, [FIELD_CONFIG] = read_config,
        [FIELD_SECTION] = read_section, [FIELD_LIST] = read_list,
        [FIELD_NAMED] = read_named,     [FIELD_UNSUPPORTED] = read_unsupported,
    };

    if (f->is_from_02 && !r->is_02) {
        diag_warn(r->d, yaml_key_at(n, r->m->file), f->id,
                  "%s: needs version 0.2; ignored in a 0.1 manifest", f->key);
        return;
    }
    if (f->at_offset)
        *(struct diag_at *)at_offset(object, f->at_offset) = place(r, n);
    readers[f->type](r, f, n, object);
}

void shape_read(struct reading *r, const struct shape *shape, const struct yaml_node *map,
                void *object)
{
    for (const struct yaml_node *n = map->first; n; n = n->next) {
        const struct field *f = find_field(shape, n->key);
        if (f)
            read_field(r, f, n, object);
        else
            report_unknown(r, shape, n);
    }
    for (size_t i = 0; i < shape->count; i++) {
        const struct field *f = &shape->fields[i];
        if (f->is_required && !yaml_get(map, str_of(f->key)))
            diag_error(r->d, place(r, map), f->id, "a %s needs %s", shape->what, f->key);
    }
    if (shape->finish)
        shape->finish(r, object, map);
}

void shape_init(const struct shape *shape, void *object)
{
    for (const struct field *f = shape->fields; f < shape->fields + shape->count; f++) {
        if (f->type == FIELD_SECTION)
            shape_init(f->shape, object);
        else if (f->offset == NOT_KEPT)
            continue;
        else if (f->type == FIELD_TRISTATE)
            *(int *)at_offset(object, f->offset) = -1;
        else if (f->type == FIELD_BOOL)
            *(bool *)at_offset(object, f->offset) = f->standard_int != 0;
        else if (f->type == FIELD_INT)
            *(int64_t *)at_offset(object, f->offset) = f->standard_int;
        else if (f->standard)
            replace(object, f, str_dup(str_of(f->standard)));
    }
}

static void free_array(const struct field *f, void *object)
{
    void **array = at_offset(object, f->offset);
    size_t count = *(size_t *)at_offset(object, f->count_offset);

    for (size_t i = 0; i < count; i++)
        shape_deinit(f->shape, at_offset(*array, i * f->shape->size));
    free(*array);
    *array = NULL;
}

static void free_text(const struct field *f, void *object)
{
    char **slot = at_offset(object, f->offset);

    free(*slot);
    *slot = NULL;
}

static void free_field(const struct field *f, void *object)
{
    switch (f->type) {
    case FIELD_STRING:
    case FIELD_WORD:
    case FIELD_URI:
    case FIELD_CONFIG: free_text(f, object); break;
    case FIELD_STRINGS:
    case FIELD_DIRS: free_list(at_offset(object, f->offset)); break;
    case FIELD_LIST:
    case FIELD_NAMED: free_array(f, object); break;
    default: break;
    }
}

void shape_deinit(const struct shape *shape, void *object)
{
    for (const struct field *f = shape->fields; f < shape->fields + shape->count; f++)
        if (f->type == FIELD_SECTION)
            shape_deinit(f->shape, object);
        else if (f->offset != NOT_KEPT)
            free_field(f, object);
    if (shape->name && !find_field(shape, str_of(shape->name->key)))
        free_text(shape->name, object); // FIELD_NAMED: the name is no field of the map
}
