#include "unit.h"
#include "net/ws_deflate.h"

#include <zlib.h>

static struct ws_codec codec;

static int start(void **state)
{
    (void)state;
    ws_codec_init(&codec);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    ws_codec_deinit(&codec);
    return 0;
}

static void fill(char *p, size_t n, size_t kind)
{
    uint32_t v = 1;

    for (size_t i = 0; i < n; i++) {
        v = v * 1664525u + 1013904223u;
        p[i] = (char)(kind == 0 ? 'a' : kind == 1 ? 'a' + (v >> 24) % 7 : v >> 24);
    }
}

static void what_goes_in_comes_out_for_every_window(void **state)
{
    static const size_t sizes[] = {1, 2, 17, 100, 4095, 4096, 4097, 100000, 1 << 20};
    char *text = malloc(1 << 20);
    str z, back;

    (void)state;
    for (unsigned bits = WS_WINDOW_MIN; bits <= WS_WINDOW_MAX; bits++)
        for (size_t i = 0; i < 3 * countof(sizes); i++) {
            size_t size = sizes[i / 3];
            fill(text, size, i % 3);
            bool is_smaller = ws_deflate(&codec, bits, (str){text, size}, &z);
            if (i % 3 == 0 ? size > 16 : i % 3 == 1 && size > 1000)
                assert_true(is_smaller);
            if (i % 3 == 2 || size < 3)
                assert_false(is_smaller); // noise
            if (!is_smaller)
                continue;
            assert_true(z.len < size);
            assert_int_equal(ws_inflate(&codec, z, size, &back), WS_INFLATED);
            assert_int_equal(back.len, size);
            assert_memory_equal(back.ptr, text, size);
        }
    free(text);
}

/* The peer's inflater has a window of the agreed size: another one must be able to read it. */
static void a_small_window_is_kept(void **state)
{
    static char text[100000];
    char out[100]; // at a time, so that the inflater sees no farther than its window
    str z;

    (void)state;
    fill(text, sizeof text, 1);
    for (int bits = WS_WINDOW_MIN; bits <= WS_WINDOW_MAX; bits++) {
        z_stream s = {0};
        assert_true(ws_deflate(&codec, (unsigned)bits, (str){text, sizeof text}, &z));
        assert_int_equal(inflateInit2(&s, -bits), Z_OK);
        s.next_in = (Bytef *)(uintptr_t)z.ptr;
        s.avail_in = (uInt)z.len;
        for (size_t at = 0; at < sizeof text; at += sizeof out) {
            s.next_out = (Bytef *)out;
            s.avail_out = sizeof out;
            assert_int_equal(inflate(&s, Z_SYNC_FLUSH), Z_OK);
            assert_int_equal(s.avail_out, 0);
            assert_memory_equal(out, text + at, sizeof out);
        }
        inflateEnd(&s);
    }
}

static void messages_know_nothing_of_each_other(void **state)
{
    const str text = S("one message, one message, one message");
    char first[100];
    str z, back;

    (void)state;
    assert_true(ws_deflate(&codec, 15, text, &z));
    size_t n = z.len;
    memcpy(first, z.ptr, n);
    assert_int_equal(ws_inflate(&codec, S("\x07"), 100, &back), WS_INFLATE_CORRUPT);
    assert_int_equal(ws_inflate(&codec, S("\xF2\x48\xCD"), 100, &back), WS_INFLATE_CORRUPT);
    assert_true(ws_deflate(&codec, 15, text, &z));
    assert_int_equal(z.len, n);
    assert_memory_equal(z.ptr, first, n);
    assert_int_equal(ws_inflate(&codec, z, 100, &back), WS_INFLATED);
    assert_true(str_eq(back, text));
}

static void a_bomb_stops_at_the_limit(void **state)
{
    static char zeros[1 << 20];
    char bomb[2000];
    str z, back;

    (void)state;
    assert_true(ws_deflate(&codec, 15, (str){zeros, sizeof zeros}, &z));
    assert_true(z.len < sizeof bomb * 3);
    size_t n = z.len < sizeof bomb ? z.len : sizeof bomb;
    memcpy(bomb, z.ptr, n);
    ws_codec_deinit(&codec);
    ws_codec_init(&codec);
    for (size_t max = 0; max < 20000; max += max < 5000 ? 501 : 4999) {
        assert_int_equal(ws_inflate(&codec, (str){bomb, n}, max, &back), WS_INFLATE_TOO_BIG);
        assert_true(codec.inflated.len == max + 1);
        assert_true(codec.inflated.cap <= 65536);
    }
}

static void blocks_that_bring_nothing_end_soon(void **state)
{
    static const str blocks[] = {S("\x00\x00\x00\xFF\xFF"), S("\x03\x00"),
                                 S("\x00\x01\x00\xFE\xFF#")};
    static char waste[4 << 20];
    str back;

    (void)state;
    for (size_t i = 0; i < countof(blocks); i++) {
        for (size_t k = 0; k < sizeof waste; k++)
            waste[k] = blocks[i].ptr[k % blocks[i].len];
        size_t few = (size_t)60000 / blocks[i].len * blocks[i].len;
        waste[few] = 0; // the empty block whose rest was cut off
        assert_int_equal(ws_inflate(&codec, (str){waste, few + 1}, 1 << 22, &back), WS_INFLATED);
        assert_int_equal(back.len, i == 2 ? 10000 : 0);
        waste[few] = blocks[i].ptr[0];
        size_t many = sizeof waste / blocks[i].len * blocks[i].len;
        assert_int_equal(ws_inflate(&codec, (str){waste, many}, 1 << 22, &back),
                         WS_INFLATE_CORRUPT);
        assert_true(codec.inflater->total_in <= 200000);
    }
}

static void big_buffers_do_not_stay(void **state)
{
    static char zeros[1 << 20];
    str z, back;

    (void)state;
    fill(zeros, sizeof zeros, 0);
    assert_true(ws_deflate(&codec, 15, (str){zeros, sizeof zeros}, &z));
    assert_int_equal(ws_inflate(&codec, z, sizeof zeros, &back), WS_INFLATED);
    ws_codec_trim(&codec);
    assert_int_equal(codec.inflated.cap, 0);
    assert_int_equal(codec.deflated.cap, 0);
}

#define WITH(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(what_goes_in_comes_out_for_every_window), WITH(a_small_window_is_kept),
        WITH(messages_know_nothing_of_each_other),     WITH(a_bomb_stops_at_the_limit),
        WITH(blocks_that_bring_nothing_end_soon),      WITH(big_buffers_do_not_stay)};
    return RUN(tests);
}
