/* JSON Schema 2020-12 from the tables of the manifest. */
#include "config/manifest_table.h"
#include "base/check.h"

#include <stdio.h>

static void add_words(const struct field *f, bool with_numbers, struct buf *out)
{
    buf_addz(out, ",\"enum\":[");
    for (str rest = str_of(f->words), word; rest.len;) {
        word = str_split(&rest, '|');
        buf_add_json(out, word);
        if (with_numbers)
            buf_addf(out, ",%.*s", STR_ARG(word));
        buf_addz(out, rest.len ? "," : "");
    }
    buf_addc(out, ']');
}

/* Characters are never more than bytes, so maxLength is at most too kind. */
static void add_text(const struct field *f, struct buf *out)
{
    buf_addz(out, "\"type\":\"string\"");
    if (f->min)
        buf_addf(out, ",\"minLength\":%lld", (long long)f->min);
    buf_addf(out, ",\"maxLength\":%lld", (long long)f->max);
    if (f->pattern) {
        buf_addz(out, ",\"pattern\":");
        buf_add_json(out, str_of(f->pattern));
    }
}

static void add_default(const struct field *f, struct buf *out)
{
    if (f->standard && f->type == FIELD_CONFIG) {
        buf_addf(out, ",\"default\":%s", f->standard);
    } else if (f->standard) {
        buf_addz(out, ",\"default\":");
        buf_add_json(out, str_of(f->standard));
    } else if (f->type == FIELD_BOOL) {
        buf_addf(out, ",\"default\":%s", f->standard_int ? "true" : "false");
    } else if (f->type == FIELD_INT && f->standard_int) {
        buf_addf(out, ",\"default\":%lld", (long long)f->standard_int);
    }
}

static void add_named(const struct field *f, struct buf *out)
{
    buf_addz(out, "\"type\":[\"object\",\"null\"],\"propertyNames\":{");
    add_text(f->shape->name, out);
    buf_addz(out, "},\"additionalProperties\":{");
    shape_schema(f->shape, out);
    buf_addc(out, '}');
}

static void add_list(const struct field *f, struct buf *out)
{
    buf_addz(out, "\"type\":[\"array\",\"null\"],\"items\":{");
    shape_schema(f->shape, out);
    buf_addc(out, '}');
}

static void add_section(const struct field *f, struct buf *out)
{
    shape_schema(f->shape, out);
    buf_addz(out, ",\"type\":[\"object\",\"null\"]");
}

static void add_type(const struct field *f, struct buf *out)
{
    switch (f->type) {
    case FIELD_STRING: add_text(f, out); break;
    case FIELD_WORD:
        buf_addz(out, "\"type\":\"string\"");
        add_words(f, /*with_numbers=*/false, out);
        break;
    case FIELD_VERSION:
        buf_addz(out, "\"type\":[\"string\",\"number\"]");
        add_words(f, /*with_numbers=*/true, out);
        break;
    case FIELD_URI:
        buf_addz(out, "\"type\":\"string\",\"maxLength\":2048,\"pattern\":"
                      "\"^[A-Za-z][A-Za-z0-9+.-]*:"
                      "([^{}\\\\s<>\\\"\\\\\\\\^`|]|\\\\{[A-Za-z0-9_.]+\\\\})+$\"");
        break;
    case FIELD_INT:
        buf_addf(out, "\"type\":\"integer\",\"minimum\":%lld,\"maximum\":%lld", (long long)f->min,
                 (long long)f->max);
        break;
    case FIELD_BOOL:
    case FIELD_TRISTATE: buf_addz(out, "\"type\":\"boolean\""); break;
    case FIELD_STRINGS:
    case FIELD_DIRS:
        buf_addz(out, "\"type\":\"array\",\"items\":{");
        add_text(f, out);
        buf_addc(out, '}');
        break;
    case FIELD_CONFIG: buf_addz(out, "\"type\":\"object\""); break;
    case FIELD_SECTION: add_section(f, out); break;
    case FIELD_LIST: add_list(f, out); break;
    case FIELD_NAMED: add_named(f, out); break;
    case FIELD_UNSUPPORTED: buf_addz(out, "\"not\":{}"); break;
    }
}

static void add_required(const struct shape *shape, struct buf *out)
{
    size_t count = 0;

    for (const struct field *f = shape->fields; f < shape->fields + shape->count; f++)
        if (f->is_required)
            buf_addf(out, "%s\"%s\"", count++ ? "," : ",\"required\":[", f->key);
    buf_addz(out, count ? "]" : "");
}

/* Members of a schema object, without the braces. A section gets its type from add_section(). */
void shape_schema(const struct shape *shape, struct buf *out)
{
    buf_addz(out, shape->size ? "\"type\":\"object\"," : "");
    buf_addz(out, "\"properties\":{");
    for (const struct field *f = shape->fields; f < shape->fields + shape->count; f++) {
        buf_addf(out, "%s\"%s\":{", f == shape->fields ? "" : ",", f->key);
        add_type(f, out);
        add_default(f, out);
        if (f->meaning) {
            buf_addz(out, ",\"description\":");
            buf_add_json(out, str_of(f->meaning));
        }
        buf_addc(out, '}');
    }
    buf_addc(out, '}');
    add_required(shape, out);
    buf_addz(out, shape->is_strict ? ",\"additionalProperties\":false" : "");
    buf_addz(out, shape->schema_extra ? shape->schema_extra : "");
}
