#include "core/events.h"
#include "base/check.h"
#include "core/core.h"
#include "core/events_own.h"
#include "core/tenants.h"

#include <stdlib.h>

enum {
    TAIL = 256,           /* events of a topic kept in memory                   */
    TAIL_BYTES = 1 << 20, /* and their bytes                                    */
    TOPICS_MAX = 100000,
    BUDGET = 128, /* readers woken in a row, before sockets get their turn */
};

/* The readers of one loop. Owner: the loop, but for is_woken and count. */
struct branch {
    struct task task;
    struct list readers, due;
    _Atomic bool is_woken, is_posted;
    _Atomic size_t count;
};

struct topic {
    struct stripe_item item;
    struct core *core;
    struct tenant *owner; /* counts it */
    str tenant, name;
    _Atomic unsigned refs; /* grows under the stripe's lock only */
    /* under the stripe's lock */
    bool is_idle;         /* nobody has asked for it since the last sweep         */
    uint64_t next;        /* the sequence to give next                             */
    uint64_t first, last; /* retained, and in the store                            */
    uint64_t pending;     /* appends without an answer                             */
    bool has_failed;      /* one of them failed: nothing new until all are answered */
    bool is_trimming;
    struct event **tail; /* by sequence; those above last are not to be seen yet  */
    uint64_t tail_first; /* the oldest that is in it                              */
    size_t tail_bytes;
    uint64_t bytes;          /* in the store, about                                   */
    struct branch *branches; /* per loop; made with the first reader                  */
    _Atomic bool has_branches;
    uint64_t published, number; /* under the lock, for metrics */
    _Atomic uint64_t delivered, replayed;
    char text[];
};

struct key {
    str tenant, name;
};

static bool equal(const struct stripe_item *item, const void *k)
{
    const struct topic *t = container_of(item, struct topic, item);
    const struct key *key = k;

    return str_eq(t->name, key->name) && str_eq(t->tenant, key->tenant);
}

static uint64_t hash_of(str tenant, str name)
{
    return str_hash(tenant) * 31 + str_hash(name);
}

static struct stripe *lock(struct topic *t)
{
    return stripe_lock(&t->core->events->map, t->item.hash);
}

/* --- topics ------------------------------------------------------------------------------------- */

static struct topic *topic_new(struct core *core, str tenant, str name)
{
    struct topic *t = calloc(1, sizeof *t + tenant.len + name.len);

    if (!t)
        return NULL;
    t->core = core;
    t->tenant = (str){memcpy(t->text, tenant.ptr, tenant.len), tenant.len};
    t->name = (str){memcpy(t->text + tenant.len, name.ptr, name.len), name.len};
    t->next = t->first = t->tail_first = 1;
    t->number = TOPIC_UNUSED;
    return t;
}

static void topic_free(struct topic *t)
{
    if (!t)
        return;
    atomic_fetch_sub(&t->core->events->count, 1);
    atomic_fetch_sub(&t->owner->topics, 1);
    free(t->branches);
    free(t);
}

/* Counted before it is made, so that two loops do not make one too many. *ret is written when there are
 * too many. */
static struct topic *make_topic(struct core *core, str tenant, str name, enum topic_fault *ret)
{
    struct events *e = core->events;
    struct tenant *owner = tenant_of(core->tenants, tenant);
    uint64_t max = atomic_load(&e->max_topics);
    uint64_t mine = atomic_fetch_add(&owner->topics, 1), all = atomic_fetch_add(&e->count, 1);
    bool is_tenant_full = max && mine >= max, is_node_full = all >= TOPICS_MAX;
    struct topic *t = is_tenant_full || is_node_full ? NULL : topic_new(core, tenant, name);

    if (t) {
        t->owner = owner;
        return t;
    }
    atomic_fetch_sub(&owner->topics, 1);
    atomic_fetch_sub(&e->count, 1);
    if (is_tenant_full || is_node_full)
        *ret = is_tenant_full ? TOPIC_TENANT_FULL : TOPIC_NODE_FULL;
    return NULL;
}

static struct topic *find(struct events *e, struct stripe *s, uint64_t hash, str tenant, str name)
{
    const struct key key = {tenant, name};
    struct stripe_item *item = stripe_find(&e->map, s, hash, &key);

    return item ? container_of(item, struct topic, item) : NULL;
}

