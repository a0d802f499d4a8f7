/* quota.h: how many invocations of a tenant may succeed, for good or within a window that begins with
 * its first invocation. Exact: each invocation reserves one before it runs, and gives it back when it
 * does not succeed. Reservations do not outlive the process. [any], but where said. */
#ifndef CORE_QUOTA_H
#define CORE_QUOTA_H
#include "base/buf.h"
#include "base/diag.h"
#include "core/tenants.h"

struct core;

struct quota_spec {
    uint64_t max;       /* from 1                     */
    uint64_t window_ms; /* 0: for good                */
};
/* What callers need to have. A changed window begins anew; a changed maximum alone keeps what was used. */
void quota_set(struct tenants *all, struct tenant *t, const struct quota_spec *spec);

/* One more for t. 0: none is left, *ret_wait_ms until the window ends (0: never). Otherwise the
 * window's number, for quota_return(). now_ms: wall clock. */
uint64_t quota_take(struct tenants *all, struct tenant *t, uint64_t now_ms, uint64_t *ret_wait_ms);
/* The invocation has ended. is_used: it succeeded (and is counted in t->done by the caller). */
void quota_return(struct tenants *all, struct tenant *t, uint64_t epoch, bool is_used);
/* Would quota_take() refuse? */
bool quota_is_used_up(struct tenants *all, struct tenant *t, uint64_t now_ms);

/* {"tenant_id":..,"max_invocations":..,"window_seconds":..?} without the closing brace. */
void quota_json(struct tenants *all, struct tenant *t, struct buf *out);
/* The same with "used". */
void quota_json_used(struct tenants *all, struct tenant *t, uint64_t now_ms, struct buf *out);

/* Rows of STORE_QUOTA. */
enum { QUOTA_ROW = 32 };
#define QUOTA_NAME S("quota")
/* Under the lock. */
void quota_row(const struct tenant *t, char ret_row[QUOTA_ROW]);
/* Before the loops run. */
bool quota_open(struct core *core, struct diag *d);
#endif
