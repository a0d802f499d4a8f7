/* source.h: what settings.c and manifest.c share: reading their files, ${VAR} in them, paths beside
 * them, and guesses at what a wrong word was meant to be. Pure but for source_read(). */
#ifndef CONFIG_SOURCE_H
#define CONFIG_SOURCE_H
#include "base/diag.h"

enum { SOURCE_BYTES_MAX = 1 << 20, SOURCE_VALUE_MAX = 64 << 10 };

/* The value of an environment variable, NULL when unset. `environ` NULL: the process's own. */
const char *source_env(const char *const *environ, str name);

/* The whole file as a NUL-terminated text, freed by the caller; NULL with a finding `id`. Refuses
 * what is no regular file (a FIFO would hang the start) and what is over 1 MiB. */
char *source_read(const char *path, const char *id, struct diag *d, size_t *ret_len);

/* Appends s with ${VAR} and ${VAR:default} replaced; what else begins with $ stays as it is
 * (scripts and templates have their own ${...}). A variable without value and default becomes
 * nothing, with a warning. Returns how many were replaced. */
size_t source_expand(str s, const char *const *environ, struct diag_at at, struct diag *d,
                     struct buf *out);

/* path, if relative, seen from the folder of `file`; file NULL: unchanged. malloc'ed. */
char *source_beside(const char *file, str path);

/* ` (did you mean "x"?)` for the word nearest to `word`, or nothing. words ends with NULL. Use it
 * within one expression: source_suggest(...).text. */
struct suggestion {
    char text[128];
};
struct suggestion source_suggest(str word, const char *const *words);
#endif
