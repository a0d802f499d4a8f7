/* A child writes and says what was acknowledged; it is killed with SIGKILL at any moment; all it said
 * must be there. The numbers go on where they stopped. Each record brings a value along that says its
 * number: it is the value of the last record, whatever was acknowledged. */
#include "test_store.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

enum { ROUNDS = 100, TOPICS = 4, WRITERS = 24, KINDS = 3 };

/* What the child tells through the pipe. */
struct said {
    uint32_t kind, which; /* 0: record of a topic, 1: value of a key, 2: sum of a counter */
    uint64_t number;
};

/* Of all rounds: what must be there at least, and may be there at most. */
struct known {
    uint64_t acknowledged[KINDS][TOPICS];
    uint64_t verified[TOPICS], trimmed[TOPICS];
};

static struct store_topic topic_of(uint32_t i)
{
    static const char *const names[TOPICS] = {"a", "b", "c", "d"};
    return topic(i % 2 ? ACME : OTHER, names[i]);
}

/* The bytes of a record follow from its number. */
static str payload(uint32_t which, uint64_t seq, char out[4096])
{
    size_t len = 10 + (seq * 37 + which) % 700 + (seq % 50 == 0 ? 3000 : 0);

    for (size_t i = 0; i < len; i++)
        out[i] = (char)('a' + (seq + i * 7 + which) % 26);
    return (str){out, len};
}

/* --- the child ------------------------------------------------------------------------------------ */

struct work {
    struct store_request r, with;
    uint32_t kind, which;
    char bytes[4096], number[24];
};

static int out_fd;
static uint64_t next[KINDS][TOPICS];
static struct work works[WRITERS];

static struct store_key beside(uint32_t which)
{
    static const char *const names[TOPICS] = {"beside-a", "beside-b", "beside-c", "beside-d"};
    return key(OTHER, names[which]);
}

static mig_status append_both(struct work *w, const struct store_record *record)
{
    int len = snprintf(w->number, sizeof w->number, "%llu", (unsigned long long)record->seq);

    must(store_prepare_put(world.s, &w->with, beside(w->which), (str){w->number, (size_t)len},
                           STORE_ANY, 0) == MIG_OK);
    return store_append_with(world.s, &w->r, topic_of(w->which), record, &w->with);
}

static void submit(struct work *w)
{
    uint64_t n = ++next[w->kind][w->which];
    struct store_record record = {n, 1000 + n, S("key"), S("id"), {0}};

    if (w->kind == 0) {
        record.bytes = payload(w->which, n, w->bytes);
        must(append_both(w, &record) == MIG_OK);
    } else if (w->kind == 1) {
        int len = snprintf(w->bytes, sizeof w->bytes, "%llu", (unsigned long long)n);
        must(store_put(world.s, &w->r, key(ACME, "abcd" + w->which), (str){w->bytes, (size_t)len},
                       STORE_ANY, 0) == MIG_OK);
    } else {
        must(store_add(world.s, &w->r, store_key(OTHER, STORE_USAGE, str_of("abcd" + w->which)), 1,
                       0) == MIG_OK);
    }
}

static void done(struct store_request *r)
{
    struct work *w = container_of(r, struct work, r);
    uint64_t n = w->kind == 2 ? r->number : next[w->kind][w->which];
    struct said said = {w->kind, w->which, w->kind == 0 ? r->last : n};

    if (r->status)
        _exit(40 + r->status);
    if (write(out_fd, &said, sizeof said) != sizeof said)
        _exit(30);
    submit(w);
}

static void see(void *arg, struct store_topic t, struct store_head head)
{
    (void)arg;
    for (uint32_t i = 0; i < TOPICS; i++)
        if (str_eq(topic_of(i).name, t.name) && str_eq(topic_of(i).tenant.id, t.tenant.id))
            next[0][i] = head.last;
}

/* One writer for each key, so that what was said last is what is there; the rest append. */
static void start(struct loop *l, uint64_t v)
{
    (void)v;
    for (uint32_t i = 0; i < WRITERS; i++) {
        works[i].kind = i < TOPICS ? 1 : i < 2 * TOPICS ? 2 : 0;
        works[i].which = i % TOPICS;
        works[i].r = (struct store_request){.loop = l, .done = done};
        submit(&works[i]);
    }
}

static _Noreturn void child(int fd, const struct known *known)
{
    struct diag d;

    out_fd = fd;
    memcpy(next[1], known->acknowledged[1], sizeof next[1]);
    diag_init(&d);
    if (!(world.s = world_try(&d)) || !store_each_topic(world.s, see, NULL, &d))
        _exit(20);
    struct loop *l = loop_new(0);
    loop_post_fn(l, start, 0);
    loop_run(l);
    _exit(21);
}

/* --- the parent ------------------------------------------------------------------------------------- */

static void hear(struct known *known, const struct said *said)
{
    uint64_t *most = &known->acknowledged[said->kind][said->which];

    *most = said->number > *most ? said->number : *most;
}

