/* The envelope header (section 2), tenants and principals (3). */
#include "ctl_conformance.h"

#define HELLO(h) "{'header':{'tenant_id':'${T}'," h "},'supported_versions':['0.1']}"
#define INFER(h) "{'header':{'tenant_id':'${T}'," h "},${P}}"

static const char plain[] = "{${I},${P}}";
static const char invoke[] = "POST invoke/${C}";
static const char hello[] = "POST hello";

/* n times c between two texts. */
static void add_long(struct buf *b, const char *before, char c, size_t n, const char *after)
{
    buf_init(b, 1 << 20);
    buf_addz(b, before);
    for (size_t i = 0; i < n; i++)
        buf_addc(b, c);
    buf_addz(b, after);
    buf_addc(b, 0);
}

static void message_id_of_128(struct probe *p)
{
    CLEANUP(buf_deinit) struct buf b = {0};

    add_long(&b, "{'header':{'tenant_id':'${T}','message_id':'", 'm', 128, "'}}");
    ask(p, hello, NULL, b.ptr, "200; /header/message_id ~ mmmmmmmm");
}

static void message_id_of_129(struct probe *p)
{
    CLEANUP(buf_deinit) struct buf b = {0};

    add_long(&b, "{'header':{'tenant_id':'${T}','message_id':'", 'm', 129, "'}}");
    ask(p, hello, NULL, b.ptr, "MIG_INVALID_REQUEST");
}

static void null_payload(struct probe *p)
{
    unsigned status;

    ask(p, invoke, NULL, "{'header':{'tenant_id':'${T}'},'payload':{}}", "");
    status = p->last->status;
    if (!ask(p, invoke, NULL, "{'header':{'tenant_id':'${T}'},'payload':null}", ""))
        return;
    if (p->last->status != status)
        fail_check(p, "the same status as with payload {}", "%u instead of %u", p->last->status,
                   status);
}

static void too_many_meta_keys(struct probe *p)
{
    CLEANUP(buf_deinit) struct buf b = {0};

    buf_init(&b, 65536);
    buf_addz(&b, "{'header':{'tenant_id':'${T}','meta':{");
    for (int i = 0; i < 65; i++)
        buf_addf(&b, "%s'acme.k%d':1", i ? "," : "", i);
    buf_addz(&b, "}}}");
    buf_addc(&b, 0);
    ask(p, hello, NULL, b.ptr, "MIG_INVALID_REQUEST");
}

static void too_large_meta(struct probe *p)
{
    CLEANUP(buf_deinit) struct buf b = {0};

    add_long(&b, "{'header':{'tenant_id':'${T}','meta':{'acme.x':'", 'x', 17000, "'}}}");
    ask(p, hello, NULL, b.ptr, "MIG_INVALID_REQUEST");
}

static void id_on_every_response(struct probe *p)
{
    static const char *const requests[] = {"POST discover", "POST heartbeat", "GET /no/such/route",
                                           "GET /mig/v0.1/hello", "POST invoke/no.such"};

    for (size_t i = 0; i < countof(requests); i++) {
        if (!ask(p, requests[i], NULL, *requests[i] == 'P' ? "{${I}}" : NULL,
                 "head MIG-Message-ID"))
            return;
    }
}

static void echoes_header_id(struct probe *p)
{
    if (!ask(p, hello, NULL, "{${I}}", "200; head MIG-Message-ID = ${N}"))
        return;
    ask(p, "POST invoke/no.such", NULL, "{${I}}",
        "head MIG-Message-ID = ${N}; /header/message_id = '${N}'");
}

static void body_wins(struct probe *p)
{
    ask(p, hello,
        "MIG-Message-ID: from-header\nMIG-Session-ID: from-header\nMIG-Deadline-Ms: 1111\n"
        "Idempotency-Key: from-header",
        HELLO("'message_id':'${N}','session_id':'s1','deadline_ms':2222,'idempotency_key':'k1'"),
        "200; /header/message_id = '${N}'; /header/session_id = 's1'; /header/deadline_ms = 2222; "
        "/header/idempotency_key = 'k1'");
}

