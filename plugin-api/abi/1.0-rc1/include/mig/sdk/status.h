/* mig/sdk/status.h: the eleven MIG codes as names, HTTP statuses and retry hints (MIG v0.1 10). */
#ifndef MIG_SDK_STATUS_H
#define MIG_SDK_STATUS_H
#include "mig/abi.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct mig_status_info {
    const char *name;
    uint32_t http;
    uint32_t retryable;
} mig_status_info;

/* The row of a code; one that a caller may not see is shown as MIG_INTERNAL. */
static inline const mig_status_info *mig_status_row(mig_status code)
{
    static const mig_status_info rows[] = {
        {"MIG_OK", 200, 0},
        {"MIG_INVALID_REQUEST", 400, 0},
        {"MIG_UNAUTHORIZED", 401, 0},
        {"MIG_FORBIDDEN", 403, 0},
        {"MIG_NOT_FOUND", 404, 0},
        {"MIG_UNSUPPORTED_CAPABILITY", 404, 0},
        {"MIG_VERSION_MISMATCH", 400, 0},
        {"MIG_TIMEOUT", 504, 1},
        {"MIG_RATE_LIMITED", 429, 1},
        {"MIG_BACKPRESSURE", 429, 1},
        {"MIG_UNAVAILABLE", 503, 1},
        {"MIG_INTERNAL", 500, 0},
    };
    return &rows[code >= MIG_OK && code <= MIG_INTERNAL ? code : MIG_INTERNAL];
}

#ifdef __cplusplus
}
#endif
#endif
