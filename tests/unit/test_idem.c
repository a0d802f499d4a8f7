/* Idempotent operations: every order of first, twin, deadline and end; limits; what a start finds. The
 * tests run inside a message of a real loop and carry out its work by hand. */
#include "unit.h"
#include "core/idem.h"

#include <sched.h>

struct one {
    struct idem_ticket ticket; /* first: the callbacks cast back */
    unsigned tolds, storeds, firsts;
    char saw[64];
};

static struct loop *l;
static struct store *store;
static struct idem *t;
static void (*body)(void);
static uint64_t now;

static void see(struct one *o)
{
    struct idem_result *r = o->ticket.result;
    snprintf(o->saw, sizeof o->saw, "%d%.*s%.*s%.*s", r->result.status, STR_ARG(r->result.json),
             STR_ARG(r->result.message), STR_ARG(r->result.details));
    idem_result_unref(r);
    o->ticket.result = NULL;
}

static void told(struct idem_ticket *ticket)
{
    struct one *o = container_of(ticket, struct one, ticket);

    o->tolds++;
    if (ticket->result)
        see(o);
    else
        o->firsts++;
}

static void stored(struct idem_ticket *ticket)
{
    struct one *o = container_of(ticket, struct one, ticket);

    o->storeds++;
    see(o);
}

static void pump(void)
{
    struct store_stats s = {0};

    do {
        for (int i = 0; i < 3; i++) {
            loop_drain(l);
            l->wake.async_cb(&l->wake);
        }
        sched_yield();
        if (store)
            store_stats(store, &s);
    } while (s.waiting || s.reads_waiting);
    l->wake.async_cb(&l->wake);
    loop_drain(l);
}

static void open_table(void)
{
    struct diag d;

    diag_init(&d);
    assert_true(idem_open(&t, store, now, &d));
    diag_deinit(&d);
}

static void restart(void)
{
    idem_close(t);
    open_table();
}

static char print(const char *payload, char out[DIGEST_HEX + 1])
{
    struct digest *d = digest_new();

    digest_add(d, str_of(payload));
    digest_take(d, out);
    return out[0];
}

static struct idem_key key_of(const char *tenant, const char *name, const char *key)
{
    return (struct idem_key){str_of(tenant), IDEM_INVOKE, str_of(name), str_of(key)};
}

static enum idem_answer start_as(struct one *o, struct idem_key key, const char *payload)
{
    char hex[DIGEST_HEX + 1];

    print(payload, hex);
    *o = (struct one){.ticket = {.home = l, .told = told, .stored = stored}};
    enum idem_answer a = idem_start(t, &key, hex, &o->ticket, now);
    if (a == IDEM_REPLAY)
        see(o);
    return a;
}

static enum idem_answer start(struct one *o, const char *key, const char *payload)
{
    return start_as(o, key_of("acme", "a.b", key), payload);
}

static void finish(struct one *o, const char *json)
{
    assert_true(
        idem_finish(&o->ticket, &(struct call_result){.json = str_of(json)}, now, now + 1000));
}

static uint64_t entries(void)
{
    struct idem_stats s;

    idem_stats(t, &s);
    return s.entries;
}

/* --- the tests, each with and without a store ------------------------------------------------------ */

static void the_second_gets_what_the_first_got(void)
{
    struct one a, b, c;

    assert_int_equal(start(&a, "k", "{}"), IDEM_FIRST);
    finish(&a, "{\"r\":1}");
    pump();
    assert_int_equal(a.storeds, 1);
    assert_string_equal(a.saw, "0{\"r\":1}");
    assert_int_equal(start(&b, "k", "{}"), IDEM_REPLAY);
    assert_string_equal(b.saw, "0{\"r\":1}");
    assert_int_equal(start(&c, "k", "{\"x\":1}"), IDEM_REUSED);
}

