/* raw.c: connections that leave HTTP by exchange_switch(). The server here speaks: "echo" gives bytes
 * back; a word ends with a full stop: "bye." lingers, "cut." does not, "flood." writes until told to
 * stop, "pause." reads no more for a while, "tick." counts three ticks. */
#include "net_unit.h"
#include "net/raw.h"

enum { FLOOD = 4 << 20 };

static const char head_101[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                               "Upgrade: echo\r\n\r\n";

static struct raw *raw;
static struct exchange *kept;
static _Atomic int closed_count, closed_why, tick_count, writable_count, again_count, drain_count;
static _Atomic int request_count, refused_switches;
static size_t flood_left;
static bool is_inside; /* a function of raw.h is on the stack: nothing may be told */

/* --- the server ---------------------------------------------------------------------------------- */

static void flood(void)
{
    static char block[16384];

    memset(block, 'f', sizeof block);
    while (flood_left) {
        uv_buf_t b = uv_buf_init(block, sizeof block);
        is_inside = true;
        mig_status s = raw_write(raw, &b, 1);
        is_inside = false;
        if (s == MIG_E_AGAIN)
            again_count++;
        if (s != MIG_OK)
            return;
        flood_left -= sizeof block;
    }
}

static void go_on(struct loop *l, uint64_t v)
{
    (void)v;
    raw_read(raw, true);
    loop_drain(l);
}

static void act(str word)
{
    if (str_eq(word, S("bye.")) || str_eq(word, S("cut."))) {
        raw_close(raw, word.ptr[0] == 'b');
        raw = NULL;
    } else if (str_eq(word, S("flood."))) {
        flood_left = FLOOD;
        flood();
    } else if (str_eq(word, S("pause."))) {
        raw_read(raw, false);
    } else if (str_eq(word, S("tick."))) {
        raw_tick(raw, 20);
    }
}

static void on_bytes(void *owner, str data)
{
    assert_ptr_equal(owner, &raw);
    assert_false(is_inside);
    uv_buf_t b[2] = {uv_buf_init((char *)"<", 1),
                     uv_buf_init((char *)(uintptr_t)data.ptr, (unsigned)data.len)};
    assert_int_equal(raw_write(raw, b, 2), MIG_OK);
    act(data);
}

static void on_raw_writable(void *owner)
{
    (void)owner;
    writable_count++;
    flood();
}

static void on_tick(void *owner)
{
    (void)owner;
    if (++tick_count == 3) {
        raw_tick(raw, 0);
        uv_buf_t b = uv_buf_init((char *)"three", 5);
        assert_true(raw_quiet_ms(raw) >= 40);
        raw_write(raw, &b, 1);
    }
}

static void on_raw_drain(void *owner)
{
    (void)owner;
    drain_count++;
    uv_buf_t b = uv_buf_init((char *)"good-bye", 8);
    raw_write(raw, &b, 1);
    raw_close(raw, true);
    raw = NULL;
}

static void on_closed(void *owner, enum net_end why)
{
    (void)owner;
    assert_false(is_inside);
    raw = NULL;
    closed_why = (int)why;
    closed_count++;
}

static const struct raw_ops raw_ops = {on_bytes, on_raw_writable, on_tick, on_raw_drain, on_closed};

static bool on_head(struct exchange *x)
{
    (void)x;
    return true;
}

static void switch_now(struct exchange *x)
{
    struct arena *a = x->arena;

    assert_true(str_eq(x->upgrade, S("echo")));
    assert_null(raw);
    raw = exchange_switch(x, str_of(head_101), &raw_ops, &raw);
    assert_non_null(raw);
    assert_null(exchange_switch(x, str_of(head_101), &raw_ops, &raw)); /* once */
    exchange_end(x, S("too late"));
    arena_unref(a);
}

static void on_request(struct exchange *x)
{
    struct arena *a = x->arena;

    request_count++;
    if (str_eq(x->path, S("/now")) && x->upgrade.len) {
        switch_now(x);
    } else if (str_eq(x->path, S("/later"))) {
        kept = x;
    } else {
        if (!x->upgrade.len)
            refused_switches += !exchange_switch(x, str_of(head_101), &raw_ops, &raw);
        exchange_head(x, 200, NULL, 0);
        exchange_end(x, S("plain"));
        arena_unref(a);
    }
}

static void on_writable(struct exchange *x)
{
    (void)x;
}

static void on_gone(struct exchange *x)
{
    arena_unref(x->arena);
    kept = NULL;
}

static const struct exchange_ops ops = {on_head, on_request, on_writable, on_gone, net_error_body};

static int set_up(void **state)
{
    (void)state;
    closed_count = tick_count = writable_count = again_count = drain_count = request_count = 0;
    refused_switches = 0;
    raw = NULL;
    kept = NULL;
    return net_up(&ops);
}

static int tear_down(void **state)
{
    (void)state;
    net_down();
    return 0;
}

/* --- tests ---------------------------------------------------------------------------------------- */

#define UPGRADE(path)                                                                              \
    "GET " path " HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\r\n"

static struct client *switched(void)
{
    struct client *c = client_open();

    put(c, UPGRADE("/now"));
    expect(c, "Upgrade: echo\r\n\r\n");
    return c;
}

static void bytes_go_both_ways(void **state)
{
    struct client *c = switched();

    (void)state;
    put(c, "hello");
    expect(c, "<hello");
    put(c, "GET / HTTP/1.1\r\n\r\n"); /* no longer HTTP */
    expect(c, "<GET / HTTP/1.1\r\n\r\n");
    assert_int_equal(request_count, 1);
    client_close(c);
    wait_for(&closed_count, 1);
    assert_int_equal(closed_why, NET_END_PEER);
}

static void bytes_behind_the_head_are_the_streams(void **state)
{
    struct client *c = client_open();

    (void)state;
    put(c, UPGRADE("/now") "early");
    expect(c, "<early");
    assert_non_null(strstr(c->got, "101 Switching"));
    client_close(c);
    wait_for(&closed_count, 1);
}

static void pipelined_requests_before_it_are_answered_first(void **state)
{
    struct client *c = client_open();

    (void)state;
    put(c, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n" UPGRADE("/now") "early");
    expect(c, "<early");
    assert_true(strstr(c->got, "plain") < strstr(c->got, "101 Switching"));
    client_close(c);
    wait_for(&closed_count, 1);
}

static void switch_kept(struct loop *l, uint64_t v)
{
    struct exchange *x = kept;

    (void)v;
    kept = NULL;
    switch_now(x);
    loop_drain(l);
}

static void a_late_switch_gets_what_came_meanwhile(void **state)
{
    struct client *c = client_open();

    (void)state;
    put(c, UPGRADE("/later") "one");
    wait_for(&request_count, 1);
    put(c, " two");
    usleep(5000);
    loop_post_fn(loop, switch_kept, 0);
    expect(c, "<one two");
    put(c, "three");
    expect(c, "<three");
    client_close(c);
    wait_for(&closed_count, 1);
}

static void without_an_upgrade_there_is_no_switch(void **state)
{
    static const char *const requests[] = {
        "GET /now HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /now HTTP/1.1\r\nHost: x\r\nUpgrade: echo\r\n\r\n", /* no Connection: upgrade */
        "GET /now HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\n\r\n",
        "GET /now HTTP/1.0\r\nHost: x\r\nConnection: upgrade, keep-alive\r\nUpgrade: echo\r\n\r\n",
    };
    struct client *c = client_open();

    (void)state;
    for (size_t i = 0; i < countof(requests); i++) {
        put(c, requests[i]);
        wait_for(&refused_switches, (int)i + 1);
    }
    client_close(c);
}

static void an_upgrade_that_nobody_wants_is_ignored(void **state)
{
    struct client *c = client_open();

    (void)state;
    put(c, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(c, "plain");
    put(c, "GET /y HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    wait_for(&request_count, 2);
    put(c, "GET /z HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_for(&request_count, 3);
    client_close(c);
}

static void a_slow_reader_is_waited_for(void **state)
{
    struct client *c = switched();
    size_t sum = 0;

    (void)state;
    put(c, "flood.");
    wait_for(&again_count, 1);
    while (sum < FLOOD && !c->is_closed) {
        c->len = 0;
        if (!get(c, 5000))
            break;
        for (size_t i = 0; i < c->len; i++)
            sum += c->got[i] == 'f';
    }
    assert_true(sum >= FLOOD);
    assert_true(writable_count >= 1);
    client_close(c);
    wait_for(&closed_count, 1);
}

static void a_reader_that_takes_nothing_is_cut(void **state)
{
    (void)state;
    limits.write_ms = 60;
    struct client *c = switched();
    put(c, "flood.");
    wait_for(&closed_count, 1);
    assert_int_equal(closed_why, NET_END_TIMEOUT);
    client_close(c);
}

static void the_owner_closes(void **state)
{
    static const char *const words[] = {"bye.", "cut."};

    (void)state;
    for (size_t i = 0; i < countof(words); i++) {
        struct client *c = switched();
        put(c, words[i]);
        expect_close(c);
        assert_non_null(strstr(c->got, words[i])); /* what was written goes first */
        client_close(c);
    }
    usleep(2000);
    assert_int_equal(closed_count, 0); /* the owner knows */
}

static void ticks_come_until_they_are_stopped(void **state)
{
    struct client *c = switched();

    (void)state;
    put(c, "tick.");
    expect(c, "three");
    usleep(50000);
    assert_int_equal(tick_count, 3);
    client_close(c);
    wait_for(&closed_count, 1);
}

static void paused_reading_loses_nothing(void **state)
{
    struct client *c = switched();

    (void)state;
    put(c, "pause.");
    expect(c, "<pause.");
    put(c, "afterwards");
    assert_false(get(c, 20));
    loop_post_fn(loop, go_on, 0);
    expect(c, "<afterwards");
    client_close(c);
    wait_for(&closed_count, 1);
}

static void drain_here(struct loop *l, uint64_t v)
{
    (void)v;
    net_drain(net);
    loop_drain(l);
}

static void a_drain_is_told(void **state)
{
    struct client *c = switched();

    (void)state;
    loop_post_fn(loop, drain_here, 0);
    expect_close(c);
    assert_non_null(strstr(c->got, "good-bye"));
    assert_int_equal(drain_count, 1);
    client_close(c);
}

int main(void)
{
#define TH(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TH(bytes_go_both_ways),
        TH(bytes_behind_the_head_are_the_streams),
        TH(pipelined_requests_before_it_are_answered_first),
        TH(a_late_switch_gets_what_came_meanwhile),
        TH(without_an_upgrade_there_is_no_switch),
        TH(an_upgrade_that_nobody_wants_is_ignored),
        TH(a_slow_reader_is_waited_for),
        TH(a_reader_that_takes_nothing_is_cut),
        TH(the_owner_closes),
        TH(ticks_come_until_they_are_stopped),
        TH(paused_reading_loses_nothing),
        TH(a_drain_is_told),
    };
    return RUN(tests);
}
