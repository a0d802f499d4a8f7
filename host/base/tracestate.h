/* tracestate.h: the `tracestate` of W3C Trace Context: what others on the way say beside a traceparent.
 * We add nothing of our own to it, so it is handed on as it came, within limits. Pure, any thread. */
#ifndef BASE_TRACESTATE_H
#define BASE_TRACESTATE_H
#include "base/str.h"

enum {
    TRACESTATE_MEMBERS = 32, /* 3.3.1.1 */
    TRACESTATE_MAX = 512,    /* 3.3.1.5: so much is always handed on, and here not more */
    TRACESTATE_LONG = 128    /* 3.3.1.5: members above go first when there is too much  */
};

/* A list of key=value members (3.3.1), joined by commas without blanks. What has a wrong form, or a key
 * twice, is dropped as a whole (4.3): 0. Of too many members the first ones stay. Returns the length. */
size_t tracestate_write(str text, char out[TRACESTATE_MAX]);
#endif