static void keys_of_others_are_other_keys(void)
{
    struct one list[5];
    struct idem_key publish = key_of("acme", "a.b", "k");

    publish.kind = IDEM_PUBLISH;
    assert_int_equal(start_as(&list[0], key_of("acme", "a.b", "k"), "{}"), IDEM_FIRST);
    assert_int_equal(start_as(&list[1], key_of("other", "a.b", "k"), "{}"), IDEM_FIRST);
    assert_int_equal(start_as(&list[2], key_of("acme", "a.c", "k"), "{}"), IDEM_FIRST);
    assert_int_equal(start_as(&list[3], key_of("acme", "a.b", "K"), "{}"), IDEM_FIRST);
    assert_int_equal(start_as(&list[4], publish, "{}"), IDEM_FIRST);
    for (int i = 0; i < 5; i++)
        idem_abandon(&list[i].ticket);
    assert_int_equal(entries(), 0);
}

static void errors_are_kept_whole(void)
{
    const struct call_result r = {.status = MIG_NOT_FOUND,
                                  .message = S("gone"),
                                  .details = S("{\"d\":1}"),
                                  .retry = 2,
                                  .retry_after_ms = 9};
    struct one a, b;
    char hex[DIGEST_HEX + 1];
    struct idem_key key = key_of("acme", "a.b", "k");

    assert_int_equal(start(&a, "k", "{}"), IDEM_FIRST);
    assert_true(idem_finish(&a.ticket, &r, now, now + 1000));
    pump();
    restart();
    print("{}", hex);
    b = (struct one){.ticket = {.home = l, .told = told, .stored = stored}};
    enum idem_answer answer = idem_start(t, &key, hex, &b.ticket, now);
    if (!store) { /* a start without a store knows nothing */
        assert_int_equal(answer, IDEM_FIRST);
        idem_abandon(&b.ticket);
        return;
    }
    assert_int_equal(answer, IDEM_REPLAY);
    assert_int_equal(b.ticket.result->result.retry, 2);
    assert_int_equal(b.ticket.result->result.retry_after_ms, 9);
    see(&b);
    assert_non_null(strstr(b.saw, "gone{\"d\":1}"));
}

static void twins_wait_and_are_told(void)
{
    struct one a, b, c;

    assert_int_equal(start(&a, "k", "{}"), IDEM_FIRST);
    assert_int_equal(start(&b, "k", "{}"), IDEM_WAITS);
    assert_int_equal(start(&c, "k", "{}"), IDEM_WAITS);
    pump();
    assert_int_equal(b.tolds + c.tolds, 0);
    finish(&a, "1");
    pump();
    assert_int_equal(a.storeds, 1);
    assert_int_equal(b.tolds, 1);
    assert_int_equal(c.tolds, 1);
    assert_string_equal(b.saw, "01");
    assert_string_equal(c.saw, "01");
    assert_false(idem_leave(&b.ticket)); /* too late */
    assert_int_equal(entries(), 1);
}

static void a_twin_of_another_payload_does_not_wait(void)
{
    struct one a, b;

    assert_int_equal(start(&a, "k", "{}"), IDEM_FIRST);
    assert_int_equal(start(&b, "k", "[]"), IDEM_REUSED);
    idem_abandon(&a.ticket);
}

static void one_that_leaves_is_not_told(void)
{
    struct one a, b, c;

    assert_int_equal(start(&a, "k", "{}"), IDEM_FIRST);
    assert_int_equal(start(&b, "k", "{}"), IDEM_WAITS);
    assert_int_equal(start(&c, "k", "{}"), IDEM_WAITS);
    assert_true(idem_leave(&b.ticket)); /* its deadline */
    assert_false(idem_leave(&b.ticket));
    finish(&a, "1");
    pump();
    assert_int_equal(b.tolds, 0);
    assert_int_equal(c.tolds, 1);
}

static void the_end_and_the_deadline_at_once(void)
{
    struct one a, b;

    assert_int_equal(start(&a, "k", "{}"), IDEM_FIRST);
    assert_int_equal(start(&b, "k", "{}"), IDEM_WAITS);
    finish(&a, "1");
    bool left = idem_leave(&b.ticket); /* before told() could run */
    pump();
    assert_int_equal(b.tolds, left ? 0 : 1); /* one of the two, never both */
    assert_true(store ? left : !left);       /* a store's answer was still to come */
}

