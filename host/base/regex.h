/* regex.h: patterns of ECMA-262 (as JSON Schema asks for), run by PCRE2. The one face of PCRE2.
 *
 * Patterns and subjects come from outside, so each match that could run away is watched and has a
 * limit, both of steps and of memory; what exceeds it is said to do so and never runs on. Any
 * thread may match with a compiled pattern. */
#ifndef BASE_REGEX_H
#define BASE_REGEX_H
#include "base/arena.h"

enum { REGEX_PATTERN_MAX = 16384 }; /* bytes */

struct regex;

struct regex_fault {
    size_t offset;  /* in the pattern, bytes from 0 */
    char text[160]; /* for humans                   */
};

/* pattern is UTF-8 and read as with the flag u, more leniently: punctuation may be escaped, and a
 * brace or bracket that closes nothing stands for itself. Differs from ECMA-262: a look-behind must
 * have a bounded length, repetition ends at 65535. false: *fault says why. */
bool regex_compile(struct regex **ret, str pattern, struct regex_fault *fault);
/* The same for a pattern of our own, which is known to be good: PCRE2 sees it when a subject comes for
 * the first time. false: out of memory. */
bool regex_compile_late(struct regex **ret, str pattern);
void regex_free(struct regex *r);

enum regex_result { REGEX_NO, REGEX_YES, REGEX_EXCEEDED };

/* What the matches of one thread share; starts as {.arena = a}. What they need is taken from the
 * arena once, nothing from malloc. */
struct regex_scratch {
    struct arena *arena;
    void *data, *context;
};

/* Does it match somewhere in subject (valid UTF-8)? What it cost is taken from *steps, in units of
 * some ten nanoseconds; REGEX_EXCEEDED also when there are none left. */
enum regex_result regex_match(const struct regex *r, str subject, struct regex_scratch *scratch,
                              uint64_t *steps);
#endif
