/* test_store.h: a store, a loop on a thread of its own, and requests that are waited for. */
#ifndef TEST_STORE_H
#define TEST_STORE_H
#include "unit.h"
#include "base/clock.h"
#include "loop/loop.h"
#include "store/store.h"

#include <pthread.h>
#include <semaphore.h>

enum world_driver { MEMORY, SQLITE };

struct world {
    struct store *s;
    char *dir;
    struct store_settings settings;
    enum world_driver driver;
    struct loop *loop;
    pthread_t thread;
    sem_t is_up;
};

static struct world world;

static void *world_loop(void *arg)
{
    world.loop = loop_new(0);
    sem_post(&world.is_up);
    loop_run(world.loop);
    loop_free(world.loop);
    return arg;
}

static inline struct store *world_try(struct diag *d)
{
    world.settings.dir = world.dir;
    return world.driver == MEMORY ? store_open_memory(&world.settings, d)
                                  : store_open_sqlite(&world.settings, d);
}

static inline void world_open(void)
{
    struct diag d;

    diag_init(&d);
    world.s = world_try(&d);
    for (size_t i = 0; i < d.count; i++)
        print_error("%s\n", d.list[i].text);
    diag_deinit(&d);
    assert_non_null(world.s);
}

static inline void world_close(void)
{
    store_close(world.s);
    world.s = NULL;
}

static inline void world_loop_up(void)
{
    sem_init(&world.is_up, 0, 0);
    assert_int_equal(pthread_create(&world.thread, NULL, world_loop, NULL), 0);
    sem_wait(&world.is_up);
}

static inline void world_loop_down(void)
{
    loop_stop(world.loop);
    pthread_join(world.thread, NULL);
    sem_destroy(&world.is_up);
}

static inline void world_init(enum world_driver driver)
{
    world = (struct world){.settings = STORE_DEFAULTS, .driver = driver, .dir = unit_dir()};
}

static inline void world_up(enum world_driver driver)
{
    world_init(driver);
    world_loop_up();
    world_open();
}

static inline void world_down(void)
{
    world_close();
    world_loop_down();
    unit_rm(world.dir);
}

/* A request that a thread waits for. */
struct asked {
    struct store_request r;
    sem_t is_done;
    unsigned times;
};

static void asked_done(struct store_request *r)
{
    struct asked *a = container_of(r, struct asked, r);

    a->times++;
    sem_post(&a->is_done);
}

static inline struct asked *asked_init(struct asked *a)
{
    *a = (struct asked){.r = {.loop = world.loop, .done = asked_done}};
    sem_init(&a->is_done, 0, 0);
    return a;
}

/* What the submit said, or the answer. */
static inline mig_status asked_wait(struct asked *a, mig_status submitted)
{
    if (submitted)
        return submitted;
    while (sem_wait(&a->is_done))
        ;
    return a->r.status;
}

static inline void asked_deinit(struct asked *a)
{
    store_read_done(&a->r);
    sem_destroy(&a->is_done);
}

#define ACME ((struct store_tenant){S("acme")})
#define OTHER ((struct store_tenant){S("other")})

static inline struct store_key key(struct store_tenant tenant, const char *name)
{
    return store_key(tenant, STORE_KV, str_of(name));
}

static inline mig_status put(struct store_key k, const char *value, uint64_t expect,
                             uint64_t expires_at_ms, uint64_t *ret_revision)
{
    struct asked a;
    mig_status st = store_put(world.s, &asked_init(&a)->r, k, str_of(value), expect, expires_at_ms);

    st = asked_wait(&a, st);
    if (ret_revision)
        *ret_revision = a.r.revision;
    asked_deinit(&a);
    return st;
}

static inline mig_status del(struct store_key k, uint64_t expect, uint64_t *ret_revision)
{
    struct asked a;
    mig_status st = asked_wait(&a, store_delete(world.s, &asked_init(&a)->r, k, expect));

    if (ret_revision)
        *ret_revision = a.r.revision;
    asked_deinit(&a);
    return st;
}

