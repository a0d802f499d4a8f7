/* logwriter.h: the thread that writes log lines, so that a slow disk or terminal never holds a loop.
 * base/line_writer.h does the work: what does not fit is dropped, counted, and told of. */
#ifndef MAIN_LOGWRITER_H
#define MAIN_LOGWRITER_H
#include "base/str.h"

/* path NULL: standard error. false: the file cannot be opened (errno). */
bool logwriter_start(const char *path);
/* [any] Open the file again by its name: after rotation. */
void logwriter_reopen(void);
/* Writes what waits and ends the thread. */
void logwriter_stop(void);
/* Lines dropped since the start. [any] */
uint64_t logwriter_dropped(void);
#endif
