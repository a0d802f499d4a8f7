/* usage.h: successful invocations by (tenant, capability). A cell per pair hangs on its tenant and is
 * found without hashing; it also has the word of the capability's rate limit. Cells and capability ids
 * outlive generations and are bounded: what finds no room is counted together.
 *
 * Counted in memory and stored each second and at the stop: kill -9 takes back at most a second. */
#ifndef CORE_USAGE_H
#define CORE_USAGE_H
#include "base/buf.h"
#include "base/diag.h"
#include "core/tenants.h"

struct core;
struct usage;

/* A capability id as usage knows it. Immutable, lives as long as the usage. */
struct usage_name;

struct usage_cell {
    struct usage_cell *next;
    const struct usage_name *name;
    _Atomic uint64_t count;
    _Atomic uint64_t rate;
    uint64_t saved; /* control thread */
    bool is_saving; /* control thread */
};

enum { USAGE_NAMES_MAX = 65536, USAGE_CELLS_MAX = 262144 };

struct usage *usage_new(void);
/* With the cells of all tenants. */
void usage_free(struct usage *u, struct tenants *all);
/* [any] The name of a capability id, made when it is new. */
const struct usage_name *usage_name_of(struct usage *u, str capability);
/* [any] The cell of the pair, made when it is new; the common one when there is no room. */
struct usage_cell *usage_cell_of(struct usage *u, struct tenant *t, const struct usage_name *name);

/* Before the loops run: what is stored. Then, each second, what has changed is stored. */
bool usage_open(struct core *core, struct diag *d);
/* Control thread: hands what has changed to the store. */
void usage_flush(struct core *core);

/* {"tenant_invocations":{},"capability_invocations":{},"total_invocations":n}. tenant: empty for all.
 * Control thread. */
void usage_json(struct core *core, str tenant, struct buf *out);
#endif