static const struct check header_rows[] = {
    {"header.version.default", CORE, "2", "a missing mig_version is 0.1", 0, hello, NULL,
     "{'header':{'tenant_id':'${T}'}}", "200; /header/mig_version = '0.1'"},
    {"header.version.empty", CORE, "2", "an empty mig_version is 0.1", 0, hello, NULL,
     HELLO("'mig_version':''"), "200; /header/mig_version = '0.1'"},
    {"header.version.null", CORE, "2", "null for an optional member is the same as absent", 0,
     hello, NULL,
     HELLO("'mig_version':null,'message_id':null,'timestamp':null,'session_id':null,"
           "'deadline_ms':null,'meta':null"),
     "200; /header/mig_version = '0.1'; /header/deadline_ms = 30000; /header/message_id : uuid"},
    {"header.version.other", CORE, "2", "another mig_version is refused", 0, hello, NULL,
     HELLO("'mig_version':'0.2'"), "MIG_VERSION_MISMATCH"},
    {"header.message_id.generated", CORE, "2", "a missing message_id becomes a UUID", 0, hello,
     NULL, "{'header':{'tenant_id':'${T}'}}", "200; /header/message_id : uuid"},
    {"header.message_id.empty", CORE, "2", "an empty message_id becomes a UUID", 0, hello, NULL,
     HELLO("'message_id':''"), "200; /header/message_id : uuid"},
    {"header.message_id.echo", CORE, "2", "the message_id of the request comes back", 0, hello,
     NULL, "{${I}}", "200; /header/message_id = '${N}'"},
    {"header.message_id.type", CORE, "2", "a message_id that is no string is refused", 0, hello,
     NULL, HELLO("'message_id':7"), "MIG_INVALID_REQUEST"},
    {"header.message_id.visible", CORE, "1", "a message_id with a space is refused", 0, hello, NULL,
     HELLO("'message_id':'a b'"), "MIG_INVALID_REQUEST"},
    {"header.message_id.max", CORE, "1", "a message_id may have 128 bytes",
     .run = message_id_of_128},
    {"header.message_id.long", CORE, "1", "a message_id of 129 bytes is refused",
     .run = message_id_of_129},
    {"header.message_id.http", CORE, "2", "every response carries MIG-Message-ID",
     .run = id_on_every_response},
    {"header.message_id.same", CORE, "2", "MIG-Message-ID is the id of the envelope",
     .run = echoes_header_id},
    {"header.timestamp.default", CORE, "2", "the timestamp is RFC 3339 in UTC", 0, hello, NULL,
     "{'header':{'tenant_id':'${T}'}}", "200; /header/timestamp : time"},
    {"header.timestamp.offset", CORE, "1", "a timestamp with an offset is taken", 0, hello, NULL,
     HELLO("'timestamp':'2026-01-02T03:04:05+02:00'"), "200; /header/timestamp : string"},
    {"header.timestamp.bad", CORE, "2", "a timestamp that is none is refused", 0, hello, NULL,
     HELLO("'timestamp':'yesterday'"), "MIG_INVALID_REQUEST"},
    {"header.session.echo", CORE, "2", "the session_id comes back", 0, hello, NULL,
     HELLO("'session_id':'${N}'"), "200; /header/session_id = '${N}'"},
    {"header.session.empty", CORE, "2", "an empty session_id is left out", 0, hello, NULL,
     HELLO("'session_id':''"), "200; /header/session_id : absent"},
    {"header.traceparent.echo", CORE, "2", "a traceparent comes back unchanged", 0, hello, NULL,
     HELLO("'traceparent':'00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'"),
     "200; /header/traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'"},
    {"header.traceparent.bad", CORE, "2", "an invalid traceparent is dropped, not an error", 0,
     hello, NULL, HELLO("'traceparent':'nonsense'"), "200; /header/traceparent != 'nonsense'"},
    {"header.idempotency.empty", CORE, "2", "an empty idempotency_key is left out", 0, hello, NULL,
     HELLO("'idempotency_key':''"), "200; /header/idempotency_key : absent"},
    {"header.deadline.default", CORE, "2", "a missing deadline_ms is 30000", 0, hello, NULL,
     "{'header':{'tenant_id':'${T}'}}", "200; /header/deadline_ms = 30000"},
    {"header.deadline.zero", CORE, "2", "deadline_ms 0 is 30000", 0, hello, NULL,
     HELLO("'deadline_ms':0"), "200; /header/deadline_ms = 30000"},
    {"header.deadline.negative", CORE, "2", "a negative deadline_ms is 30000", 0, hello, NULL,
     HELLO("'deadline_ms':-5"), "200; /header/deadline_ms = 30000"},
    {"header.deadline.echo", CORE, "2", "the effective deadline_ms is shown", 0, hello, NULL,
     HELLO("'deadline_ms':4321"), "200; /header/deadline_ms = 4321"},
    {"header.deadline.clamped", CORE, "2", "a huge deadline_ms is clamped", 0, hello, NULL,
     HELLO("'deadline_ms':2000000000"), "200; /header/deadline_ms < 2000000000"},
    {"header.deadline.type", CORE, "2", "a deadline_ms that is no integer is refused", 0, hello,
     NULL, HELLO("'deadline_ms':'soon'"), "MIG_INVALID_REQUEST"},
    {"header.meta.default", CORE, "2", "the meta of a response is an object", 0, hello, NULL,
     "{'header':{'tenant_id':'${T}'}}", "200; /header/meta : object"},
    {"header.meta.type", CORE, "2", "a meta that is no object is refused", 0, hello, NULL,
     HELLO("'meta':['x']"), "MIG_INVALID_REQUEST"},
    {"header.meta.keys", CORE, "2", "65 meta keys are refused", .run = too_many_meta_keys},
    {"header.meta.size", CORE, "2", "17 KiB of meta are refused", .run = too_large_meta},
    {"header.meta.echo", CORE, "2", "unknown meta keys come back", 0, hello, NULL,
     HELLO("'meta':{'acme.note':{'a':[1,'b']}}"), "200; /header/meta/acme.note = {'a':[1,'b']}"},
    {"header.meta.idg", CORE, "2", "idg.* keys of a client are dropped", 0, invoke, NULL,
     INFER("'meta':{'idg.own':'x','idg.principal_subject':'root','idg.principal_scopes':['all']}"),
     "200; /header/meta/idg.own : absent; /header/meta/idg.principal_subject != 'root'; "
     "/header/meta/idg.principal_scopes != ['all']"},
    {"header.meta.server", CORE, "2", "the four idg.* keys are on a response", 0, invoke, NULL,
     plain,
     "200; /header/meta/idg.principal_subject : text; /header/meta/idg.principal_scopes : array; "
     "/header/meta/idg.product_tier : text; /header/meta/idg.meter_key = "
     "'invocations_capability_tier'"},
    {"header.meta.anonymous", CORE, "2", "nobody is anonymous, without scopes", NEED_NO_TOKEN,
     invoke, "-X-Actor", plain,
     "200; /header/meta/idg.principal_subject = 'anonymous'; /header/meta/idg.principal_scopes = "
     "[]"},
    {"header.meta.binding", CORE, "2", "mig.binding is http", 0, invoke, NULL, plain,
     "200; /header/meta/mig.binding = 'http'"},
    {"header.absent", CORE, "2", "a missing header is the same as {}", 0, hello, NULL,
     "{'supported_versions':['0.1']}", "200; /header/tenant_id = '${T}'"},
    {"header.null", CORE, "2", "a null header is the same as {}", 0, hello, NULL, "{'header':null}",
     "200; /header/tenant_id = '${T}'"},
    {"header.payload.null", CORE, "2", "a null payload is the same as {}", .run = null_payload},
    {"header.unknown", CORE, "2", "unknown members are ignored", 0, invoke, NULL,
     "{'header':{'tenant_id':'${T}','color':'red'},${P},'shape':{'round':true}}", "200"},
    {"header.error", CORE, "2", "an error has the header of its request", 0, "POST invoke/no.such",
     NULL, "{'header':{'tenant_id':'${T}','message_id':'${N}','session_id':'s1'},${P}}",
     "404; /header/message_id = '${N}'; /header/session_id = 's1'; /header/tenant_id = '${T}'; "
     "/header/mig_version = '0.1'; /header/timestamp : time"},
    {"mirror.version", CORE, "2", "the header MIG-Version counts", 0, hello, "MIG-Version: 9.9",
     "{}", "MIG_VERSION_MISMATCH"},
    {"mirror.message_id", CORE, "2", "the header MIG-Message-ID counts", 0, hello,
     "MIG-Message-ID: ${N}", "{}", "200; /header/message_id = '${N}'; head MIG-Message-ID = ${N}"},
    {"mirror.session", CORE, "2", "the header MIG-Session-ID counts", 0, hello,
     "MIG-Session-ID: ${N}", "{}", "200; /header/session_id = '${N}'"},
    {"mirror.traceparent", CORE, "2", "the header traceparent counts", 0, hello,
     "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "{}",
     "200; /header/traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'"},
    {"mirror.idempotency", CORE, "2", "the header Idempotency-Key counts", 0, hello,
     "Idempotency-Key: ${N}", "{}", "200; /header/idempotency_key = '${N}'"},
    {"mirror.deadline", CORE, "2", "the header MIG-Deadline-Ms counts", 0, hello,
     "MIG-Deadline-Ms: 4321", "{}", "200; /header/deadline_ms = 4321"},
    {"mirror.body_wins", CORE, "2", "the body wins over HTTP headers", .run = body_wins},
};
const struct check_table header_checks = {header_rows, countof(header_rows)};

