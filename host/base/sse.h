/* sse.h: records of an event stream (WHATWG HTML 9.2, text/event-stream). Pure functions. */
#ifndef BASE_SSE_H
#define BASE_SSE_H
#include "base/str.h"

struct sse_record {
    str name, id, data; /* name and id: empty for none, without line breaks (see sse_is_valid) */
    uint32_t retry_ms;  /* 0: none                                                             */
};

/* Neither name nor id may hold a line break, and id no NUL. */
bool sse_is_valid(const struct sse_record *r);
/* Bytes that sse_write() will write. */
size_t sse_size(const struct sse_record *r);
/* Writes sse_size() bytes: fields, one data line for each line of data, and the empty line. Returns
 * the end. */
char *sse_write(const struct sse_record *r, char *to);
#endif
