/* The same cases for each driver. */
#include "test_store.h"

static int set_up(void **state)
{
    world_up(*(enum world_driver *)*state);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_down();
    return 0;
}

/* Only what the disk keeps is there afterwards. */
static bool reopen(void)
{
    if (world.driver == MEMORY)
        return false;
    world_close();
    world_open();
    return true;
}

static struct store_stats stats(void)
{
    struct store_stats st;

    store_stats(world.s, &st);
    return st;
}

/* --- values --------------------------------------------------------------------------------------- */

static void revisions_guard_against_lost_updates(void **state)
{
    struct store_key k = key(ACME, "k");
    uint64_t r1, r2, r3;
    char value[64];

    (void)state;
    assert_int_equal(get(k, NULL, &r1), MIG_NOT_FOUND);
    assert_int_equal(put(k, "one", 5, 0, &r1), MIG_VERSION_MISMATCH);
    assert_int_equal(r1, 0);
    assert_int_equal(put(k, "one", 0, 0, &r1), MIG_OK);
    assert_true(r1 > 0);
    assert_int_equal(put(k, "two", 0, 0, &r2), MIG_VERSION_MISMATCH);
    assert_int_equal(r2, r1);
    assert_int_equal(put(k, "two", r1, 0, &r2), MIG_OK);
    assert_true(r2 > r1);
    reopen();
    assert_int_equal(get(k, value, &r3), MIG_OK);
    assert_string_equal(value, "two");
    assert_int_equal(r3, r2);
    assert_int_equal(del(k, r1, &r3), MIG_VERSION_MISMATCH);
    assert_int_equal(r3, r2);
    assert_int_equal(put(k, "three", STORE_ANY, 0, &r2), MIG_OK);
    assert_int_equal(del(k, r2, NULL), MIG_OK);
    assert_int_equal(del(k, STORE_ANY, NULL), MIG_NOT_FOUND);
    assert_int_equal(get(k, NULL, NULL), MIG_NOT_FOUND);
    reopen();
    assert_int_equal(put(k, "again", 0, 0, &r3), MIG_OK);
    assert_true(r3 > r2); /* a revision never comes twice */
}

static void values_expire(void **state)
{
    uint64_t now = clock_wall_ms(), sum;
    char value[64];

    (void)state;
    assert_int_equal(put(key(ACME, "past"), "v", 0, now - 1, NULL), MIG_OK);
    assert_int_equal(get(key(ACME, "past"), NULL, NULL), MIG_NOT_FOUND);
    assert_int_equal(put(key(ACME, "past"), "w", 0, now + 60000, NULL), MIG_OK); /* absent */
    assert_int_equal(get(key(ACME, "past"), value, NULL), MIG_OK);
    assert_string_equal(value, "w");
    assert_int_equal(put(key(ACME, "old"), "v", 0, 1, NULL), MIG_OK);
    assert_int_equal(del(key(ACME, "old"), STORE_ANY, NULL), MIG_NOT_FOUND);
    assert_int_equal(put(key(ACME, "n"), "12345678", 0, 1, NULL), MIG_OK);
    assert_int_equal(add(key(ACME, "n"), 3, &sum), MIG_OK);
    assert_int_equal(sum, 3);
    assert_int_equal(put(key(ACME, "far"), "v", 0, UINT64_MAX, NULL), MIG_OK);
    assert_int_equal(get(key(ACME, "far"), NULL, NULL), MIG_OK);
    assert_string_equal(range_text(key(ACME, ""), "", 2, 1000), "far=v,n=\3+");
}

static void tenants_and_spaces_do_not_see_each_other(void **state)
{
    const struct store_key others[] = {key(OTHER, "k"), store_key(ACME, STORE_QUOTA, S("k")),
                                       key((struct store_tenant){S("acmek")}, "k"),
                                       key(STORE_NODE, "k"),
                                       key((struct store_tenant){S("acm")}, "ek")};
    char value[64];

    (void)state;
    assert_int_equal(put(key(ACME, "k"), "mine", 0, 0, NULL), MIG_OK);
    for (size_t i = 0; i < countof(others); i++) {
        assert_int_equal(get(others[i], NULL, NULL), MIG_NOT_FOUND);
        assert_int_equal(put(others[i], "theirs", 0, 0, NULL), MIG_OK);
    }
    assert_int_equal(get(key(ACME, "k"), value, NULL), MIG_OK);
    assert_string_equal(value, "mine");
    assert_string_equal(range_text(key(ACME, ""), "", 100, 1000), "k=mine");
}

