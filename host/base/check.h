/* check.h: what to do when the program itself is wrong. Never used on input from outside. */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H
#include <stdbool.h>

/* If false, memory cannot be trusted any more: print the place and abort. Always compiled in. */
#define must(x) ((x) ? (void)0 : check_must_failed(#x, __FILE__, __LINE__))

/* True for a bug that we can survive: counted, printed once per place; aborts in debug builds.
 * Use: if (broken(x)) return ...; */
#define broken(x)                                                                                  \
    (__builtin_expect(!!(x), 0) && ({                                                              \
         static _Atomic unsigned times_;                                                           \
         check_broken(#x, __FILE__, __LINE__, &times_);                                            \
     }))

_Noreturn void check_must_failed(const char *what, const char *file, int line);
bool check_broken(const char *what, const char *file, int line, _Atomic unsigned *times);
/* How many times broken() was true since the start. [any] */
unsigned long check_broken_count(void);

/* The struct that contains member. */
#define container_of(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))
#define countof(a) (sizeof(a) / sizeof((a)[0]))

/* Scope clean-up: CLEANUP(buf_deinit) struct buf b; TAKE() hands a pointer out of the scope. */
#define CLEANUP(f) __attribute__((cleanup(f)))
#define TAKE(p)                                                                                    \
    ({                                                                                             \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })
#endif
