/* http1*.c and conn.c over real sockets. */
#include "net_unit.h"

static struct exchange *kept; /* "/later": answered when the test says so */
static _Atomic int gone_count, request_count, writable_count;

static bool on_head(struct exchange *x)
{
    if (str_eq(x->path, S("/tiny")))
        x->max_body = 4;
    return true;
}

static void say(struct exchange *x)
{
    struct arena_text t;
    const mig_header h[] = {{S("content-type"), S("text/plain")}};

    text_init(&t, x->arena, 100);
    text_add(&t, x->method);
    text_add(&t, S(" "));
    text_add(&t, x->path);
    text_add(&t, S("?"));
    text_add(&t, x->query);
    text_add(&t, S(" ["));
    text_add(&t, x->body);
    text_add(&t, S("] "));
    text_add(&t, exchange_header(x, S("x-a")));
    text_add(&t, exchange_header(x, S("authorization")));
    assert_int_equal(exchange_head(x, 200, h, 1), MIG_OK);
    exchange_end(x, text_str(&t));
}

static void say_pieces(struct exchange *x)
{
    exchange_head(x, 200, NULL, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(exchange_write(x, S("piece ")), MIG_OK);
    exchange_end(x, S("end"));
}

static void check_heads(struct exchange *x)
{
    const mig_header bad[] = {
        {S("content-length"), S("1")},   {S("Date"), S("x")}, {S("a b"), S("x")},
        {S("a"), S("x\r\ny: z")},        {S(""), S("x")},     {S("Connection"), S("close")},
        {S("transfer-encoding"), S("x")}};

    for (size_t i = 0; i < countof(bad); i++)
        assert_int_equal(exchange_head(x, 200, &bad[i], 1), MIG_E_ARG);
    assert_int_equal(exchange_head(x, 99, NULL, 0), MIG_E_ARG);
    assert_int_equal(exchange_write(x, S("x")), MIG_E_ARG); /* no head yet */
    assert_int_equal(exchange_head(x, 204, NULL, 0), MIG_OK);
    assert_int_equal(exchange_head(x, 204, NULL, 0), MIG_E_ARG);
    exchange_end(x, S(""));
}

static void on_request(struct exchange *x)
{
    struct arena *a = x->arena;

    request_count++;
    if (str_eq(x->path, S("/later"))) {
        kept = x;
        return;
    }
    if (str_eq(x->path, S("/pieces")))
        say_pieces(x);
    else if (str_eq(x->path, S("/heads")))
        check_heads(x);
    else if (str_eq(x->path, S("/break")))
        exchange_break(x);
    else
        say(x);
    arena_unref(a);
}

static void on_writable(struct exchange *x)
{
    (void)x;
    writable_count++;
}

static void on_gone(struct exchange *x)
{
    gone_count++;
    if (kept == x)
        kept = NULL;
    arena_unref(x->arena);
}

static const struct exchange_ops ops = {on_head, on_request, on_writable, on_gone, net_error_body};

static int set_up(void **state)
{
    (void)state;
    gone_count = request_count = writable_count = 0;
    kept = NULL;
    return net_up(&ops);
}

static int tear_down(void **state)
{
    (void)state;
    net_down();
    return 0;
}

/* One request that must be refused with this status, and the connection closed behind it. */
static void refused(const char *request, const char *status)
{
    struct client *c = client_open();
    char line[64];

    put(c, request);
    expect_close(c);
    snprintf(line, sizeof line, "HTTP/1.1 %s ", status);
    if (strncmp(c->got, line, strlen(line)) != 0)
        fail_msg("%s: %s", request, c->got);
    if (!strstr(c->got, "Connection: close") || !strstr(c->got, "MIG-Message-ID: the-id"))
        fail_msg("%s", c->got);
    assert_int_equal(count(c, "HTTP/1.1 "), 1);
    client_close(c);
}

static void served(const char *request, const char *answer)
{
    struct client *c = client_open();

    put(c, request);
    expect(c, answer);
    if (strncmp(c->got, "HTTP/1.1 200 ", 13) != 0)
        fail_msg("%s: %s", request, c->got);
    client_close(c);
}

/* --- tests ---------------------------------------------------------------------------------------- */

static void serves_and_stays_open(void **state)
{
    struct client *c = client_open();

    (void)state;
    put(c, "GET /a?b=c HTTP/1.1\r\nHost: x\r\nX-A: value \r\n\r\n");
    expect(c, "GET /a?b=c [] value");
    assert_non_null(strstr(c->got, "Content-Length: 19\r\n"));
    assert_non_null(strstr(c->got, "Date: "));
    assert_null(strstr(c->got, "Connection: close"));
    put(c, "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel");
    usleep(2000);
    put(c, "lo");
    expect(c, "POST /b? [hello]");
    put(c, "GET /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect_close(c);
    expect(c, "GET /c?");
    assert_non_null(strstr(c->got, "Connection: close"));
    client_close(c);
}

static void byte_by_byte_is_the_same(void **state)
{
    static const char text[] =
        "POST /b HTTP/1.1\r\nHost: x\r\nX-A: q\r\nTransfer-Encoding: chunked\r\n"
        "\r\n3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\n";
    struct client *c = client_open();

    (void)state;
    for (const char *p = text; *p; p++)
        put(c, (char[]){*p, 0});
    expect(c, "POST /b? [abcde] q");
    client_close(c);
}

/* A request with a token of this many bytes; returns where it ends. */
static size_t token_request(char *to, size_t len, const char *behind)
{
    size_t n = (size_t)sprintf(to, "GET /t HTTP/1.1\r\nHost: x\r\nAuthorization:  Bearer ");

    for (size_t i = 0; i < len; i++)
        to[n++] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."[i % 65];
    strcpy(to + n, behind);
    return n;
}

static void a_long_token_comes_as_it_was_sent(void **state)
{
    static const size_t lens[] = {1, 55, 56, 57, 58, 90, 400};
    char text[2000], again[2000], want[1000];

    (void)state;
    for (size_t i = 0; i < countof(lens); i++) {
        size_t end = token_request(text, lens[i], " \r\nX-A: q\r\n\r\n");
        size_t from = end - lens[i] - 7;
        int n = sprintf(want, "GET /t? [] q%.*s", (int)(end - from), text + from);
        struct client *c = client_open();
        put(c, text);
        expect(c, want);
        sprintf(want, "Content-Length: %d\r\n", n);
        assert_non_null(strstr(c->got, want)); /* and nothing behind it */
        put(c, strcat(strcpy(again, text), text));
        while (count(c, "GET /t? [] q") < 3)
            assert_true(get(c, 5000));
        client_close(c);
    }
    token_request(again, 90, "\r\n");
    token_request(text, 90, "\r\nX-A: q\r\n");
    strcat(strcat(text, strstr(again, "Auth")), "\r\n");
    served(text, "GET /t? [] qBearer ABC"); /* twice in one head */
}

static void a_long_token_may_be_cut_anywhere(void **state)
{
    char text[2000], want[1000];
    size_t end = token_request(text, 300, "\r\nX-A: q\r\n\r\n"), from = end - 307;
    const size_t cuts[] = {from - 10, from - 3, from - 2, from - 1, from,    from + 1,
                           from + 2,  from + 9, end - 65, end - 64, end - 1, end};

    (void)state;
    sprintf(want, "GET /t? [] q%.*s", (int)(end - from), text + from);
    for (size_t i = 0; i < countof(cuts); i++) {
        struct client *c = client_open();
        put_bytes(c, text, cuts[i]);
        usleep(3000);
        put(c, text + cuts[i]);
        expect(c, want);
        client_close(c);
    }
}

static void long_tokens_are_looked_at(void **state)
{
    static const char *const bad[] = {"\x01\r\n\r\n", "\x7F\r\n\r\n", "\rx\r\n\r\n",
                                      "\r\n x\r\n\r\n", "\n\r\n"};
    char text[4000];

    (void)state;
    for (size_t i = 0; i < countof(bad); i++) {
        token_request(text, 300, bad[i]);
        refused(text, "400");
    }
    size_t n = token_request(text, 300, "\r\n\r\n");
    text[n - 100] = 0x7F;
    refused(text, "400");
    token_request(text, 300, "\r\n\r\n");
    memcpy(strstr(text, ":  Bearer"), " :", 2);
    refused(text, "400");
    token_request(text, 3000, "\r\n\r\n");
    refused(text, "431");
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct client *c = client_open();
    char all[8192] = "", part[200];

    (void)state;
    for (int i = 0; i < 50; i++) {
        snprintf(part, sizeof part,
                 "POST /p%02d HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nb%d", i, i % 10);
        strcat(all, part);
    }
    put(c, all);
    expect(c, "POST /p49? [b9]");
    const char *last = c->got;
    for (int i = 0; i < 50; i++) {
        snprintf(part, sizeof part, "POST /p%02d? [b%d]", i, i % 10);
        const char *at = strstr(last, part);
        assert_non_null(at);
        last = at;
    }
    client_close(c);
}

static void answer_kept(struct loop *l, uint64_t v)
{
    (void)v;
    if (kept) {
        struct exchange *x = kept;
        struct arena *a = x->arena;
        kept = NULL;
        say(x);
        arena_unref(a);
    }
    loop_drain(l);
}

static void what_is_pipelined_waits_for_a_slow_answer(void **state)
{
    struct client *c = client_open();

    (void)state;
    put(c, "GET /later HTTP/1.1\r\nHost: x\r\n\r\nGET /two HTTP/1.1\r\nHost: x\r\n\r\n");
    put(c, "GET /three HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_for(&request_count, 1);
    usleep(5000);
    assert_int_equal(request_count, 1); /* one at a time */
    loop_post_fn(loop, answer_kept, 0);
    expect(c, "GET /three?");
    assert_true(strstr(c->got, "/later") < strstr(c->got, "/two"));
    assert_true(strstr(c->got, "/two") < strstr(c->got, "/three"));
    client_close(c);
}

static void a_client_that_leaves_is_reported(void **state)
{
    struct client *c = client_open();

    (void)state;
    put(c, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_for(&request_count, 1);
    client_close(c);
    wait_for(&gone_count, 1);
}

static void bodies_in_pieces_are_chunked(void **state)
{
    struct client *c = client_open();

    (void)state;
    put(c, "GET /pieces HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(c, "3\r\nend\r\n0\r\n\r\n");
    assert_non_null(strstr(c->got, "Transfer-Encoding: chunked"));
    assert_null(strstr(c->got, "Content-Length"));
    assert_int_equal(count(c, "6\r\npiece \r\n"), 3);
    client_close(c);
}

static void head_has_the_length_but_no_body(void **state)
{
    struct client *c = client_open();

    (void)state;
    put(c, "HEAD /a HTTP/1.1\r\nHost: x\r\n\r\nGET /z HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(c, "GET /z?");
    assert_non_null(strstr(c->got, "Content-Length: 12\r\n"));
    assert_null(strstr(c->got, "HEAD /a?"));
    client_close(c);
}

static void http_1_0_closes_unless_asked(void **state)
{
    struct client *c = client_open();

    (void)state;
    put(c, "GET /a HTTP/1.0\r\n\r\n");
    expect_close(c);
    expect(c, "GET /a?");
    client_close(c);
    c = client_open();
    put(c, "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    expect(c, "GET /a?");
    assert_non_null(strstr(c->got, "Connection: keep-alive"));
    put(c, "GET /pieces HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    expect_close(c); /* no chunks in 1.0: the end of the connection is the end of the body */
    expect(c, "piece piece piece end");
    client_close(c);
}

static void hosts_are_counted(void **state)
{
    (void)state;
    refused("GET / HTTP/1.1\r\n\r\n", "400");
    refused("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400");
    refused("GET / HTTP/1.1\r\nHost: a\r\nhOST: a\r\n\r\n", "400");
    served("GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET /?");
    served("GET http://other/p?q HTTP/1.1\r\nHost: x\r\n\r\n", "GET /p?q");
}

static void framing_tricks_are_refused(void **state)
{
    static const char *const bad[] = {
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: "
        "3\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\nHost: x\n\n", /* bare LF */
        "GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n", /* obs-fold */
        "GET / HTTP/1.1\r\nHost: x\r\nX : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX: a\x01\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
        "NOPE / HTTP/1.1\r\nHost: x\r\n\r\n",
        "get / HTTP/1.1\r\nHost: x\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01", /* TLS */
        "hello\r\n\r\n",
    };

    (void)state;
    for (size_t i = 0; i < countof(bad); i++)
        refused(bad[i], "400");
}

static void nothing_behind_a_refused_request_is_served(void **state)
{
    struct client *c = client_open();

    (void)state;
    put(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
           "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_close(c);
    assert_int_equal(request_count, 0);
    client_close(c);
}

static void limits_of_the_head_hold(void **state)
{
    char text[8000];
    size_t n;

    (void)state;
    n = (size_t)sprintf(text, "GET /");
    memset(text + n, 'u', 200);
    strcpy(text + n + 200, " HTTP/1.1\r\nHost: x\r\n\r\n");
    refused(text, "414");
    n = (size_t)sprintf(text, "GET / HTTP/1.1\r\nHost: x\r\nX-Big: ");
    memset(text + n, 'v', 3000);
    strcpy(text + n + 3000, "\r\n\r\n");
    refused(text, "431");
    n = (size_t)sprintf(text, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 12; i++)
        n += (size_t)sprintf(text + n, "X-%d: y\r\n", i);
    strcpy(text + n, "\r\n");
    refused(text, "431");
    n = (size_t)sprintf(text, "GET / HTTP/1.1\r\nHost: x\r\n");
    memset(text + n, 'n', 3000); /* a name without an end */
    text[n + 3000] = 0;
    refused(text, "431");
}

static void limits_of_the_body_hold(void **state)
{
    char text[3000] = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n";
    size_t n = strlen(text);

    (void)state;
    refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n", "413");
    refused("POST /tiny HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde", "413");
    served("POST /tiny HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabcd", "[abcd]");
    memset(text + n, 'b', 2000);
    text[n + 2000] = 0;
    refused(text, "413");
}

static void expectations(void **state)
{
    struct client *c = client_open();

    (void)state;
    put(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n");
    expect(c, "HTTP/1.1 100 Continue\r\n\r\n");
    put(c, "ok");
    expect(c, "[ok]");
    client_close(c);
    refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: miracles\r\n\r\n", "417");
    refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n\r\n",
            "413"); /* and no 100 before it */
}

static void odd_methods_and_upgrades(void **state)
{
    (void)state;
    served("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "GET /?");
    refused("CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", "405");
    served("DELETE /d HTTP/1.1\r\nHost: x\r\n\r\n", "DELETE /d?");
}

static void slow_clients_get_408(void **state)
{
    struct client *c;

    (void)state;
    limits.header_ms = limits.body_ms = limits.idle_ms = 120;
    c = client_open();
    put(c, "GET / HTTP/1.1\r\nHo");
    expect_close(c);
    expect(c, "HTTP/1.1 408 ");
    client_close(c);
    c = client_open();
    put(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab");
    expect_close(c);
    expect(c, "HTTP/1.1 408 ");
    client_close(c);
    c = client_open(); /* idle: closed without a word */
    put(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_close(c);
    assert_int_equal(count(c, "HTTP/1.1 "), 1);
    client_close(c);
}

static void each_phase_has_its_own_time(void **state)
{
    struct client *c;

    (void)state;
    limits.header_ms = 60;
    c = client_open();
    put(c, "POST /one HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab");
    usleep(120000); /* a body may take longer than a head ... */
    put(c, "cd");
    expect(c, "POST /one? [abcd]");
    usleep(120000); /* ... and so may the next request */
    put(c, "GET /two HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(c, "GET /two?");
    put(c, "GET /three HT"); /* but not its head */
    expect_close(c);
    expect(c, "HTTP/1.1 408 ");
    client_close(c);
}

static void a_slow_header_is_not_saved_by_dripping(void **state)
{
    struct client *c;

    (void)state;
    limits.header_ms = 150;
    c = client_open();
    put(c, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 60 && !c->is_closed && !strstr(c->got, "408"); i++) {
        put(c, "X");
        get(c, 10);
    }
    expect(c, "HTTP/1.1 408 ");
    client_close(c);
}

static void answers_have_only_heads_that_http_allows(void **state)
{
    struct client *c = client_open();

    (void)state;
    put(c, "GET /heads HTTP/1.1\r\nHost: x\r\n\r\nGET /z HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(c, "GET /z?");
    assert_int_equal(strncmp(c->got, "HTTP/1.1 204 No Content\r\n", 25), 0);
    assert_int_equal(count(c, "Content-Length"), 1); /* none for 204 */
    client_close(c);
}

static void a_broken_answer_cuts_the_connection(void **state)
{
    struct client *c = client_open();

    (void)state;
    put(c, "GET /break HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_close(c);
    assert_int_equal(c->len, 0);
    client_close(c);
}

static void drain(struct loop *l, uint64_t v)
{
    (void)l;
    (void)v;
    net_drain(net);
}

static void a_drain_closes_idle_connections_and_others_behind_their_answer(void **state)
{
    struct client *idle = client_open(), *busy = client_open();

    (void)state;
    put(idle, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(idle, "GET /a?");
    put(busy, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_for(&request_count, 2);
    loop_post_fn(loop, drain, 0);
    expect_close(idle);
    loop_post_fn(loop, answer_kept, 0);
    expect_close(busy);
    expect(busy, "GET /later?");
    assert_non_null(strstr(busy->got, "Connection: close"));
    client_close(idle);
    client_close(busy);
}

static void connections_are_limited(void **state)
{
    struct client *a, *b;

    (void)state;
    limits.max_connections = 1;
    a = client_open();
    put(a, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(a, "GET /a?");
    b = client_open();
    expect_close(b);
    put(a, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(a, "GET /b?");
    client_close(a);
    client_close(b);
}

int main(void)
{
#define TH(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TH(serves_and_stays_open),
        TH(byte_by_byte_is_the_same),
        TH(a_long_token_comes_as_it_was_sent),
        TH(a_long_token_may_be_cut_anywhere),
        TH(long_tokens_are_looked_at),
        TH(pipelined_requests_are_answered_in_order),
        TH(what_is_pipelined_waits_for_a_slow_answer),
        TH(a_client_that_leaves_is_reported),
        TH(bodies_in_pieces_are_chunked),
        TH(head_has_the_length_but_no_body),
        TH(http_1_0_closes_unless_asked),
        TH(hosts_are_counted),
        TH(framing_tricks_are_refused),
        TH(nothing_behind_a_refused_request_is_served),
        TH(limits_of_the_head_hold),
        TH(limits_of_the_body_hold),
        TH(expectations),
        TH(odd_methods_and_upgrades),
        TH(slow_clients_get_408),
        TH(each_phase_has_its_own_time),
        TH(a_slow_header_is_not_saved_by_dripping),
        TH(answers_have_only_heads_that_http_allows),
        TH(a_broken_answer_cuts_the_connection),
        TH(a_drain_closes_idle_connections_and_others_behind_their_answer),
        TH(connections_are_limited),
    };
    return RUN(tests);
}
