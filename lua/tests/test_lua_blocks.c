/* The memory of a state: what is in a block stays as the block moves, and everything is given back. */
#include "../engine/blocks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void fill(unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)(i * 7 + 1);
}

static size_t same(const unsigned char *p, size_t n)
{
    size_t i = 0;

    while (i < n && p[i] == (unsigned char)(i * 7 + 1))
        i++;
    return i;
}

static void blocks_keep_their_bytes_through_every_change_of_size(void **state)
{
    struct blocks b = {.keep = 4096};

    (void)state;
    for (size_t from = 1; from < 300; from += 3)
        for (size_t to = 1; to < 300; to += 5) {
            unsigned char *p = blocks_alloc(&b, from);
            fill(p, from);
            p = blocks_realloc(&b, p, from, to);
            assert_int_equal(same(p, from < to ? from : to), from < to ? from : to);
            assert_int_equal((uintptr_t)p % 16, 0);
            fill(p, to);
            blocks_free(&b, p, to);
        }
    blocks_deinit(&b);
}

static void blocks_in_use_at_a_time_do_not_overlap(void **state)
{
    enum { COUNT = 3000 };
    static struct {
        unsigned char *ptr;
        size_t size;
    } held[COUNT];
    struct blocks b = {.keep = 4096};

    (void)state;
    srand(7);
    for (int i = 0; i < 200000; i++) {
        size_t at = (size_t)rand() % COUNT;
        if (held[at].ptr) {
            assert_int_equal(same(held[at].ptr, held[at].size), held[at].size);
            blocks_free(&b, held[at].ptr, held[at].size);
        }
        held[at].size = (size_t)rand() % 400 + 1;
        held[at].ptr = blocks_alloc(&b, held[at].size);
        assert_non_null(held[at].ptr);
        fill(held[at].ptr, held[at].size);
    }
    for (size_t i = 0; i < COUNT; i++)
        blocks_free(&b, held[i].ptr, held[i].size);
    blocks_deinit(&b);
    for (size_t i = 0; i < BLOCK_SIZES; i++)
        assert_null(b.of[i].spare);
}

static void what_was_freed_is_used_again_up_to_a_limit(void **state)
{
    enum { COUNT = 10 };
    struct blocks b = {.keep = 4 * 64};
    void *held[COUNT];

    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        held[i] = blocks_alloc(&b, 60);
    for (size_t i = 0; i < COUNT; i++)
        blocks_free(&b, held[i], 60);
    assert_int_equal(b.of[3].bytes, 4 * 64);
    for (size_t i = 4; i-- > 0;)
        assert_ptr_equal(blocks_alloc(&b, 50), held[i]); /* the same size, the youngest first */
    assert_int_equal(b.of[3].bytes, 0);
    for (size_t i = 0; i < 4; i++)
        blocks_free(&b, held[i], 50);
    assert_ptr_equal(blocks_realloc(&b, blocks_alloc(&b, 49), 49, 64), held[3]);
    blocks_free(&b, held[3], 64);
    b.keep = 0;
    blocks_free(&b, blocks_alloc(&b, 64), 64);
    assert_int_equal(b.of[3].bytes, 3 * 64);
    blocks_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_keep_their_bytes_through_every_change_of_size),
        cmocka_unit_test(blocks_in_use_at_a_time_do_not_overlap),
        cmocka_unit_test(what_was_freed_is_used_again_up_to_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
