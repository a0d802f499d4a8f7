#include "config/settings_table.h"
#include "base/check.h"
#include "base/yaml_scalar.h"

#include "config/source.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>

#define FIELD(name) offsetof(struct settings, name)
#define FLAG(k, field, value, ...)                                                                 \
    {                                                                                              \
        .key = k, .type = SETTING_BOOL, .offset = FIELD(field), .standard = value, __VA_ARGS__     \
    }
#define NUMBER(k, field, value, from, to, ...)                                                     \
    {                                                                                              \
        .key = k, .type = SETTING_INT, .offset = FIELD(field), .standard = value, .min = from,     \
        .max = to, __VA_ARGS__                                                                     \
    }
#define WORD(k, field, value, list, ...)                                                           \
    {                                                                                              \
        .key = k, .type = SETTING_WORD, .offset = FIELD(field), .standard = value, .words = list,  \
        __VA_ARGS__                                                                                \
    }
#define VALUE(k, kind, field, value, ...)                                                          \
    {                                                                                              \
        .key = k, .type = SETTING_##kind, .offset = FIELD(field), .standard = value, __VA_ARGS__   \
    }
#define RESTART .apply = SETTINGS_RESTART
#define DAY_MS 86400000

const struct setting settings_table[] = {
    VALUE("mig.addr", ADDR, addr, "127.0.0.1:8080", RESTART,
          .meaning = "Address that HTTP listens on. `:8080` is every address of the machine; "
                     "port 0 lets the kernel choose."),
    FLAG("insecure", is_insecure, "false", RESTART,
         .meaning = "Allows an address beyond loopback without authentication."),
    NUMBER("loops", loops, "0", 0, 255, RESTART,
           .meaning = "Event loop threads; 0 is one per core."),
    NUMBER("workers", workers, "16", 1, 256, RESTART, .meaning = "Threads for work that blocks."),
    VALUE("state_dir", PATH, state_dir, NULL, RESTART,
          .meaning = "Folder for what must survive a restart. Unset: the daemon chooses one."),
    VALUE("manifest", PATH, manifest, NULL,
          .meaning = "Adapter manifest: providers and what is published under which name."),
    VALUE("plugin_dirs", PATHS, plugin_dirs, NULL,
          .meaning = "Folders searched for modules and scripts. Unset: `plugins/` beside the "
                     "manifest and the installed ones."),
    FLAG("autoload", is_autoload, "true",
         .meaning = "Serves what lies in a plugin folder without a manifest entry."),
    FLAG("watch", is_watch, "false",
         .meaning = "Reloads by itself when a file of the configuration changes."),
    WORD("unmap", unmap, "never", "never|when-clean",
         .meaning = "Whether the code of a removed module that allows it is unmapped once no call "
                    "is left in it."),
    VALUE("control", LIST, control, "dev.migd.admin,dev.migd.pro",
          .meaning = "Ids of the plugins that may steer the daemon (`mig.control/1`)."),
    WORD("log.level", log_level, "info", "error|warn|info|debug",
         .meaning = "The least severe lines that are logged."),
    WORD("log.format", log_format, "auto", "auto|json|console",
         .meaning = "`auto` is `console` on a terminal and `json` elsewhere."),
    WORD("mig.auth_mode", auth_mode, "none", "none|jwt", RESTART,
         .complaint = "unsupported MIGD_AUTH_MODE", .meaning = "How callers prove who they are."),
    VALUE("mig.jwt_hs256_secret", SECRET, jwt_hs256_secret, NULL,
          .meaning = "Shared secret that signs tokens (HS256), at least 16 bytes. Never printed."),
    VALUE("mig.jwt_key_files", PATHS, jwt_key_files, NULL,
          .meaning = "Files with keys that sign tokens: PEM (public key or certificate) or JWKS. A "
                     "reload reads them anew."),
    VALUE("mig.jwt_jwks_url", TEXT, jwt_jwks_url, NULL, RESTART,
          .meaning = "URL of a key set, fetched again before it expires."),
    VALUE("mig.jwt_ca_file", PATH, jwt_ca_file, NULL, RESTART,
          .meaning = "Authorities that vouch for the server of the key set. Unset: the system's."),
    VALUE("mig.jwt_issuer", TEXT, jwt_issuer, NULL, .meaning = "`iss` that tokens must have."),
    VALUE("mig.jwt_audience", TEXT, jwt_audience, NULL, .meaning = "`aud` that tokens must have."),
    FLAG("mig.jwt_require_exp", jwt_require_exp, "false",
         .meaning = "Refuses tokens that never expire."),
    FLAG("mig.require_tenant_header", require_tenant_header, "false",
         .meaning = "Refuses requests without `X-Tenant-ID`."),
    WORD("mig.tenant_mode", tenant_mode, "open", "open|registered",
         .meaning = "`registered` serves only tenants of `POST /cloud/v0.1/tenants`."),
    VALUE("mig.placeholder_tenants", LIST, placeholder_tenants, "mcp-adapter",
          .meaning = "Tenant ids in a body that count as absent."),
    VALUE("mig.server_id", TEXT, server_id, "migd-core",
          .meaning = "Name of this server in HELLO and health answers."),
    VALUE("mig.admin_api_key", SECRET, admin_api_key, NULL,
          .meaning = "Key that the admin API asks for. Never printed."),
    VALUE("mig.admin_api_header", TOKEN, admin_api_header, "X-Admin-API-Key",
          .meaning = "Header that carries the admin key."),
    FLAG("mig.strict_json", is_strict_json, "false",
         .meaning = "Refuses unknown members in envelopes."),
    WORD("mig.validate_payloads", validate_payloads, "input", "off|input|both",
         .meaning = "Whether payloads, and results too, are checked against the schemas of their "
                    "capability."),
    NUMBER("mig.max_body_bytes", max_body_bytes, "4194304", 1024, 1 << 30,
           .meaning = "Largest request body."),
    NUMBER("mig.max_deadline_ms", max_deadline_ms, "300000", 1, DAY_MS,
           .meaning = "Longest deadline of a call; longer wishes are cut to it."),
    NUMBER("mig.max_inflight", max_inflight, "4096", 1, 1 << 20,
           .meaning = "Calls that run at a time; more get MIG_BACKPRESSURE."),
    NUMBER("mig.max_inflight_tenant", max_inflight_tenant, "1024", 1, 1 << 20,
           .meaning = "The same for one tenant."),
    WORD("mig.unbound_provider", unbound_provider, "echo", "echo|unavailable",
         .meaning = "What a capability without a provider answers."),
    FLAG("mig.bootstrap", is_bootstrap, "true", RESTART,
         .meaning = "Registers the default capability at the first start."),
    FLAG("mig.schema_immutable", is_schema_immutable, "false",
         .meaning = "Refuses changes of registered schemas."),
    NUMBER("mig.heartbeat_missed_limit", heartbeat_missed_limit, "3", 1, 1000,
           .meaning = "Heartbeats that a session may miss before the action is taken."),
    WORD("mig.heartbeat_action", heartbeat_action, "none", "none|close",
         .meaning = "What happens to a session that has missed them: nothing, or its streams are "
                    "cancelled."),
    FLAG("mig.enable_metrics", is_metrics, "true", .meaning = "Serves `/metrics`."),
    VALUE("mig.data_dir", PATH, data_dir, NULL, RESTART,
          .meaning = "Folder of what survives a restart: events, consumers, idempotent results, "
                     "registries. Unset: memory."),
    NUMBER("mig.event_max_per_topic", event_max_per_topic, "10000", 1, 1000000000,
           .meaning = "Events that a topic keeps."),
    NUMBER("mig.event_max_age_s", event_max_age_s, "86400", 1, 315360000,
           .meaning = "How long a topic keeps an event."),
    NUMBER("mig.event_max_bytes", event_max_bytes, "67108864", 1024, (int64_t)1 << 40,
           .meaning = "Bytes of events that a topic keeps."),
    NUMBER("mig.event_max_topics_per_tenant", event_max_topics, "10000", 1, 100000,
           .meaning = "Topics of a tenant; more are refused. One that had events counts for good. "
                      "The node has at most 100000."),
    WORD("mig.event_fsync", event_fsync, "interval", "always|interval|never", RESTART,
         .meaning = "When what was acknowledged also survives a power cut: at once, within 100 ms, "
                    "or when the system likes. It always survives the death of the process."),
    WORD("mig.subscribe_default_cursor", subscribe_default_cursor, "0", "0|latest",
         .meaning = "Where a subscription without a cursor begins: with all that is kept, or with "
                    "what comes."),
    NUMBER("mig.consumer_ttl_s", consumer_ttl_s, "604800", 1, 315360000,
           .meaning = "How long the position of a consumer is kept."),
    NUMBER("mig.replay_rate", replay_rate, "1000", 1, 1000000,
           .meaning = "Old events per second that one subscription gets."),
    NUMBER("mig.replay_quota", replay_quota, "100000", 1, (int64_t)1 << 40,
           .meaning = "Old events that a consumer gets within an hour."),
    NUMBER("mig.max_streams_per_conn", max_streams_per_conn, "128", 1, 65536,
           .meaning = "Streams that a WebSocket may have at a time."),
    NUMBER("mig.idempotency_ttl_s", idempotency_ttl_s, "3600", 1, 31536000,
           .meaning =
               "How long a repetition with the same `idempotency_key` gets the first result."),
    NUMBER("mig.idempotency_max", idempotency_max, "100000", 1, 10000000,
           .meaning = "Results that are kept for repetitions; the oldest go first."),
    NUMBER("mig.idempotency_max_bytes", idempotency_max_bytes, "67108864", 65536, (int64_t)1 << 40,
           .meaning = "Memory of these results."),
    NUMBER("mig.rate_limit_tenant_rps", rate_limit_tenant_rps, "0", 0, 1000000,
           .meaning = "Invocations per second of one tenant; 0 is no limit."),
    NUMBER("mig.rate_limit_tenant_burst", rate_limit_tenant_burst, "0", 0, 1000000,
           .meaning = "How many of them at once; 0 is what one second allows."),
    NUMBER("mig.rate_limit_client_rps", rate_limit_client_rps, "0", 0, 1000000,
           .meaning = "Invocations per second from one address (IPv6: one /64); 0 is no limit."),
    NUMBER("mig.rate_limit_client_burst", rate_limit_client_burst, "0", 0, 1000000,
           .meaning = "How many of them at once; 0 is what one second allows."),
    NUMBER("mig.stream_queue", stream_queue, "256", 1, 65536,
           .meaning = "Frames that a stream may have on the way to a slow client."),
    NUMBER("mig.stream_stall_ms", stream_stall_ms, "30000", 1, DAY_MS,
           .meaning = "How long a stream waits for a client that takes no frame."),
    NUMBER("mig.metrics_max_series", metrics_max_series, "2000", 10, 1000000,
           .meaning =
               "Combinations of capability and tenant, topics, consumers that are counted by "
               "name; later ones are counted as `other`."),
    WORD("mig.metrics_auth", metrics_auth, "inherit", "inherit|open",
         .meaning = "`open` serves `/metrics` without the admin key, to every address."),
    VALUE("mig.trace_ratio", RATIO, trace_ratio, "0",
          .meaning = "Share of the operations that are traced when the caller does not say."),
    VALUE("mig.otlp_endpoint", TEXT, otlp_endpoint, NULL, RESTART,
          .meaning = "Base URL of an OpenTelemetry collector (OTLP/HTTP, JSON). Unset: "
                     "`OTEL_EXPORTER_OTLP_ENDPOINT`, else no spans leave."),
    VALUE("mig.audit_log_path", PATH, audit_log_path, NULL, RESTART,
          .meaning = "File of the audit: one JSON object per line."),
    FLAG("mig.audit_required", is_audit_required, "false",
         .meaning = "Refuses calls with MIG_UNAVAILABLE while that file cannot be written."),
    FLAG("mig.audit_chain", is_audit_chain, "false", RESTART,
         .meaning = "Each line of that file carries the SHA-256 of the line before."),
    NUMBER("mig.audit_max_bytes", audit_max_bytes, "0", 0, 1ll << 40,
           .meaning = "A larger file is moved to `.1`; 0 is never."),
    NUMBER("mig.audit_keep", audit_keep, "7", 0, 1000, .meaning = "How many moved files are kept."),
    NUMBER("mig.audit_max", audit_max, "100000", 0, 100000000,
           .meaning = "Records kept in memory for the export; 0 is none."),
    NUMBER("mig.audit_memory_bytes", audit_memory_bytes, "16777216", 131072, 1ll << 40,
           .meaning = "Memory for them; when it is reached the oldest go, however few there are."),
    NUMBER("http.header_timeout_ms", header_timeout_ms, "10000", 1, DAY_MS,
           .meaning = "Time for the head of a request."),
    NUMBER("http.body_timeout_ms", body_timeout_ms, "10000", 1, DAY_MS,
           .meaning = "Time without a byte of a request body."),
    NUMBER("http.idle_timeout_ms", idle_timeout_ms, "75000", 1, DAY_MS,
           .meaning = "Time that a connection may wait for its next request."),
    NUMBER("http.write_timeout_ms", write_timeout_ms, "30000", 1, DAY_MS,
           .meaning = "Time in which the client takes no byte of an answer."),
    NUMBER("http.max_header_bytes", max_header_bytes, "16384", 1024, 1 << 20,
           .meaning = "Largest head of a request, all headers together."),
    NUMBER("http.max_headers", max_headers, "100", 8, 1000, .meaning = "Headers of a request."),
    NUMBER("http.max_url_bytes", max_url_bytes, "8192", 256, 1 << 20,
           .meaning = "Longest request target."),
    NUMBER("http.max_connections", max_connections, "10000", 1, 10000000,
           .meaning = "Open connections per event loop."),
    NUMBER("http.max_streams", max_streams, "128", 1, 10000,
           .meaning = "Requests that one HTTP/2 connection may have at a time."),
    FLAG("mig.require_tls", require_tls, "false",
         .meaning = "Refuses to start with an address beyond loopback that has no TLS."),
    VALUE("tls.addr", ADDR, tls_addr, NULL, RESTART,
          .meaning =
              "Address of a listener with TLS beside the plain one. Unset: `mig.addr` itself "
              "speaks TLS once there is a certificate."),
    VALUE("tls.cert_file", PATH, tls_cert_file, NULL,
          .meaning =
              "Certificate chain, PEM. Read anew by each reload. To turn TLS on or off needs "
              "a restart."),
    VALUE("tls.key_file", PATH, tls_key_file, NULL, .meaning = "Its key, PEM, no pass phrase."),
    VALUE("tls.client_ca_file", PATH, tls_client_ca_file, NULL,
          .meaning = "Authorities, PEM: clients must show a certificate from one of them. In mode "
                     "`none` its O is the tenant and its CN the actor."),
    WORD("tls.min_version", tls_min_version, "1.2", "1.2|1.3",
         .meaning = "The oldest version of TLS that is spoken."),
    VALUE("tls.ciphers", TEXT, tls_ciphers, NULL,
          .meaning = "Cipher list of TLS 1.2 in OpenSSL's words. Unset: OpenSSL's choice."),
    VALUE("tls.sni", CERTS, tls_sni, NULL,
          .meaning = "Further certificates by server name: a list of `{names: [a.example.org, "
                     "\"*.example.org\"], cert_file: ..., key_file: ...}`."),
    NUMBER("tls.handshake_timeout_ms", handshake_timeout_ms, "10000", 1, DAY_MS,
           .meaning = "Time for the TLS handshake of a connection."),
    FLAG("http.compress", compresses, "true",
         .meaning = "Compresses answers (zstd, gzip) for clients that ask with `Accept-Encoding`."),
    NUMBER("http.compress_min", compress_min, "1024", 64, 1 << 30,
           .meaning = "Smallest answer that is compressed, in bytes."),
    VALUE("http.cors_origins", LIST, cors_origins, NULL, .is_item = setting_is_origin,
          .items = "origin: write scheme://host or scheme://host:port, or *",
          .meaning = "Origins whose pages may read answers and open WebSockets; `*` is all. Unset: "
                     "none but the gateway's own."),
    VALUE("http.hosts", LIST, hosts, NULL, .is_item = setting_is_host,
          .items = "host name: write example.org or *.example.org, without a port",
          .meaning = "Names under which the gateway is asked; requests for others get 421. "
                     "`*.example.org` is every name below it. Unset: any name."),
    VALUE("http.trusted_proxies", LIST, trusted_proxies, NULL, .is_item = setting_is_cidr,
          .items = "address or block: write 10.0.0.0/8 or fd00::/8",
          .meaning = "Addresses and blocks of the proxies that are believed when they say who the "
                     "client is. Unset: nobody is."),
    WORD("http.forwarded", forwarded, "x-forwarded", "x-forwarded|forwarded",
         .meaning = "What trusted proxies write: `X-Forwarded-For` and `X-Forwarded-Proto`, or "
                    "`Forwarded` (RFC 7239). The other is ignored."),
    VALUE("http.access_log", PATH, access_log, NULL, RESTART,
          .meaning = "File that gets a line of JSON per request; `-` is standard output. Unset: "
                     "none. Reopened by `SIGUSR1` and by a reload."),
    FLAG("http.request_ids", request_ids, "false",
         .meaning =
             "Gives requests without `X-Request-ID` one. Those that come are repeated in any "
             "case."),
    FLAG("http.server_timing", server_timing, "false",
         .meaning = "Tells in `Server-Timing` how long requests took; `--dev` turns it on."),
    NUMBER("stream.credit_bytes", stream_credit_bytes, "4194304", 1024, 1 << 30,
           .meaning = "Bytes that a stream may have on the way to a slow client."),
    NUMBER("instance.max_concurrency", instance_concurrency, "64", 1, 10000,
           .meaning = "Blocking handlers of one provider that run at a time."),
    NUMBER("instance.queue", instance_queue, "1024", 0, 100000,
           .meaning = "Calls that wait behind them; more get MIG_BACKPRESSURE."),
    NUMBER("life.timeout_ms", life_timeout_ms, "10000", 1, DAY_MS,
           .meaning = "Time for each step of a provider's life: create, describe, start, quiesce, "
                      "destroy."),
    NUMBER("stop.timeout_ms", stop_timeout_ms, "10000", 0, DAY_MS,
           .meaning = "Time for running calls when the daemon stops."),
    NUMBER("drain.grace_ms", drain_grace_ms, "60000", 0, DAY_MS,
           .meaning = "Time for running calls of a replaced generation."),
    NUMBER("drain.streams_ms", drain_streams_ms, "600000", 0, DAY_MS,
           .meaning = "The same for streams."),
    NUMBER("watchdog.stall_ms", stall_ms, "50", 1, 60000,
           .meaning = "An event loop that stands still for longer is reported."),
    NUMBER("kv.max_bytes", kv_max_bytes, "67108864", 1024, 1ll << 40,
           .meaning = "Memory of the key-value store, all namespaces together."),
    NUMBER("kv.max_value_bytes", kv_max_value_bytes, "1048576", 1, 1 << 30,
           .meaning = "Largest value in the key-value store."),
    NUMBER("kv.max_keys", kv_max_keys, "100000", 1, 100000000,
           .meaning = "Keys in the key-value store."),
};

