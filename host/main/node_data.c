/* What outlives the process, or would: the store, and what is read of it at a start. */
#include "base/clock.h"
#include "core/accounts.h"
#include "core/consumers.h"
#include "core/events.h"
#include "core/idem.h"
#include "core/quota.h"
#include "core/usage.h"
#include "main/findings.h"
#include "main/node.h"
#include "main/registries.h"
#include "store/store.h"

struct store *node_open_store(const struct settings *s, struct diag *d)
{
    struct store_settings how = STORE_DEFAULTS;

    how.dir = s->data_dir;
    how.fsync = !strcmp(s->event_fsync, "always")  ? STORE_FSYNC_ALWAYS
                : !strcmp(s->event_fsync, "never") ? STORE_FSYNC_NEVER
                                                   : STORE_FSYNC_INTERVAL;
    return s->data_dir ? store_open_sqlite(&how, d) : store_open_memory(&how, d);
}

/* Idempotent results in memory need no copy in a store that is memory itself. */
static bool open_idem(struct node *n, bool is_kept, struct diag *d)
{
    return idem_open(&n->core->idem, is_kept ? n->store : NULL, clock_wall_ms(), d);
}

bool node_load_data(struct node *n, const struct settings *s)
{
    struct core *core = n->core;
    struct diag d;

    diag_init(&d);
    core->store = n->store;
    bool is_ok = events_open(core, &d) && consumers_open(core, &d) && quota_open(core, &d) &&
                 usage_open(core, &d) && accounts_open(core, &d) &&
                 open_idem(n, s->data_dir != NULL, &d);
    if (!is_ok)
        findings_print(&d, stderr);
    diag_deinit(&d);
    return is_ok;
}

bool node_load_registries(struct node *n, const struct settings *s)
{
    struct diag d;

    diag_init(&d);
    bool is_ok = registries_load(n, s, &d);
    if (!is_ok)
        findings_print(&d, stderr);
    diag_deinit(&d);
    return is_ok;
}

void node_close_data(struct node *n)
{
    struct core *core = n->core;

    store_close(n->store);
    core->store = n->store = NULL;
    accounts_close(core);
    idem_close(core->idem);
    events_close(core);
    consumers_close(core);
}
