#include "core/jwks_source.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE };

/* What the worker brings home. Owner: the worker while it runs, then the control thread. */
struct result {
    struct jwks *set; /* NULL: failed, or the same text as before */
    bool is_same;
    struct buf text;
    struct jwks_answer answer;
};

/* Owner: the control thread, except where a group says otherwise. */
struct jwks_source {
    char *url;
    struct jwks *fixed;    /* never NULL */
    struct jwks *document; /* the keys of the URL; NULL: none yet, or none any more */
    struct jwks_source_config config;
    struct timer timer;
    struct buf text; /* of the document in force; the worker compares */
    uint64_t next_ms, expires_ms, retry_ms;
    bool is_fetching;

    struct task job;  /* on a worker */
    struct task home; /* back to the control thread */
    struct pool_share share;
    struct result result;

    struct task want;       /* to the control thread */
    _Atomic bool is_wanted; /* `want` is on its way */
    _Atomic uint64_t quiet_until_ms;
    _Atomic bool is_closed;
    void (*done)(void *arg);
    void *arg;

    _Atomic uint64_t version; /* of `current`: views compare it without the lock */
    pthread_mutex_t lock;     /* leaf; the rest is under it */
    struct jwks *current;
    struct jwks_source_state state;
};

static uint64_t now_ms(const struct jwks_source *s)
{
    return s->config.now_ms ? s->config.now_ms() : clock_now_ns() / 1000000;
}

/* --- what loops see --------------------------------------------------------------------------- */

/* Takes the reference over. */
static void publish(struct jwks_source *s, struct jwks *set)
{
    pthread_mutex_lock(&s->lock);
    struct jwks *old = s->current;
    s->current = set;
    s->state.keys = jwks_count(set);
    atomic_store_explicit(&s->version, jwks_version(set), memory_order_release);
    pthread_mutex_unlock(&s->lock);
    jwks_unref(old);
}

const struct jwks *jwks_view_look(struct jwks_view *v, struct jwks_source *s)
{
    uint64_t version = atomic_load_explicit(&s->version, memory_order_acquire);

    if (v->set && jwks_version(v->set) == version)
        return v->set;
    pthread_mutex_lock(&s->lock);
    struct jwks *set = jwks_ref(s->current);
    pthread_mutex_unlock(&s->lock);
    jwks_unref(v->set);
    v->set = set;
    return set;
}

void jwks_view_close(struct jwks_view *v)
{
    v->set = jwks_unref(v->set);
}

void jwks_source_state(struct jwks_source *s, struct jwks_source_state *ret)
{
    pthread_mutex_lock(&s->lock);
    *ret = s->state;
    pthread_mutex_unlock(&s->lock);
}

/* --- on the worker ---------------------------------------------------------------------------- */

static void take_first_finding(char why[256], const struct diag *d)
{
    for (size_t i = 0; i < d->count; i++)
        if (d->list[i].level == DIAG_ERROR) {
            snprintf(why, 256, "%s", d->list[i].text);
            return;
        }
}

static void warn_of_findings(const struct jwks_source *s, const struct diag *d)
{
    for (size_t i = 0; i < d->count; i++)
        if (d->list[i].level == DIAG_WARNING)
            log_warn("jwks.finding", F_Z("url", s->url), F_Z("finding", d->list[i].text));
}

static struct jwks *parse(const struct jwks_source *s, str text, char why[256])
{
    struct diag_at at = {0};
    struct jwks *set = jwks_new();
    struct diag d;

    diag_init(&d);
    bool ok = jwks_add_json(set, text, JWKS_OF_URL, at, &d);
    warn_of_findings(s, &d);
    if (!ok)
        take_first_finding(why, &d);
    diag_deinit(&d);
    return ok ? set : jwks_unref(set);
}

/* Most answers are what we have: then the set stays, and with it what was verified. */
static void fetch(struct task *t)
{
    struct jwks_source *s = container_of(t, struct jwks_source, job);
    struct result *r = &s->result;

    r->answer = (struct jwks_answer){0};
    if (s->config.fetch(s->config.fetch_ctx, s->url, &s->is_closed, &r->text, &r->answer)) {
        r->is_same = s->document && str_eq(buf_str(&r->text), buf_str(&s->text));
        if (!r->is_same)
            r->set = parse(s, buf_str(&r->text), r->answer.why);
    }
    loop_post(s->config.control, &s->home);
}

/* --- on the control thread -------------------------------------------------------------------- */

