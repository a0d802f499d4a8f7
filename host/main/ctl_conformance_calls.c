/* Deadlines, cancellation, calls in flight, idempotency (sections 5.3, 5.6, 8). */
#include "ctl_conformance.h"

enum { SLACK_MS = 250, CANCEL_MS = 100 };

static const char invoke[] = "POST invoke/${C}";
static const char cancel_it[] = "POST cancel/${N}";
static const char T[] = "{'header':{'tenant_id':'${T}'}}";
static const char slow[] = "{${I},'payload':{'input':'slow','delay_ms':4000}}";

/* Starts the slow call of this check and gives it time to arrive. */
static struct http_job *start_slow(struct probe *p)
{
    struct http_job *j = begin(p, invoke, NULL, slow);

    pause_ms(p, 120);
    return j;
}

/* The call has to end as cancelled, soon after `since`. Takes the job. */
static bool ends_cancelled(struct probe *p, struct http_job *j, int64_t since)
{
    if (!finish(p, j, 3000,
                "504; MIG_TIMEOUT; reason cancelled; /error/retryable = false; "
                "says invocation cancelled"))
        return false;
    if (p->last->done_ms - since > CANCEL_MS + SLACK_MS)
        return fail_check(p, "the answer within 100 ms", "%lld ms",
                          (long long)(p->last->done_ms - since));
    return true;
}

static void cancels_a_running_call(struct probe *p)
{
    struct http_job *j = start_slow(p);
    int64_t since = clock_ms();

    if (ask(p, cancel_it, NULL, "{'header':{'tenant_id':'${T}'},'reason':'enough'}",
            "200; /accepted = true; /status = 'cancelled'; /target_message_id = '${N}'; "
            "/header : object"))
        ends_cancelled(p, j, since);
    else
        http_job_free(p->client, j);
}

static void tells_the_reason(struct probe *p)
{
    struct http_job *j = start_slow(p);

    ask(p, cancel_it, NULL, "{'header':{'tenant_id':'${T}'},'reason':'enough'}", "200");
    finish(p, j, 3000, "/error/details/cancel_reason = 'enough'; says enough");
}

static void knows_completed_calls(struct probe *p)
{
    if (ask(p, invoke, NULL, "{${I},${P}}", "200"))
        ask(p, cancel_it, NULL, T, "200; /accepted = true; /status = 'completed'");
}

static void remembers_cancels(struct probe *p)
{
    if (ask(p, cancel_it, NULL, T, "200; /accepted = true; /status = 'pending'"))
        ask(p, invoke, NULL, "{${I},${P}}",
            "504; MIG_TIMEOUT; reason cancelled; /error/retryable = false");
}

static void cancels_of_others_do_nothing(struct probe *p)
{
    struct http_job *j = begin(p, invoke, NULL, "{${I},'payload':{'input':'slow','delay_ms':700}}");

    pause_ms(p, 120);
    if (ask(p, cancel_it, "${SECOND}", "{'header':{'tenant_id':'${U}'}}",
            "200; /status = 'pending'"))
        finish(p, j, 3000, "200");
    else
        http_job_free(p->client, j);
}

static void a_client_that_goes_cancels(struct probe *p)
{
    http_job_free(p->client, start_slow(p));
    pause_ms(p, 500);
    ask(p, cancel_it, NULL, T, "200; /status = 'completed'");
}

static void refuses_the_same_id_twice(struct probe *p)
{
    struct http_job *j = start_slow(p);

    ask(p, invoke, NULL, "{${I},${P}}", "400; MIG_INVALID_REQUEST; reason duplicate_message_id");
    ask(p, cancel_it, NULL, T, "200");
    http_job_free(p->client, j);
}

static void the_same_id_of_two_tenants(struct probe *p)
{
    struct http_job *j = start_slow(p);

    ask(p, invoke, "${SECOND}", "{'header':{'tenant_id':'${U}','message_id':'${N}'},${P}}", "200");
    ask(p, cancel_it, NULL, T, "200");
    http_job_free(p->client, j);
}