/* ---- section 3 --------------------------------------------------------------------------------
 */

static void tenant_of_65(struct probe *p)
{
    CLEANUP(buf_deinit) struct buf b = {0};

    add_long(&b, "{'header':{'tenant_id':'", 't', 65, "'}}");
    ask(p, hello, "-X-Tenant-ID", b.ptr, "MIG_INVALID_REQUEST; says tenant_id is required");
}

static void second_token_is_another_tenant(struct probe *p)
{
    if (!p->second_token) {
        skip_check(p, "needs --second-token");
        return;
    }
    ask(p, hello, "${SECOND}", "{'header':{'tenant_id':'${T}'}}", "MIG_FORBIDDEN");
}

#define BARE "-X-Tenant-ID"
#define REFUSED "MIG_INVALID_REQUEST; says tenant_id is required"

static const struct check tenant_rows[] = {
    {"tenant.from_header", CORE, "3", "the tenant comes from X-Tenant-ID", NEED_NO_TOKEN, hello,
     NULL, "{}", "200; /header/tenant_id = '${T}'"},
    {"tenant.from_body", CORE, "3", "the tenant comes from the body", 0, hello, BARE,
     "{'header':{'tenant_id':'${T}'}}", "200; /header/tenant_id = '${T}'"},
    {"tenant.mismatch", CORE, "3", "another tenant in the body than in the header is refused", 0,
     hello, NULL, "{'header':{'tenant_id':'someone-else'}}", "MIG_FORBIDDEN"},
    {"tenant.none", CORE, "3", "a request without tenant is refused", NEED_NO_TOKEN, hello, BARE,
     "{}", REFUSED},
    {"tenant.unknown", CORE, "1", "the tenant `unknown` is refused", NEED_NO_TOKEN, hello, BARE,
     "{'header':{'tenant_id':'unknown'}}", REFUSED},
    {"tenant.error", CORE, "10", "an error without a tenant says `unknown`", NEED_NO_TOKEN, hello,
     BARE, "{}", "400; /header/tenant_id = 'unknown'; /header/message_id : text"},
    {"tenant.dot", CORE, "1", "a tenant with a dot is refused", NEED_NO_TOKEN, hello, BARE,
     "{'header':{'tenant_id':'a.b'}}", REFUSED},
    {"tenant.dash", CORE, "1", "a tenant that begins with a dash is refused", NEED_NO_TOKEN, hello,
     BARE, "{'header':{'tenant_id':'-a'}}", REFUSED},
    {"tenant.long", CORE, "1", "a tenant of 65 bytes is refused", NEED_NO_TOKEN,
     .run = tenant_of_65},
    {"tenant.placeholder", CORE, "3", "the placeholder mcp-adapter gives way to the tenant", 0,
     hello, NULL, "{'header':{'tenant_id':'mcp-adapter'}}", "200; /header/tenant_id = '${T}'"},
    {"tenant.second", CORE, "3", "a second tenant is served as itself", NEED_SECOND, hello,
     "${SECOND}", "{'header':{'tenant_id':'${U}'}}", "200; /header/tenant_id = '${U}'"},
    {"token.missing", CORE, "3", "a request without a token is refused", NEED_TOKEN, hello,
     "-Authorization", "{${I}}",
     "MIG_UNAUTHORIZED; says missing bearer token; head WWW-Authenticate ~ Bearer"},
    {"token.scheme", CORE, "3", "another scheme than Bearer is refused", NEED_TOKEN, hello,
     "Authorization: Basic YTpi", "{${I}}", "MIG_UNAUTHORIZED"},
    {"token.bad", CORE, "3", "a token that is none is refused", NEED_TOKEN, hello,
     "Authorization: Bearer x.y.z", "{${I}}", "MIG_UNAUTHORIZED; says invalid bearer token"},
    {"token.alg_none", CORE, "4", "a token without a signature is refused", NEED_TOKEN, hello,
     "Authorization: Bearer eyJhbGciOiJub25lIn0.eyJ0ZW5hbnRfaWQiOiJhY21lIiwic3ViIjoieCJ9.",
     "{${I}}", "MIG_UNAUTHORIZED"},
    {"token.tenant", CORE, "3", "the tenant comes from the token", NEED_TOKEN, hello, BARE, "{}",
     "200; /header/tenant_id = '${T}'"},
    {"token.header", CORE, "3", "another X-Tenant-ID than the token's is refused", NEED_TOKEN,
     hello, "X-Tenant-ID: someone-else", "{}", "MIG_FORBIDDEN; says tenant header does not match"},
    {"token.body", CORE, "3", "another tenant in the body than the token's is refused", NEED_TOKEN,
     hello, BARE, "{'header':{'tenant_id':'someone-else'}}",
     "MIG_FORBIDDEN; says tenant_id does not match"},
    {"token.actor", CORE, "3", "X-Actor does not change who a token is", NEED_TOKEN, invoke,
     "X-Actor: somebody-else", plain, "200; /header/meta/idg.principal_subject != 'somebody-else'"},
    {"token.second", CORE, "3", "a token of another tenant does not speak for this one", NEED_TOKEN,
     .run = second_token_is_another_tenant},
};
const struct check_table tenant_checks = {tenant_rows, countof(tenant_rows)};
