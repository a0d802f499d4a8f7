/* ctl_conformance_want.c: clauses against answers, JSON comparison; and that the tables of checks are sound. */
#include "unit.h"

#include "main/ctl_conformance.h"

static void values_are_compared_not_texts(void **state)
{
    static const struct {
        const char *a, *b;
        bool is_equal;
    } rows[] = {
        {"1", "1.0", true},
        {"1", "\"1\"", false},
        {"\"a\\u0062\"", "\"ab\"", true},
        {"{\"a\":1,\"b\":[true]}", "{ \"b\" : [ true ], \"a\" : 1e0 }", true},
        {"{\"a\":1}", "{\"a\":1,\"b\":2}", false},
        {"{\"a\":1}", "{\"b\":1}", false},
        {"[1,2]", "[2,1]", false},
        {"[]", "{}", false},
        {"null", "null", true},
        {"true", "false", false},
        {"\"\\u0000a\"", "\"\\u0000b\"", false},
    };
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        assert_int_equal(json_equal(str_of(rows[i].a), str_of(rows[i].b)), rows[i].is_equal);
        assert_int_equal(json_equal(str_of(rows[i].b), str_of(rows[i].a)), rows[i].is_equal);
    }
    assert_false(json_equal(S("null"), (str){0}));
}

static void pointers_find_values(void **state)
{
    str doc = S(" {\"a\":{\"b.c\":[1,{\"d\":null}]}} ");
    (void)state;

    assert_str(json_at(doc, S("/a/b.c/0")), "1");
    assert_str(json_at(doc, S("/a/b.c/1/d")), "null");
    assert_int_equal(json_at(doc, S("/a/x")).len, 0);
    assert_int_equal(json_at(doc, S("/a/b.c/2")).len, 0);
    assert_int_equal(json_at(doc, S("/a/b.c/x")).len, 0);
    assert_str(json_at(S("[]"), S("")), "[]");
}

static void times_and_ids_have_their_shape(void **state)
{
    (void)state;
    assert_true(is_uuid(S("01a1fed0-84bf-722b-884d-ac8cc032e1b2")));
    assert_false(is_uuid(S("01A1FED0-84BF-722B-884D-AC8CC032E1B2")));
    assert_false(is_uuid(S("01a1fed084bf722b884dac8cc032e1b2")));
    assert_true(is_utc_time(S("2026-11-21T15:54:00Z")));
    assert_true(is_utc_time(S("2026-11-21T15:54:00.123Z")));
    assert_false(is_utc_time(S("2026-11-21T15:54:00")));
    assert_false(is_utc_time(S("2026-11-21T15:54:00.Z")));
    assert_false(is_utc_time(S("2026-11-21T15:54:00+00:00")));
    assert_false(is_utc_time(S("2026-11-21 15:54:00Z")));
}

#define ERROR_BODY(code, retryable)                                                                \
    "{\"header\":{},\"error\":{\"code\":\"" code "\",\"message\":\"Deadline exceeded\","           \
    "\"retryable\":" retryable ",\"details\":{\"reason\":\"late\"}}}"

static const struct {
    unsigned status;
    const char *head, *body, *want, *failing; /* NULL: all hold */
} clauses[] = {
    {200, "", "{}", "200", NULL},
    {200, "", "{}", "", NULL},
    {404, "", "{}", " 200 ; /a = 1", "200"},
    {200, "", "{\"a\":{\"b\":5}}", "200; /a/b = 5; /a/b < 6; /a/b > 4; /a/b != 6", NULL},
    {200, "", "{\"a\":5}", "/a = 5; /a = 6", "/a = 6"},
    {200, "", "{\"a\":5}", "/a > 5", "/a > 5"},
    {200, "", "{\"a\":\"5\"}", "/a > 4", "/a > 4"},
    {200, "", "{\"a\":5}", "/a != 5", "/a != 5"},
    {200, "", "{}", "/a : absent; /a != 5", NULL},
    {200, "", "{\"a\":null}", "/a : absent", "/a : absent"},
    {200, "", "{\"a\":[],\"b\":{},\"c\":true,\"d\":\"\"}",
     "/a : array; /b : object; /c : boolean; /d : string", NULL},
    {200, "", "{\"d\":\"\"}", "/d : text", "/d : text"},
    {200, "", "{\"d\":\"Some Text\"}", "/d ~ e text", NULL},
    {200, "", "{\"d\":\"Some Text\"}", "/d ~ other", "/d ~ other"},
    {200, "X-A: yes\nX-B:\n", "", "head X-A; head x-a = yes; head X-A ~ YE; head X-C absent", NULL},
    {200, "X-A: yes\n", "", "head X-B", "head X-B"},
    {200, "X-A: yes\n", "", "head X-A = no", "head X-A = no"},
    {200, "X-A: yes\n", "", "head X-A absent", "head X-A absent"},
    {504, "", ERROR_BODY("MIG_TIMEOUT", "true"), "MIG_TIMEOUT; reason late; says deadline", NULL},
    {504, "", ERROR_BODY("MIG_TIMEOUT", "true"), "reason early", "reason early"},
    {504, "", ERROR_BODY("MIG_TIMEOUT", "true"), "says cancelled", "says cancelled"},
    {500, "", ERROR_BODY("MIG_TIMEOUT", "true"), "MIG_TIMEOUT", "MIG_TIMEOUT"},
    {0, "", ERROR_BODY("MIG_TIMEOUT", "true"), "MIG_TIMEOUT", NULL},
    {404, "", ERROR_BODY("MIG_NOT_FOUND", "true"), "MIG_NOT_FOUND", "MIG_NOT_FOUND"},
    {404, "", ERROR_BODY("MIG_NOT_FOUND", "false"), "MIG_NOT_FOUND", NULL},
    {404, "", ERROR_BODY("MIG_NOT_FOUND", "\"no\""), "MIG_NOT_FOUND", "MIG_NOT_FOUND"},
    {413, "", ERROR_BODY("MIG_INVALID_REQUEST", "false"), "MIG_INVALID_REQUEST", NULL},
    {404, "", ERROR_BODY("MIG_INVALID_REQUEST", "false"), "MIG_INVALID_REQUEST",
     "MIG_INVALID_REQUEST"},
    {400, "", "{\"error\":{\"code\":\"MIG_INVALID_REQUEST\"}}", "MIG_INVALID_REQUEST",
     "MIG_INVALID_REQUEST"},
    {400, "", "not JSON", "MIG_INVALID_REQUEST", "MIG_INVALID_REQUEST"},
};

