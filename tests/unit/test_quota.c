#include "unit.h"
#include "core/quota.h"

#include <pthread.h>

static struct tenants *all;
static uint64_t wait_ms;

static int set_up(void **state)
{
    (void)state;
    all = tenants_new();
    wait_ms = 99;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tenants_free(all);
    return 0;
}

static struct tenant *with_quota(uint64_t max, uint64_t window_ms)
{
    struct tenant *t = tenant_of(all, S("acme"));

    quota_set(all, t, &(struct quota_spec){max, window_ms});
    return t;
}

static uint64_t take(struct tenant *t, uint64_t now)
{
    return quota_take(all, t, now, &wait_ms);
}

static void records_are_found_again(void **state)
{
    struct tenant *t = tenant_of(all, S("acme"));

    (void)state;
    assert_ptr_equal(tenant_of(all, S("acme")), t);
    assert_ptr_equal(tenant_find(all, S("acme")), t);
    assert_null(tenant_find(all, S("other")));
    assert_ptr_not_equal(tenant_of(all, S("other")), t);
    assert_false(tenant_is_shared(t));
}

static void hostile_names_share_one_record(void **state)
{
    char name[16];
    struct tenant *t = NULL, *first = tenant_of(all, S("first"));

    (void)state;
    for (int i = 0; i < TENANTS_MAX + 1000; i++) {
        snprintf(name, sizeof name, "t%d", i);
        t = tenant_of(all, str_of(name));
    }
    assert_true(tenant_is_shared(t));
    assert_ptr_equal(tenant_of(all, S("first")), first); /* those who were there stay */
}

static void what_was_reserved_is_used_or_given_back(void **state)
{
    struct tenant *t = with_quota(2, 0);
    uint64_t a = take(t, 1), b = take(t, 1);

    (void)state;
    assert_true(a && b);
    assert_int_equal(take(t, 1), 0);
    assert_int_equal(wait_ms, 0); /* waiting does not help */
    quota_return(all, t, a, false);
    assert_false(quota_is_used_up(all, t, 1));
    uint64_t c = take(t, 1);
    assert_true(c);
    quota_return(all, t, b, true);
    quota_return(all, t, c, true);
    assert_int_equal(take(t, 1), 0);
    assert_true(quota_is_used_up(all, t, 1));
    assert_int_equal(t->done, 2);
    quota_set(all, t, &(struct quota_spec){3, 0}); /* a higher maximum keeps what was used */
    assert_true(take(t, 1));
    assert_int_equal(take(t, 1), 0);
}

static void what_succeeded_before_counts(void **state)
{
    struct tenant *t = tenant_of(all, S("acme"));

    (void)state;
    atomic_store(&t->done, 5);
    with_quota(6, 0);
    assert_true(take(t, 1));
    assert_int_equal(take(t, 1), 0);
}

static void a_window_begins_with_its_first_use(void **state)
{
    struct tenant *t = with_quota(1, 1000);

    (void)state;
    quota_return(all, t, take(t, 5000), true);
    assert_int_equal(take(t, 5400), 0);
    assert_int_equal(wait_ms, 600);
    assert_int_equal(take(t, 5999), 0);
    uint64_t late = take(t, 6000);
    assert_true(late);
    assert_int_equal(take(t, 6500), 0); /* reserved in the window of 6000 */
    assert_int_equal(wait_ms, 500);
    uint64_t next = take(t, 7000); /* the one that runs still belongs to the window before */
    assert_true(next && next != late);
    quota_return(all, t, late, true);
    quota_return(all, t, next, false);
    assert_true(take(t, 7001)); /* the late success did not count here */
    assert_true(t->quota.is_dirty);
}

static void a_clock_that_goes_back_opens_a_window(void **state)
{
    struct tenant *t = with_quota(1, 1000);

    (void)state;
    assert_true(take(t, 900000));
    assert_int_equal(take(t, 900001), 0);
    assert_true(take(t, 10)); /* not refused for a quarter of an hour */
}

static void *race(void *arg)
{
    unsigned *got = arg;

    for (int i = 0; i < 2000; i++) {
        uint64_t wait, epoch = quota_take(all, tenant_of(all, S("acme")), 1, &wait);
        if (!epoch)
            continue;
        bool is_used = i % 3 == 0;
        *got += is_used;
        quota_return(all, tenant_of(all, S("acme")), epoch, is_used);
    }
    return NULL;
}

static void threads_never_exceed_it(void **state)
{
    pthread_t t[4];
    unsigned got[4] = {0}, sum = 0;

    (void)state;
    with_quota(500, 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, race, &got[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
        sum += got[i];
    }
    assert_int_equal(sum, 500);
    assert_int_equal(tenant_of(all, S("acme"))->done, 500);
    assert_int_equal(tenant_of(all, S("acme"))->quota.reserved, 0);
}

static void it_is_told_as_json(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    quota_json(all, with_quota(7, 0), &out);
    assert_str(buf_str(&out), "{\"tenant_id\":\"acme\",\"max_invocations\":7");
    buf_clear(&out);
    struct tenant *t = with_quota(7, 60000);
    quota_return(all, t, take(t, 5), true);
    quota_json_used(all, t, 6, &out);
    assert_str(buf_str(&out),
               "{\"tenant_id\":\"acme\",\"max_invocations\":7,\"window_seconds\":60,\"used\":1");
    buf_deinit(&out);
}

#define Q(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        Q(records_are_found_again),
        Q(hostile_names_share_one_record),
        Q(what_was_reserved_is_used_or_given_back),
        Q(what_succeeded_before_counts),
        Q(a_window_begins_with_its_first_use),
        Q(a_clock_that_goes_back_opens_a_window),
        Q(threads_never_exceed_it),
        Q(it_is_told_as_json),
    };
    return RUN(tests);
}
