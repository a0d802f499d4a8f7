/* Payloads from JSON Schemas: enough of 2020-12 for the schemas that tools have. */
#include "ctl_check.h"

#include <math.h>

enum { DEPTH = 10, HUGE_BYTES = 1 << 20, DEEP_LEVELS = 100 };

struct gen {
    struct buf *out;
    str root;
    enum gen_kind kind;
    bool has_text; /* the one huge string was written */
};

static const char *const names[GEN_KINDS] = {
    "valid input",    "all members",     "an empty object",   "strings with quotes",
    "odd characters", "hostile strings", "a string of 1 MiB", "100 levels of arrays",
};

const char *gen_name(enum gen_kind kind)
{
    return names[kind];
}

static void gen_value(struct gen *g, str schema, unsigned depth);

static bool is_valid_kind(const struct gen *g)
{
    return g->kind == GEN_REQUIRED || g->kind == GEN_ALL || g->kind == GEN_DEEP;
}

static size_t number_of(str schema, const char *name, size_t otherwise)
{
    double d;

    if (!mig_json_f64(mig_json_member(schema, name), &d) || !(d >= 0 && d <= 1e6))
        return otherwise;
    return (size_t)d;
}

/* "#/$defs/name", as a walk from the root. */
static str follow(const struct gen *g, str ref)
{
    char text[256], *name, *rest = text;
    str at = g->root;

    if (mig_json_unescape(ref, text, sizeof text) >= sizeof text || *rest++ != '#')
        return (str){0};
    while ((name = strsep(&rest, "/")) != NULL)
        if (*name)
            at = mig_json_member(at, name);
    return at;
}

/* ---- strings ----------------------------------------------------------------------------------
 */

static const char *example_of_format(str format)
{
    static const char *const rows[][2] = {
        {"date-time", "2026-01-02T03:04:05Z"},
        {"date", "2026-01-02"},
        {"time", "03:04:05Z"},
        {"duration", "PT1S"},
        {"uri", "https://example.org/"},
        {"url", "https://example.org/"},
        {"email", "ada@example.org"},
        {"hostname", "example.org"},
        {"ipv4", "192.0.2.1"},
        {"ipv6", "2001:db8::1"},
        {"uuid", "123e4567-e89b-42d3-a456-426614174000"},
    };

    for (size_t i = 0; i < countof(rows); i++)
        if (mig_json_is(format, rows[i][0]))
            return rows[i][1];
    return NULL;
}

static void valid_string(struct gen *g, str schema)
{
    size_t least = number_of(schema, "minLength", 0),
           most = number_of(schema, "maxLength", 1000000);
    const char *text = example_of_format(mig_json_member(schema, "format"));

    if (text) {
        buf_add_json(g->out, str_of(text));
        return;
    }
    buf_addc(g->out, '"');
    for (size_t i = 0; i < most && (i < 3 || i < least); i++)
        buf_addc(g->out, "Ada"[i % 3]);
    buf_addc(g->out, '"');
}

static void huge_string(struct gen *g)
{
    char *at = buf_reserve(g->out, HUGE_BYTES + 2);

    if (!at)
        return;
    memset(at, 'a', HUGE_BYTES + 2);
    at[0] = at[HUGE_BYTES + 1] = '"';
    g->out->len += HUGE_BYTES + 2;
    g->has_text = true;
}

static void gen_string(struct gen *g, str schema)
{
    static const char *const hostile[GEN_KINDS] = {
        [GEN_QUOTES] = "\"\\\"}],\\\\\\\\'`;--\\n\\r\\t\\u0000\\u0001\\/ $(id) ${HOME}\"",
        [GEN_UNICODE] =
            "\"\\u0000\\ud83d\\ude00\\uffff\\u202e \xEF\xBF\xBD \xF0\x9F\x98\x80 e\xCC\x81\"",
        [GEN_FORMAT] =
            "\"%s%n%d%x ../../../../etc/passwd file:///etc/passwd <script> ' OR 1=1 --\"",
    };

    if (hostile[g->kind])
        buf_addz(g->out, hostile[g->kind]);
    else if (g->kind == GEN_HUGE && !g->has_text)
        huge_string(g);
    else
        valid_string(g, schema);
}

/* ---- the rest ---------------------------------------------------------------------------------
 */

static void gen_number(struct gen *g, str schema)
{
    mig_str least = mig_json_member(schema, "minimum"), most = mig_json_member(schema, "maximum");
    double d = 1, above;

    if (!is_valid_kind(g)) {
        buf_addz(g->out, g->kind == GEN_QUOTES ? "-9223372036854775808" : "9007199254740993");
        return;
    }
    if (mig_json_f64(mig_json_member(schema, "exclusiveMinimum"), &above))
        d = floor(above) + 1;
    else if (mig_json_f64(least, &d))
        d = ceil(d);
    else if (mig_json_f64(most, &above) && above < 1)
        d = floor(above);
    if (mig_json_f64(mig_json_member(schema, "multipleOf"), &above) && above > 0)
        d = ceil(d / above) * above;
    buf_addf(g->out, fabs(d) < 1e15 && floor(d) >= d ? "%.0f" : "%.17g", d);
}

