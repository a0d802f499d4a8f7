/* access_writer.h: the thread that writes the access log, so that a slow disk never holds a loop. Loops
 * hand over what they have collected; what does not fit the bounded queue is dropped and counted, and
 * a line in the log says how many. One per process. */
#ifndef EDGE_ACCESS_WRITER_H
#define EDGE_ACCESS_WRITER_H
#include "base/str.h"

enum { ACCESS_WAITING_MAX = 8 << 20 }; /* bytes */

/* "-": standard output. false: the file cannot be opened (errno). */
bool access_writer_open(const char *path);
/* [any] Whole lines, copied. Without an open log they go nowhere. */
void access_writer_add(str lines, size_t count);
/* [any] Open the file again by its name: after rotation. */
void access_writer_reopen(void);
/* Writes what waits and ends the thread. */
void access_writer_close(void);
/* [any] Lines dropped since the start. */
uint64_t access_writer_dropped(void);
#endif
