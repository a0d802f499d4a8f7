/* lazy.h: shared libraries that are loaded when they are first needed: what a daemon does not use costs it
 * neither time at the start nor memory. Any thread.
 *
 * A face (openssl.h, sqlite_lib.h) includes the library's own headers, declares a table of the functions that
 * NAME.list has, and lets their names stand for the table's pointers; both are made from the list by the
 * build. Whoever includes a face includes none of the library's headers behind it. */
#ifndef BASE_LAZY_H
#define BASE_LAZY_H
#include <pthread.h>
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
    pthread_once_t once;
    char why[160]; /* what is missing; empty: nothing */
};

/* true: every pointer is set. false: l->why; the same answer each time, nothing may be called. It stays. */
bool lazy_load(struct lazy *l, void (*load)(void));
/* For `load`, which runs once. true: nothing is missing. */
bool lazy_open(struct lazy *l);
#endif