static void on_timer(struct timer *t)
{
    jwks_source_look(container_of(t, struct jwks_source, timer));
}

static void start_fetch(struct jwks_source *s)
{
    s->is_fetching = true;
    timer_stop(&s->config.control->timers, &s->timer);
    buf_clear(&s->result.text);
    s->result.set = NULL;
    s->result.is_same = false;
    pthread_mutex_lock(&s->lock);
    s->state.fetches++;
    pthread_mutex_unlock(&s->lock);
    pool_run_admitted(s->config.pool, &s->share, &s->job); /* one at a time: always room */
}

static void sleep_until(struct jwks_source *s, uint64_t at_ms)
{
    uint64_t now = now_ms(s);

    s->next_ms = at_ms;
    loop_timer(s->config.control, &s->timer, at_ms > now ? at_ms - now : 0, on_timer);
}

static uint64_t life_of(const struct jwks_source *s, const struct jwks_answer *a)
{
    const struct jwks_times *t = &s->config.times;
    uint64_t life = t->default_ttl;

    if (a->has_max_age)
        life = a->max_age_s > t->max_ttl / SECOND ? t->max_ttl : a->max_age_s * SECOND;
    life = life < t->min_ttl ? t->min_ttl : life;
    return life > t->max_ttl ? t->max_ttl : life;
}

/* What is in force with these parts; document may be NULL. NULL: too many keys. */
static struct jwks *join(const struct jwks *document, const struct jwks *fixed)
{
    struct jwks *set = jwks_new();

    if ((!document || jwks_add_set(set, document)) && jwks_add_set(set, fixed))
        return set;
    return jwks_unref(set);
}

/* false: together with the keys of files there are too many. */
static bool take_document(struct jwks_source *s, uint64_t life)
{
    struct result *r = &s->result;
    struct jwks *set = join(r->set, s->fixed);

    if (!set) {
        r->set = jwks_unref(r->set);
        snprintf(r->answer.why, sizeof r->answer.why,
                 "with the keys of files there are more than %d", JWKS_KEYS_MAX);
        return false;
    }
    struct buf old = s->text;
    s->text = r->text;
    r->text = old;
    jwks_unref(s->document);
    s->document = TAKE(r->set);
    log_info("jwks.keys", F_Z("url", s->url), F_U64("keys", jwks_count(set)),
             F_U64("life_s", life / SECOND));
    publish(s, set);
    return true;
}

static void on_failure(struct jwks_source *s, uint64_t now);

static void on_success(struct jwks_source *s, uint64_t now)
{
    uint64_t life = life_of(s, &s->result.answer);

    if (s->result.set && !take_document(s, life)) {
        on_failure(s, now);
        return;
    }
    s->expires_ms = now + life;
    s->retry_ms = 0;
    pthread_mutex_lock(&s->lock);
    s->state.loaded_ms = clock_wall_ms();
    s->state.is_stale = false;
    s->state.why[0] = 0;
    pthread_mutex_unlock(&s->lock);
    sleep_until(s, now + life / 4 * 3);
}

/* Too old to be trusted: a key that was withdrawn for a reason would be good for ever. */
static void forget(struct jwks_source *s)
{
    log_error("jwks.forgotten", F_Z("url", s->url),
              F_STR("hint", S("no good answer for a day: tokens of these keys are refused now")));
    s->document = jwks_unref(s->document);
    buf_clear(&s->text);
    publish(s, jwks_ref(s->fixed));
}

static void on_failure(struct jwks_source *s, uint64_t now)
{
    const struct jwks_times *t = &s->config.times;
    bool is_stale = s->document && now >= s->expires_ms;

    s->retry_ms = !s->retry_ms ? t->first_retry : s->retry_ms * 2;
    s->retry_ms = s->retry_ms > t->last_retry ? t->last_retry : s->retry_ms;
    log_warn("jwks.fetch", F_Z("url", s->url), F_Z("why", s->result.answer.why),
             F_U64("retry_ms", s->retry_ms),
             F_Z("keys", !s->document ? "none"
                         : is_stale   ? "stale"
                                      : "good"));
    if (is_stale && now - s->expires_ms >= t->stale)
        forget(s);
    pthread_mutex_lock(&s->lock);
    s->state.failures++;
    s->state.is_stale = is_stale;
    memcpy(s->state.why, s->result.answer.why, sizeof s->state.why);
    pthread_mutex_unlock(&s->lock);
    sleep_until(s, now + s->retry_ms);
}

