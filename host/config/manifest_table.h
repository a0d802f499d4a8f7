/* manifest_table.h: the keys of the manifest as tables of fields, one table per kind of map. The
 * reader (manifest_parts.c), the schema and manifest_free() all walk the same tables. For
 * manifest*.c alone. */
#ifndef CONFIG_MANIFEST_TABLE_H
#define CONFIG_MANIFEST_TABLE_H
#include "config/manifest.h"

#include "base/yaml.h"

#include <regex.h>

enum field_type {
    FIELD_STRING,
    FIELD_WORD,
    FIELD_URI, // RFC 6570 level 1
    FIELD_INT,
    FIELD_BOOL,
    FIELD_TRISTATE,    // int: -1 absent
    FIELD_STRINGS,     // struct str_list
    FIELD_DIRS,        // the same, seen from the manifest's folder
    FIELD_VERSION,     // number or string
    FIELD_CONFIG,      // a map, kept as JSON text
    FIELD_SECTION,     // a map whose fields belong to the same object
    FIELD_LIST,        // a list of maps
    FIELD_NAMED,       // a map of maps; the keys are names
    FIELD_UNSUPPORTED, // known, and not served
};

enum { NOT_KEPT = 0xFFFF };

struct field {
    const char *key;
    const char *id; // of findings
    enum field_type type;
    bool is_required;
    bool is_from_02;      // in a 0.1 manifest: warned about and ignored
    size_t offset;        // of the value; FIELD_LIST, FIELD_NAMED: of the array; NOT_KEPT
    size_t count_offset;  // FIELD_LIST, FIELD_NAMED
    size_t at_offset;     // of a struct diag_at for the value's place; 0: not kept
    const char *standard; // default of a text; FIELD_WORD too
    int64_t min, max;     // FIELD_INT; the longest and shortest FIELD_STRING(S), in bytes
    int64_t standard_int; // FIELD_INT, FIELD_BOOL
    const char *words;    // FIELD_WORD, FIELD_VERSION: "a|b"
    const char *pattern;  // FIELD_STRING(S): for POSIX and ECMA alike
    const char *hint;     // the pattern in words; what to say beside a wrong word
    const struct shape *shape;
    const char *meaning;
};

struct reading;

struct shape {
    const char *what;    // "tool"
    const char *type_id; // finding for what is no map
    const struct field *fields;
    size_t count, size;
    bool is_strict; // unknown keys are errors
    const char *unknown_id;
    size_t at_offset; // of a struct diag_at for the entry; 0: not kept
    /* FIELD_LIST: the field that is unique. FIELD_NAMED: the name, with its grammar. */
    const struct field *name;
    const char *duplicate_id;
    /* After all fields: what concerns more than one of them. */
    void (*finish)(struct reading *r, void *object, const struct yaml_node *map);
    const char *schema_extra; // the same in JSON Schema: members to add, with a leading comma
};

/* One run of manifest_parse(). */
struct reading {
    struct manifest *m;
    struct diag *d;
    bool is_02;
    bool allows_streaming;
    struct {
        const char *pattern;
        regex_t compiled;
    } patterns[16];
    size_t pattern_count;
};

extern const struct shape manifest_shape;
extern const struct shape capability_policy_shape; /* manifest_policy.c */

void shape_read(struct reading *r, const struct shape *shape, const struct yaml_node *map,
                void *object);
/* Defaults alone. */
void shape_init(const struct shape *shape, void *object);
void shape_deinit(const struct shape *shape, void *object);
void shape_schema(const struct shape *shape, struct buf *out);
#endif
