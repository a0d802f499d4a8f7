/* mig/abi.h: base types and the module entry. Included by everything, includes only libc.
 *
 * Thread tags: [life] lifecycle thread, one call at a time per instance, may block. [loop] event
 * loop of the call, must not block. [pool] worker thread, may block. [exec] loop or pool, as the
 * definition asked. [any] every thread, concurrently.
 *
 * Strings are UTF-8; a mig_str is not NUL-terminated. A host function never calls back into the
 * plugin before it returns. Every struct that may grow starts with its size; zero in a member means
 * what the minor version before that member did. The change log is at the end of this file. */
#ifndef MIG_ABI_H
#define MIG_ABI_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

#define MIG_ABI_MAGIC 0x4D494750u /* "MIGP" */
#define MIG_ABI_MAJOR 1u
#define MIG_ABI_MINOR 0u

typedef struct mig_str {
    const char *ptr;
    size_t len;
} mig_str; /* borrowed bytes */

typedef struct mig_call {
    uint64_t v;
} mig_call; /* checked handle, 0 = none */

/* > 0: an outcome a remote caller may see, numbered as in the MIG v0.1 protobuf MigErrorCode.
 * < 0: an answer to the plugin itself; it never leaves the process. */
typedef int32_t mig_status;
enum mig_status_code {
    MIG_OK = 0,
    MIG_INVALID_REQUEST = 1,
    MIG_UNAUTHORIZED = 2,
    MIG_FORBIDDEN = 3,
    MIG_NOT_FOUND = 4,
    MIG_UNSUPPORTED_CAPABILITY = 5,
    MIG_VERSION_MISMATCH = 6,
    MIG_TIMEOUT = 7,
    MIG_RATE_LIMITED = 8,
    MIG_BACKPRESSURE = 9,
    MIG_UNAVAILABLE = 10,
    MIG_INTERNAL = 11,
    MIG_E_GONE = -1,  /* the handle was already ended, or never existed            */
    MIG_E_AGAIN = -2, /* nothing was taken; wait for on_writable and try again     */
    MIG_E_ARG = -3,   /* the caller broke the contract; logged with the plugin id  */
    MIG_E_NOSYS = -4, /* this host is older than the function or wish asked for    */
    MIG_E_NOMEM = -5  /* out of memory, or over a limit of the host                */
};

/* True when the peer that allocated *p knew about the member. Use before reading a member that
 * was appended after ABI 1.0. */
#define MIG_HAS(p, member)                                                                         \
    ((p)->struct_size >= offsetof(__typeof__(*(p)), member) + sizeof((p)->member))

typedef struct mig_host mig_host;
typedef struct mig_registrar mig_registrar;

enum mig_plugin_flag {
    MIG_PLUGIN_UNLOADABLE = 1 /* no thread-locals with destructors, no atexit */
};

/* One kind of provider that the module can create. Static, constant, never freed. */
typedef struct mig_plugin {
    uint32_t struct_size;
    uint32_t flags;            /* MIG_PLUGIN_*; 0 is the safe default            */
    const char *id;            /* reverse DNS: "org.example.greeter"             */
    const char *version;       /* semantic version of the plugin itself          */
    const char *summary;       /* one sentence for humans                        */
    const char *config_schema; /* JSON Schema 2020-12 text; NULL: takes no config */

    /* [life] Parse config (JSON object text) into a new instance. No threads, no sockets.
     * On failure log why; the reload is refused. */
    mig_status (*create)(const mig_host *host, mig_str config, void **ret_self);
    /* [life] Say what the instance offers. Pure: called once per generation, in any number. */
    mig_status (*describe)(void *self, const mig_registrar *reg);
    /* [life] Open connections, start own threads. NULL: nothing to do. */
    mig_status (*start)(void *self);
    /* [life] Stop originating work; running calls go on. NULL: nothing to do. */
    void (*quiesce)(void *self);
    /* [life] All calls have ended. Join own threads, free everything. */
    void (*destroy)(void *self);
    /* [any] Optional plugin-side interfaces by id ("mig.sources/1"); NULL: none. */
    const void *(*get_extension)(void *self, const char *id);
} mig_plugin;

/* The only exported symbol. The first 16 bytes keep their meaning in every ABI major. */
typedef struct mig_plugin_entry {
    uint32_t magic;
    uint16_t abi_major, abi_minor; /* headers the module was built with        */
    uint32_t struct_size;
    uint32_t needs_minor;             /* oldest host minor it can run on          */
    const mig_plugin *const *plugins; /* NULL-terminated                          */
} mig_plugin_entry_t;

#if defined(__GNUC__)
#define MIG_EXPORT __attribute__((visibility("default")))
#else
#define MIG_EXPORT
#endif
#ifdef MIG_STATIC_PLUGIN /* built into the daemon: one symbol per plugin */
#define MIG_ENTRY_SYMBOL_(name) mig_plugin_entry_##name
#define MIG_ENTRY_SYMBOL(name) MIG_ENTRY_SYMBOL_(name)
#else
#define MIG_ENTRY_SYMBOL(name) mig_plugin_entry
#endif
#ifndef MIG_NEEDS_MINOR
#define MIG_NEEDS_MINOR MIG_ABI_MINOR
#endif
#ifdef __cplusplus
#define MIG_EXTERN_C extern "C"
#else
#define MIG_EXTERN_C extern
#endif
#define MIG_PLUGIN_ENTRY(name, ...)                                                                \
    static const mig_plugin *const mig_kinds_##name[] = {__VA_ARGS__, NULL};                       \
    MIG_EXTERN_C MIG_EXPORT const mig_plugin_entry_t MIG_ENTRY_SYMBOL(name);                       \
    const mig_plugin_entry_t MIG_ENTRY_SYMBOL(name) = {                                            \
        MIG_ABI_MAGIC,   MIG_ABI_MAJOR,   MIG_ABI_MINOR, (uint32_t)sizeof(mig_plugin_entry_t),     \
        MIG_NEEDS_MINOR, mig_kinds_##name}

/* A slice of a NUL-terminated string; NULL gives the empty slice. */
static inline mig_str mig_s(const char *z)
{
    mig_str s = {z, 0};
    while (z && z[s.len])
        s.len++;
    return s;
}

#ifdef __cplusplus
}
#endif

/* Change log
 *   1.0-rc1  2026-11-21  first release candidate */
#endif
