/* json.h: JSON texts of requests and answers (RFC 8259). The one face of yyjson.
 *
 * Strict: UTF-8 without BOM, no duplicate members, depth at most 128, one value. A parsed document
 * lives in an arena. Values also have a raw form: json_raw() gives the bytes of a member as they
 * stood in the text, so that payloads pass through without being written again. */
#ifndef BASE_JSON_H
#define BASE_JSON_H
#include "base/arena.h"

enum { JSON_DEPTH_MAX = 128 };

typedef struct json_value json_value; /* immutable, belongs to its document's arena */

enum json_fault_kind {
    JSON_FAULT_NONE,
    JSON_FAULT_SYNTAX,
    JSON_FAULT_UTF8,
    JSON_FAULT_DEPTH,
    JSON_FAULT_DUPLICATE,
    JSON_FAULT_MEMORY
};
struct json_fault {
    enum json_fault_kind kind;
    size_t offset;    /* of the offence in the text, bytes from 0 */
    const char *text; /* static, for humans                       */
};
/* "malformed_json", "json_depth", ...: details.reason of MIG errors. */
const char *json_fault_reason(enum json_fault_kind kind);

/* A document. text must outlive it (raw forms point into it). */
struct json {
    str text;         /* as given                              */
    const char *copy; /* where yyjson unescaped it in place    */
    const json_value *root;
};

/* false: *fault says why; nothing is kept but arena memory. */
bool json_parse(struct json *doc, struct arena *a, str text, struct json_fault *fault);
/* The same check without keeping anything but arena memory. */
bool json_check(struct arena *a, str text, struct json_fault *fault);

/* All of these take NULL (absent) and say "no". */
bool json_is_object(const json_value *v);
bool json_is_array(const json_value *v);
bool json_is_string(const json_value *v);
bool json_is_null(const json_value *v);
bool json_is_integer(const json_value *v, int64_t *ret); /* within int64 */
bool json_is_bool(const json_value *v, bool *ret);
bool json_number(const json_value *v, double *ret);
str json_string(const json_value *v);  /* unescaped; empty when it is no string */
size_t json_size(const json_value *v); /* members or items */

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };
/* v is not NULL. */
enum json_kind json_kind(const json_value *v);
/* A number exactly as it was read: integers of 64 bits and doubles have room in a long double. */
long double json_exact(const json_value *number);
/* How many values it consists of: itself, and for containers all within, keys included. */
size_t json_count(const json_value *v);

/* A member; NULL when absent, null when it is null. */
const json_value *json_get(const json_value *object, str key);
/* The same, but a null member counts as absent. */
const json_value *json_have(const json_value *object, str key);

/* for (struct json_iter i = json_iter(v); json_next(&i);) use i.key (objects) and i.value */
struct json_iter {
    const json_value *value, *next, *key_value;
    size_t left;
    str key;
    bool is_object;
};
struct json_iter json_iter(const json_value *container);
bool json_next(struct json_iter *i);

/* The bytes of the i-th member's value in doc->text. raw_object is the raw form of the object that
 * is iterated (doc->text for the root). */
str json_raw(const struct json *doc, str raw_object, const struct json_iter *i);
/* Compact text of a value. */
void json_write(const json_value *v, struct arena_text *out);
#endif
