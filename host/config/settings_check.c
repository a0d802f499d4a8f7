/* What settings must be together: who can reach the listeners, and what protects them. */
#include "config/settings_table.h"

static const char *name_of(const struct setting_origin *origins, str key)
{
    return origins[setting_find(key) - settings_table].name;
}

static struct diag_at at_of(const struct setting_origin *origins, str key)
{
    return origins[setting_find(key) - settings_table].at;
}

/* product.md 7, last row. A listener that wants client certificates knows who they are. */
static void check_exposure(const struct settings *s, const struct setting_origin *origins, str key,
                           const char *addr, bool is_tls, struct diag *d)
{
    bool is_known = strcmp(s->auth_mode, "none") != 0 || (is_tls && s->tls_client_ca_file);

    if (s->is_insecure || is_known || setting_is_loopback(str_of(addr)))
        return;
    diag_error(d, at_of(origins, key), "setting.insecure",
               "%s: %s is reachable from other machines and nobody is asked who they are; "
               "configure authentication (mig.auth_mode, or tls.client_ca_file for client "
               "certificates), or say `insecure: true` / MIGD_INSECURE=true",
               name_of(origins, key), addr);
}

/* mig-core.md, transport: plain text beyond this machine is a warning, and an error on request. */
static void check_plain(const struct settings *s, const struct setting_origin *origins,
                        struct diag *d)
{
    static const char text[] = "%s: %s is reachable from other machines without TLS; set "
                               "tls.cert_file and tls.key_file, or put a TLS proxy before it";

    if (settings_is_tls(s) || setting_is_loopback(str_of(s->addr)))
        return;
    diag_add(d, s->require_tls ? DIAG_ERROR : DIAG_WARNING, at_of(origins, S("mig.addr")),
             "setting.plaintext", text, name_of(origins, S("mig.addr")), s->addr);
}

static void check_pair(const struct settings *s, const struct setting_origin *origins,
                       struct diag *d)
{
    const struct {
        const char *key;
        bool is_set;
    } rest[] = {{"tls.addr", s->tls_addr},
                {"tls.client_ca_file", s->tls_client_ca_file},
                {"tls.sni", s->tls_sni.count}};

    if (!s->tls_cert_file != !s->tls_key_file) {
        str have = s->tls_cert_file ? S("tls.cert_file") : S("tls.key_file");
        diag_error(d, at_of(origins, have), "setting.tls",
                   "%s: a certificate and its key come together; tls.%s is missing",
                   name_of(origins, have), s->tls_cert_file ? "key_file" : "cert_file");
    }
    for (size_t i = 0; i < sizeof rest / sizeof *rest && !s->tls_cert_file; i++)
        if (rest[i].is_set)
            diag_error(d, at_of(origins, str_of(rest[i].key)), "setting.tls",
                       "%s: needs tls.cert_file and tls.key_file",
                       name_of(origins, str_of(rest[i].key)));
}

static void check_identity(const struct settings *s, const struct setting_origin *origins,
                           struct diag *d)
{
    bool has_keys = s->jwt_hs256_secret || s->jwt_jwks_url || s->jwt_key_files.count;

    if (!strcmp(s->auth_mode, "jwt") && !has_keys)
        diag_error(d, at_of(origins, S("mig.auth_mode")), "setting.jwt_keys",
                   "%s: mode jwt needs mig.jwt_hs256_secret (MIGD_JWT_HS256_SECRET), "
                   "mig.jwt_key_files or mig.jwt_jwks_url",
                   name_of(origins, S("mig.auth_mode")));
}

void settings_check(const struct settings *s, const struct setting_origin *origins, struct diag *d)
{
    check_exposure(s, origins, S("mig.addr"), s->addr, settings_is_tls(s), d);
    if (s->tls_addr)
        check_exposure(s, origins, S("tls.addr"), s->tls_addr, true, d);
    check_plain(s, origins, d);
    check_pair(s, origins, d);
    check_identity(s, origins, d);
}