/* Reads what the child says until the pipe ends; kills it after the time. */
static int listen_and_kill(pid_t pid, int fd, struct known *known, unsigned after_us)
{
    uint64_t until_ns = clock_now_ns() + after_us * UINT64_C(1000);
    bool is_killed = false;
    struct said said[256];
    size_t have = 0;
    ssize_t n;
    int status;

    for (;;) {
        uint64_t now_ns = clock_now_ns();
        if (!is_killed && now_ns >= until_ns)
            is_killed = kill(pid, SIGKILL) == 0;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, is_killed ? 1000 : 1) == 0)
            continue;
        n = read(fd, (char *)said + have, sizeof said - have);
        if (n <= 0)
            break;
        have += (size_t)n;
        for (size_t i = 0; i < have / sizeof *said; i++)
            hear(known, &said[i]);
        memmove(said, (char *)said + have / sizeof *said * sizeof *said, have % sizeof *said);
        have %= sizeof *said;
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 0 : WEXITSTATUS(status);
}

static void verify_topic(struct known *known, uint32_t which, bool from_the_start)
{
    struct asked a;
    struct store_record rec;
    struct store_head h;
    char want[4096];

    if (head(topic_of(which), &h) == MIG_NOT_FOUND) {
        assert_int_equal(known->acknowledged[0][which], 0);
        return;
    }
    assert_true(h.last >= known->acknowledged[0][which]);
    assert_true(h.first >= known->trimmed[which] + 1);
    uint64_t seq = from_the_start ? h.first - 1 : known->verified[which];
    seq = seq < h.first - 1 ? h.first - 1 : seq;
    while (seq < h.last) {
        assert_int_equal(asked_wait(&a, store_read(world.s, &asked_init(&a)->r, topic_of(which),
                                                   seq, 500, 1 << 20)),
                         MIG_OK);
        while (store_next_record(&a.r, &rec)) {
            assert_int_equal(rec.seq, seq + 1);
            assert_int_equal(rec.at_ms, 1000 + rec.seq);
            str bytes = payload(which, rec.seq, want);
            assert_true(str_eq(rec.bytes, bytes));
            seq = rec.seq;
        }
        asked_deinit(&a);
    }
    known->verified[which] = h.last;
    known->acknowledged[0][which] = h.last; /* it is there now, so it stays */
}

static void verify_numbers(struct known *known, uint32_t which)
{
    char value[64];
    uint64_t sum;
    struct store_head h;
    uint64_t *put_last = &known->acknowledged[1][which], *added = &known->acknowledged[2][which];

    bool is_there = head(topic_of(which), &h) == MIG_OK;
    assert_int_equal(get(beside(which), value, NULL), is_there ? MIG_OK : MIG_NOT_FOUND);
    assert_int_equal(is_there ? strtoull(value, NULL, 10) : 0, h.last);
    if (*put_last) {
        assert_int_equal(get(key(ACME, "abcd" + which), value, NULL), MIG_OK);
        uint64_t there = strtoull(value, NULL, 10);
        assert_in_range(there, *put_last, *put_last + 1); /* one was on its way at most */
        *put_last = there;
    }
    assert_int_equal(add(store_key(OTHER, STORE_USAGE, str_of("abcd" + which)), 0, &sum), MIG_OK);
    assert_in_range(sum, *added, *added + 1);
    *added = sum;
}

static void verify(struct known *known, int round)
{
    uint64_t first;

    world_loop_up();
    world_open();
    for (uint32_t i = 0; i < TOPICS; i++) {
        verify_topic(known, i, round % 10 == 9);
        verify_numbers(known, i);
    }
    uint32_t victim = (uint32_t)round % TOPICS;
    if (round % 7 == 6 && known->verified[victim] > 100) {
        known->trimmed[victim] = known->verified[victim] - (uint64_t)(round % 3) * 40;
        assert_int_equal(trim(topic_of(victim), known->trimmed[victim], &first), MIG_OK);
        assert_int_equal(first, known->trimmed[victim] + 1);
    }
    world_close();
    world_loop_down(); /* a process with threads does not fork well */
}

static void all_that_was_acknowledged_survives_kill_9(void **state)
{
    static struct known known;
    unsigned seed = 7;
    int fds[2];

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        world.settings.fsync = (enum store_fsync)(round % 3);
        world.settings.wal_bytes = round % 2 ? 1 << 20 : 64 << 20;
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (!pid)
            child(fds[1], &known);
        close(fds[1]);
        int code = listen_and_kill(pid, fds[0], &known, 1000 + (unsigned)rand_r(&seed) % 80000);
        close(fds[0]);
        assert_int_equal(code, 0);
        verify(&known, round);
    }
    uint64_t records = 0;
    for (uint32_t i = 0; i < TOPICS; i++)
        records += known.verified[i];
    print_message("# %d rounds, %llu records, %llu sums\n", ROUNDS, (unsigned long long)records,
                  (unsigned long long)known.acknowledged[2][0]);
    assert_true(records > ROUNDS);
}

static int set_up(void **state)
{
    (void)state;
    world_init(SQLITE);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unit_rm(world.dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_that_was_acknowledged_survives_kill_9, set_up,
                                        tear_down),
    };
    return RUN(tests);
}
