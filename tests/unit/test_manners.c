/* manners.c over a protocol that writes down what it is told. */
#include "unit.h"
#include "edge/compress.h"
#include "edge/manners.h"
#include "net/exchange_io.h"

static struct {
    struct arena_pool pool;
    struct loop *loop;
    struct exchange x;
    struct manners m;
    struct manners_policy policy;
    mig_header sent[16]; /* of the answer */
    uint32_t sent_count;
    struct buf body;
    unsigned pieces;
    bool is_ended;
} f;

static mig_status put_head(struct exchange *x, const mig_header *h, uint32_t count)
{
    (void)x;
    for (uint32_t i = 0; i < count; i++)
        f.sent[i] =
            (mig_header){arena_copy(f.x.arena, h[i].name), arena_copy(f.x.arena, h[i].value)};
    f.sent_count = count;
    return MIG_OK;
}

static mig_status put(struct exchange *x, str bytes)
{
    (void)x;
    buf_add(&f.body, bytes);
    f.pieces++;
    return MIG_OK;
}

static void put_end(struct exchange *x, str bytes)
{
    (void)x;
    buf_add(&f.body, bytes);
    f.is_ended = true;
}

static const struct exchange_io io = {.head = put_head, .write = put, .end = put_end};

static void begin(const char *method, const mig_header *h, uint32_t count)
{
    if (f.x.arena)
        arena_unref(f.x.arena);
    buf_clear(&f.body);
    f.sent_count = f.pieces = 0;
    f.is_ended = false;
    f.x = (struct exchange){.io = &io,
                            .carrier = &f,
                            .loop = f.loop,
                            .arena = arena_new(&f.pool, 1 << 22),
                            .method = str_of(method),
                            .headers = h,
                            .header_count = count,
                            .max_body = 1 << 16,
                            .is_head = !strcmp(method, "HEAD")};
    f.m = (struct manners){0};
    manners_policy_seal(&f.policy);
    manners_begin(&f.m, &f.x, &f.policy);
}

static const char *sent(const char *name)
{
    for (uint32_t i = 0; i < f.sent_count; i++)
        if (str_eq_nocase(f.sent[i].name, str_of(name)))
            return f.sent[i].value.ptr;
    return NULL;
}

static void assert_sent(const char *name, const char *value)
{
    const char *is = sent(name);

    if (!is != !value || (is && strcmp(is, value) != 0))
        fail_msg("%s: %s, not %s", name, is ? is : "(none)", value ? value : "(none)");
}

static const mig_header json[] = {{S("Content-Type"), S("application/json")}};
static const mig_header wants_gzip[] = {{S("accept-encoding"), S("gzip")}};
static char plain[5000];

