/* Recording, the memory, the file: with threads as in the daemon. */
#include "unit.h"
#include "core/audit.h"
#include "core/audit_own.h"

#include <pthread.h>
#include <sys/stat.h>

static char *dir;
static char path[300];

static int set_up(void **state)
{
    (void)state;
    dir = unit_dir();
    snprintf(path, sizeof path, "%s/audit.jsonl", dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unit_rm(dir);
    return 0;
}

static struct audit *audit_with(struct audit_settings s)
{
    struct audit *a = audit_new(2);
    char error[256];

    if (!s.tail_bytes)
        s.tail_bytes = 1 << 20;
    assert_true(audit_configure(a, &s, error));
    return a;
}

static uint64_t now_us = 1000;

static void add(struct audit *a, unsigned loop, const char *id)
{
    audit_add(a, loop,
              &(struct record){.at_us = now_us++, .message_id = str_of(id), .tenant = S("t")});
}

struct found {
    size_t count;
    char first[64], last[64];
    bool is_sorted;
    uint64_t last_us;
};

static bool look(void *arg, const struct record *r)
{
    struct found *f = arg;
    char *to = f->count ? f->last : f->first;

    snprintf(to, sizeof f->last, "%.*s", STR_ARG(r->message_id));
    if (!f->count)
        strcpy(f->last, f->first);
    f->is_sorted &= r->at_us >= f->last_us;
    f->last_us = r->at_us;
    f->count++;
    return true;
}

static struct found find(struct audit *a)
{
    struct found f = {.is_sorted = true};

    audit_each(a, look, &f);
    return f;
}

static size_t lines(const char *file)
{
    FILE *f = fopen(file, "r");
    size_t n = 0;

    for (int c; f && (c = fgetc(f)) != EOF;)
        n += c == '\n';
    if (f)
        fclose(f);
    return n;
}

static void switched_off_it_does_nothing(void **state)
{
    struct audit *a = audit_with((struct audit_settings){0});

    (void)state;
    assert_false(audit_is_on(a));
    add(a, 0, "x");
    assert_int_equal(find(a).count, 0);
    assert_false(audit_refuses(a));
    audit_flush(a);
    audit_reopen(a);
    audit_free(a);
}

static void memory_is_in_order_of_time(void **state)
{
    struct audit *a = audit_with((struct audit_settings){.tail_records = 100});
    static const unsigned loops[] = {0, 1, AUDIT_NO_LOOP, 1, 0};

    (void)state;
    for (size_t i = 0; i < countof(loops); i++)
        add(a, loops[i], i ? "later" : "first");
    struct found f = find(a);
    assert_int_equal(f.count, countof(loops));
    assert_string_equal(f.first, "first");
    assert_true(f.is_sorted);
    audit_free(a);
}

static void memory_keeps_the_last_records(void **state)
{
    struct audit *a = audit_with((struct audit_settings){.tail_records = 10});
    char id[16];

    (void)state;
    for (int i = 0; i < 25; i++) {
        snprintf(id, sizeof id, "m%d", i);
        add(a, (unsigned)i % 2, id);
    }
    struct found f = find(a);
    assert_int_equal(f.count, 10);
    assert_string_equal(f.first, "m15");
    assert_string_equal(f.last, "m24");
    audit_free(a);
}

static void memory_is_bounded_in_bytes(void **state)
{
    struct audit *a = audit_with((struct audit_settings){.tail_records = 10000000});
    static const char id[] = "01a1fefd-4259-73c3-9afd-bdd92c480def";
    struct audit_stats s;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        add(a, (unsigned)i % 2, id);
        if (i % 1000 == 0) {
            audit_stats(a, &s);
            assert_true(s.tail_bytes <= 1 << 20);
        }
    }
    struct found f = find(a);
    assert_true(f.is_sorted);
    assert_in_range(f.count, 8000, 30000);
    assert_int_equal(f.last_us, now_us - 1); /* the youngest are there */
    assert_int_equal(s.dropped, 0);
    audit_free(a);
}

static struct audit *busy;
static _Atomic bool is_over;

static void *record_much(void *arg)
{
    unsigned loop = (unsigned)(uintptr_t)arg;

    for (int i = 0; i < 100000; i++)
        audit_add(busy, loop, &(struct record){.at_us = (uint64_t)i, .message_id = S("busy-one")});
    return NULL;
}