/* Finds it, or adds fresh (may be NULL) in its place. */
static struct topic *find_or_add(struct events *e, str tenant, str name, struct topic *fresh)
{
    uint64_t hash = hash_of(tenant, name);
    struct stripe *s = stripe_lock(&e->map, hash);
    struct topic *t = find(e, s, hash, tenant, name);

    if (!t && fresh && stripe_add(s, &fresh->item, hash))
        t = fresh;
    if (t) {
        atomic_fetch_add(&t->refs, 1);
        t->is_idle = false;
    }
    stripe_unlock(s);
    return t;
}

struct topic *topic_take(struct core *core, str tenant, str name, enum topic_fault *ret)
{
    struct topic *t = find_or_add(core->events, tenant, name, NULL);
    enum topic_fault why = TOPIC_NO_MEMORY;

    if (t)
        return t;
    struct topic *fresh = make_topic(core, tenant, name, &why);
    t = find_or_add(core->events, tenant, name, fresh); /* another loop may have made it by now */
    if (t != fresh)
        topic_free(fresh);
    if (!t)
        *ret = why;
    return t;
}

void topic_drop(struct topic *t)
{
    must(atomic_fetch_sub(&t->refs, 1) > 0);
}

uint64_t topic_last(struct core *core, str tenant, str name)
{
    uint64_t hash = hash_of(tenant, name);
    struct stripe *s = stripe_lock(&core->events->map, hash);
    const struct topic *t = find(core->events, s, hash, tenant, name);
    uint64_t last = t ? t->last : 0;

    stripe_unlock(s);
    return last;
}

/* Nobody has ever seen a number of it, so that it may begin again at 1. */
bool topic_forget(struct topic *t, struct stripe *s)
{
    bool is_used = t->last || t->next > 1 || t->pending || atomic_load(&t->refs);

    if (is_used || !t->is_idle) {
        t->is_idle = !is_used;
        return false;
    }
    stripe_remove(s, &t->item);
    topic_free(t);
    return true;
}

str topic_name(const struct topic *t)
{
    return t->name;
}

str topic_tenant(const struct topic *t)
{
    return t->tenant;
}

struct topic_range topic_range(struct topic *t)
{
    struct stripe *s = lock(t);
    const struct topic_range r = {t->first, t->last};

    stripe_unlock(s);
    return r;
}

/* --- the tail, under the lock ------------------------------------------------------------------- */

static struct event **slot_of(struct topic *t, uint64_t seq)
{
    return &t->tail[seq % TAIL];
}

static void tail_drop(struct topic *t, uint64_t seq)
{
    struct event **slot = slot_of(t, seq), *e = *slot;

    if (!e || e->seq != seq)
        return;
    *slot = NULL;
    t->tail_bytes -= e->stored.len;
    atomic_fetch_sub(&t->core->events->kept_events, 1);
    atomic_fetch_sub(&t->core->events->kept_bytes, e->stored.len);
    event_unref(e);
}

static void tail_add(struct topic *t, struct event *e)
{
    if (!t->tail && !(t->tail = calloc(TAIL, sizeof(struct event *))))
        return; /* then readers go to the store */
    *slot_of(t, e->seq) = event_ref(e);
    t->tail_bytes += e->stored.len;
    atomic_fetch_add(&t->core->events->kept_events, 1);
    atomic_fetch_add(&t->core->events->kept_bytes, e->stored.len);
}

/* Room for the next one. */
static void tail_make_room(struct topic *t, uint64_t seq)
{
    while (t->tail && t->tail_first < seq &&
           (seq - t->tail_first >= TAIL || t->tail_bytes > TAIL_BYTES))
        tail_drop(t, t->tail_first++);
}

static void tail_forget(struct topic *t)
{
    for (; t->tail && t->tail_first < t->next; t->tail_first++)
        tail_drop(t, t->tail_first);
    free(t->tail);
    t->tail = NULL;
}

struct event *topic_next(struct topic *t, uint64_t after, struct topic_range *ret)
{
    struct stripe *s = lock(t);
    struct event *e = t->tail && after < t->last ? *slot_of(t, after + 1) : NULL;

    e = e && e->seq == after + 1 ? event_ref(e) : NULL;
    *ret = (struct topic_range){t->first, t->last};
    stripe_unlock(s);
    return e;
}

