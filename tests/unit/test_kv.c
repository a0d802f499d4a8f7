#include "unit.h"
#include "store/kv.h"

#include <pthread.h>

static struct kv_store *s;
static const struct kv_space space = {S("acme"), S("org.p"), S("one")};

static int set_up(void **state)
{
    const struct kv_limits l = {.max_bytes = 100000, .max_keys = 50, .max_value = 1000};

    (void)state;
    s = kv_new(&l);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    kv_free(s);
    return 0;
}

static mig_status put(const char *key, const char *value, uint64_t expect, uint64_t ttl,
                      uint64_t now, uint64_t *rev)
{
    uint64_t r = 0;
    mig_status st = kv_put(s, &space, str_of(key), str_of(value), expect, ttl, now, &r);
    if (rev)
        *rev = r;
    return st;
}

static mig_status get_in(const struct kv_space *sp, const char *key, uint64_t now, char *out,
                         uint64_t *rev)
{
    struct buf b;
    uint64_t r;

    buf_init(&b, 1 << 20);
    mig_status st = kv_get(s, sp, str_of(key), now, &b, &r);
    if (out) {
        memcpy(out, b.ptr ? b.ptr : "", b.len);
        out[b.len] = 0;
    }
    if (rev)
        *rev = r;
    buf_deinit(&b);
    return st;
}

static void revisions_guard_against_lost_updates(void **state)
{
    uint64_t r1, r2, now_rev;
    char value[64];

    (void)state;
    assert_int_equal(get_in(&space, "k", 0, NULL, &now_rev), MIG_NOT_FOUND);
    assert_int_equal(now_rev, 0);
    assert_int_equal(put("k", "one", 5, 0, 0, &now_rev), MIG_VERSION_MISMATCH);
    assert_int_equal(put("k", "one", 0, 0, 0, &r1), MIG_OK); /* must be absent */
    assert_true(r1 > 0);
    assert_int_equal(put("k", "two", 0, 0, 0, &now_rev), MIG_VERSION_MISMATCH);
    assert_int_equal(now_rev, r1);
    assert_int_equal(put("k", "two", r1, 0, 0, &r2), MIG_OK);
    assert_true(r2 > r1);
    assert_int_equal(put("k", "three", r1, 0, 0, NULL), MIG_VERSION_MISMATCH);
    assert_int_equal(get_in(&space, "k", 0, value, &now_rev), MIG_OK);
    assert_string_equal(value, "two");
    assert_int_equal(now_rev, r2);
    assert_int_equal(put("k", "four", MIG_KV_ANY, 0, 0, NULL), MIG_OK);
    assert_int_equal(kv_del(s, &space, S("k"), r2, 0, &now_rev), MIG_VERSION_MISMATCH);
    assert_int_equal(kv_del(s, &space, S("k"), now_rev, 0, &r1), MIG_OK);
    assert_int_equal(r1, 0);
    assert_int_equal(kv_del(s, &space, S("k"), MIG_KV_ANY, 0, &r1), MIG_NOT_FOUND);
    assert_int_equal(put("k", "again", 0, 0, 0, &r1), MIG_OK);
    assert_true(r1 > r2); /* a revision never comes twice */
}

static void keys_expire(void **state)
{
    (void)state;
    assert_int_equal(put("k", "v", 0, 100, 1000, NULL), MIG_OK);
    assert_int_equal(get_in(&space, "k", 1099, NULL, NULL), MIG_OK);
    assert_int_equal(get_in(&space, "k", 1100, NULL, NULL), MIG_NOT_FOUND);
    assert_int_equal(put("k", "v", 0, 0, 1100, NULL), MIG_OK); /* absent again */
    assert_int_equal(get_in(&space, "k", 1u << 30, NULL, NULL), MIG_OK);
    assert_int_equal(put("k", "v", MIG_KV_ANY, UINT64_MAX, 2000, NULL), MIG_OK);
    assert_int_equal(get_in(&space, "k", 3000, NULL, NULL), MIG_OK); /* a very long time */
}

