#include "unit.h"
#include "base/clock.h"
#include "base/id.h"

#include <pthread.h>

static void has_the_form_of_uuid_version_7(void **state)
{
    char id[ID_UUID];

    (void)state;
    for (int n = 0; n < 1000; n++) {
        id_uuid7(id);
        for (int i = 0; i < ID_UUID; i++) {
            bool dash = i == 8 || i == 13 || i == 18 || i == 23;
            assert_true(dash ? id[i] == '-' : strchr("0123456789abcdef", id[i]) != NULL);
        }
        assert_int_equal(id[14], '7');
        assert_non_null(strchr("89ab", id[19]));
    }
}

static void begins_with_the_time(void **state)
{
    char id[ID_UUID + 1] = {0};

    (void)state;
    uint64_t before = clock_wall_ms();
    id_uuid7(id);
    uint64_t after = clock_wall_ms();
    memmove(id + 8, id + 9, 4);
    id[12] = 0;
    uint64_t ms = strtoull(id, NULL, 16);
    assert_true(ms >= before && ms <= after + 1000);
}

static void increases_within_a_thread(void **state)
{
    char last[ID_UUID] = {0}, id[ID_UUID];

    (void)state;
    for (int n = 0; n < 200000; n++) {
        id_uuid7(id);
        assert_true(memcmp(last, id, ID_UUID) < 0);
        memcpy(last, id, ID_UUID);
    }
}

enum { THREADS = 4, EACH = 5000 };

static void *make(void *out)
{
    for (int i = 0; i < EACH; i++)
        id_uuid7((char *)out + (size_t)i * ID_UUID);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, ID_UUID);
}

static void threads_do_not_collide(void **state)
{
    pthread_t t[THREADS];
    size_t total = (size_t)THREADS * EACH;
    char *all = malloc(total * ID_UUID);

    (void)state;
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, make, all + i * EACH * ID_UUID), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    qsort(all, total, ID_UUID, compare);
    for (size_t i = 1; i < total; i++)
        assert_int_not_equal(compare(all + (i - 1) * ID_UUID, all + i * ID_UUID), 0);
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(has_the_form_of_uuid_version_7),
        T(begins_with_the_time),
        T(increases_within_a_thread),
        T(threads_do_not_collide),
    };
    return RUN(tests);
}
