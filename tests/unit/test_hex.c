#include "unit.h"
#include "base/hex.h"

static void writes_every_byte_as_two_digits(void **state)
{
    unsigned char bytes[256];
    static const char digits[] = "0123456789abcdef";
    char out[512];

    (void)state;
    for (int i = 0; i < 256; i++)
        bytes[i] = (unsigned char)i;
    for (size_t n = 0; n <= 256; n++) {
        memset(out, '#', sizeof out);
        hex_write(out, bytes, n);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(out[2 * i], digits[i / 16]);
            assert_int_equal(out[2 * i + 1], digits[i % 16]);
        }
        if (n < 256)
            assert_int_equal(out[2 * n], '#');
    }
}

static void reads_what_it_writes_and_upper_case_where_that_is_wished(void **state)
{
    static const char lower[] = "0123456789abcdef", upper[] = "ABCDEF";
    int digits = 0;

    (void)state;
    for (int i = 0; i < 16; i++)
        assert_int_equal(hex_lower_value(lower[i]), i);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(hex_lower_value(upper[i]), -1);
        assert_int_equal(hex_value(upper[i]), 10 + i);
    }
    for (int c = -128; c < 256; c++)
        digits += hex_value(c) >= 0;
    assert_int_equal(digits, 22);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(writes_every_byte_as_two_digits),
        T(reads_what_it_writes_and_upper_case_where_that_is_wished),
    };
    return RUN(tests);
}
