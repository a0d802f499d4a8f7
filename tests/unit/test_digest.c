#include "unit.h"
#include "base/digest.h"

static void check(str bytes, size_t step, const char *want)
{
    char out[DIGEST_HEX + 1];
    struct digest *d = digest_new();

    for (size_t at = 0; at < bytes.len; at += step)
        digest_add(d, (str){bytes.ptr + at, bytes.len - at < step ? bytes.len - at : step});
    digest_take(d, out);
    assert_string_equal(out, want);
}

static void knows_the_vectors_of_fips_180(void **state)
{
    static char many[1000000];

    (void)state;
    memset(many, 'a', sizeof many);
    check(S(""), 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check(S("abc"), 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check(S("abc"), 9, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check((str){many, sizeof many}, 999,
          "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void parts_take(const str *parts, size_t n, char out[DIGEST_HEX + 1])
{
    struct digest *d = digest_new();
    for (size_t i = 0; i < n; i++)
        digest_add_part(d, parts[i]);
    digest_take(d, out);
}

static void neighbouring_parts_are_not_confused(void **state)
{
    const str lists[][2] = {
        {S("ab"), S("c")}, {S("a"), S("bc")}, {S("abc"), S("")}, {S(""), S("abc")}};
    char out[countof(lists)][DIGEST_HEX + 1], null[DIGEST_HEX + 1], empty[DIGEST_HEX + 1];

    (void)state;
    for (size_t i = 0; i < countof(lists); i++)
        parts_take(lists[i], 2, out[i]);
    for (size_t i = 0; i < countof(lists); i++)
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(out[i], out[k]);
    parts_take(&(str){NULL, 0}, 1, null);
    parts_take(&(str){"", 0}, 1, empty);
    assert_string_equal(null, empty);
}

static void sha1_is_that_of_fips_180(void **state)
{
    static const unsigned char want[DIGEST_SHA1] = "\xA9\x99\x3E\x36\x47\x06\x81\x6A\xBA\x3E"
                                                   "\x25\x71\x78\x50\xC2\x6C\x9C\xD0\xD8\x9D";
    unsigned char out[DIGEST_SHA1];

    (void)state;
    digest_sha1(S("abc"), out);
    assert_memory_equal(out, want, sizeof out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {T(knows_the_vectors_of_fips_180),
                                       T(sha1_is_that_of_fips_180),
                                       T(neighbouring_parts_are_not_confused)};
    return RUN(tests);
}
