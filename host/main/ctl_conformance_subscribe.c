/* SUBSCRIBE over SSE (sections 5.5, 7, 11.3). */
#include "ctl_conformance.h"

enum { WAIT_MS = 2000, QUIET_MS = 250 };

static const char publish_it[] = "POST publish/${E}";

static bool subscribe(struct tape *t, struct probe *p, const char *query, const char *heads)
{
    char request[256];

    snprintf(request, sizeof request, "GET subscribe/${E}%s", query);
    return tape_open(t, p, request, heads, NULL);
}

/* The next item that is an event has to be this one. *at goes on behind it. */
static bool is_event(struct tape *t, size_t *at, int n)
{
    char want[96];

    for (;; ++*at) {
        if (!tape_wait(t, *at + 1, WAIT_MS))
            return fail_check(t->probe, "another event", "none within %d ms (%zu came before)",
                              WAIT_MS, *at);
        if (str_eq(t->list[*at].event, S("mig-event")))
            break;
    }
    snprintf(want, sizeof want, "/sequence = %d", n);
    return tape_wants(t, (*at)++, want);
}

static bool are_events(struct tape *t, size_t *at, int first, int last)
{
    for (int n = first; n <= last; n++)
        if (!is_event(t, at, n))
            return false;
    return true;
}

/* No event may come for a while. */
static bool is_quiet(struct tape *t, size_t at)
{
    tape_wait(t, at + 1, QUIET_MS);
    return t->count <= at || fail_check(t->probe, "no event", "%.300s", t->list[at].data.ptr);
}

static void head_comes_at_once(struct probe *p)
{
    CLEANUP(buf_deinit) struct buf expected = {0};
    CLEANUP(buf_deinit) struct buf came = {0};
    TAPE t = {0};

    buf_init(&expected, 4096);
    buf_init(&came, 4096);
    if (!subscribe(&t, p, "", NULL))
        return;
    if (!want_check(&(struct answer){t.job->status, buf_str(&t.job->head), {0}},
                    S("head Content-Type ~ text/event-stream; head Cache-Control ~ no-cache; "
                      "head X-Accel-Buffering = no; head MIG-Message-ID"),
                    &expected, &came)) {
        buf_addc(&expected, 0);
        fail_check(p, expected.ptr, "%.*s", STR_ARG(buf_str(&came)));
    }
}

static void says_keep_alive(struct probe *p)
{
    TAPE t = {0};

    if (subscribe(&t, p, "", NULL) &&
        !str_eq_nocase(head_find(buf_str(&t.job->head), "Connection"), S("keep-alive")))
        fail_check(p, "Connection: keep-alive", "%.*s",
                   STR_ARG(head_find(buf_str(&t.job->head), "Connection")));
}

static void says_retry(struct probe *p)
{
    TAPE t = {0};

    if (!subscribe(&t, p, "", NULL))
        return;
    tape_wait(&t, 1, QUIET_MS);
    if (t.sse.retry_ms != 3000)
        fail_check(p, "retry: 3000", "%llu", (unsigned long long)t.sse.retry_ms);
}

static void record_is_as_written(struct probe *p)
{
    TAPE t = {0};

    if (!publish_events(p, 1, 1) || !subscribe(&t, p, "?resume_cursor=0", NULL))
        return;
    if (!tape_wait(&t, 1, WAIT_MS))
        fail_check(p, "an event", "none");
    else if (!str_eq(t.list[0].event, S("mig-event")))
        fail_check(p, "event: mig-event", "event: %s", t.list[0].event.ptr);
    else if (!t.list[0].has_id || !str_eq(t.list[0].id, S("1")))
        fail_check(p, "id: 1 (the sequence)", "%s", t.list[0].has_id ? t.list[0].id.ptr : "no id");
    else if (memchr(t.list[0].data.ptr, '\n', t.list[0].data.len))
        fail_check(p, "data on one line", "%.200s", t.list[0].data.ptr);
}

