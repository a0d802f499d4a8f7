#include "unit.h"
#include "core/usage.h"

#include <pthread.h>

static struct tenants *all;
static struct usage *u;

static int set_up(void **state)
{
    (void)state;
    all = tenants_new();
    u = usage_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    usage_free(u, all);
    tenants_free(all);
    return 0;
}

static void a_pair_has_one_cell(void **state)
{
    struct tenant *a = tenant_of(all, S("a")), *b = tenant_of(all, S("b"));
    const struct usage_name *x = usage_name_of(u, S("x.y")), *z = usage_name_of(u, S("x.z"));

    (void)state;
    assert_ptr_equal(usage_name_of(u, S("x.y")), x);
    struct usage_cell *c = usage_cell_of(u, a, x);
    assert_ptr_equal(usage_cell_of(u, a, x), c);
    assert_ptr_not_equal(usage_cell_of(u, a, z), c);
    assert_ptr_not_equal(usage_cell_of(u, b, x), c);
    assert_ptr_equal(c->name, x);
}

static void cells_are_bounded(void **state)
{
    char name[16];
    struct usage_cell *last = NULL, *before = NULL;
    struct tenant *t = NULL;

    (void)state;
    for (int i = 0; i < USAGE_CELLS_MAX / 64; i++) { /* few names, many tenants: quick to find */
        snprintf(name, sizeof name, "t%d", i);
        t = tenant_of(all, str_of(name));
        for (int n = 0; n < 65; n++) {
            snprintf(name, sizeof name, "c%d.x", n);
            before = last;
            last = usage_cell_of(u, t, usage_name_of(u, str_of(name)));
        }
    }
    assert_ptr_equal(before, last); /* the common one */
    struct tenant *first = tenant_find(all, S("t0"));
    assert_ptr_not_equal(usage_cell_of(u, first, usage_name_of(u, S("c0.x"))), last);
}

static void *count(void *arg)
{
    char name[16];

    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "c%d.x", i % 40);
        struct usage_cell *c =
            usage_cell_of(u, tenant_of(all, S("acme")), usage_name_of(u, str_of(name)));
        atomic_fetch_add(&c->count, 1);
    }
    return arg;
}

static void threads_lose_no_count(void **state)
{
    pthread_t t[4];
    char name[16];

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, count, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "c%d.x", i);
        struct usage_cell *c =
            usage_cell_of(u, tenant_of(all, S("acme")), usage_name_of(u, str_of(name)));
        assert_int_equal(c->count, 2000);
    }
}

#define U(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        U(a_pair_has_one_cell),
        U(cells_are_bounded),
        U(threads_lose_no_count),
    };
    return RUN(tests);
}