const size_t settings_count = countof(settings_table);
static_assert(countof(settings_table) <= SETTINGS_MAX, "raise SETTINGS_MAX");

const struct setting *setting_find(str key)
{
    for (size_t i = 0; i < settings_count; i++)
        if (str_eq(key, str_of(settings_table[i].key)))
            return &settings_table[i];
    return NULL;
}

void setting_env_name(const struct setting *k, char ret_name[SETTING_NAME_MAX])
{
    str key = str_of(k->key);
    size_t n = 5;

    key = str_starts(key, S("mig.")) ? str_cut(key, 4) : key;
    must(key.len + n < SETTING_NAME_MAX);
    memcpy(ret_name, "MIGD_", n);
    for (size_t i = 0; i < key.len; i++) {
        char c = key.ptr[i];
        ret_name[n++] = c == '.' ? '_' : c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
    ret_name[n] = 0;
}

/* Values -------------------------------------------------------------------------------------- */

static bool replace(struct settings *s, const struct setting *k, char *value)
{
    char **slot = setting_at(k, s);

    must(value);
    free(*slot);
    *slot = value;
    return true;
}

bool setting_parse_bool(str text, bool *ret)
{
    static const char *const words[2][6] = {{"0", "f", "F", "FALSE", "false", "False"},
                                            {"1", "t", "T", "TRUE", "true", "True"}};

    for (size_t i = 0; i < countof(words[0]); i++)
        for (int value = 0; value < 2; value++)
            if (str_eq(text, str_of(words[value][i]))) {
                *ret = value;
                return true;
            }
    return false;
}

/* Each of these: false when the text is no such value, with a finding. */
typedef bool set_fn(struct settings *s, const struct setting *k, str text,
                    const struct setting_origin *from, struct diag *d);

static bool set_bool(struct settings *s, const struct setting *k, str text,
                     const struct setting_origin *from, struct diag *d)
{
    if (setting_parse_bool(text, setting_at(k, s)))
        return true;
    diag_error(d, from->at, "setting.type", "%s: must be true or false, not \"%.*s\"", from->name,
               STR_ARG(yaml_shown(text)));
    return false;
}

static bool set_int(struct settings *s, const struct setting *k, str text,
                    const struct setting_origin *from, struct diag *d)
{
    int64_t value;

    if (!str_to_i64(text, &value)) {
        diag_error(d, from->at, "setting.type", "%s: must be an integer, not \"%.*s\"", from->name,
                   STR_ARG(yaml_shown(text)));
        return false;
    }
    if (value < k->min || value > k->max) {
        diag_error(d, from->at, "setting.range", "%s: must be from %lld to %lld, not %lld",
                   from->name, (long long)k->min, (long long)k->max, (long long)value);
        return false;
    }
    *(int64_t *)setting_at(k, s) = value;
    return true;
}

/* Plain decimals from 0 to 1: 0, 0.25, .5, 1 */
static bool parse_ratio(str text, int64_t *ret)
{
    str fraction = text, whole = str_split(&fraction, '.');
    int64_t unit = RATIO_ONE, value = str_eq(whole, S("1")) ? RATIO_ONE : 0;

    if (!text.len || (whole.len && !value && !str_eq(whole, S("0"))))
        return false;
    for (size_t i = 0; i < fraction.len; i++) {
        if (fraction.ptr[i] < '0' || fraction.ptr[i] > '9')
            return false;
        unit /= 10;
        value += (fraction.ptr[i] - '0') * unit;
    }
    *ret = value;
    return value <= RATIO_ONE;
}

static bool set_ratio(struct settings *s, const struct setting *k, str text,
                      const struct setting_origin *from, struct diag *d)
{
    int64_t value;

    if (parse_ratio(text, &value)) {
        *(int64_t *)setting_at(k, s) = value;
        return true;
    }
    diag_error(d, from->at, "setting.range", "%s: must be a number from 0 to 1, not \"%.*s\"",
               from->name, STR_ARG(yaml_shown(text)));
    return false;
}

static bool is_text(str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7F)
            return false;
    return text.len && text.len <= SETTING_TEXT_MAX;
}

