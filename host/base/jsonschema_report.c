/* What is wrong, for humans. */
#include "base/jsonschema_check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

enum { MESSAGE_MAX = 400, CLIP_MAX = 80, LIST_MAX = 240 };

/* --- paths -------------------------------------------------------------------------------------- */

static size_t escaped_len(str key)
{
    size_t n = key.len;

    for (size_t i = 0; i < key.len; i++)
        n += key.ptr[i] == '~' || key.ptr[i] == '/';
    return n;
}

static size_t index_text(char out[24], size_t index)
{
    return (size_t)snprintf(out, 24, "%zu", index);
}

static char *prepend(char *end, str key)
{
    for (size_t i = key.len; i--;) {
        bool is_escaped = key.ptr[i] == '~' || key.ptr[i] == '/';
        if (is_escaped) {
            *--end = key.ptr[i] == '~' ? '0' : '1';
            *--end = '~';
        } else {
            *--end = key.ptr[i];
        }
    }
    *--end = '/';
    return end;
}

static str path_of(const struct frame *f)
{
    char number[24];
    size_t len = 0;

    for (const struct frame *at = f; at; at = at->up)
        len += at->step == STEP_MEMBER ? 1 + escaped_len(at->key)
               : at->step == STEP_ITEM ? 1 + index_text(number, at->index)
                                       : 0;
    char *path = arena_alloc(f->c->arena, len + 1);
    if (!path)
        return S("");
    char *end = path + len;
    *end = 0;
    for (const struct frame *at = f; at; at = at->up)
        if (at->step == STEP_MEMBER)
            end = prepend(end, at->key);
        else if (at->step == STEP_ITEM)
            end = prepend(end, (str){number, index_text(number, at->index)});
    return (str){path, len};
}

/* --- messages ----------------------------------------------------------------------------------- */

/* Not longer than max, and not cut within a character. */
static str clip(str s, size_t max)
{
    if (s.len <= max)
        return s;
    while (max && ((unsigned char)s.ptr[max] & 0xC0) == 0x80)
        max--;
    return (str){s.ptr, max};
}

str report_clip(str s)
{
    return clip(s, CLIP_MAX);
}

bool report(const struct frame *f, const char *keyword, const char *format, ...)
{
    struct jschema_errors *e = f->c->errors;
    char text[MESSAGE_MAX + 4];
    va_list args;

    if (!e)
        return false;
    if (e->count >= e->max) {
        e->has_more = true;
        return false;
    }
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    str message = {text, n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1};
    e->list[e->count++] = (struct jschema_error){
        path_of(f), keyword, arena_copy(f->c->arena, clip(message, MESSAGE_MAX))};
    return false;
}

bool give_up(const struct frame *f, const char *why)
{
    struct check *c = f->c;

    if (!c->gave_up) {
        c->gave_up = why;
        c->gave_up_at = path_of(f);
    }
    c->steps = 0;
    return false;
}

bool report_type(const struct frame *f)
{
    static const char *const names[] = {"null",  "boolean", "number", "string",
                                        "array", "object",  "integer"};
    char text[80] = "";
    const char *article = f->kind == JSON_ARRAY || f->kind == JSON_OBJECT ? "an " : "a ";

    if (is_quiet(f))
        return false;
    for (size_t i = 0; i < countof(names); i++)
        if (f->node->types >> i & 1) {
            strcat(text, *text ? " or " : "");
            strcat(text, names[i]);
        }
    return report(f, "type", "must be %s, is %s%s", text, f->kind == JSON_NULL ? "" : article,
                  names[f->kind]);
}

bool report_values(const struct frame *f, const struct op *op)
{
    struct arena_text t;

    if (is_quiet(f))
        return false;
    text_init(&t, f->c->arena, 64);
    for (uint32_t i = 0; i < op->set->count && t.len < LIST_MAX; i++) {
        text_add(&t, i ? S(", ") : S(""));
        json_write(op->set->values[i], &t);
    }
    str all = text_str(&t), list = clip(all, LIST_MAX);
    return report(f, op->keyword, "must be %s%.*s%s", op->set->count > 1 ? "one of " : "",
                  STR_ARG(list), list.len < all.len ? " ..." : "");
}

bool report_required(const struct frame *f, const struct object_rule *r)
{
    if (is_quiet(f))
        return false;
    for (uint32_t i = 0; i < r->property_count && !f->c->errors->has_more; i++) {
        str name = report_clip(r->properties[i].name);
        if (r->properties[i].is_required && !json_get(f->value, r->properties[i].name))
            report(f, "required", "lacks \"%.*s\"", STR_ARG(name));
    }
    return false;
}

static const char *number_text(char out[64], long double x)
{
    snprintf(out, 64, x == truncl(x) && fabsl(x) < 0x1p64L ? "%.0Lf" : "%.15Lg", x);
    return out;
}

bool report_number(const struct frame *f, const struct number_rule *r)
{
    char text[64];
    long double x = json_exact(f->value);

    if (is_quiet(f))
        return false;
    if (x < r->minimum)
        report(f, "minimum", "must be at least %s", number_text(text, r->minimum));
    if (x > r->maximum)
        report(f, "maximum", "must be at most %s", number_text(text, r->maximum));
    if (x <= r->above)
        report(f, "exclusiveMinimum", "must be more than %s", number_text(text, r->above));
    if (x >= r->below)
        report(f, "exclusiveMaximum", "must be less than %s", number_text(text, r->below));
    if (r->multiple_of.m && !decimal_divides(r->multiple_of, decimal_of(f->value)))
        report(f, "multipleOf", "must be a multiple of %s",
               number_text(text, json_exact(r->multiple_value)));
    return false;
}