static void a_range_is_in_byte_order_and_goes_on(void **state)
{
    static const char *const names[] = {"b", "a/2", "a", "a/", "a/1", "a/\xff\xff", "a0", "\xff"};
    static const struct {
        const char *prefix, *after;
        uint32_t max;
        size_t max_bytes;
        const char *want;
    } cases[] = {
        {"a/", "", 9, 9999, "a/=v,a/1=v,a/2=v,a/\xff\xff=v"},
        {"a/", "a/", 9, 9999, "a/1=v,a/2=v,a/\xff\xff=v"},
        {"a/", "a/1", 1, 9999, "a/2=v+"},
        {"a/", "a/1x", 9, 9999, "a/2=v,a/\xff\xff=v"}, /* need not be there */
        {"a/", "a/2", 1, 9999, "a/\xff\xff=v"},        /* nothing left: no more */
        {"a/", "A", 2, 9999, "a/=v,a/1=v+"},           /* before all of them */
        {"a/", "zzz", 9, 9999, ""},
        {"", "", 9, 9999, "a=v,a/=v,a/1=v,a/2=v,a/\xff\xff=v,a0=v,b=v,\xff=v"},
        {"\xff", "", 9, 9999, "\xff=v"},
        {"\xff", "\xff", 9, 9999, ""},
        {"nothing", "", 9, 9999, ""},
        {"", "", 9, 1, "a=v+"}, /* the first one always comes */
        {"", "a", 0, 9999, "a/=v+"},
    };

    (void)state;
    for (size_t i = 0; i < countof(names); i++)
        assert_int_equal(put(key(ACME, names[i]), "v", 0, 0, NULL), MIG_OK);
    assert_int_equal(put(key(ACME, "a/15"), "v", 0, 1, NULL), MIG_OK); /* has expired */
    assert_int_equal(put(key(OTHER, "a/3"), "v", 0, 0, NULL), MIG_OK);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < countof(cases); i++)
            assert_string_equal(range_text(key(ACME, cases[i].prefix), cases[i].after, cases[i].max,
                                           cases[i].max_bytes),
                                cases[i].want);
        reopen();
    }
}

static void counters_add_up_and_stop_at_the_ends(void **state)
{
    static const struct {
        int64_t delta;
        uint64_t want;
    } cases[] = {
        {5, 5},
        {-2, 3},
        {-10, 0},
        {INT64_MAX, INT64_MAX},
        {INT64_MAX, UINT64_MAX - 1},
        {1, UINT64_MAX},
        {1, UINT64_MAX},
        {INT64_MIN, UINT64_MAX / 2},
        {INT64_MIN, 0},
    };
    struct store_key k = store_key(ACME, STORE_USAGE, S("calls"));
    uint64_t sum;

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        assert_int_equal(add(k, cases[i].delta, &sum), MIG_OK);
        assert_true(sum == cases[i].want);
        if (i % 3 == 0)
            reopen();
    }
    assert_int_equal(put(key(ACME, "text"), "no counter", 0, 0, NULL), MIG_OK);
    assert_int_equal(add(key(ACME, "text"), 1, &sum), MIG_INVALID_REQUEST);
}

static void count_of(struct store_tenant tenant, uint64_t count, uint64_t bytes)
{
    struct asked a;

    assert_int_equal(asked_wait(&a, store_count(world.s, &asked_init(&a)->r, tenant, STORE_KV)),
                     MIG_OK);
    assert_int_equal(a.r.count, count);
    assert_int_equal(a.r.bytes, bytes);
    asked_deinit(&a);
}