static void free_when_idle(struct jwks_source *s)
{
    if (s->is_fetching || atomic_load(&s->is_wanted))
        return; /* a message is on its way here */
    void (*done)(void *) = s->done;
    void *arg = s->arg;

    pool_share_close(s->config.pool, &s->share); /* it has posted its last, so this is soon */
    jwks_unref(s->current);
    jwks_unref(s->document);
    jwks_unref(s->fixed);
    buf_deinit(&s->text);
    buf_deinit(&s->result.text);
    pthread_mutex_destroy(&s->lock);
    free(s->url);
    free(s);
    if (done)
        done(arg);
}

static void come_home(struct task *t)
{
    struct jwks_source *s = container_of(t, struct jwks_source, home);

    s->is_fetching = false;
    if (atomic_load(&s->is_closed)) {
        s->result.set = jwks_unref(s->result.set);
        free_when_idle(s);
    } else if (s->result.set || s->result.is_same) {
        on_success(s, now_ms(s));
    } else {
        on_failure(s, now_ms(s));
    }
}

void jwks_source_look(struct jwks_source *s)
{
    if (!s->url || s->is_fetching)
        return;
    if (now_ms(s) >= s->next_ms)
        start_fetch(s);
    else
        sleep_until(s, s->next_ms); /* the timer's clock is a little ahead of ours */
}

bool jwks_source_set_fixed(struct jwks_source *s, const struct jwks *fixed)
{
    if (jwks_is_same(s->fixed, fixed))
        return true;
    struct jwks *set = join(s->document, fixed);
    if (!set)
        return false;
    jwks_unref(s->fixed);
    s->fixed = jwks_ref(fixed);
    publish(s, set);
    return true;
}

/* --- unknown keys ----------------------------------------------------------------------------- */

void jwks_source_want(struct jwks_source *s)
{
    if (!s->url || now_ms(s) < atomic_load_explicit(&s->quiet_until_ms, memory_order_relaxed))
        return;
    if (!atomic_exchange(&s->is_wanted, true))
        loop_post(s->config.control, &s->want);
}

static void on_want(struct task *t)
{
    struct jwks_source *s = container_of(t, struct jwks_source, want);
    uint64_t now = now_ms(s);

    atomic_store(&s->is_wanted, false);
    if (atomic_load(&s->is_closed)) {
        free_when_idle(s);
        return;
    }
    if (s->is_fetching || now < atomic_load(&s->quiet_until_ms))
        return;
    atomic_store(&s->quiet_until_ms, now + s->config.times.forced_gap);
    pthread_mutex_lock(&s->lock);
    s->state.forced++;
    pthread_mutex_unlock(&s->lock);
    start_fetch(s);
}

/* --- life ------------------------------------------------------------------------------------- */

static void set_default(uint64_t *value, uint64_t otherwise)
{
    *value = *value ? *value : otherwise;
}

static void set_defaults(struct jwks_times *t)
{
    set_default(&t->default_ttl, 5 * MINUTE);
    set_default(&t->min_ttl, MINUTE);
    set_default(&t->max_ttl, 24 * HOUR);
    set_default(&t->first_retry, SECOND);
    set_default(&t->last_retry, MINUTE);
    set_default(&t->stale, 24 * HOUR);
    set_default(&t->forced_gap, 30 * SECOND);
}

struct jwks_source *jwks_source_new(const struct jwks_source_config *config)
{
    struct jwks_source *s = calloc(1, sizeof *s);

    must(s && pthread_mutex_init(&s->lock, NULL) == 0);
    s->config = *config;
    s->fixed = config->fixed ? jwks_ref(config->fixed) : jwks_new();
    s->share = (struct pool_share){.run_limit = 1, .queue_limit = 1};
    s->job.run = fetch;
    s->home.run = come_home;
    s->want.run = on_want;
    set_defaults(&s->config.times);
    buf_init(&s->text, JWKS_TEXT_MAX);
    buf_init(&s->result.text, JWKS_TEXT_MAX);
    publish(s, jwks_ref(s->fixed));
    if (config->url) {
        must(s->url = str_dup(str_of(config->url)));
        start_fetch(s);
    }
    return s;
}

void jwks_source_free(struct jwks_source *s, void (*done)(void *arg), void *arg)
{
    s->done = done;
    s->arg = arg;
    atomic_store(&s->is_closed, true);
    timer_stop(&s->config.control->timers, &s->timer);
    free_when_idle(s);
}
