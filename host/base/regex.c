#include "base/regex.h"
#include "base/check.h"
#include "base/regex_ecma.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    OPTIONS = PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_DOLLAR_ENDONLY | PCRE2_MATCH_UNSET_BACKREF |
              PCRE2_ALLOW_EMPTY_CLASS | PCRE2_NEVER_BACKSLASH_C,
    NEST_MAX = 200,
    /* A match that may cost more than PLAIN_MAX steps is watched: PCRE2 calls back before each part
     * of the pattern that it tries. Its own match limit is not enough, since compiled code does not
     * count the rounds of single characters, and it begins anew at each place of the subject. */
    PLAIN_MAX = 8192,
    CALLS_MAX = 300000,
    CALLS_PER_CLOCK = 32768, /* divided by the length: one call may go over the whole subject */
    TIME_NS = 40000000,
    NS_PER_STEP = 64,
    MATCH_MAX = 2000000, /* for what was thought to be cheap, too */
    STACK_BYTES = 1 << 20,
    HEAP_KIB = 8192
};

/* Patterns as simple as "^x-" need no machine. */
enum regex_kind {
    REGEX_MACHINE,
    REGEX_CONTAINS,
    REGEX_PREFIX,
    REGEX_SUFFIX,
    REGEX_EQUALS,
    REGEX_LATE
};

struct regex {
    pcre2_code *plain, *watched;  /* NULL: not needed */
    _Atomic(struct regex *) late; /* what text was compiled to; NULL: not yet */
    struct ecma_cost cost;
    enum regex_kind kind;
    size_t len;
    char text[];
};

static bool is_plain(str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (strchr("\\^$.|?*+()[]{}", s.ptr[i])) // strchr finds NUL, too
            return false;
    return true;
}

/* Leaves in *text what is to be looked for. */
static enum regex_kind simplify(str *text)
{
    bool is_start = str_starts(*text, S("^"));
    str inner = str_cut(*text, is_start);
    bool is_end = str_ends(inner, S("$"));

    inner.len -= is_end;
    if (!is_plain(inner))
        return REGEX_MACHINE;
    *text = inner;
    return is_start && is_end ? REGEX_EQUALS
           : is_start         ? REGEX_PREFIX
           : is_end           ? REGEX_SUFFIX
                              : REGEX_CONTAINS;
}

static bool fault_set(struct regex_fault *f, size_t offset, const char *text)
{
    *f = (struct regex_fault){.offset = offset};
    snprintf(f->text, sizeof f->text, "%s", text);
    return false;
}

static void context_freep(pcre2_compile_context **c)
{
    pcre2_compile_context_free(*c);
}

static pcre2_code *compile_one(str pcre, uint32_t more, struct regex_fault *fault)
{
    CLEANUP(context_freep)
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    int error;
    size_t offset; // in the translation, so nobody's business

    if (!context) {
        fault_set(fault, 0, "out of memory");
        return NULL;
    }
    pcre2_set_parens_nest_limit(context, NEST_MAX);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pcre.ptr, pcre.len, OPTIONS | more, &error, &offset, context);
    if (!code) {
        fault_set(fault, 0, "");
        pcre2_get_error_message(error, (PCRE2_UCHAR *)fault->text, sizeof fault->text);
        return NULL;
    }
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); // where the system forbids it: the interpreter
    return code;
}

static bool compile_machine(struct regex *r, str pcre, struct regex_fault *fault)
{
    bool is_linear = !r->cost.is_wild && r->cost.degree <= 1;

    if (!r->cost.is_wild && !(r->plain = compile_one(pcre, 0, fault)))
        return false;
    return is_linear || (r->watched = compile_one(pcre, PCRE2_AUTO_CALLOUT, fault));
}

static struct regex *regex_new(enum regex_kind kind, str text)
{
    struct regex *r = malloc(sizeof *r + text.len);

    if (!r)
        return NULL;
    *r = (struct regex){.kind = kind, .len = text.len};
    if (text.len)
        memcpy(r->text, text.ptr, text.len);
    return r;
}

bool regex_compile(struct regex **ret, str pattern, struct regex_fault *fault)
{
    struct ecma_fault why;
    struct ecma_cost cost;
    str text = pattern;
    CLEANUP(buf_deinit) struct buf pcre;

    buf_init(&pcre, 16 * (size_t)REGEX_PATTERN_MAX);
    if (pattern.len > REGEX_PATTERN_MAX)
        return fault_set(fault, REGEX_PATTERN_MAX, "the pattern is too long");
    if (!ecma_to_pcre(&pcre, pattern, &cost, &why))
        return fault_set(fault, why.offset, why.text);
    enum regex_kind kind = simplify(&text);
    struct regex *r = regex_new(kind, kind == REGEX_MACHINE ? S("") : text);
    if (!r)
        return fault_set(fault, 0, "out of memory");
    r->cost = cost;
    if (kind == REGEX_MACHINE && !compile_machine(r, buf_str(&pcre), fault)) {
        regex_free(r);
        return false;
    }
    *ret = r;
    return true;
}

bool regex_compile_late(struct regex **ret, str pattern)
{
    return (*ret = regex_new(REGEX_LATE, pattern)) != NULL;
}

void regex_free(struct regex *r)
{
    if (!r)
        return;
    regex_free(atomic_load_explicit(&r->late, memory_order_relaxed));
    pcre2_code_free(r->plain);
    pcre2_code_free(r->watched);
    free(r);
}

/* --- matching ----------------------------------------------------------------------------------- */

