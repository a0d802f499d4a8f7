#include "unit.h"
#include "base/arena.h"

static void aligns_every_block(void **state)
{
    struct arena_pool pool = {0};
    struct arena *a = arena_new(&pool, 1 << 20);

    (void)state;
    for (size_t n = 0; n < 300; n++) {
        char *p = arena_alloc(a, n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        memset(p, 0xA5, n);
    }
    arena_unref(a);
    arena_pool_deinit(&pool);
}

static void zero_gives_zeroes_in_reused_chunks(void **state)
{
    struct arena_pool pool = {0};

    (void)state;
    for (int round = 0; round < 3; round++) {
        struct arena *a = arena_new(&pool, 1 << 20);
        char *p = arena_zero(a, 4000);
        for (size_t i = 0; i < 4000; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xFF, 4000);
        arena_unref(a);
    }
    arena_pool_deinit(&pool);
}

static void refuses_what_is_over_the_limit(void **state)
{
    struct arena_pool pool = {0};
    struct arena *a = arena_new(&pool, 64 << 10);
    size_t got = 0;

    (void)state;
    while (arena_alloc(a, 1000))
        got += 1000;
    assert_in_range(got, 32 << 10, 64 << 10);
    assert_null(arena_alloc(a, SIZE_MAX));
    assert_null(arena_alloc(a, SIZE_MAX - 64));
    assert_null(arena_zero(a, 1 << 20));
    arena_unref(a);
    arena_pool_deinit(&pool);
}

static char order[8];
static size_t order_len;

static void note(void *arg)
{
    order[order_len++] = *(char *)arg;
}

static void deferred_work_runs_youngest_first_with_the_last_reference(void **state)
{
    struct arena_pool pool = {0};
    struct arena *a = arena_new(&pool, 1 << 20);
    char names[] = "abc";

    (void)state;
    order_len = 0;
    for (int i = 0; i < 3; i++)
        assert_true(arena_defer(a, note, &names[i]));
    assert_ptr_equal(arena_ref(a), a);
    arena_unref(a);
    assert_int_equal(order_len, 0);
    arena_unref(a);
    assert_memory_equal(order, "cba", 3);
    arena_pool_deinit(&pool);
}

static void grows_in_place_only_when_last(void **state)
{
    struct arena_pool pool = {0};
    struct arena *a = arena_new(&pool, 1 << 20);
    char *p = arena_grow(a, NULL, 0, 16);

    (void)state;
    memcpy(p, "0123456789abcdef", 16);
    assert_ptr_equal(arena_grow(a, p, 16, 64), p);
    arena_alloc(a, 1);
    char *moved = arena_grow(a, p, 64, 200);
    assert_ptr_not_equal(moved, p);
    assert_memory_equal(moved, "0123456789abcdef", 16);
    char *big = arena_grow(a, moved, 200, 100000); /* a chunk of its own */
    assert_memory_equal(big, "0123456789abcdef", 16);
    memset(big, 1, 100000);
    arena_alloc(a, 3000); /* another one of its own in front of it */
    size_t chunks = pool.in_use;
    big = arena_grow(a, big, 100000, 200000); /* stays the one block */
    assert_int_equal(pool.in_use, chunks);
    assert_int_equal(big[99999], 1);
    assert_int_equal(big[0], 1);
    memset(big, 2, 200000);
    assert_ptr_equal(arena_grow(a, big, 200000, 150000), big);
    assert_null(arena_grow(a, big, 200000, 1 << 20)); /* with the rest it is too much */
    assert_null(arena_grow(a, big, 200000, 4 << 20));
    assert_int_equal(big[199999], 2); /* and it is still there */
    arena_unref(a);
    arena_pool_deinit(&pool);
}

static void copies_end_with_nul(void **state)
{
    struct arena_pool pool = {0};
    struct arena *a = arena_new(&pool, 1 << 20);
    str s = arena_copy(a, (str){"hello world", 5});

    (void)state;
    assert_string_equal(s.ptr, "hello");
    assert_int_equal(s.len, 5);
    arena_unref(a);
    arena_pool_deinit(&pool);
}

static void spare_chunks_are_bounded_and_counted(void **state)
{
    struct arena_pool pool = {0};
    struct arena *a[ARENA_SPARE_MAX + 50];

    (void)state;
    for (size_t i = 0; i < countof(a); i++)
        assert_non_null(a[i] = arena_new(&pool, 1 << 20));
    assert_int_equal(pool.in_use, countof(a));
    for (size_t i = 0; i < countof(a); i++)
        arena_unref(a[i]);
    assert_int_equal(pool.in_use, 0);
    assert_in_range(pool.spare_count, 1, ARENA_SPARE_MAX);
    arena_pool_deinit(&pool);
}

static void text_grows_and_remembers_a_failure(void **state)
{
    struct arena_pool pool = {0};
    struct arena *a = arena_new(&pool, 40000);
    struct arena_text t;

    (void)state;
    text_init(&t, a, 8);
    for (unsigned i = 0; i < 1000; i++)
        text_addu(&t, i % 10);
    assert_int_equal(t.len, 1000);
    assert_false(t.has_failed);
    for (int i = 0; i < 1000; i++)
        text_add(&t, S("0123456789012345678901234567890123456789"));
    assert_true(t.has_failed);
    arena_unref(a);
    arena_pool_deinit(&pool);
}

static void text_writes_json_strings(void **state)
{
    struct arena_pool pool = {0};
    struct arena *a = arena_new(&pool, 1 << 20);
    struct arena_text t;

    (void)state;
    text_init(&t, a, 1);
    text_add_json(&t, S("a\"b\\c\n\x01\x1f/\xc3\xa4"));
    assert_str(text_str(&t), "\"a\\\"b\\\\c\\u000a\\u0001\\u001f/\xc3\xa4\"");
    text_init(&t, a, 1);
    text_add_json(&t, (str){NULL, 0});
    assert_str(text_str(&t), "\"\"");
    text_init(&t, a, 1);
    text_addu(&t, UINT64_MAX);
    assert_str(text_str(&t), "18446744073709551615");
    arena_unref(a);
    arena_pool_deinit(&pool);
}

static void texts_move_into_one_block(void **state)
{
    struct arena_pool pool = {0};
    struct arena *a = arena_new(&pool, 1 << 20);
    char first[] = "first", last[] = "and the last one";
    str x = str_of(first), none = {NULL, 0}, empty = S(""), part = {last + 4, 8};
    str *const texts[] = {&x, &none, &empty, &part};

    (void)state;
    assert_int_equal(str_total(texts, 0), 0);
    assert_int_equal(str_total(texts, countof(texts)), 5 + 8);
    assert_true(arena_own(a, texts, countof(texts)));
    memset(first, '?', sizeof first);
    memset(last, '?', sizeof last);
    assert_str(x, "first");
    assert_str(part, "the last");
    assert_ptr_equal(part.ptr, x.ptr + x.len);
    assert_ptr_equal(empty.ptr, part.ptr); /* empty is not the same as none */
    assert_null(none.ptr);
    assert_int_equal(none.len + empty.len, 0);
    assert_int_equal(str_total(texts, countof(texts)), 5 + 8);
    arena_unref(a);
    arena_pool_deinit(&pool);
}

static void no_text_is_no_failure(void **state)
{
    struct arena_pool pool = {0};
    struct arena *a = arena_new_small(&pool, 0, 0);
    str none = {NULL, 0}, empty = S("");
    str *const texts[] = {&none, &empty};

    (void)state;
    assert_true(arena_own(a, texts, 0));
    assert_true(arena_own(a, texts, countof(texts)));
    assert_null(none.ptr);
    assert_str(empty, "");
    arena_unref(a);
    arena_pool_deinit(&pool);
}

static void texts_fit_into_a_small_arena_of_their_size(void **state)
{
    struct arena_pool pool = {0};
    char text[1000];
    str half = {text, 500}, rest = {text + 500, 500};
    str *const texts[] = {&half, &rest};
    struct arena *a = arena_new_small(&pool, str_total(texts, 2), 1 << 20);

    (void)state;
    memset(text, 'x', sizeof text);
    assert_true(arena_own(a, texts, 2));
    assert_int_equal(pool.in_use, 1);
    assert_int_equal(half.ptr[0] + rest.ptr[499], 2 * 'x');
    arena_unref(a);
    arena_pool_deinit(&pool);
}

static void texts_stay_where_they_are_when_there_is_no_room(void **state)
{
    struct arena_pool pool = {0};
    struct arena *a = arena_new_small(&pool, 64, 200);
    static const char large[4000] = "large";
    str x = S("small"), none = {NULL, 0}, y = {large, sizeof large};
    const char *before = x.ptr;
    str *const texts[] = {&x, &none, &y};

    (void)state;
    assert_false(arena_own(a, texts, countof(texts)));
    assert_ptr_equal(x.ptr, before);
    assert_str(x, "small");
    assert_null(none.ptr);
    assert_ptr_equal(y.ptr, large);
    assert_int_equal(y.len, sizeof large);
    assert_true(arena_own(a, texts, 2)); /* and what fits is taken */
    assert_ptr_not_equal(x.ptr, before);
    assert_str(x, "small");
    arena_unref(a);
    arena_pool_deinit(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(aligns_every_block),
        T(zero_gives_zeroes_in_reused_chunks),
        T(refuses_what_is_over_the_limit),
        T(deferred_work_runs_youngest_first_with_the_last_reference),
        T(grows_in_place_only_when_last),
        T(copies_end_with_nul),
        T(spare_chunks_are_bounded_and_counted),
        T(text_grows_and_remembers_a_failure),
        T(text_writes_json_strings),
        T(texts_move_into_one_block),
        T(no_text_is_no_failure),
        T(texts_fit_into_a_small_arena_of_their_size),
        T(texts_stay_where_they_are_when_there_is_no_room),
    };
    return RUN(tests);
}