static void readers_and_writers_get_along(void **state)
{
    pthread_t threads[3];
    static const unsigned loops[] = {0, 1, AUDIT_NO_LOOP};

    (void)state;
    busy = audit_with((struct audit_settings){.tail_records = 100000, .path = path});
    atomic_store(&is_over, false);
    for (size_t i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, record_much, (void *)(uintptr_t)loops[i]);
    for (int i = 0; i < 30; i++)
        find(busy);
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    audit_flush(busy);
    struct audit_stats s;
    audit_stats(busy, &s);
    assert_int_equal(lines(path) + s.dropped, 300000);
    audit_free(busy);
}

static void the_file_has_every_record_and_the_right_mode(void **state)
{
    struct audit *a = audit_with((struct audit_settings){.path = path});
    struct stat st;

    (void)state;
    for (int i = 0; i < 5000; i++)
        add(a, (unsigned)i % 2, "x");
    audit_flush(a);
    assert_int_equal(lines(path), 5000);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0137, 0);
    assert_int_equal(find(a).count, 0); /* nothing is wanted in memory */
    audit_free(a);
}

static void what_waits_is_written_at_the_end(void **state)
{
    struct audit *a = audit_with((struct audit_settings){.path = path});

    (void)state;
    for (int i = 0; i < 100; i++)
        add(a, 0, "x");
    audit_free(a);
    assert_int_equal(lines(path), 100);
}

static void files_are_rotated(void **state)
{
    struct audit *a =
        audit_with((struct audit_settings){.path = path, .file_bytes = 2000, .keep = 2});
    char other[320];
    struct stat st;

    (void)state;
    for (int i = 0; i < 100; i++)
        add(a, 0, "x");
    audit_flush(a);
    for (int n = 0; n < 3; n++) {
        snprintf(other, sizeof other, n ? "%s.%d" : "%s", path, n);
        assert_int_equal(stat(other, &st), 0);
        assert_in_range(st.st_size, 1, 2000);
    }
    snprintf(other, sizeof other, "%s.3", path);
    assert_int_not_equal(stat(other, &st), 0);
    audit_free(a);
}

static void a_torn_line_is_ended(void **state)
{
    (void)state;
    unit_write(dir, "audit.jsonl", "{\"whole\":1}\n{\"torn\":");
    struct audit *a = audit_with((struct audit_settings){.path = path, .is_chained = true});
    add(a, 0, "x");
    audit_free(a);
    assert_int_equal(lines(path), 3);
}

static void a_full_disk_drops_or_blocks(void **state)
{
    struct audit *a = audit_with((struct audit_settings){.path = "/dev/full"});
    struct audit_stats s;

    (void)state;
    add(a, 0, "x");
    audit_flush(a);
    audit_stats(a, &s);
    assert_int_equal(s.dropped, 1);
    assert_int_equal(s.write_errors, 1);
    assert_false(audit_refuses(a));
    audit_free(a);
    a = audit_with((struct audit_settings){.path = "/dev/full", .is_required = true});
    add(a, 0, "x");
    audit_flush(a);
    assert_true(audit_refuses(a));
    audit_stats(a, &s);
    assert_true(s.is_blocked);
    audit_free(a);
}

static void a_path_that_cannot_be_opened_is_told(void **state)
{
    struct audit *a = audit_new(1);
    char error[256];

    (void)state;
    assert_false(audit_configure(a, &(struct audit_settings){.path = "/nowhere/audit"}, error));
    assert_non_null(strstr(error, "/nowhere/audit"));
    audit_free(a);
}

#define TA(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TA(switched_off_it_does_nothing),
        TA(memory_is_in_order_of_time),
        TA(memory_keeps_the_last_records),
        TA(memory_is_bounded_in_bytes),
        TA(readers_and_writers_get_along),
        TA(the_file_has_every_record_and_the_right_mode),
        TA(what_waits_is_written_at_the_end),
        TA(files_are_rotated),
        TA(a_torn_line_is_ended),
        TA(a_full_disk_drops_or_blocks),
        TA(a_path_that_cannot_be_opened_is_told),
    };
    return RUN(tests);
}
