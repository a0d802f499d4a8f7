/* common.h: what the test plugins share. Public headers only. */
#ifndef TEST_PLUGINS_COMMON_H
#define TEST_PLUGINS_COMMON_H
#include <mig/plugin.h>
#include <mig/sdk/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline uint64_t number(mig_str payload, const char *name, uint64_t otherwise)
{
    uint64_t n;
    return mig_json_u64(mig_json_member(payload, name), &n) ? n : otherwise;
}

static inline void finish_text(const mig_host *h, mig_call call, const char *json)
{
    mig_finish_json(h, call, json, strlen(json));
}

static inline void nap_ms(uint64_t ms)
{
    struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}
#endif
