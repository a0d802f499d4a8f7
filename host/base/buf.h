/* buf.h: a growing byte buffer with a limit; there is no way to make one without a limit.
 * Owner: whoever holds it. A failed append (over the limit, or out of memory) sets has_failed and
 * changes nothing else, so a writer may check once at the end. */
#ifndef BASE_BUF_H
#define BASE_BUF_H
#include "base/str.h"

struct buf {
    char *ptr;
    size_t len, cap, limit;
    bool has_failed;
};

#define BUF_MAX ((size_t)1 << 40) /* "no limit" where the input is already limited */

void buf_init(struct buf *b, size_t limit);
void buf_deinit(struct buf *b);
/* Empties it and keeps the memory. */
void buf_clear(struct buf *b);
/* Room for n bytes more at ptr + len; NULL when it failed. */
char *buf_reserve(struct buf *b, size_t n);
bool buf_add(struct buf *b, str s);
bool buf_addc(struct buf *b, char c);
bool buf_addz(struct buf *b, const char *z);
bool buf_addu(struct buf *b, uint64_t n);
bool buf_addf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The first character of a text that is not empty, or U+FFFD where there is none. How many bytes that was. */
size_t buf_add_character(struct buf *b, str text);
/* The text as a JSON string token, quotes included. Bytes that are not UTF-8 become U+FFFD. */
bool buf_add_json(struct buf *b, str text);
/* Removes the first n bytes. */
void buf_drop(struct buf *b, size_t n);
static inline str buf_str(const struct buf *b)
{
    return (str){b->ptr, b->len};
}
/* The malloc'ed, NUL-terminated content; the buffer is empty afterwards. NULL when it had failed. */
char *buf_take_z(struct buf *b);
#endif