static void message_is_whole(struct probe *p)
{
    TAPE t = {0};

    if (ask(p, publish_it, NULL,
            "{'header':{'tenant_id':'${T}','message_id':'${N}','session_id':'s1'},'key':'k1',"
            "'payload':{'n':[1,'two']}}",
            "200") &&
        subscribe(&t, p, "?resume_cursor=0", NULL) && tape_find(&t, 0, NULL, NULL, WAIT_MS) == 0)
        tape_wants(&t, 0,
                   "/topic = '${E}'; /event_id : uuid; /sequence = 1; /payload = {'n':[1,'two']}; "
                   "/published_at : time; /replay = true; /header/message_id = '${N}'; "
                   "/header/session_id = 's1'; /header/tenant_id = '${T}'");
}

static void meta_has_cursor_and_key(struct probe *p)
{
    TAPE t = {0};

    if (ask(p, publish_it, NULL, "{${I},'key':'k1','payload':{}}", "200") &&
        subscribe(&t, p, "?resume_cursor=0", NULL) && tape_find(&t, 0, NULL, NULL, WAIT_MS) == 0)
        tape_wants(&t, 0, "/header/meta/mig.cursor = '1'; /header/meta/mig.event_key = 'k1'");
}

static void replay_flag_tells_old_from_new(struct probe *p)
{
    TAPE t = {0};
    size_t at = 0;

    if (publish_events(p, 1, 2) && subscribe(&t, p, "?resume_cursor=0", NULL) &&
        are_events(&t, &at, 1, 2) && tape_wants(&t, 0, "/replay = true") &&
        tape_wants(&t, 1, "/replay = true") && publish_events(p, 3, 1) && is_event(&t, &at, 3))
        tape_wants(&t, at - 1, "/replay = false");
}

static void order_has_no_gap(struct probe *p)
{
    TAPE t = {0};
    size_t at = 0;

    if (publish_events(p, 1, 10) && subscribe(&t, p, "?resume_cursor=0", NULL) &&
        publish_events(p, 11, 10))
        are_events(&t, &at, 1, 20);
}

static void live_in_time(struct probe *p)
{
    TAPE t = {0};
    size_t at = 0;
    int64_t since;

    if (!subscribe(&t, p, "?resume_cursor=latest", NULL))
        return;
    since = clock_ms();
    if (publish_events(p, 1, 1) && is_event(&t, &at, 1) && t.list[0].at_ms - since > 500)
        fail_check(p, "the event within half a second", "%lld ms",
                   (long long)(t.list[0].at_ms - since));
}

/* Of five events, those behind the cursor; then a new one. */
static void from_cursor(struct probe *p, const char *query, const char *heads, int first)
{
    TAPE t = {0};
    size_t at = 0;

    if (publish_events(p, 1, 5) && subscribe(&t, p, query, heads) &&
        are_events(&t, &at, first, 5) && is_quiet(&t, at) && publish_events(p, 6, 1))
        is_event(&t, &at, 6);
}

static void cursor_0(struct probe *p)
{
    from_cursor(p, "?resume_cursor=0", NULL, 1);
}

static void cursor_3(struct probe *p)
{
    from_cursor(p, "?resume_cursor=3", NULL, 4);
}

static void cursor_beyond(struct probe *p)
{
    from_cursor(p, "?resume_cursor=900", NULL, 6);
}

static void cursor_latest(struct probe *p)
{
    from_cursor(p, "?resume_cursor=latest", NULL, 6);
}

static void last_event_id(struct probe *p)
{
    from_cursor(p, "", "Last-Event-ID: 3", 4);
}

static void query_before_last_event_id(struct probe *p)
{
    from_cursor(p, "?resume_cursor=4", "Last-Event-ID: 2", 5);
}

static void no_cursor(struct probe *p)
{
    TAPE t = {0};
    size_t at = 0;

    if (!publish_events(p, 1, 3) || !subscribe(&t, p, "", NULL))
        return;
    if (!tape_wait(&t, 1, 600))
        skip_check(p, "nothing was replayed: MIGD_SUBSCRIBE_DEFAULT_CURSOR may be latest");
    else
        are_events(&t, &at, 1, 3);
}

