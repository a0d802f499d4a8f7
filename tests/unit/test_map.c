#include "unit.h"
#include "base/map.h"

static void finds_what_was_put(void **state)
{
    struct map m = {0};
    int a, b;

    (void)state;
    assert_null(map_get(&m, S("x")));
    assert_null(map_remove(&m, S("x")));
    assert_true(map_put(&m, S("x"), &a));
    assert_true(map_put(&m, S(""), &b));
    assert_ptr_equal(map_get(&m, S("x")), &a);
    assert_ptr_equal(map_get(&m, S("")), &b);
    assert_true(map_put(&m, S("x"), &b));
    assert_ptr_equal(map_get(&m, S("x")), &b);
    assert_int_equal(m.count, 2);
    map_deinit(&m);
}

/* Against an array, with many removals: probe sequences must stay whole. */
static void agrees_with_a_plain_model(void **state)
{
    enum { KEYS = 400 };
    char names[KEYS][16];
    void *model[KEYS] = {0};
    struct map m = {0};
    unsigned seed = 7;

    (void)state;
    for (int i = 0; i < KEYS; i++)
        snprintf(names[i], sizeof names[i], "k%d", i);
    for (int n = 0; n < 200000; n++) {
        seed = seed * 1103515245u + 12345u;
        unsigned k = (seed >> 8) % KEYS, what = (seed >> 24) % 3;
        str key = str_of(names[k]);
        if (what == 0) {
            assert_true(map_put(&m, key, names[n % KEYS]));
            model[k] = names[n % KEYS];
        } else if (what == 1) {
            assert_ptr_equal(map_remove(&m, key), model[k]);
            model[k] = NULL;
        } else {
            assert_ptr_equal(map_get(&m, key), model[k]);
        }
    }
    size_t count = 0, seen = 0, at = 0;
    for (int i = 0; i < KEYS; i++) {
        count += model[i] != NULL;
        assert_ptr_equal(map_get(&m, str_of(names[i])), model[i]);
    }
    for (struct map_entry *e; (e = map_each(&m, &at)); seen++)
        assert_ptr_equal(map_get(&m, e->key), e->value);
    assert_int_equal(seen, count);
    assert_int_equal(m.count, count);
    map_deinit(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {T(finds_what_was_put), T(agrees_with_a_plain_model)};
    return RUN(tests);
}
