#include "unit.h"
#include "core/jwks_source.h"
#include "base/log.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

#define ED(kid, x) "{\"kid\":\"" kid "\",\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" x "\"}"
static const char one_key[] =
    "{\"keys\":[" ED("a", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo") "]}";
static const char two_keys[] =
    "{\"keys\":[" ED("a", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo") "," ED(
        "b", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo") "]}";

static struct loop *control;
static pthread_t control_thread;
static struct pool *pool;
static struct jwks_source *source;
static struct jwks_view view;
static _Atomic uint64_t clock_ms;
static struct jwks_source_config config;

/* What the server says next. */
static struct {
    pthread_mutex_t lock;
    const char *text; /* NULL: it fails */
    bool has_max_age;
    _Atomic bool hangs;
    uint64_t max_age_s;
    _Atomic unsigned asked, running, most;
} server = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void server_says(const char *text, bool has_max_age, uint64_t max_age_s)
{
    pthread_mutex_lock(&server.lock);
    server.text = text;
    server.has_max_age = has_max_age;
    server.max_age_s = max_age_s;
    pthread_mutex_unlock(&server.lock);
}

static bool ask_server(void *ctx, const char *url, const _Atomic bool *stop, struct buf *out,
                       struct jwks_answer *ret)
{
    unsigned now = atomic_fetch_add(&server.running, 1) + 1;

    assert_ptr_equal(ctx, &server);
    assert_string_equal(url, "https://issuer.example/keys");
    assert_null(loop_current()); /* it blocks: never on a loop */
    if (now > atomic_load(&server.most))
        atomic_store(&server.most, now);
    while (server.hangs && !atomic_load(stop))
        sched_yield();
    pthread_mutex_lock(&server.lock);
    const char *text = server.text;
    ret->has_max_age = server.has_max_age;
    ret->max_age_s = server.max_age_s;
    pthread_mutex_unlock(&server.lock);
    if (text)
        buf_addz(out, text);
    else
        snprintf(ret->why, sizeof ret->why, "status 503");
    atomic_fetch_sub(&server.running, 1);
    atomic_fetch_add(&server.asked, 1);
    return text != NULL;
}

static uint64_t fake_now_ms(void)
{
    return atomic_load(&clock_ms);
}

static void *run_control(void *arg)
{
    loop_run(control);
    return arg;
}

/* Runs fn on the control thread and waits for it. */
struct errand {
    void (*fn)(void);
    sem_t over;
};

static void do_errand(struct loop *l, uint64_t v)
{
    struct errand *e = (struct errand *)(uintptr_t)v;

    (void)l;
    e->fn();
    sem_post(&e->over);
}

static void on_control(void (*fn)(void))
{
    struct errand e = {.fn = fn};

    sem_init(&e.over, 0, 0);
    loop_post_fn(control, do_errand, (uintptr_t)&e);
    sem_wait(&e.over);
    sem_destroy(&e.over);
}

static struct jwks_source_state state_now(void)
{
    struct jwks_source_state s;

    jwks_source_state(source, &s);
    return s;
}

static void make_source(void)
{
    source = jwks_source_new(&config);
}

static void look(void)
{
    jwks_source_look(source);
}

static void nothing(void)
{
}

/* All fetches that have begun are over and have been taken home. */
static void settle(void)
{
    on_control(nothing); /* a want that was posted has arrived */
    while (atomic_load(&server.asked) < state_now().fetches)
        sched_yield();
    struct jwks_source_state s;
    size_t waiting, busy, threads;
    do /* the worker posts its result before it is free again */
        pool_stats(pool, &waiting, &busy, &threads);
    while (busy || waiting);
    on_control(nothing);
    jwks_source_state(source, &s);
    assert_int_equal(atomic_load(&server.asked), s.fetches);
}

/* How many fetches there were at this time. */
static unsigned asked_at(uint64_t ms)
{
    unsigned before = atomic_load(&server.asked);

    atomic_store(&clock_ms, ms);
    on_control(look);
    settle();
    return atomic_load(&server.asked) - before;
}

static size_t keys_now(void)
{
    return jwks_count(jwks_view_look(&view, source));
}

static void start(const char *text)
{
    server_says(text, false, 0);
    on_control(make_source);
    settle();
}