static void answers_at_the_deadline(struct probe *p)
{
    int64_t ms;

    if (!ask(p, invoke, NULL,
             "{'header':{'tenant_id':'${T}','message_id':'${N}','deadline_ms':300},"
             "'payload':{'input':'slow','delay_ms':4000}}",
             "504; MIG_TIMEOUT; /error/retryable = true; says deadline exceeded"))
        return;
    ms = p->last->done_ms - p->last->started_ms;
    if (ms < 290 || ms > 300 + SLACK_MS)
        fail_check(p, "an answer after 300 ms", "after %lld ms", (long long)ms);
}

static void deadline_of_the_http_header(struct probe *p)
{
    ask(p, invoke, "MIG-Deadline-Ms: 200", slow, "504; MIG_TIMEOUT; says deadline exceeded");
}

static const struct check call_rows[] = {
    {"cancel.running", CORE, "8.2", "a running call is cancelled within 100 ms", NEED_DELAY,
     .run = cancels_a_running_call},
    {"cancel.reason", CORE, "8.2", "the caller reads the reason of the cancel", NEED_DELAY,
     .run = tells_the_reason},
    {"cancel.completed", CORE, "5.6", "a cancel after the end says completed",
     .run = knows_completed_calls},
    {"cancel.pending", CORE, "5.6", "a cancel before the call is remembered",
     .run = remembers_cancels},
    {"cancel.unknown", CORE, "18.2", "a cancel of an unknown id is accepted", 0, cancel_it, NULL, T,
     "200; /accepted = true; /target_message_id = '${N}'"},
    {"cancel.empty_body", CORE, "11.1", "CANCEL takes an empty body", 0, cancel_it, NULL, NULL,
     "200; /accepted = true"},
    {"cancel.other_tenant", CORE, "3", "another tenant cancels nothing of this one",
     NEED_DELAY | NEED_SECOND, .run = cancels_of_others_do_nothing},
    {"cancel.disconnect", CORE, "8.2", "a client that goes away cancels its call", NEED_DELAY,
     .run = a_client_that_goes_cancels},
    {"inflight.duplicate", CORE, "5.3", "an id that runs cannot be used again", NEED_DELAY,
     .run = refuses_the_same_id_twice},
    {"inflight.tenants", CORE, "3", "two tenants may use the same id at once",
     NEED_DELAY | NEED_SECOND, .run = the_same_id_of_two_tenants},
    {"deadline.expired", CORE, "8.1", "the answer comes at the deadline", NEED_DELAY,
     .run = answers_at_the_deadline},
    {"deadline.mirror", CORE, "8.1", "MIG-Deadline-Ms sets the deadline", NEED_DELAY,
     .run = deadline_of_the_http_header},
};
const struct check_table call_checks = {call_rows, countof(call_rows)};

/* ---- idempotency (8.3) ------------------------------------------------------------------------
 */

#define KEYED(more) "{'header':{'tenant_id':'${T}','idempotency_key':'${N}'" more "},"
#define NOT_REPLAYED "200; /header/meta/mig.idempotent_replay != true"
#define REPLAYED "200; /header/meta/mig.idempotent_replay = true"

static void replays(struct probe *p)
{
    CLEANUP(buf_deinit) struct buf first = {0};

    buf_init(&first, HTTP_ANSWER_MAX);
    if (!ask(p, invoke, NULL, KEYED(",'message_id':'${N}-a'") "${P}}", NOT_REPLAYED))
        return;
    buf_add(&first, buf_str(&p->last->body));
    if (!ask(p, invoke, NULL, KEYED(",'message_id':'${N}-b'") "${P}}",
             REPLAYED "; /header/message_id = '${N}-b'; /header/idempotency_key = '${N}'"))
        return;
    if (!json_equal(json_at(buf_str(&first), S("/payload")), last_at(p, "/payload")))
        fail_check(p, "the stored payload", "%.*s", STR_ARG(last_at(p, "/payload")));
}

static void ignores_how_the_payload_is_written(struct probe *p)
{
    if (ask(p, invoke, NULL, KEYED("") "'payload':{'input':'x','n':1}}", NOT_REPLAYED))
        ask(p, invoke, NULL, KEYED("") "'payload' : { 'n' : 1, 'input' : 'x' }}", REPLAYED);
}

