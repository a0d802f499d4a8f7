/* unit.h: cmocka and what it needs before it. */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/str.h"

#define T(f) cmocka_unit_test(f)
#define RUN(tests) cmocka_run_group_tests(tests, NULL, NULL)
#define assert_str(s, z)                                                                           \
    do {                                                                                           \
        str s_ = (s);                                                                              \
        const char *z_ = (z);                                                                      \
        if (!str_eq(s_, str_of(z_))) {                                                             \
            print_error("%.*s != %s\n", STR_ARG(s_), z_);                                          \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

/* A folder of the test's own below /tmp; unit_rm() removes it. */
static inline char *unit_dir(void)
{
    char *path = strdup("/tmp/migd-unit-XXXXXX");
    assert_non_null(path);
    assert_non_null(mkdtemp(path));
    return path;
}
static inline void unit_rm(char *path)
{
    char cmd[300];
    snprintf(cmd, sizeof cmd, "rm -rf -- '%s'", path);
    assert_int_equal(system(cmd), 0);
    free(path);
}
static inline void unit_write(const char *dir, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}
#endif
