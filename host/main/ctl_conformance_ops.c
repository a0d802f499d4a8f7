/* HELLO, DISCOVER, INVOKE, HEARTBEAT (section 5), errors (10), routes (11.1). */
#include "ctl_conformance.h"

#define T "'header':{'tenant_id':'${T}'}"
static const char hello[] = "POST hello";
static const char discover[] = "POST discover";
static const char invoke[] = "POST invoke/${C}";
static const char plain[] = "{${I},${P}}";

/* ---- HELLO and DISCOVER -----------------------------------------------------------------------
 */

static void same_answer_twice(struct probe *p)
{
    static const char body[] =
        "{" T ",'supported_versions':['0.1'],'requested_bindings':['nats','http'],"
        "'requested_features':['events','cancel']}";
    static const char *const members[] = {"/selected_version", "/selected_binding",
                                          "/enabled_features", "/server_id"};
    CLEANUP(buf_deinit) struct buf first = {0};

    buf_init(&first, HTTP_ANSWER_MAX);
    if (!ask(p, hello, NULL, body, "200"))
        return;
    buf_add(&first, buf_str(&p->last->body));
    if (!ask(p, hello, NULL, body, "200"))
        return;
    for (size_t i = 0; i < countof(members); i++)
        if (!json_equal(json_at(buf_str(&first), str_of(members[i])), last_at(p, members[i])))
            fail_check(p, "the same answer twice", "%s differs", members[i]);
}

/* Each descriptor of the last answer; false: it failed. */
static bool is_descriptor(struct probe *p, mig_str d)
{
    static const char *const texts[] = {"id", "version", "input_schema_uri", "output_schema_uri"};
    static const char *const lists[] = {"modes", "auth_scopes", "event_topics"};
    str id = mig_json_member(d, "id");

    for (size_t i = 0; i < countof(texts); i++)
        if (mig_json_kind_of(mig_json_member(d, texts[i])) != MIG_JSON_STRING)
            return fail_check(p, "a string", "%.*s: %s is none", STR_ARG(id), texts[i]);
    for (size_t i = 0; i < countof(lists); i++)
        if (mig_json_kind_of(mig_json_member(d, lists[i])) != MIG_JSON_ARRAY)
            return fail_check(p, "an array", "%.*s: %s is none", STR_ARG(id), lists[i]);
    if (!mig_json_count(mig_json_member(d, "modes")))
        return fail_check(p, "at least one mode", "%.*s has none", STR_ARG(id));
    return mig_json_kind_of(mig_json_member(d, "qos")) == MIG_JSON_OBJECT ||
           fail_check(p, "qos is an object", "%.*s: it is none", STR_ARG(id));
}

static void descriptors_are_whole(struct probe *p)
{
    mig_str list;

    if (!ask(p, discover, NULL, "{" T "}", "200; /capabilities : array; /header : object"))
        return;
    list = last_at(p, "/capabilities");
    for (mig_json_iter i = mig_json_each(list); mig_json_next(&i);)
        if (!is_descriptor(p, i.value))
            return;
}

static void list_is_sorted(struct probe *p)
{
    mig_str before = {0};

    if (!ask(p, discover, NULL, "{" T "}", "200; /capabilities : array"))
        return;
    for (mig_json_iter i = mig_json_each(last_at(p, "/capabilities")); mig_json_next(&i);) {
        mig_str id = mig_json_member(i.value, "id");
        if (before.len && str_cmp(before, id) >= 0)
            fail_check(p, "ids in ascending order", "%.*s behind %.*s", STR_ARG(id),
                       STR_ARG(before));
        before = id;
    }
}

/* Does the last answer list the capability? */
static bool lists_it(struct probe *p)
{
    for (mig_json_iter i = mig_json_each(last_at(p, "/capabilities")); mig_json_next(&i);)
        if (mig_json_is(mig_json_member(i.value, "id"), p->capability))
            return true;
    return fail_check(p, "the capability in the list", "it is not there (%zu others are)",
                      mig_json_count(last_at(p, "/capabilities")));
}

static void lists_the_capability(struct probe *p)
{
    if (ask(p, discover, NULL, "{" T "}", "200"))
        lists_it(p);
}

static void ask_query(struct probe *p, str query)
{
    CLEANUP(buf_deinit) struct buf b = {0};

    buf_init(&b, 65536);
    buf_addf(&b, "{" T ",'query':'%.*s'}", STR_ARG(query));
    buf_addc(&b, 0);
    if (ask(p, discover, NULL, b.ptr, "200"))
        lists_it(p);
}