static void counts_follow_every_write(void **state)
{
    uint64_t count, bytes;

    (void)state;
    count_of(ACME, 0, 0);
    put(key(ACME, "a"), "12345", 0, 0, NULL);
    put(key(ACME, "bb"), "", 0, 0, NULL);
    put(key(OTHER, "c"), "123", 0, 0, NULL);
    count_of(ACME, 2, 8);
    put(key(ACME, "a"), "1", STORE_ANY, 0, NULL);
    put(key(ACME, "a"), "nothing", 0, 0, NULL); /* refused */
    count_of(ACME, 2, 4);
    del(key(ACME, "bb"), STORE_ANY, NULL);
    count_of(ACME, 1, 2);
    reopen();
    count_of(ACME, 1, 2);
    count_of(OTHER, 1, 4);
    store_space_stats(world.s, STORE_KV, &count, &bytes);
    assert_int_equal(count, 2);
    assert_int_equal(bytes, 6);
    del(key(ACME, "a"), STORE_ANY, NULL);
    del(key(OTHER, "c"), STORE_ANY, NULL);
    count_of(ACME, 0, 0);
    store_space_stats(world.s, STORE_KV, &count, &bytes);
    assert_int_equal(count + bytes, 0);
}

static void a_full_space_refuses_but_sweeps_first(void **state)
{
    char name[16];
    uint64_t count, bytes;

    (void)state;
    store_set_limit(world.s, STORE_KV, 300, 100000);
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "n%d", i);
        assert_int_equal(put(key(ACME, name), "v", 0, i < 250 ? clock_wall_ms() + 150 : 0, NULL),
                         MIG_OK);
    }
    usleep(200000);
    assert_int_equal(put(key(ACME, "more"), "v", 0, 0, NULL), MIG_OK);
    store_space_stats(world.s, STORE_KV, &count, &bytes);
    assert_in_range(count, 51, 150);
    store_set_limit(world.s, STORE_KV, 52, 0);
    for (int i = 0; i < 5; i++) /* whatever has not been swept up goes first */
        put(key(ACME, i % 2 ? "x" : "y"), "v", STORE_ANY, 0, NULL);
    assert_int_equal(put(key(ACME, "most"), "v", 0, 0, NULL), MIG_BACKPRESSURE);
    assert_int_equal(put(key(ACME, "n299"), "w", STORE_ANY, 0, NULL), MIG_OK); /* not a new one */
    store_set_limit(world.s, STORE_KV, 0, 10);
    assert_int_equal(put(key(ACME, "n299"), "longer", STORE_ANY, 0, NULL), MIG_BACKPRESSURE);
    assert_int_equal(put(key(ACME, "n299"), "", STORE_ANY, 0, NULL), MIG_OK); /* it shrinks */
    assert_int_equal(put(store_key(ACME, STORE_QUOTA, S("q")), "v", 0, 0, NULL), MIG_OK);
}

static void what_has_expired_is_removed_in_passing(void **state)
{
    uint64_t count = 1, bytes;
    char name[16];

    (void)state;
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "n%d", i);
        put(key(ACME, name), "v", 0, 1, NULL);
    }
    for (int i = 0; i < 400 && count; i++) { /* sqlite: by itself; memory: with each write */
        put(store_key(ACME, STORE_KV, S("tick")), "v", STORE_ANY, 1, NULL);
        del(store_key(ACME, STORE_KV, S("tick")), STORE_ANY, NULL);
        if (world.driver == SQLITE)
            usleep(10000); /* 4 s: more than one sweep of a second would do */
        store_space_stats(world.s, STORE_KV, &count, &bytes);
        count -= count == 1; /* tick itself */
    }
    assert_int_equal(count, 0);
    assert_true(stats().purged >= 2999);
}

/* --- logs ------------------------------------------------------------------------------------------- */