static void refuses_reuse(struct probe *p)
{
    if (ask(p, invoke, NULL, KEYED("") "'payload':{'input':'one'}}", "200"))
        ask(p, invoke, NULL, KEYED("") "'payload':{'input':'two'}}",
            "400; MIG_INVALID_REQUEST; reason idempotency_key_reuse");
}

static void takes_the_key_of_the_http_header(struct probe *p)
{
    if (ask(p, invoke, "Idempotency-Key: ${N}", "{'header':{'tenant_id':'${T}'},${P}}",
            NOT_REPLAYED))
        ask(p, invoke, "Idempotency-Key: ${N}", "{'header':{'tenant_id':'${T}'},${P}}", REPLAYED);
}

/* Both calls at once: the provider runs for 500 ms, and only once. */
static void waits_for_the_first(struct probe *p)
{
    static const char body[] = KEYED("") "'payload':{'input':'x','delay_ms':500}}";
    struct http_job *first = begin(p, invoke, NULL, body), *second;
    int64_t ended;

    pause_ms(p, 150);
    second = begin(p, invoke, NULL, body);
    if (!finish(p, first, 3000, NOT_REPLAYED)) {
        http_job_free(p->client, second);
        return;
    }
    ended = p->last->done_ms;
    if (finish(p, second, 3000, REPLAYED) && p->last->done_ms > ended + SLACK_MS)
        fail_check(p, "the answer with the first one's", "%lld ms later",
                   (long long)(p->last->done_ms - ended));
}

static void waits_no_longer_than_its_deadline(struct probe *p)
{
    struct http_job *first =
        begin(p, invoke, NULL, KEYED("") "'payload':{'input':'x','delay_ms':1200}}");

    pause_ms(p, 120);
    ask(p, invoke, NULL, KEYED(",'deadline_ms':200") "'payload':{'input':'x','delay_ms':1200}}",
        "504; MIG_TIMEOUT");
    http_job_free(p->client, first);
}

static void a_timeout_is_not_stored(struct probe *p)
{
    static const char *const body = "'payload':{'input':'x','delay_ms':300}}";
    char first[256], second[256];

    snprintf(first, sizeof first, "%s%s", KEYED(",'deadline_ms':100"), body);
    snprintf(second, sizeof second, "%s%s", KEYED(""), body);
    if (ask(p, invoke, NULL, first, "504; MIG_TIMEOUT"))
        ask(p, invoke, NULL, second, NOT_REPLAYED);
}

static void keys_of_two_tenants(struct probe *p)
{
    if (ask(p, invoke, NULL, KEYED("") "'payload':{'input':'one'}}", "200"))
        ask(p, invoke, "${SECOND}",
            "{'header':{'tenant_id':'${U}','idempotency_key':'${N}'},'payload':{'input':'two'}}",
            NOT_REPLAYED);
}

static const struct check idempotency_rows[] = {
    {"idempotency.replay", FULL, "8.3", "a repeat gets the stored payload and the replay flag",
     .run = replays},
    {"idempotency.canonical", FULL, "8.3", "how a payload is written does not count",
     .run = ignores_how_the_payload_is_written},
    {"idempotency.reuse", FULL, "8.3", "the same key with another payload is refused",
     .run = refuses_reuse},
    {"idempotency.mirror", FULL, "2", "the key may come as an HTTP header",
     .run = takes_the_key_of_the_http_header},
    {"idempotency.running", FULL, "8.3", "a repeat waits for the first call", NEED_DELAY,
     .run = waits_for_the_first},
    {"idempotency.deadline", FULL, "8.3", "the wait ends at the own deadline", NEED_DELAY,
     .run = waits_no_longer_than_its_deadline},
    {"idempotency.timeout", FULL, "8.3", "after a timeout a repeat executes again", NEED_DELAY,
     .run = a_timeout_is_not_stored},
    {"idempotency.tenants", FULL, "3", "the keys of two tenants are apart", NEED_SECOND,
     .run = keys_of_two_tenants},
};
const struct check_table idempotency_checks = {idempotency_rows, countof(idempotency_rows)};