static void query_ignores_case(struct probe *p)
{
    char upper[201];
    size_t n = strlen(p->capability) / 2 + 1;

    snprintf(upper, sizeof upper, "%.*s", (int)n, p->capability + strlen(p->capability) - n);
    for (char *c = upper; *c; c++)
        *c = (char)(*c >= 'a' && *c <= 'z' ? *c - 32 : *c);
    ask_query(p, str_of(upper));
}

static void query_finds_topics(struct probe *p)
{
    mig_str topic = json_at(buf_str(&p->descriptor), S("/event_topics/0"));

    if (topic.len < 3)
        skip_check(p, "the capability has no event topic");
    else
        ask_query(p, (str){topic.ptr + 1, topic.len - 2});
}

static void each_has(struct probe *p, const char *body, const char *member, const char *want)
{
    if (!ask(p, discover, NULL, body, "200; /capabilities : array") || !lists_it(p))
        return;
    for (mig_json_iter i = mig_json_each(last_at(p, "/capabilities")); mig_json_next(&i);) {
        mig_str value = mig_json_member(i.value, member);
        if (!json_equal(value, str_of(want)))
            fail_check(p, want, "%s is %.*s", member, STR_ARG(value));
    }
}

static void schema_refs_can_be_left_out(struct probe *p)
{
    each_has(p, "{" T ",'include_schema_refs':false}", "input_schema_uri", "\"\"");
    each_has(p, "{" T ",'include_schema_refs':false}", "output_schema_uri", "\"\"");
}

static void qos_can_be_left_out(struct probe *p)
{
    each_has(p, "{" T ",'include_qos':false}", "qos", "{}");
}

static const struct check hello_rows[] = {
    {"hello.answer", CORE, "5.1", "HELLO answers with version, binding, features and server", 0,
     hello, NULL, "{" T ",'supported_versions':['0.1'],'requested_bindings':['http']}",
     "200; /selected_version = '0.1'; /selected_binding = 'http'; /enabled_features : array; "
     "/server_id : text; /header : object; head Content-Type ~ application/json"},
    {"hello.versions.empty", CORE, "5.1", "no versions mean 0.1", 0, hello, NULL,
     "{" T ",'supported_versions':[]}", "200; /selected_version = '0.1'"},
    {"hello.versions.unknown", CORE, "5.1", "unknown versions are no candidates", 0, hello, NULL,
     "{" T ",'supported_versions':['9.0',' 0.1 ','abc']}", "200; /selected_version = '0.1'"},
    {"hello.versions.none", CORE, "5.1", "no common version is an error", 0, hello, NULL,
     "{" T ",'supported_versions':['0.2','1.0']}",
     "MIG_VERSION_MISMATCH; says no compatible MIG version"},
    {"hello.binding.case", CORE, "5.1", "bindings are trimmed, their case does not count", 0, hello,
     NULL, "{" T ",'requested_bindings':['smoke',' HTTP ']}", "200; /selected_binding = 'http'"},
    {"hello.binding.none", CORE, "5.1", "no known binding means the one in use", 0, hello, NULL,
     "{" T ",'requested_bindings':['smoke']}", "200; /selected_binding = 'http'"},
    {"hello.features", CORE, "5.1", "features: those requested and supported, in order, once", 0,
     hello, NULL, "{" T ",'requested_features':['heartbeat','telepathy','cancel','heartbeat']}",
     "200; /enabled_features = ['heartbeat','cancel']"},
    {"hello.features.none", CORE, "5.1", "no requested features, none enabled", 0, hello, NULL,
     "{" T "}", "200; /enabled_features = []"},
    {"hello.features.streaming", STREAMING, "5.1", "the features of streaming are offered", 0,
     hello, NULL, "{" T ",'requested_features':['server_stream','backpressure','websocket','sse']}",
     "200; /enabled_features = ['server_stream','backpressure','websocket','sse']"},
    {"hello.features.events", EVENTED, "5.1", "the features of events are offered", 0, hello, NULL,
     "{" T ",'requested_features':['events','replay']}",
     "200; /enabled_features = ['events','replay']"},
    {"hello.same", CORE, "5.1", "the same request has the same answer", .run = same_answer_twice},
    {"hello.profile", FULL, "18.1", "HELLO declares the profile full", 0, hello, NULL, "{" T "}",
     "200; /header/meta/mig.profile = 'full'"},
    {"discover.capability", CORE, "5.2", "DISCOVER lists the capability",
     .run = lists_the_capability},
    {"discover.descriptors", CORE, "9.1", "every descriptor is whole, its lists are arrays",
     .run = descriptors_are_whole},
    {"discover.sorted", CORE, "5.2", "ids are in byte order", .run = list_is_sorted},
    {"discover.query.case", CORE, "5.2", "a query ignores case", .run = query_ignores_case},
    {"discover.query.topic", CORE, "5.2", "a query looks into topics", .run = query_finds_topics},
    {"discover.query.nothing", CORE, "5.2", "a query that fits nothing gives []", 0, discover, NULL,
     "{" T ",'query':'no-such-thing-${N}'}", "200; /capabilities = []"},
    {"discover.schema_refs", CORE, "5.2", "include_schema_refs false empties the URIs",
     .run = schema_refs_can_be_left_out},
    {"discover.qos", CORE, "5.2", "include_qos false empties qos", .run = qos_can_be_left_out},
    {"heartbeat.default", FULL, "5.7", "no interval means 5000", 0, "POST heartbeat", NULL,
     "{" T "}", "200; /suggested_interval_ms = 5000"},
    {"heartbeat.low", FULL, "5.7", "a small interval is raised to 1000", 0, "POST heartbeat", NULL,
     "{" T ",'interval_ms':10}", "200; /suggested_interval_ms = 1000"},
    {"heartbeat.high", FULL, "5.7", "a large interval is lowered to 60000", 0, "POST heartbeat",
     NULL, "{" T ",'interval_ms':999999}", "200; /suggested_interval_ms = 60000"},
    {"heartbeat.between", FULL, "5.7", "an interval between is taken", 0, "POST heartbeat", NULL,
     "{" T ",'interval_ms':7000}", "200; /suggested_interval_ms = 7000"},
    {"heartbeat.negative", FULL, "5.7", "a negative interval means 5000", 0, "POST heartbeat", NULL,
     "{" T ",'interval_ms':-1}", "200; /suggested_interval_ms = 5000"},
    {"heartbeat.load", FULL, "5.7", "the load factor is from 0 to 1", 0, "POST heartbeat", NULL,
     "{" T "}", "200; /load_factor > -0.001; /load_factor < 1.001"},
    {"heartbeat.empty_body", FULL, "11.1", "HEARTBEAT takes an empty body", 0, "POST heartbeat",
     NULL, NULL, "200; /suggested_interval_ms = 5000"},
};
const struct check_table hello_checks = {hello_rows, countof(hello_rows)};

