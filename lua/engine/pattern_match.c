/* pattern_match.c: Lua patterns as the manual (6.4.1) describes them, written anew for one reason:
 * a step budget. The stock matcher backtracks without end (14 s on 400 characters), and no hook
 * fires inside C. Every comparison of a character and every retry is a step; more than a million of
 * them raise "pattern too complex". Recursion is bounded too, it happens only where something must
 * be remembered. */
#include "pattern.h"

#include <ctype.h>
#include <string.h>

static inline void step(struct matcher *m)
{
    if (m->steps-- == 0)
        luaL_error(m->L, "pattern too complex");
}

static inline unsigned char byte(const char *p)
{
    return (unsigned char)*p;
}

/* --- single characters ---------------------------------------------------------------------------
 */

/* The item after the single-character class at p: x, %x, [set], dot. */
static const char *class_end(struct matcher *m, const char *p)
{
    if (p == m->pend)
        luaL_error(m->L, "malformed pattern (ends with '%%')");
    if (*p == '%') {
        if (p + 1 == m->pend)
            luaL_error(m->L, "malformed pattern (ends with '%%')");
        return p + 2;
    }
    if (*p != '[')
        return p + 1;
    p++;
    if (p < m->pend && *p == '^')
        p++;
    do { /* a ']' that comes first is an ordinary member */
        if (p >= m->pend)
            luaL_error(m->L, "malformed pattern (missing ']')");
        if (*p++ == '%') {
            if (p >= m->pend)
                luaL_error(m->L, "malformed pattern (missing ']')");
            p++;
        }
    } while (p >= m->pend || *p != ']');
    return p + 1;
}

static bool in_class(int c, int name)
{
    bool is;

    switch (tolower(name)) {
    case 'a': is = isalpha(c); break;
    case 'c': is = iscntrl(c); break;
    case 'd': is = isdigit(c); break;
    case 'g': is = isgraph(c); break;
    case 'l': is = islower(c); break;
    case 'p': is = ispunct(c); break;
    case 's': is = isspace(c); break;
    case 'u': is = isupper(c); break;
    case 'w': is = isalnum(c); break;
    case 'x': is = isxdigit(c); break;
    default: return name == c;
    }
    return isupper(name) ? !is : is;
}

/* p is at '[', last at the ']' that ends the set. */
static bool in_set(struct matcher *m, int c, const char *p, const char *last)
{
    bool is_negated = p[1] == '^';

    for (p += is_negated ? 2 : 1; p < last; p++) {
        step(m);
        if (*p == '%') {
            p++;
            if (in_class(c, byte(p)))
                return !is_negated;
        } else if (p + 2 < last && p[1] == '-') {
            if (byte(p) <= c && c <= byte(p + 2))
                return !is_negated;
            p += 2;
        } else if (byte(p) == c) {
            return !is_negated;
        }
    }
    return is_negated;
}

/* Does the class p .. next take the character at s? */
static bool takes(struct matcher *m, const char *s, const char *p, const char *next)
{
    step(m);
    if (s >= m->end)
        return false;
    switch (*p) {
    case '.': return true;
    case '%': return in_class(byte(s), byte(p + 1));
    case '[': return in_set(m, byte(s), p, next - 1);
    default: return *p == *s;
    }
}

/* --- matching
 * --------------------------------------------------------------------------------------- */

static const char *match(struct matcher *m, const char *s, const char *p);

/* The rest of the pattern, remembering where we are: the only way the C stack grows. */
static const char *match_rest(struct matcher *m, const char *s, const char *p)
{
    if (++m->depth > DEPTH)
        luaL_error(m->L, "pattern too complex");
    const char *end = match(m, s, p);
    m->depth--;
    return end;
}

static const char *match_balanced(struct matcher *m, const char *s, const char *p)
{
    if (p + 1 >= m->pend)
        luaL_error(m->L, "malformed pattern (missing arguments to '%%b')");
    if (s >= m->end || *s != *p)
        return NULL;
    int nested = 1;
    while (++s < m->end) {
        step(m);
        if (*s == p[1]) {
            if (--nested == 0)
                return s + 1;
        } else if (*s == *p) {
            nested++;
        }
    }
    return NULL;
}

static const char *match_longest(struct matcher *m, const char *s, const char *p, const char *next)
{
    const char *at = s;

    while (takes(m, at, p, next))
        at++;
    for (;; at--) {
        const char *end = match_rest(m, at, next + 1);
        if (end || at == s)
            return end;
    }
}

