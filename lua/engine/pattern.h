/* pattern.h: matching of Lua patterns, between pattern_match.c (the matcher) and pattern.c (the
 * four functions of the string library). */
#ifndef LUA_PATTERN_H
#define LUA_PATTERN_H
#include "engine.h"

enum { CAPTURES = 32, DEPTH = 200 };
enum { OPEN = -1, POSITION = -2 }; /* lengths of unfinished and of "()" captures */

struct matcher {
    lua_State *L;
    const char *begin, *end; /* subject */
    const char *pend;        /* end of the pattern */
    uint32_t steps;
    int depth, level;
    struct {
        const char *at;
        ptrdiff_t len;
    } cap[CAPTURES];
};

void matcher_init(struct matcher *m, lua_State *L, const char *s, size_t len, const char *p,
                  size_t plen);
/* Where the match of p at s ends; NULL: there is none. Raises when p is malformed or the steps are
 * used up; what one matcher tries, it pays for together. */
const char *match_at(struct matcher *m, const char *s, const char *p);

#endif
