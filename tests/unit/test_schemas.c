/* Registered schemas: order, sharing, limits. */
#include "core/schemas.h"
#include "unit.h"

static struct schemas *put(struct schemas *s, str uri, str text)
{
    struct schemas *next = schemas_with(s, uri, text);

    assert_non_null(next);
    schemas_unref(s);
    return next;
}

static bool has(const struct schemas *s, str uri, str text)
{
    str found;
    return schemas_find(s, uri, &found) && str_eq(found, text);
}

static void finds_what_was_put_and_lists_it_in_order(void **state)
{
    static const str uris[] = {S("b:2"), S("a:1"), S("c:3"), S("b:1")};
    static const str sorted[] = {S("a:1"), S("b:1"), S("b:2"), S("c:3")};
    struct schemas *s = schemas_new();
    str text;

    (void)state;
    for (size_t i = 0; i < countof(uris); i++)
        s = put(s, uris[i], uris[i]);
    assert_int_equal(schemas_count(s), 4);
    assert_int_equal(schemas_bytes(s), 24);
    for (size_t i = 0; i < countof(uris); i++) {
        assert_true(str_eq(schemas_uri(s, i), sorted[i]));
        assert_true(has(s, sorted[i], sorted[i]));
    }
    assert_false(schemas_find(s, S("b:"), &text));
    assert_false(schemas_find(s, S("z:9"), &text));
    schemas_unref(s);
}

static void a_change_leaves_the_older_set_alone(void **state)
{
    struct schemas *first = schemas_new(), *second, *third;
    str text;

    (void)state;
    second = schemas_with(first, S("a:1"), S("{}"));
    third = schemas_with(second, S("a:1"), S("true"));
    assert_int_equal(schemas_count(first), 0);
    assert_true(has(second, S("a:1"), S("{}")));
    assert_true(has(third, S("a:1"), S("true")));
    assert_int_equal(schemas_count(third), 1);
    assert_int_equal(schemas_bytes(third), 7);
    schemas_unref(second); /* what the others share stays */
    assert_true(has(third, S("a:1"), S("true")));
    assert_false(schemas_find(first, S("a:1"), &text));
    schemas_unref(first);
    assert_null(schemas_unref(third));
    assert_null(schemas_unref(NULL));
}

static void holders_keep_a_set(void **state)
{
    struct schemas *s = put(schemas_new(), S("a:1"), S("{}"));
    struct schemas *held = schemas_ref(s);

    (void)state;
    schemas_unref(s);
    assert_true(has(held, S("a:1"), S("{}")));
    schemas_unref(held);
}

static void limits_hold(void **state)
{
    struct schemas *s = schemas_new(), *more;
    char *large = calloc(1, SCHEMA_TEXT_MAX + 1), uri[32];

    (void)state;
    assert_non_null(large);
    assert_null(schemas_with(s, S("a:1"), (str){large, SCHEMA_TEXT_MAX + 1}));
    int n = 0;
    while ((more = schemas_with(s, (str){uri, (size_t)snprintf(uri, sizeof uri, "u:%02d", n)},
                                (str){large, SCHEMA_TEXT_MAX}))) {
        schemas_unref(s);
        s = more;
        n++;
    }
    assert_int_equal(n, SCHEMAS_BYTES_MAX / SCHEMA_TEXT_MAX - 1);
    s = put(s, S("u:00"), S("{}")); /* replacing makes room */
    s = put(s, S("v:1"), (str){large, SCHEMA_TEXT_MAX});
    schemas_unref(s);
    free(large);
}

static void tells_uris_from_other_texts(void **state)
{
    static const struct {
        const char *text;
        bool is_uri;
    } rows[] = {{"schema://a/b/v1", true},
                {"urn:x:y", true},
                {"https://a.example/s", true},
                {"", false},
                {"a/b", false},
                {":a", false},
                {"1a:b", false},
                {"a b:c", false},
                {"a:b#c", false},
                {"a:b\n", false},
                {"a:\xc3\xa4", false}};
    char long_one[SCHEMA_URI_MAX + 2];

    (void)state;
    for (size_t i = 0; i < countof(rows); i++)
        if (schemas_is_uri(str_of(rows[i].text)) != rows[i].is_uri)
            fail_msg("%s", rows[i].text);
    memset(long_one, 'a', sizeof long_one);
    long_one[1] = ':';
    assert_true(schemas_is_uri((str){long_one, SCHEMA_URI_MAX}));
    assert_false(schemas_is_uri((str){long_one, SCHEMA_URI_MAX + 1}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(finds_what_was_put_and_lists_it_in_order),
        T(a_change_leaves_the_older_set_alone),
        T(holders_keep_a_set),
        T(limits_hold),
        T(tells_uris_from_other_texts),
    };
    return RUN(tests);
}
