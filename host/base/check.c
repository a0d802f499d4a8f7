#include "base/check.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static atomic_ulong broken_count;

_Noreturn void check_must_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "migd: fatal: must(%s) failed at %s:%d\n", what, file, line);
    abort();
}

bool check_broken(const char *what, const char *file, int line, _Atomic unsigned *times)
{
    atomic_fetch_add(&broken_count, 1);
    if (atomic_fetch_add(times, 1) == 0)
        fprintf(stderr, "migd: bug: broken(%s) at %s:%d\n", what, file, line);
#ifndef NDEBUG
    abort();
#endif
    return true;
}

unsigned long check_broken_count(void)
{
    return atomic_load(&broken_count);
}
