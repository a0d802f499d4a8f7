/* store_bench DRIVER DIR [FSYNC [WRITERS [SECONDS [BYTES [TOPICS]]]]]: how many appends a second are
 * acknowledged when each of WRITERS waits for its answer before its next append. DRIVER: sqlite or
 * memory; FSYNC: always, interval or never. One line: name=value. */
#include "base/check.h"
#include "base/clock.h"
#include "loop/loop.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>

enum { WRITERS_MAX = 4096, TOPICS_MAX = 4096, BUCKETS = 4096, BUCKET_US = 20 };

struct writer {
    struct store_request r;
    unsigned topic;
    uint64_t began_ns;
};

static struct store *store;
static struct loop *loop;
static struct writer writers[WRITERS_MAX];
static uint64_t next_seq[TOPICS_MAX], until_ns, acknowledged, refused, latencies[BUCKETS];
static unsigned running, topics = 64;
static char *payload;
static size_t payload_len = 200;

static void append(struct writer *w)
{
    char name[16];
    static char names[TOPICS_MAX][16];
    const struct store_record record = {++next_seq[w->topic],
                                        clock_wall_ms(),
                                        S("key"),
                                        S("0193a2b1-8c55-7d5e-a1b2-0123456789ab"),
                                        {payload, payload_len}};

    snprintf(name, sizeof name, "t%u", w->topic);
    memcpy(names[w->topic], name, sizeof name);
    w->began_ns = clock_now_ns();
    struct store_topic t = store_topic((struct store_tenant){S("acme")}, str_of(names[w->topic]));
    must(store_append(store, &w->r, t, &record) == MIG_OK);
}

static void done(struct store_request *r)
{
    struct writer *w = container_of(r, struct writer, r);
    uint64_t now_ns = clock_now_ns(), bucket = (now_ns - w->began_ns) / 1000 / BUCKET_US;

    latencies[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
    acknowledged += r->status == MIG_OK;
    refused += r->status != MIG_OK;
    if (now_ns < until_ns)
        append(w);
    else if (--running == 0)
        loop_stop(loop);
}

static uint64_t percentile(double p)
{
    uint64_t wanted = (uint64_t)((double)(acknowledged + refused) * p), n = 0;

    for (uint64_t i = 0; i < BUCKETS; i++)
        if ((n += latencies[i]) > wanted)
            return (i + 1) * BUCKET_US;
    return BUCKETS * BUCKET_US;
}

static enum store_fsync policy_of(const char *name)
{
    return strcmp(name, "always") == 0  ? STORE_FSYNC_ALWAYS
           : strcmp(name, "never") == 0 ? STORE_FSYNC_NEVER
                                        : STORE_FSYNC_INTERVAL;
}

static struct store *open_store(const char *driver, const char *dir, const char *policy)
{
    struct store_settings settings = STORE_DEFAULTS;
    struct diag d;

    diag_init(&d);
    settings.dir = dir;
    settings.fsync = policy_of(policy);
    struct store *s = strcmp(driver, "memory") == 0 ? store_open_memory(&settings, &d)
                                                    : store_open_sqlite(&settings, &d);
    for (size_t i = 0; i < d.count; i++)
        fprintf(stderr, "%s: %s\n", d.list[i].file, d.list[i].text);
    diag_deinit(&d);
    return s;
}

static void start(struct loop *l, uint64_t count)
{
    (void)l;
    running = (unsigned)count;
    for (unsigned i = 0; i < count; i++) {
        writers[i] = (struct writer){.r = {.loop = loop, .done = done}, .topic = i % topics};
        append(&writers[i]);
    }
}

static unsigned number(int argc, char **argv, int at, unsigned otherwise, unsigned max)
{
    unsigned long n = argc > at ? strtoul(argv[at], NULL, 10) : otherwise;

    return n < 1 ? 1 : n > max ? max : (unsigned)n;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return fprintf(stderr,
                       "store_bench DRIVER DIR [FSYNC [WRITERS [SECONDS [BYTES [TOPICS]]]]]\n"),
               2;
    const char *policy = argc > 3 ? argv[3] : "interval";
    unsigned count = number(argc, argv, 4, 64, WRITERS_MAX),
             seconds = number(argc, argv, 5, 5, 3600);
    payload_len = number(argc, argv, 6, 200, 1 << 20);
    topics = number(argc, argv, 7, 64, TOPICS_MAX);
    payload = malloc(payload_len);
    store = open_store(argv[1], argv[2], policy);
    if (!store || !payload)
        return 1;
    memset(payload, 'x', payload_len);
    loop = loop_new(0);
    uint64_t began_ns = clock_now_ns();
    until_ns = began_ns + seconds * UINT64_C(1000000000);
    loop_post_fn(loop, start, count);
    loop_run(loop);

    double took = (double)(clock_now_ns() - began_ns) / 1e9;
    struct store_stats st;
    store_stats(store, &st);
    printf("driver=%s fsync=%s writers=%u topics=%u bytes=%zu acknowledged_per_s=%.0f refused=%llu "
           "records_per_commit=%.1f p50_us=%llu p99_us=%llu db_mib=%.1f wal_mib=%.1f\n",
           argv[1], policy, count, topics, payload_len, (double)acknowledged / took,
           (unsigned long long)refused, (double)st.records / (double)(st.commits ? st.commits : 1),
           (unsigned long long)percentile(0.5), (unsigned long long)percentile(0.99),
           (double)st.bytes / 1048576, (double)st.wal_bytes / 1048576);
    store_close(store);
    loop_free(loop);
    free(payload);
    return 0;
}