static void after_an_end_that_does_not_count_the_first_that_waits_is_first(void)
{
    struct one a, b, c, d;

    assert_int_equal(start(&a, "k", "{}"), IDEM_FIRST);
    assert_int_equal(start(&b, "k", "{}"), IDEM_WAITS);
    assert_int_equal(start(&c, "k", "{}"), IDEM_WAITS);
    idem_abandon(&a.ticket);
    assert_int_equal(start(&d, "k", "{}"), IDEM_WAITS); /* b has not looked yet */
    pump();
    assert_int_equal(b.firsts, 1);
    assert_int_equal(c.tolds + d.tolds, 0);
    idem_abandon(&b.ticket); /* its client has left */
    pump();
    assert_int_equal(c.firsts, 1);
    finish(&c, "2");
    pump();
    assert_int_equal(d.tolds, 1);
    assert_int_equal(d.firsts, 0);
    assert_string_equal(d.saw, "02");
}

static void nothing_is_left_of_what_was_abandoned(void)
{
    struct one a, b;

    assert_int_equal(start(&a, "k", "{}"), IDEM_FIRST);
    idem_abandon(&a.ticket);
    pump();
    restart();
    assert_int_equal(start(&b, "k", "[]"), IDEM_FIRST); /* another payload is fine, too */
    idem_abandon(&b.ticket);
    assert_int_equal(entries(), 0);
}

static void a_result_lasts_its_time(void)
{
    struct one a, b;

    assert_int_equal(start(&a, "k", "{}"), IDEM_FIRST);
    finish(&a, "1");
    pump();
    now += 999;
    assert_int_equal(start(&b, "k", "{}"), IDEM_REPLAY);
    now += 1;
    assert_int_equal(start(&b, "k", "[]"), IDEM_FIRST); /* expired: a new key */
    idem_abandon(&b.ticket);
    now -= 1000;
}

static void the_oldest_finished_ones_are_evicted(void)
{
    struct one list[8], running;
    struct idem_stats s;
    char name[16];

    idem_set_limits(t, 4, UINT64_MAX);
    assert_int_equal(start(&running, "r", "{}"), IDEM_FIRST);
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "k%d", i);
        assert_int_equal(start(&list[i], name, "{}"), IDEM_FIRST);
        finish(&list[i], "1");
        pump();
    }
    idem_stats(t, &s);
    assert_int_equal(s.entries, 4);
    assert_int_equal(s.evicted, 4);
    finish(&running, "1"); /* was never evicted while it ran */
    pump();
    if (store)
        restart(); /* does not bring them back */
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "k%d", i);
        enum idem_answer a = start(&list[i], name, "{}");
        assert_int_equal(a, i < 5 ? IDEM_FIRST : IDEM_REPLAY);
        if (a == IDEM_FIRST)
            idem_abandon(&list[i].ticket);
    }
    assert_int_equal(start(&running, "r", "{}"), IDEM_REPLAY);
}

static void bytes_are_bounded(void)
{
    struct one a, b;
    struct idem_stats s;
    char big[4096];

    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    idem_set_limits(t, 1000, 6000);
    assert_int_equal(start(&a, "a", "{}"), IDEM_FIRST);
    finish(&a, big);
    pump();
    assert_int_equal(start(&b, "b", "{}"), IDEM_FIRST);
    finish(&b, big);
    pump();
    idem_stats(t, &s);
    assert_int_equal(s.entries, 1);
    assert_in_range(s.bytes, 4096, 6000);
}

static void a_start_knows_what_was_answered(void)
{
    struct one list[20];
    char name[16];

    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "k%d", i);
        assert_int_equal(start(&list[i], name, name), IDEM_FIRST);
        now++;
        finish(&list[i], name);
        pump();
    }
    restart();
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "k%d", i);
        enum idem_answer a = start(&list[i], name, name);
        assert_int_equal(a, store ? IDEM_REPLAY : IDEM_FIRST);
        if (a == IDEM_FIRST)
            idem_abandon(&list[i].ticket);
        else
            assert_string_equal(list[i].saw + 1, name);
    }
    if (!store)
        return;
    idem_set_limits(t, 3, UINT64_MAX); /* the oldest by when they ended, not by name */
    struct one more;
    assert_int_equal(start(&more, "new", "{}"), IDEM_FIRST);
    finish(&more, "1");
    pump();
    assert_int_equal(start(&list[0], "k18", "k18"), IDEM_REPLAY);
    assert_int_equal(start(&list[1], "k9", "k9"), IDEM_FIRST);
    idem_abandon(&list[1].ticket);
}