static void a_log_takes_only_the_next_number(void **state)
{
    struct store_topic t = topic(ACME, "orders");
    struct store_head h;
    uint64_t last;
    char text[512];

    (void)state;
    assert_int_equal(head(t, &h), MIG_NOT_FOUND);
    assert_int_equal(read_text(t, 0, 9, 999, text), MIG_NOT_FOUND);
    assert_int_equal(append(t, 2, "two", &last), MIG_VERSION_MISMATCH);
    assert_int_equal(last, 0);
    assert_int_equal(append(t, 0, "zero", NULL), MIG_VERSION_MISMATCH);
    assert_int_equal(head(t, &h), MIG_NOT_FOUND); /* a refusal leaves nothing behind */
    assert_int_equal(append(t, 1, "one", &last), MIG_OK);
    assert_int_equal(last, 1);
    assert_int_equal(append(t, 1, "again", &last), MIG_VERSION_MISMATCH);
    assert_int_equal(append(t, 3, "gap", &last), MIG_VERSION_MISMATCH);
    assert_int_equal(last, 1);
    reopen();
    assert_int_equal(append(t, 1, "again", &last), MIG_VERSION_MISMATCH);
    assert_int_equal(append(t, 2, "two", &last), MIG_OK);
    assert_int_equal(append(topic(OTHER, "orders"), 1, "theirs", &last), MIG_OK);
    assert_int_equal(head(t, &h), MIG_OK);
    assert_int_equal(h.first, 1);
    assert_int_equal(h.last, 2);
    assert_int_equal(h.bytes, 2 * (3 + 2 + 3));
    assert_int_equal(read_text(t, 0, 9, 999, text), MIG_OK);
    assert_string_equal(text, "1 one,2 two");
}

/* A record of topic "t" and, with it, the value "with" of acme. */
static mig_status append_with(uint64_t seq, const char *value, uint64_t expect,
                              uint64_t *ret_revision)
{
    struct asked a;
    struct store_request with = {0};
    const struct store_record record = {seq, 1000 + seq, S("key"), S("id"), S("e")};

    assert_int_equal(store_prepare_put(world.s, &with, key(ACME, "with"), str_of(value), expect, 0),
                     MIG_OK);
    mig_status st = asked_wait(
        &a, store_append_with(world.s, &asked_init(&a)->r, topic(ACME, "t"), &record, &with));
    *ret_revision = with.revision;
    asked_deinit(&a);
    return st;
}

/* How far the topic is, and what the value is. */
static void check_both(uint64_t last, const char *value)
{
    struct store_head h;
    char there[64];

    assert_int_equal(head(topic(ACME, "t"), &h), last ? MIG_OK : MIG_NOT_FOUND);
    assert_int_equal(h.last, last);
    assert_int_equal(get(key(ACME, "with"), there, NULL), *value ? MIG_OK : MIG_NOT_FOUND);
    assert_string_equal(there, value);
}

static void a_record_and_its_value_are_written_or_neither(void **state)
{
    uint64_t revision, there;

    (void)state;
    store_set_limit(world.s, STORE_KV, 0, 8);
    assert_int_equal(append_with(1, "much too long", 0, &revision), MIG_BACKPRESSURE);
    check_both(0, "");
    assert_int_equal(stats().topics, 0);
    assert_int_equal(append_with(2, "gap", 0, &revision), MIG_VERSION_MISMATCH);
    check_both(0, "");
    assert_int_equal(append_with(1, "one", 0, &revision), MIG_OK);
    check_both(1, "one");
    assert_int_equal(get(key(ACME, "with"), NULL, &there), MIG_OK);
    assert_int_equal(there, revision);
    assert_int_equal(append_with(2, "new", 0, &revision), MIG_VERSION_MISMATCH); /* it is there */
    check_both(1, "one");
    assert_int_equal(append_with(1, "old", STORE_ANY, &revision), MIG_VERSION_MISMATCH);
    check_both(1, "one");
    assert_int_equal(append_with(2, "two", STORE_ANY, &revision), MIG_OK);
    check_both(2, "two");
    count_of(ACME, 1, 7);
    if (reopen())
        check_both(2, "two");
}

static void a_value_beside_a_record_is_checked_as_any_other(void **state)
{
    struct store_request with = {0};

    (void)state;
    assert_int_equal(store_prepare_put(world.s, &with, key(ACME, ""), S("v"), 0, 0),
                     MIG_INVALID_REQUEST);
    assert_int_equal(store_prepare_put(world.s, &with, store_key(ACME, (enum store_space)0, S("n")),
                                       S("v"), 0, 0),
                     MIG_INVALID_REQUEST);
    assert_int_equal(store_prepare_put(world.s, &with, key(ACME, "n"), S("v"), 0, 0), MIG_OK);
    assert_int_equal(get(key(ACME, "n"), NULL, NULL), MIG_NOT_FOUND); /* it need not be used */
}

