#include "base/yaml_scalar.h"
#include "base/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Typing: YAML 1.2.2 section 10.3.2 (core schema) --------------------------------------------- */

static bool is_one_of(str s, const char *const words[3])
{
    return str_eq(s, str_of(words[0])) || str_eq(s, str_of(words[1])) ||
           str_eq(s, str_of(words[2]));
}

static size_t count_digits(str s, size_t from)
{
    size_t i = from;

    while (i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9')
        i++;
    return i - from;
}

static bool has_sign(str s)
{
    return s.len && (s.ptr[0] == '-' || s.ptr[0] == '+');
}

/* 0o17 and 0x1F; neither has a sign. */
static bool type_based(struct yaml_node *n)
{
    int base = str_starts(n->text, S("0x")) ? 16 : str_starts(n->text, S("0o")) ? 8 : 0;
    static const char digits[] = "0123456789abcdefABCDEF";
    uint64_t value = 0;

    if (!base || n->text.len == 2)
        return false;
    for (size_t i = 2; i < n->text.len; i++) {
        const char *at = memchr(digits, n->text.ptr[i], sizeof digits - 1);
        int digit = at ? (int)(at - digits) : 99;
        digit = digit > 15 && digit < 22 ? digit - 6 : digit;
        if (digit >= base || value >> 59)
            return false;
        value = value * (unsigned)base + (unsigned)digit;
    }
    n->type = YAML_INT;
    n->integer = (int64_t)value;
    n->number = (double)value;
    return true;
}

/* [-+]? [0-9]+, or with a fraction or an exponent. An integer beyond 64 bits is a float. */
static bool type_decimal(struct yaml_node *n)
{
    str s = n->text;
    size_t at = has_sign(s);
    size_t whole = count_digits(s, at), fraction = 0;
    bool is_float = false;

    at += whole;
    if (at < s.len && s.ptr[at] == '.') {
        is_float = true;
        fraction = count_digits(s, at + 1);
        at += 1 + fraction;
    }
    if (!whole && !fraction)
        return false;
    if (at < s.len && (s.ptr[at] == 'e' || s.ptr[at] == 'E')) {
        is_float = true;
        at += 1 + has_sign(str_cut(s, at + 1));
        size_t exponent = count_digits(s, at);
        if (!exponent)
            return false;
        at += exponent;
    }
    if (at != s.len)
        return false;
    n->number = strtod(s.ptr, NULL);
    bool fits = str_to_i64(s.ptr[0] == '+' ? str_cut(s, 1) : s, &n->integer);
    n->type = is_float || !fits ? YAML_FLOAT : YAML_INT;
    return true;
}

static bool type_special_float(struct yaml_node *n)
{
    static const char *const infinities[] = {".inf", ".Inf", ".INF"};
    static const char *const nans[] = {".nan", ".NaN", ".NAN"};
    bool is_minus = str_starts(n->text, S("-"));

    if (is_one_of(n->text, nans))
        n->number = (double)NAN;
    else if (is_one_of(has_sign(n->text) ? str_cut(n->text, 1) : n->text, infinities))
        n->number = is_minus ? -(double)INFINITY : (double)INFINITY;
    else
        return false;
    n->type = YAML_FLOAT;
    return true;
}

static bool type_bool(struct yaml_node *n)
{
    static const char *const yes[] = {"true", "True", "TRUE"};
    static const char *const no[] = {"false", "False", "FALSE"};

    n->boolean = is_one_of(n->text, yes);
    if (!n->boolean && !is_one_of(n->text, no))
        return false;
    n->type = YAML_BOOL;
    return true;
}

static bool type_null(struct yaml_node *n)
{
    static const char *const nulls[] = {"null", "Null", "NULL"};

    if (n->text.len && !str_eq(n->text, S("~")) && !is_one_of(n->text, nulls))
        return false;
    n->type = YAML_NULL;
    return true;
}

static bool type_number(struct yaml_node *n)
{
    return type_based(n) || type_decimal(n) || type_special_float(n);
}

void yaml_type_plain(struct yaml_node *n)
{
    if (!type_null(n) && !type_bool(n) && !type_number(n))
        n->type = YAML_STRING;
}

static bool type_float(struct yaml_node *n)
{
    if (!type_number(n))
        return false;
    n->type = YAML_FLOAT;
    return true;
}

static bool type_int(struct yaml_node *n)
{
    return type_number(n) && n->type == YAML_INT;
}

static bool type_string(struct yaml_node *n)
{
    n->type = YAML_STRING;
    return true;
}

/* Tags of the core schema; every other tag is refused, so that nobody believes it did something. */
static const struct {
    const char *name;
    bool (*type)(struct yaml_node *n); // NULL: for lists and maps
    enum yaml_type container;
} tags[] = {
    {"tag:yaml.org,2002:str", type_string, YAML_NULL},
    {"tag:yaml.org,2002:int", type_int, YAML_NULL},
    {"tag:yaml.org,2002:float", type_float, YAML_NULL},
    {"tag:yaml.org,2002:bool", type_bool, YAML_NULL},
    {"tag:yaml.org,2002:null", type_null, YAML_NULL},
    {"tag:yaml.org,2002:seq", NULL, YAML_LIST},
    {"tag:yaml.org,2002:map", NULL, YAML_MAP},
    {"!", type_string, YAML_NULL},
};

bool yaml_type_tagged(struct yaml_node *n, str tag)
{
    bool is_container = n->type == YAML_LIST || n->type == YAML_MAP;

    for (size_t i = 0; i < countof(tags); i++) {
        if (!str_eq(tag, str_of(tags[i].name)))
            continue;
        if (is_container)
            return tags[i].container == n->type || str_eq(tag, S("!"));
        return tags[i].type && tags[i].type(n);
    }
    return false;
}

str yaml_shown(str text)
{
    enum { LONGEST = 80 };
    size_t n = 0;

    while (n < text.len && n < LONGEST && (unsigned char)text.ptr[n] >= ' ' && text.ptr[n] != 0x7F)
        n++;
    while (n && n < text.len && ((unsigned char)text.ptr[n] & 0xC0) == 0x80)
        n--; // not in the middle of a character
    return (str){text.ptr, n};
}

/* Reading the tree ---------------------------------------------------------------------------- */

const struct yaml_node *yaml_get(const struct yaml_node *map, str key)
{
    if (!map || map->type != YAML_MAP)
        return NULL;
    for (const struct yaml_node *n = map->first; n; n = n->next)
        if (str_eq(n->key, key))
            return n;
    return NULL;
}

struct diag_at yaml_at(const struct yaml_node *n, const char *file)
{
    return (struct diag_at){file, n->line, n->column};
}

struct diag_at yaml_key_at(const struct yaml_node *n, const char *file)
{
    return n->key_line ? (struct diag_at){file, n->key_line, n->key_column} : yaml_at(n, file);
}

const char *yaml_type_name(enum yaml_type type)
{
    static const char *const names[] = {
        [YAML_NULL] = "nothing (null)", [YAML_BOOL] = "a boolean",  [YAML_INT] = "an integer",
        [YAML_FLOAT] = "a number",      [YAML_STRING] = "a string", [YAML_LIST] = "a list",
        [YAML_MAP] = "a map",
    };

    return names[type];
}

/* RFC 8259 section 6: may the text be forwarded as it is? Keeps the digits that a double loses. */
static bool is_json_number(str s)
{
    size_t at = s.len && s.ptr[0] == '-';
    size_t whole = count_digits(s, at);

    if (!whole || (whole > 1 && s.ptr[at] == '0') || (s.len && s.ptr[0] == '+'))
        return false;
    at += whole;
    if (at < s.len && s.ptr[at] == '.') {
        size_t fraction = count_digits(s, at + 1);
        if (!fraction)
            return false;
        at += 1 + fraction;
    }
    return at == s.len || s.ptr[at] == 'e' || s.ptr[at] == 'E'; // the rest was checked by typing
}

static void number_to_json(const struct yaml_node *n, struct buf *out)
{
    if (n->type == YAML_FLOAT && !isfinite(n->number))
        buf_addz(out, "null"); // JSON has no infinity
    else if (is_json_number(n->text))
        buf_add(out, n->text);
    else if (n->type == YAML_INT)
        buf_addf(out, "%lld", (long long)n->integer);
    else
        buf_addf(out, "%.17g", n->number);
}

static void children_to_json(const struct yaml_node *n, struct buf *out)
{
    buf_addc(out, n->type == YAML_MAP ? '{' : '[');
    for (const struct yaml_node *child = n->first; child && !out->has_failed; child = child->next) {
        if (child != n->first)
            buf_addc(out, ',');
        if (n->type == YAML_MAP) {
            buf_add_json(out, child->key);
            buf_addc(out, ':');
        }
        yaml_to_json(child, out);
    }
    buf_addc(out, n->type == YAML_MAP ? '}' : ']');
}

void yaml_to_json(const struct yaml_node *n, struct buf *out)
{
    switch (n->type) {
    case YAML_NULL: buf_addz(out, "null"); break;
    case YAML_BOOL: buf_addz(out, n->boolean ? "true" : "false"); break;
    case YAML_INT:
    case YAML_FLOAT: number_to_json(n, out); break;
    case YAML_STRING: buf_add_json(out, n->text); break;
    case YAML_LIST:
    case YAML_MAP: children_to_json(n, out); break;
    }
}