/* As PUBLISH does. */
static struct store_request *prepare(struct one *o, const char *json)
{
    struct store_request *row;

    assert_true(idem_prepare(&o->ticket, &(struct call_result){.json = str_of(json)}, now,
                             now + 1000, &row));
    assert_true(!row == !store);
    assert_int_equal(o->storeds, 0);
    return row;
}

static void written(struct store_request *r)
{
    assert_int_equal(r->status, MIG_OK);
}

static void a_result_may_be_stored_with_an_event(void)
{
    static struct store_request append;
    const struct store_record record = {1, 0, S(""), S("id"), S("e")};
    struct one a, b, c;

    assert_int_equal(start(&a, "k", "{}"), IDEM_FIRST);
    assert_int_equal(start(&b, "k", "{}"), IDEM_WAITS);
    struct store_request *row = prepare(&a, "{\"r\":1}");
    append = (struct store_request){.loop = l, .done = written};
    if (store)
        assert_int_equal(store_append_with(store, &append,
                                           store_topic((struct store_tenant){S("acme")}, S("t")),
                                           &record, row),
                         MIG_OK);
    pump();
    assert_int_equal(a.storeds + b.tolds, 0);
    idem_settle(&a.ticket, now);
    assert_int_equal(a.storeds, 1);
    assert_string_equal(a.saw, "0{\"r\":1}");
    pump();
    assert_int_equal(b.tolds, 1);
    assert_string_equal(b.saw, "0{\"r\":1}");
    restart();
    assert_int_equal(start(&c, "k", "{}"), store ? IDEM_REPLAY : IDEM_FIRST);
    if (!store)
        idem_abandon(&c.ticket);
}

static void what_was_prepared_in_vain_is_forgotten(void)
{
    struct one a, b;

    assert_int_equal(start(&a, "k", "{}"), IDEM_FIRST);
    assert_int_equal(start(&b, "k", "{}"), IDEM_WAITS);
    prepare(&a, "1");
    idem_abandon(&a.ticket);
    pump();
    assert_int_equal(a.storeds, 0);
    assert_int_equal(b.firsts, 1);
    prepare(&b, "2");
    idem_abandon(&b.ticket);
    restart();
    assert_int_equal(entries(), 0);
    assert_int_equal(start(&a, "k", "{}"), IDEM_FIRST);
    idem_abandon(&a.ticket);
}

/* --- running them ----------------------------------------------------------------------------------- */

static void run_body(struct loop *loop, uint64_t v)
{
    (void)v;
    open_table();
    body();
    pump();
    loop_stop(loop);
}

static void play(void (*fn)(void))
{
    body = fn;
    now = 1800000000000u;
    l = loop_new(0);
    loop_post_fn(l, run_body, 0);
    loop_run(l);
    if (store)
        store_close(store);
    store = NULL;
    idem_close(t);
    loop_free(l);
}

static void play_twice(void **state)
{
    struct diag d;
    void (*fn)(void);

    memcpy(&fn, state, sizeof fn);
    play(fn);
    diag_init(&d);
    struct store_settings how = STORE_DEFAULTS;
    assert_non_null(store = store_open_memory(&how, &d));
    diag_deinit(&d);
    play(fn);
}

#define I(f)                                                                                       \
    {                                                                                              \
#f, play_twice, NULL, NULL, (void *)f                                                      \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        I(the_second_gets_what_the_first_got),
        I(keys_of_others_are_other_keys),
        I(errors_are_kept_whole),
        I(twins_wait_and_are_told),
        I(a_twin_of_another_payload_does_not_wait),
        I(one_that_leaves_is_not_told),
        I(the_end_and_the_deadline_at_once),
        I(after_an_end_that_does_not_count_the_first_that_waits_is_first),
        I(nothing_is_left_of_what_was_abandoned),
        I(a_result_lasts_its_time),
        I(the_oldest_finished_ones_are_evicted),
        I(bytes_are_bounded),
        I(a_start_knows_what_was_answered),
        I(a_result_may_be_stored_with_an_event),
        I(what_was_prepared_in_vain_is_forgotten),
    };
    return RUN(tests);
}
