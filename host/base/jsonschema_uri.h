/* jsonschema_uri.h: references between schema documents (RFC 3986 section 5). Pure functions. */
#ifndef BASE_JSONSCHEMA_URI_H
#define BASE_JSONSCHEMA_URI_H
#include "base/arena.h"

struct uri_parts {
    str scheme, authority, path, query, fragment; /* ptr NULL: absent */
};

struct uri_parts uri_parse(str uri);
/* The URI that ref means where base is in force. ptr NULL: out of memory. */
str uri_resolve(struct arena *a, str base, str ref);
/* Without the fragment, which becomes *ret_fragment (ptr NULL: there is none). */
str uri_split(str uri, str *ret_fragment);
/* "%41" is "A". ptr NULL: out of memory. A broken escape stays as it is. */
str uri_decode(struct arena *a, str s);
#endif