static void *from_arena(size_t n, void *arena)
{
    return arena_alloc(arena, n);
}

static void nothing(void *p, void *arena)
{
    (void)p;
    (void)arena;
}

static bool prepare(struct regex_scratch *s)
{
    if (s->data)
        return true;
    pcre2_general_context *memory = pcre2_general_context_create(from_arena, nothing, s->arena);
    if (!memory)
        return false;
    s->context = pcre2_match_context_create(memory);
    s->data = s->context ? pcre2_match_data_create(1, memory) : NULL;
    if (!s->data)
        return false;
    pcre2_set_heap_limit(s->context, HEAP_KIB);
    pcre2_set_match_limit(s->context, MATCH_MAX);
    return true;
}

static bool pay(uint64_t *steps, uint64_t cost)
{
    bool can = *steps >= cost;

    *steps = can ? *steps - cost : 0;
    return can;
}

static int run_once(const pcre2_code *code, str subject, struct regex_scratch *s)
{
    return pcre2_match(code, (PCRE2_SPTR)subject.ptr, subject.len, 0, PCRE2_NO_UTF_CHECK, s->data,
                       s->context);
}

/* A machine that needs more stack than 32 KiB of the thread's own gets one for this match. */
static int run(const pcre2_code *code, str subject, struct regex_scratch *s)
{
    int n = run_once(code, subject, s);

    if (n != PCRE2_ERROR_JIT_STACKLIMIT)
        return n;
    pcre2_jit_stack *stack = pcre2_jit_stack_create(32768, STACK_BYTES, NULL);
    if (!stack)
        return n;
    pcre2_jit_stack_assign(s->context, NULL, stack);
    n = run_once(code, subject, s);
    pcre2_jit_stack_assign(s->context, NULL, NULL);
    pcre2_jit_stack_free(stack);
    return n;
}

struct watch {
    uint64_t calls, calls_per_clock, began_ns; /* 0: not looked yet */
};

static uint64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Called by PCRE2; anything but 0 ends the match. */
static int watch_call(pcre2_callout_block *block, void *watch)
{
    struct watch *w = watch;

    (void)block;
    if (++w->calls > CALLS_MAX)
        return PCRE2_ERROR_CALLOUT;
    if (w->calls % w->calls_per_clock)
        return 0;
    uint64_t now = cpu_ns();
    if (!w->began_ns)
        w->began_ns = now;
    return now - w->began_ns > TIME_NS ? PCRE2_ERROR_CALLOUT : 0;
}

static int run_watched(const struct regex *r, str subject, struct regex_scratch *s, uint64_t *steps)
{
    struct watch w = {.calls_per_clock = 1 + CALLS_PER_CLOCK / (subject.len + 1)};

    pcre2_set_callout(s->context, watch_call, &w);
    int n = run(r->watched, subject, s);
    pcre2_set_callout(s->context, NULL, NULL);
    uint64_t spent = w.began_ns ? (cpu_ns() - w.began_ns) / NS_PER_STEP : 0;
    return pay(steps, 2 * w.calls + spent) ? n : PCRE2_ERROR_CALLOUT;
}

/* Can it cost only little, whatever the subject is? */
static bool is_cheap(const struct ecma_cost *cost, size_t len)
{
    uint64_t steps = cost->factor;

    if (cost->is_wild)
        return false;
    for (unsigned i = 0; i < cost->degree && steps <= PLAIN_MAX; i++)
        steps *= len + 1;
    return steps <= PLAIN_MAX;
}

static enum regex_result match_machine(const struct regex *r, str subject, struct regex_scratch *s,
                                       uint64_t *steps)
{
    if (!prepare(s))
        return REGEX_EXCEEDED;
    int n = !r->watched || is_cheap(&r->cost, subject.len) ? run(r->plain, subject, s)
                                                           : run_watched(r, subject, s, steps);
    return n >= 0 ? REGEX_YES : n == PCRE2_ERROR_NOMATCH ? REGEX_NO : REGEX_EXCEEDED;
}

/* Two threads may compile it at once; one of them has done so in vain. NULL: out of memory. */
static const struct regex *compiled(const struct regex *r)
{
    _Atomic(struct regex *) *late = &((struct regex *)r)->late;
    struct regex *now = atomic_load_explicit(late, memory_order_acquire), *made;
    struct regex_fault fault;

    if (now || !regex_compile(&made, (str){r->text, r->len}, &fault))
        return now;
    if (atomic_compare_exchange_strong(late, &now, made))
        return made;
    regex_free(made);
    return now;
}

enum regex_result regex_match(const struct regex *r, str subject, struct regex_scratch *scratch,
                              uint64_t *steps)
{
    if (r->kind == REGEX_LATE && !(r = compiled(r)))
        return REGEX_EXCEEDED;
    str text = {r->text, r->len};

    if (!pay(steps, 4 + subject.len / 32))
        return REGEX_EXCEEDED;
    if (!subject.ptr)
        subject = S("");
    switch (r->kind) {
    case REGEX_EQUALS: return str_eq(subject, text) ? REGEX_YES : REGEX_NO;
    case REGEX_PREFIX: return str_starts(subject, text) ? REGEX_YES : REGEX_NO;
    case REGEX_SUFFIX: return str_ends(subject, text) ? REGEX_YES : REGEX_NO;
    case REGEX_CONTAINS:
        return memmem(subject.ptr, subject.len, text.ptr, text.len) ? REGEX_YES : REGEX_NO;
    case REGEX_MACHINE:
    case REGEX_LATE: break;
    }
    return match_machine(r, subject, scratch, steps);
}
