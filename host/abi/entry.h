/* entry.h: may this module be used? Says precisely why not (plugin-abi.md section 4). Pure. */
#ifndef ABI_ENTRY_H
#define ABI_ENTRY_H
#include "base/diag.h"
#include "mig/abi.h"

/* false: at least one finding. entry may lie in a module that was built by anybody. */
bool entry_check(const mig_plugin_entry_t *entry, struct diag_at at, struct diag *d);
/* Own copy of a plugin's struct: members it lacks are zero. */
mig_plugin entry_copy_plugin(const mig_plugin *p);
#endif
