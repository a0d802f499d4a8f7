#include "topic_world.h"
#include "core/tenants.h"

enum { TAIL = 256, TAIL_BYTES = 1 << 20 };

/* --- numbers ------------------------------------------------------------------------------------ */

static void numbers_body(void)
{
    struct topic *t = topic("a.b");
    struct note n[3];

    check_range(t, 1, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(begin(&n[i], t, 10, 0), MIG_OK);
    check_range(t, 1, 0);
    assert_false(is_in_memory(t, 0)); /* not before the store has said so */
    pump();
    check_range(t, 1, 3);
    for (int i = 0; i < 3; i++) {
        assert_true(is_in_memory(t, (uint64_t)i));
        assert_int_equal(end(&n[i]), i + 1);
    }
    assert_false(is_in_memory(t, 3));
    assert_int_equal(publish(t), 4);
    assert_int_equal(stats().published, 4);
}

static void events_are_seen_once_they_are_stored(void **state)
{
    (void)state;
    world_run(numbers_body, 0);
}

static void apart_body(void)
{
    static const struct {
        str tenant, name;
    } keys[] = {{S("acme"), S("a.b")},
                {S("acme"), S("a.bc")},
                {S("acm"), S("ea.b")},
                {S("other"), S("a.b")}};
    struct topic *made[countof(keys)];
    enum topic_fault why;

    for (size_t i = 0; i < countof(keys); i++) {
        made[i] = topic_take(w.core, keys[i].tenant, keys[i].name, &why);
        publish_many(made[i], i + 1, 10, 0);
    }
    for (size_t i = 0; i < countof(keys); i++) {
        assert_ptr_equal(topic_take(w.core, keys[i].tenant, keys[i].name, &why), made[i]);
        assert_true(str_eq(topic_name(made[i]), keys[i].name));
        assert_true(str_eq(topic_tenant(made[i]), keys[i].tenant));
        check_range(made[i], 1, i + 1);
    }
    assert_int_equal(stats().topics, countof(keys));
}

static void tenants_and_topics_are_apart(void **state)
{
    (void)state;
    world_run(apart_body, 0);
}

static void restart_body(void)
{
    publish_many(topic("a.b"), 5, 10, 0);
    publish_many(topic("c.d"), 20, 10, 0);
    limits(4, 0, 0);
    publish_many(topic("c.d"), 1, 10, 0);
    reopen_data();
    check_range(topic("a.b"), 1, 5);
    check_range(topic("c.d"), 18, 21);
    assert_false(is_in_memory(topic("a.b"), 4));
    assert_int_equal(publish(topic("a.b")), 6);
    assert_int_equal(publish(topic("c.d")), 22);
    assert_int_equal(publish(topic("e.f")), 1);
}

static void numbers_go_on_after_a_restart(void **state)
{
    (void)state;
    world_run(restart_body, 0);
}

static void full_body(void)
{
    struct topic *t = topic("a.b");
    struct note n[4], late;

    assert_int_equal(publish(t), 1);
    assert_int_equal(begin(&n[0], t, 10, 0), MIG_OK);
    assert_int_equal(begin(&n[1], t, 100000, 0), MIG_OK); /* more than the store holds */
    assert_int_equal(begin(&n[2], t, 10, 0), MIG_OK);     /* behind it, so it fails too */
    pump();
    check_range(t, 1, 2);
    assert_int_equal(end(&n[0]), 2);
    assert_int_equal(end(&n[1]), 0);
    assert_int_equal(end(&n[2]), 0);
    assert_false(is_in_memory(t, 2));
    assert_int_equal(begin(&n[3], t, 10, 0), MIG_OK);
    pump();
    assert_int_equal(end(&n[3]), 3); /* the numbers that nobody saw are given again */
    assert_int_equal(begin(&late, t, 10, 0), MIG_OK);
    pump();
    assert_int_equal(end(&late), 4);
    assert_true(is_in_memory(t, 2));
    assert_int_equal(stats().kept_events, 4);
}

static void what_could_not_be_stored_leaves_no_gap(void **state)
{
    (void)state;
    world_run(full_body, 20000);
}

static void refuse_body(void)
{
    struct topic *t = topic("a.b");
    struct note bad, last, more;

    assert_int_equal(begin(&bad, t, 100000, 0), MIG_OK);
    assert_int_equal(begin(&last, t, 10, 0), MIG_OK);
    void (*done)(struct store_request *) = last.p.request.done;
    last.p.request.done = hold; /* its answer takes its time */
    pump();
    assert_int_equal(begin(&more, t, 10, 0), MIG_UNAVAILABLE);
    done(held);
    assert_int_equal(end(&bad), 0);
    assert_int_equal(end(&last), 0);
    assert_int_equal(publish(t), 1);
}

static void nothing_new_is_taken_until_a_failure_is_settled(void **state)
{
    (void)state;
    world_run(refuse_body, 20000);
}

/* --- what is kept in memory ---------------------------------------------------------------------- */

static void tail_body(void)
{
    struct topic *t = topic("a.b");

    publish_many(t, 600, 10, 0);
    assert_int_equal(stats().kept_events, TAIL);
    for (uint64_t after = 0; after < 600; after++)
        assert_int_equal(is_in_memory(t, after), after >= 600 - TAIL);
    publish_many(t, 20, 100000, 0);
    assert_in_range(stats().kept_bytes, TAIL_BYTES / 2, TAIL_BYTES + 110000);
    assert_true(is_in_memory(t, 619));
    publish_many(t, 2, 3 << 20, 0); /* one that is larger than all of it */
    assert_true(is_in_memory(t, 621));
    assert_int_equal(stats().kept_events, 1);
}

static void the_youngest_events_stay_in_memory(void **state)
{
    (void)state;
    world_run(tail_body, 0);
}

struct listener {
    struct topic_reader reader;
    struct topic *topic;
    unsigned woken;
    bool leaves;
};

static void woken(struct topic_reader *r)
{
    struct listener *x = container_of(r, struct listener, reader);

    x->woken++;
    if (x->leaves)
        topic_leave(x->topic, r);
}

static void forget_body(void)
{
    struct topic *t = topic("a.b"), *read = topic("c.d");
    struct listener x = {.reader.wake = woken};

    limits(0, 0, 3600000);
    publish_many(t, 10, 10, 0);
    publish_many(read, 10, 10, 0);
    assert_true(topic_listen(read, &x.reader));
    sweep();
    assert_false(is_in_memory(t, 9));
    assert_true(is_in_memory(read, 9));
    check_range(t, 1, 10);
    assert_int_equal(stats().kept_events, 10);
    assert_int_equal(publish(t), 11);
    assert_true(is_in_memory(t, 10));
    assert_false(is_in_memory(t, 9));
    topic_leave(read, &x.reader);
    sweep();
    assert_int_equal(stats().kept_events, 0);
    assert_int_equal(stats().kept_bytes, 0);
}

static void what_nobody_reads_is_not_kept_in_memory(void **state)
{
    (void)state;
    world_run(forget_body, 0);
}

/* --- what is known of topics ---------------------------------------------------------------------- */

static void unused_body(void)
{
    struct topic *t = topic("never.used"), *busy = topic("is.busy"), *had = topic("had.one");

    limits(0, 0, 1);
    publish_old(had, 10, 60000);
    topic_drop(t);
    topic_drop(had);
    sweep();
    assert_int_equal(stats().topics, 3); /* it takes a while */
    assert_ptr_equal(topic("never.used"), t);
    topic_drop(t);
    sweep();
    assert_int_equal(stats().topics, 3); /* and begins anew */
    sweep();
    assert_int_equal(stats().topics, 2);
    assert_int_equal(atomic_load(&tenant_of(w.core->tenants, S("acme"))->topics), 2);
    assert_int_equal(publish(topic("never.used")), 1);
    check_range(topic("had.one"), 2, 1);
    assert_int_equal(publish(topic("had.one")), 2); /* its number did not come again */
    assert_ptr_equal(topic("is.busy"), busy);
    reopen_data();
    assert_int_equal(stats().topics, 2);
    assert_int_equal(topic_last(w.core, S("acme"), S("had.one")), 2);
    assert_int_equal(topic_last(w.core, S("acme"), S("no.such")), 0);
    assert_int_equal(stats().topics, 2);
}

static void what_never_had_an_event_is_forgotten(void **state)
{
    (void)state;
    world_run(unused_body, 0);
}

static void failing_body(void)
{
    struct topic *t = topic("a.b");
    struct note n;

    limits(0, 0, 3600000);
    assert_int_equal(begin(&n, t, 100000, 0), MIG_OK);
    topic_drop(t);
    for (int i = 0; i < 3; i++) { /* the append has no answer yet */
        struct timer *timer = &w.core->events->sweep;
        timer->fn(timer);
    }
    assert_int_equal(stats().topics, 1);
    pump();
    assert_int_equal(end(&n), 0);
    sweep();
    sweep();
    assert_int_equal(stats().topics, 0);
}

static void what_could_not_be_stored_does_not_keep_a_topic(void **state)
{
    (void)state;
    world_run(failing_body, 20000);
}

static void *come_and_go(void *arg)
{
    static const char *const names[] = {"a.a", "a.b", "a.c"};
    _Atomic bool *is_over = arg;
    enum topic_fault why;

    for (unsigned n = 0; n < 20000; n++) {
        struct topic *t = topic_take(w.core, S("acme"), str_of(names[n % countof(names)]), &why);
        must(t && topic_range(t).last == 0);
        topic_drop(t);
    }
    *is_over = true;
    return NULL;
}

static void crowd_body(void)
{
    _Atomic bool is_over[3] = {0};
    pthread_t threads[countof(is_over)];

    limits(0, 0, 3600000);
    for (size_t i = 0; i < countof(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &is_over[i]), 0);
    while (!is_over[0] || !is_over[1] || !is_over[2])
        sweep();
    for (size_t i = 0; i < countof(threads); i++)
        pthread_join(threads[i], NULL);
    sweep();
    sweep();
    assert_int_equal(stats().topics, 0);
    assert_int_equal(atomic_load(&tenant_of(w.core->tenants, S("acme"))->topics), 0);
}

static void topics_come_and_go_on_all_threads(void **state)
{
    (void)state;
    world_run(crowd_body, 0);
}

static void cap_body(void)
{
    enum topic_fault why = TOPIC_NO_MEMORY;

    events_set_limits(w.core, &(struct event_limits){.max_age_ms = 3600000, .max_topics = 2});
    struct topic *a = topic("a"), *b = topic("b");
    assert_null(topic_take(w.core, S("acme"), S("c"), &why));
    assert_int_equal(why, TOPIC_TENANT_FULL);
    assert_ptr_equal(topic("a"), a);
    assert_non_null(topic_take(w.core, S("other"), S("c"), &why));
    assert_int_equal(publish(a), 1);
    topic_drop(b);
    sweep();
    sweep();
    assert_non_null(topic("c"));
    assert_null(topic_take(w.core, S("acme"), S("b"), &why));
}

static void a_tenant_has_so_many_topics(void **state)
{
    (void)state;
    world_run(cap_body, 0);
}

/* --- readers ------------------------------------------------------------------------------------- */

static void wake_body(void)
{
    enum { READERS = 1000 };
    struct topic *t = topic("a.b"), *other = topic("c.d");
    struct listener *all = calloc(READERS, sizeof *all);

    for (size_t i = 0; i < READERS; i++) {
        all[i] = (struct listener){.reader.wake = woken, .topic = t, .leaves = i % 3 == 0};
        assert_true(topic_listen(t, &all[i].reader));
    }
    assert_int_equal(stats().readers, READERS);
    publish(other);
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(all[i].woken, 0);
    publish(t);
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(all[i].woken, 1);
    publish(t);
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(all[i].woken, i % 3 ? 2 : 1);
    for (size_t i = 0; i < READERS; i++)
        if (i % 3)
            topic_leave(t, &all[i].reader);
    assert_int_equal(stats().readers, 0);
    publish(t);
    assert_int_equal(all[1].woken, 2);
    free(all);
}

static void readers_are_woken_until_they_leave(void **state)
{
    (void)state;
    world_run(wake_body, 0);
}

static void burst_body(void)
{
    struct topic *t = topic("a.b");
    struct listener x = {.reader.wake = woken};
    struct note n[50];

    assert_true(topic_listen(t, &x.reader));
    for (size_t i = 0; i < countof(n); i++)
        assert_int_equal(begin(&n[i], t, 10, 0), MIG_OK);
    pump();
    assert_in_range(x.woken, 1, countof(n));
    for (size_t i = 0; i < countof(n); i++)
        assert_int_equal(end(&n[i]), i + 1);
    topic_leave(t, &x.reader);
}

static void a_burst_wakes_at_least_once(void **state)
{
    (void)state;
    world_run(burst_body, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(events_are_seen_once_they_are_stored),
        T(tenants_and_topics_are_apart),
        T(numbers_go_on_after_a_restart),
        T(what_could_not_be_stored_leaves_no_gap),
        T(nothing_new_is_taken_until_a_failure_is_settled),
        T(the_youngest_events_stay_in_memory),
        T(what_nobody_reads_is_not_kept_in_memory),
        T(what_never_had_an_event_is_forgotten),
        T(what_could_not_be_stored_does_not_keep_a_topic),
        T(topics_come_and_go_on_all_threads),
        T(a_tenant_has_so_many_topics),
        T(readers_are_woken_until_they_leave),
        T(a_burst_wakes_at_least_once),
    };
    return RUN(tests);
}
