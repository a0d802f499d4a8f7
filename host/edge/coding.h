/* coding.h: which content coding an answer gets (RFC 9110 12.5.3), and what may be coded at all. Pure
 * functions. */
#ifndef EDGE_CODING_H
#define EDGE_CODING_H
#include "base/str.h"

enum coding { CODING_IDENTITY, CODING_GZIP, CODING_ZSTD, CODINGS, CODING_UNKNOWN = CODINGS };

/* Of all Accept-Encoding lines of a request. Begin with CODING_WISH_NONE. */
struct coding_wish {
    short q[CODINGS]; /* thousandths; -1: not named */
    short any;        /* of "*"                     */
};
#define CODING_WISH_NONE ((struct coding_wish){{-1, -1, -1}, -1})

/* One line. What is malformed counts as not said. */
void coding_wish_add(struct coding_wish *w, str value);
/* What the client likes best; among equals zstd, then gzip. */
enum coding coding_choose(const struct coding_wish *w);
/* The name in Content-Encoding: "gzip", "zstd". */
str coding_name(enum coding c);
/* The value of a request's Content-Encoding. Several codings at once are CODING_UNKNOWN. */
enum coding coding_of(str value);
/* Does this Content-Type gain from it? Event streams do, but would be held up. */
bool coding_is_compressible(str content_type);
#endif
