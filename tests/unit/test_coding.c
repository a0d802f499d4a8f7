#include "unit.h"
#include "edge/coding.h"

static enum coding choose(const char *a, const char *b)
{
    struct coding_wish w = CODING_WISH_NONE;

    coding_wish_add(&w, str_of(a));
    if (b)
        coding_wish_add(&w, str_of(b));
    return coding_choose(&w);
}

static void the_client_chooses_and_ties_are_ours(void **state)
{
    static const struct {
        const char *accept;
        enum coding coding;
    } rows[] = {
        {"gzip", CODING_GZIP},
        {"GZIP", CODING_GZIP},
        {"x-gzip", CODING_GZIP},
        {"zstd", CODING_ZSTD},
        {"gzip, deflate, br, zstd", CODING_ZSTD},
        {"gzip;q=1.0, zstd;q=0.9", CODING_GZIP},
        {"gzip;q=0.001, zstd;q=0", CODING_GZIP},
        {"zstd;q=0.5,gzip;q=0.5", CODING_ZSTD},
        {"gzip ; q=0.8 , zstd ; q=0.7", CODING_GZIP},
        {"*", CODING_ZSTD},
        {"*;q=0", CODING_IDENTITY},
        {"zstd;q=0, *", CODING_GZIP},
        {"gzip;q=0, *;q=0.1", CODING_ZSTD},
        {"gzip;q=0", CODING_IDENTITY},
        {"identity", CODING_IDENTITY},
        {"identity, gzip;q=0.5", CODING_IDENTITY}, /* it likes the plain one better */
        {"identity;q=0.5, gzip;q=0.5", CODING_GZIP},
        {"identity;q=0, gzip", CODING_GZIP},
        {"identity;q=0", CODING_IDENTITY}, /* nothing it would take: as it is */
        {"br, deflate", CODING_IDENTITY},
        {"", CODING_IDENTITY},
        {",,,;;;=,", CODING_IDENTITY},
        {"gzip;q=1.1", CODING_IDENTITY},
        {"gzip;q=-1", CODING_IDENTITY},
        {"gzip;q=0.0001", CODING_IDENTITY},
        {"gzip;q=", CODING_IDENTITY},
        {"gzip;q=2", CODING_IDENTITY},
        {"gzip;level=9", CODING_IDENTITY},
        {"gzip;q=1.000", CODING_GZIP},
        {"gzip;Q=0.5", CODING_GZIP},
        {"gzip;q=1.", CODING_GZIP},
        {"gzipx, zzstd", CODING_IDENTITY},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++)
        if (choose(rows[i].accept, NULL) != rows[i].coding)
            fail_msg("%s: %d", rows[i].accept, choose(rows[i].accept, NULL));
    assert_int_equal(choose("gzip", "zstd"), CODING_ZSTD); /* two lines are one list */
    assert_int_equal(choose("gzip", "gzip;q=0"), CODING_IDENTITY);
}

static void content_encoding_names_one_coding(void **state)
{
    (void)state;
    assert_int_equal(coding_of(S(" gzip ")), CODING_GZIP);
    assert_int_equal(coding_of(S("Zstd")), CODING_ZSTD);
    assert_int_equal(coding_of(S("identity")), CODING_IDENTITY);
    assert_int_equal(coding_of(S("")), CODING_IDENTITY);
    assert_int_equal(coding_of(S("gzip, zstd")), CODING_UNKNOWN);
    assert_int_equal(coding_of(S("br")), CODING_UNKNOWN);
    assert_str(coding_name(CODING_GZIP), "gzip");
    assert_str(coding_name(CODING_ZSTD), "zstd");
}

static void text_is_worth_it_and_streams_and_pictures_are_not(void **state)
{
    static const char *const good[] = {"application/json", "Application/JSON; charset=utf-8",
                                       "text/plain",       "text/html;charset=x",
                                       "image/svg+xml",    "application/problem+json",
                                       "application/xml",  "application/atom+xml"};
    static const char *const bad[] = {"text/event-stream",
                                      "TEXT/Event-Stream; charset=utf-8",
                                      "image/png",
                                      "application/octet-stream",
                                      "application/zip",
                                      "",
                                      "text",
                                      "json"};

    (void)state;
    for (size_t i = 0; i < countof(good); i++)
        if (!coding_is_compressible(str_of(good[i])))
            fail_msg("%s", good[i]);
    for (size_t i = 0; i < countof(bad); i++)
        if (coding_is_compressible(str_of(bad[i])))
            fail_msg("%s", bad[i]);
    assert_false(coding_is_compressible((str){NULL, 0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_client_chooses_and_ties_are_ours),
        T(content_encoding_names_one_coding),
        T(text_is_worth_it_and_streams_and_pictures_are_not),
    };
    return RUN(tests);
}
