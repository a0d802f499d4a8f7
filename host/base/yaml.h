/* yaml.h: YAML 1.2 (core schema) and JSON files as one tree whose nodes know where they stand.
 * The one face of libfyaml. For configuration, not for requests: those are JSON (json.h).
 *
 * Refused with a finding: syntax errors, duplicate keys, keys that are not scalars, explicit keys,
 * more than one document, depth beyond 64, alias expansion beyond 100,000 nodes, text that is not
 * UTF-8, files over 1 MiB. Merge keys (<<) are applied. no/on/yes are strings (YAML 1.2). */
#ifndef BASE_YAML_H
#define BASE_YAML_H
#include "base/diag.h"

enum yaml_type { YAML_NULL, YAML_BOOL, YAML_INT, YAML_FLOAT, YAML_STRING, YAML_LIST, YAML_MAP };

/* Immutable after yaml_parse(). Everything belongs to the root and is freed with it. */
struct yaml_node {
    enum yaml_type type;
    unsigned line, column; /* from 1                                              */
    str text;              /* scalars: as written (strings: unescaped), NUL follows */
    bool boolean;
    int64_t integer;
    double number; /* YAML_INT too                                        */
    str key;       /* in a map: the key of this entry                     */
    unsigned key_line, key_column;
    struct yaml_node *first, *next; /* children in document order                   */
    size_t count;
};

/* NULL and at least one error in d when the text is refused. `file` is only a name for findings. An
 * empty text is an empty map. */
struct yaml_node *yaml_parse(str text, const char *file, struct diag *d);
void yaml_free(struct yaml_node *root);
static inline void yaml_freep(struct yaml_node **root)
{
    yaml_free(*root);
}
/* The value of key in a map; NULL when absent or n is no map. */
const struct yaml_node *yaml_get(const struct yaml_node *map, str key);
struct diag_at yaml_at(const struct yaml_node *n, const char *file);
struct diag_at yaml_key_at(const struct yaml_node *n, const char *file);
const char *yaml_type_name(enum yaml_type type); /* "a list" */
/* The tree as compact JSON text, members in document order. */
void yaml_to_json(const struct yaml_node *n, struct buf *out);
#endif