static void gen_array(struct gen *g, str schema, unsigned depth)
{
    size_t least = number_of(schema, "minItems", 0), most = number_of(schema, "maxItems", 8);
    mig_str items = mig_json_member(schema, "items");
    size_t n = least ? least : items.len && depth < 4;

    n = n > most ? most : n > 64 ? 64 : n;
    buf_addc(g->out, '[');
    for (size_t i = 0; i < n; i++) {
        buf_addz(g->out, i ? "," : "");
        gen_value(g, items, depth + 1);
    }
    buf_addc(g->out, ']');
}

static bool is_required(str schema, str key)
{
    for (mig_json_iter i = mig_json_each(mig_json_member(schema, "required")); mig_json_next(&i);)
        if (str_eq(i.value, key))
            return true;
    return false;
}

static void gen_object(struct gen *g, str schema, unsigned depth)
{
    mig_str properties = mig_json_member(schema, "properties");
    bool wants_all = g->kind != GEN_REQUIRED && g->kind != GEN_DEEP && depth < 5;
    size_t n = 0;

    buf_addc(g->out, '{');
    for (mig_json_iter i = mig_json_each(properties); mig_json_next(&i);) {
        if (!wants_all && !is_required(schema, i.key))
            continue;
        buf_addz(g->out, n++ ? "," : "");
        buf_add(g->out, i.key);
        buf_addc(g->out, ':');
        gen_value(g, i.value, depth + 1);
    }
    for (mig_json_iter i = mig_json_each(mig_json_member(schema, "required")); mig_json_next(&i);) {
        char key[256]; /* required, but not described */
        if (mig_json_unescape(i.value, key, sizeof key) >= sizeof key ||
            mig_json_member(properties, key).len)
            continue;
        buf_addz(g->out, n++ ? "," : "");
        buf_add(g->out, i.value);
        buf_addz(g->out, ":");
        gen_string(g, (str){0});
    }
    buf_addc(g->out, '}');
}

/* "string", or the first of ["string", "null"]; guessed from other members when absent. */
static str type_of(str schema)
{
    mig_str type = mig_json_member(schema, "type");

    if (mig_json_kind_of(type) == MIG_JSON_ARRAY)
        return mig_json_item(type, 0);
    if (type.len)
        return type;
    if (mig_json_member(schema, "properties").len || mig_json_member(schema, "required").len)
        return S("\"object\"");
    return mig_json_member(schema, "items").len ? S("\"array\"") : S("\"string\"");
}

/* A value that the schema spells out, or a part of the schema to go on with. */
static bool gen_given(struct gen *g, str schema, unsigned depth)
{
    static const char *const parts[] = {"oneOf", "anyOf", "allOf"};
    mig_str value = mig_json_member(schema, "const");

    if (!value.len)
        value = mig_json_item(mig_json_member(schema, "enum"), 0);
    if (!value.len && is_valid_kind(g))
        value = mig_json_item(mig_json_member(schema, "examples"), 0);
    if (!value.len && is_valid_kind(g))
        value = mig_json_member(schema, "default");
    if (value.len) {
        buf_add(g->out, value);
        return true;
    }
    value = mig_json_member(schema, "$ref");
    value = value.len ? follow(g, value) : value;
    for (size_t i = 0; !value.len && i < countof(parts); i++)
        if (!mig_json_member(schema, "properties").len)
            value = mig_json_item(mig_json_member(schema, parts[i]), 0);
    if (value.len)
        gen_value(g, value, depth + 1);
    return value.len > 0;
}

static void gen_value(struct gen *g, str schema, unsigned depth)
{
    if (depth > DEPTH) {
        buf_addz(g->out, "null");
        return;
    }
    if (gen_given(g, schema, depth))
        return;
    str type = type_of(schema);
    if (mig_json_is(type, "object"))
        gen_object(g, schema, depth);
    else if (mig_json_is(type, "array"))
        gen_array(g, schema, depth);
    else if (mig_json_is(type, "integer") || mig_json_is(type, "number"))
        gen_number(g, schema);
    else if (mig_json_is(type, "boolean"))
        buf_addz(g->out, "true");
    else if (mig_json_is(type, "null"))
        buf_addz(g->out, "null");
    else
        gen_string(g, schema);
}

/* One member more at the end of the object. */
static void begin_extra(struct buf *b, size_t from, const char *name)
{
    b->len--;
    buf_addf(b, "%s\"%s\":", b->len - from > 1 ? "," : "", name);
}

void gen_input(struct buf *out, str schema, enum gen_kind kind)
{
    struct gen g = {.out = out, .root = schema, .kind = kind};
    size_t from = out->len;

    if (kind == GEN_EMPTY || mig_json_kind_of(mig_json_root(schema)) != MIG_JSON_OBJECT)
        buf_addz(out, "{}");
    else
        gen_value(&g, mig_json_root(schema), 0);
    if (out->has_failed || out->ptr[out->len - 1] != '}')
        return;
    if (kind == GEN_HUGE && !g.has_text) {
        begin_extra(out, from, "migctl_huge");
        huge_string(&g);
        buf_addc(out, '}');
    }
    if (kind == GEN_DEEP) {
        begin_extra(out, from, "migctl_deep");
        for (int i = 0; i < 2 * DEEP_LEVELS; i++)
            buf_addc(out, i < DEEP_LEVELS ? '[' : ']');
        buf_addc(out, '}');
    }
}
