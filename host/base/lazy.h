/* lazy.h: shared libraries that are loaded when they are first needed: what a daemon does not use costs it
 * neither time at the start nor memory. Any thread.
 *
 * A face (openssl.h, sqlite_lib.h) includes the library's own headers, declares a table of the functions that
 * NAME.list has, and lets their names stand for the table's pointers; both are made from the list by the
 * build. Whoever includes a face includes none of the library's headers behind it. */
#ifndef BASE_LAZY_H
#define BASE_LAZY_H
#include <stdbool.h>
#include <stddef.h>

struct lazy_symbol {
    const char *name;
    void *to; /* a pointer to a function */
};

struct lazy {
    const char *file; /* "libssl.so.3"; functions of libraries that it needs count as its own */
    const struct lazy_symbol *symbols;
    size_t count;

    /* private */
    bool was_tried;
    char why[160];
};

/* true: every pointer is set. false: nothing may be called; *ret_why, when ret_why is not NULL, says what is
 * missing. The same answer each time: what was loaded stays. */
bool lazy_load(struct lazy *l, const char **ret_why);
#endif
