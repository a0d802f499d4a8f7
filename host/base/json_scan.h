/* json_scan.h: a look at JSON text that keeps nothing. For json.c. */
#ifndef BASE_JSON_SCAN_H
#define BASE_JSON_SCAN_H
#include "base/str.h"

/* true: certainly one JSON value as json_parse() takes it (RFC 8259, depth, no duplicate members).
 * false: it may be good or bad; json_parse() tells. Doubtful is what is rare in answers of programs:
 * text beyond ASCII, \u escapes, escapes in keys, very many keys in open objects. */
bool json_is_surely_good(str text);
#endif
