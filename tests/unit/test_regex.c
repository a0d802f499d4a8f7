#include "unit.h"
#include "base/regex.h"

#include <pthread.h>
#include <time.h>

struct fixture {
    struct arena_pool pool;
    struct arena *a;
    struct regex_scratch scratch;
    uint64_t steps;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->a = arena_new(&f->pool, 64 << 20);
    f->scratch.arena = f->a;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    arena_unref(f->a);
    arena_pool_deinit(&f->pool);
    free(f);
    return 0;
}

static enum regex_result match(struct fixture *f, const char *pattern, str subject)
{
    struct regex_fault fault;
    struct regex *r;

    if (!regex_compile(&r, str_of(pattern), &fault))
        fail_msg("%s: %s at %zu", pattern, fault.text, fault.offset);
    f->steps = 1000000;
    enum regex_result result = regex_match(r, subject, &f->scratch, &f->steps);
    regex_free(r);
    return result;
}

static void means_what_ecma_262_says(void **state)
{
    static const struct {
        const char *pattern;
        str subject;
        bool is_match;
    } cases[] = {
        {"", {"anything", 8}, true},
        {"^abc", {"abcd", 4}, true},
        {"^abc", {"xabc", 4}, false},
        {"abc$", {"xabc", 4}, true},
        {"abc$", {"abc\n", 4}, false}, /* $ is the end, not a line's */
        {"^abc$", {"abc", 3}, true},
        {"^abc$", {"abcabc", 6}, false},
        {"b", {"abc", 3}, true},
        {"^.$", {"\n", 1}, false},
        {"^.$", {"\r", 1}, false},
        {"^.$", {"\xe2\x80\xa8", 3}, false}, /* U+2028 */
        {"^.$", {"\xf0\x9f\x98\x80", 4}, true},
        {"^\\d$", {"7", 1}, true},
        {"^\\d$", {"\xdf\x80", 2}, false}, /* NKO digit zero */
        {"^\\w$", {"\xc3\xa9", 2}, false},
        {"^\\W$", {"\xc3\xa9", 2}, true},
        {"^\\s$", {"\xc2\xa0", 2}, true},
        {"^\\s$", {"\xef\xbb\xbf", 3}, true},
        {"^\\S$", {"\xe2\x80\x83", 3}, false},
        {"^[\\S]$", {"\xe2\x80\x83", 3}, false},
        {"^[\\S]$", {"a", 1}, true},
        {"^[^\\S]$", {" ", 1}, true},
        {"^[\\s\\d]+$", {" 1\t", 3}, true},
        {"^\\cC$", {"\x03", 1}, true},
        {"^\\t\\n\\v\\f\\r$", {"\t\n\v\f\r", 5}, true},
        {"^\\0$", {"\0", 1}, true},
        {"^\\x41\\u0042\\u{43}$", {"ABC", 3}, true},
        {"^\\ud83d\\ude00$", {"\xf0\x9f\x98\x80", 4}, true},
        {"^\\ud83d$", {"\xf0\x9f\x98\x80", 4}, false},
        {"^\\ud83d\\w\\s*$|x", {"x", 1}, true},
        {"^[\\ud83d\\ude00]$", {"\xf0\x9f\x98\x80", 4}, true},
        {"^[\\b]$", {"\b", 1}, true},
        {"\\bcat\\b", {"a cat.", 6}, true},
        {"^a\\/b$", {"a/b", 3}, true},
        {"^a\\-b\\_c$", {"a-b_c", 5}, true},
        {"^[]$", {"]", 1}, false}, /* the empty class */
        {"^[^]$", {"\n", 1}, true},
        {"^[[]$", {"[", 1}, true},
        {"^[[:alpha:]]$", {"a]", 2}, true}, /* no POSIX classes */
        {"^[\\w-.]+$", {"a-b.c", 5}, true},
        {"^[a^]$", {"^", 1}, true},
        {"^a{2,3}$", {"aaa", 3}, true},
        {"^a{,3}$", {"a{,3}", 5}, true},
        {"^{x}$", {"{x}", 3}, true},
        {"^a]$", {"a]", 2}, true},
        {"^a+?$", {"aa", 2}, true},
        {"^(?<year>\\d{4})-\\k<year>$", {"2020-2020", 9}, true},
        {"^(?<year>\\d{4})-\\k<year>$", {"2020-2021", 9}, false},
        {"^\\k<later>(?<later>a)$", {"a", 1}, true}, /* a group not yet set is empty */
        {"^(a)\\1$", {"aa", 2}, true},
        {"^(?:a|b)(?=c)c(?!d)$", {"bc", 2}, true},
        {"(?<=\\$)\\d", {"$7", 2}, true},
        {"(?<!\\$)7", {"$7", 2}, false},
        {"^\\p{Letter}+$", {"\xc3\xa9", 2}, true},
        {"^\\p{Lu}$", {"a", 1}, false},
        {"^\\P{Lu}$", {"a", 1}, true},
        {"^\\p{Script=Greek}$", {"\xce\xb1", 2}, true},
        {"^[\\p{sc=Greek}x]$", {"x", 1}, true},
        {"^\\p{gc=Decimal_Number}$", {"\xdf\x80", 2}, true},
        {"^\xc3\xa9+$", {"\xc3\xa9\xc3\xa9", 4}, true},
    };

    for (size_t i = 0; i < countof(cases); i++)
        if (match(*state, cases[i].pattern, cases[i].subject) !=
            (cases[i].is_match ? REGEX_YES : REGEX_NO))
            fail_msg("%s on %.*s", cases[i].pattern, STR_ARG(cases[i].subject));
}