static void spaces_do_not_see_each_other(void **state)
{
    const struct kv_space others[] = {{S("other"), S("org.p"), S("one")},
                                      {S("acme"), S("org.q"), S("one")},
                                      {S("acme"), S("org.p"), S("two")},
                                      {S("acmeorg.p"), S(""), S("one")}};
    char value[64];
    uint64_t r;

    (void)state;
    assert_int_equal(put("k", "mine", 0, 0, 0, NULL), MIG_OK);
    for (size_t i = 0; i < countof(others); i++) {
        assert_int_equal(get_in(&others[i], "k", 0, NULL, NULL), MIG_NOT_FOUND);
        assert_int_equal(kv_put(s, &others[i], S("k"), S("theirs"), 0, 0, 0, &r), MIG_OK);
    }
    assert_int_equal(get_in(&space, "k", 0, value, NULL), MIG_OK);
    assert_string_equal(value, "mine");
}

static void limits_hold(void **state)
{
    char key[600], value[1100], name[16];
    uint64_t keys, bytes, r;

    (void)state;
    memset(key, 'k', sizeof key);
    memset(value, 'v', sizeof value);
    assert_int_equal(kv_put(s, &space, (str){key, 512}, S("v"), 0, 0, 0, &r), MIG_OK);
    assert_int_equal(kv_put(s, &space, (str){key, 513}, S("v"), 0, 0, 0, &r), MIG_INVALID_REQUEST);
    assert_int_equal(kv_put(s, &space, S(""), S("v"), 0, 0, 0, &r), MIG_INVALID_REQUEST);
    assert_int_equal(kv_put(s, &space, S("a"), (str){value, 1000}, 0, 0, 0, &r), MIG_OK);
    assert_int_equal(kv_put(s, &space, S("b"), (str){value, 1001}, 0, 0, 0, &r),
                     MIG_INVALID_REQUEST);
    assert_int_equal(kv_del(s, &space, (str){key, 512}, MIG_KV_ANY, 0, &r), MIG_OK);
    assert_int_equal(kv_del(s, &space, S("a"), MIG_KV_ANY, 0, &r), MIG_OK);
    kv_stats(s, &keys, &bytes);
    assert_int_equal(keys, 0);
    assert_int_equal(bytes, 0);
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "n%d", i);
        assert_int_equal(put(name, "v", 0, i < 10 ? 500 : 0, 1000, NULL), MIG_OK);
    }
    assert_int_equal(put("more", "v", 0, 0, 1100, NULL), MIG_BACKPRESSURE);
    assert_int_equal(put("n20", "other", MIG_KV_ANY, 0, 1100, NULL), MIG_OK); /* not a new one */
    assert_int_equal(put("more", "v", 0, 0, 1500, NULL), MIG_OK);             /* ten have expired */
    kv_stats(s, &keys, &bytes);
    assert_int_equal(keys, 41);
    kv_set_limits(s, &(struct kv_limits){bytes, 1000, 1000});
    assert_int_equal(put("most", "v", 0, 0, 1500, NULL), MIG_BACKPRESSURE); /* bytes */
    assert_int_equal(get_in(&space, "n20", 1500, value, NULL), MIG_OK);
    assert_string_equal(value, "other");
}

static void *count_up(void *arg)
{
    for (int n = 0; n < 2000;) {
        char value[64];
        uint64_t rev, r;
        mig_status st = get_in(&space, "n", 0, value, &rev);
        snprintf(value, sizeof value, "%d", (st == MIG_OK ? atoi(value) : 0) + 1);
        n += kv_put(s, &space, S("n"), str_of(value), rev, 0, 0, &r) == MIG_OK;
    }
    return arg;
}

static void compare_and_set_counts_right_between_threads(void **state)
{
    pthread_t t[4];
    char value[64];

    (void)state;
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, count_up, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(get_in(&space, "n", 0, value, NULL), MIG_OK);
    assert_string_equal(value, "8000");
}

int main(void)
{
#define TK(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TK(revisions_guard_against_lost_updates),
        TK(keys_expire),
        TK(spaces_do_not_see_each_other),
        TK(limits_hold),
        TK(compare_and_set_counts_right_between_threads),
    };
    return RUN(tests);
}