static bool set_text(struct settings *s, const struct setting *k, str text,
                     const struct setting_origin *from, struct diag *d)
{
    if (is_text(text))
        return replace(s, k, str_dup(text));
    diag_error(d, from->at, "setting.value",
               "%s: must be a text of 1 to %d bytes without control characters", from->name,
               SETTING_TEXT_MAX);
    return false;
}

/* An empty text unsets it. */
static bool set_optional(struct settings *s, const struct setting *k, str text,
                         const struct setting_origin *from, struct diag *d)
{
    if (text.len)
        return set_text(s, k, text, from, d);
    setting_clear(s, k);
    return true;
}

static bool set_path(struct settings *s, const struct setting *k, str text,
                     const struct setting_origin *from, struct diag *d)
{
    if (!set_optional(s, k, text, from, d))
        return false;
    bool is_stdout = str_eq(text, S("-")); /* and no file of that name */
    return !text.len || is_stdout || replace(s, k, source_beside(from->beside, text));
}

/* RFC 9110 5.6.2. */
static bool set_token(struct settings *s, const struct setting *k, str text,
                      const struct setting_origin *from, struct diag *d)
{
    static const char allowed[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    for (size_t i = 0; i < text.len; i++)
        if (!memchr(allowed, text.ptr[i], sizeof allowed - 1)) {
            diag_error(d, from->at, "setting.value", "%s: \"%.*s\" cannot be a header name",
                       from->name, STR_ARG(yaml_shown(text)));
            return false;
        }
    return set_text(s, k, text, from, d);
}

static bool set_word(struct settings *s, const struct setting *k, str text,
                     const struct setting_origin *from, struct diag *d)
{
    struct buf list;

    for (str rest = str_of(k->words), word; rest.len;) {
        word = str_split(&rest, '|');
        if (from->is_lenient ? str_eq_nocase(word, text) : str_eq(word, text))
            return replace(s, k, str_dup(word));
    }
    buf_init(&list, 1024);
    for (str rest = str_of(k->words), word; rest.len;) {
        word = str_split(&rest, '|');
        buf_addf(&list, "%s%.*s", list.len ? ", " : "", STR_ARG(word));
    }
    if (k->complaint)
        diag_error(d, from->at, "setting.value", "%s \"%.*s\" (this version has: %.*s)",
                   k->complaint, STR_ARG(yaml_shown(text)), STR_ARG(buf_str(&list)));
    else
        diag_error(d, from->at, "setting.value", "%s: must be one of %.*s, not \"%.*s\"",
                   from->name, STR_ARG(buf_str(&list)), STR_ARG(yaml_shown(text)));
    buf_deinit(&list);
    return false;
}

/* "host:port" into its parts; an IPv6 host loses its brackets. */
static bool split_addr(str addr, str *ret_host, str *ret_port, bool *ret_is_v6)
{
    const char *colon = addr.len ? memrchr(addr.ptr, ':', addr.len) : NULL;

    if (!colon)
        return false;
    size_t n = (size_t)(colon - addr.ptr);
    str host = {addr.ptr, n};
    *ret_is_v6 = str_starts(host, S("[")) && str_ends(host, S("]"));
    *ret_host = *ret_is_v6 ? (str){host.ptr + 1, host.len - 2} : host;
    *ret_port = str_cut(addr, n + 1);
    return true;
}

static bool is_ip(int family, str host, void *ret_bytes)
{
    char z[64];

    if (host.len >= sizeof z)
        return false;
    memcpy(z, host.ptr, host.len);
    z[host.len] = 0;
    return inet_pton(family, z, ret_bytes) == 1;
}

/* A name, or an IPv4 address: what looks like a number must be one. */
static bool is_host(str host)
{
    struct in_addr v4;
    bool has_letter = false;

    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i], lower = (char)(c | 0x20);
        bool is_letter = lower >= 'a' && lower <= 'z';
        has_letter |= is_letter;
        if (!is_letter && !(c >= '0' && c <= '9') && c != '.' && c != '-')
            return false;
    }
    return host.len == 0 || (host.len < 254 && (has_letter || is_ip(AF_INET, host, &v4)));
}

