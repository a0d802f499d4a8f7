/* settings.h: what an operator can set about the process, from migd.yaml, the environment and the
 * command line (later wins). One table in settings.c names every key with its type, default, range,
 * environment variable, when a change applies, and a sentence for docs/reference/settings.md.
 *
 * A key "log.level" is written in YAML as log: {level: ...} or as "log.level: ...". Keys of the MIG
 * contract (mig-core.md 17) live under "mig.". ${VAR} and ${VAR:default} in string values of the
 * file are replaced from the environment before typing. Any thread reads; immutable when loaded. */
#ifndef CONFIG_SETTINGS_H
#define CONFIG_SETTINGS_H
#include "base/diag.h"

enum settings_apply { SETTINGS_LIVE, SETTINGS_RESTART };
enum unbound_provider { UNBOUND_ECHO, UNBOUND_UNAVAILABLE };
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_JSON, LOG_FORMAT_CONSOLE };

struct str_list {
    char **items;
    size_t count;
};

/* A certificate for some server names. */
struct cert_pair {
    struct str_list names;
    char *cert_file, *key_file;
};

struct cert_list {
    struct cert_pair *items;
    size_t count;
};

struct settings {
    /* process: a change needs a restart */
    char *
        addr; /* mig.addr         MIGD_ADDR "127.0.0.1:8080"; ":8080" = every address; port 0: any */
    bool is_insecure; /* insecure         MIGD_INSECURE */
    int64_t loops;    /* loops            MIGD_LOOPS 0: one per core; 1..255 */
    int64_t workers;  /* workers          MIGD_WORKERS 16; 1..256 */
    char *state_dir;  /* state_dir        MIGD_STATE_DIR; NULL: see main/ */
    char *
        manifest; /* manifest         MIGD_MANIFEST; path, relative to the settings file; NULL: none */
    /* modules */
    struct str_list
        plugin_dirs;  /* plugin_dirs    MIGD_PLUGIN_DIRS (comma); relative to the settings file */
    bool is_autoload; /* autoload         MIGD_AUTOLOAD true */
    bool is_watch;    /* watch            MIGD_WATCH false */
    char *unmap;      /* unmap            "never" | "when-clean" */
    struct str_list
        control; /* control          plugin ids granted mig.control/1; ["dev.migd.admin"] */
    /* log */
    char *log_level;  /* log.level        MIGD_LOG_LEVEL error|warn|info|debug */
    char *log_format; /* log.format       MIGD_LOG_FORMAT auto|json|console */
    /* MIG contract */
    char *auth_mode;                     /* mig.auth_mode    MIGD_AUTH_MODE none */
    bool require_tenant_header;          /* mig.require_tenant_header */
    struct str_list placeholder_tenants; /* mig.placeholder_tenants ["mcp-adapter"] */
    char *server_id;                     /* mig.server_id    "migd-core" */
    char *admin_api_key;         /* mig.admin_api_key MIGD_ADMIN_API_KEY; secret: never printed */
    char *admin_api_header;      /* mig.admin_api_header "X-Admin-API-Key" */
    bool is_strict_json;         /* mig.strict_json */
    int64_t max_body_bytes;      /* mig.max_body_bytes 4194304; 1024..1 GiB */
    int64_t max_deadline_ms;     /* mig.max_deadline_ms 300000; 1..86400000 */
    int64_t max_inflight;        /* mig.max_inflight 4096 */
    int64_t max_inflight_tenant; /* mig.max_inflight_tenant 1024 */
    char *unbound_provider;      /* mig.unbound_provider echo|unavailable */
    bool is_bootstrap;           /* mig.bootstrap true */
    bool is_schema_immutable;    /* mig.schema_immutable false */
    int64_t heartbeat_missed_limit; /* mig.heartbeat_missed_limit 3 */
    char *heartbeat_action;         /* mig.heartbeat_action none|close */
    bool is_metrics;                /* mig.enable_metrics true */
    int64_t metrics_max_series;     /* mig.metrics_max_series 2000 */
    char *metrics_auth;             /* mig.metrics_auth inherit|open */
    int64_t trace_ratio;            /* mig.trace_ratio 0..1, in millionths */
    char *otlp_endpoint;            /* mig.otlp_endpoint; NULL: none */
    char *audit_log_path;           /* mig.audit_log_path; NULL: none */
    bool is_audit_required;         /* mig.audit_required */
    bool is_audit_chain;            /* mig.audit_chain */
    int64_t audit_max;              /* mig.audit_max 100000, in memory */
    int64_t audit_memory_bytes;     /* mig.audit_memory_bytes 16777216 */
    int64_t audit_max_bytes;        /* mig.audit_max_bytes 0 */
    int64_t audit_keep;             /* mig.audit_keep 7 */
    /* HTTP */
    int64_t header_timeout_ms; /* http.header_timeout_ms 10000 */
    int64_t body_timeout_ms;   /* http.body_timeout_ms   10000, without a byte */
    int64_t idle_timeout_ms;   /* http.idle_timeout_ms   75000 */
    int64_t write_timeout_ms;  /* http.write_timeout_ms  30000, without a byte taken */
    int64_t max_header_bytes;  /* http.max_header_bytes  16384; 1024..1048576 */
    int64_t max_headers;       /* http.max_headers       100; 8..1000 */
    int64_t max_url_bytes;     /* http.max_url_bytes     8192 */
    int64_t max_connections;   /* http.max_connections   10000 per loop; restart not needed */
    int64_t max_streams;       /* http.max_streams       128 per HTTP/2 connection */
    /* TLS; on when there is a certificate. All but tls.addr with a reload, which reads the files anew */
    bool require_tls;             /* mig.require_tls    MIGD_REQUIRE_TLS */
    char *tls_addr;               /* tls.addr           NULL: mig.addr speaks TLS */
    char *tls_cert_file;          /* tls.cert_file      MIGD_TLS_CERT_FILE */
    char *tls_key_file;           /* tls.key_file       MIGD_TLS_KEY_FILE */
    char *tls_client_ca_file;     /* tls.client_ca_file MIGD_TLS_CLIENT_CA_FILE */
    char *tls_min_version;        /* tls.min_version    1.2|1.3 */
    char *tls_ciphers;            /* tls.ciphers        NULL: OpenSSL's choice */
    struct cert_list tls_sni;     /* tls.sni */
    int64_t handshake_timeout_ms; /* tls.handshake_timeout_ms 10000 */
    bool compresses;              /* http.compress          true */
    int64_t compress_min;         /* http.compress_min      1024 */
    struct str_list cors_origins, hosts, trusted_proxies; /* http.*, items checked */
    char *forwarded;    /* http.forwarded         x-forwarded|forwarded */
    char *access_log;   /* http.access_log        "-": standard output; NULL: none */
    bool request_ids;   /* http.request_ids */
    bool server_timing; /* http.server_timing */
    /* calls */
    int64_t stream_credit_bytes; /* stream.credit_bytes  262144 */
    char *data_dir;              /* mig.data_dir: NULL: memory */
    int64_t event_max_per_topic, event_max_age_s, event_max_bytes;
    int64_t event_max_topics; /* mig.event_max_topics_per_tenant 10000 */
    char *event_fsync, *subscribe_default_cursor;
    int64_t consumer_ttl_s, replay_rate, replay_quota;
    char *jwt_hs256_secret, *jwt_jwks_url, *jwt_ca_file, *jwt_issuer, *jwt_audience;
    struct str_list jwt_key_files;
    bool jwt_require_exp;
    char *validate_payloads;      /* mig.validate_payloads input  */
    int64_t max_streams_per_conn; /* mig.max_streams_per_conn 128 */
    int64_t stream_queue;         /* mig.stream_queue 256         */
    int64_t stream_stall_ms;      /* mig.stream_stall_ms 30000    */
    int64_t idempotency_ttl_s, idempotency_max, idempotency_max_bytes;
    int64_t rate_limit_tenant_rps, rate_limit_tenant_burst;
    int64_t rate_limit_client_rps, rate_limit_client_burst;
    char *tenant_mode; /* mig.tenant_mode open|registered */
    int64_t
        instance_concurrency; /* instance.max_concurrency 64: POOL handlers of one instance at a time */
    int64_t instance_queue;  /* instance.queue 1024: waiting behind them */
    int64_t life_timeout_ms; /* life.timeout_ms  10000: create, describe, start, quiesce, destroy */
    int64_t stop_timeout_ms; /* stop.timeout_ms  10000 */
    int64_t drain_grace_ms;  /* drain.grace_ms   60000 */
    int64_t drain_streams_ms;   /* drain.streams_ms 600000 */
    int64_t stall_ms;           /* watchdog.stall_ms 50 */
    int64_t kv_max_bytes;       /* kv.max_bytes 67108864, all namespaces together */
    int64_t kv_max_value_bytes; /* kv.max_value_bytes 1048576 */
    int64_t kv_max_keys;        /* kv.max_keys 100000 */
};