/* out: NULL or 64 bytes */
static inline mig_status get(struct store_key k, char *out, uint64_t *ret_revision)
{
    struct asked a;
    mig_status st = asked_wait(&a, store_get(world.s, &asked_init(&a)->r, k));

    if (out)
        snprintf(out, 64, "%.*s", STR_ARG(a.r.value));
    if (ret_revision)
        *ret_revision = a.r.revision;
    asked_deinit(&a);
    return st;
}

static inline mig_status add(struct store_key k, int64_t delta, uint64_t *ret_sum)
{
    struct asked a;
    mig_status st = asked_wait(&a, store_add(world.s, &asked_init(&a)->r, k, delta, 0));

    *ret_sum = a.r.number;
    asked_deinit(&a);
    return st;
}

static inline struct store_topic topic(struct store_tenant tenant, const char *name)
{
    return store_topic(tenant, str_of(name));
}

static inline mig_status append(struct store_topic t, uint64_t seq, const char *bytes,
                                uint64_t *ret_last)
{
    struct asked a;
    const struct store_record record = {seq, 1000 + seq, S("key"), S("id"), str_of(bytes)};
    mig_status st = asked_wait(&a, store_append(world.s, &asked_init(&a)->r, t, &record));

    if (ret_last)
        *ret_last = a.r.last;
    asked_deinit(&a);
    return st;
}

static inline mig_status trim(struct store_topic t, uint64_t up_to, uint64_t *ret_first)
{
    struct asked a;
    mig_status st = asked_wait(&a, store_trim(world.s, &asked_init(&a)->r, t, up_to));

    *ret_first = a.r.first;
    asked_deinit(&a);
    return st;
}

static inline mig_status head(struct store_topic t, struct store_head *ret)
{
    struct asked a;
    mig_status st = asked_wait(&a, store_head(world.s, &asked_init(&a)->r, t));

    *ret = (struct store_head){a.r.first, a.r.last, a.r.bytes};
    if (st == MIG_OK)
        assert_int_equal(a.r.count, a.r.last + 1 - a.r.first);
    asked_deinit(&a);
    return st;
}

/* "1 one,2 two" and, when a limit ended it, "+" */
static inline mig_status read_text(struct store_topic t, uint64_t after, uint32_t max,
                                   size_t max_bytes, char out[512])
{
    struct asked a;
    struct store_record rec;
    mig_status st =
        asked_wait(&a, store_read(world.s, &asked_init(&a)->r, t, after, max, max_bytes));
    int len = 0;

    out[0] = 0;
    while (st == MIG_OK && store_next_record(&a.r, &rec)) {
        assert_str(rec.key, "key");
        assert_str(rec.event_id, "id");
        assert_int_equal(rec.at_ms, 1000 + rec.seq);
        len += snprintf(out + len, 512 - (size_t)len, "%s%d %.*s", len ? "," : "", (int)rec.seq,
                        STR_ARG(rec.bytes));
    }
    if (a.r.has_more)
        snprintf(out + len, 512 - (size_t)len, "+");
    asked_deinit(&a);
    return st;
}

static inline const char *range_text(struct store_key prefix, const char *after, uint32_t max,
                                     size_t max_bytes)
{
    static char out[512];
    struct asked a;
    struct store_row row;
    int len = 0;
    mig_status st = asked_wait(
        &a, store_range(world.s, &asked_init(&a)->r, prefix, str_of(after), max, max_bytes));

    out[0] = 0;
    assert_int_equal(st, MIG_OK);
    while (store_next_row(&a.r, &row))
        len += snprintf(out + len, 512 - (size_t)len, "%s%.*s=%.*s", len ? "," : "",
                        STR_ARG(row.name), STR_ARG(row.value));
    if (a.r.has_more)
        snprintf(out + len, 512 - (size_t)len, "+");
    asked_deinit(&a);
    return out;
}
#endif