static const char *match_shortest(struct matcher *m, const char *s, const char *p, const char *next)
{
    for (;; s++) {
        const char *end = match_rest(m, s, next + 1);
        if (end)
            return end;
        if (!takes(m, s, p, next))
            return NULL;
    }
}

static const char *open_capture(struct matcher *m, const char *s, const char *p, ptrdiff_t len)
{
    if (m->level >= CAPTURES)
        luaL_error(m->L, "too many captures");
    m->cap[m->level].at = s;
    m->cap[m->level].len = len;
    m->level++;
    const char *end = match_rest(m, s, p);
    if (!end)
        m->level--;
    return end;
}

static const char *close_capture(struct matcher *m, const char *s, const char *p)
{
    int i = m->level - 1;

    while (i >= 0 && m->cap[i].len != OPEN)
        i--;
    if (i < 0)
        luaL_error(m->L, "invalid pattern capture");
    m->cap[i].len = s - m->cap[i].at;
    const char *end = match_rest(m, s, p);
    if (!end)
        m->cap[i].len = OPEN;
    return end;
}

static const char *match_back(struct matcher *m, const char *s, int digit)
{
    int i = digit - '1';

    if (i < 0 || i >= m->level || m->cap[i].len == OPEN)
        luaL_error(m->L, "invalid capture index %%%d", i + 1);
    if (m->cap[i].len == POSITION) /* a place is no text to match again */
        return NULL;
    size_t len = (size_t)m->cap[i].len;
    if ((size_t)(m->end - s) < len)
        return NULL;
    if (len / 64 >= m->steps)
        luaL_error(m->L, "pattern too complex");
    m->steps -= (uint32_t)(len / 64);
    return memcmp(m->cap[i].at, s, len) == 0 ? s + len : NULL;
}

/* %f[set]: between a character outside and one inside; the ends of the subject count as \0. */
static const char *match_frontier(struct matcher *m, const char *s, const char *p)
{
    if (p >= m->pend || *p != '[')
        luaL_error(m->L, "missing '[' after '%%f' in pattern");
    const char *next = class_end(m, p);
    int before = s == m->begin ? 0 : byte(s - 1);
    int after = s == m->end ? 0 : byte(s);
    if (in_set(m, before, p, next - 1) || !in_set(m, after, p, next - 1))
        return NULL;
    return next;
}

/* %b, %f, %1: those that take no repetition. *p moves past it, s is returned; NULL: no match. */
static const char *match_special(struct matcher *m, const char *s, const char **p)
{
    const char *at = *p + 1;

    if (*at == 'b') {
        *p = at + 3;
        return match_balanced(m, s, at + 1);
    }
    if (*at == 'f') {
        const char *next = match_frontier(m, s, at + 1);
        *p = next;
        return next ? s : NULL;
    }
    *p = at + 1;
    return match_back(m, s, byte(at));
}

/* Where the match of p at s ends; NULL: there is none. */
static const char *match(struct matcher *m, const char *s, const char *p)
{
    while (p != m->pend) {
        step(m);
        if (*p == '(')
            return p + 1 < m->pend && p[1] == ')' ? open_capture(m, s, p + 2, POSITION)
                                                  : open_capture(m, s, p + 1, OPEN);
        if (*p == ')')
            return close_capture(m, s, p + 1);
        if (*p == '$' && p + 1 == m->pend)
            return s == m->end ? s : NULL;
        if (*p == '%' && p + 1 < m->pend && (p[1] == 'b' || p[1] == 'f' || isdigit(byte(p + 1)))) {
            s = match_special(m, s, &p);
            if (!s)
                return NULL;
            continue;
        }
        const char *next = class_end(m, p);
        char repeat = next < m->pend ? *next : 0;
        if (repeat == '*')
            return match_longest(m, s, p, next);
        if (repeat == '-')
            return match_shortest(m, s, p, next);
        bool is_taken = takes(m, s, p, next);
        if (repeat == '+')
            return is_taken ? match_longest(m, s + 1, p, next) : NULL;
        if (repeat == '?') {
            const char *end = is_taken ? match_rest(m, s + 1, next + 1) : NULL;
            if (end)
                return end;
            p = next + 1;
            continue;
        }
        if (!is_taken)
            return NULL;
        s++;
        p = next;
    }
    return s;
}

void matcher_init(struct matcher *m, lua_State *L, const char *s, size_t len, const char *p,
                  size_t plen)
{
    m->L = L;
    m->begin = s;
    m->end = s + len;
    m->pend = p + plen;
    m->steps = PATTERN_STEPS;
    m->depth = m->level = 0;
}

const char *match_at(struct matcher *m, const char *s, const char *p)
{
    m->level = m->depth = 0;
    return match(m, s, p);
}
