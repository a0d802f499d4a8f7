/* Who sends a lot does not hold up the others. */
#include "net_unit.h"

enum { LARGE = 140000 }; /* two full reads and a piece; fits the buffer of a socket */

static struct {
    char who;
    uint64_t turn;
} answered[8];
static _Atomic int answered_count;
static sem_t is_held, goes_on;

static void close_all(struct loop *l, uint64_t v)
{
    (void)l;
    (void)v;
    net_close_all(net);
}

static bool on_head(struct exchange *x)
{
    if (x->path.ptr[1] == 'x')
        loop_post_fn(loop, close_all, 0);
    return true;
}

static void on_request(struct exchange *x)
{
    struct arena *a = x->arena;

    answered[answered_count].who = x->path.ptr[1];
    answered[answered_count].turn = loop->turns;
    exchange_head(x, 204, NULL, 0);
    exchange_end(x, S(""));
    arena_unref(a);
    answered_count++;
}

static void ignore(struct exchange *x)
{
    (void)x;
}

static const struct exchange_ops ops = {on_head, on_request, ignore, ignore, net_error_body};

/* Keeps the loop from reading until everything is there. */
static void hold(struct loop *l, uint64_t v)
{
    (void)l;
    (void)v;
    sem_post(&is_held);
    sem_wait(&goes_on);
}

static struct client *begin(const char *warm)
{
    struct client *c = client_open();
    int before = answered_count;

    put(c, warm);
    wait_for(&answered_count, before + 1);
    return c;
}

static void put_large(struct client *c, char who)
{
    static char text[LARGE + 100];
    int n = sprintf(text, "POST /%c HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", who, LARGE);

    memset(text + n, 'b', LARGE);
    put_bytes(c, text, (size_t)n + LARGE);
}

static uint64_t turn_of(char who)
{
    for (int i = 0; i < answered_count; i++)
        if (answered[i].who == who)
            return answered[i].turn;
    fail_msg("%c was not answered", who);
    return 0;
}

static void large_bodies_are_read_in_turn_and_small_requests_between(void **state)
{
    static const char warm[] = "GET /w HTTP/1.1\r\nHost: x\r\n\r\n";
    struct client *a, *b, *small;

    (void)state;
    limits.max_body = LARGE;
    a = begin(warm);
    b = begin(warm);
    small = begin(warm);
    loop_post_fn(loop, hold, 0);
    sem_wait(&is_held);
    put_large(a, 'a');
    put_large(b, 'b');
    put(small, "GET /s HTTP/1.1\r\nHost: x\r\n\r\n");
    sem_post(&goes_on);
    wait_for(&answered_count, 6);
    uint64_t first = turn_of('a') < turn_of('b') ? turn_of('a') : turn_of('b');
    uint64_t second = turn_of('a') + turn_of('b') - first;
    assert_true(turn_of('s') < first);
    assert_true(second - first >= 2); /* not both of them a piece each turn */
    client_close(a);
    client_close(b);
    client_close(small);
}

static void those_that_are_closed_while_they_wait_are_forgotten(void **state)
{
    static const char warm[] = "GET /w HTTP/1.1\r\nHost: x\r\n\r\n";
    struct client *a, *b;

    (void)state;
    limits.max_body = LARGE;
    a = begin(warm);
    b = begin(warm);
    loop_post_fn(loop, hold, 0);
    sem_wait(&is_held);
    put_large(a,
              'x'); /* its head is the end of both, in the turn after that of their first reads */
    put_large(b, 'x');
    sem_post(&goes_on);
    expect_close(a);
    expect_close(b);
    assert_int_equal(answered_count, 2);
    client_close(a);
    client_close(b);
}

static int set_up(void **state)
{
    (void)state;
    answered_count = 0;
    sem_init(&is_held, 0, 0);
    sem_init(&goes_on, 0, 0);
    return net_up(&ops);
}

static int tear_down(void **state)
{
    (void)state;
    net_down();
    return 0;
}

int main(void)
{
#define TN(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TN(large_bodies_are_read_in_turn_and_small_requests_between),
        TN(those_that_are_closed_while_they_wait_are_forgotten),
    };
    return RUN(tests);
}