/* ---- INVOKE -----------------------------------------------------------------------------------
 */

static void names_the_schema_of_results(struct probe *p)
{
    mig_str uri = json_at(buf_str(&p->descriptor), S("/output_schema_uri"));

    if (uri.len < 3)
        skip_check(p, "the capability has no output schema");
    else if (ask(p, invoke, NULL, plain, "200") &&
             !json_equal(last_at(p, "/result_schema_uri"), uri))
        fail_check(p, "result_schema_uri of the descriptor", "%.*s",
                   STR_ARG(last_at(p, "/result_schema_uri")));
}

static void refuses_a_mode_it_lacks(struct probe *p)
{
    if (descriptor_lists(p, "modes", "bidi_stream"))
        skip_check(p, "the capability has the mode bidi_stream");
    else
        ask(p, invoke, NULL, "{${I},${P},'stream_preference':'bidi_stream'}",
            "MIG_INVALID_REQUEST; reason mode_not_supported");
}

static void add_payload(struct buf *b, size_t n)
{
    buf_init(b, 16 << 20);
    buf_addz(b, "{${I},'payload':{'input':'");
    for (size_t i = 0; i < n; i++)
        buf_addc(b, 'p');
    buf_addz(b, "'}}");
    buf_addc(b, 0);
}

static void refuses_large_payloads(struct probe *p)
{
    mig_str max = json_at(buf_str(&p->descriptor), S("/qos/max_payload_bytes"));
    CLEANUP(buf_deinit) struct buf b = {0};
    uint64_t n;

    if (!mig_json_u64(max, &n) || n > 3u << 20) {
        skip_check(p, "the capability has no max_payload_bytes below 3 MiB");
        return;
    }
    add_payload(&b, n + 1);
    ask(p, invoke, NULL, b.ptr, "400; MIG_INVALID_REQUEST; reason payload_too_large");
}