static bool is_addr(str text)
{
    struct in6_addr v6;
    str host, port;
    uint64_t number;
    bool is_v6;

    return split_addr(text, &host, &port, &is_v6) && str_to_u64(port, &number) && number <= 65535 &&
           port.len <= 5 && (is_v6 ? is_ip(AF_INET6, host, &v6) : is_host(host));
}

bool setting_is_loopback(str addr)
{
    struct in6_addr v6;
    struct in_addr v4;
    str host, port;
    bool is_v6;

    if (!split_addr(addr, &host, &port, &is_v6))
        return false;
    if (is_v6)
        return is_ip(AF_INET6, host, &v6) && IN6_IS_ADDR_LOOPBACK(&v6);
    if (is_ip(AF_INET, host, &v4))
        return ntohl(v4.s_addr) >> 24 == 127;
    return str_eq_nocase(host, S("localhost")); // RFC 6761 6.3
}

static bool set_addr(struct settings *s, const struct setting *k, str text,
                     const struct setting_origin *from, struct diag *d)
{
    if (is_addr(text))
        return replace(s, k, str_dup(text));
    diag_error(d, from->at, "setting.address",
               "%s: \"%.*s\" is no address; write host:port, [v6]:port or :port, port 0 to 65535",
               from->name, STR_ARG(yaml_shown(text)));
    return false;
}

