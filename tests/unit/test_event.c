#include "unit.h"
#include "base/json.h"
#include "base/sse.h"
#include "core/event.h"
#include "core/op.h"

#include <pthread.h>

static struct arena_pool pool;

static struct arena *arena(void)
{
    struct arena *a = arena_new(&pool, 64 << 20);

    assert_non_null(a);
    return a;
}

static int tear_down(void **state)
{
    (void)state;
    arena_pool_deinit(&pool);
    return 0;
}

/* As it is stored: length, header, payload. */
static struct event *event_with(const char *header, const char *payload, uint64_t seq)
{
    char bytes[1024];
    size_t n = strlen(header);
    int len = snprintf(bytes, sizeof bytes, "%c%c%c%c%s%s", (int)(n & 255), (int)(n >> 8), 0, 0,
                       header, payload);

    assert_int_equal(len, 4 + n + strlen(payload));
    return event_of_record(
        &(struct store_record){seq, 1700000000123, S("key"), S("0190-id"), {bytes, (size_t)len}});
}

static const char HEADER[] = "{\"message_id\":\"m\",\"meta\":{\"a\":1";
static const char LIVE[] =
    "{\"header\":{\"message_id\":\"m\",\"meta\":{\"a\":1,\"mig.cursor\":\"7\"}},\"topic\":\"a.b\","
    "\"event_id\":\"0190-id\",\"sequence\":7,\"payload\":{\"x\":[1]},"
    "\"published_at\":\"2023-11-14T22:13:20.123Z\",\"replay\":false}";

static str written(struct event *e, bool is_replay, struct arena *a)
{
    struct arena_text t;

    text_init(&t, a, 16);
    event_write(e, S("a.b"), is_replay, &t);
    assert_false(t.has_failed);
    return text_str(&t);
}

/* --- rendering ---------------------------------------------------------------------------------- */

static void an_event_is_a_message(void **state)
{
    struct arena *a = arena();
    struct event *e = event_with(HEADER, "{\"x\":[1]}", 7);

    (void)state;
    assert_str(written(e, false, a), LIVE);
    str replay = written(e, true, a);
    assert_int_equal(replay.len, sizeof LIVE - 2); /* true for false */
    assert_memory_equal(replay.ptr, LIVE, sizeof LIVE - 8);
    assert_memory_equal(replay.ptr + replay.len - 5, "true}", 5);
    assert_true(json_check(a, replay, NULL));
    event_unref(e);
    arena_unref(a);
}

static void damaged_records_are_refused(void **state)
{
    static const str rows[] = {S(""),
                               S("\0"),
                               S("\0\0\0"),
                               S("\1\0\0\0"),
                               S("\3\0\0\0{}"),
                               S("\377\377\377\377{}"),
                               S("\0\0\0\200{}")};

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct store_record r = {1, 1, S(""), S("id"), rows[i]};
        char *copy = malloc(rows[i].len + !rows[i].len); /* so that ASan sees its end */
        r.bytes.ptr = memcpy(copy, rows[i].ptr, rows[i].len);
        assert_null(event_of_record(&r));
        free(copy);
    }
    struct event *e =
        event_of_record(&(struct store_record){1, 1, S(""), S("id"), S("\2\0\0\0{}")});
    assert_non_null(e);
    event_unref(e);
}

static void long_headers_have_a_length(void **state)
{
    struct arena *a = arena();
    char header[700];

    (void)state;
    memset(header, ' ', sizeof header - 1);
    header[0] = '{';
    header[sizeof header - 1] = 0;
    struct event *e = event_with(header, "{\"only\":1}", 1);
    assert_non_null(strstr(written(e, false, a).ptr, "\"payload\":{\"only\":1},"));
    event_unref(e);
    arena_unref(a);
}

/* --- from a PUBLISH ------------------------------------------------------------------------------- */

static struct op op_of(struct arena *a, str meta)
{
    static const struct principal nobody = {.subject = S("anonymous"), .tenant = S("acme")};
    struct op op = {.arena = a, .principal = &nobody};

    op.in.binding = S("test");
    op.in.operation = MIG_OP_PUBLISH;
    op.header.message_id = S("m \"1\"");
    op.header.timestamp = S("2026-01-02T03:04:05Z");
    op.header.tenant_id = S("acme");
    op.header.meta = meta;
    return op;
}

