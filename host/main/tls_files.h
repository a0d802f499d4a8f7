/* tls_files.h: from the settings about TLS to a context. */
#ifndef MAIN_TLS_FILES_H
#define MAIN_TLS_FILES_H
#include "config/settings.h"
#include "net/tls.h"

/* Job thread: reads the files. NULL without TLS, or when d says what is wrong. before: the settings in
 * force, NULL at the start. */
struct tls_context *tls_files_load(const struct settings *s, const struct settings *before,
                                   struct tls_tickets *tickets, struct diag *d);
#endif