static void a_read_obeys_its_limits(void **state)
{
    static const struct {
        uint64_t after;
        uint32_t max;
        size_t max_bytes;
        const char *want;
    } cases[] = {
        {0, 100, 9999, "3 e,4 e,5 e,6 e"},
        {2, 100, 9999, "3 e,4 e,5 e,6 e"},
        {3, 2, 9999, "4 e,5 e+"},
        {4, 2, 9999, "5 e,6 e"},
        {0, 9, 1, "3 e+"},
        {5, 1, 1, "6 e"},
        {6, 9, 9999, ""},
        {UINT64_MAX, 9, 9999, ""},
        {0, 0, 9999, "3 e+"},
    };
    struct store_topic t = topic(ACME, "t");
    uint64_t first;
    char text[512];

    (void)state;
    for (uint64_t i = 1; i <= 6; i++)
        assert_int_equal(append(t, i, "e", NULL), MIG_OK);
    assert_int_equal(trim(t, 2, &first), MIG_OK);
    for (size_t i = 0; i < countof(cases); i++) {
        assert_int_equal(read_text(t, cases[i].after, cases[i].max, cases[i].max_bytes, text),
                         MIG_OK);
        assert_string_equal(text, cases[i].want);
    }
}

static void numbers_never_come_again(void **state)
{
    struct store_topic t = topic(ACME, "t");
    struct store_head h;
    uint64_t first, last;
    char text[512];

    (void)state;
    assert_int_equal(trim(t, 5, &first), MIG_NOT_FOUND);
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(append(t, i, "e", NULL), MIG_OK);
    assert_int_equal(trim(t, 0, &first), MIG_OK);
    assert_int_equal(first, 1);
    assert_int_equal(trim(t, 1, &first), MIG_OK);
    assert_int_equal(first, 2);
    assert_int_equal(trim(t, 1, &first), MIG_OK);
    assert_int_equal(trim(t, UINT64_MAX, &first), MIG_OK);
    assert_int_equal(first, 4);
    reopen();
    assert_int_equal(head(t, &h), MIG_OK);
    assert_int_equal(h.first, 4);
    assert_int_equal(h.last, 3);
    assert_int_equal(h.bytes, 0);
    assert_int_equal(read_text(t, 0, 9, 999, text), MIG_OK);
    assert_string_equal(text, "");
    assert_int_equal(append(t, 1, "e", &last), MIG_VERSION_MISMATCH);
    assert_int_equal(last, 3);
    assert_int_equal(append(t, 4, "four", NULL), MIG_OK);
    assert_int_equal(read_text(t, 0, 9, 999, text), MIG_OK);
    assert_string_equal(text, "4 four");
}

static void a_long_trim_ends(void **state)
{
    enum { MANY = 5500 };
    static struct asked many[MANY];
    struct store_topic t = topic(ACME, "long");
    struct store_head h;
    uint64_t first;

    (void)state;
    for (uint64_t i = 0; i < MANY; i++) {
        const struct store_record record = {i + 1, 0, {0}, {0}, S("0123456789")};
        assert_int_equal(store_append(world.s, &asked_init(&many[i])->r, t, &record), MIG_OK);
    }
    for (uint64_t i = 0; i < MANY; i++)
        assert_int_equal(asked_wait(&many[i], MIG_OK), MIG_OK);
    if (world.driver == SQLITE)
        assert_true(stats().commits < MANY / 2); /* many share a transaction */
    assert_int_equal(trim(t, MANY - 10, &first), MIG_OK);
    assert_int_equal(first, MANY - 9);
    assert_int_equal(head(t, &h), MIG_OK);
    assert_int_equal(h.bytes, 100);
    for (uint64_t i = 0; i < MANY; i++)
        asked_deinit(&many[i]);
}

static char seen[512];

static void see_topic(void *arg, struct store_topic t, struct store_head h)
{
    assert_ptr_equal(arg, &world);
    if (str_eq(t.tenant.id, S("acme")))
        snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%.*s %d-%d %d,", STR_ARG(t.name),
                 (int)h.first, (int)h.last, (int)h.bytes);
}

