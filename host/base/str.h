/* str.h: slices of bytes that somebody else owns. The type is the ABI's, so that text crosses the
 * border without conversion. Pure functions, any thread. */
#ifndef BASE_STR_H
#define BASE_STR_H
#include "mig/abi.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef mig_str str;

#define S(literal) ((str){"" literal, sizeof(literal) - 1})
#define STR_ARG(s) (int)(s).len, (s).ptr /* for "%.*s" */

static inline str str_of(const char *z)
{
    return (str){z, z ? strlen(z) : 0};
}

static inline bool str_eq(str a, str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* The same for a literal, compared in place instead of by a call: for what is asked with every request. */
#define STR_IS(s, literal)                                                                         \
    ((s).len == sizeof(literal) - 1 && memcmp((s).ptr, "" literal, sizeof(literal) - 1) == 0)

static inline bool str_starts(str s, str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

static inline bool str_ends(str s, str suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

static inline str str_cut(str s, size_t from)
{
    if (!s.ptr)
        return s; // NULL + 0 is undefined in C
    return from >= s.len ? (str){s.ptr + s.len, 0} : (str){s.ptr + from, s.len - from};
}

/* ASCII case only. */
bool str_eq_nocase(str a, str b);
/* ASCII letters to lower case, in place. */
void str_lower(char *p, size_t n);
/* How many bytes from the front are none of: control characters, quote, backslash. */
size_t str_plain_prefix(str s);
/* The same, and only ASCII, from p to the end of a text that begins at `from`. */
size_t str_ascii_prefix_in(const char *p, const char *from, const char *end);
/* How many bytes from the front are visible ASCII or spaces (0x20 to 0x7E). */
size_t str_printable_prefix(str s);
/* Is needle in hay, ASCII case ignored? The empty needle is. */
bool str_contains_nocase(str hay, str needle);
/* Without spaces, tabs, CR and LF at both ends. */
str str_trim(str s);
/* < 0, 0, > 0 in byte order. */
int str_cmp(str a, str b);
/* The part before the first sep; *rest becomes what follows it (empty, ptr NULL: no sep left). */
str str_split(str *rest, char sep);
/* Whole text as a decimal number; false for anything else and on overflow. */
bool str_to_u64(str s, uint64_t *ret);
bool str_to_i64(str s, int64_t *ret);
/* malloc'ed, NUL-terminated copy; NULL when memory is out. */
char *str_dup(str s);
void str_freep(char **z);
/* Seeded hash for tables whose keys come from outside. */
uint64_t str_hash(str s);
/* Constant time for equal lengths: for secrets. */
bool str_eq_secret(str a, str b);
/* Edit distance, cut off at max: for "did you mean". */
unsigned str_distance(str a, str b, unsigned max);
/* Only visible ASCII (0x21 to 0x7E), and at most max bytes? The empty text is. */
bool str_is_visible(str s, size_t max);
/* Length of the well-formed sequence at the front (RFC 3629 section 4); 0: there is none. */
size_t str_utf8_sequence(str s);
/* Is it valid UTF-8 (RFC 3629)? */
bool str_is_utf8(str s);
#endif
