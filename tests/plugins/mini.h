/* mini.h: the smallest module; MINI_VERSION tells two builds of it apart. */
#include "mig/plugin.h"

static mig_status mini_create(const mig_host *h, mig_str config, void **ret_self)
{
    (void)h;
    (void)config;
    *ret_self = (void *)(uintptr_t)1;
    return MIG_OK;
}

static mig_status mini_describe(void *self, const mig_registrar *reg)
{
    (void)self;
    (void)reg;
    return MIG_OK;
}

static void mini_destroy(void *self)
{
    (void)self;
}

static const mig_plugin mini = {
    .struct_size = sizeof(mig_plugin),
    .flags = MIG_PLUGIN_UNLOADABLE,
    .id = "org.example.mini",
    .version = MINI_VERSION,
    .create = mini_create,
    .describe = mini_describe,
    .destroy = mini_destroy,
};
MIG_PLUGIN_ENTRY(mini, &mini);
