/* traceparent.h: the `traceparent` of W3C Trace Context, read and written. Pure, any thread. */
#ifndef BASE_TRACEPARENT_H
#define BASE_TRACEPARENT_H
#include "base/str.h"

enum { TRACE_ID = 16, SPAN_ID = 8, TRACEPARENT_TEXT = 55, TRACE_SAMPLED = 1 };

struct traceparent {
    unsigned char trace_id[TRACE_ID], span_id[SPAN_ID], flags;
};

/* version-traceid-parentid-flags (Trace Context 3.2.2). false: to be dropped, which is never an error
 * (4.3). Of later versions what version 00 knows is read. */
bool traceparent_parse(str text, struct traceparent *ret);
/* Version 00: 55 characters, no NUL. */
void traceparent_write(const struct traceparent *t, char out[TRACEPARENT_TEXT]);
#endif
