#include "unit.h"
#include "edge/compress.h"

static const enum coding codings[] = {CODING_GZIP, CODING_ZSTD};
static struct compressor *z;

static int set_up(void **state)
{
    (void)state;
    z = compressor_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    compressor_free(z);
    return 0;
}

static str json_of(size_t n)
{
    char *text = malloc(n + 64);
    size_t len = 0;

    assert_non_null(text);
    for (unsigned i = 0; len < n; i++)
        len += (size_t)sprintf(text + len, "{\"id\":%u,\"name\":\"n%u\"},", i, i * 7919 % 1000);
    return (str){text, n};
}

static void drop(str s)
{
    free((void *)(uintptr_t)s.ptr);
}

static enum decoded decode(enum coding c, str body, size_t limit, struct buf *out)
{
    buf_init(out, limit);
    return decompress_body(z, c, body, out);
}

static void what_was_coded_comes_back(void **state)
{
    static const size_t sizes[] = {
        100, 1024, 70000, 256 << 10, (256 << 10) + 1, 1 << 20, 2000, COMPRESS_GZIP_MAX, 500};
    struct buf out;

    (void)state;
    for (size_t i = 0; i < countof(sizes); i++)
        for (size_t k = 0; k < countof(codings); k++) {
            str plain = json_of(sizes[i]);
            str coded = compress_body(z, codings[k], plain);
            assert_non_null(coded.ptr);
            assert_in_range(coded.len, 1, plain.len - 1);
            char *copy = malloc(coded.len); /* the decoder must not read beyond */
            memcpy(copy, coded.ptr, coded.len);
            assert_int_equal(decode(codings[k], (str){copy, coded.len}, plain.len, &out), DECODED);
            assert_true(str_eq(buf_str(&out), plain));
            free(copy);
            buf_deinit(&out);
            drop(plain);
        }
}

static void what_does_not_shrink_stays(void **state)
{
    char noise[4096];
    uint64_t x = 88172645463325252u;

    (void)state;
    for (size_t i = 0; i < sizeof noise; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        noise[i] = (char)x;
    }
    for (size_t k = 0; k < countof(codings); k++) {
        assert_null(compress_body(z, codings[k], (str){noise, sizeof noise}).ptr);
        assert_null(compress_body(z, codings[k], S("")).ptr);
    }
    str huge = json_of(COMPRESS_GZIP_MAX + 1);
    assert_null(compress_body(z, CODING_GZIP, huge).ptr);
    assert_null(compress_body(z, CODING_IDENTITY, S("aaaaaaaaaaaaaaaaaaaaaaaaaaaa")).ptr);
    drop(huge);
}

/* 1 MiB of zeros takes 1 KiB of gzip. */
static void a_bomb_stops_at_the_limit(void **state)
{
    str zeros = {calloc(1, COMPRESS_GZIP_MAX), COMPRESS_GZIP_MAX};
    static const size_t limits[] = {0, 1, 16383, 16384, 16385, 100000, COMPRESS_GZIP_MAX - 1};
    struct buf out;

    (void)state;
    for (size_t k = 0; k < countof(codings); k++) {
        str coded = compress_body(z, codings[k], zeros);
        for (size_t i = 0; i < countof(limits); i++) {
            assert_int_equal(decode(codings[k], coded, limits[i], &out), DECODED_TOO_LARGE);
            assert_in_range(out.len, 0, limits[i]);
            buf_deinit(&out);
        }
        assert_int_equal(decode(codings[k], coded, COMPRESS_GZIP_MAX, &out), DECODED);
        assert_int_equal(out.len, COMPRESS_GZIP_MAX);
        buf_deinit(&out);
    }
    drop(zeros);
}

static void several_members_are_one_body(void **state)
{
    struct buf out, both;

    (void)state;
    for (size_t k = 0; k < countof(codings); k++) {
        str plain = json_of(3000);
        str coded = compress_body(z, codings[k], plain);
        buf_init(&both, 1 << 16);
        buf_add(&both, coded);
        buf_add(&both, coded);
        assert_int_equal(decode(codings[k], buf_str(&both), 6000, &out), DECODED);
        assert_int_equal(out.len, 6000);
        assert_memory_equal(out.ptr + 3000, plain.ptr, 3000);
        buf_deinit(&out);
        assert_int_equal(decode(codings[k], buf_str(&both), 5999, &out), DECODED_TOO_LARGE);
        buf_deinit(&out);
        buf_deinit(&both);
        drop(plain);
    }
}

static void cut_off_and_trailing_bytes_are_malformed(void **state)
{
    struct buf out, more;

    (void)state;
    for (size_t k = 0; k < countof(codings); k++) {
        str plain = json_of(2000);
        str coded = compress_body(z, codings[k], plain);
        for (size_t n = 1; n < coded.len; n++) {
            assert_int_equal(decode(codings[k], (str){coded.ptr, n}, 4000, &out),
                             DECODED_MALFORMED);
            buf_deinit(&out);
        }
        buf_init(&more, 1 << 16);
        buf_add(&more, coded);
        buf_addz(&more, "garbage");
        assert_int_equal(decode(codings[k], buf_str(&more), 4000, &out), DECODED_MALFORMED);
        buf_deinit(&out);
        buf_deinit(&more);
        assert_int_equal(decode(codings[k], S("{\"not\":\"coded\"}"), 4000, &out),
                         DECODED_MALFORMED);
        buf_deinit(&out);
        assert_int_equal(decode(codings[k], S(""), 4000, &out), DECODED_MALFORMED);
        drop(plain);
    }
    assert_int_equal(decode(CODING_UNKNOWN, S("x"), 4000, &out), DECODED_MALFORMED);
}

/* A frame whose header asks for a window of 2 GiB (RFC 8878 3.1.1.1.2). */
static void a_huge_window_is_refused(void **state)
{
    static const char frame[] = "\x28\xB5\x2F\xFD\x00\xA8\x01\x00\x00";
    struct buf out;

    (void)state;
    assert_int_equal(decode(CODING_ZSTD, (str){frame, sizeof frame - 1}, 4000, &out),
                     DECODED_MALFORMED);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_was_coded_comes_back),
        T(what_does_not_shrink_stays),
        T(a_bomb_stops_at_the_limit),
        T(several_members_are_one_body),
        T(cut_off_and_trailing_bytes_are_malformed),
        T(a_huge_window_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