static void slow_start_loses_nothing(struct probe *p)
{
    TAPE t = {0};
    size_t at = 0;

    if (publish_events(p, 1, 30) && subscribe(&t, p, "?resume_cursor=0&max_inflight=1", NULL))
        are_events(&t, &at, 1, 30);
}

static void two_readers(struct probe *p)
{
    TAPE a = {0}, b = {0};
    size_t i = 0, k = 0;

    if (subscribe(&a, p, "?resume_cursor=0", NULL) && subscribe(&b, p, "?resume_cursor=0", NULL) &&
        publish_events(p, 1, 3) && are_events(&a, &i, 1, 3))
        are_events(&b, &k, 1, 3);
}

static void tenants_do_not_see_each_other(struct probe *p)
{
    TAPE t = {0};

    if (publish_events(p, 1, 1) && subscribe(&t, p, "?resume_cursor=0", "${SECOND}") &&
        publish_events(p, 2, 1))
        is_quiet(&t, 0);
}

static void tenant_of_the_query(struct probe *p)
{
    TAPE t = {0};
    size_t at = 0;

    if (publish_events(p, 1, 1) &&
        subscribe(&t, p, "?resume_cursor=0&tenant_id=${T}", "-X-Tenant-ID"))
        is_event(&t, &at, 1);
}

/* ---- consumers (7.3) */

static void consumer_goes_on(struct probe *p)
{
    TAPE t = {0}, again = {0};
    size_t at = 0, from = 0;

    if (!publish_events(p, 1, 3) || !subscribe(&t, p, "?consumer_id=${N}&resume_cursor=0", NULL) ||
        !are_events(&t, &at, 1, 3))
        return;
    pause_ms(p, 150);
    tape_close(&t);
    pause_ms(p, 150);
    if (!publish_events(p, 4, 2) || !subscribe(&again, p, "?consumer_id=${N}", NULL) ||
        tape_find(&again, 0, NULL, NULL, WAIT_MS) == SIZE_MAX)
        return;
    if (json_equal(mig_json_member(again.list[0].data, "sequence"), S("3")))
        from = 1; // at least once: the last one may come again
    are_events(&again, &from, 4, 5);
}

static void consumer_is_superseded(struct probe *p)
{
    TAPE first = {0}, second = {0};
    size_t at = 0;
    bool is_told = false;

    if (!subscribe(&first, p, "?consumer_id=${N}&resume_cursor=0", NULL))
        return;
    pause_ms(p, 100);
    if (!subscribe(&second, p, "?consumer_id=${N}&resume_cursor=0", NULL))
        return;
    if (!tape_wait_end(&first, 1500)) {
        fail_check(p, "the end of the first connection", "it is open");
        return;
    }
    for (size_t i = 0; i < first.count; i++)
        is_told |= str_contains_nocase(first.list[i].data, S("consumer_superseded"));
    if (!is_told)
        fail_check(p, "consumer_superseded as the reason", "%.300s",
                   first.count ? first.list[first.count - 1].data.ptr : "nothing");
    else if (publish_events(p, 1, 1))
        is_event(&second, &at, 1);
}

#define JSON_ERROR "; head Content-Type ~ application/json"
#define BAD_CURSOR                                                                                 \
    "MIG_INVALID_REQUEST; says resume_cursor must be a non-negative integer" JSON_ERROR

