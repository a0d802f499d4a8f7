/* jsonschema_format.h: formats that have a file of their own. Pure functions. */
#ifndef BASE_JSONSCHEMA_FORMAT_H
#define BASE_JSONSCHEMA_FORMAT_H
#include "base/jsonschema_parts.h"

bool format_is_ipv4(str s);
bool format_is_ipv6(str s);
/* RFC 3986; the iri ones take what RFC 3987 adds, too. */
bool format_is_uri(str s);
bool format_is_uri_reference(str s);
bool format_is_iri(str s);
bool format_is_iri_reference(str s);
/* RFC 6570: the braces, and what stands in them. */
bool format_is_uri_template(str s);
#endif