static void refuses_what_is_no_pattern(void **state)
{
    static const char *const bad[] = {"(",        ")",       "[",
                                      "a)",       "(?>a)",   "(?i)a",
                                      "(?P<a>b)", "(?#x)",   "(?|a)",
                                      "(?C)",     "(?R)",    "(*UTF)",
                                      "*",        "a**",     "a++",
                                      "a{2}{3}",  "^*",      "|+",
                                      "\\",       "\\a",     "\\A",
                                      "\\Z",      "\\Qa\\E", "\\x4",
                                      "\\u12",    "\\u{}",   "\\u{110000}",
                                      "\\c1",     "\\1",     "(a)\\2",
                                      "\\k<a>",   "\\k",     "(?<a>b)(?<a>c)",
                                      "(?<>a)",   "(?<a",    "\\p",
                                      "\\p{",     "\\p{^L}", "\\p{No_Such_Thing}",
                                      "\\p{x=y}", "[b-a]",   "[\\B]",
                                      "\\01",     "[\\1]",   "(*LIMIT_MATCH=9)a",
                                      "(?1)",     "\\g{1}",  "\\R",
                                      "\\C"};

    (void)state;
    for (size_t i = 0; i < countof(bad); i++) {
        struct regex_fault fault = {0};
        struct regex *r;
        if (regex_compile(&r, str_of(bad[i]), &fault))
            fail_msg("accepted: %s", bad[i]);
        assert_true(fault.text[0] && fault.offset <= strlen(bad[i]));
    }
}

static void names_the_place(void **state)
{
    struct regex_fault fault;
    struct regex *r;

    (void)state;
    assert_false(regex_compile(&r, S("ab\\qc"), &fault));
    assert_int_equal(fault.offset, 3);
    assert_string_equal(fault.text, "an escape that ECMA-262 does not have");
}

static double ms_since(const struct timespec *from)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)(now.tv_sec - from->tv_sec) * 1e3 + (double)(now.tv_nsec - from->tv_nsec) / 1e6;
}