static void clauses_hold_or_say_which(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(clauses); i++) {
        struct answer a = {clauses[i].status, str_of(clauses[i].head), str_of(clauses[i].body)};
        struct buf expected, came;
        bool holds;
        buf_init(&expected, 4096);
        buf_init(&came, 4096);
        holds = want_check(&a, str_of(clauses[i].want), &expected, &came);
        if (holds != !clauses[i].failing)
            fail_msg("row %zu: %s", i, clauses[i].want);
        if (!holds) {
            assert_str(buf_str(&expected), clauses[i].failing);
            assert_true(came.len > 0);
        }
        buf_deinit(&expected);
        buf_deinit(&came);
    }
}

/* ---- the tables ------------------------------------------------------------------------------- */

static const struct check_table *const tables[] = {
    &header_checks,  &tenant_checks,      &hello_checks,     &invoke_checks, &error_checks,
    &call_checks,    &idempotency_checks, &stream_checks,    &socket_checks, &ws_checks,
    &control_checks, &publish_checks,     &subscribe_checks, &full_checks,
};

static void check_is_sound(const struct check *k)
{
    bool is_one_request = k->request && k->want;

    if (!k->id || !strchr(k->id, '.') || strlen(k->id) > 32 || !k->title || !*k->title)
        fail_msg("%s: no good id or title", k->id ? k->id : "?");
    if (!k->section || k->section[0] < '1' || k->section[0] > '9')
        fail_msg("%s: no section", k->id);
    if (!k->run == !is_one_request || (k->run && k->request))
        fail_msg("%s: either a request or a function", k->id);
    if (k->profile != CORE && k->profile != STREAMING && k->profile != EVENTED &&
        k->profile != FULL)
        fail_msg("%s: no profile", k->id);
    if ((k->needs & NEED_TOKEN) && (k->needs & NEED_NO_TOKEN))
        fail_msg("%s: can never run", k->id);
}

static void checks_are_sound_and_named_once(void **state)
{
    const char *ids[512];
    size_t n = 0;
    (void)state;

    for (size_t t = 0; t < countof(tables); t++)
        for (size_t i = 0; i < tables[t]->count; i++) {
            check_is_sound(&tables[t]->rows[i]);
            for (size_t k = 0; k < n; k++)
                assert_string_not_equal(ids[k], tables[t]->rows[i].id);
            assert_true(n < countof(ids));
            ids[n++] = tables[t]->rows[i].id;
        }
    assert_true(n >= 130);
}

static void templates_are_filled_in(void **state)
{
    struct probe p = {
        .tenant = "acme", .second_tenant = "beta", .capability = "a.b", .run = "r", .number = 7};
    struct buf b;
    (void)state;

    buf_init(&b, 4096);
    expand(&p, &b, "{${I},'c':'${C}'}", true);
    assert_str(buf_str(&b),
               "{\"header\":{\"tenant_id\":\"acme\",\"message_id\":\"conf-r-7\"},\"c\":\"a.b\"}");
    buf_clear(&b);
    expand(&p, &b, "it's ${U} ${E} $x", false);
    assert_str(buf_str(&b), "it's beta conformance.run-r.check-7 $x");
    buf_clear(&b);
    p.second_token = "t";
    expand(&p, &b, "${SECOND}", false);
    assert_str(buf_str(&b), "X-Tenant-ID: beta\nAuthorization: Bearer t");
    buf_deinit(&b);
}

static void default_lines_give_way(void **state)
{
    struct ctl c = {.admin_key = "k"};
    struct probe p = {.ctl = &c, .tenant = "acme", .token = "t"};
    struct buf b;
    (void)state;

    buf_init(&b, 4096);
    add_heads(&p, &b, NULL);
    assert_str(buf_str(&b), "X-Tenant-ID: acme\nAuthorization: Bearer t\nX-Admin-API-Key: k\n");
    buf_clear(&b);
    add_heads(&p, &b, "-x-tenant-id\nAuthorization: Basic x\nA: 1");
    assert_str(buf_str(&b), "X-Admin-API-Key: k\nAuthorization: Basic x\nA: 1\n");
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(values_are_compared_not_texts),   T(pointers_find_values),
        T(times_and_ids_have_their_shape),  T(clauses_hold_or_say_which),
        T(checks_are_sound_and_named_once), T(templates_are_filled_in),
        T(default_lines_give_way),
    };
    return RUN(tests);
}
