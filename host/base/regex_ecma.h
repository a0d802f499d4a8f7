/* regex_ecma.h: a pattern of ECMA-262 written as one of PCRE2. Pure functions. */
#ifndef BASE_REGEX_ECMA_H
#define BASE_REGEX_ECMA_H
#include "base/buf.h"

struct ecma_fault {
    const char *text; /* static */
    size_t offset;    /* in the pattern */
};

/* What a match may cost a machine that tries one way after the other: at most about
 * factor * length^degree of its steps; is_wild: there is no such bound, as for ^(a+)+$ */
struct ecma_cost {
    bool is_wild;
    unsigned degree;
    uint64_t factor;
};

/* Appends to out. Everything in which the two languages differ is spelled out, so that the result
 * means the same whatever PCRE2's defaults are: it is to be compiled with PCRE2_UTF,
 * PCRE2_DOLLAR_ENDONLY, PCRE2_MATCH_UNSET_BACKREF and PCRE2_ALLOW_EMPTY_CLASS.
 * false: not a pattern of ECMA-262, or out is full. */
bool ecma_to_pcre(struct buf *out, str pattern, struct ecma_cost *cost, struct ecma_fault *fault);

/* Long names of general categories ("Letter") and the short ones PCRE2 knows ("L"). */
str ecma_category(str name);
#endif