static void says_what_violates_the_schema(struct probe *p)
{
    if (!ask(p, invoke, NULL, "{${I},'payload':{'input':7}}", ""))
        return;
    if (p->last->status == 200) {
        skip_check(p, "the gateway checks no input schema for the capability");
        return;
    }
    finish(p, begin(p, invoke, NULL, "{${I},'payload':{'input':7}}"), 5000,
           "MIG_INVALID_REQUEST; reason schema_violation; /error/details/errors : array; "
           "/error/details/errors/0/path : string; /error/details/errors/0/message : text");
}

static void pins_versions(struct probe *p)
{
    mig_str version = json_at(buf_str(&p->descriptor), S("/version"));
    const char *dot = version.len ? memchr(version.ptr, '.', version.len) : NULL;
    CLEANUP(buf_deinit) struct buf b = {0};

    buf_init(&b, 4096);
    if (!dot) {
        skip_check(p, "DISCOVER shows no version of the capability");
        return;
    }
    buf_addf(&b, "{'header':{'tenant_id':'${T}','meta':{'mig.capability_version':%.*s}},${P}}",
             STR_ARG(version));
    buf_addc(&b, 0);
    if (!ask(p, invoke, NULL, b.ptr, "200"))
        return;
    buf_clear(&b);
    buf_addf(&b, "{'header':{'tenant_id':'${T}','meta':{'mig.capability_version':%.*s.x'}},${P}}",
             (int)(dot - version.ptr), version.ptr);
    buf_addc(&b, 0);
    ask(p, invoke, NULL, b.ptr, "200");
}

static void harness_echo(struct probe *p)
{
    if (strcmp(p->capability, "observatory.models.infer") != 0)
        skip_check(p, "about the default capability");
    else
        ask(p, invoke, NULL, plain, "200; /payload/result = 'ok'");
}

static const struct check invoke_rows[] = {
    {"invoke.answer", CORE, "5.3", "INVOKE answers with header, capability and payload", 0, invoke,
     NULL, plain,
     "200; /capability = '${C}'; /payload : object; /header/message_id = '${N}'; "
     "head Content-Type ~ application/json"},
    {"invoke.result", CORE, "18.2", "the default capability answers result ok",
     .run = harness_echo},
    {"invoke.schema_uri", CORE, "5.3", "result_schema_uri is the descriptor's",
     .run = names_the_schema_of_results},
    {"invoke.body_capability", CORE, "5.3", "the capability in the body may agree with the path", 0,
     invoke, NULL, "{${I},'capability':'${C}',${P}}", "200; /capability = '${C}'"},
    {"invoke.other_capability", CORE, "5.3", "another capability in the body is refused", 0, invoke,
     NULL, "{${I},'capability':'another.one',${P}}", "MIG_INVALID_REQUEST"},
    {"invoke.unknown", CORE, "5.3", "an unknown capability is refused", 0,
     "POST invoke/no.such.${N}", NULL, plain,
     "MIG_UNSUPPORTED_CAPABILITY; says capability not found"},
    {"invoke.preference.empty", CORE, "5.3", "an empty stream_preference is unary", 0, invoke, NULL,
     "{${I},${P},'stream_preference':''}", "200; /payload : object"},
    {"invoke.preference.unary", CORE, "5.3", "the stream_preference unary is served", 0, invoke,
     NULL, "{${I},${P},'stream_preference':'unary'}", "200; /payload : object"},
    {"invoke.preference.unknown", CORE, "5.3", "an unknown stream_preference is refused", 0, invoke,
     NULL, "{${I},${P},'stream_preference':'sideways'}", "MIG_INVALID_REQUEST"},
    {"invoke.mode", CORE, "5.3", "a mode that the capability lacks is refused",
     .run = refuses_a_mode_it_lacks},
    {"invoke.pin", CORE, "2", "a version pin that fits is served", .run = pins_versions},
    {"invoke.pin.mismatch", CORE, "2", "a version pin that does not fit is refused", 0, invoke,
     NULL, "{'header':{'tenant_id':'${T}','meta':{'mig.capability_version':'99.x'}},${P}}",
     "MIG_VERSION_MISMATCH"},
    {"invoke.too_large", CORE, "5.3", "a payload beyond max_payload_bytes is refused",
     .run = refuses_large_payloads},
    {"invoke.schema", CORE, "5.3", "a payload against the schema is refused, with the places",
     .run = says_what_violates_the_schema},
    {"invoke.sdk", CORE, "18.2", "what the Go SDK sends is served", 0, invoke, "-X-Tenant-ID",
     "{'header':{'mig_version':'','tenant_id':'${T}'},'capability':'${C}',${P}}",
     "200; /capability = '${C}'; /payload : object"},
    {"invoke.adapter", CORE, "18.2", "what the MCP adapter sends is served", 0, "POST hello", NULL,
     "{'header':{'tenant_id':'mcp-adapter'},'supported_versions':['0.1'],'requested_bindings':['"
     "http'],"
     "'requested_features':['mcp-bridge']}",
     "200; /selected_version = '0.1'"},
};
const struct check_table invoke_checks = {invoke_rows, countof(invoke_rows)};

