/* line_writer.h: a thread that writes lines to a file, so that a slow disk or terminal never holds who
 * has them. They wait in a bounded buffer; what does not fit is dropped and counted, and a line between
 * the others says how many. */
#ifndef BASE_LINE_WRITER_H
#define BASE_LINE_WRITER_H
#include "base/str.h"

struct line_writer;

struct line_writer_config {
    const char *path; /* NULL: fd, which stays the caller's */
    int fd;
    size_t waiting_max;  /* bytes                              */
    const char *dropped; /* the line about dropped ones, up to its number; "}" ends it */
};

/* NULL: the file cannot be opened (errno). */
struct line_writer *line_writer_open(const struct line_writer_config *c);
/* [any] Whole lines, copied. */
void line_writer_add(struct line_writer *w, str lines, size_t count);
/* [any] Open the file again by its name: after rotation. */
void line_writer_reopen(struct line_writer *w);
/* Writes what waits and ends the thread. w may be NULL. */
void line_writer_close(struct line_writer *w);
/* [any] Lines dropped since the start. */
uint64_t line_writer_dropped(const struct line_writer *w);
#endif
