/* json_canon.h: one text for all spellings of a JSON value, so that two payloads can be compared by
 * their digest. After RFC 8785: members in the order of their UTF-16 code units, no white space, one
 * spelling per string and number. Unlike there, integers keep all their digits (two numbers that
 * differ behind the 53rd bit are two numbers), and control characters are \u00XX. */
#ifndef BASE_JSON_CANON_H
#define BASE_JSON_CANON_H
#include "base/json.h"

/* Appends the text of v. Lists of members are sorted in t's arena. t->has_failed: no memory. */
void json_canon(const json_value *v, struct arena_text *t);
#endif
