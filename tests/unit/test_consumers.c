#include "core_world.h"
#include "base/clock.h"

#define TTL 60000

static const mig_call one = {1}, two = {2}, three = {3};
static struct consumer_state known;

static struct consumer *find_in(const char *tenant, const char *topic, const char *id)
{
    const struct consumer_key key = {str_of(tenant), str_of(topic), str_of(id)};

    known = (struct consumer_state){.position = 999};
    return consumer_find(w.core, &key, &known);
}

static struct consumer *find(const char *id)
{
    return find_in("acme", "a.b", id);
}

static struct consumer *take(const char *id, mig_call me, mig_call before)
{
    struct consumer *c = find(id);

    assert_non_null(c);
    assert_int_equal(consumer_take(w.core, c, me, TTL).v, before.v);
    return c;
}

static void moved(struct consumer *c, mig_call me, uint64_t seq)
{
    consumer_moved(w.core, c, me, seq, /*is_replay=*/false);
}

/* What a subscription would find now. */
static void check(const char *id, bool is_known, uint64_t position)
{
    struct consumer *c = find(id);

    assert_non_null(c);
    consumer_pass(w.core, c);
    assert_int_equal(known.is_known, is_known);
    assert_int_equal(known.position, position);
}

static void wait_a_millisecond(void)
{
    for (uint64_t now = clock_wall_ms(); clock_wall_ms() <= now + 1;)
        ;
}

/* --- positions ---------------------------------------------------------------------------------- */

static void positions_body(void)
{
    struct consumer *c = take("c", one, (mig_call){0});

    assert_false(known.is_known);
    consumer_leave(w.core, c, one);
    check("c", false, 0); /* nothing was handed on yet */
    take("c", one, (mig_call){0});
    moved(c, one, 5);
    check("c", true, 5);
    check("d", false, 0);
    moved(c, one, 6);
    consumer_leave(w.core, c, one);
    check("c", true, 6);
}

static void a_position_follows_what_was_handed_on(void **state)
{
    (void)state;
    world_run(positions_body, 0);
}

static void apart_body(void)
{
    static const char *const keys[][3] = {{"acme", "a.b", "c"},
                                          {"acme", "a.bc", "x"},
                                          {"acm", "ea.b", "c"},
                                          {"acme", "a.b", "cx"},
                                          {"other", "a.b", "c"}};

    for (size_t i = 0; i < countof(keys); i++) {
        struct consumer *c = find_in(keys[i][0], keys[i][1], keys[i][2]);
        assert_false(known.is_known);
        assert_int_equal(consumer_take(w.core, c, one, TTL).v, 0);
        moved(c, one, i + 1);
    }
    for (int restart = 0; restart < 2; restart++) {
        for (size_t i = 0; i < countof(keys); i++) {
            consumer_pass(w.core, find_in(keys[i][0], keys[i][1], keys[i][2]));
            assert_true(known.is_known);
            assert_int_equal(known.position, i + 1);
        }
        reopen_data();
    }
}

static void tenants_topics_and_ids_are_apart(void **state)
{
    (void)state;
    world_run(apart_body, 0);
}

/* --- takeovers ---------------------------------------------------------------------------------- */

static void takeover_body(void)
{
    struct consumer *c = take("c", one, (mig_call){0});

    moved(c, one, 3);
    take("c", two, one);
    assert_int_equal(known.position, 3);
    moved(c, one, 9); /* it does not know yet that it is superseded */
    check("c", true, 3);
    consumer_leave(w.core, c, one); /* nor does its end end the new one */
    moved(c, two, 4);
    check("c", true, 4);
    take("c", three, two);
    consumer_leave(w.core, c, three);
    take("c", one, (mig_call){0});
}

static void who_was_taken_over_does_not_count(void **state)
{
    (void)state;
    world_run(takeover_body, 0);
}

static void pass_body(void)
{
    struct consumer *c = take("c", one, (mig_call){0});

    moved(c, one, 3);
    for (int i = 0; i < 3; i++) {
        assert_ptr_equal(find("c"), c);
        consumer_pass(w.core, c);
    }
    moved(c, one, 4);
    check("c", true, 4);
    take("c", two, one);
}

static void who_only_looked_disturbs_nobody(void **state)
{
    (void)state;
    world_run(pass_body, 0);
}

/* --- time --------------------------------------------------------------------------------------- */

static void expiry_body(void)
{
    struct consumer *c = find("c");

    consumer_take(w.core, c, one, /*ttl_ms=*/0);
    moved(c, one, 3);
    wait_a_millisecond();
    check("c", true, 3); /* not while it is read */
    consumer_leave(w.core, c, one);
    wait_a_millisecond();
    check("c", false, 3);
    take("c", one, (mig_call){0}); /* with a longer life */
    moved(c, one, 7);
    consumer_leave(w.core, c, one);
    wait_a_millisecond();
    check("c", true, 7);
}

static void a_position_expires_without_a_reader(void **state)
{
    (void)state;
    world_run(expiry_body, 0);
}

static void quota_body(void)
{
    struct consumer *c = take("c", one, (mig_call){0});

    assert_in_range(known.hour_left_ms, 3599000, 3600000);
    for (uint64_t n = 1; n <= 10; n++)
        consumer_moved(w.core, c, one, n, /*is_replay=*/n <= 7);
    check("c", true, 10);
    assert_int_equal(known.replayed, 7);
    reopen_data();
    check("c", true, 10);
    assert_int_equal(known.replayed, 7);
    assert_in_range(known.hour_left_ms, 3590000, 3600000);
}