static void see_row(void *arg, struct store_tenant tenant, const struct store_row *row)
{
    assert_ptr_equal(arg, &world);
    assert_true(row->revision > 0);
    snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%.*s:%.*s=%.*s,", STR_ARG(tenant.id),
             STR_ARG(row->name), STR_ARG(row->value));
}

static void the_start_finds_everything(void **state)
{
    struct diag d;
    uint64_t first;

    (void)state;
    append(topic(ACME, "a"), 1, "x", NULL);
    append(topic(ACME, "a"), 2, "x", NULL);
    trim(topic(ACME, "a"), 1, &first);
    append(topic(OTHER, "b"), 1, "x", NULL);
    put(store_key(ACME, STORE_QUOTA, S("q")), "1", 0, 0, NULL);
    put(key(ACME, "k"), "1", 0, 0, NULL);
    reopen();
    diag_init(&d);
    seen[0] = 0;
    assert_true(store_each_topic(world.s, see_topic, &world, &d));
    assert_string_equal(seen, "a 2-2 6,");
    seen[0] = 0;
    assert_true(store_each_row(world.s, STORE_QUOTA, see_row, &world, &d));
    assert_string_equal(seen, "acme:q=1,");
    assert_int_equal(d.count, 0);
    diag_deinit(&d);
    assert_int_equal(stats().topics, 2);
}

/* --- limits and manners ----------------------------------------------------------------------------- */

static void nonsense_is_refused_at_once(void **state)
{
    static char longest[STORE_NAME_MAX + 1];
    struct store_tenant none = {{0}};
    struct store_key bad[] = {key(none, "k"),
                              key(ACME, ""),
                              store_key(ACME, 0, S("k")),
                              store_key(ACME, STORE_SPACES, S("k")),
                              store_key(ACME, (enum store_space) - 1, S("k")),
                              store_key(ACME, STORE_KV, (str){longest, sizeof longest}),
                              key((struct store_tenant){{longest, STORE_TENANT_MAX + 1}}, "k")};

    (void)state;
    memset(longest, 'x', sizeof longest);
    for (size_t i = 0; i < countof(bad); i++) {
        assert_int_equal(put(bad[i], "v", 0, 0, NULL), MIG_INVALID_REQUEST);
        assert_int_equal(get(bad[i], NULL, NULL), MIG_INVALID_REQUEST);
    }
    struct store_key k = store_key((struct store_tenant){{longest, STORE_TENANT_MAX}}, STORE_KV,
                                   (str){longest, STORE_NAME_MAX});
    assert_int_equal(put(k, "v", 0, 0, NULL), MIG_OK);
    assert_int_equal(append(topic(none, "t"), 1, "e", NULL), MIG_INVALID_REQUEST);
    assert_int_equal(append(topic(ACME, ""), 1, "e", NULL), MIG_INVALID_REQUEST);
    world_close();
    world.settings.max_value_bytes = 4;
    world_open();
    assert_int_equal(put(key(ACME, "k"), "12345", 0, 0, NULL), MIG_INVALID_REQUEST);
    assert_int_equal(append(topic(ACME, "t"), 1, "12345", NULL), MIG_INVALID_REQUEST);
    assert_int_equal(append(topic(ACME, "t"), 1, "1234", NULL), MIG_OK);
}

static void topics_are_limited(void **state)
{
    uint64_t last;

    (void)state;
    world_close();
    world.settings.max_topics = 2;
    world_open();
    assert_int_equal(append(topic(ACME, "a"), 1, "e", NULL), MIG_OK);
    assert_int_equal(append(topic(ACME, "b"), 1, "e", NULL), MIG_OK);
    assert_int_equal(append(topic(ACME, "c"), 1, "e", NULL), MIG_BACKPRESSURE);
    assert_int_equal(append(topic(ACME, "b"), 2, "e", &last), MIG_OK);
    if (reopen())
        assert_int_equal(append(topic(ACME, "c"), 1, "e", NULL), MIG_BACKPRESSURE);
}

