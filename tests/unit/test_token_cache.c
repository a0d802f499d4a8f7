#include "unit.h"
#include "core/token_cache.h"

enum { NOW = 1800000000 };
static struct arena_pool pool;
static struct arena *a;
static struct token_cache *c;
static const struct token_cache_limits small = {.entries = 8, .bytes = 1 << 20, .ttl_s = 300};

static int set_up(void **state)
{
    (void)state;
    a = arena_new(&pool, 1 << 20);
    c = token_cache_new(&small);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    token_cache_free(c);
    arena_unref(a);
    arena_pool_deinit(&pool);
    return 0;
}

static void add_until(const char *token, uint64_t version, uint64_t now_s, uint64_t expires_s)
{
    const str scopes[] = {S("a"), S("bb")};
    const struct jwt_claims claims = {.subject = str_of(token),
                                      .tenant = S("acme"),
                                      .scopes = scopes,
                                      .scope_count = 2,
                                      .expires_s = expires_s};
    token_cache_add(c, str_of(token), version, now_s, &claims);
}

static void add(const char *token)
{
    add_until(token, 1, NOW, JWT_NEVER);
}

static const struct jwt_claims *find_at(const char *token, uint64_t version, uint64_t now_s)
{
    return token_cache_find(c, str_of(token), version, now_s, a);
}

static const struct jwt_claims *find(const char *token)
{
    return find_at(token, 1, NOW);
}

static struct token_cache_stats stats(void)
{
    struct token_cache_stats s;
    token_cache_stats(c, &s);
    return s;
}

static void gives_back_what_was_verified(void **state)
{
    char token[] = "h.c.s";

    (void)state;
    assert_null(find(token));
    add(token);
    memset(token, 'x', 5); /* it has a copy */
    const struct jwt_claims *claims = find("h.c.s");
    assert_non_null(claims);
    assert_str(claims->subject, "h.c.s");
    assert_str(claims->tenant, "acme");
    assert_int_equal(claims->scope_count, 2);
    assert_str(claims->scopes[0], "a");
    assert_str(claims->scopes[1], "bb");
    assert_true(claims->expires_s == JWT_NEVER);
    assert_null(find("h.c.S"));
    assert_null(find("h.c."));
    assert_null(find(""));
    assert_int_equal(stats().hits, 1);
    assert_int_equal(stats().misses, 4);
}

static const struct {
    uint64_t expires_s;
    uint64_t alive_s, dead_s; /* after NOW */
} lives[] = {
    {JWT_NEVER, 299, 300},
    {NOW + 1000, 299, 300},
    {NOW + 10, 9, 10},
    {NOW + 1, 0, 1},
};

static void an_entry_dies_at_exp_or_after_the_ttl(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(lives); i++) {
        add_until("t", 1, NOW, lives[i].expires_s);
        assert_non_null(find_at("t", 1, NOW));
        assert_non_null(find_at("t", 1, NOW + lives[i].alive_s));
        assert_null(find_at("t", 1, NOW + lives[i].dead_s));
        assert_int_equal(stats().entries, 0);
        assert_int_equal(stats().bytes, 0);
    }
    add_until("late", 1, NOW, NOW); /* within the leeway, but it has no time left */
    add_until("later", 1, NOW, 0);
    assert_int_equal(stats().entries, 0);
}

static void a_clock_that_is_set_back_kills(void **state)
{
    (void)state;
    add("t");
    assert_null(find_at("t", 1, NOW - 1));
}

static void another_version_of_keys_or_rules_kills(void **state)
{
    (void)state;
    add_until("t", 7, NOW, JWT_NEVER);
    assert_non_null(find_at("t", 7, NOW));
    assert_null(find_at("t", 8, NOW));
    assert_null(find_at("t", 7, NOW)); /* it is gone for good */
}

static void a_newer_entry_replaces_the_older(void **state)
{
    (void)state;
    add_until("t", 1, NOW, NOW + 5);
    add_until("t", 1, NOW, NOW + 50);
    assert_int_equal(stats().entries, 1);
    assert_int_equal(find_at("t", 1, NOW + 10)->expires_s, NOW + 50);
}

