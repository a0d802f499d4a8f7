#include "topic_world.h"

static void count_body(void)
{
    struct topic *t = topic("a.b");

    limits(10, 0, 0);
    publish_many(t, 10, 10, 0);
    check_range(t, 1, 10);
    publish_many(t, 5, 10, 0);
    check_range(t, 6, 15);
    limits(160, 0, 0);
    publish_many(t, 155, 10, 0);
    check_range(t, 6, 170); /* a sixteenth more is allowed, so that one trim serves many events */
    publish_many(t, 6, 10, 0);
    check_range(t, 17, 176);
    limits(1, 0, 0);
    publish_many(t, 1, 10, 0);
    check_range(t, 177, 177);
}

static void so_many_events_are_kept(void **state)
{
    (void)state;
    world_run(count_body, 0);
}

static void bytes_body(void)
{
    struct topic *t = topic("a.b");

    limits(0, 100000, 0);
    publish_many(t, 500, 1000, 0);
    struct topic_range r = topic_range(t);
    assert_int_equal(r.last, 500);
    assert_in_range(r.last - r.first + 1, 85, 106);
    publish_many(t, 1, 200000, 0); /* alone too much: nothing is left of the others */
    assert_in_range(topic_range(t).first, 501, 502);
    assert_int_equal(publish(t), 502);
}

static void so_many_bytes_are_kept(void **state)
{
    (void)state;
    world_run(bytes_body, 0);
}

static void age_body(void)
{
    struct topic *t = topic("a.b"), *young = topic("c.d"), *empty = topic("e.f");

    limits(0, 0, 1000);
    publish_many(t, 1000, 10, 5000);
    publish_many(t, 3, 10, 0);
    publish_many(t, 1, 10, 5000); /* a clock that went back: it waits for those before it */
    publish_many(young, 3, 10, 0);
    sweep();
    check_range(t, 1001, 1004); /* all of them in one sweep */
    check_range(young, 1, 3);
    check_range(empty, 1, 0);
    sweep();
    check_range(t, 1001, 1004);
}

static void so_long_are_events_kept(void **state)
{
    (void)state;
    world_run(age_body, 0);
}

static void all_gone_body(void)
{
    struct topic *t = topic("a.b");

    limits(0, 0, 1000);
    publish_many(t, 512, 10, 5000); /* twice as many as one look finds */
    sweep();
    check_range(t, 513, 512);
    sweep();
    check_range(t, 513, 512);
    reopen_data();
    t = topic("a.b");
    check_range(t, 513, 512);
    assert_int_equal(publish(t), 513);
    check_range(t, 513, 513);
}

static void numbers_go_on_when_all_are_trimmed(void **state)
{
    (void)state;
    world_run(all_gone_body, 0);
}

static void overtaken_body(void)
{
    struct topic *t = topic("a.b");
    struct note slow;

    publish_many(t, 10, 10, 5000);
    assert_int_equal(begin(&slow, t, 10, 0), MIG_OK);
    void (*done)(struct store_request *) = slow.p.request.done;
    slow.p.request.done = hold; /* an answer from before the trim, on another loop */
    pump();
    limits(0, 0, 1000);
    sweep();
    check_range(t, 11, 10);
    done(held);
    check_range(t, 11, 11);
    assert_int_equal(end(&slow), 11);
}

static void what_was_trimmed_does_not_come_back(void **state)
{
    (void)state;
    world_run(overtaken_body, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(so_many_events_are_kept),
        T(so_many_bytes_are_kept),
        T(so_long_are_events_kept),
        T(numbers_go_on_when_all_are_trimmed),
        T(what_was_trimmed_does_not_come_back),
    };
    return RUN(tests);
}
