/* contract.h: what every built-in plugin owes, told with the mock host. */
#ifndef TESTS_CONTRACT_H
#define TESTS_CONTRACT_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mig/sdk/mock.h"

#define T(f) cmocka_unit_test(f)

static inline void no_faults(mock_host *m)
{
    for (size_t i = 0; i < mock_fault_count(m); i++)
        print_error("fault: %s\n", mock_fault(m, i));
    assert_int_equal(mock_fault_count(m), 0);
}

/* create, describe twice with the same outcome, start. */
static inline mock_host *served(const mig_plugin_entry_t *entry, const char *config,
                                const char *table, const void *functions)
{
    mock_host *m = mock_host_new();
    char first[65536];

    if (table)
        mock_offer_table(m, table, functions);
    assert_int_equal(mock_load(m, entry, NULL), MIG_OK);
    assert_int_equal(mock_create(m, config), MIG_OK);
    assert_int_equal(mock_describe(m), MIG_OK);
    mig_str text = mock_catalogue_text(m);
    assert_true(text.len < sizeof first);
    memcpy(first, text.ptr, text.len);
    size_t len = text.len;
    assert_int_equal(mock_describe(m), MIG_OK);
    text = mock_catalogue_text(m);
    assert_int_equal(text.len, len);
    assert_memory_equal(text.ptr, first, len);
    assert_int_equal(mock_start(m), MIG_OK);
    return m;
}

static inline void over(mock_host *m)
{
    mock_run(m);
    mock_quiesce(m);
    assert_int_equal(mock_debt(m), 0);
    assert_true(mock_destroy(m));
    no_faults(m);
    mock_host_free(m);
}
#endif