static bool set_list(struct settings *s, const struct setting *k, str text,
                     const struct setting_origin *from, struct diag *d)
{
    str items[SETTING_ITEMS_MAX + 1];
    size_t count = 0;

    while (text.len && count < countof(items)) {
        str item = str_trim(str_split(&text, ','));
        if (item.len)
            items[count++] = item;
    }
    return setting_set_items(s, k, items, count, from, d);
}

bool setting_set_items(struct settings *s, const struct setting *k, const str *items, size_t count,
                       const struct setting_origin *from, struct diag *d)
{
    if (count > SETTING_ITEMS_MAX) {
        diag_error(d, from->at, "setting.range", "%s: more than %d items", from->name,
                   SETTING_ITEMS_MAX);
        return false;
    }
    for (size_t i = 0; i < count; i++)
        if (!is_text(items[i])) {
            diag_error(d, from->at, "setting.value",
                       "%s: item %zu must be a text of 1 to %d bytes without control characters",
                       from->name, i + 1, SETTING_TEXT_MAX);
            return false;
        }
    for (size_t i = 0; k->is_item && i < count; i++)
        if (!k->is_item(items[i])) {
            diag_error(d, from->at, "setting.value", "%s: \"%.*s\" is no %s", from->name,
                       STR_ARG(yaml_shown(items[i])), k->items);
            return false;
        }
    struct str_list list = {calloc(count + 1, sizeof(char *)), count};
    must(list.items);
    for (size_t i = 0; i < count; i++) {
        const char *beside = k->type == SETTING_PATHS ? from->beside : NULL;
        must(list.items[i] = source_beside(beside, items[i]));
    }
    setting_clear(s, k);
    *(struct str_list *)setting_at(k, s) = list;
    return true;
}