static int set_up(void **state)
{
    (void)state;
    log_threshold = LOG_ERROR;
    server.asked = server.running = server.most = 0;
    server.hangs = false;
    clock_ms = 1000000;
    view = (struct jwks_view){0};
    control = loop_new(0);
    pool = pool_new(3);
    config = (struct jwks_source_config){.url = "https://issuer.example/keys",
                                         .fetch = ask_server,
                                         .fetch_ctx = &server,
                                         .control = control,
                                         .pool = pool,
                                         .now_ms = fake_now_ms};
    return pthread_create(&control_thread, NULL, run_control, NULL);
}

static sem_t freed;

static void say_freed(void *arg)
{
    assert_ptr_equal(arg, &freed);
    sem_post(&freed);
}

static void free_source(void)
{
    jwks_source_free(source, say_freed, &freed);
}

static int tear_down(void **state)
{
    (void)state;
    sem_init(&freed, 0, 0);
    on_control(free_source);
    sem_wait(&freed);
    jwks_view_close(&view);
    loop_stop(control);
    pthread_join(control_thread, NULL);
    loop_free(control);
    pool_free(pool);
    return 0;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void nobody_waits_for_the_first_answer(void **state)
{
    (void)state;
    server.hangs = true;
    server_says(one_key, false, 0);
    on_control(make_source);
    assert_int_equal(keys_now(), 0);
    const struct jwks *before = jwks_view_look(&view, source);
    assert_ptr_equal(jwks_view_look(&view, source), before);
    server.hangs = false;
    settle();
    assert_int_equal(keys_now(), 1);
    assert_true(state_now().loaded_ms > 0);
    assert_int_equal(state_now().keys, 1);
}

static void fixed_keys_are_in_force_at_once(void **state)
{
    CLEANUP(jwks_freep) struct jwks *fixed = jwks_new();
    struct diag d;

    (void)state;
    diag_init(&d);
    assert_true(
        jwks_add_secret(fixed, S("0123456789abcdef0123456789abcdef"), (struct diag_at){0}, &d));
    diag_deinit(&d);
    config.fixed = fixed;
    server.hangs = true;
    server_says(two_keys, false, 0);
    on_control(make_source);
    assert_int_equal(keys_now(), 1);
    server.hangs = false;
    settle();
    assert_int_equal(keys_now(), 3);
    config.fixed = NULL;
}

static struct jwks *others;
static bool is_set;

static void set_others(void)
{
    is_set = jwks_source_set_fixed(source, others);
}

static void exchange_fixed(const char *secret, size_t count)
{
    struct diag d;

    diag_init(&d);
    others = jwks_new();
    for (size_t i = 0; i < count; i++)
        assert_true(jwks_add_secret(others, str_of(secret), (struct diag_at){0}, &d));
    on_control(set_others);
    others = jwks_unref(others);
    diag_deinit(&d);
}

static void fixed_keys_can_be_exchanged(void **state)
{
    (void)state;
    server_says(two_keys, false, 0);
    on_control(make_source);
    exchange_fixed("the first of two secrets", 1); /* while it may be fetching */
    settle();
    assert_int_equal(keys_now(), 3);
    uint64_t version = jwks_version(jwks_view_look(&view, source));
    exchange_fixed("the first of two secrets", 1);
    assert_true(is_set);
    assert_int_equal(jwks_version(jwks_view_look(&view, source)), version); /* as they were */
    exchange_fixed("the other of two secrets", 1);
    assert_int_not_equal(jwks_version(jwks_view_look(&view, source)), version);
    assert_int_equal(keys_now(), 3);
    exchange_fixed("", 0);
    assert_int_equal(keys_now(), 2);
    exchange_fixed("there is no room for all of them", JWKS_KEYS_MAX - 1);
    assert_false(is_set);
    assert_int_equal(keys_now(), 2);
}

static void without_a_url_fixed_keys_can_be_exchanged_too(void **state)
{
    (void)state;
    config.url = NULL;
    on_control(make_source);
    exchange_fixed("the first of two secrets", 2);
    assert_int_equal(keys_now(), 2);
    exchange_fixed("the other of two secrets", 1);
    assert_int_equal(keys_now(), 1);
}

static void without_a_url_nothing_is_fetched(void **state)
{
    (void)state;
    config.url = NULL;
    on_control(make_source);
    jwks_source_want(source);
    assert_int_equal(asked_at(1u << 31), 0);
    assert_int_equal(keys_now(), 0);
}

static void the_same_text_stays_the_same_set(void **state)
{
    (void)state;
    start(one_key);
    const struct jwks *first = jwks_view_look(&view, source);
    uint64_t version = jwks_version(first);
    assert_int_equal(asked_at(1000000 + 225000), 1);
    assert_int_equal(jwks_version(jwks_view_look(&view, source)), version);
    server_says(two_keys, false, 0);
    assert_int_equal(asked_at(1000000 + 450000), 1);
    assert_int_equal(keys_now(), 2);
    assert_true(jwks_version(view.set) > version);
    server_says(one_key, false, 0); /* back again: another set all the same */
    assert_int_equal(asked_at(1000000 + 675000), 1);
    assert_int_equal(keys_now(), 1);
    assert_true(jwks_version(view.set) > version);
}

static const struct {
    bool has_max_age;
    uint64_t max_age_s, next_s;
} lives[] = {
    {false, 0, 225},
    {true, 600, 450},
    {true, 0, 45},
    {true, 10, 45},
    {true, 86400, 64800},
    {true, 86401, 64800},
    {true, 1u << 30, 64800},
    {true, UINT64_MAX, 64800},
    {true, 18446744073709552, 64800}, /* times 1000 is 384 again */
};

static void is_fetched_again_after_three_quarters_of_its_life(void **state)
{
    uint64_t now = 1000000;

    (void)state;
    start(one_key);
    now += 225000;
    for (size_t i = 0; i < countof(lives); i++) {
        server_says(one_key, lives[i].has_max_age, lives[i].max_age_s);
        assert_int_equal(asked_at(now), 1);
        now += lives[i].next_s * 1000;
        assert_int_equal(asked_at(now - 1), 0);
    }
    assert_int_equal(state_now().failures, 0);
}

static void a_bad_answer_changes_nothing(void **state)
{
    static const char *const bad[] = {
        NULL,
        "",
        "<html>",
        "{\"keys\":[]}",
        "{}",
        "{\"keys\":[{\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"}]}",
    };
    uint64_t now = 1000000 + 225000;

    (void)state;
    start(one_key);
    uint64_t version = jwks_version(jwks_view_look(&view, source));
    for (size_t i = 0; i < countof(bad); i++) {
        server_says(bad[i], true, 600);
        assert_int_equal(asked_at(now), 1);
        assert_int_equal(jwks_version(jwks_view_look(&view, source)), version);
        assert_int_equal(state_now().failures, i + 1);
        assert_true(state_now().why[0]);
        now += 60000;
    }
    server_says(one_key, false, 0);
    assert_int_equal(asked_at(now), 1);
    assert_string_equal(state_now().why, "");
}

