/* uritemplate.h: URI templates of RFC 6570 level 1, "observatory://artifact/{id}": check, match
 * and fill. A variable stands for one or more characters other than / ? # (what level 1 expansion
 * can produce) and is percent-encoded in the URI. Pure functions, any thread. */
#ifndef BASE_URITEMPLATE_H
#define BASE_URITEMPLATE_H
#include "base/buf.h"

enum { URITEMPLATE_VARS_MAX = 16, URITEMPLATE_BYTES_MAX = 2048 };

struct uritemplate_var {
    str name, value;
};

/* NULL for a good template; else what is wrong with it, for humans, and where (*ret_at, a byte
 * offset). Asks for an absolute URI whose scheme is literal; refuses operators and modifiers of
 * higher levels, a name used twice, and two variables without text between them. */
const char *uritemplate_check(str text, size_t *ret_at);
/* Variables in a checked template; 0: it names one resource. */
size_t uritemplate_count(str text);
/* Is uri an expansion of a checked template? vars (room for URITEMPLATE_VARS_MAX) become slices of
 * both texts, values still encoded. [any] O(length). */
bool uritemplate_match(str text, str uri, struct uritemplate_var *vars, size_t *ret_count);
/* The value without percent-encoding; false when an escape is broken. */
bool uritemplate_decode(str value, struct buf *out);
/* Expansion with plain values; a variable that vars lacks becomes nothing (RFC 6570 3.2.1). */
bool uritemplate_fill(str text, const struct uritemplate_var *vars, size_t count, struct buf *out);
#endif
