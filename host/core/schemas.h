/* schemas.h: JSON Schemas that operators have registered, by URI (MIG v0.1 9.4). A set is immutable and
 * counted; a change makes a new one that shares the texts. Any thread reads one that it holds. */
#ifndef CORE_SCHEMAS_H
#define CORE_SCHEMAS_H
#include "base/str.h"

struct schemas;

enum {
    SCHEMAS_MAX = 10000,
    SCHEMA_URI_MAX = 512,        /* bytes of a URI         */
    SCHEMA_TEXT_MAX = 1 << 20,   /* bytes of a schema      */
    SCHEMAS_BYTES_MAX = 64 << 20 /* bytes of all, with URIs */
};

/* An empty set. */
struct schemas *schemas_new(void);
struct schemas *schemas_ref(struct schemas *s);
/* Returns NULL. */
struct schemas *schemas_unref(struct schemas *s);

/* Absolute, without a fragment: visible ASCII, a scheme, at most SCHEMA_URI_MAX bytes. */
bool schemas_is_uri(str uri);
/* *ret_text is good as long as the set. */
bool schemas_find(const struct schemas *s, str uri, str *ret_text);
/* The same set with this schema, or this one's text replaced; copies. NULL: it would pass a limit. */
struct schemas *schemas_with(const struct schemas *s, str uri, str text);

size_t schemas_count(const struct schemas *s);
size_t schemas_bytes(const struct schemas *s);
/* In byte order of the URIs. i < schemas_count(). */
str schemas_uri(const struct schemas *s, size_t i);
#endif
