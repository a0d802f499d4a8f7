#include "base/json.h"
#include "base/check.h"
#include "base/json_scan.h"

#include <assert.h>
#include <float.h>
#include <stdlib.h>
#include <yyjson.h>

/* yyjson's readers take non-const pointers and do not write. */
static yyjson_val *in(const json_value *v)
{
    return (yyjson_val *)(uintptr_t)v;
}

static const json_value *out(yyjson_val *v)
{
    return (const json_value *)(void *)v;
}

const char *json_fault_reason(enum json_fault_kind kind)
{
    static const char *const names[] = {"none",       "malformed_json",   "invalid_utf8",
                                        "json_depth", "duplicate_member", "json_memory"};
    return names[kind];
}

static bool fault_set(struct json_fault *f, enum json_fault_kind kind, size_t at, const char *text)
{
    if (f)
        *f = (struct json_fault){kind, at, text};
    return false;
}

/* --- yyjson in an arena ------------------------------------------------------------------------- */

static void *alc_malloc(void *ctx, size_t size)
{
    return arena_alloc(ctx, size);
}

static void *alc_realloc(void *ctx, void *old, size_t old_size, size_t size)
{
    return arena_grow(ctx, old, old_size, size);
}

static void alc_free(void *ctx, void *ptr)
{
    (void)ctx;
    (void)ptr;
}

/* --- what yyjson lets pass --------------------------------------------------------------------- */

static size_t offset_of_key(const struct json *doc, yyjson_val *key)
{
    return (size_t)(yyjson_get_str(key) - doc->copy);
}

static int compare_keys(const void *a, const void *b)
{
    yyjson_val *x = *(yyjson_val *const *)a, *y = *(yyjson_val *const *)b;
    return str_cmp((str){yyjson_get_str(x), yyjson_get_len(x)},
                   (str){yyjson_get_str(y), yyjson_get_len(y)});
}

static yyjson_val *duplicate_few(yyjson_val *object)
{
    yyjson_val *seen[16];
    size_t n = 0, i, max;
    yyjson_val *key, *value;

    yyjson_obj_foreach(object, i, max, key, value)
    {
        for (size_t j = 0; j < n; j++)
            if (yyjson_equals_strn(key, yyjson_get_str(seen[j]), yyjson_get_len(seen[j])))
                return key;
        seen[n++] = key;
    }
    return NULL;
}

static yyjson_val *duplicate_many(yyjson_val *object, struct arena *a)
{
    size_t count = yyjson_obj_size(object), n = 0, i, max;
    yyjson_val **keys = arena_alloc(a, count * sizeof(void *));
    yyjson_val *key, *value;

    if (!keys)
        return object; /* no memory to be sure: refuse */
    yyjson_obj_foreach(object, i, max, key, value) keys[n++] = key;
    qsort(keys, n, sizeof *keys, compare_keys);
    for (i = 1; i < n; i++)
        if (compare_keys(&keys[i - 1], &keys[i]) == 0)
            return keys[i];
    return NULL;
}

/* yyjson stores values in document order, so depth and duplicates are one pass without recursion. */
static bool check_values(const struct json *doc, struct arena *a, size_t count,
                         struct json_fault *fault)
{
    size_t left[JSON_DEPTH_MAX + 1];
    unsigned depth = 0;
    yyjson_val *v = in(doc->root);

    left[0] = 1;
    for (size_t i = 0; i < count; i++, v++) {
        while (left[depth] == 0)
            depth--;
        left[depth]--;
        if (!yyjson_is_ctn(v))
            continue;
        if (++depth > JSON_DEPTH_MAX)
            return fault_set(fault, JSON_FAULT_DEPTH, 0, "nested deeper than 128");
        bool is_object = yyjson_is_obj(v);
        size_t n = is_object ? yyjson_obj_size(v) : yyjson_arr_size(v);
        left[depth] = is_object ? 2 * n : n;
        yyjson_val *twice = !is_object || n < 2 ? NULL
                            : n <= 16           ? duplicate_few(v)
                                                : duplicate_many(v, a);
        if (twice)
            return fault_set(fault, JSON_FAULT_DUPLICATE,
                             yyjson_is_str(twice) ? offset_of_key(doc, twice) : 0,
                             "the same member stands twice in an object");
    }
    return true;
}

bool json_parse(struct json *doc, struct arena *a, str text, struct json_fault *fault)
{
    const yyjson_alc alc = {alc_malloc, alc_realloc, alc_free, a};
    char *copy = arena_alloc(a, text.len + YYJSON_PADDING_SIZE);
    yyjson_read_err err;

    if (!copy)
        return fault_set(fault, JSON_FAULT_MEMORY, 0, "the text needs more memory than allowed");
    if (text.len)
        memcpy(copy, text.ptr, text.len);
    memset(copy + text.len, 0, YYJSON_PADDING_SIZE);
    yyjson_doc *d = yyjson_read_opts(copy, text.len, YYJSON_READ_INSITU, &alc, &err);
    if (!d) {
        bool is_memory = err.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION;
        bool is_utf8 = err.code == YYJSON_READ_ERROR_INVALID_STRING && !str_is_utf8(text);
        return fault_set(fault,
                         is_memory ? JSON_FAULT_MEMORY
                         : is_utf8 ? JSON_FAULT_UTF8
                                   : JSON_FAULT_SYNTAX,
                         err.pos, is_utf8 ? "not UTF-8" : err.msg);
    }
    *doc = (struct json){text, copy, out(yyjson_doc_get_root(d))};
    return check_values(doc, a, yyjson_doc_get_val_count(d), fault);
}

