#include "unit.h"
#include "core/names.h"

enum { TENANT = 1, CAPABILITY = 2, TOPIC = 4, DOTTED = CAPABILITY | TOPIC };

static void names_follow_their_grammars(void **state)
{
    static const struct {
        str text;
        int is;
    } rows[] = {
        {S(""), 0},
        {S("a"), TENANT | CAPABILITY},
        {S("0"), TENANT | CAPABILITY},
        {S("_"), TENANT | CAPABILITY},
        {S("Az09_-"), TENANT | CAPABILITY},
        {S("-"), CAPABILITY},
        {S("-a"), CAPABILITY},
        {S("unknown"), CAPABILITY},
        {S("Unknown"), TENANT | CAPABILITY},
        {S("unknown.x"), DOTTED},
        {S("a.b"), DOTTED},
        {S("a.b.c-_.0"), DOTTED},
        {S("-.-"), DOTTED},
        {S("."), 0},
        {S(".."), 0},
        {S(".a"), 0},
        {S("a."), 0},
        {S("a..b"), 0},
        {S("a.b."), 0},
        {S("a b"), 0},
        {S("a.b c"), 0},
        {S("a/b"), 0},
        {S("a.*"), 0},
        {S("a.>"), 0},
        {S("a.b\n"), 0},
        {S("a.\0b"), 0},
        {S("\xC3\xA4.b"), 0},
        {S("a@b"), 0},
        {S("a[b"), 0},
        {S("a`b"), 0},
        {S("a{b"), 0},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        int is = name_is_tenant(rows[i].text) * TENANT |
                 name_is_capability(rows[i].text) * CAPABILITY |
                 name_is_topic(rows[i].text) * TOPIC;
        if (is != rows[i].is)
            print_error("%.*s\n", STR_ARG(rows[i].text));
        assert_int_equal(is, rows[i].is);
    }
}

static void every_other_byte_is_refused(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char text[] = {'a', (char)c, 'b', '.', 'c'};
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '_' || c == '-';
        assert_int_equal(name_is_tenant((str){text, 3}), is_letter);
        assert_int_equal(name_is_capability((str){text, 3}), is_letter || c == '.');
        assert_int_equal(name_is_topic((str){text, 5}), is_letter || c == '.');
    }
}

static void names_have_a_length(void **state)
{
    static char text[256];

    (void)state;
    memset(text, 'a', sizeof text);
    assert_true(name_is_tenant((str){text, 64}));
    assert_false(name_is_tenant((str){text, 65}));
    assert_true(name_is_capability((str){text, 200}));
    assert_false(name_is_capability((str){text, 201}));
    assert_false(name_is_topic((str){text, 200}));
    text[1] = '.';
    assert_true(name_is_topic((str){text, 200}));
    assert_false(name_is_topic((str){text, 201}));
    assert_true(name_is_topic((str){text, 3}));
    assert_false(name_is_topic((str){text, 2}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(names_follow_their_grammars),
        T(every_other_byte_is_refused),
        T(names_have_a_length),
    };
    return RUN(tests);
}