static void asks_less_and_less_often_while_it_fails(void **state)
{
    static const uint64_t waits_s[] = {1, 2, 4, 8, 16, 32, 60, 60};
    uint64_t now = 1000000;

    (void)state;
    start(NULL);
    assert_string_equal(state_now().why, "status 503");
    for (size_t i = 0; i < countof(waits_s); i++) {
        now += waits_s[i] * 1000;
        assert_int_equal(asked_at(now - 1), 0);
        assert_int_equal(asked_at(now), 1);
    }
    server_says(one_key, false, 0);
    assert_int_equal(asked_at(now + 60000), 1);
    assert_int_equal(keys_now(), 1);
    server_says(NULL, false, 0);
    now += 60000 + 225000;
    assert_int_equal(asked_at(now), 1);
    assert_int_equal(asked_at(now + 999), 0);
    assert_int_equal(asked_at(now + 1000), 1); /* from the beginning */
}

static void stale_keys_stay_for_a_day(void **state)
{
    const uint64_t over = 1000000 + 300000, day = 24 * 3600 * 1000;

    (void)state;
    start(two_keys);
    server_says(NULL, false, 0);
    assert_int_equal(asked_at(over - 1), 1);
    assert_false(state_now().is_stale);
    assert_int_equal(asked_at(over + 5000), 1);
    assert_true(state_now().is_stale);
    assert_int_equal(keys_now(), 2);
    assert_int_equal(asked_at(over + day - 1), 1);
    assert_int_equal(keys_now(), 2);
    log_threshold = (enum log_level)0; /* the line is right, but here it would only disturb */
    assert_int_equal(asked_at(over + day + 60000), 1);
    assert_int_equal(keys_now(), 0);
    assert_int_equal(state_now().keys, 0);
    server_says(two_keys, false, 0);
    assert_int_equal(asked_at(over + day + 120000), 1);
    assert_int_equal(keys_now(), 2);
    assert_false(state_now().is_stale);
}

