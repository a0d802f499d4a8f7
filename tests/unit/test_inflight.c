#include "unit.h"
#include "core/inflight.h"

#include <pthread.h>

static struct inflight *t;

static int set_up(void **state)
{
    (void)state;
    t = inflight_new(65536);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    inflight_free(t);
    return 0;
}

static struct inflight_item item(const char *tenant, const char *id, const char *subject)
{
    return (struct inflight_item){
        .tenant = str_of(tenant), .id = str_of(id), .subject = str_of(subject)};
}

static enum inflight_found cancel(const char *tenant, const char *id, uint64_t now, mig_call *call,
                                  bool *is_own)
{
    mig_call c = {0};
    bool own = false;
    enum inflight_found f = inflight_cancel(t, str_of(tenant), str_of(id), S("ada"), now, &c, &own);
    if (call)
        *call = c;
    if (is_own)
        *is_own = own;
    return f;
}

static void refuses_a_second_call_with_the_same_id(void **state)
{
    struct inflight_item a = item("acme", "m1", "ada"), b = a, c = item("other", "m1", "ada");

    (void)state;
    assert_int_equal(inflight_add(t, &a, 0), MIG_OK);
    assert_int_equal(inflight_add(t, &b, 0), MIG_INVALID_REQUEST);
    assert_int_equal(inflight_add(t, &c, 0), MIG_OK); /* tenants are apart */
    inflight_remove(t, &b, 0);                        /* was never listed: harmless */
    assert_int_equal(inflight_add(t, &b, 0), MIG_INVALID_REQUEST);
    inflight_remove(t, &a, 1);
    assert_int_equal(inflight_add(t, &b, 1), MIG_OK); /* a finished id may be used again */
    inflight_remove(t, &b, 2);
    inflight_remove(t, &b, 2);
    inflight_remove(t, &c, 2);
}

static void cancel_finds_the_running_call_and_its_owner(void **state)
{
    struct inflight_item a = item("acme", "m1", "ada"), b = item("acme", "m2", "bob");
    mig_call call;
    bool is_own;

    (void)state;
    inflight_add(t, &a, 0);
    inflight_add(t, &b, 0);
    assert_true(inflight_set_call(t, &a, (mig_call){7}));
    assert_int_equal(cancel("acme", "m1", 0, &call, &is_own), INFLIGHT_RUNNING);
    assert_int_equal(call.v, 7);
    assert_true(is_own);
    assert_int_equal(cancel("acme", "m2", 0, &call, &is_own), INFLIGHT_RUNNING);
    assert_false(is_own);
    assert_true(inflight_set_call(t, &b, (mig_call){8})); /* a stranger's cancel is not kept */
    inflight_remove(t, &a, 0);
    inflight_remove(t, &b, 0);
}

static void a_cancel_before_the_provider_has_it_is_told_then(void **state)
{
    struct inflight_item a = item("acme", "m1", "ada");
    mig_call call;

    (void)state;
    inflight_add(t, &a, 0);
    assert_int_equal(cancel("acme", "m1", 0, &call, NULL), INFLIGHT_RUNNING);
    assert_int_equal(call.v, 0);
    assert_false(inflight_set_call(t, &a, (mig_call){7}));
    inflight_remove(t, &a, 0);
}

static void finished_ids_are_known_for_a_minute(void **state)
{
    struct inflight_item a = item("acme", "m1", "ada");

    (void)state;
    inflight_add(t, &a, 1000);
    inflight_remove(t, &a, 1000);
    assert_int_equal(cancel("acme", "m1", 1000, NULL, NULL), INFLIGHT_COMPLETED);
    assert_int_equal(cancel("acme", "m1", 60000, NULL, NULL), INFLIGHT_COMPLETED);
    assert_int_equal(cancel("other", "m1", 60000, NULL, NULL), INFLIGHT_PENDING);
    assert_int_equal(cancel("acme", "m1", 62000, NULL, NULL), INFLIGHT_PENDING); /* forgotten */
}