static const struct check subscribe_rows[] = {
    {"subscribe.head", EVENTED, "11.3", "the head comes before the first event, with its lines",
     .run = head_comes_at_once},
    {"subscribe.keep_alive", EVENTED, "11.3", "the head says Connection: keep-alive", NEED_HTTP1,
     .run = says_keep_alive},
    {"subscribe.retry", EVENTED, "11.3", "the stream begins with retry: 3000", .run = says_retry},
    {"subscribe.record", EVENTED, "11.3", "a record has id, event mig-event, data on one line",
     .run = record_is_as_written},
    {"subscribe.message", EVENTED, "5.5", "an event has all members and the publisher's header",
     .run = message_is_whole},
    {"subscribe.meta", EVENTED, "2", "mig.cursor and mig.event_key are in its meta",
     .run = meta_has_cursor_and_key},
    {"subscribe.replay_flag", EVENTED, "5.5", "replay is true for old events, false for new ones",
     .run = replay_flag_tells_old_from_new},
    {"subscribe.order", EVENTED, "7.1", "replay and live events make one row without a gap",
     .run = order_has_no_gap},
    {"subscribe.live", EVENTED, "7.4", "an event arrives at once", .run = live_in_time},
    {"subscribe.cursor.0", EVENTED, "7.2", "cursor 0 replays everything", .run = cursor_0},
    {"subscribe.cursor.n", EVENTED, "7.2", "cursor N begins with N+1", .run = cursor_3},
    {"subscribe.cursor.beyond", EVENTED, "7.2", "a cursor beyond the head brings new events alone",
     .run = cursor_beyond},
    {"subscribe.cursor.latest", EVENTED, "7.2", "latest brings new events alone",
     .run = cursor_latest},
    {"subscribe.cursor.absent", EVENTED, "7.2", "no cursor replays everything by default",
     .run = no_cursor},
    {"subscribe.cursor.text", EVENTED, "7.2", "a cursor that is no number is refused", 0,
     "GET subscribe/${E}?resume_cursor=abc", NULL, NULL, BAD_CURSOR},
    {"subscribe.cursor.negative", EVENTED, "7.2", "a negative cursor is refused", 0,
     "GET subscribe/${E}?resume_cursor=-1", NULL, NULL, BAD_CURSOR},
    {"subscribe.last_event_id", EVENTED, "7.2", "Last-Event-ID resumes", .run = last_event_id},
    {"subscribe.cursor.first", EVENTED, "7.2", "resume_cursor wins over Last-Event-ID",
     .run = query_before_last_event_id},
    {"subscribe.max_inflight", EVENTED, "5.5", "max_inflight beyond 1024 is refused", 0,
     "GET subscribe/${E}?max_inflight=1025", NULL, NULL, "MIG_INVALID_REQUEST" JSON_ERROR},
    {"subscribe.max_inflight.text", EVENTED, "5.5", "max_inflight that is no number is refused", 0,
     "GET subscribe/${E}?max_inflight=many", NULL, NULL, "MIG_INVALID_REQUEST" JSON_ERROR},
    {"subscribe.no_dot", EVENTED, "5.5", "a topic without a dot is refused", 0,
     "GET subscribe/nodot", NULL, NULL, "MIG_INVALID_REQUEST" JSON_ERROR},
    {"subscribe.lossless", EVENTED, "7.4", "a small max_inflight loses nothing",
     .run = slow_start_loses_nothing},
    {"subscribe.two", EVENTED, "7.1", "two readers see the same events", .run = two_readers},
    {"subscribe.tenant.none", EVENTED, "11.3", "a subscription without tenant is refused",
     NEED_NO_TOKEN, "GET subscribe/${E}", "-X-Tenant-ID", NULL,
     "MIG_INVALID_REQUEST; says tenant_id is required"},
    {"subscribe.token", EVENTED, "3", "a subscription without a token is refused", NEED_TOKEN,
     "GET subscribe/${E}", "-Authorization", NULL, "MIG_UNAUTHORIZED"},
    {"subscribe.tenant.query", EVENTED, "11.1", "the tenant may stand in the query", NEED_NO_TOKEN,
     .run = tenant_of_the_query},
    {"subscribe.tenants", EVENTED, "3", "no tenant sees events of another", NEED_SECOND,
     .run = tenants_do_not_see_each_other},
    {"subscribe.consumer", EVENTED, "7.3", "a consumer goes on where it stopped",
     .run = consumer_goes_on},
    {"subscribe.takeover", EVENTED, "7.3", "a second connection of a consumer takes over",
     .run = consumer_is_superseded},
};
const struct check_table subscribe_checks = {subscribe_rows, countof(subscribe_rows)};
