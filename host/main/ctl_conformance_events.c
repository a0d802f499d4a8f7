/* PUBLISH (sections 5.4, 7.1). */
#include "ctl_conformance.h"

static const char publish_it[] = "POST publish/${E}";

bool publish_events(struct probe *p, int first, int count)
{
    for (int n = first; n < first + count; n++) {
        char body[128], want[64];
        snprintf(body, sizeof body, "{'header':{'tenant_id':'${T}'},'payload':{'n':%d}}", n);
        snprintf(want, sizeof want, "200; /accepted = true; /sequence = %d", n);
        if (!ask(p, publish_it, NULL, body, want))
            return false;
    }
    return true;
}

static void numbers_without_gap(struct probe *p)
{
    publish_events(p, 1, 6);
}

static void repeats_publish_once(struct probe *p)
{
    static const char body[] =
        "{'header':{'tenant_id':'${T}','idempotency_key':'${N}'},'payload':{'n':1}}";
    CLEANUP(buf_deinit) struct buf id = {0};

    buf_init(&id, 4096);
    if (!ask(p, publish_it, NULL, body, "200; /sequence = 1"))
        return;
    buf_add(&id, last_at(p, "/event_id"));
    if (!ask(p, publish_it, NULL, body, "200; /sequence = 1; /accepted = true"))
        return;
    if (!str_eq(buf_str(&id), last_at(p, "/event_id")))
        fail_check(p, "the same event_id", "%.*s", STR_ARG(last_at(p, "/event_id")));
    publish_events(p, 2, 1);
}

static void keys_are_per_topic(struct probe *p)
{
    static const char body[] =
        "{'header':{'tenant_id':'${T}','idempotency_key':'${N}'},'payload':{'n':1}}";

    if (ask(p, publish_it, NULL, body, "200; /sequence = 1"))
        ask(p, "POST publish/${E}.other", NULL, body, "200; /sequence = 1; /topic = '${E}.other'");
}

static void tenants_count_apart(struct probe *p)
{
    if (publish_events(p, 1, 2))
        ask(p, publish_it, "${SECOND}", "{'header':{'tenant_id':'${U}'},'payload':{}}",
            "200; /sequence = 1");
}

static const struct check publish_rows[] = {
    {"publish.ack", EVENTED, "5.4", "PUBLISH acknowledges with id and sequence", 0, publish_it,
     NULL, "{${I},'key':'k','payload':{'n':1}}",
     "200; /topic = '${E}'; /event_id : uuid; /sequence = 1; /accepted = true; "
     "/header/message_id = '${N}'"},
    {"publish.sequence", EVENTED, "7.1", "sequences begin with 1 and have no gap",
     .run = numbers_without_gap},
    {"publish.no_dot", EVENTED, "5.4", "a topic without a dot is refused", 0, "POST publish/nodot",
     NULL, "{${I},'payload':{}}", "MIG_INVALID_REQUEST; says topic names must be namespaced"},
    {"publish.bad_topic", EVENTED, "1", "a topic with an empty segment is refused", 0,
     "POST publish/a..b", NULL, "{${I},'payload':{}}", "MIG_INVALID_REQUEST"},
    {"publish.same_topic", EVENTED, "5.4", "the topic in the body may agree with the path", 0,
     publish_it, NULL, "{${I},'topic':'${E}','payload':{}}", "200; /topic = '${E}'"},
    {"publish.other_topic", EVENTED, "5.4", "another topic in the body is refused", 0, publish_it,
     NULL, "{${I},'topic':'another.topic','payload':{}}", "MIG_INVALID_REQUEST"},
    {"publish.null_payload", EVENTED, "2", "a null payload is {}", 0, publish_it, NULL,
     "{${I},'payload':null}", "200; /accepted = true"},
    {"publish.tenant", EVENTED, "3", "another tenant in the body is refused", 0, publish_it, NULL,
     "{'header':{'tenant_id':'someone-else'},'payload':{}}", "MIG_FORBIDDEN"},
    {"publish.idempotency", EVENTED, "5.4", "a repeat with the same key is the same event",
     .run = repeats_publish_once},
    {"publish.idempotency.topic", EVENTED, "5.4", "the key counts for its topic",
     .run = keys_are_per_topic},
    {"publish.tenants", EVENTED, "7.1", "each tenant has its own sequence", NEED_SECOND,
     .run = tenants_count_apart},
};
const struct check_table publish_checks = {publish_rows, countof(publish_rows)};