static void a_cancel_in_advance_is_used_once_and_lasts_a_minute(void **state)
{
    struct inflight_item a = item("acme", "m1", "ada"), b = item("acme", "m2", "ada");

    (void)state;
    assert_int_equal(cancel("acme", "m1", 5000, NULL, NULL), INFLIGHT_PENDING);
    assert_int_equal(cancel("acme", "m1", 5000, NULL, NULL), INFLIGHT_PENDING);
    assert_true(inflight_is_cancelled(t, S("acme"), S("m1"), 6000));
    assert_true(inflight_is_cancelled(t, S("acme"), S("m1"), 6000)); /* it stays */
    assert_false(inflight_is_cancelled(t, S("other"), S("m1"), 6000));
    assert_int_equal(inflight_add(t, &a, 64000), MIG_TIMEOUT);
    assert_int_equal(inflight_add(t, &a, 64000), MIG_OK); /* used up */
    inflight_remove(t, &a, 64000);
    assert_int_equal(cancel("acme", "m2", 5000, NULL, NULL), INFLIGHT_PENDING);
    assert_false(inflight_is_cancelled(t, S("acme"), S("m2"), 66000));
    assert_int_equal(inflight_add(t, &b, 66000), MIG_OK);
    inflight_remove(t, &b, 66000);
}

static void memory_of_ids_is_bounded_and_says_so(void **state)
{
    struct inflight *small = inflight_new(256 * 4);
    char id[32];
    size_t known = 0;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        snprintf(id, sizeof id, "id-%d", i);
        struct inflight_item a = {.tenant = S("acme"), .id = str_of(id)};
        assert_int_equal(inflight_add(small, &a, 1000), MIG_OK);
        inflight_remove(small, &a, 1000);
    }
    struct inflight *keep = t;
    t = small;
    for (int i = 0; i < 20000; i++) {
        mig_call c;
        bool own;
        snprintf(id, sizeof id, "id-%d", i);
        known +=
            inflight_cancel(t, S("acme"), str_of(id), S("x"), 1000, &c, &own) == INFLIGHT_COMPLETED;
    }
    t = keep;
    assert_in_range(known, 0, 256 * 4);
    assert_in_range(inflight_forgotten(small), 20000 - 256 * 4, 60000);
    inflight_free(small);
}

enum { THREADS = 4, ROUNDS = 3000 };
static _Atomic int winners[ROUNDS];
static struct inflight_item *kept[ROUNDS];

static void *race(void *arg)
{
    char id[16];

    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(id, sizeof id, "m%d", i);
        struct inflight_item *it = calloc(1, sizeof *it + sizeof id);
        memcpy(it + 1, id, sizeof id);
        it->tenant = S("acme");
        it->id = str_of((char *)(it + 1));
        if (inflight_add(t, it, 0) == MIG_OK) {
            winners[i]++; /* stays listed until the end */
            kept[i] = it;
        } else {
            free(it);
        }
    }
    return NULL;
}

static void exactly_one_thread_gets_an_id(void **state)
{
    pthread_t threads[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, race, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < ROUNDS; i++)
        assert_int_equal(winners[i], 1);
    for (int i = 0; i < ROUNDS; i++) {
        inflight_remove(t, kept[i], 0);
        free(kept[i]);
    }
}

int main(void)
{
#define TI(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TI(refuses_a_second_call_with_the_same_id),
        TI(cancel_finds_the_running_call_and_its_owner),
        TI(a_cancel_before_the_provider_has_it_is_told_then),
        TI(finished_ids_are_known_for_a_minute),
        TI(a_cancel_in_advance_is_used_once_and_lasts_a_minute),
        TI(memory_of_ids_is_bounded_and_says_so),
        TI(exactly_one_thread_gets_an_id),
    };
    return RUN(tests);
}
