/* hex.h: hexadecimal digits. Pure, any thread. */
#ifndef BASE_HEX_H
#define BASE_HEX_H
#include <stddef.h>

/* Lower-case, 2n characters, no NUL. */
void hex_write(char *to, const unsigned char *bytes, size_t n);
/* Of a character, lower case alone; -1: it is none. */
static inline int hex_lower_value(int c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
/* Of either case. */
static inline int hex_value(int c)
{
    return hex_lower_value(c >= 'A' && c <= 'F' ? c | 0x20 : c);
}
#endif
