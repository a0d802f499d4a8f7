#include "unit.h"
#include "net/ws_frame.h"

static void heads_are_read_as_they_are_written(void **state)
{
    static const struct {
        uint64_t length;
        size_t size;
    } cases[] = {{0, 2},      {125, 2},    {126, 4},         {65535, 4},
                 {65536, 10}, {65537, 10}, {1ull << 40, 10}, {UINT64_MAX >> 1, 10}};

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        char out[WS_HEAD_OUT_MAX];
        struct ws_head h;
        size_t size = ws_head_write(out, WS_BINARY, WS_RSV1, i % 2, cases[i].length);
        assert_int_equal(size, cases[i].size);
        for (size_t n = 0; n < size; n++)
            assert_int_equal(ws_head_parse(&h, out, n), n < 2 ? 2 : size);
        assert_int_equal(ws_head_parse(&h, out, size), size);
        assert_int_equal(h.length, cases[i].length);
        assert_int_equal(h.opcode, WS_BINARY);
        assert_int_equal(h.reserved, WS_RSV1);
        assert_int_equal(h.is_final, i % 2);
        assert_true(!h.is_masked && h.is_length_minimal);
    }
}

static void the_mask_is_read_behind_the_length(void **state)
{
    struct ws_head h;

    (void)state;
    assert_int_equal(ws_head_parse(&h, "\x81\x85\x01\x02\x03\x04", 6), 6);
    assert_true(h.is_masked && h.is_final);
    assert_memory_equal(h.mask, "\x01\x02\x03\x04", 4);
    assert_int_equal(ws_head_parse(&h, "\x01\xFE\x01\x00\x05\x06\x07\x08", 8), 8);
    assert_int_equal(h.length, 256);
    assert_false(h.is_final);
    assert_memory_equal(h.mask, "\x05\x06\x07\x08", 4);
}

static void longer_forms_of_a_length_are_told(void **state)
{
    static const struct {
        str head;
        bool is_minimal;
    } cases[] = {{S("\x81\x7E\x00\x00"), false},
                 {S("\x81\x7E\x00\x7D"), false},
                 {S("\x81\x7E\x00\x7E"), true},
                 {S("\x81\x7F\x00\x00\x00\x00\x00\x00\xFF\xFF"), false},
                 {S("\x81\x7F\x00\x00\x00\x00\x00\x01\x00\x00"), true},
                 {S("\x81\x7D"), true}};

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct ws_head h;
        ws_head_parse(&h, cases[i].head.ptr, cases[i].head.len);
        assert_int_equal(h.is_length_minimal, cases[i].is_minimal);
    }
}

/* RFC 6455 5.3: octet i is XORed with octet i MOD 4 of the mask. */
static void each_byte_meets_its_byte_of_the_mask(void **state)
{
    static const uint8_t mask[4] = {0x11, 0x22, 0x44, 0x88};
    char from[200], to[201];

    (void)state;
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (char)(i * 7);
    for (size_t offset = 0; offset < 9; offset++)
        for (size_t skew = 0; skew < 9; skew++)
            for (size_t n = 0; n + skew <= sizeof from; n++) {
                memset(to, '#', sizeof to);
                ws_unmask(to, from + skew, n, mask, offset);
                for (size_t i = 0; i < n; i++)
                    assert_int_equal((uint8_t)to[i],
                                     (uint8_t)from[skew + i] ^ mask[(offset + i) % 4]);
                assert_int_equal(to[n], '#');
            }
    memcpy(to, from, sizeof from);
    ws_unmask(to, to, sizeof from, mask, 3);
    ws_unmask(to, to, sizeof from, mask, 3);
    assert_memory_equal(to, from, sizeof from);
}

/* What is UTF-8, from the other end: encode each code point by RFC 3629 section 3. */
static size_t encode(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3F));
    out[0] = (char)(0xF00u >> n | c);
    return n;
}

static void all_code_points_but_surrogates_are_utf8(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x120000; c++) {
        char text[4];
        struct ws_utf8 whole = {0}, halves = {0};
        size_t n = encode(c, text);
        bool is_fine = c < 0xD800 || (c > 0xDFFF && c < 0x110000);
        bool ok = ws_utf8_add(&whole, text, n) && !whole.missing;
        bool ok_halves = ws_utf8_add(&halves, text, n / 2) &&
                         ws_utf8_add(&halves, text + n / 2, n - n / 2) && !halves.missing;
        if (ok != is_fine || ok_halves != is_fine)
            fail_msg("U+%X", c);
    }
}

static void every_pair_and_triple_of_bytes_is_judged_as_str_is_utf8_does(void **state)
{
    char text[24];

    (void)state;
    for (uint32_t v = 0; v < 1u << 24; v += v < 1u << 16 ? 1 : 13) {
        struct ws_utf8 u = {0};
        memset(text, 'a', sizeof text);
        for (unsigned i = 0; i < 3; i++)
            text[15 + i] = (char)(v >> 8 * i);
        bool ok = ws_utf8_add(&u, text, sizeof text) && !u.missing;
        if (ok != str_is_utf8((str){text, sizeof text}))
            fail_msg("%06X", v);
    }
}

static void close_codes_are_those_that_may_travel(void **state)
{
    (void)state;
    for (unsigned code = 0; code < 70000; code++) {
        bool is_named =
            code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
        assert_int_equal(ws_close_code_is_valid(code), is_named || (code >= 3000 && code < 5000));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(heads_are_read_as_they_are_written),
        T(the_mask_is_read_behind_the_length),
        T(longer_forms_of_a_length_are_told),
        T(each_byte_meets_its_byte_of_the_mask),
        T(all_code_points_but_surrogates_are_utf8),
        T(every_pair_and_triple_of_bytes_is_judged_as_str_is_utf8_does),
        T(close_codes_are_those_that_may_travel)};
    return RUN(tests);
}