static void a_publication_becomes_one_line(void **state)
{
    static const struct {
        str key, meta, payload;
        const char *has[3];
    } rows[] = {
        {S(""), S("{}"), S("{}"), {"\"payload\":{}", "\"message_id\":\"m \\\"1\\\"\""}},
        {S("k\n\"1\""),
         S("{\"a.b\": 1}"),
         S("{}"),
         {"\"a.b\"", "\"mig.event_key\":\"k\\u000a\\\"1\\\"\""}},
        {S(""), S("{ \n}"), S("{\r\n\t\"a\" :\n[1,\r2]\n}"), {"\"a\"", "\"mig.cursor\":\"3\""}},
        {S(""), S("{}"), S("{\"u\":\"\xE2\x80\xA8\\n\"}"), {"\"u\":\"\xE2\x80\xA8\\n\""}},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct arena *a = arena();
        struct op op = op_of(a, rows[i].meta);
        struct event *e = event_of_op(&op, rows[i].key, rows[i].payload);
        assert_non_null(e);
        assert_int_equal(e->event_id.len, 36);
        assert_int_not_equal(e->at_ms, 0);
        e->seq = 3;
        str json = event_live(e, S("a.b"));
        assert_true(json_check(a, json, NULL));
        assert_null(memchr(json.ptr, '\n', json.len));
        assert_null(memchr(json.ptr, '\r', json.len));
        char *z = str_dup(json);
        for (size_t n = 0; n < 3 && rows[i].has[n]; n++)
            assert_non_null(strstr(z, rows[i].has[n]));
        assert_int_equal(strstr(z, "mig.event_key") != NULL, rows[i].key.len > 0);
        free(z);
        event_unref(e);
        arena_unref(a);
    }
}

static void what_is_stored_comes_back_the_same(void **state)
{
    struct arena *a = arena();
    struct op op = op_of(a, S("{\"x\":1}"));
    struct event *e = event_of_op(&op, S("key"), S("{\"n\":[1,2]}"));

    (void)state;
    e->seq = 42;
    struct event *again =
        event_of_record(&(struct store_record){e->seq, e->at_ms, e->key, e->event_id, e->stored});
    assert_true(str_eq(written(e, true, a), written(again, true, a)));
    event_unref(e);
    event_unref(again);
    arena_unref(a);
}

/* --- shared texts ---------------------------------------------------------------------------------- */

static void the_live_text_is_made_once(void **state)
{
    struct event *e = event_with(HEADER, "{\"x\":[1]}", 7);
    str one = event_live(e, S("a.b")), two = event_live(e, S("a.b"));

    (void)state;
    assert_str(one, LIVE);
    assert_ptr_equal(one.ptr, two.ptr);
    event_unref(e);
}

static void only_what_was_lent_is_shared(void **state)
{
    struct event *e = event_with(HEADER, "{\"x\":[1]}", 7);
    str live = event_live(e, S("a.b")), name = S("mig-event"), record, again;
    char *copy = str_dup(live);

    (void)state;
    assert_null(event_shared(name, S("7"), live, &record)); /* nothing is lent */
    event_lend(e);
    assert_null(event_shared(S("other"), S("7"), live, &record));
    assert_null(event_shared(name, S("8"), live, &record));
    assert_null(event_shared(name, S(""), live, &record));
    assert_null(event_shared(name, S("x"), live, &record));
    assert_null(event_shared(name, S("7"), (str){copy, live.len}, &record));
    assert_null(event_shared(name, S("7"), (str){live.ptr, live.len - 1}, &record));
    assert_ptr_equal(event_shared(name, S("7"), live, &record), e);
    assert_ptr_equal(event_shared(name, S("7"), live, &again), e);
    assert_ptr_equal(record.ptr, again.ptr);
    char whole[1024];
    const struct sse_record r = {name, S("7"), live, 0};
    assert_int_equal(sse_size(&r), record.len);
    sse_write(&r, whole);
    assert_memory_equal(whole, record.ptr, record.len);
    event_lend(NULL);
    assert_null(event_shared(name, S("7"), live, &record));
    event_unref(e); /* the two that were shared, and ours */
    event_unref(e);
    event_unref(e);
    free(copy);
}

static void a_replay_is_never_shared(void **state)
{
    struct arena *a = arena();
    struct event *e = event_with(HEADER, "{\"x\":[1]}", 7);
    str record;

    (void)state;
    event_lend(e);
    assert_null(event_shared(S("mig-event"), S("7"), written(e, true, a), &record));
    event_lend(NULL);
    event_unref(e);
    arena_unref(a);
}

static pthread_barrier_t all_here;

static void *render(void *event)
{
    struct event *e = event;
    str record;

    pthread_barrier_wait(&all_here);
    str live = event_live(e, S("a.b"));
    event_lend(e);
    event_unref(event_shared(S("mig-event"), S("7"), live, &record));
    event_lend(NULL);
    void *seen = (void *)(uintptr_t)record.ptr;
    event_unref(e);
    return seen;
}

static void threads_that_render_at_once_see_one_text(void **state)
{
    pthread_t threads[4];
    void *seen[4];

    (void)state;
    pthread_barrier_init(&all_here, NULL, 4);
    for (int round = 0; round < 50; round++) {
        struct event *e = event_with(HEADER, "{\"x\":[1]}", 7);
        for (int i = 0; i < 4; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, render, event_ref(e)), 0);
        for (int i = 0; i < 4; i++)
            pthread_join(threads[i], &seen[i]);
        for (int i = 1; i < 4; i++)
            assert_ptr_equal(seen[i], seen[0]);
        event_unref(e);
    }
    pthread_barrier_destroy(&all_here);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_event_is_a_message),
        T(damaged_records_are_refused),
        T(long_headers_have_a_length),
        T(a_publication_becomes_one_line),
        T(what_is_stored_comes_back_the_same),
        T(the_live_text_is_made_once),
        T(only_what_was_lent_is_shared),
        T(a_replay_is_never_shared),
        T(threads_that_render_at_once_see_one_text),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
