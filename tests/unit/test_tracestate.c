#include "unit.h"
#include "base/tracestate.h"

static char out[TRACESTATE_MAX];

static str kept(str text)
{
    return (str){out, tracestate_write(text, out)};
}

static void what_has_a_good_form_is_handed_on(void **state)
{
    static const struct {
        const char *text, *out;
    } rows[] = {
        {"congo=t61rcWkgMzE", "congo=t61rcWkgMzE"},
        {"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"},
        {" rojo=1 ,\t congo=2,, ", "rojo=1,congo=2"},
        {"fw529a3039@dt=FfAAAAA,0a@b=1", "fw529a3039@dt=FfAAAAA,0a@b=1"},
        {"1a_-*/=!\"#$%&'()*+-./:;<>?@[\\]^_`{|}~ x", "1a_-*/=!\"#$%&'()*+-./:;<>?@[\\]^_`{|}~ x"},
        {"", ""},
        {",", ""},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++)
        assert_str(kept(str_of(rows[i].text)), rows[i].out);
    assert_int_equal(kept((str){NULL, 0}).len, 0);
}

static void one_wrong_member_drops_the_whole(void **state)
{
    static const char *const rows[] = {
        "a",    "a=",   "=1",      "A=1",   "a b=1", "a=1=2",   "a=\x7f",      "a=\xc3\xa4",
        "a@=1", "@a=1", "a@b@c=1", "a@1=1", "_a=1",  "a=1,a=2", "good=1,Bad=2"};

    (void)state;
    for (size_t i = 0; i < countof(rows); i++)
        assert_int_equal(kept(str_of(rows[i])).len, 0);
    assert_int_equal(kept(S("a=1\0")).len, 0);
}

static void names_and_values_have_limits(void **state)
{
    char text[600];

    (void)state;
    memset(text, 'x', sizeof text);
    text[256] = '=';
    assert_int_equal(kept((str){text, 258}).len, 258);
    assert_int_equal(kept((str){text, 257 + 256}).len, 0); /* 513 characters: no room for it */
    assert_int_equal(kept((str){text, 257 + 257}).len, 0);
    memset(text, 'x', sizeof text);
    text[257] = '=';
    assert_int_equal(kept((str){text, 259}).len, 0);
    memset(text, 'x', sizeof text);
    text[1] = '=';
    assert_int_equal(kept((str){text, 2 + 256}).len, 258);
    assert_int_equal(kept((str){text, 2 + 257}).len, 0);
}

static void the_first_32_members_stay(void **state)
{
    char text[400], want[400];
    size_t n = 0, limit = 0;

    (void)state;
    for (int i = 0; i < 40; i++) {
        n += (size_t)sprintf(text + n, "%sk%d=%d", i ? "," : "", i, i);
        limit = i == 31 ? n : limit;
    }
    memcpy(want, text, limit);
    want[limit] = 0;
    assert_str(kept((str){text, n}), want);
}

static char *member(char *to, char key, size_t len)
{
    memset(to, 'v', len);
    to[0] = key;
    to[1] = '=';
    to[len] = ',';
    return to + len + 1;
}

static void long_members_go_first_then_the_last(void **state)
{
    char text[2000], *at = member(text, 'a', 100);

    (void)state;
    at = member(at, 'b', 200);
    at = member(at, 'c', 110);
    at = member(at, 'd', 110);
    str all = {text, (size_t)(at - text) - 1};
    assert_int_equal(kept(all).len, 100 + 1 + 110 + 1 + 110); /* 523: without b */
    assert_null(memmem(out, 322, "b=", 2));
    at = member(at, 'e', 110);
    at = member(at, 'f', 110);
    all.len = (size_t)(at - text) - 1;
    assert_int_equal(kept(all).len, 100 + 3 * 111); /* 544 without b: f, too */
    assert_null(memmem(out, 433, "f=", 2));
    assert_non_null(memmem(out, 433, "e=", 2));
    at = member(text, 'a', 250);
    at = member(at, 'b', 250);
    assert_int_equal(kept((str){text, 501}).len, 501);
    at = member(text, 'a', 256);
    at = member(at, 'b', 255);
    assert_int_equal(kept((str){text, 512}).len, 512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_has_a_good_form_is_handed_on),   T(one_wrong_member_drops_the_whole),
        T(names_and_values_have_limits),        T(the_first_32_members_stay),
        T(long_members_go_first_then_the_last),
    };
    return RUN(tests);
}