bool json_check(struct arena *a, str text, struct json_fault *fault)
{
    struct json doc;
    return json_is_surely_good(text) || json_parse(&doc, a, text, fault);
}

/* --- reading ------------------------------------------------------------------------------------ */

bool json_is_object(const json_value *v)
{
    return yyjson_is_obj(in(v));
}

bool json_is_array(const json_value *v)
{
    return yyjson_is_arr(in(v));
}

bool json_is_string(const json_value *v)
{
    return yyjson_is_str(in(v));
}

bool json_is_null(const json_value *v)
{
    return yyjson_is_null(in(v));
}

bool json_is_integer(const json_value *v, int64_t *ret)
{
    yyjson_val *y = in(v);

    if (yyjson_is_uint(y) && yyjson_get_uint(y) <= INT64_MAX)
        *ret = (int64_t)yyjson_get_uint(y);
    else if (yyjson_is_sint(y))
        *ret = yyjson_get_sint(y);
    else
        return false;
    return true;
}

bool json_is_bool(const json_value *v, bool *ret)
{
    if (!yyjson_is_bool(in(v)))
        return false;
    *ret = yyjson_get_bool(in(v));
    return true;
}

bool json_number(const json_value *v, double *ret)
{
    if (!yyjson_is_num(in(v)))
        return false;
    *ret = yyjson_get_num(in(v));
    return true;
}

str json_string(const json_value *v)
{
    return yyjson_is_str(in(v)) ? (str){yyjson_get_str(in(v)), yyjson_get_len(in(v))}
                                : (str){NULL, 0};
}

size_t json_size(const json_value *v)
{
    return json_is_object(v) ? yyjson_obj_size(in(v)) : yyjson_arr_size(in(v));
}

enum json_kind json_kind(const json_value *v)
{
    static const unsigned char kinds[8] = {
        [YYJSON_TYPE_NULL] = JSON_NULL,  [YYJSON_TYPE_BOOL] = JSON_BOOL,
        [YYJSON_TYPE_NUM] = JSON_NUMBER, [YYJSON_TYPE_STR] = JSON_STRING,
        [YYJSON_TYPE_ARR] = JSON_ARRAY,  [YYJSON_TYPE_OBJ] = JSON_OBJECT};

    return kinds[unsafe_yyjson_get_type(in(v)) & 7];
}

static_assert(LDBL_MANT_DIG >= 64, "json_exact() needs 64 bits of mantissa");

long double json_exact(const json_value *number)
{
    yyjson_val *v = in(number);

    return yyjson_is_uint(v)   ? (long double)yyjson_get_uint(v)
           : yyjson_is_sint(v) ? (long double)yyjson_get_sint(v)
                               : (long double)yyjson_get_real(v);
}

/* Values lie in document order. */
size_t json_count(const json_value *v)
{
    return (size_t)(unsafe_yyjson_get_next(in(v)) - in(v));
}

const json_value *json_get(const json_value *object, str key)
{
    return out(yyjson_obj_getn(in(object), key.ptr, key.len));
}

const json_value *json_have(const json_value *object, str key)
{
    const json_value *v = json_get(object, key);
    return json_is_null(v) ? NULL : v;
}

struct json_iter json_iter(const json_value *container)
{
    yyjson_val *v = in(container);
    bool is_object = json_is_object(container);

    if (!yyjson_is_ctn(v))
        return (struct json_iter){0};
    return (struct json_iter){
        .next = out(v + 1), .left = json_size(container), .is_object = is_object};
}

bool json_next(struct json_iter *i)
{
    if (!i->left)
        return false;
    i->left--;
    yyjson_val *v = in(i->next);
    if (i->is_object) {
        i->key_value = i->next;
        i->key = json_string(i->next);
        v++;
    }
    i->value = out(v);
    i->next = out(unsafe_yyjson_get_next(v));
    return true;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The document was unescaped in place in a copy, so a key starts at the same offset in both. From
 * there the value starts behind the closing quote and the colon; it ends before the comma and quote
 * of the next key, or before the brace that closes the object. */
str json_raw(const struct json *doc, str raw_object, const struct json_iter *i)
{
    const char *at = doc->text.ptr + offset_of_key(doc, in(i->key_value));
    const char *end;

    while (*at != '"')
        at += *at == '\\' ? 2 : 1;
    for (at++; is_space(*at) || *at == ':'; at++)
        ;
    if (i->left)
        end = doc->text.ptr + offset_of_key(doc, in(i->next)) - 1;
    else
        end = raw_object.ptr + raw_object.len;
    char stop = i->left ? ',' : '}';
    while (*--end != stop)
        ;
    while (is_space(end[-1]))
        end--;
    return (str){at, (size_t)(end - at)};
}

void json_write(const json_value *v, struct arena_text *t)
{
    size_t n;
    char *text = yyjson_val_write(in(v), YYJSON_WRITE_NOFLAG, &n);

    if (!text) {
        t->has_failed = true;
        return;
    }
    text_add(t, (str){text, n});
    free(text);
}
