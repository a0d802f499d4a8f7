/* mig/ext/invoke.h: call other capabilities in the name of a call. */
#ifndef MIG_EXT_INVOKE_H
#define MIG_EXT_INVOKE_H
#include "mig/plugin.h"
#ifdef __cplusplus
extern "C" {
#endif

#define MIG_EXT_INVOKE "mig.invoke/1" /* host: mig_ext_invoke */

typedef struct mig_ext_invoke {
    uint32_t struct_size, flags;
    /* [any] Same tenant, subject, trace and remaining deadline as `call`; cancelled with it.
     * A chain of more than 8 capabilities is refused (MIG_INVALID_REQUEST, reason hop_limit). */
    mig_status (*invoke)(const mig_host *h, mig_call call, mig_str capability,
                         const mig_payload *payload, mig_done done, void *tag);
    /* [pool] The same, waiting. *ret_out lives until `call` ends. */
    mig_status (*invoke_wait)(const mig_host *h, mig_call call, mig_str capability,
                              const mig_payload *payload, const mig_outcome **ret_out);
} mig_ext_invoke;

#ifdef __cplusplus
}
#endif
#endif