bool setting_set(struct settings *s, const struct setting *k, str text,
                 const struct setting_origin *from, struct diag *d)
{
    static set_fn *const setters[] = {
        [SETTING_BOOL] = set_bool,
        [SETTING_INT] = set_int,
        [SETTING_TEXT] = set_text,
        [SETTING_TOKEN] = set_token,
        [SETTING_WORD] = set_word,
        [SETTING_ADDR] = set_addr,
        [SETTING_SECRET] = set_optional,
        [SETTING_PATH] = set_path,
        [SETTING_LIST] = set_list,
        [SETTING_PATHS] = set_list,
        [SETTING_CERTS] = setting_set_certs_text,
        [SETTING_RATIO] = set_ratio,
    };

    if (!str_is_utf8(text)) {
        diag_error(d, from->at, "setting.value", "%s: is not UTF-8", from->name);
        return false;
    }
    return setters[k->type](s, k, text, from, d);
}

void setting_clear(struct settings *s, const struct setting *k)
{
    if (k->type == SETTING_LIST || k->type == SETTING_PATHS) {
        struct str_list *list = setting_at(k, s);
        for (size_t i = 0; i < list->count; i++)
            free(list->items[i]);
        free(list->items);
        *list = (struct str_list){0};
    } else if (k->type == SETTING_CERTS) {
        setting_free_certs(setting_at(k, s));
    } else if (k->type != SETTING_BOOL && k->type != SETTING_INT && k->type != SETTING_RATIO) {
        char **slot = setting_at(k, s);
        free(*slot);
        *slot = NULL;
    }
}
