#include "main/tls_files.h"
#include "base/check.h"

#include <stdlib.h>

static void check_restart(const struct settings *s, const struct settings *before, struct diag *d)
{
    bool is_on = s->tls_cert_file, was_on = before->tls_cert_file;

    if (is_on != was_on)
        diag_error(d, ((struct diag_at){.file = settings_file(s)}), "setting.restart",
                   "tls.cert_file: to turn TLS %s needs a restart", is_on ? "on" : "off");
}

struct tls_context *tls_files_load(const struct settings *s, const struct settings *before,
                                   struct tls_tickets *tickets, struct diag *d)
{
    if (before)
        check_restart(s, before, d);
    if (!s->tls_cert_file)
        return NULL;
    struct tls_pair *more = calloc(s->tls_sni.count + 1, sizeof *more);
    must(more);
    for (size_t i = 0; i < s->tls_sni.count; i++) {
        const struct cert_pair *p = &s->tls_sni.items[i];
        more[i] = (struct tls_pair){p->cert_file, p->key_file, (const char *const *)p->names.items,
                                    p->names.count};
    }
    struct tls_context *t = tls_context_new(
        &(struct tls_options){
            .pair = {.cert_file = s->tls_cert_file, .key_file = s->tls_key_file},
            .more = more,
            .more_count = s->tls_sni.count,
            .client_ca_file = s->tls_client_ca_file,
            .ciphers = s->tls_ciphers,
            .is_13_only = !strcmp(s->tls_min_version, "1.3"),
            .tickets = tickets,
        },
        d);
    free(more);
    return t;
}
