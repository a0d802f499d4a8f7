/* mig/ext/sources.h: a plugin-side interface. An instance built from files (scripts, API documents)
 * tells which ones it read, so that a reload knows when it is out of date. */
#ifndef MIG_EXT_SOURCES_H
#define MIG_EXT_SOURCES_H
#include "mig/plugin.h"
#ifdef __cplusplus
extern "C" {
#endif

#define MIG_EXT_SOURCES "mig.sources/1" /* plugin: mig_ext_sources, from mig_plugin.get_extension */

typedef struct mig_ext_sources {
    uint32_t struct_size, flags;
    /* [life] Path of the index-th file read since create(), absolute; empty: there are no more.
     * Valid until destroy(). */
    mig_str (*file)(void *self, uint32_t index);
} mig_ext_sources;

#ifdef __cplusplus
}
#endif
#endif