static int set_up(void **state)
{
    (void)state;
    memset(plain, 'a', sizeof plain);
    f.policy = (struct manners_policy){.compress_min = 1000};
    f.loop = loop_new(0);
    buf_init(&f.body, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_unref(f.x.arena);
    f.x.arena = NULL;
    buf_deinit(&f.body);
    manners_loop_free(f.loop);
    loop_stop(f.loop);
    loop_run(f.loop);
    loop_free(f.loop);
    arena_pool_deinit(&f.pool);
    return 0;
}

static void with_nothing_asked_for_nothing_changes(void **state)
{
    (void)state;
    begin("POST", NULL, 0);
    assert_int_equal(manners_head(&f.m, 200, json, 1), MIG_OK);
    assert_int_equal(f.sent_count, 1);
    manners_end(&f.m, (str){plain, sizeof plain});
    assert_int_equal(f.body.len, sizeof plain);
    assert_true(f.is_ended);
}

static void a_whole_body_is_coded(void **state)
{
    static const char *const methods[] = {"POST", "GET", "HEAD"};

    (void)state;
    for (size_t i = 0; i < countof(methods); i++) {
        begin(methods[i], wants_gzip, 1);
        assert_int_equal(manners_head(&f.m, 200, json, 1), MIG_OK);
        assert_true(manners_has_head(&f.m));
        assert_int_equal(f.sent_count, 0); /* not yet: it may become a stream */
        manners_end(&f.m, (str){plain, sizeof plain});
        assert_sent("Content-Encoding", "gzip");
        assert_sent("Vary", "Accept-Encoding");
        assert_in_range(f.body.len, 1, 100);
    }
}

static void a_stream_is_not(void **state)
{
    (void)state;
    begin("POST", wants_gzip, 1);
    manners_head(&f.m, 200, json, 1);
    assert_int_equal(manners_write(&f.m, (str){plain, sizeof plain}), MIG_OK);
    assert_int_equal(f.pieces, 1);
    assert_sent("Content-Encoding", NULL);
    manners_end(&f.m, (str){plain, sizeof plain});
    assert_sent("Content-Encoding", NULL);
    assert_int_equal(f.body.len, 2 * sizeof plain);
}

static void some_answers_are_never_coded(void **state)
{
    static const struct {
        unsigned status;
        mig_header h[2];
        size_t size;
    } rows[] = {
        {204, {{S("Content-Type"), S("application/json")}}, 0},
        {304, {{S("Content-Type"), S("application/json")}}, 0},
        {206, {{S("Content-Type"), S("application/json")}}, 5000},
        {200, {{S("Content-Type"), S("image/png")}}, 5000},
        {200, {{S("Content-Type"), S("text/event-stream")}}, 5000},
        {200, {{S("X-Type"), S("application/json")}}, 5000},
        {200, {{S("Content-Type"), S("text/css")}, {S("content-encoding"), S("br")}}, 5000},
        {200, {{S("Content-Type"), S("text/css")}, {S("Cache-Control"), S("No-Transform")}}, 5000},
        {200, {{S("Content-Type"), S("application/json")}}, 999},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        begin("POST", wants_gzip, 1);
        manners_head(&f.m, rows[i].status, rows[i].h, rows[i].h[1].name.len ? 2 : 1);
        manners_end(&f.m, (str){plain, rows[i].size});
        assert_true(f.is_ended &&
                    (!sent("Content-Encoding") || !strcmp(sent("Content-Encoding"), "br")));
        assert_int_equal(f.body.len, rows[i].size);
    }
}

static void a_bad_head_is_refused_at_once(void **state)
{
    static const mig_header bad[][2] = {
        {{S("Content-Type"), S("text/css")}, {S("X"), S("a\r\nb: c")}},
        {{S("Content-Type"), S("text/css")}, {S("Content-Length"), S("1")}},
        {{S("Content-Type"), S("text/css")}, {S("a b"), S("x")}},
    };

    (void)state;
    begin("POST", wants_gzip, 1);
    for (size_t i = 0; i < countof(bad); i++)
        assert_int_equal(manners_head(&f.m, 200, bad[i], 2), MIG_E_ARG);
    assert_int_equal(manners_head(&f.m, 700, json, 1), MIG_E_ARG);
    assert_false(manners_has_head(&f.m));
    assert_int_equal(manners_head(&f.m, 200, json, 1), MIG_OK);
    assert_int_equal(manners_head(&f.m, 200, json, 1), MIG_E_ARG); /* a second one */
    manners_write(&f.m, S("x"));
    assert_int_equal(manners_head(&f.m, 200, json, 1), MIG_E_ARG);
}

static void a_held_head_is_a_copy(void **state)
{
    char name[] = "Content-Type", value[] = "text/plain";
    const mig_header h[] = {{{name, strlen(name)}, {value, strlen(value)}}};

    (void)state;
    begin("POST", wants_gzip, 1);
    manners_head(&f.m, 201, h, 1);
    memset(name, 'x', strlen(name));
    memset(value, 'x', strlen(value));
    manners_end(&f.m, S("short"));
    assert_sent("Content-Type", "text/plain");
    assert_int_equal(f.x.status, 201);
}

static void caches_are_told_what_reads_depend_on(void **state)
{
    static const str origins[] = {S("https://a.example")};
    const mig_header from_a[] = {{S("origin"), S("https://a.example")}};

    (void)state;
    begin("GET", NULL, 0);
    manners_head(&f.m, 200, json, 1);
    assert_sent("Vary", "Accept-Encoding");
    f.policy.cors = (struct cors_policy){.origins = origins, .origin_count = 1};
    begin("GET", NULL, 0);
    manners_head(&f.m, 200, json, 1);
    assert_sent("Vary", "Accept-Encoding, Origin");
    assert_sent("Access-Control-Allow-Origin", NULL);
    begin("POST", from_a, 1);
    manners_head(&f.m, 200, json, 1);
    assert_sent("Vary", "Origin");
    assert_sent("Access-Control-Allow-Origin", "https://a.example");
    f.policy.cors.is_any = true;
    begin("POST", from_a, 1);
    manners_head(&f.m, 200, json, 1);
    assert_sent("Vary", NULL);
    assert_sent("Access-Control-Allow-Origin", "*");
    f.policy.cors = (struct cors_policy){0};
}

static void request_ids_come_back(void **state)
{
    const mig_header with[] = {{S("content-type"), S("x")}, {S("x-request-id"), S("abc")}};
    const mig_header bad[] = {{S("x-request-id"), S("a b")}};

    (void)state;
    begin("POST", with, 2);
    manners_head(&f.m, 200, json, 1);
    assert_sent("X-Request-ID", "abc");
    begin("POST", bad, 1);
    manners_head(&f.m, 200, json, 1);
    assert_sent("X-Request-ID", NULL);
    f.policy.makes_request_ids = true;
    begin("POST", bad, 1);
    manners_head(&f.m, 200, json, 1);
    assert_int_equal(strlen(sent("X-Request-ID")), 36);
    f.policy.makes_request_ids = false;
}

static void a_coded_request_is_unpacked(void **state)
{
    const mig_header h[] = {
        {S("content-length"), S("1")}, {S("content-encoding"), S("gzip")}, {S("x-a"), S("b")}};
    struct compressor *z = compressor_new();
    const char *reason = NULL;
    unsigned http = 0;

    (void)state;
    begin("POST", h, 3);
    f.x.body = compress_body(z, CODING_GZIP, (str){plain, sizeof plain});
    assert_int_equal(manners_unpack(&f.m, &http, &reason), MIG_OK);
    assert_int_equal(f.x.body.len, sizeof plain);
    assert_int_equal(f.x.header_count, 1);
    assert_str(f.x.headers[0].name, "x-a");
    begin("POST", h, 3);
    f.x.max_body = sizeof plain - 1;
    f.x.body = compress_body(z, CODING_GZIP, (str){plain, sizeof plain});
    assert_int_equal(manners_unpack(&f.m, &http, &reason), MIG_INVALID_REQUEST);
    assert_int_equal(http, 413);
    begin("POST", h, 3);
    f.x.body = S("{}");
    assert_int_equal(manners_unpack(&f.m, &http, &reason), MIG_INVALID_REQUEST);
    assert_int_equal(http, 400);
    assert_string_equal(reason, "content_encoding");
    compressor_free(z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(with_nothing_asked_for_nothing_changes),
        T(a_whole_body_is_coded),
        T(a_stream_is_not),
        T(some_answers_are_never_coded),
        T(a_bad_head_is_refused_at_once),
        T(a_held_head_is_a_copy),
        T(caches_are_told_what_reads_depend_on),
        T(request_ids_come_back),
        T(a_coded_request_is_unpacked),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