/* --- readers ------------------------------------------------------------------------------------ */

/* On the loop of the branch. */
static void run_branch(struct task *task)
{
    struct branch *b = container_of(task, struct branch, task);

    atomic_store(&b->is_posted, false);
    if (atomic_exchange(&b->is_woken, false))
        while (!list_is_empty(&b->readers)) {
            struct list *l = b->readers.next;
            list_remove(l);
            list_push(&b->due, l);
        }
    for (int n = 0; n < BUDGET && !list_is_empty(&b->due); n++) {
        struct list *l = b->due.next;
        list_remove(l);
        list_push(&b->readers, l);
        struct topic_reader *r = container_of(l, struct topic_reader, link);
        r->wake(r);
    }
    if (!list_is_empty(&b->due) && !atomic_exchange(&b->is_posted, true))
        loop_post(loop_current(), &b->task);
}

static void wake_readers(struct topic *t)
{
    struct core *core = t->core;

    if (!atomic_load(&t->has_branches))
        return;
    for (size_t i = 0; i < core->loop_count; i++) {
        struct branch *b = &t->branches[i];
        if (!atomic_load(&b->count))
            continue;
        atomic_store(&b->is_woken, true);
        if (!atomic_exchange(&b->is_posted, true))
            loop_post(core->loops[i], &b->task);
    }
}

static bool make_branches(struct topic *t)
{
    size_t n = t->core->loop_count;

    if (atomic_load(&t->has_branches))
        return true;
    struct branch *made = calloc(n, sizeof *made);
    if (!made)
        return false;
    for (size_t i = 0; i < n; i++) {
        made[i].task.run = run_branch;
        list_init(&made[i].readers);
        list_init(&made[i].due);
    }
    struct stripe *s = lock(t);
    bool is_first = !t->branches;
    if (is_first)
        t->branches = made;
    atomic_store(&t->has_branches, true);
    stripe_unlock(s);
    if (!is_first)
        free(made);
    return true;
}

bool topic_listen(struct topic *t, struct topic_reader *r)
{
    if (!make_branches(t))
        return false;
    struct branch *b = &t->branches[loop_current()->index];
    list_push(&b->readers, &r->link);
    atomic_fetch_add(&b->count, 1);
    atomic_fetch_add(&t->core->events->readers, 1);
    return true;
}

void topic_leave(struct topic *t, struct topic_reader *r)
{
    list_remove(&r->link);
    atomic_fetch_sub(&t->branches[loop_current()->index].count, 1);
    atomic_fetch_sub(&t->core->events->readers, 1);
}

/* --- publishing --------------------------------------------------------------------------------- */

/* Under the lock: the numbers of the appends that failed are given again, since nobody has seen them. */
static void take_back(struct topic *t)
{
    for (uint64_t seq = t->last + 1; t->tail && seq < t->next; seq++)
        tail_drop(t, seq);
    t->next = t->last + 1;
    t->tail_first = t->tail_first < t->next ? t->tail_first : t->next;
    t->has_failed = false;
}

/* Metrics name the first topics that have events: a number never changes. Under the lock. */
static void note_use(struct topic *t)
{
    if (t->number == TOPIC_UNUSED)
        t->number = atomic_fetch_add(&t->core->events->numbers, 1);
}

static void written(struct store_request *r)
{
    struct publication *p = container_of(r, struct publication, request);
    struct topic *t = p->topic;
    struct stripe *s = lock(t);

    t->pending--;
    if (r->status != MIG_OK) {
        t->has_failed = true;
    } else {
        t->bytes += p->event->stored.len;
        t->published++;
        note_use(t);
        t->first = r->first > t->first ? r->first : t->first; /* answers may overtake each other */
        t->last = p->event->seq > t->last ? p->event->seq : t->last;
    }
    if (t->has_failed && !t->pending)
        take_back(t);
    stripe_unlock(s);
    if (r->status == MIG_OK) {
        atomic_fetch_add(&t->core->events->published, 1);
        wake_readers(t);
        events_retain(t->core, t);
    }
    p->done(p, r->status);
}