static void replays_are_counted_by_the_hour(void **state)
{
    (void)state;
    world_run(quota_body, 0);
}

/* --- the store ---------------------------------------------------------------------------------- */

static uint64_t records(void)
{
    struct store_stats s;

    store_stats(w.store, &s);
    return s.records;
}

static void saving_body(void)
{
    struct consumer *c = take("c", one, (mig_call){0});

    for (uint64_t n = 1; n <= 1000; n++)
        moved(c, one, n);
    assert_int_equal(records(), 1); /* one at a time */
    pump();
    assert_int_equal(records(), 2); /* then the youngest */
    reopen_data();
    check("c", true, 1000);
}

static void the_youngest_position_is_saved(void **state)
{
    (void)state;
    world_run(saving_body, 0);
}

static void expired_row_body(void)
{
    struct consumer *c = find("c");

    consumer_take(w.core, c, one, /*ttl_ms=*/1);
    moved(c, one, 3);
    consumer_leave(w.core, c, one);
    pump();
    wait_a_millisecond();
    wait_a_millisecond();
    reopen_data();
    check("c", false, 0);
}

static void what_has_expired_is_not_loaded(void **state)
{
    (void)state;
    world_run(expired_row_body, 0);
}

static void ignore(struct store_request *r)
{
    (void)r;
}

/* Bytes of the store that a test can take and give. */
static void fill_store(size_t bytes, bool is_full)
{
    static char zeros[1 << 16];
    struct store_request r = {.loop = w.l, .done = ignore};
    const struct store_key key = store_key(STORE_NODE, STORE_KV, S("ballast"));

    assert_true(bytes <= sizeof zeros);
    if (is_full)
        assert_int_equal(store_put(w.store, &r, key, (str){zeros, bytes}, STORE_ANY, 0), MIG_OK);
    else
        assert_int_equal(store_delete(w.store, &r, key, STORE_ANY), MIG_OK);
    pump();
    assert_int_equal(r.status, MIG_OK);
}

static void full_store_body(void)
{
    struct consumer *c = take("consumer-with-a-name-of-some-length", one, (mig_call){0});

    fill_store(9850, true);
    moved(c, one, 3);
    pump();
    moved(c, one, 4);
    pump();
    struct store_stats s;
    store_stats(w.store, &s);
    assert_int_equal(s.failed, 2); /* and not again and again */
    fill_store(0, false);
    consumer_leave(w.core, c, one);
    reopen_data();
    check("consumer-with-a-name-of-some-length", true, 4);
}

static void a_position_that_could_not_be_saved_is_saved_at_the_end(void **state)
{
    (void)state;
    world_run(full_store_body, 10000);
}

static void stranger(const char *name, size_t len)
{
    static char zeros[64];
    struct store_request r = {.loop = w.l, .done = ignore};

    assert_int_equal(
        store_put(w.store, &r,
                  store_key((struct store_tenant){S("acme")}, STORE_CONSUMER, str_of(name)),
                  (str){zeros, len}, STORE_ANY, clock_wall_ms() + TTL),
        MIG_OK);
    pump();
}

static void damage_body(void)
{
    stranger("no line feed", 24);
    stranger("a.b\ntoo short", 23);
    stranger("a.b\ntoo long", 25);
    stranger("a.b\nempty", 0);
    stranger("a.b\ngood", 24);
    reopen_data();
    check("too short", false, 0);
    check("too long", false, 0);
    check("empty", false, 0);
    check("good", true, 0);
}

static void rows_of_another_shape_are_passed_over(void **state)
{
    (void)state;
    world_run(damage_body, 0);
}

/* --- how many ----------------------------------------------------------------------------------- */

static void many_body(void)
{
    enum { MAX = 100000, KEPT = 100 };
    struct consumer **all = calloc(MAX, sizeof *all);
    char id[16];

    for (size_t i = 0; i < MAX; i++) {
        snprintf(id, sizeof id, "c%zu", i);
        all[i] = take(id, one, (mig_call){0});
    }
    assert_null(find("one more"));
    moved(all[0], one, 5);
    for (size_t i = 0; i < MAX; i++)
        consumer_leave(w.core, all[i], one);
    for (size_t i = 0; i < KEPT; i++) { /* in place of those that were never used */
        snprintf(id, sizeof id, "new%zu", i);
        take(id, two, (mig_call){0});
    }
    check("c0", true, 5);
    free(all);
}

static void their_number_has_a_limit_and_the_unused_make_room(void **state)
{
    (void)state;
    world_run(many_body, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_position_follows_what_was_handed_on),
        T(tenants_topics_and_ids_are_apart),
        T(who_was_taken_over_does_not_count),
        T(who_only_looked_disturbs_nobody),
        T(a_position_expires_without_a_reader),
        T(replays_are_counted_by_the_hour),
        T(the_youngest_position_is_saved),
        T(what_has_expired_is_not_loaded),
        T(a_position_that_could_not_be_saved_is_saved_at_the_end),
        T(rows_of_another_shape_are_passed_over),
        T(their_number_has_a_limit_and_the_unused_make_room),
    };
    return RUN(tests);
}