/* ---- errors and routes ------------------------------------------------------------------------
 */

static void refuses_large_bodies(struct probe *p)
{
    CLEANUP(buf_deinit) struct buf b = {0};

    add_payload(&b, 5 << 20);
    if (!ask(p, invoke, NULL, b.ptr, ""))
        return;
    if (p->last->status != 413 &&
        mig_json_is(last_at(p, "/error/details/reason"), "payload_too_large"))
        skip_check(p, "the body limit is above 5 MiB");
    else if (p->last->status != 413)
        fail_check(p, "413", "%u", p->last->status);
    else if (!mig_json_is(last_at(p, "/error/code"), "MIG_INVALID_REQUEST"))
        fail_check(p, "an error envelope with MIG_INVALID_REQUEST", "%.*s",
                   STR_ARG(last_at(p, "")));
}

/* The gateway's own methods of one path. */
static void head_on_get_routes(struct probe *p)
{
    if (!ask(p, "GET /metrics", NULL, NULL, ""))
        return;
    if (p->last->status != 200)
        skip_check(p, "GET /metrics answers %u", p->last->status);
    else if (ask(p, "HEAD /metrics", NULL, NULL, "200; head Content-Type") && p->last->body.len)
        fail_check(p, "no body", "%zu bytes", p->last->body.len);
}

static void takes_expect(struct probe *p)
{
    if (ask(p, invoke, "Expect: 100-continue", plain, "200") &&
        p->last->done_ms - p->last->started_ms > 900)
        fail_check(p, "100 Continue at once", "the client had to wait for a second");
}

static const struct check error_rows[] = {
    {"error.json", CORE, "10", "a body that is no JSON is refused", 0, invoke, NULL,
     "{\"header\":", "400; MIG_INVALID_REQUEST"},
    {"error.array", CORE, "10", "a body that is no object is refused", 0, invoke, NULL, "[1]",
     "400; MIG_INVALID_REQUEST"},
    {"error.header_type", CORE, "2", "a header that is no object is refused", 0, hello, NULL,
     "{'header':'x'}", "400; MIG_INVALID_REQUEST"},
    {"error.empty_body", CORE, "11.1", "an empty body is refused", 0, invoke, NULL, NULL,
     "400; MIG_INVALID_REQUEST"},
    {"error.route", CORE, "10", "an unknown route is 404 MIG_NOT_FOUND", 0,
     "GET /mig/v0.1/no-such-route", NULL, NULL, "404; MIG_NOT_FOUND"},
    {"error.method", CORE, "10", "a wrong method is 405 MIG_INVALID_REQUEST", 0,
     "GET /mig/v0.1/hello", NULL, NULL, "405; MIG_INVALID_REQUEST"},
    {"error.too_large", CORE, "10", "a body beyond the limit is 413", .run = refuses_large_bodies},
    {"error.code", CORE, "10", "an unknown capability is 404 and not retryable", 0,
     "POST invoke/no.such", NULL, plain,
     "404; MIG_UNSUPPORTED_CAPABILITY; /error/retryable = false"},
    {"http.content_type", CORE, "10", "any content type is read as JSON", 0, hello,
     "Content-Type: text/plain", "{${I}}", "200"},
    {"http.no_content_type", CORE, "10", "a body without a content type is read as JSON", 0, hello,
     "Content-Type:", "{${I}}", "200"},
    {"http.encoded_path", CORE, "11.1", "a path parameter is percent-decoded", 0,
     "POST invoke/no%2Dsuch%2Ething", NULL, plain, "MIG_UNSUPPORTED_CAPABILITY"},
    {"http.chunked", CORE, "11.1", "a chunked request is read", NEED_HTTP1, hello,
     "Transfer-Encoding: chunked", "{${I}}", "200; /header/message_id = '${N}'"},
    {"http.expect", CORE, "11.1", "Expect: 100-continue is answered", .run = takes_expect},
    {"http.head", CORE, "11.1", "HEAD works on GET routes", .run = head_on_get_routes},
};
const struct check_table error_checks = {error_rows, countof(error_rows)};
