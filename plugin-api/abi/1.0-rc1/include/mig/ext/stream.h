/* mig/ext/stream.h: streaming for handlers that may block, and flow control for those that may not. */
#ifndef MIG_EXT_STREAM_H
#define MIG_EXT_STREAM_H
#include "mig/plugin.h"
#ifdef __cplusplus
extern "C" {
#endif

#define MIG_EXT_STREAM "mig.stream/1" /* host: mig_ext_stream */

typedef struct mig_ext_stream {
    uint32_t struct_size, flags;
    /* [pool] Like send(), but waits for room; MIG_TIMEOUT at the call's deadline. */
    mig_status (*send_wait)(const mig_host *h, mig_call call, const mig_payload *frame);
    /* [pool] The caller's next message, valid until the next recv or the end of the call.
     * MIG_NOT_FOUND: the caller will send no more. MIG_E_GONE: the caller left. */
    mig_status (*recv_wait)(const mig_host *h, mig_call call, mig_str *ret_json);
    /* [any] Let the caller send n messages more. A stream starts with 16 and earns one back for
     * each on_message that returns, unless the capability sets MIG_CAP_MANUAL_GRANT. */
    mig_status (*grant)(const mig_host *h, mig_call call, uint32_t n);
} mig_ext_stream;

#ifdef __cplusplus
}
#endif
#endif