struct settings_source {
    const char *path; /* --config; NULL: search MIGD_CONFIG, ./migd.yaml, /etc/migd/migd.yaml */
    const char *const *environ; /* NULL-terminated "K=V" list; NULL: none */
    const char *const *flags;   /* NULL-terminated "key=value" from the command line; NULL: none */
};

/* All sources in order. NULL when d has errors: an unknown key (with the nearest known one), a
 * wrong type, a value out of range, a file that cannot be read. Unknown MIGD_* variables are
 * warnings, booleans that are none too (mig-core.md 17); other bad values are errors that name the
 * variable. */
struct settings *settings_load(const struct settings_source *src, struct diag *d);
void settings_free(struct settings *s);
static inline void settings_freep(struct settings **s)
{
    settings_free(*s);
}
/* Does mig.addr speak TLS? (There may be tls.addr beside it, then it does not.) */
static inline bool settings_is_tls(const struct settings *s)
{
    return s->tls_cert_file && !s->tls_addr;
}
/* Path of the file that was read, NULL when none was. */
const char *settings_file(const struct settings *s);
/* Effective settings as a JSON object with dotted keys, secrets as "***". */
void settings_json(const struct settings *s, struct buf *out);
/* Keys that differ and need a restart, as findings (errors) "setting.restart". */
void settings_need_restart(const struct settings *old, const struct settings *now, struct diag *d);
/* docs/reference/settings.md's table and manifests/schema/settings.json, from the same table. */
void settings_reference(struct buf *markdown);
void settings_schema(struct buf *json);
#endif
