/* bad: modules that must be refused. One -DBAD_... each. */
#define _POSIX_C_SOURCE 200809L
#include "common.h"

#ifdef BAD_UNDEFINED_SYMBOL
extern int nobody_has_this_function(void);
#endif

#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunused-function"
#endif

static mig_status create(const mig_host *host, mig_str config, void **ret_self)
{
    (void)config;
    *ret_self = (void *)(uintptr_t)host;
#ifdef BAD_CREATE_FAILS
    host->log(host, MIG_LOG_ERROR, mig_s("the flux capacitor is missing"), mig_s(""));
    return MIG_INVALID_REQUEST;
#endif
#ifdef BAD_CREATE_FAILS_SILENTLY
    return MIG_UNAVAILABLE;
#endif
#ifdef BAD_CREATE_HANGS
    nap_ms(1500);
#endif
#ifdef BAD_UNDEFINED_SYMBOL
    return nobody_has_this_function();
#endif
    return MIG_OK;
}

static void invoke(void *self, void *data, mig_call call, const mig_request *req)
{
    (void)data;
    (void)req;
    finish_text(self, call, "{}");
}

#ifndef BAD_ID
#define BAD_ID "test.bad.get"
#endif

#ifdef BAD_START_FAILS
static mig_status start(void *self)
{
    const mig_host *h = self;
    h->log(h, MIG_LOG_ERROR, mig_s("the database does not answer"), mig_s(""));
    return MIG_UNAVAILABLE;
}
#define START start
#else
#define START NULL
#endif

static mig_status describe(void *self, const mig_registrar *reg)
{
    mig_capability c = {0};
    mig_status status = MIG_OK;
    (void)self;

    c.struct_size = sizeof c;
    c.id = BAD_ID;
    c.version = "1.0.0";
    c.summary = "Bad.";
    c.modes = MIG_MODE_UNARY;
    c.invoke = invoke;
#ifdef BAD_CAPABILITY_ID
    c.id = "test..bad id";
#endif
#ifdef BAD_CAPABILITY_VERSION
    c.version = "one";
#endif
#ifdef BAD_CAPABILITY_SCHEMA
    c.input_schema = "{\"type\":";
#endif
#ifdef BAD_CAPABILITY_NO_INVOKE
    c.invoke = NULL;
#endif
#ifdef BAD_CAPABILITY_NEWER
    struct {
        mig_capability known;
        uint64_t wish;
    } longer = {c, 1};
    longer.known.struct_size = sizeof longer;
    return reg->capability(reg, &longer.known);
#endif
#ifdef BAD_DUPLICATE_CAPABILITY
    status = reg->capability(reg, &c);
#endif
#ifdef BAD_TAKES_OTHERS_CAPABILITY
    c.id = "observatory.models.infer";
#endif
#ifdef BAD_DESCRIBE_FAILS
    return MIG_INTERNAL;
#endif
    return status == MIG_OK ? reg->capability(reg, &c) : status;
}

static void destroy(void *self)
{
    (void)self;
}

#ifdef BAD_PLUGIN_ID
#define ID "Not Reverse DNS"
#else
#define ID "org.test.bad"
#endif
#ifdef BAD_PLUGIN_VERSION
#define VERSION "newest"
#else
#define VERSION "1.0.0"
#endif
#ifdef BAD_MISSING_CREATE
#define CREATE NULL
#else
#define CREATE create
#endif
#ifdef BAD_MISSING_DESTROY
#define DESTROY NULL
#else
#define DESTROY destroy
#endif

static const mig_plugin bad = {
    sizeof bad, 0, ID, VERSION, "Bad.", NULL, CREATE, describe, START, NULL, DESTROY, NULL,
};
static const mig_plugin *const kinds[] = {
#ifndef BAD_EMPTY
    &bad,
#endif
    NULL};

#ifndef BAD_NO_ENTRY
MIG_EXTERN_C MIG_EXPORT const mig_plugin_entry_t mig_plugin_entry;
const mig_plugin_entry_t mig_plugin_entry = {
#ifdef BAD_MAGIC
    0x46454544u,
#else
    MIG_ABI_MAGIC,
#endif
#ifdef BAD_MAJOR
    9,
#else
    MIG_ABI_MAJOR,
#endif
    MIG_ABI_MINOR,
#ifdef BAD_SMALL
    16,
#else
    (uint32_t)sizeof(mig_plugin_entry_t),
#endif
#ifdef BAD_FUTURE_MINOR
    99,
#else
    0,
#endif
    kinds};
#else
const mig_plugin *const *nobody_asks_for_me = kinds;
#endif
