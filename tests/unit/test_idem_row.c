#include "unit.h"
#include "core/idem_row.h"

static const struct call_result result = {.status = MIG_NOT_FOUND,
                                          .json = S("{}"),
                                          .message = S("gone"),
                                          .details = S("{\"d\":1}"),
                                          .retry = 2,
                                          .retry_after_ms = 70000};
static const char print[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static char *written(struct idem_row *ret, const char *key)
{
    const struct idem_key k = {S("acme"), IDEM_INVOKE, S("a.b"), str_of(key)};
    char *block = idem_row_write(ret, &k, print, &result, 5);

    assert_non_null(block);
    return block;
}

static bool reads(struct idem_row_read *ret, str name, str value)
{
    const struct store_row row = {.name = name, .value = value};
    return idem_row_read(ret, (struct store_tenant){S("acme")}, &row);
}

static void what_is_written_is_read(void **state)
{
    static const char *const keys[] = {"k", "with\nline feed", "\xC3\xA4 b"};
    struct idem_row_name name;

    (void)state;
    for (size_t i = 0; i < countof(keys); i++) {
        struct idem_row row;
        struct idem_row_read r;
        char *block = written(&row, keys[i]);
        assert_true(reads(&r, row.key.name, row.value));
        assert_str(r.key.tenant, "acme");
        assert_str(r.key.name, "a.b");
        assert_str(r.key.key, keys[i]);
        assert_int_equal(r.key.kind, IDEM_INVOKE);
        assert_memory_equal(r.fingerprint, print, DIGEST_HEX);
        assert_int_equal(r.at_ms, 5);
        assert_int_equal(r.result.status, MIG_NOT_FOUND);
        assert_int_equal(r.result.retry, 2);
        assert_int_equal(r.result.retry_after_ms, 70000);
        assert_str(r.result.json, "{}");
        assert_str(r.result.message, "gone");
        assert_str(r.result.details, "{\"d\":1}");
        assert_true(idem_row_name(&name, &r.key)); /* deleted under the name it was written */
        assert_true(str_eq(idem_row_key(&name).name, row.key.name));
        idem_row_name_free(&name);
        free(block);
    }
}

static void damaged_rows_are_none(void **state)
{
    struct idem_row row;
    struct idem_row_read r;
    char *block = written(&row, "k");
    char *copy = malloc(row.value.len);

    (void)state;
    for (size_t cut = 0; cut < row.value.len; cut++)
        assert_false(reads(&r, row.key.name, (str){row.value.ptr, cut}));
    for (size_t n = 0; n < 8; n++) /* every number made huge: refused, or harmless */
        for (size_t byte = 0; byte < 8; byte++) {
            memcpy(copy, row.value.ptr, row.value.len);
            copy[n * 8 + byte] = (char)0xFF;
            if (reads(&r, row.key.name, (str){copy, row.value.len}))
                assert_true(n == 1 || n == 3 || n == 4); /* at_ms, retry, retry_after_ms */
        }
    static const char *const names[] = {"", "i", "ia.b", "ia.b\n", "i\nk", "xa.b\nk"};
    for (size_t i = 0; i < countof(names); i++)
        assert_false(reads(&r, str_of(names[i]), row.value));
    free(copy);
    free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_is_written_is_read),
        T(damaged_rows_are_none),
    };
    return RUN(tests);
}