static void hostile_patterns_end_soon(void **state)
{
    static const char *const patterns[] = {
        "^(a+)+$",           "^(a|a)*$",   "^(a|aa)+$",  "^(([a-z])+.)+[A-Z]([a-z])+$",
        "^(a?){30}a{30}$",   "(.*a){20}b", "^((a*)*)*$", "(x+x+)+y|(a+a+)+b",
        "^a*a*a*a*a*a*[bc]", ".*.*.*[=#]", "[a-z]*[12]", "^(.*)\\1[bc]"};
    static const size_t sizes[] = {25, 32, 39, 700, 5000, 1000000};
    static char subject[1000001];

    memset(subject, 'a', sizeof subject - 2);
    for (size_t i = 0; i < countof(patterns); i++)
        for (size_t k = 0; k < countof(sizes); k++) {
            size_t n = sizes[k];
            struct timespec from;
            subject[n - 1] = '!';
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
            assert_int_not_equal(match(*state, patterns[i], (str){subject, n}), REGEX_YES);
            if (ms_since(&from) > 100)
                fail_msg("%s on %zu bytes: %.0f ms", patterns[i], n, ms_since(&from));
            subject[n - 1] = 'a';
        }
    assert_int_equal(match(*state, "^(a+)+$", S("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!")),
                     REGEX_EXCEEDED);
}

static void a_long_innocent_text_matches(void **state)
{
    static char text[1000000];

    memset(text, 'a', sizeof text);
    str s = {text, sizeof text};
    assert_int_equal(match(*state, "^[a-z]+$", s), REGEX_YES);
    assert_int_equal(match(*state, "^(?:[a-f]|[g-z])*$", (str){text, 20000}), REGEX_YES);
    assert_int_equal(match(*state, "z", s), REGEX_NO);
}

static void steps_run_out(void **state)
{
    struct fixture *f = *state;
    struct regex_fault fault;
    struct regex *r;
    uint64_t steps = 20;
    unsigned matches = 0;

    assert_true(regex_compile(&r, S("^[ab]"), &fault));
    while (regex_match(r, S("a"), &f->scratch, &steps) == REGEX_YES)
        matches++;
    assert_in_range(matches, 1, 20);
    assert_int_equal(steps, 0);
    regex_free(r);
}

static void bounds_of_patterns_hold(void **state)
{
    static char text[REGEX_PATTERN_MAX + 2];
    struct regex_fault fault;
    struct regex *r;

    (void)state;
    memset(text, 'a', sizeof text);
    assert_true(regex_compile(&r, (str){text, REGEX_PATTERN_MAX}, &fault));
    regex_free(r);
    assert_false(regex_compile(&r, (str){text, REGEX_PATTERN_MAX + 1}, &fault));
    memset(text, '(', sizeof text);
    assert_false(regex_compile(&r, (str){text, 300}, &fault));
    memset(text + 300, ')', 300);
    assert_false(regex_compile(&r, (str){text, 600}, &fault)); /* too deep */
    assert_false(regex_compile(&r, S("((a{1000}){1000}){1000}"), &fault));
}

enum { THREADS = 4 };

static void *match_late(void *late)
{
    struct fixture *f;

    set_up((void **)&f);
    f->steps = 1000;
    bool ok = regex_match(late, S("abbc"), &f->scratch, &f->steps) == REGEX_YES &&
              regex_match(late, S("ac!"), &f->scratch, &f->steps) == REGEX_NO;
    tear_down((void **)&f);
    return ok ? late : NULL;
}

/* Under the thread sanitizer, too. */
static void a_late_pattern_is_compiled_by_who_comes_first(void **state)
{
    pthread_t threads[THREADS];
    struct regex *r;
    void *seen;

    (void)state;
    assert_true(regex_compile_late(&r, S("^a[b]+c$")));
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, match_late, r), 0);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &seen), 0);
        assert_ptr_equal(seen, r);
    }
    regex_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(means_what_ecma_262_says, set_up, tear_down),
        T(refuses_what_is_no_pattern),
        T(names_the_place),
        cmocka_unit_test_setup_teardown(hostile_patterns_end_soon, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_long_innocent_text_matches, set_up, tear_down),
        cmocka_unit_test_setup_teardown(steps_run_out, set_up, tear_down),
        T(bounds_of_patterns_hold),
        T(a_late_pattern_is_compiled_by_who_comes_first),
    };
    return RUN(tests);
}
