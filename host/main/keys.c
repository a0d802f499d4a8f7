#include "main/keys.h"
#include "base/check.h"
#include "base/log.h"
#include "core/jwks_source.h"
#include "edge/identity.h"
#include "main/findings.h"
#include "net/fetch.h"

#include <stdio.h>
#include <stdlib.h>

static char *ca_file; /* of the key set's URL; kept as long as the process */

static bool fetch(void *ctx, const char *url, const _Atomic bool *stop, struct buf *out,
                  struct jwks_answer *ret)
{
    const struct fetch_limits limits = {.ca_file = ctx, .stop = stop};
    struct fetch_info info;
    bool ok = fetch_get(url, &limits, out, &info);

    if (ok && info.status == 200) {
        ret->has_max_age = info.has_max_age;
        ret->max_age_s = info.max_age_s;
        return true;
    }
    snprintf(ret->why, sizeof ret->why, "%s",
             ok               ? "the answer is not 200"
             : info.detail[0] ? info.detail
                              : info.fault);
    return false;
}

static struct identity_config config_of(const struct settings *s)
{
    return (struct identity_config){
        .secret = s->jwt_hs256_secret,
        .jwks_url = s->jwt_jwks_url,
        .key_files = (const char *const *)s->jwt_key_files.items,
        .key_file_count = s->jwt_key_files.count,
    };
}

struct jwks *keys_read(const struct settings *s, struct diag *d)
{
    const struct identity_config config = config_of(s);

    return strcmp(s->auth_mode, "jwt") == 0 ? identity_read_keys(&config, d) : NULL;
}

void keys_apply(struct core *core, struct jwks *keys)
{
    if (keys && core->identity && !identity_set_keys(core->identity, keys))
        log_error("jwks.full", F_U64("max", JWKS_KEYS_MAX),
                  F_Z("hint", "with those of the URL there are too many: the old keys of files and "
                              "the old secret stay"));
    jwks_unref(keys);
}

bool keys_open(struct core *core, const struct settings *s)
{
    struct diag d;

    if (strcmp(s->auth_mode, "jwt") != 0)
        return true;
    free(ca_file);
    ca_file = s->jwt_ca_file ? str_dup(str_of(s->jwt_ca_file)) : NULL;
    diag_init(&d);
    const struct identity_config config = config_of(s);
    core->identity = identity_new(core, &config, fetch, ca_file, &d);
    findings_print(&d, stderr);
    diag_deinit(&d);
    return core->identity != NULL;
}

void keys_close(struct core *core, void (*done)(void *arg), void *arg)
{
    struct identity *i = core->identity;

    core->identity = NULL;
    if (i)
        identity_free(i, done, arg);
    else
        done(arg);
}