static void bytes_are_limited(void **state)
{
    enum { SIZE = 20000 };
    static char value[SIZE + 1];
    char name[16];
    int n = 0;

    (void)state;
    memset(value, 'x', SIZE);
    world_close();
    world.settings.max_bytes = 1 << 20;
    world_open();
    while (n < 100) {
        snprintf(name, sizeof name, "n%d", n);
        if (put(key(ACME, name), value, 0, 0, NULL))
            break;
        n++;
    }
    assert_in_range(n, 10, 60);
    assert_int_equal(put(key(ACME, "more"), value, 0, 0, NULL), MIG_UNAVAILABLE);
    assert_true(stats().failed >= 1);
    assert_int_equal(get(key(ACME, "n0"), NULL, NULL), MIG_OK);
    assert_int_equal(del(key(ACME, "n0"), STORE_ANY, NULL), MIG_OK); /* makes room again */
    assert_int_equal(del(key(ACME, "n1"), STORE_ANY, NULL), MIG_OK);
    assert_int_equal(put(key(ACME, "more"), value, 0, 0, NULL), MIG_OK);
    assert_false(stats().is_failing);
}

static bool was_inside;

static void note_inside(struct store_request *r)
{
    (void)r;
    assert_false(was_inside);
    sem_post(&world.is_up);
}

static struct store_request inner;

static void submit_inside(struct loop *l, uint64_t v)
{
    (void)v;
    inner = (struct store_request){.loop = l, .done = note_inside};
    was_inside = true;
    assert_int_equal(store_put(world.s, &inner, key(ACME, "k"), S("v"), 0, 0), MIG_OK);
    was_inside = false;
}

static void an_answer_never_comes_before_the_submit_returns(void **state)
{
    (void)state;
    loop_post_fn(world.loop, submit_inside, 0);
    sem_wait(&world.is_up);
    assert_int_equal(inner.status, MIG_OK);
}

static void closing_answers_everything(void **state)
{
    enum { MANY = 3000 };
    static struct asked many[MANY];
    struct store_head h;

    (void)state;
    for (uint64_t i = 0; i < MANY; i++) {
        const struct store_record record = {i + 1, 0, {0}, {0}, S("e")};
        assert_int_equal(store_append(world.s, &asked_init(&many[i])->r, topic(ACME, "t"), &record),
                         MIG_OK);
    }
    world_close();
    for (uint64_t i = 0; i < MANY; i++) {
        assert_int_equal(asked_wait(&many[i], MIG_OK), MIG_OK);
        assert_int_equal(many[i].times, 1);
        asked_deinit(&many[i]);
    }
    world_open();
    if (world.driver == SQLITE) {
        assert_int_equal(head(topic(ACME, "t"), &h), MIG_OK);
        assert_int_equal(h.last, MANY);
    }
}

static enum world_driver drivers[] = {MEMORY, SQLITE};

int main(void)
{
#define TD(f)                                                                                      \
    {"memory: " #f, f, set_up, tear_down, &drivers[0]},                                            \
    {                                                                                              \
        "sqlite: " #f, f, set_up, tear_down, &drivers[1]                                           \
    }
    const struct CMUnitTest tests[] = {
        TD(revisions_guard_against_lost_updates),
        TD(values_expire),
        TD(tenants_and_spaces_do_not_see_each_other),
        TD(a_range_is_in_byte_order_and_goes_on),
        TD(counters_add_up_and_stop_at_the_ends),
        TD(counts_follow_every_write),
        TD(a_full_space_refuses_but_sweeps_first),
        TD(what_has_expired_is_removed_in_passing),
        TD(a_log_takes_only_the_next_number),
        TD(a_record_and_its_value_are_written_or_neither),
        TD(a_value_beside_a_record_is_checked_as_any_other),
        TD(a_read_obeys_its_limits),
        TD(numbers_never_come_again),
        TD(a_long_trim_ends),
        TD(the_start_finds_everything),
        TD(nonsense_is_refused_at_once),
        TD(topics_are_limited),
        TD(bytes_are_limited),
        TD(an_answer_never_comes_before_the_submit_returns),
        TD(closing_answers_everything),
    };
    return RUN(tests);
}