static void drops_what_was_not_used_lately(void **state)
{
    char token[20];

    (void)state;
    for (int i = 0; i < 8; i++) {
        snprintf(token, sizeof token, "token-%d", i);
        add(token);
    }
    assert_non_null(find("token-0"));
    assert_non_null(find("token-3"));
    for (int i = 8; i < 13; i++) {
        snprintf(token, sizeof token, "token-%d", i);
        add(token);
    }
    assert_non_null(find("token-0"));
    assert_non_null(find("token-3"));
    assert_non_null(find("token-12"));
    assert_null(find("token-1"));
    assert_int_equal(stats().entries, 8);
    assert_int_equal(stats().evicted, 5);
}

/* Whatever is asked for and added in whatever order: what is found is right, the bounds hold. */
static void stays_within_its_bounds(void **state)
{
    const struct token_cache_limits tight = {.entries = 50, .bytes = 12000, .ttl_s = 10};
    char token[600];
    unsigned r = 12345;
    size_t found = 0;

    (void)state;
    token_cache_free(c);
    c = token_cache_new(&tight);
    for (int i = 0; i < 20000; i++) {
        r = r * 1103515245 + 12345;
        unsigned n = r >> 16 & 127;
        snprintf(token, sizeof token, "%0*u", (int)(n % 7 * 80 + 3), n);
        uint64_t now = NOW + (uint64_t)i / 500, version = 1 + (uint64_t)i / 3000;
        struct arena *request = arena_new(&pool, 8192);
        const struct jwt_claims *hit = token_cache_find(c, str_of(token), version, now, request);
        if (hit)
            assert_str(hit->subject, token);
        else
            add_until(token, version, now, r & 1 ? JWT_NEVER : now + 3);
        found += hit != NULL;
        arena_unref(request);
        assert_in_range(stats().entries, 1, tight.entries);
        assert_in_range(stats().bytes, 1, tight.bytes);
    }
    assert_true(found > 1000);
}

static void does_not_take_what_is_larger_than_all(void **state)
{
    const struct token_cache_limits tight = {.entries = 8, .bytes = 100, .ttl_s = 300};
    const struct token_cache_limits none = {.entries = 0, .bytes = 1000, .ttl_s = 300};

    (void)state;
    token_cache_free(c);
    c = token_cache_new(&tight);
    add("t");
    assert_null(find("t"));
    token_cache_free(c);
    c = token_cache_new(&none);
    add("t");
    assert_null(find("t"));
}

static void claims_live_as_long_as_the_request(void **state)
{
    struct arena *request = arena_new(&pool, 8192);

    (void)state;
    add("t");
    const struct jwt_claims *claims = token_cache_find(c, S("t"), 1, NOW, request);
    assert_null(find_at("t", 2, NOW)); /* dropped meanwhile */
    assert_str(claims->subject, "t");
    add("u");
    const struct jwt_claims *last = token_cache_find(c, S("u"), 1, NOW, request);
    token_cache_free(c);
    c = NULL;
    assert_str(last->scopes[1], "bb");
    arena_unref(request); /* the address sanitizer would tell of what stays behind */
}

static void a_full_arena_finds_nothing(void **state)
{
    struct arena *full = arena_new(&pool, ARENA_CHUNK);

    (void)state;
    while (arena_alloc(full, 16))
        ;
    add("t");
    assert_null(token_cache_find(c, S("t"), 1, NOW, full));
    assert_non_null(find("t"));
    arena_unref(full);
}

int main(void)
{
#define TT(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TT(gives_back_what_was_verified),
        TT(an_entry_dies_at_exp_or_after_the_ttl),
        TT(a_clock_that_is_set_back_kills),
        TT(another_version_of_keys_or_rules_kills),
        TT(a_newer_entry_replaces_the_older),
        TT(drops_what_was_not_used_lately),
        TT(stays_within_its_bounds),
        TT(does_not_take_what_is_larger_than_all),
        TT(claims_live_as_long_as_the_request),
        TT(a_full_arena_finds_nothing),
    };
    return RUN(tests);
}
