/* mig/sdk/mock_entry.h: may this module be loaded? The rules of the ABI, each with the text that a
 * host says when it refuses. Part of mig/sdk/mock.h; also what `migctl check` asks. */
#ifndef MIG_SDK_MOCK_ENTRY_H
#define MIG_SDK_MOCK_ENTRY_H
#include "mig/plugin.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#ifdef __cplusplus
extern "C" {
#endif

/* 1 to `max` segments of letters, digits, '_' and '-' between dots. */
static inline int mock_is_dotted_(const char *id, size_t least)
{
    size_t segments = 1, run = 0;

    for (; id && *id; id++) {
        if (*id == '.') {
            if (!run)
                return 0;
            segments++;
            run = 0;
        } else if ((*id >= '0' && *id <= '9') || ((*id | 32) >= 'a' && (*id | 32) <= 'z') ||
                   *id == '_' || *id == '-') {
            run++;
        } else {
            return 0;
        }
    }
    return run > 0 && segments >= least;
}

/* 1.2.3, 1.2.3-rc.1, 1.2.3+build (semver.org 2.0.0, without its rule about leading zeros). */
static inline int mock_is_version_(const char *v)
{
    for (int part = 0; part < 3; part++) {
        const char *from = v;
        while (v && *v >= '0' && *v <= '9')
            v++;
        if (v == from || (part < 2 && *v++ != '.'))
            return 0;
    }
    if (*v && *v != '-' && *v != '+')
        return 0;
    if (*v && !v[1])
        return 0;
    for (; *v; v++)
        if (!strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-+", *v))
            return 0;
    return 1;
}

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static inline int
mock_refuse_(char *out, size_t cap, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(out, cap, format, args);
    va_end(args);
    return 0;
}

/* 1 when a host of this header's version takes the plugin; otherwise out says why not. */
static inline int mock_plugin_ok(const mig_plugin *p, char *out, size_t cap)
{
    const char *missing;

    if (p->struct_size < sizeof *p)
        return mock_refuse_(out, cap, "a mig_plugin has struct_size %u, ABI 1.0 has %u",
                            (unsigned)p->struct_size, (unsigned)sizeof *p);
    if (!mock_is_dotted_(p->id, 2))
        return mock_refuse_(out, cap, "plugin id \"%s\" is not reverse DNS (\"org.example.name\")",
                            p->id ? p->id : "");
    if (!mock_is_version_(p->version))
        return mock_refuse_(out, cap, "plugin %s: version \"%s\" is not semantic (\"1.0.0\")",
                            p->id, p->version ? p->version : "");
    missing = !p->create ? "create" : !p->describe ? "describe" : !p->destroy ? "destroy" : NULL;
    if (missing)
        return mock_refuse_(out, cap, "plugin %s: member %s is NULL", p->id, missing);
    return 1;
}

/* The same for a whole module. */
static inline int mock_entry_ok(const mig_plugin_entry_t *e, char *out, size_t cap)
{
    if (!e || e->magic != MIG_ABI_MAGIC)
        return mock_refuse_(out, cap, "not a migd plugin: mig_plugin_entry %s",
                            e ? "has another magic number" : "is missing");
    if (e->abi_major != MIG_ABI_MAJOR)
        return mock_refuse_(out, cap, "built for plugin ABI major %u, this host has %u",
                            (unsigned)e->abi_major, (unsigned)MIG_ABI_MAJOR);
    if (e->needs_minor > MIG_ABI_MINOR)
        return mock_refuse_(out, cap, "needs plugin ABI %u.%u, this host has %u.%u",
                            (unsigned)e->abi_major, (unsigned)e->needs_minor,
                            (unsigned)MIG_ABI_MAJOR, (unsigned)MIG_ABI_MINOR);
    if (e->struct_size < sizeof *e)
        return mock_refuse_(out, cap, "the entry has struct_size %u, ABI 1.0 has %u",
                            (unsigned)e->struct_size, (unsigned)sizeof *e);
    if (!e->plugins || !e->plugins[0])
        return mock_refuse_(out, cap, "the module offers no plugin");
    for (const mig_plugin *const *p = e->plugins; *p; p++)
        if (!mock_plugin_ok(*p, out, cap))
            return 0;
    return 1;
}

#ifdef __cplusplus
}
#endif
#endif