/* Under the lock. */
static mig_status append(struct publication *p)
{
    struct topic *t = p->topic;
    struct event *e = p->event;
    struct store_request *with = NULL;

    if (t->has_failed)
        return MIG_UNAVAILABLE;
    e->seq = t->next;
    mig_status status = p->numbered ? p->numbered(p, &with) : MIG_OK;
    if (status != MIG_OK)
        return status;
    const struct store_record record = {e->seq, e->at_ms, e->key, e->event_id, e->stored};
    p->request.done = written;
    return store_append_with(t->core->store, &p->request,
                             store_topic((struct store_tenant){t->tenant}, t->name), &record, with);
}

mig_status topic_publish(struct publication *p)
{
    struct topic *t = p->topic;
    struct event *e = p->event;
    struct stripe *s = lock(t);
    mig_status status = append(p);

    if (status == MIG_OK) {
        t->next++;
        t->pending++;
        tail_make_room(t, e->seq);
        tail_add(t, e);
    }
    stripe_unlock(s);
    return status;
}

/* --- for metrics -------------------------------------------------------------------------------- */

void topic_delivered(struct topic *t, bool is_replay)
{
    atomic_fetch_add_explicit(&t->delivered, 1, memory_order_relaxed);
    if (is_replay)
        atomic_fetch_add_explicit(&t->replayed, 1, memory_order_relaxed);
}

void topic_counts(struct topic *t, struct topic_counts *ret)
{
    *ret = (struct topic_counts){t->published, atomic_load(&t->delivered),
                                 atomic_load(&t->replayed), t->pending, t->number};
}

/* --- for retention ------------------------------------------------------------------------------ */

struct topic_size topic_begin_trim(struct topic *t)
{
    struct stripe *s = lock(t);
    struct topic_size size = {t->first, t->last, t->bytes, !t->is_trimming};

    t->is_trimming = true;
    stripe_unlock(s);
    return size;
}

void topic_end_trim(struct topic *t, uint64_t first, uint64_t bytes)
{
    struct stripe *s = lock(t);

    t->is_trimming = false;
    if (first) {
        t->first = first > t->first ? first : t->first;
        t->bytes = bytes;
    }
    stripe_unlock(s);
}

/* --- start and end ------------------------------------------------------------------------------ */

static void load_topic(void *arg, struct store_topic name, struct store_head head)
{
    struct core *core = arg;
    enum topic_fault why;
    struct topic *t = topic_take(core, name.tenant.id, name.name, &why);

    if (!t)
        return;
    topic_drop(t);
    note_use(t);
    t->first = head.first;
    t->last = head.last;
    t->next = t->tail_first = head.last + 1;
    t->bytes = head.bytes;
}

bool events_open(struct core *core, struct diag *d)
{
    struct events *e = stripe_alloc(sizeof *e);

    stripe_init(&e->map, equal);
    e->core = core;
    core->events = e;
    return store_each_topic(core->store, load_topic, core, d);
}

struct visitor {
    void (*visit)(void *arg, struct topic *t, struct stripe *s);
    void *arg;
};

static void show(void *arg, struct stripe *s, struct stripe_item *item)
{
    const struct visitor *v = arg;
    v->visit(v->arg, container_of(item, struct topic, item), s);
}

void events_each(struct core *core, void (*visit)(void *arg, struct topic *t, struct stripe *s),
                 void *arg)
{
    struct visitor v = {visit, arg};

    stripe_each(&core->events->map, show, &v);
}

static void close_topic(void *arg, struct topic *t, struct stripe *s)
{
    (void)arg;
    (void)s;
    tail_forget(t);
    topic_free(t);
}

void events_close(struct core *core)
{
    if (!core->events)
        return;
    events_each(core, close_topic, NULL);
    stripe_deinit(&core->events->map);
    free(core->events);
    core->events = NULL;
}

/* What nobody reads is not kept in memory for long. Under the lock. */
void topic_forget_tail(struct topic *t)
{
    bool has_readers = false;

    for (size_t i = 0; atomic_load(&t->has_branches) && i < t->core->loop_count; i++)
        has_readers |= atomic_load(&t->branches[i].count) > 0;
    if (!has_readers && !t->pending)
        tail_forget(t);
}

void events_stats(const struct core *core, struct events_stats *ret)
{
    struct events *e = core->events;

    *ret = (struct events_stats){atomic_load(&e->count), atomic_load(&e->readers),
                                 atomic_load(&e->published), atomic_load(&e->kept_events),
                                 atomic_load(&e->kept_bytes)};
}