static void *want_often(void *arg)
{
    for (int i = 0; i < 200; i++)
        jwks_source_want(source);
    return arg;
}

static unsigned asked_when_wanted_at(uint64_t ms)
{
    unsigned before = atomic_load(&server.asked);
    pthread_t threads[3];

    atomic_store(&clock_ms, ms);
    for (size_t i = 0; i < countof(threads); i++)
        pthread_create(&threads[i], NULL, want_often, NULL);
    for (size_t i = 0; i < countof(threads); i++)
        pthread_join(threads[i], NULL);
    settle();
    return atomic_load(&server.asked) - before;
}

static void an_unknown_key_hurries_at_most_every_30_s(void **state)
{
    (void)state;
    start(one_key);
    server_says(two_keys, false, 0);
    assert_int_equal(asked_when_wanted_at(1000001), 1);
    assert_int_equal(keys_now(), 2);
    assert_int_equal(asked_when_wanted_at(1000002), 0);
    assert_int_equal(asked_when_wanted_at(1000001 + 29999), 0);
    assert_int_equal(asked_when_wanted_at(1000001 + 30000), 1);
    assert_int_equal(state_now().forced, 2);
    assert_int_equal(asked_at(1000001 + 30000 + 224999), 0); /* and puts off the regular one */
    assert_int_equal(asked_at(1000001 + 30000 + 225000), 1);
}

static void never_asks_twice_at_a_time(void **state)
{
    (void)state;
    server.hangs = true;
    server_says(one_key, false, 0);
    on_control(make_source);
    for (int i = 0; i < 50; i++) {
        jwks_source_want(source);
        on_control(look);
    }
    server.hangs = false;
    settle();
    assert_int_equal(server.asked, 1);
    assert_int_equal(server.most, 1);
}

static void ends_while_it_asks(void **state)
{
    (void)state;
    server.hangs = true; /* until it is told to stop, by tear_down() */
    server_says(one_key, false, 0);
    on_control(make_source);
    while (!atomic_load(&server.running))
        sched_yield();
    jwks_source_want(source);
}

/* The keys that a loop looks at stay whole while others are published. */
static _Atomic bool enough;

static void *look_all_the_time(void *arg)
{
    struct jwks_view mine = {0};

    while (!atomic_load(&enough)) {
        size_t n = jwks_count(jwks_view_look(&mine, source));
        assert_true(n <= 2);
    }
    jwks_view_close(&mine);
    return arg;
}

static void loops_look_while_keys_change(void **state)
{
    pthread_t threads[3];
    uint64_t now = 1000000;

    (void)state;
    enough = false;
    start(one_key);
    for (size_t i = 0; i < countof(threads); i++)
        pthread_create(&threads[i], NULL, look_all_the_time, NULL);
    for (int i = 0; i < 40; i++) {
        server_says(i & 1 ? one_key : two_keys, false, 0);
        assert_int_equal(asked_at(now += 225000), 1);
    }
    enough = true;
    for (size_t i = 0; i < countof(threads); i++)
        pthread_join(threads[i], NULL);
}

static void the_timer_keeps_it_going(void **state)
{
    (void)state;
    config.now_ms = NULL;
    config.times = (struct jwks_times){.default_ttl = 4, .min_ttl = 4, .first_retry = 2};
    server_says(one_key, false, 0);
    on_control(make_source);
    while (atomic_load(&server.asked) < 3)
        sched_yield();
    server_says(NULL, false, 0);
    while (state_now().failures < 2)
        sched_yield();
    assert_int_equal(keys_now(), 1);
}

int main(void)
{
#define TT(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TT(nobody_waits_for_the_first_answer),
        TT(fixed_keys_are_in_force_at_once),
        TT(fixed_keys_can_be_exchanged),
        TT(without_a_url_fixed_keys_can_be_exchanged_too),
        TT(without_a_url_nothing_is_fetched),
        TT(the_same_text_stays_the_same_set),
        TT(is_fetched_again_after_three_quarters_of_its_life),
        TT(a_bad_answer_changes_nothing),
        TT(asks_less_and_less_often_while_it_fails),
        TT(stale_keys_stay_for_a_day),
        TT(an_unknown_key_hurries_at_most_every_30_s),
        TT(never_asks_twice_at_a_time),
        TT(ends_while_it_asks),
        TT(loops_look_while_keys_change),
        TT(the_timer_keeps_it_going),
    };
    return RUN(tests);
}
