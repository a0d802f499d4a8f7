/* mig/ext/control.h: operate the host. Granted by name in the settings (`control:`), so that a
 * third-party plugin cannot reload the gateway; get_extension() answers NULL to all others. */
#ifndef MIG_EXT_CONTROL_H
#define MIG_EXT_CONTROL_H
#include "mig/plugin.h"
#ifdef __cplusplus
extern "C" {
#endif

#define MIG_EXT_CONTROL "mig.control/1" /* host: mig_ext_control */

typedef struct mig_ext_control {
    uint32_t struct_size, flags;
    /* [any] Run one verb with JSON object arguments; done brings a JSON object, or an error. Verbs
     * and their members are listed in docs/reference/control.md. */
    mig_status (*request)(const mig_host *h, mig_call call, mig_str verb, mig_str args,
                          mig_done done, void *tag);
} mig_ext_control;

#ifdef __cplusplus
}
#endif
#endif
